package scim

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/store"
)

const errorSchema = "urn:ietf:params:scim:api:messages:2.0:Error"

// errorBody is a SCIM error (RFC 7644 section 3.12). Status is a string there.
type errorBody struct {
	Schemas  []string `json:"schemas"`
	Status   string   `json:"status"`
	ScimType string   `json:"scimType,omitempty"`
	Detail   string   `json:"detail"`
}

// statusError is a refusal that only HTTP knows.
type statusError struct {
	status   int
	scimType string
	detail   string
}

func (e *statusError) Error() string { return e.detail }

// fail renders an error. What a client cannot help is logged with its cause and
// answered without it.
func (s *Server) fail(c *call, err error) error {
	if c.Response().Committed {
		return err
	}
	status, scimType, detail := describe(err)
	h := c.Response().Header()
	switch status {
	case http.StatusUnauthorized:
		challenge := `Bearer realm="scim"`
		if c.Request().Header.Get(echo.HeaderAuthorization) != "" {
			challenge += `, error="invalid_token"` // RFC 6750 section 3.1
		}
		h.Set(echo.HeaderWWWAuthenticate, challenge)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		if h.Get(echo.HeaderRetryAfter) == "" {
			h.Set(echo.HeaderRetryAfter, strconv.Itoa(store.RetrySeconds(err)))
		}
	case http.StatusInternalServerError:
		if !errors.Is(err, context.Canceled) {
			s.Logger.ErrorContext(c.ctx(), "scim request failed", "method", c.Request().Method, "path", c.Path(),
				"request", c.cause.Request, "error", err)
		}
	}
	return respond(c, status, errorBody{[]string{errorSchema}, strconv.Itoa(status), scimType, detail})
}

// describe gives an error's status, scimType (RFC 7644 table 9) and detail.
func describe(err error) (status int, scimType, detail string) {
	var se *statusError
	if errors.As(err, &se) {
		return se.status, se.scimType, se.detail
	}
	var scim scimerrors.ScimError
	if errors.As(err, &scim) {
		return scim.Status, string(scim.ScimType), scim.Detail
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable, "", "the request took too long; try again"
	}
	var e *store.Error
	if !errors.As(err, &e) {
		return http.StatusInternalServerError, "", "an internal error; it was logged"
	}
	detail = e.Message
	if e.Hint != "" {
		detail += " (" + e.Hint + ")"
	}
	switch e.Code {
	case store.CodeInvalid:
		return http.StatusBadRequest, "invalidValue", detail
	case store.CodeFilter:
		return http.StatusBadRequest, "invalidFilter", detail
	case store.CodeMutability:
		return http.StatusBadRequest, "mutability", detail
	case store.CodeUnauthorized:
		return http.StatusUnauthorized, "", detail
	case store.CodeForbidden:
		return http.StatusForbidden, "", detail
	case store.CodeNotFound:
		return http.StatusNotFound, "", detail
	case store.CodeUniqueness:
		return http.StatusConflict, "uniqueness", detail
	case store.CodeConflict, store.CodeOwned:
		return http.StatusConflict, "", detail
	case store.CodePrecondition:
		return http.StatusPreconditionFailed, "", detail
	case store.CodeTooLarge:
		return http.StatusRequestEntityTooLarge, "", detail
	case store.CodeTooMany:
		return http.StatusTooManyRequests, "", detail
	case store.CodeBusy, store.CodeStale:
		return http.StatusServiceUnavailable, "", detail
	case store.CodeGone:
		return http.StatusGone, "", detail
	default:
		return http.StatusInternalServerError, "", "an internal error; it was logged"
	}
}
