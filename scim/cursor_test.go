package scim

import (
	"errors"
	"testing"
	"time"
)

func TestACursorEndsWithItsTime(t *testing.T) {
	list, other := [digestBytes]byte{1}, [digestBytes]byte{2}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	text := cursor{after: 1 << 40, until: now.Add(cursorTimeout)}.encode(list)
	for _, x := range []struct {
		name, text string
		list       [digestBytes]byte
		at         time.Time
		want       string
	}{
		{"in time", text, list, now.Add(cursorTimeout), ""},
		{"a second late", text, list, now.Add(cursorTimeout + time.Second), "expiredCursor"},
		{"of another list", text, other, now, "invalidCursor"},
		{"cut short", text[:len(text)-4], list, now, "invalidCursor"},
		{"of another form", "B" + text[1:], list, now, "invalidCursor"},
		{"the beginning", "", list, now, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			k, err := decodeCursor(x.text, x.list, x.at)
			var refused *statusError
			if errors.As(err, &refused); (refused == nil) != (x.want == "") || refused != nil && refused.scimType != x.want {
				t.Fatalf("got %v, want %q", err, x.want)
			}
			if err == nil && x.text != "" && k.after != 1<<40 {
				t.Errorf("it is after %d", k.after)
			}
		})
	}
}
