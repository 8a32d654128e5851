package admin

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/provost-scim/provost/store"
)

// entityTag is the ETag of an answer about one record (RFC 9110 section 8.8.3): the
// version of what people set, and a hash of the whole answer. If-None-Match compares
// all of it, and so notices also what changes by itself, such as counts. If-Match
// compares the version only: a sync in between is no reason to refuse an edit.
func entityTag(version int64, body any) string {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // it is about to be written as JSON
	}
	hash := sha256.Sum256(text)
	return `"` + strconv.FormatInt(version, 10) + "." + base64.RawURLEncoding.EncodeToString(hash[:9]) + `"`
}

// isKnown reports whether If-None-Match names the ETag (RFC 9110 section 13.1.2), by
// weak comparison.
func isKnown(ifNoneMatch *string, tag string) bool {
	for _, known := range tags(ifNoneMatch) {
		if known == "*" || strings.TrimPrefix(known, "W/") == tag {
			return true
		}
	}
	return false
}

// matches holds If-Match (RFC 9110 section 13.1.1) against the version that a record
// has. It is called in the transaction that changes it.
func matches(ifMatch *string, version int64) error {
	if ifMatch == nil {
		return nil
	}
	present := strconv.FormatInt(version, 10)
	for _, wanted := range tags(ifMatch) {
		if wanted == "*" {
			return nil
		}
		inner := strings.TrimPrefix(wanted, "W/")
		if len(inner) < 2 || inner[0] != '"' || inner[len(inner)-1] != '"' {
			return invalid("If-Match", `send the header ETag of the answer as it is, with its quotation marks`, "If-Match: %s is no entity tag", wanted)
		}
		if named, _, _ := strings.Cut(inner[1:len(inner)-1], "."); named == present {
			return nil
		}
	}
	return outdated()
}

func outdated() *store.Error {
	return &store.Error{Code: store.CodePrecondition, Field: "If-Match", Message: "it was changed since it was read",
		Hint: "read it again, and repeat the change with the new ETag"}
}

// raced is what became of a change: one that another change forestalled between its
// look at the version and its write breaks the condition as well.
func raced(ifMatch *string, err error) error {
	if ifMatch != nil && store.CodeOf(err) == store.CodeStale {
		return outdated()
	}
	return err
}

func tags(header *string) (list []string) {
	for tag := range strings.SplitSeq(deref(header), ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			list = append(list, tag)
		}
	}
	return list
}
