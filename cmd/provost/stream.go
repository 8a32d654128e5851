package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// silence is after how long without a word a server is taken for gone: it shows every
	// 15 seconds that it lives.
	silence = 50 * time.Second
	// longestLine bounds a line of a stream, in bytes.
	longestLine = 16 << 20
)

// asStream asks for server-sent events.
func asStream(_ context.Context, req *http.Request) error {
	req.Header.Set("Accept", "text/event-stream")
	return nil
}

// follow opens a stream of server-sent events and hands the data of each on, until each
// says that this was the last it wants, or the server ends it. parse reads an answer that
// is no stream.
func follow[R response](ctx context.Context, open func(context.Context) (*http.Response, error), parse func(*http.Response) (R, error), each func(data []byte) (stop bool, err error)) error {
	listening, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(silence, cancel)
	defer quiet.Stop()
	resp, err := open(listening)
	switch {
	case err != nil && listening.Err() != nil && ctx.Err() == nil:
		return &noAnswer{failure{code: exitError, message: fmt.Sprintf("no answer from the server in %g seconds", silence.Seconds())}}
	case err != nil:
		return unreachable(err)
	}
	if resp.StatusCode != http.StatusOK {
		return done(parse(resp))
	}
	defer func() { _ = resp.Body.Close() }() // whatever else comes is not wanted
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		quiet.Reset(silence)
		data, found := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !found {
			continue
		}
		if stop, err := each(data); stop || err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return &noAnswer{failure{code: exitError, message: fmt.Sprintf("the answer of %s broke off: %v", resp.Request.URL.Host, err)}}
	}
	return nil
}

// again is how often a server was asked again, and since when in vain.
type again struct {
	since time.Time
	wait  time.Duration
	said  bool
}

// The pause before a server is asked again grows from the first to the last.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
)

// gaveUp reports whether a failure will not go away by waiting, or has lasted too long.
func (a *again) gaveUp(err error, patience time.Duration) bool {
	var gone *noAnswer
	var busy *refusal
	if !errors.As(err, &gone) && (!errors.As(err, &busy) || busy.kind != "busy") {
		return true
	}
	if a.since.IsZero() {
		a.since = time.Now()
	}
	return time.Since(a.since) > patience
}

// answered notes that the server is there.
func (a *again) answered() { a.since, a.said = time.Time{}, false }

// first reports whether the person has not been told yet.
func (a *again) first() bool {
	said := a.said
	a.said = true
	return !said
}

// pause waits before the next attempt; false: ctx has ended.
func (a *again) pause(ctx context.Context) bool {
	a.wait = min(max(a.wait*3/2, firstPause), lastPause)
	timer := time.NewTimer(a.wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
