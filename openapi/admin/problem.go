package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// problemType is what stands before a problem's stable name.
const problemType = "urn:provost:problem:"

// Codes that only this interface has.
const (
	codeMethod  store.Code = "method_not_allowed"
	codeMedia   store.Code = "unsupported_media_type"
	codeTimeout store.Code = "timeout"

	codeKeyReused store.Code = "idempotency_key_reused"
	codeKeyInUse  store.Code = "idempotency_key_in_use"
	codeKeySpent  store.Code = "idempotency_key_spent"
)

// kinds gives each code its status and title.
var kinds = map[store.Code]struct {
	status int
	title  string
}{
	store.CodeInvalid:      {http.StatusBadRequest, "A value is not valid"},
	store.CodeFilter:       {http.StatusBadRequest, "The filter cannot be used"},
	store.CodeMutability:   {http.StatusBadRequest, "The attribute cannot be changed"},
	store.CodeUnauthorized: {http.StatusUnauthorized, "A valid token is required"},
	store.CodeForbidden:    {http.StatusForbidden, "The token may not do this"},
	store.CodeNotFound:     {http.StatusNotFound, "There is no such thing"},
	codeMethod:             {http.StatusMethodNotAllowed, "The method is not allowed here"},
	store.CodeConflict:     {http.StatusConflict, "The state of things forbids it"},
	store.CodeUniqueness:   {http.StatusConflict, "The name is taken"},
	store.CodeOwned:        {http.StatusConflict, "A directory owns the record"},
	store.CodeStale:        {http.StatusConflict, "What it was decided on has changed"},
	store.CodePrecondition: {http.StatusPreconditionFailed, "It is not the present version"},
	store.CodeGone:         {http.StatusGone, "The cursor has expired"},
	store.CodeTooLarge:     {http.StatusRequestEntityTooLarge, "The request is too large"},
	codeMedia:              {http.StatusUnsupportedMediaType, "The content type is not supported"},
	codeKeyReused:          {http.StatusUnprocessableEntity, "The key belongs to another request"},
	codeKeyInUse:           {http.StatusConflict, "The request is going on"},
	codeKeySpent:           {http.StatusConflict, "The request cannot be repeated"},
	store.CodeTooMany:      {http.StatusTooManyRequests, "Too many requests"},
	store.CodeBusy:         {http.StatusServiceUnavailable, "The server is busy"},
	codeTimeout:            {http.StatusGatewayTimeout, "It took too long"},
	store.CodeInternal:     {http.StatusInternalServerError, "Something went wrong in the server"},
}

// renderError is echo's error handler: the one place where an error becomes an
// answer. What is the server's fault is logged, and told without its cause.
func (s *Server) renderError(err error, c echo.Context) {
	r := c.Request()
	if r.Context().Err() == context.Canceled && errors.Is(err, context.Canceled) {
		return // the client is gone
	}
	e := asError(err)
	kind, known := kinds[e.Code]
	if !known {
		e = &store.Error{Code: store.CodeInternal, Err: err}
		kind = kinds[store.CodeInternal]
	}
	id := requestID(r.Context())
	if kind.status >= http.StatusInternalServerError {
		s.Log.ErrorContext(r.Context(), "a REST request failed", "error", err, "method", r.Method, "path", r.URL.Path, "request", id)
	}
	if c.Response().Committed {
		return // a stream that broke off
	}
	p := openapi.Problem{
		Type: problemType + string(e.Code), Title: kind.title, Status: kind.status,
		Detail: e.Message, Field: snake(e.Field), Hint: e.Hint, Resource: e.Resource, RequestID: id,
	}
	if e.Code == store.CodeInternal {
		p.Detail, p.Field, p.Hint, p.Resource = "the cause is in the server's log", "", "look for the request_id in the log", ""
	}
	if kind.status == http.StatusServiceUnavailable || kind.status == http.StatusTooManyRequests || e.Code == codeKeyInUse {
		c.Response().Header().Set("Retry-After", strconv.Itoa(store.RetrySeconds(err)))
	}
	body, err := json.Marshal(p)
	if err == nil {
		err = c.Blob(kind.status, "application/problem+json", body)
	}
	if err != nil {
		s.Log.WarnContext(r.Context(), "a problem was not delivered", "error", err, "request", id)
	}
}

// asError makes a [store.Error] of whatever a handler or a library returned.
func asError(err error) *store.Error {
	var e *store.Error
	var tooLarge *http.MaxBytesError
	var he *echo.HTTPError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &tooLarge):
		return store.Errorf(store.CodeTooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, context.DeadlineExceeded):
		return &store.Error{Code: codeTimeout, Message: "the request was given up", Hint: "try again, or ask for less at a time", Err: err}
	case errors.As(err, &he):
		return fromEcho(he)
	}
	return &store.Error{Code: store.CodeInternal, Err: err}
}

func fromEcho(he *echo.HTTPError) *store.Error {
	switch he.Code {
	case http.StatusNotFound:
		return &store.Error{Code: store.CodeNotFound, Message: "there is nothing at this path", Hint: "see " + Docs}
	case http.StatusMethodNotAllowed:
		return &store.Error{Code: codeMethod, Message: "this path has no such method", Hint: "see " + Docs}
	case http.StatusBadRequest:
		if text, ok := he.Message.(string); ok {
			return &store.Error{Code: store.CodeInvalid, Message: text}
		}
	}
	return &store.Error{Code: store.CodeInternal, Err: he}
}

// snake is the name of a SCIM attribute as this interface spells it: userName is
// user_name.
func snake(s string) string {
	if strings.Contains(s, "-") { // the name of a header
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if unicode.IsUpper(r) {
			if i > 0 {
				b.WriteByte('_')
			}
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// invalid refuses one input field.
func invalid(field, hint, format string, args ...any) *store.Error {
	e := store.Errorf(store.CodeInvalid, format, args...)
	e.Field, e.Hint = field, hint
	return e
}
