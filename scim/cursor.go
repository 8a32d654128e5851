package scim

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/provost-scim/provost/scim/schema"
	"github.com/provost-scim/provost/store"
)

// cursorTimeout is how long a cursor can be used (RFC 9865 section 4). Nothing is kept
// for it: it says where the next page begins, in the order of the list.
const cursorTimeout = time.Hour

// cursor is a place in one list. It is of no use to anybody but the directory whose
// list it is, because every query is scoped by it.
type cursor struct {
	at    store.Position // zero: the beginning
	back  bool           // the page ends before the place
	total int            // how long the list was when it began
	until time.Time      // to the second
}

const (
	digestBytes = 12
	cursorForm  = 2 // changes with the meaning of what follows
)

// What a cursor's second byte says.
const (
	cursorBack = 1 << iota
	cursorOfGroup
	cursorOfUser
	cursorText
	cursorNumber
)

// encode makes the opaque text of a cursor for one list.
func (k cursor) encode(list string) string {
	flags := byte(0)
	if k.back {
		flags |= cursorBack
	}
	switch k.at.Kind {
	case store.KindGroup:
		flags |= cursorOfGroup
	case store.KindUser:
		flags |= cursorOfUser
	}
	var value []byte
	switch v := k.at.Value.(type) {
	case string:
		flags, value = flags|cursorText, []byte(v)
	case int64:
		flags, value = flags|cursorNumber, binary.AppendVarint(nil, v)
	}
	b := []byte{cursorForm, flags}
	for _, n := range []int64{int64(k.at.Key), int64(k.total), k.until.Unix()} {
		b = binary.AppendVarint(b, n)
	}
	b = append(b, value...)
	return base64.RawURLEncoding.EncodeToString(append(b, digest(list, b)...))
}

// digest tells cursors of one list from those of others, and whole ones from broken ones.
func digest(list string, cursor []byte) []byte {
	sum := sha256.Sum256(append([]byte(list+"\x00"), cursor...))
	return sum[:digestBytes]
}

// decodeCursor reads a cursor of one list.
func decodeCursor(text, list string, now time.Time) (cursor, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < 2+digestBytes || b[0] != cursorForm {
		return cursor{}, invalidCursor("it is none that this server gave")
	}
	b, sum := b[:len(b)-digestBytes], b[len(b)-digestBytes:]
	if !bytes.Equal(digest(list, b), sum) {
		return cursor{}, invalidCursor("it belongs to another list; send the filter and sortBy of the request that began it")
	}
	k, err := parseCursor(b[1], b[2:])
	if err == nil && now.After(k.until) {
		err = &statusError{http.StatusBadRequest, "expiredCursor", "the cursor has expired; begin again with an empty one"}
	}
	return k, err
}

func parseCursor(flags byte, b []byte) (cursor, error) {
	var numbers [3]int64
	for i := range numbers {
		v, n := binary.Varint(b)
		if n <= 0 {
			return cursor{}, invalidCursor("it is cut short")
		}
		numbers[i], b = v, b[n:]
	}
	k := cursor{
		at:   store.Position{Key: store.Key(numbers[0])},
		back: flags&cursorBack != 0, total: int(numbers[1]), until: time.Unix(numbers[2], 0),
	}
	switch {
	case flags&cursorOfGroup != 0:
		k.at.Kind = store.KindGroup
	case flags&cursorOfUser != 0:
		k.at.Kind = store.KindUser
	}
	switch {
	case flags&cursorText != 0:
		if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
			return cursor{}, invalidCursor("it is broken")
		}
		k.at.Value = string(b)
	case flags&cursorNumber != 0:
		v, n := binary.Varint(b)
		if n <= 0 {
			return cursor{}, invalidCursor("it is cut short")
		}
		k.at.Value = v
	}
	return k, nil
}

func invalidCursor(why string) error {
	return &statusError{http.StatusBadRequest, "invalidCursor", "the cursor cannot be used: " + why}
}

// listName names the list that a request is about, for its cursors: whose it is, of
// which resource types, with which filter, in which order.
func (c *call) listName(types []*schema.ResourceType) string {
	words := []string{fmt.Sprint(c.caller.Org), fmt.Sprint(c.caller.Directory)}
	for _, t := range types {
		words = append(words, t.Name)
	}
	words = append(words, c.param("filter"), c.param("sortBy"), strings.ToLower(c.param("sortOrder")))
	return strings.Join(words, "\x00")
}

// turnPage makes a query of index pages one of the page at the request's cursor (RFC
// 9865 section 2), of which it returns the cursor. The length of the list is counted
// when it begins.
func (c *call) turnPage(types []*schema.ResourceType, q *store.Query) (*cursor, error) {
	if c.params.Has("startIndex") {
		return nil, store.Errorf(store.CodeInvalid, "startIndex and cursor exclude each other; send one")
	}
	if n, err := c.number("count", defaultCount); err != nil || n < 1 {
		return nil, &statusError{http.StatusBadRequest, "invalidCount", fmt.Sprintf("with a cursor count must be an integer from 1 to %d", MaxResults)}
	}
	text := c.param("cursor")
	if text == "" {
		return &cursor{}, nil
	}
	k, err := decodeCursor(text, c.listName(types), time.Now())
	if err != nil {
		return nil, err
	}
	if k.back {
		q.Before = k.at
	} else {
		q.After = k.at
	}
	q.Count = false
	return &k, nil
}

// neighbours are the cursors of the pages after and before one that was read at a
// cursor; "" where there is none.
func (k *cursor) neighbours(list string, positions []store.Position, more bool, total int) (next, previous string) {
	to := func(at store.Position, back bool) string {
		return cursor{at: at, back: back, total: total, until: time.Now().Add(cursorTimeout)}.encode(list)
	}
	if len(positions) == 0 {
		if k.back { // nothing is left before the place, so that all of the list is after it
			next = to(store.Position{}, false)
		}
		return next, ""
	}
	if k.back || more {
		next = to(positions[len(positions)-1], false)
	}
	if k.back && more || !k.back && k.at != (store.Position{}) {
		previous = to(positions[0], true)
	}
	return next, previous
}
