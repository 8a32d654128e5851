package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/store"
)

type requestKey struct{}

// request is what the middleware found out about a request.
type request struct {
	id      string
	address string    // the IP address of the client
	org     store.Key // of an operation that is scoped by one
	stream  bool      // the client wants server-sent events

	authorization string // the header, to ask again while a stream goes on
}

func requestOf(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{}
}

func requestID(ctx context.Context) string { return requestOf(ctx).id }

// orgOf is the organization that the request is about.
func orgOf(ctx context.Context) store.Key { return requestOf(ctx).org }

// causeOf says who makes the change and by which request.
func causeOf(ctx context.Context, reason string) store.Cause {
	c := store.Cause{Reason: reason, Request: requestID(ctx), Address: requestOf(ctx).address}
	if p := auth.PrincipalOf(ctx); p != nil {
		c.Actor = p.Actor()
	}
	return c
}

// routeEscaped makes echo route by the path as it was sent, so that a name with a
// slash or a per cent sign in it is one parameter, and is unescaped once.
func routeEscaped(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		u := c.Request().URL
		u.RawPath = u.EscapedPath()
		return next(c)
	}
}

// identify gives the request an id, which the answer, the log and the events
// carry. One that a proxy gave is kept if it is short and plain.
func (s *Server) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		q := &request{id: r.Header.Get(echo.HeaderXRequestID), address: c.RealIP(), authorization: r.Header.Get(echo.HeaderAuthorization)}
		if !plain(q.id) {
			q.id = string(store.NewID(s.Clock()))
		}
		q.stream = wantsStream(r)
		h := c.Response().Header()
		h.Set(echo.HeaderXRequestID, q.id)
		h.Set(echo.HeaderXContentTypeOptions, "nosniff")
		h.Set(echo.HeaderCacheControl, "no-store")
		c.SetRequest(r.WithContext(context.WithValue(r.Context(), requestKey{}, q)))
		return next(c)
	}
}

// wantsStream reports whether the client wants server-sent events.
func wantsStream(r *http.Request) bool {
	for accepted := range strings.SplitSeq(r.Header.Get(echo.HeaderAccept), ",") {
		if media, _, err := mime.ParseMediaType(strings.TrimSpace(accepted)); err == nil && media == "text/event-stream" {
			return true
		}
	}
	return false
}

func plain(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// recoverPanic turns a panic into an internal error, and lets the server live.
func (s *Server) recoverPanic(next echo.HandlerFunc) echo.HandlerFunc {
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

// limitTime ends a request that takes too long; a stream ends when its client goes.
func (s *Server) limitTime(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		limit := s.Timeout
		op := s.operation(c)
		if streamed[op.id] || followed[op.id] && requestOf(r.Context()).stream {
			return next(c)
		}
		if slow[op.id] {
			limit *= 20
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		c.SetRequest(r.WithContext(ctx))
		return next(c)
	}
}

// chooseOrganization finds the organization that the request is about: that of the
// token, or for a token of the whole instance the one that is named.
func (s *Server) chooseOrganization(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		ref := r.Header.Get("Provost-Organization")
		if ref == "" {
			ref = c.QueryParam("organization")
		}
		p := auth.PrincipalOf(r.Context())
		if ref == "" && p.Org != 0 {
			requestOf(r.Context()).org = p.Org
			return next(c)
		}
		if ref == "" {
			ref = store.DefaultOrganization
		}
		o, err := s.organization(r.Context(), ref)
		if err != nil {
			return err
		}
		requestOf(r.Context()).org = o.Key
		return next(c)
	}
}

// organization finds one that the principal may see. To the token of another
// organization all others look alike, whether they exist or not.
func (s *Server) organization(ctx context.Context, ref string) (o *store.Organization, err error) {
	err = s.Store.View(ctx, func(r store.Reader) error {
		o, err = r.Organization(ctx, ref)
		return err
	})
	if p := auth.PrincipalOf(ctx); p.Org != 0 {
		code := store.CodeOf(err)
		if code == store.CodeNotFound || (err == nil && o.Key != p.Org) {
			return nil, &store.Error{Code: store.CodeForbidden, Message: "the token belongs to another organization"}
		}
	}
	return o, err
}

// validate holds the request against the specification, so that handlers can rely
// on types, bounds and required fields.
func (s *Server) validate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		op := s.operation(c)
		r := c.Request()
		params := map[string]string{}
		for i, name := range c.ParamNames() {
			value, err := url.PathUnescape(c.ParamValues()[i])
			if err != nil || !storable(value) {
				return invalid(name, "", "%s in the path is not text", name)
			}
			params[name] = value
		}
		query := c.QueryParams()
		for name, values := range query {
			if !op.query[name] {
				return invalid(name, "see "+Docs+" for the parameters there are", "the query parameter %q is not known", name)
			}
			for _, v := range values {
				if !storable(v) {
					return invalid(name, "", "%s is not text", name)
				}
			}
		}
		if err := readBody(c, op); err != nil {
			return err
		}
		err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
			Request: r, PathParams: params, QueryParams: query, Route: op.route,
			Options: &openapi3filter.Options{
				AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc,
				SkipSettingDefaults: true,
			},
		})
		if err != nil {
			return explain(err)
		}
		return next(c)
	}
}

// readBody reads a bounded body and refuses what is no JSON text.
func readBody(c echo.Context, op *operation) error {
	r := c.Request()
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxBody))
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	if len(body) == 0 || op.route.Operation.RequestBody == nil {
		return nil
	}
	media, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	if err != nil || media != echo.MIMEApplicationJSON {
		return &store.Error{Code: codeMedia, Message: "the body must be JSON", Hint: "send Content-Type: application/json"}
	}
	if !utf8.Valid(body) {
		// What is no character becomes one that the look-up of the field finds.
		return invalid(fieldWithNUL(bytes.ToValidUTF8(body, []byte(`\u0000`))), "send text in UTF-8", "the body is not valid UTF-8")
	}
	if !json.Valid(body) {
		var v any
		return invalid("", "", "the body is not valid JSON: %s", json.Unmarshal(body, &v))
	}
	if escapesNUL(body) {
		return invalid(fieldWithNUL(body), "send the text without it", "the body contains a NUL character")
	}
	return nil
}

// explain makes a problem of what the validator refused: it names the field and
// says why, without showing the specification.
func explain(err error) error {
	var re *openapi3filter.RequestError
	if !errors.As(err, &re) {
		return fmt.Errorf("validate the request: %w", err)
	}
	field := ""
	if re.Parameter != nil {
		field = re.Parameter.Name
	}
	var schema *openapi3.SchemaError
	if errors.As(re.Err, &schema) {
		at := strings.Join(schema.JSONPointer(), ".")
		reason := schema.Reason
		if name, ok := strings.CutPrefix(reason, `property "`); ok && schema.SchemaField == "properties" {
			name, _, _ = strings.Cut(name, `"`)
			at, reason = strings.TrimPrefix(at+"."+name, "."), "the field is not known"
		}
		field = strings.Trim(strings.Join([]string{field, at}, "."), ".")
		return invalid(field, "see "+Docs, "%s: %s", or(field, "the body"), reason)
	}
	switch {
	case errors.Is(re.Err, openapi3filter.ErrInvalidRequired) && re.Parameter == nil:
		return invalid("", "send a JSON object", "the request needs a body")
	case errors.Is(re.Err, openapi3filter.ErrInvalidRequired):
		return invalid(field, "see "+Docs, "%s is required", field)
	case errors.Is(re.Err, openapi3filter.ErrInvalidEmptyValue):
		return invalid(field, "", "%s is empty", field)
	}
	return invalid(field, "see "+Docs, "%s is not valid: %s", or(field, "the body"), or(re.Reason, "it is of another type or out of range"))
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// jsonBinder decodes a body exactly: unknown fields and a second value are refused.
type jsonBinder struct{}

func (jsonBinder) Bind(into any, c echo.Context) error {
	dec := json.NewDecoder(c.Request().Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF // no body; the specification says whether that is right
		}
		return invalid("", "", "the body cannot be used: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if dec.More() {
		return invalid("", "", "the body has more than one JSON value")
	}
	return nil
}
