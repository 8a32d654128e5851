package scim

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/provost-scim/provost/scim/schema"
	"github.com/provost-scim/provost/store"
)

// cursorTimeout is how long a cursor can be used (RFC 9865 section 4). Nothing is kept
// for it: it says after which record the next page begins.
const cursorTimeout = time.Hour

// cursor is a place in one list: after a record, in the order of keys. It is of no use
// to anybody but the directory whose list it is, because every query is scoped by it.
type cursor struct {
	after store.Key
	until time.Time // to the second
}

const (
	digestBytes = 12
	cursorBytes = 1 + 8 + 8 + digestBytes
	cursorForm  = 1 // changes with the meaning of what follows
)

// encode makes the opaque text of a cursor for one list.
func (k cursor) encode(list [digestBytes]byte) string {
	b := make([]byte, 0, cursorBytes)
	b = append(b, cursorForm)
	b = binary.BigEndian.AppendUint64(b, uint64(k.after))
	b = binary.BigEndian.AppendUint64(b, uint64(k.until.Unix()))
	b = append(b, list[:]...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// decodeCursor reads a cursor of one list. The empty one is the beginning.
func decodeCursor(text string, list [digestBytes]byte, now time.Time) (cursor, error) {
	if text == "" {
		return cursor{}, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != cursorBytes || b[0] != cursorForm {
		return cursor{}, invalidCursor("it is none that this server gave")
	}
	k := cursor{
		after: store.Key(binary.BigEndian.Uint64(b[1:])),
		until: time.Unix(int64(binary.BigEndian.Uint64(b[9:])), 0),
	}
	if k.after < 0 || [digestBytes]byte(b[17:]) != list {
		return cursor{}, invalidCursor("it belongs to another list; send the filter of the request that began it")
	}
	if now.After(k.until) {
		return cursor{}, &statusError{http.StatusBadRequest, "expiredCursor", "the cursor has expired; begin again without one"}
	}
	return k, nil
}

func invalidCursor(why string) error {
	return &statusError{http.StatusBadRequest, "invalidCursor", "the cursor cannot be used: " + why}
}

// digest names the list that a request is about: its resource type and its filter.
func (c *call) digest(of *schema.ResourceType) (d [digestBytes]byte) {
	sum := sha256.Sum256([]byte(of.Name + "\x00" + c.param("filter")))
	copy(d[:], sum[:])
	return d
}

// turnPage makes a query of index pages one of the page at the request's cursor (RFC
// 9865 section 2).
func (c *call) turnPage(of *schema.ResourceType, q *store.Query, count int) error {
	if c.params.Has("startIndex") {
		return store.Errorf(store.CodeInvalid, "startIndex and cursor exclude each other; send one")
	}
	if q.Sort != nil {
		return store.Errorf(store.CodeInvalid, "a list by cursor has an order of its own; send sortBy with startIndex")
	}
	if count < 0 {
		return &statusError{http.StatusBadRequest, "invalidCount", "count must not be negative"}
	}
	at, err := decodeCursor(c.param("cursor"), c.digest(of), time.Now())
	q.After = at.after
	return err
}

// next is the cursor of the page after one, or "" if it is the last.
func (c *call) next(of *schema.ResourceType, last store.Key, more bool) string {
	if !more {
		return ""
	}
	return cursor{last, time.Now().Add(cursorTimeout)}.encode(c.digest(of))
}
