package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/provost-scim/provost/openapi"
)

// eventCommand is `provost event`.
type eventCommand struct {
	List   eventList   `cmd:"" help:"List events, oldest first." example:"list --resource-type Group --json"`
	Follow eventFollow `cmd:"" help:"Print events as they come, until interrupted."`
	Export eventExport `cmd:"" help:"Print all events that fit as JSON lines, oldest first."`
}

// eventFlags choose events.
type eventFlags struct {
	remote
	After        int64    `placeholder:"CURSOR" help:"Only what comes after this cursor; without it from the first event."`
	Type         []string `placeholder:"TYPE" help:"Only events of these types; user.* stands for all that begin with user."`
	Actor        string   `placeholder:"WHO" help:"Only what this actor caused, by id or name."`
	ResourceType string   `placeholder:"TYPE" help:"Only events of resources of this type, such as User or Group."`
	ResourceID   string   `name:"resource-id" aliases:"resource" placeholder:"ID" help:"Only events of this resource."`
	Since        string   `placeholder:"WHEN" help:"Only events since then: a span such as 7d or 12h, a date, or a time such as 2030-01-31T12:00:00Z."`
	Until        string   `placeholder:"WHEN" help:"Only events before then, given alike."`

	since, until *time.Time
}

// AfterApply reads the times once, so that all pages have the same.
func (f *eventFlags) AfterApply() (err error) {
	now := time.Now()
	if f.since, err = past("since", f.Since, now); err != nil {
		return err
	}
	f.until, err = past("until", f.Until, now)
	return err
}

// past reads a time that has been: a span before now in days or as Go writes it, a
// date, or a time of RFC 3339. Nothing given is nil.
func past(name, text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 36500 {
			now = now.AddDate(0, 0, -n)
			return &now, nil
		}
	}
	if span, err := time.ParseDuration(text); err == nil && span >= 0 {
		now = now.Add(-span)
		return &now, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if moment, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return &moment, nil
		}
	}
	return nil, misused("give a span such as 7d or 12h, a date such as 2030-01-31, or a time such as 2030-01-31T12:00:00Z",
		"--%s %q is neither a span nor a time", name, text)
}

// types are the types as the server takes them, nil for all.
func (f *eventFlags) types() *[]string {
	if len(f.Type) == 0 {
		return nil
	}
	return &f.Type
}

// page reads one page of events and the cursor to ask after next.
func (f *eventFlags) page(s *session, api *openapi.ClientWithResponses, after int64, size int) (*openapi.EventList, error) {
	q := f.query(after)
	q.Limit = &size
	return answer((*openapi.ListEventsResponse).GetJSON200)(api.ListEventsWithResponse(s.ctx, q))
}

// query asks for the events after a cursor.
func (f *eventFlags) query(after int64) *openapi.ListEventsParams {
	return &openapi.ListEventsParams{
		After: &after, ResourceType: none(f.ResourceType), ResourceID: none(f.ResourceID),
		Type: f.types(), Actor: none(f.Actor), Since: f.since, Until: f.until,
	}
}

type eventList struct {
	eventFlags
	Limit int `default:"100" help:"At most so many; 0 lists all."`
}

// Run lists events.
func (c *eventList) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	return list(s, &c.remote, []column[openapi.Event]{
		{title: "CURSOR", value: func(e *openapi.Event) string { return strconv.FormatInt(e.Cursor, 10) }},
		{title: "TIME", value: func(e *openapi.Event) string { return at(e.Time) }},
		{title: "TYPE", value: func(e *openapi.Event) string { return e.Type }},
		{title: "BY", value: func(e *openapi.Event) string { return actor(&e.Cause.Actor) }, shrink: true},
		{title: "RESOURCE", value: func(e *openapi.Event) string { return e.ResourceID }},
	}, func(e *openapi.Event) string { return e.ID }, func(each func(*openapi.Event) error) error {
		after := c.After
		return pages(c.Limit, func(_ *string, size int) ([]openapi.Event, string, error) {
			page, err := c.page(s, api, after, size)
			if err != nil || len(page.Items) == 0 {
				return nil, "", err
			}
			after = page.NextCursor
			return page.Items, strconv.FormatInt(after, 10), nil
		}, each)
	})
}

func actor(a *openapi.Actor) string {
	if a.Name == "" {
		return a.Kind
	}
	return a.Kind + " " + a.Name
}

type eventFollow struct{ eventFlags }

// Help shows how it is used.
func (*eventFollow) Help() string {
	return "Whoever keeps the cursor of the last event and starts again with --after misses nothing and sees nothing twice. " +
		"With --json every event is one line.\n\nExample:\n\n    provost event follow --json --after 1200"
}

// Run prints events until the context ends, which is how a person ends it. A
// server that does not answer is asked again: it may be starting.
func (c *eventFollow) Run(s *session) error {
	api, err := c.apiWithin(0)
	if err != nil {
		return err
	}
	var silent again
	for {
		err := follow(s.ctx, func(ctx context.Context) (*http.Response, error) {
			return api.ListEvents(ctx, c.query(c.After), asStream)
		}, openapi.ParseListEventsResponse, func(data []byte) (bool, error) {
			silent.answered()
			var e openapi.Event
			if err := json.Unmarshal(data, &e); err != nil {
				return false, fmt.Errorf("read an event: %w", err)
			}
			c.After = e.Cursor
			return false, c.print(s, &e)
		})
		switch {
		case s.ctx.Err() != nil:
			return nil //nolint:nilerr // being interrupted is how it ends
		case err == nil:
		case silent.gaveUp(err, math.MaxInt64):
			return err
		case silent.first():
			fmt.Fprintf(s.stderr, "provost: %v; trying again\n", err)
		}
		if !silent.pause(s.ctx) {
			return nil
		}
	}
}

func (c *eventFollow) print(s *session, e *openapi.Event) error {
	if c.JSON {
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.stdout, "%s\n", b)
		return err
	}
	_, err := fmt.Fprintf(s.stdout, "%d  %s  %s  %s  %s\n", e.Cursor, at(e.Time), plain(e.Type), plain(e.ResourceID), plain(actor(&e.Cause.Actor)))
	return err
}
