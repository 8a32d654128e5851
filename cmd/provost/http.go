package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/provost-scim/provost/store"
)

// restPrefix is where the REST interface is.
const restPrefix = "/api/v1/"

// requestTime is how long a SCIM request may take; the REST interface keeps its
// own time.
const requestTime = time.Minute

// newEcho returns the HTTP side with what every request passes through; the
// interfaces are mounted on it.
func (p *program) newEcho(trusted []netip.Prefix) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = ipExtractor(trusted)
	e.HTTPErrorHandler = p.renderError
	e.Pre(forwarded(trusted))
	e.Use(identify, p.drain.middleware, p.observe, p.recoverPanic, p.limit, p.deadline, takeRest())

	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	e.GET("/readyz", p.readyz)
	e.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(p.metrics.registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelWarn)})))
	return e
}

// ipExtractor finds a client's address: that of the connection, or what a trusted
// proxy says. Without it anybody could claim any address.
func ipExtractor(trusted []netip.Prefix) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, prefix := range trusted {
		_, network, err := net.ParseCIDR(prefix.Masked().String())
		if err == nil { // a Prefix always has this form
			options = append(options, echo.TrustIPRange(network))
		}
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

// forwardedHeaders are those in which a proxy says how it was called, as
// [http.Header] spells them.
var forwardedHeaders = []string{
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Protocol", "X-Forwarded-Ssl", "X-Real-Ip", "X-Url-Scheme",
}

// forwarded drops the headers in which a proxy says how it was called, unless the
// request comes from a trusted one.
func forwarded(trusted []netip.Prefix) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if !within(trusted, r.RemoteAddr) {
				for _, h := range forwardedHeaders {
					delete(r.Header, h)
				}
			} else if host := r.Header.Get("X-Forwarded-Host"); host != "" {
				r.Host = host
			}
			return next(c)
		}
	}
}

func within(trusted []netip.Prefix, remote string) bool {
	if len(trusted) == 0 {
		return false
	}
	address, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	for _, prefix := range trusted {
		if prefix.Contains(address.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// identify gives every request an id, which its answer, the log and the events
// carry. One that a proxy or a client gave is kept if it is short and plain.
func identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := c.Request().Header.Get(echo.HeaderXRequestID)
		if !plainID(id) {
			id = string(store.NewID(time.Now()))
			c.Request().Header.Set(echo.HeaderXRequestID, id)
		}
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		return next(c)
	}
}

func plainID(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == ""
}

// observe logs and counts every request. Neither headers nor bodies nor queries
// are logged: they hold tokens and people.
func (p *program) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		if err := next(c); err != nil {
			c.Error(err) // so that the status is known
		}
		r, took := c.Request(), time.Since(start)
		status := c.Response().Status
		p.metrics.observe(p.routeLabel(c), r.Method, status, took)
		level := slog.LevelInfo
		if isProbe(r.URL.Path) {
			level = slog.LevelDebug
		}
		p.log.LogAttrs(r.Context(), level, "request",
			slog.String("method", r.Method),
			slog.String("path", cut(r.URL.Path, 200)),
			slog.Int("status", status),
			slog.Int64("bytes", c.Response().Size),
			slog.Float64("ms", float64(took.Microseconds())/1000),
			slog.String("client", c.RealIP()),
			slog.String("request", c.Response().Header().Get(echo.HeaderXRequestID)))
		return nil
	}
}

// routeLabel names a route for a metric: a pattern, never a client's own text. The
// REST interface routes its paths itself.
func (p *program) routeLabel(c echo.Context) string {
	route := c.Path()
	if strings.HasPrefix(c.Request().URL.Path, restPrefix) {
		route = p.rest.Route(c.Request())
	}
	if route == "" {
		return "none"
	}
	return route
}

func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" || path == "/metrics" }

// recoverPanic turns a panic into an internal error, and lets the server live.
func (p *program) recoverPanic(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler { //nolint:errorlint // it is panicked as it is
					panic(v)
				}
				err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			}
		}()
		return next(c)
	}
}

// limit refuses requests beyond those that the database can serve, before they
// queue: a client that is told to come again costs nothing. Streams are
// bounded by the REST interface, and probes must be answered.
func (p *program) limit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if r := c.Request(); isProbe(r.URL.Path) || p.isStream(r) {
			return next(c)
		}
		select {
		case p.slots <- struct{}{}:
		default:
			p.metrics.refused.Inc()
			return store.Errorf(store.CodeBusy, "the server is busy; try again shortly")
		}
		p.metrics.busy.Inc()
		defer func() {
			p.metrics.busy.Dec()
			<-p.slots
		}()
		return next(c)
	}
}

func (p *program) isStream(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, restPrefix) && p.rest.IsStream(r)
}

// deadline bounds how long a request may work and its answer may take to leave. A
// stream has no bound, and the REST interface bounds its own work, of which
// deleting a directory is the longest.
func (p *program) deadline(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		var until time.Time
		switch rest := strings.HasPrefix(r.URL.Path, restPrefix); {
		case p.isStream(r):
		case rest && r.Method == http.MethodDelete:
			until = time.Now().Add(15 * time.Minute)
		default:
			until = time.Now().Add(2 * requestTime)
			if !rest {
				ctx, cancel := context.WithTimeout(r.Context(), requestTime)
				defer cancel()
				c.SetRequest(r.WithContext(ctx))
			}
		}
		// A connection that cannot take a deadline is a test's recorder.
		_ = http.NewResponseController(c.Response()).SetWriteDeadline(until)
		return next(c)
	}
}

// readyz answers 200 while the server takes requests and the database answers
// with a schema that this program knows.
func (p *program) readyz(c echo.Context) error {
	if !p.ready.Load() {
		return c.String(http.StatusServiceUnavailable, "starting or stopping\n") // a balancer sends its requests elsewhere
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), 2*time.Second)
	defer cancel()
	if err := p.store.Ping(ctx); err != nil {
		p.log.Warn("not ready", "error", err)
		return c.String(http.StatusServiceUnavailable, "the database does not answer\n")
	}
	return c.String(http.StatusOK, "ok\n")
}
