package scim

import (
	"encoding/json"
	"net/http"
	"strconv"

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
	if m := c.Request().Header.Get("If-None-Match"); m != "" && c.reads() && matches(m, version) {
		return c.NoContent(http.StatusNotModified)
	}
	return respond(c, status, body)
}

// etag is the weak validator of a version.
func etag(version int64) string { return `W/"` + strconv.FormatInt(version, 10) + `"` }

// reads reports whether the request is a GET or a HEAD.
func (c *call) reads() bool {
	return c.Request().Method == http.MethodGet || c.Request().Method == http.MethodHead
}
