package main

import (
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// Bounds of what is still read of a body whose request is refused.
const (
	restBytes   = 64 << 20         // of one body
	restTime    = 10 * time.Second // for one body
	restAtATime = 32               // bodies; others are not waited for
)

// takeRest reads what is left of the body of a request that is refused, before the
// answer is sent. Many clients send all of a body before they read the answer, and
// would find the connection broken instead. The interfaces bound what they read
// themselves. Who has no token is not waited for, nor who asked before sending
// (Expect).
func takeRest() echo.MiddlewareFunc {
	places := make(chan struct{}, restAtATime)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if r.Body == nil || r.Body == http.NoBody {
				return next(c)
			}
			body := &watchedBody{ReadCloser: r.Body, asked: r.Header.Get("Expect") != ""}
			r.Body = body
			w := c.Response()
			w.Before(func() {
				if w.Status < http.StatusBadRequest || w.Status == http.StatusUnauthorized || w.Status == http.StatusServiceUnavailable {
					return
				}
				select {
				case places <- struct{}{}:
					defer func() { <-places }()
					body.takeRest(http.NewResponseController(w))
				default:
				}
			})
			return next(c)
		}
	}
}

// watchedBody is a body that knows whether it may be read on.
type watchedBody struct {
	io.ReadCloser
	asked bool // the client waits to be told to send it
	ended bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.asked = false // now it has been told
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || err != nil
	return n, err
}

func (b *watchedBody) takeRest(connection *http.ResponseController) {
	if b.asked || b.ended {
		return
	}
	// A connection that cannot take a deadline is a test's recorder.
	_ = connection.SetReadDeadline(time.Now().Add(restTime))
	_, _ = io.CopyN(io.Discard, b.ReadCloser, restBytes) // whatever comes of it, the answer is sent
}
