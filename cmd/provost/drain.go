package main

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
)

// drain lets clients leave before the server stops. While it goes on, new connections
// are still taken and every answer closes its own, so that a client that keeps its
// connection does not write its next request to one that the server is closing: such a
// request fails, and one that is no GET is not repeated by itself.
type drain struct {
	going atomic.Bool

	mu      sync.Mutex
	open    map[net.Conn]http.ConnState
	changed chan struct{} // holds a signal that a connection was opened or closed, or was asked something
}

func newDrain() *drain {
	return &drain{open: map[net.Conn]http.ConnState{}, changed: make(chan struct{}, 1)}
}

// watch is the ConnState of an [http.Server].
func (d *drain) watch(c net.Conn, state http.ConnState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(d.open, c)
	default:
		d.open[c] = state
	}
	if d.going.Load() {
		select {
		case d.changed <- struct{}{}:
		default:
		}
	}
}

// middleware closes the connection of each answer that begins while clients leave. Of
// HTTP/2 the server then takes no further requests on it.
func (d *drain) middleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Before(func() {
			if d.going.Load() {
				c.Response().Header().Set(echo.HeaderConnection, "close")
			}
		})
		return next(c)
	}
}

// newTime is how long a connection that was just taken may be silent before the server
// stops: a request on it would be dropped.
const newTime = time.Second

// quietTime is how long nobody must be connected for all clients to have left: one whose
// connection was closed by its answer comes back with another at once, if it has more.
const quietTime = 300 * time.Millisecond

// clients lets clients leave: it returns when none has been connected for a moment, or
// after the time.
func (d *drain) clients(within time.Duration) {
	d.going.Store(true)
	for end := time.Now().Add(within); time.Now().Before(end); {
		d.until(time.Until(end), func(http.ConnState) bool { return false })
		quiet := time.NewTimer(min(quietTime, time.Until(end)))
		select {
		case <-quiet.C:
			return
		case <-d.changed:
			quiet.Stop()
		}
	}
}

// newcomers is called when no connection is taken any more. It returns when each of
// those that were taken has been asked something, or after a moment.
func (d *drain) newcomers() {
	d.until(newTime, func(state http.ConnState) bool { return state != http.StateNew })
}

// until returns when all open connections are in a state that will do, or after the
// time.
func (d *drain) until(within time.Duration, willDo func(http.ConnState) bool) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for !d.all(willDo) {
		select {
		case <-d.changed:
		case <-timer.C:
			return
		}
	}
}

func (d *drain) all(willDo func(http.ConnState) bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, state := range d.open {
		if !willDo(state) {
			return false
		}
	}
	return true
}
