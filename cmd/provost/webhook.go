package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/provost-scim/provost/openapi"
)

// webhookCommand is `provost webhook`.
type webhookCommand struct {
	Create     webhookCreate     `cmd:"" help:"Post events to a URL from now on, and print only the secret that signs them."`
	List       webhookList       `cmd:"" help:"List webhooks." example:"list"`
	Show       webhookShow       `cmd:"" help:"Show a webhook." example:"show app"`
	Set        webhookSet        `cmd:"" help:"Change a webhook, enable or disable it, or move its place in the log."`
	Delete     webhookDelete     `cmd:"" help:"Delete a webhook with its log." example:"delete app"`
	Rotate     webhookRotate     `cmd:"" help:"Make a new secret and print only it; the old one signs beside it for a while." example:"rotate app --overlap 48h"`
	Deliveries webhookDeliveries `cmd:"" help:"List what was delivered, and what is to be." example:"deliveries app --state pending"`
	Redeliver  webhookRedeliver  `cmd:"" help:"Deliver an event again." example:"redeliver app 01a205b2-e199-73fc-971e-d9327b92b0c7"`
	Test       webhookTest       `cmd:"" help:"Send a test message now, and say what was answered." example:"test app"`
}

// webhookOne is a command about one webhook.
type webhookOne struct {
	remote
	Name string `arg:"" help:"The name or id of the webhook."`
}

type webhookCreate struct {
	webhookOne
	URL   string   `required:"" variable:"WEBHOOK_URL" placeholder:"URL" help:"Where to post to; https, unless serve --webhook-allow names the network."`
	Type  []string `placeholder:"TYPE" help:"Only events of these types; user.* stands for all that begin with user. Without it all."`
	After *int64   `placeholder:"CURSOR" help:"Begin after this cursor of the log; 0 sends everything that ever was."`
}

// Help shows how it is used.
func (*webhookCreate) Help() string {
	return `The secret is shown this once. docs/webhooks.md shows how to verify with it that a request is from here.

Example:

    provost webhook create app --url https://app.example.com/hooks --type 'user.*' --type group.effective_changed`
}

// Run creates the webhook and prints its secret.
func (c *webhookCreate) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	made, err := answer((*openapi.CreateWebhookResponse).GetJSON201)(api.CreateWebhookWithResponse(s.ctx, nil,
		openapi.WebhookInput{Name: c.Name, URL: c.URL, Types: listed(c.Type), After: c.After}))
	if err != nil {
		return err
	}
	return c.printSecret(s, made)
}

// listed is a list that is left out when it is empty.
func listed(list []string) *openapi.WebhookTypes {
	if len(list) == 0 {
		return nil
	}
	return &list
}

func (c *webhookOne) printSecret(s *session, made *openapi.NewWebhook) error {
	if c.JSON {
		return writeJSON(s.stdout, made)
	}
	_, err := fmt.Fprintln(s.stdout, made.Secret)
	return err
}

type webhookList struct{ remote }

// Run lists webhooks.
func (c *webhookList) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	return list(s, &c.remote, []column[openapi.Webhook]{
		{title: "NAME", value: func(w *openapi.Webhook) string { return w.Name }, shrink: true},
		{title: "STATE", value: webhookState},
		{title: "TYPES", value: webhookTypes, shrink: true},
		{title: "URL", value: func(w *openapi.Webhook) string { return w.URL }, shrink: true},
		{title: "ID", value: func(w *openapi.Webhook) string { return w.ID }},
	}, func(w *openapi.Webhook) string { return w.ID }, func(each func(*openapi.Webhook) error) error {
		return pages(0, func(cursor *string, size int) ([]openapi.Webhook, string, error) {
			page, err := answer((*openapi.ListWebhooksResponse).GetJSON200)(api.ListWebhooksWithResponse(s.ctx, &openapi.ListWebhooksParams{Cursor: cursor, Limit: &size}))
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextCursor, nil
		}, each)
	})
}

func webhookState(w *openapi.Webhook) string {
	switch {
	case !w.Enabled:
		return "disabled"
	case w.FailingSince != nil:
		return "failing"
	}
	return "enabled"
}

func webhookTypes(w *openapi.Webhook) string {
	if len(w.Types) == 0 {
		return "all"
	}
	return strings.Join(w.Types, " ")
}

func printWebhook(s *session, r *remote, w *openapi.Webhook) error {
	return record(s, r, w, w.ID, func() [][2]string {
		return [][2]string{
			{"name", w.Name}, {"id", w.ID}, {"url", w.URL}, {"types", webhookTypes(w)}, {"state", webhookState(w)},
			{"disabled", whenGiven(w.DisabledAt)}, {"because", w.DisabledReason}, {"failing since", whenGiven(w.FailingSince)},
			{"read up to", strconv.FormatInt(w.Cursor, 10)}, {"old secret until", whenGiven(w.OldSecretUntil)}, {"created", at(w.CreatedAt)},
		}
	})
}

// whenGiven is a time, or nothing.
func whenGiven(t *time.Time) string {
	if t == nil {
		return ""
	}
	return at(*t)
}

type webhookShow struct{ webhookOne }

// Run shows the webhook.
func (c *webhookShow) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	w, err := answer((*openapi.GetWebhookResponse).GetJSON200)(api.GetWebhookWithResponse(s.ctx, c.Name, nil))
	if err != nil {
		return err
	}
	return printWebhook(s, &c.remote, w)
}

type webhookSet struct {
	webhookOne
	NewName  string   `placeholder:"NAME" help:"Another name."`
	URL      string   `variable:"WEBHOOK_URL" placeholder:"URL" help:"Another URL; what is pending is sent there, too."`
	Type     []string `placeholder:"TYPE" xor:"types" help:"Only events of these types, instead of those before."`
	AllTypes bool     `xor:"types" help:"Events of all types."`
	Enable   bool     `xor:"enabled" help:"Go on where it stopped; all that is pending is tried at once."`
	Disable  bool     `xor:"enabled" help:"Send nothing more until it is enabled."`
	After    *int64   `placeholder:"CURSOR" help:"Go on after this cursor of the log, forth or back, and drop what is pending."`
}

// Help shows how it is used.
func (*webhookSet) Help() string {
	return `Examples:

    provost webhook set app --enable
    provost webhook set app --type 'user.*' --type 'group.*'
    provost webhook set app --after 0`
}

// Run changes the webhook.
func (c *webhookSet) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	patch := openapi.WebhookPatch{Name: none(c.NewName), URL: none(c.URL), Types: listed(c.Type), After: c.After}
	if c.AllTypes {
		patch.Types = &openapi.WebhookTypes{}
	}
	if c.Enable || c.Disable {
		patch.Enabled = &c.Enable
	}
	w, err := answer((*openapi.UpdateWebhookResponse).GetJSON200)(api.UpdateWebhookWithResponse(s.ctx, c.Name, nil, patch))
	if err != nil {
		return err
	}
	return printWebhook(s, &c.remote, w)
}

type webhookDelete struct {
	webhookOne
	confirmFlag
}

// Run deletes the webhook.
func (c *webhookDelete) Run(s *session) error {
	if sure, err := c.sure(s, "delete the webhook %s, with what is pending", c.Name); err != nil || !sure {
		return err
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	if err := done(api.DeleteWebhookWithResponse(s.ctx, c.Name, nil)); err != nil {
		return err
	}
	said(s, &c.remote, "webhook %s is deleted", c.Name)
	return nil
}

type webhookRotate struct {
	webhookOne
	Overlap time.Duration `default:"24h" placeholder:"SPAN" help:"How long the old secret signs beside the new one: whole hours up to 168h; 0 ends it at once."`
}

// Run makes the secret and prints it.
func (c *webhookRotate) Run(s *session) error {
	hours := int(c.Overlap / time.Hour)
	if c.Overlap < 0 || c.Overlap%time.Hour != 0 {
		return misused("such as 24h", "--overlap %s is not a number of hours", c.Overlap)
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	made, err := answer((*openapi.RotateWebhookSecretResponse).GetJSON200)(api.RotateWebhookSecretWithResponse(s.ctx, c.Name, nil,
		openapi.WebhookRotation{OverlapHours: &hours}))
	if err != nil {
		return err
	}
	return c.printSecret(s, made)
}

type webhookTest struct{ webhookOne }

// Run sends the message. It fails if the endpoint has not taken it.
func (c *webhookTest) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	a, err := answer((*openapi.TestWebhookResponse).GetJSON200)(api.TestWebhookWithResponse(s.ctx, c.Name, nil))
	if err != nil {
		return err
	}
	if c.JSON {
		if err := writeJSON(s.stdout, a); err != nil {
			return err
		}
	}
	if !a.Delivered {
		return failed("provost webhook show tells where it sends to", "the endpoint did not take the message: %s", plain(a.Error))
	}
	said(s, &c.remote, "the endpoint took the message: %d after %d ms", a.Status, a.Millis)
	return nil
}
