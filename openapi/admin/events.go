package admin

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// ListEvents reads a page of the log, or follows it for a client that asked for
// server-sent events.
func (s *Server) ListEvents(ctx context.Context, req openapi.ListEventsRequestObject) (openapi.ListEventsResponseObject, error) {
	p := req.Params
	q := store.EventQuery{
		Org: orgOf(ctx), After: deref(p.After), Limit: limitOf(p.Limit),
		Kind: deref(p.ResourceType), Resource: store.ID(deref(p.ResourceID)),
		Types: deref(p.Type), Actor: deref(p.Actor), Since: deref(p.Since), Until: deref(p.Until),
	}
	if !requestOf(ctx).stream {
		out, err := s.events(ctx, q)
		return openapi.ListEvents200JSONResponse(out), err
	}
	if p.LastEventID != nil {
		q.After = *p.LastEventID
	}
	if _, err := s.end(ctx, q); err != nil {
		return nil, err
	}
	if err := s.openStream(); err != nil {
		return nil, err
	}
	return &stream{flow: flow{s: s, ctx: ctx}, query: q}, nil
}

// ExportEvents writes what the log has now, as JSON lines.
func (s *Server) ExportEvents(ctx context.Context, req openapi.ExportEventsRequestObject) (openapi.ExportEventsResponseObject, error) {
	p := req.Params
	q := store.EventQuery{
		Org: orgOf(ctx), After: deref(p.After), Limit: exportedAtOnce,
		Kind: deref(p.ResourceType), Resource: store.ID(deref(p.ResourceID)),
		Types: deref(p.Type), Actor: deref(p.Actor), Since: deref(p.Since), Until: deref(p.Until),
	}
	var err error
	if q.UpTo, err = s.end(ctx, q); err != nil {
		return nil, err
	}
	if err := s.openStream(); err != nil {
		return nil, err
	}
	return &export{s: s, ctx: ctx, query: q}, nil
}

// events reads a page.
func (s *Server) events(ctx context.Context, q store.EventQuery) (openapi.EventList, error) {
	out := openapi.EventList{Items: []openapi.Event{}, NextCursor: q.After}
	err := s.Store.View(ctx, func(r store.Reader) (err error) {
		// The end first: what is appended meanwhile comes after it.
		if out.LastCursor, err = endOf(ctx, r, q); err != nil {
			return err
		}
		all, err := r.Events(ctx, q)
		if err != nil {
			return err
		}
		out.Items, err = RenderEvents(ctx, r, q.Org, all)
		if len(all) > 0 {
			out.NextCursor = all[len(all)-1].Cursor
		}
		return err
	})
	return out, err
}

// end finds the end of the log, and refuses a cursor beyond it.
func (s *Server) end(ctx context.Context, q store.EventQuery) (last int64, err error) {
	err = s.Store.View(ctx, func(r store.Reader) (err error) {
		last, err = endOf(ctx, r, q)
		return err
	})
	return last, err
}

func endOf(ctx context.Context, r store.Reader, q store.EventQuery) (int64, error) {
	last, err := r.LastEvent(ctx, q.Org)
	if err == nil && q.After > last {
		err = &store.Error{
			Code: store.CodeGone, Field: "after", Message: fmt.Sprintf("the log ends at cursor %d and not at %d: the database is not in the state that this cursor is of", last, q.After),
			Hint: "read users and groups again, and follow the log from last_cursor as it was before",
		}
	}
	return last, err
}

// RenderEvents makes what clients see of events of one organization.
func RenderEvents(ctx context.Context, r store.Reader, org store.Key, events []store.Event) ([]openapi.Event, error) {
	out := make([]openapi.Event, len(events))
	if len(events) == 0 {
		return out, nil
	}
	owners, err := ownersOf(ctx, r, org)
	if err != nil {
		return nil, err
	}
	for i := range events {
		out[i] = renderEvent(owners, &events[i])
	}
	return out, nil
}

func renderEvent(owners owners, e *store.Event) openapi.Event {
	out := openapi.Event{
		Cursor: e.Cursor, ID: string(e.ID), Type: e.Type, Version: e.Version,
		ResourceType: e.Kind, ResourceID: string(e.Resource),
		Cause: *renderCause(e.Cause), Data: e.Data, Time: e.Time,
	}
	if len(e.Data) == 0 {
		out.Data = json.RawMessage("{}")
	}
	out.Directory, _ = owners.name(e.Directory)
	return out
}
