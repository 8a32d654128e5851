package scim

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// contentType is the content type of every response (RFC 7644 section 8.1).
const contentType = "application/scim+json"

func respond(c *call, status int, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.Blob(status, contentType, b)
}

// resource answers with one resource: its location and version as headers, and its
// body unless the client has that version already (RFC 7644 section 3.14).
func (c *call) resource(status int, location string, version int64, body any) error {
	h := c.Response().Header()
	h.Set(echo.HeaderLocation, location)
	h.Set("ETag", etag(version))
	if c.reads() {
		if err := precondition(strings.Join(c.Request().Header.Values("If-Match"), ","), version); err != nil {
			return err
		}
	}
	if m := strings.Join(c.Request().Header.Values("If-None-Match"), ","); m != "" && c.reads() && matches(m, version) {
		return c.NoContent(http.StatusNotModified)
	}
	return respond(c, status, body)
}

// reads reports whether the request is a GET or a HEAD.
func (c *call) reads() bool {
	return c.Request().Method == http.MethodGet || c.Request().Method == http.MethodHead
}
