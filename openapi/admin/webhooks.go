package admin

import (
	"context"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// Webhooks are what the handlers need of those who send events to endpoints.
// sync/notify's is one.
type Webhooks interface {
	// CheckURL refuses URLs to which nothing could ever be sent.
	CheckURL(text string) error
	// Secret makes a key to sign with, sealed, and the text that its receiver is given.
	Secret(webhook store.ID) (sealed []byte, text string, err error)
	// Ping sends a message to an endpoint at once.
	Ping(ctx context.Context, w *store.Webhook) (store.Attempt, error)
	// Wake says that an endpoint was changed.
	Wake()
	// Finding is the finding that an endpoint is disabled.
	Finding(w *store.Webhook) store.FindingKey
}

const (
	// mostWebhooks is how many endpoints an organization has.
	mostWebhooks = 50
	// overlap is how long an old secret signs beside the new one unless the request says.
	overlap = 24 * time.Hour
)

// ListWebhooks lists a page of the organization's endpoints by name.
func (s *Server) ListWebhooks(ctx context.Context, req openapi.ListWebhooksRequestObject) (openapi.ListWebhooksResponseObject, error) {
	after, err := placeName(cursorWebhooks, req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	var out openapi.ListWebhooks200JSONResponse
	err = s.Store.View(ctx, func(r store.Reader) error {
		page, err := r.WebhookPage(ctx, store.WebhookQuery{Org: orgOf(ctx), After: after, Limit: limitOf(req.Params.Limit)})
		out.Items = make([]openapi.Webhook, len(page.Items))
		for i := range page.Items {
			out.Items[i] = s.renderWebhook(&page.Items[i])
		}
		out.NextCursor = nextByName(cursorWebhooks, &page, func(w *store.Webhook) string { return store.Fold(w.Name) })
		return err
	})
	return out, err
}

// GetWebhook returns one endpoint.
func (s *Server) GetWebhook(ctx context.Context, req openapi.GetWebhookRequestObject) (openapi.GetWebhookResponseObject, error) {
	w, err := s.webhook(ctx, req.Webhook)
	if err != nil {
		return nil, err
	}
	out := s.renderWebhook(w)
	tag := entityTag(w.Revision, &out)
	if isKnown(req.Params.IfNoneMatch, tag) {
		return openapi.GetWebhook304Response{Headers: openapi.GetWebhook304ResponseHeaders{ETag: tag}}, nil
	}
	return openapi.GetWebhook200JSONResponse{Body: out, Headers: openapi.GetWebhook200ResponseHeaders{ETag: tag}}, nil
}

func (s *Server) webhook(ctx context.Context, ref string) (w *store.Webhook, err error) {
	err = s.Store.View(ctx, func(r store.Reader) error {
		w, err = r.Webhook(ctx, orgOf(ctx), ref)
		return err
	})
	return w, err
}

// CreateWebhook makes an endpoint that gets the events from now on, or after a cursor.
func (s *Server) CreateWebhook(ctx context.Context, req openapi.CreateWebhookRequestObject) (openapi.CreateWebhookResponseObject, error) {
	now := s.now()
	w := store.Webhook{
		ID: store.NewID(now), Org: orgOf(ctx), Enabled: true, CreatedAt: now, UpdatedAt: now,
	}
	secret, text, err := s.Webhooks.Secret(w.ID)
	if err != nil {
		return nil, err
	}
	w.Secret = secret
	edit := openapi.WebhookPatch{Name: &req.Body.Name, URL: &req.Body.URL, Types: req.Body.Types}
	if err := s.editWebhook(&w, &edit); err != nil {
		return nil, err
	}
	err = s.Store.Update(ctx, func(tx store.Tx) error {
		all, err := tx.WebhookPage(ctx, store.WebhookQuery{Org: w.Org, Limit: mostWebhooks})
		if err != nil {
			return err
		}
		if len(all.Items) >= mostWebhooks {
			return &store.Error{Code: store.CodeConflict, Message: fmt.Sprintf("the organization has %d webhooks already, which is the most", mostWebhooks), Hint: "delete one that is not used"}
		}
		if w.Cursor, err = s.placeInLog(ctx, tx, req.Body.After); err != nil {
			return err
		}
		if err := tx.CreateWebhook(ctx, &w); err != nil {
			return err
		}
		return s.logWebhook(ctx, tx, store.EventWebhookCreated, &w, nil, describeWebhook(&w))
	})
	if err != nil {
		return nil, err
	}
	s.Webhooks.Wake()
	return openapi.CreateWebhook201JSONResponse{Webhook: s.renderWebhook(&w), Secret: text}, nil
}

// placeInLog is where an endpoint begins: after the cursor that is given, or at the end.
func (s *Server) placeInLog(ctx context.Context, r store.Reader, after *int64) (int64, error) {
	q := store.EventQuery{Org: orgOf(ctx), After: deref(after)}
	end, err := endOf(ctx, r, q)
	if err != nil || after == nil {
		return end, err
	}
	return *after, nil
}

// editWebhook changes what is given, and refuses what could not work.
func (s *Server) editWebhook(w *store.Webhook, p *openapi.WebhookPatch) error {
	if p.Name != nil {
		w.Name = *p.Name
	}
	if p.URL != nil {
		if err := s.Webhooks.CheckURL(*p.URL); err != nil {
			return err
		}
		w.URL = *p.URL
	}
	if p.Types != nil {
		w.Types = nil
		for i, t := range *p.Types {
			if len(store.MatchingEvents([]string{t})) == 0 {
				return invalid("types."+strconv.Itoa(i), "docs/events.md lists the types; user.* stands for all that begin with user.", "there are no events of the type %q", t)
			}
			w.Types = append(w.Types, t)
		}
	}
	if p.Enabled != nil && *p.Enabled != w.Enabled {
		w.Enabled, w.DisabledReason, w.DisabledAt = *p.Enabled, "", time.Time{}
		if !w.Enabled {
			w.DisabledReason, w.DisabledAt = "an administrator disabled it", s.now()
		}
	}
	return nil
}

// UpdateWebhook changes what is given.
func (s *Server) UpdateWebhook(ctx context.Context, req openapi.UpdateWebhookRequestObject) (openapi.UpdateWebhookResponseObject, error) {
	var w *store.Webhook
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		before, err := tx.Webhook(ctx, orgOf(ctx), req.Webhook)
		if err != nil {
			return err
		}
		if err := matches(req.Params.IfMatch, before.Revision); err != nil {
			return err
		}
		after := *before
		w = &after
		if err := s.editWebhook(w, req.Body); err != nil {
			return err
		}
		if !reflect.DeepEqual(before, w) {
			if err := s.saveWebhook(ctx, tx, before, w); err != nil {
				return err
			}
		}
		if req.Body.After == nil {
			return nil
		}
		place, err := s.placeInLog(ctx, tx, req.Body.After)
		if err != nil {
			return err
		}
		if err := tx.MoveWebhook(ctx, w.Org, w.Key, place, s.now()); err != nil {
			return err
		}
		w.Cursor = place
		was := describeWebhook(before)
		was.After = &before.Cursor
		is := describeWebhook(w)
		is.After = &w.Cursor
		return s.logWebhook(ctx, tx, store.EventWebhookUpdated, w, was, is)
	})
	if err != nil {
		return nil, raced(req.Params.IfMatch, err)
	}
	s.Webhooks.Wake()
	out := s.renderWebhook(w)
	return openapi.UpdateWebhook200JSONResponse{Body: out, Headers: openapi.UpdateWebhook200ResponseHeaders{ETag: entityTag(w.Revision, &out)}}, nil
}

// saveWebhook writes what has changed, and what follows from enabling.
func (s *Server) saveWebhook(ctx context.Context, tx store.Tx, before, w *store.Webhook) error {
	w.UpdatedAt = s.now()
	if err := tx.UpdateWebhook(ctx, w); err != nil {
		return err
	}
	if w.Enabled && !before.Enabled {
		if err := tx.EnableWebhook(ctx, w.Org, w.Key, w.UpdatedAt); err != nil {
			return err
		}
		resolved := []store.FindingKey{s.Webhooks.Finding(w)}
		if _, err := tx.Apply(ctx, &store.ChangeSet{Org: w.Org, Now: w.UpdatedAt, Resolved: resolved}); err != nil {
			return err
		}
	}
	return s.logWebhook(ctx, tx, store.EventWebhookUpdated, w, describeWebhook(before), describeWebhook(w))
}

// DeleteWebhook deletes an endpoint with its log.
func (s *Server) DeleteWebhook(ctx context.Context, req openapi.DeleteWebhookRequestObject) (openapi.DeleteWebhookResponseObject, error) {
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		w, err := tx.Webhook(ctx, orgOf(ctx), req.Webhook)
		if err != nil {
			return err
		}
		if err := matches(req.Params.IfMatch, w.Revision); err != nil {
			return err
		}
		if err := tx.DeleteWebhook(ctx, w.Org, w.Key, s.now()); err != nil {
			return err
		}
		resolved := []store.FindingKey{s.Webhooks.Finding(w)}
		if _, err := tx.Apply(ctx, &store.ChangeSet{Org: w.Org, Now: s.now(), Resolved: resolved}); err != nil {
			return err
		}
		return s.logWebhook(ctx, tx, store.EventWebhookDeleted, w, describeWebhook(w), nil)
	})
	return openapi.DeleteWebhook204Response{}, err
}

// RotateWebhookSecret makes a new secret; the old one signs beside it for a while.
func (s *Server) RotateWebhookSecret(ctx context.Context, req openapi.RotateWebhookSecretRequestObject) (openapi.RotateWebhookSecretResponseObject, error) {
	keep := overlap
	if req.Body != nil && req.Body.OverlapHours != nil {
		keep = time.Duration(*req.Body.OverlapHours) * time.Hour
	}
	var w *store.Webhook
	var text string
	err := s.Store.Update(ctx, func(tx store.Tx) (err error) {
		if w, err = tx.Webhook(ctx, orgOf(ctx), req.Webhook); err != nil {
			return err
		}
		now := s.now()
		w.OldSecret, w.OldSecretUntil, w.UpdatedAt = w.Secret, now.Add(keep), now
		if keep == 0 {
			w.OldSecret, w.OldSecretUntil = nil, time.Time{}
		}
		if w.Secret, text, err = s.Webhooks.Secret(w.ID); err != nil {
			return err
		}
		if err := tx.UpdateWebhook(ctx, w); err != nil {
			return err
		}
		is := describeWebhook(w)
		is.OldSecretUntil = optional(w.OldSecretUntil)
		return s.logWebhook(ctx, tx, store.EventWebhookRotated, w, nil, is)
	})
	if err != nil {
		return nil, err
	}
	return openapi.RotateWebhookSecret200JSONResponse{Webhook: s.renderWebhook(w), Secret: text}, nil
}

// TestWebhook sends a message of the type webhook.test and says what the endpoint
// answered.
func (s *Server) TestWebhook(ctx context.Context, req openapi.TestWebhookRequestObject) (openapi.TestWebhookResponseObject, error) {
	w, err := s.webhook(ctx, req.Webhook)
	if err != nil {
		return nil, err
	}
	a, err := s.Webhooks.Ping(ctx, w)
	if err != nil {
		return nil, err
	}
	return openapi.TestWebhook200JSONResponse(renderAttempt(&a)), nil
}

// ListDeliveries lists what was delivered to an endpoint, and what is to be.
func (s *Server) ListDeliveries(ctx context.Context, req openapi.ListDeliveriesRequestObject) (openapi.ListDeliveriesResponseObject, error) {
	p := req.Params
	before, err := place(cursorDeliveries, p.Cursor)
	if err != nil {
		return nil, err
	}
	limit := limitOf(p.Limit)
	out := openapi.ListDeliveries200JSONResponse{Items: []openapi.Delivery{}}
	err = s.Store.View(ctx, func(r store.Reader) error {
		w, err := r.Webhook(ctx, orgOf(ctx), req.Webhook)
		if err != nil {
			return err
		}
		q := store.DeliveryQuery{Org: w.Org, Webhook: w.Key, Before: before, Limit: limit + 1}
		if p.State != nil {
			q.State = store.DeliveryState(*p.State)
		}
		list, err := r.Deliveries(ctx, q)
		if err != nil {
			return err
		}
		list, more := cut(list, limit)
		out.Items = out.Items[:0]
		for i := range list {
			out.Items = append(out.Items, renderDelivery(&list[i]))
		}
		if more {
			out.NextCursor = cursor(cursorDeliveries, list[len(list)-1].Cursor)
		}
		return nil
	})
	return out, err
}

// Redeliver sends one event again.
func (s *Server) Redeliver(ctx context.Context, req openapi.RedeliverRequestObject) (openapi.RedeliverResponseObject, error) {
	var d *store.Delivery
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		w, err := tx.Webhook(ctx, orgOf(ctx), req.Webhook)
		if err != nil {
			return err
		}
		if !w.Enabled {
			return &store.Error{Code: store.CodeConflict, Message: "the webhook is disabled", Hint: "enable it first", Resource: "webhook " + w.Name}
		}
		id := store.ID(req.Delivery)
		if err := tx.Redeliver(ctx, w.Org, w.Key, id, s.now()); err != nil {
			return err
		}
		if d, err = tx.Delivery(ctx, w.Org, w.Key, id); err != nil {
			return err
		}
		return s.append(ctx, tx, change{org: w.Org, typ: store.EventWebhookRedelivered, kind: "Webhook", id: w.ID},
			map[string]any{"delivery": d.ID, "event": d.Event, "type": d.Type})
	})
	if err != nil {
		return nil, err
	}
	s.Webhooks.Wake()
	return openapi.Redeliver202JSONResponse(renderDelivery(d)), nil
}

// describedWebhook is an endpoint in an event's data: never its secrets, nor the query
// of its URL, which may hold one.
type describedWebhook struct {
	Name           string     `json:"name"`
	URL            string     `json:"url"`
	Types          []string   `json:"types,omitempty"`
	Enabled        bool       `json:"enabled"`
	After          *int64     `json:"after,omitempty"`
	OldSecretUntil *time.Time `json:"old_secret_until,omitempty"`
}

func describeWebhook(w *store.Webhook) *describedWebhook {
	shown := w.URL
	if u, err := url.Parse(w.URL); err == nil && u.RawQuery != "" {
		u.RawQuery = "…"
		shown = u.String()
	}
	return &describedWebhook{Name: w.Name, URL: shown, Types: w.Types, Enabled: w.Enabled}
}

func (s *Server) logWebhook(ctx context.Context, tx store.Tx, typ string, w *store.Webhook, before, after *describedWebhook) error {
	c := change{org: w.Org, typ: typ, kind: "Webhook", id: w.ID}
	if before != nil {
		c.before = before
	}
	if after != nil {
		c.after = after
	}
	return s.log(ctx, tx, c)
}

func (s *Server) renderWebhook(w *store.Webhook) openapi.Webhook {
	out := openapi.Webhook{
		ID: string(w.ID), Name: w.Name, URL: w.URL, Types: []string{}, Enabled: w.Enabled, DisabledReason: w.DisabledReason,
		DisabledAt: optional(w.DisabledAt), Cursor: w.Cursor, FailingSince: optional(w.FailingSince),
		CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt,
	}
	out.Types = append(out.Types, w.Types...)
	if w.OldSecretUntil.After(s.Clock()) {
		out.OldSecretUntil = optional(w.OldSecretUntil)
	}
	return out
}

func renderDelivery(d *store.Delivery) openapi.Delivery {
	out := openapi.Delivery{
		ID: string(d.ID), Event: string(d.Event), EventCursor: d.Cursor, Type: d.Type, ResourceID: string(d.Resource),
		State: openapi.DeliveryState(d.State), Attempts: d.Attempts, NextAttemptAt: optional(d.NextAttemptAt),
		CreatedAt: d.CreatedAt, EndedAt: optional(d.EndedAt), Tries: make([]openapi.DeliveryAttempt, len(d.Tries)),
	}
	for i := range d.Tries {
		out.Tries[i] = renderAttempt(&d.Tries[i])
	}
	return out
}

func renderAttempt(a *store.Attempt) openapi.DeliveryAttempt {
	return openapi.DeliveryAttempt{
		At: a.At, Delivered: a.Ended(), Status: a.Status, Millis: a.Millis, Error: a.Error, Response: a.Response,
	}
}
