package scim

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

var cursorNow = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestACursorKeepsItsPlace(t *testing.T) {
	for name, at := range map[string]store.Position{
		"the beginning": {},
		"a key":         {Key: 1 << 60},
		"a text":        {Key: 7, Value: "å\"b"},
		"no text":       {Key: 7, Value: ""},
		"a number":      {Key: 7, Value: int64(-1 << 62)},
		"a group":       {Key: 7, Kind: store.KindGroup, Value: int64(0)},
		"a user":        {Key: 7, Kind: store.KindUser},
	} {
		for _, back := range []bool{false, true} {
			want := cursor{at: at, back: back, total: 1_000_000, until: cursorNow.Add(cursorTimeout)}
			got, err := decodeCursor(want.encode("a list"), "a list", cursorNow)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			got.until = got.until.UTC()
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(cursor{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

func TestACursorEndsWithItsTime(t *testing.T) {
	text := cursor{at: store.Position{Key: 1 << 40, Value: "x"}, until: cursorNow.Add(cursorTimeout)}.encode("a list")
	broken := cursor{at: store.Position{Key: 1, Value: "\xff"}, until: cursorNow.Add(cursorTimeout)}.encode("a list")
	null := cursor{at: store.Position{Key: 1, Value: "\x00"}, until: cursorNow.Add(cursorTimeout)}.encode("a list")
	for _, x := range []struct {
		name, text, list string
		at               time.Time
		want             string
	}{
		{"in time", text, "a list", cursorNow.Add(cursorTimeout), ""},
		{"a second late", text, "a list", cursorNow.Add(cursorTimeout + time.Second), "expiredCursor"},
		{"of another list", text, "another", cursorNow, "invalidCursor"},
		{"cut short", text[:len(text)-4], "a list", cursorNow, "invalidCursor"},
		{"of another form", "B" + text[1:], "a list", cursorNow, "invalidCursor"},
		{"changed", text[:8] + "A" + text[9:], "a list", cursorNow, "invalidCursor"},
		{"of no text", broken, "a list", cursorNow, "invalidCursor"},
		{"of a text that no column takes", null, "a list", cursorNow, "invalidCursor"},
		{"nothing", "", "a list", cursorNow, "invalidCursor"},
	} {
		t.Run(x.name, func(t *testing.T) {
			_, err := decodeCursor(x.text, x.list, x.at)
			var refused *statusError
			if errors.As(err, &refused); (refused == nil) != (x.want == "") || refused != nil && refused.scimType != x.want {
				t.Fatalf("got %v, want %q", err, x.want)
			}
		})
	}
}

// FuzzCursor holds that no text that a client sends as a cursor does harm, and that
// what is accepted means what was given.
func FuzzCursor(f *testing.F) {
	f.Add(cursor{at: store.Position{Key: 3, Value: "x"}, until: cursorNow}.encode("a list"))
	f.Add("!")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := decodeCursor(text, "a list", cursorNow)
		if err != nil {
			return
		}
		again, err := decodeCursor(k.encode("a list"), "a list", cursorNow)
		if err != nil || again != k {
			t.Errorf("%q: %+v, %v, want %+v", text, again, err, k)
		}
	})
}
