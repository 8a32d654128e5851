package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/store"
)

// renderError answers for errors that no interface rendered itself: of the
// middleware, and of paths that nobody serves. A SCIM client gets a SCIM error
// (RFC 7644 section 3.12), everyone else a problem document (RFC 9457).
func (p *program) renderError(err error, c echo.Context) {
	if c.Response().Committed || (c.Request().Context().Err() != nil && errors.Is(err, context.Canceled)) {
		return
	}
	status, kind, detail := http.StatusInternalServerError, "internal", "something went wrong in the server; the cause is in its log"
	var he *echo.HTTPError
	switch {
	case store.CodeOf(err) == store.CodeBusy:
		status, kind, detail = http.StatusServiceUnavailable, "busy", err.Error()
		c.Response().Header().Set(echo.HeaderRetryAfter, "1")
	case errors.As(err, &he) && he.Code < http.StatusInternalServerError:
		status = he.Code
		kind, detail = plainProblem(status)
	default:
		p.log.ErrorContext(c.Request().Context(), "a request failed", "error", err,
			"request", c.Response().Header().Get(echo.HeaderXRequestID))
	}
	contentType, body := "application/problem+json", any(map[string]any{
		"type": "urn:provost:problem:" + kind, "title": http.StatusText(status), "status": status, "detail": detail,
		"request_id": c.Response().Header().Get(echo.HeaderXRequestID),
	})
	if strings.HasPrefix(c.Request().URL.Path, "/scim/") {
		contentType, body = "application/scim+json", map[string]any{
			"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:Error"},
			"status":  strconv.Itoa(status), "detail": detail,
		}
	}
	b, err := json.Marshal(body)
	if err == nil {
		err = c.Blob(status, contentType, b)
	}
	if err != nil {
		p.log.Debug("an error was not delivered", "error", err)
	}
}

// plainProblem is the stable name and the sentence of a status of echo's own.
func plainProblem(status int) (kind, detail string) {
	switch status {
	case http.StatusNotFound:
		return "not_found", "there is nothing at this path; the REST interface is at /api/v1, its page at /docs, SCIM at /scim/v2"
	case http.StatusMethodNotAllowed:
		return "method_not_allowed", "this path has no such method"
	default:
		return "invalid_value", http.StatusText(status)
	}
}
