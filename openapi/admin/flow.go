package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/provost-scim/provost/store"
)

const (
	// beat is how often a stream without events shows that it lives, so that proxies
	// keep it open and both ends notice when the other is gone.
	beat = 15 * time.Second
	// gather is how long a stream waits after a commit for those that follow it at
	// once, so that it does not look after each of them.
	gather = 20 * time.Millisecond
)

// openStream takes one of the places that there are for answers without an end.
func (s *Server) openStream() error {
	select {
	case s.streams <- struct{}{}:
		return nil
	default:
		return &store.Error{Code: store.CodeBusy, Message: "too many streams are open", Hint: "read pages or single answers instead, or try again"}
	}
}

func (s *Server) closeStream() { <-s.streams }

// errGone ends an answer whose client is gone, or may not have more of it.
var errGone = errors.New("the client is gone")

// flow is an answer of server-sent events (WHATWG HTML, "Server-sent events"), which goes
// on as long as its client and the server want.
type flow struct {
	s     *Server
	ctx   context.Context //nolint:containedctx // the answer is written after the handler has returned
	w     http.ResponseWriter
	out   *http.ResponseController
	wrote time.Time
}

// begin sends the header.
func (f *flow) begin(w http.ResponseWriter) error {
	f.w, f.out = w, http.NewResponseController(w)
	// The server's limit for writing is meant for answers that end.
	if err := limitWriting(f.out, time.Time{}); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.WriteHeader(http.StatusOK)
	f.wrote = time.Now()
	return f.flush()
}

// write sends a text, or instead of none a beat when it is time.
func (f *flow) write(text []byte) error {
	now := time.Now()
	switch {
	case len(text) > 0:
	case now.Sub(f.wrote) >= beat:
		text = []byte(": beat\n\n")
	default:
		return nil
	}
	f.wrote = now
	if _, err := f.w.Write(text); err != nil {
		return errGone
	}
	return f.flush()
}

func (f *flow) flush() error {
	if f.out.Flush() != nil {
		return errGone
	}
	return nil
}

// follow sends until send says that it was the last time, or has failed. After each time
// it waits for a signal, of the channel that next returns, or for the time of slow; if
// more is left to send, it does not. It ends when the client goes, the server closes, or
// the token is no longer good.
func (f *flow) follow(w http.ResponseWriter, slow time.Duration, next func() <-chan struct{}, send func() (more, last bool, err error)) error {
	defer f.s.closeStream()
	err := f.begin(w)
	tick := time.NewTicker(slow)
	defer tick.Stop()
	for err == nil {
		moved := next() // before the look, so that no commit falls between them
		var more, last bool
		if more, last, err = send(); err == nil && (last || !more && !f.sleep(moved, tick.C) || !f.allowed()) {
			err = errGone
		}
	}
	if errors.Is(err, errGone) {
		return nil
	}
	return err
}

// sleep waits until there may be something new, and reports whether to go on.
func (f *flow) sleep(moved <-chan struct{}, slow <-chan time.Time) bool {
	select {
	case <-f.ctx.Done():
		return false
	case <-f.s.closing:
		return false
	case <-slow:
		return true
	case <-moved:
	}
	more := time.NewTimer(gather)
	defer more.Stop()
	select {
	case <-f.ctx.Done():
		return false
	case <-f.s.closing:
		return false
	case <-more.C:
		return true
	}
}

// allowed asks again whether the token is good.
func (f *flow) allowed() bool {
	_, err := f.s.Auth.Admin(f.ctx, requestOf(f.ctx).authorization)
	return err == nil
}
