package admin

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/provost-scim/provost/store"
)

// defaultLimit is how many items a page has unless the client says.
const defaultLimit = 100

func limitOf(limit *int) int {
	if limit == nil {
		return defaultLimit
	}
	return *limit
}

// Cursors name the place after which a list goes on. The first letter says which
// list, so that the cursor of another is not taken for a place in this one.
const (
	cursorUsers        = "u"
	cursorGroups       = "g"
	cursorMembers      = "m"
	cursorFindings     = "f"
	cursorRuns         = "r"
	cursorItems        = "i"
	cursorRunMembers   = "j"
	cursorScope        = "s"
	cursorEntitlements = "e"
	cursorGrants       = "h"
	cursorTokens       = "t"
	cursorBindings     = "b"
	cursorOrgs         = "o"
	cursorDirectories  = "d"
	cursorDomains      = "n"
	cursorHandovers    = "v"
	cursorDeliveries   = "y"
	cursorWebhooks     = "w"
)

func cursor(list string, place int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + strconv.FormatInt(place, 10)))
}

// place reads a cursor of the given list; without one it is 0.
func place(list string, given *string) (int64, error) {
	if given == nil || *given == "" {
		return 0, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(*given)
	if err == nil {
		if number, ok := strings.CutPrefix(string(text), list); ok {
			n, err := strconv.ParseInt(number, 10, 64)
			if err == nil && n > 0 {
				return n, nil
			}
		}
	}
	return 0, notOfThisList()
}

// nameCursor is the cursor of a list by name: names are unique and stay what they
// are when a record goes.
func nameCursor(list, name string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + name))
}

// placeName reads what [nameCursor] wrote; without a cursor it is "".
func placeName(list string, given *string) (string, error) {
	if given == nil || *given == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(*given)
	if err == nil {
		if name, ok := strings.CutPrefix(string(text), list); ok && name != "" && storable(name) {
			return name, nil
		}
	}
	return "", notOfThisList()
}

// nextByName is the cursor after a page by name, or "" if it is the last.
func nextByName[T any](list string, p *store.Page[T], name func(*T) string) string {
	if n := len(p.Items); p.More && n > 0 {
		return nameCursor(list, name(&p.Items[n-1]))
	}
	return ""
}

func notOfThisList() error {
	return invalid("cursor", "pass the next_cursor of the page before, or none", "the cursor is not one of this list")
}

// itemPlace is where the list of what a run would do goes on: at an item of a window,
// or at a member of one.
type itemPlace struct{ window, index int }

func (p itemPlace) cursor(list string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + p.String()))
}

// String names an item.
func (p itemPlace) String() string { return fmt.Sprintf("%d.%d", p.window, p.index) }

// placeOfItem reads what [itemPlace.cursor] wrote; without a cursor it is the first
// item of the first window.
func placeOfItem(list string, given *string) (p itemPlace, err error) {
	if given == nil || *given == "" {
		return p, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(*given)
	if err == nil {
		if p, ok := itemNamed(strings.TrimPrefix(string(text), list)); ok && p.cursor(list) == *given {
			return p, nil
		}
	}
	return itemPlace{}, notOfThisList()
}

// itemNamed reads what [itemPlace.String] wrote.
func itemNamed(text string) (itemPlace, bool) {
	window, index, _ := strings.Cut(text, ".")
	w, badWindow := strconv.ParseUint(window, 10, 31)
	i, badIndex := strconv.ParseUint(index, 10, 31)
	p := itemPlace{int(w), int(i)}
	return p, badWindow == nil && badIndex == nil && p.String() == text
}

func memberCursor(m *store.Member) string {
	kind := "u"
	if m.Kind == store.KindGroup {
		kind = "g"
	}
	return cursor(cursorMembers+kind, int64(m.Key))
}

func memberPlace(given *string) (store.Edge, error) {
	if given == nil || *given == "" {
		return store.Edge{}, nil
	}
	if n, err := place(cursorMembers+"u", given); err == nil {
		return store.Edge{Kind: store.KindUser, Key: store.Key(n)}, nil
	}
	n, err := place(cursorMembers+"g", given)
	return store.Edge{Kind: store.KindGroup, Key: store.Key(n)}, err
}

// cut takes the item too many, which was asked for to see whether there are more.
func cut[T any](items []T, limit int) ([]T, bool) {
	if len(items) > limit {
		return items[:limit], true
	}
	return items, false
}

// optional is a time that may be none.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
