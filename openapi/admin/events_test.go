package admin_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/openapi/admin"
	"github.com/provost-scim/provost/store"
)

// follow opens a stream on a real connection and returns its lines.
func (w *world) follow(token, path string) (lines <-chan string, stop func()) {
	w.t.Helper()
	srv := httptest.NewServer(w.server)
	ctx, cancel := context.WithCancel(w.t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+admin.Base+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "text/event-stream")
	resp, err := srv.Client().Do(r) //nolint:bodyclose // the goroutine that reads it closes it
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("the stream answers %d, %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	out := make(chan string)
	go func() {
		defer close(out)
		defer func() { _ = resp.Body.Close() }()
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			select {
			case out <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, func() {
		cancel()
		srv.Close()
	}
}

func TestAStreamSendsEventsAsTheyComeAndGoesOnWhereItStopped(t *testing.T) {
	w := newWorld(t)
	start := ask[openapi.EventList](w, w.auditor, "GET", "/events?limit=1000", nil, 200).NextCursor
	lines, stop := w.follow(w.auditor, fmt.Sprintf("/events?after=%d&resource_type=Group", start))
	next := func() (e openapi.Event) {
		t.Helper()
		for {
			select {
			case line, ok := <-lines:
				if !ok {
					t.Fatal("the stream ended")
				}
				if data, found := strings.CutPrefix(line, "data: "); found {
					if err := json.Unmarshal([]byte(data), &e); err != nil {
						t.Fatal(err)
					}
					return e
				}
			case <-time.After(10 * time.Second):
				t.Fatal("no event came")
			}
		}
	}
	first := ask[openapi.Group](w, w.admin, "POST", "/groups", map[string]string{"display_name": "one"}, 201)
	e := next()
	if e.ResourceID != first.ID || e.Type != "group.created" || e.Cursor <= start {
		t.Errorf("the first event is %+v", e)
	}
	second := ask[openapi.Group](w, w.admin, "POST", "/groups", map[string]string{"display_name": "two"}, 201)
	if got := next(); got.ResourceID != second.ID {
		t.Errorf("the second event is %+v", got)
	}
	stop()
	lines, stop = w.follow(w.auditor, fmt.Sprintf("/events?after=%d&resource_type=Group", e.Cursor))
	defer stop()
	if got := next(); got.ResourceID != second.ID {
		t.Errorf("connected again, the first event is %+v", got)
	}
}

func TestAStreamEndsWithItsTokenAndWithTheServer(t *testing.T) {
	w := newWorld(t)
	ended := func(lines <-chan string) bool {
		limit := time.After(10 * time.Second)
		for {
			select {
			case _, ok := <-lines:
				if !ok {
					return true
				}
			case <-limit:
				return false
			}
		}
	}
	made := ask[openapi.NewToken](w, w.owner, "POST", "/tokens", map[string]string{"name": "reader", "role": "auditor"}, 201)
	lines, stop := w.follow(made.Secret, "/events")
	defer stop()
	if a := w.call(w.owner, "DELETE", "/tokens/"+made.Token.ID, nil); a.status != 204 {
		t.Fatalf("revoking answers %d", a.status)
	}
	if !ended(lines) {
		t.Error("the stream outlives its token")
	}
	lines, stop2 := w.follow(w.auditor, "/events")
	defer stop2()
	w.server.Close()
	if !ended(lines) {
		t.Error("the stream outlives the server")
	}
}

func TestStreamsAreBounded(t *testing.T) {
	w := newWorld(t, func(o *admin.Options) { o.Streams = 1 })
	_, stop := w.follow(w.auditor, "/events")
	defer stop()
	a := w.call(w.auditor, "GET", "/events", nil, "Accept", "text/event-stream")
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("the second stream answers %d %s", a.status, a.body)
	}
}

func TestAStreamIsWokenByTheCommitAndNotByTheClock(t *testing.T) {
	w := newWorld(t, func(o *admin.Options) { o.Poll = time.Hour })
	lines, stop := w.follow(w.auditor, "/events?type=group.created")
	defer stop()
	for _, name := range []string{"one", "two", "three"} {
		made := ask[openapi.Group](w, w.admin, "POST", "/groups", map[string]string{"display_name": name}, 201)
		limit := time.After(10 * time.Second)
		for found := false; !found; {
			select {
			case line := <-lines:
				found = strings.HasPrefix(line, "data: ") && strings.Contains(line, made.ID)
			case <-limit:
				t.Fatalf("the stream does not tell of %s", name)
			}
		}
	}
}

func TestTheLogIsFilteredByTypeActorTimeAndResource(t *testing.T) {
	w := newWorld(t)
	ann := ask[openapi.NewToken](w, w.owner, "POST", "/tokens", map[string]string{"name": "Ann", "role": "admin"}, 201)
	group := ask[openapi.Group](w, ann.Secret, "POST", "/groups", map[string]string{"display_name": "one"}, 201)
	between := w.lastEvent("group.created").Time
	ask[openapi.Group](w, w.admin, "PATCH", "/groups/"+group.ID, map[string]string{"description": "d"}, 200)
	ask[openapi.Domain](w, ann.Secret, "POST", "/domains", map[string]string{"name": "example.com"}, 201)
	for _, tt := range []struct {
		query string
		want  []string
	}{
		{"type=group.created", []string{"group.created"}},
		{"type=group.*", []string{"group.created", "group.updated"}},
		{"type=domain.added&type=group.updated", []string{"group.updated", "domain.added"}},
		{"actor=" + ann.Token.ID, []string{"group.created", "domain.added"}},
		{"actor=ANN", []string{"group.created", "domain.added"}},
		{"actor=ann&type=domain.*", []string{"domain.added"}},
		{"resource_id=" + group.ID, []string{"group.created", "group.updated"}},
		{"type=group.*&until=" + url.QueryEscape(between.Format(time.RFC3339Nano)), nil},
		{"type=group.*&since=" + url.QueryEscape(between.Format(time.RFC3339Nano)), []string{"group.created", "group.updated"}},
		{"type=group.*&since=" + url.QueryEscape(between.Add(time.Microsecond).Format(time.RFC3339Nano)), []string{"group.updated"}},
	} {
		var types []string
		for _, e := range ask[openapi.EventList](w, w.auditor, "GET", "/events?limit=1000&"+tt.query, nil, 200).Items {
			types = append(types, e.Type)
		}
		if diff := cmp.Diff(tt.want, types); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.query, diff)
		}
		var exported []string
		a := w.call(w.auditor, "GET", "/events/export?"+tt.query, nil)
		for line := range bytes.Lines(a.body) {
			var e openapi.Event
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatalf("%v in line %s", err, line)
			}
			exported = append(exported, e.Type)
		}
		if diff := cmp.Diff(tt.want, exported); diff != "" || a.status != 200 {
			t.Errorf("export of %s answers %d (-want +got):\n%s", tt.query, a.status, diff)
		}
	}
	for query, field := range map[string]string{"type=group": "type.0", "type=group.*x": "type.0", "type=" + url.QueryEscape("group.%"): "type.0", "since=yesterday": "since", "actor=": "actor"} {
		w.refused(w.auditor, "GET", "/events?"+query, nil, 400, store.CodeInvalid, field)
		w.refused(w.auditor, "GET", "/events/export?"+query, nil, 400, store.CodeInvalid, field)
	}
}

func TestAnExportOfManyPagesIsTheWholeLogAsItWas(t *testing.T) {
	w := newWorld(t)
	const more = 2500
	w.update(func(tx store.Tx) error {
		events := make([]store.Event, more)
		for i := range events {
			events[i] = store.Event{Org: w.org, Type: store.EventUserUpdated, Kind: "User", Resource: store.NewID(time.Now()), Data: json.RawMessage(`{"a":"<b>"}`)}
		}
		return tx.Append(w.t.Context(), events)
	})
	var cursors []int64
	for line := range bytes.Lines(w.call(w.auditor, "GET", "/events/export?type=user.updated", nil).body) {
		var e openapi.Event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if n := len(cursors); n > 0 && e.Cursor <= cursors[n-1] {
			t.Fatalf("cursor %d follows %d", e.Cursor, cursors[n-1])
		}
		cursors = append(cursors, e.Cursor)
	}
	if len(cursors) != more {
		t.Errorf("%d events were exported, want %d", len(cursors), more)
	}
	rest := w.call(w.auditor, "GET", fmt.Sprintf("/events/export?type=user.updated&after=%d", cursors[more-2]), nil).body
	if n := bytes.Count(rest, []byte("\n")); n != 1 {
		t.Errorf("%d events come after the last but one", n)
	}
}

func TestACursorBeyondTheLogIsGone(t *testing.T) {
	w := newWorld(t)
	list := ask[openapi.EventList](w, w.auditor, "GET", "/events?limit=1000", nil, 200)
	if list.LastCursor != list.NextCursor || list.LastCursor == 0 {
		t.Errorf("the log ends at %d, and its last page at %d", list.LastCursor, list.NextCursor)
	}
	if next := ask[openapi.EventList](w, w.auditor, "GET", fmt.Sprintf("/events?after=%d", list.LastCursor), nil, 200); len(next.Items) != 0 || next.NextCursor != list.LastCursor {
		t.Errorf("after the end there are %d events, and the cursor is %d", len(next.Items), next.NextCursor)
	}
	for _, path := range []string{"/events", "/events/export"} {
		w.refused(w.auditor, "GET", fmt.Sprintf("%s?after=%d", path, list.LastCursor+1), nil, 410, store.CodeGone, "after")
	}
	a := w.call(w.auditor, "GET", "/events", nil, "Accept", "text/event-stream", "Last-Event-ID", fmt.Sprint(list.LastCursor+1))
	if a.status != http.StatusGone {
		t.Errorf("a stream beyond the end answers %d", a.status)
	}
}
