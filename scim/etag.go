package scim

import (
	"strconv"
	"strings"

	"github.com/provost-scim/provost/store"
)

// Versions and conditions (RFC 7644 section 3.14, RFC 9110 section 13). Every
// resource has a weak validator, which is compared weakly wherever a client names it,
// because SCIM has clients name weak ones in If-Match. The condition of a change is
// judged in the transaction that makes it.

// etag is the weak validator of a version.
func etag(version int64) string { return `W/"` + strconv.FormatInt(version, 10) + `"` }

// precondition checks the conditions of a change against a record's version.
func (c *call) precondition(version int64) error {
	h := c.Request().Header
	if err := precondition(strings.Join(h.Values("If-Match"), ","), version); err != nil {
		return err
	}
	if none := strings.Join(h.Values("If-None-Match"), ","); none != "" && matches(none, version) {
		return store.Errorf(store.CodePrecondition, "the resource has version %s, which If-None-Match excludes", etag(version))
	}
	return nil
}

// conditional reports whether a change has conditions.
func (c *call) conditional() bool {
	h := c.Request().Header
	return h.Get("If-Match") != "" || h.Get("If-None-Match") != ""
}

// precondition is If-Match, or the version of an operation of a Bulk; "" is none.
func precondition(ifMatch string, version int64) error {
	if ifMatch == "" || matches(ifMatch, version) {
		return nil
	}
	return store.Errorf(store.CodePrecondition, "the resource has version %s, which is not the one asked for; read it again", etag(version))
}

// matches reports whether a list of validators names a version. A validator without
// its quotation marks is understood: clients store meta.version without them.
func matches(list string, version int64) bool {
	is := strconv.FormatInt(version, 10)
	for _, tag := range strings.Split(list, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || tag == is || tag == `"`+is+`"` {
			return true
		}
	}
	return false
}
