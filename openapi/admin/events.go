package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

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
	}
	if !requestOf(ctx).stream {
		out, err := s.events(ctx, q)
		return openapi.ListEvents200JSONResponse(out), err
	}
	if p.LastEventID != nil {
		q.After = *p.LastEventID
	}
	select {
	case s.streams <- struct{}{}:
		return &stream{s: s, ctx: ctx, query: q}, nil
	default:
		return nil, &store.Error{Code: store.CodeBusy, Message: "too many streams of events are open", Hint: "read pages instead, or try again"}
	}
}

func (s *Server) events(ctx context.Context, q store.EventQuery) (openapi.EventList, error) {
	out := openapi.EventList{Items: []openapi.Event{}, NextCursor: q.After}
	err := s.Store.View(ctx, func(r store.Reader) error {
		all, err := r.Events(ctx, q)
		if err != nil || len(all) == 0 {
			return err
		}
		owners, err := ownersOf(ctx, r, q.Org)
		if err != nil {
			return err
		}
		out.Items = out.Items[:0]
		for i := range all {
			out.Items = append(out.Items, renderEvent(owners, &all[i]))
		}
		out.NextCursor = all[len(all)-1].Cursor
		return nil
	})
	return out, err
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

// beat is how often a stream without events shows that it lives, so that proxies
// keep it open and both ends notice when the other is gone.
const beat = 15 * time.Second

// stream is the answer that follows the log (WHATWG HTML, "Server-sent events"). It
// ends when the client goes, the server closes, or the token is no longer good.
type stream struct {
	s     *Server
	ctx   context.Context //nolint:containedctx // the answer is written after the handler has returned
	query store.EventQuery
	quiet time.Duration
}

// VisitListEventsResponse writes the stream.
func (f *stream) VisitListEventsResponse(w http.ResponseWriter) error {
	defer func() { <-f.s.streams }()
	out := http.NewResponseController(w)
	// The server's limit for writing is meant for answers that end.
	if err := out.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("lift the limit for writing: %w", err)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.WriteHeader(http.StatusOK)
	if err := out.Flush(); err != nil {
		return nil // the client is gone
	}
	tick := time.NewTicker(f.s.Poll)
	defer tick.Stop()
	for {
		sent, err := f.send(w)
		if err != nil {
			return err
		}
		if sent != 0 && out.Flush() != nil {
			return nil
		}
		if sent == f.query.Limit {
			continue // there may be more already
		}
		select {
		case <-f.ctx.Done():
			return nil
		case <-f.s.closing:
			return nil
		case <-tick.C:
		}
		if !f.allowed() {
			return nil
		}
	}
}

// send writes the events that are new, or a beat when it is time, and returns how
// many it wrote.
func (f *stream) send(w http.ResponseWriter) (int, error) {
	page, err := f.s.events(f.ctx, f.query)
	if err != nil {
		return 0, err
	}
	var text bytes.Buffer
	for i := range page.Items {
		e := &page.Items[i]
		data, err := json.Marshal(e)
		if err != nil {
			return 0, fmt.Errorf("write event %s: %w", e.ID, err)
		}
		fmt.Fprintf(&text, "id: %d\nevent: %s\ndata: %s\n\n", e.Cursor, e.Type, data)
	}
	sent := len(page.Items)
	f.query.After = page.NextCursor
	if f.quiet += f.s.Poll; sent > 0 {
		f.quiet = 0
	} else if f.quiet >= beat {
		f.quiet, sent = 0, 1
		text.WriteString(": beat\n\n")
	}
	if _, err := w.Write(text.Bytes()); err != nil {
		return 0, context.Canceled // the client is gone
	}
	return sent, nil
}

// allowed asks again whether the token is good.
func (f *stream) allowed() bool {
	_, err := f.s.Auth.Admin(f.ctx, requestOf(f.ctx).authorization)
	return err == nil
}
