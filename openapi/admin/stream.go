package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/provost-scim/provost/store"
)

const (
	// exportedAtOnce is how many events of an export are in memory at a time.
	exportedAtOnce = 1000
	// exportPage is how long the client of an export may take for so many.
	exportPage = time.Minute
)

// bell wakes everyone who waits.
type bell struct {
	mu   sync.Mutex
	rung chan struct{} // closed by the next ring; nil: nobody waits
}

func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}

// Logged makes the streams of events look at the log. It never blocks.
func (s *Server) Logged() { s.bell.ring() }

// stream is the answer that follows the log.
type stream struct {
	flow

	query store.EventQuery
}

// VisitListEventsResponse writes the stream. It looks at the log when a commit of
// this process has appended to it, and each [Options.Poll] for those of others.
func (f *stream) VisitListEventsResponse(w http.ResponseWriter) error {
	return f.follow(w, f.s.Poll, f.s.bell.wait, func() (more, last bool, err error) {
		sent, err := f.send()
		return sent == f.query.Limit, false, err
	})
}

// send writes the events that are new and returns how many they were.
func (f *stream) send() (int, error) {
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
	f.query.After = page.NextCursor
	return len(page.Items), f.write(text.Bytes())
}

// export is the answer with the log as JSON lines.
type export struct {
	s     *Server
	ctx   context.Context //nolint:containedctx // the answer is written after the handler has returned
	query store.EventQuery
}

// VisitExportEventsResponse writes the lines, page by page. Whatever keeps it from
// the end breaks the connection, so that what came is not taken for all.
func (x *export) VisitExportEventsResponse(w http.ResponseWriter) error {
	defer x.s.closeStream()
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Accel-Buffering", "no")
	for first := true; ; first = false {
		select {
		case <-x.s.closing:
			panic(http.ErrAbortHandler)
		default:
		}
		n, err := x.page(w, out, first)
		switch {
		case err != nil && first:
			return err
		case err != nil:
			x.s.Log.WarnContext(x.ctx, "an export of events was cut off", "error", err, "request", requestID(x.ctx), "after", x.query.After)
			panic(http.ErrAbortHandler)
		case n < x.query.Limit:
			return nil
		}
	}
}

// page writes one page and returns how many events it had.
func (x *export) page(w http.ResponseWriter, out *http.ResponseController, first bool) (int, error) {
	ctx, cancel := context.WithTimeout(x.ctx, x.s.Timeout)
	defer cancel()
	page, err := x.s.events(ctx, x.query)
	if err != nil {
		return 0, err
	}
	if first {
		w.WriteHeader(http.StatusOK)
	}
	var text bytes.Buffer
	lines := json.NewEncoder(&text)
	lines.SetEscapeHTML(false)
	for i := range page.Items {
		if err := lines.Encode(&page.Items[i]); err != nil {
			return 0, fmt.Errorf("write event %s: %w", page.Items[i].ID, err)
		}
	}
	if err := limitWriting(out, time.Now().Add(exportPage)); err != nil {
		return 0, err
	}
	if _, err := w.Write(text.Bytes()); err != nil {
		return 0, fmt.Errorf("write events: %w", err)
	}
	x.query.After = page.NextCursor
	return len(page.Items), out.Flush()
}

// limitWriting sets until when the client must have taken what is written; the zero
// time is never.
func limitWriting(out *http.ResponseController, until time.Time) error {
	if err := out.SetWriteDeadline(until); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("set the limit for writing: %w", err)
	}
	return nil
}
