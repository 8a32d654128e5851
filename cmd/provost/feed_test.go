package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/openapi"
)

// feedReader follows the log of one program and holds it to what a feed promises.
type feedReader struct {
	url, token string
	cursor     int64
	order      []string // of the ids that it saw
	seen       map[string]bool
	opened     int // how often it came
}

func (f *feedReader) take(e *openapi.Event) error {
	switch {
	case e.Cursor <= f.cursor:
		return fmt.Errorf("cursor %d follows %d", e.Cursor, f.cursor)
	case f.seen[e.ID]:
		return fmt.Errorf("event %s came twice", e.ID)
	}
	f.cursor, f.seen[e.ID] = e.Cursor, true
	f.order = append(f.order, e.ID)
	return nil
}

func (f *feedReader) open(ctx context.Context, query string, headers ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/api/v1/events"+query, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+f.token)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	f.opened++
	a, err := http.DefaultClient.Do(r)
	if err == nil && a.StatusCode != http.StatusOK {
		_ = a.Body.Close()
		return nil, fmt.Errorf("the log answers %d", a.StatusCode)
	}
	return a, err
}

// page reads one page, as one who comes for a moment.
func (f *feedReader) page(ctx context.Context) error {
	a, err := f.open(ctx, fmt.Sprintf("?limit=7&after=%d", f.cursor))
	if err != nil {
		return err
	}
	defer a.Body.Close()
	var list openapi.EventList
	if err := json.NewDecoder(a.Body).Decode(&list); err != nil {
		return err
	}
	for i := range list.Items {
		if err := f.take(&list.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

// stream follows until it has seen so many more, or enough ends, and goes, whatever was
// sent to it.
func (f *feedReader) stream(ctx, enough context.Context, events int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(enough, cancel)()
	a, err := f.open(ctx, "", "Accept", "text/event-stream", "Last-Event-ID", fmt.Sprint(f.cursor))
	if err != nil {
		if enough.Err() != nil {
			return nil
		}
		return err
	}
	defer a.Body.Close()
	lines := bufio.NewScanner(a.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e openapi.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return err
		}
		if err := f.take(&e); err != nil {
			return err
		}
		if events--; events == 0 {
			return nil
		}
	}
	if enough.Err() != nil {
		return nil
	}
	return errors.Join(errors.New("the stream ended"), lines.Err())
}

func TestNobodyWhoFollowsTheLogMissesOrRepeatsAnEventBesideSixteenWriters(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		key := filepath.Join(t.TempDir(), "secret.key")
		p := startProvost(t, "--database", dsn, "--secret-key-file", key, "--log-level", "warn")
		other := p // another replica, where there may be one
		if strings.HasPrefix(dsn, "postgres") {
			other = startProvost(t, "--database", dsn, "--secret-key-file", key, "--log-level", "warn")
		}
		p.must(t, "directory", "create", "clients", "--kind", "scim", "--domain-policy", "off")
		token := p.must(t, "token", "create", "--directory", "clients")

		const writers, each, readers = 16, 12, 16
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		failed := make(chan error, writers+readers)
		enough, written := context.WithCancel(ctx)
		defer written()
		var writing, reading sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				for i := range each {
					if err := pushTo(ctx, p.url, token, scimUser(fmt.Sprintf("u%d-%d", w, i), `,"active":true`)); err != nil {
						failed <- fmt.Errorf("writer %d: %w", w, err)
						return
					}
				}
			})
		}
		all := make([]*feedReader, readers)
		var last int64
		for r := range readers {
			at := []*provostServer{p, other}[r/2%2]
			f := &feedReader{url: at.url, token: at.token, seen: map[string]bool{}}
			all[r] = f
			reading.Go(func() {
				for {
					finished := enough.Err() != nil
					if finished && f.cursor >= last {
						return
					}
					err := f.page(ctx)
					if r%2 == 1 && err == nil {
						err = f.stream(ctx, enough, 1+(r+f.opened)%9)
					}
					if err != nil {
						failed <- fmt.Errorf("reader %d: %w", r, err)
						return
					}
				}
			})
		}
		writing.Wait()
		end := &feedReader{url: p.url, token: p.token, seen: map[string]bool{}}
		for before := int64(-1); before < end.cursor; {
			before = end.cursor
			if err := end.page(ctx); err != nil {
				t.Fatal(err)
			}
		}
		last = end.cursor
		written()
		reading.Wait()
		close(failed)
		for err := range failed {
			t.Error(err)
		}
		if len(end.order) < writers*each {
			t.Errorf("the log has %d events of %d users", len(end.order), writers*each)
		}
		for r, f := range all {
			if diff := cmp.Diff(end.order, f.order); diff != "" {
				t.Errorf("reader %d saw another log than was read at the end:\n%s", r, diff)
			}
			if f.opened < 3 {
				t.Errorf("reader %d came only %d times", r, f.opened)
			}
		}
	})
}

// pushTo creates a user for one who has no *testing.T.
func pushTo(ctx context.Context, url, token, user string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/scim/v2/Users", strings.NewReader(user))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/scim+json")
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusCreated {
		return fmt.Errorf("creating a user answers %d", a.StatusCode)
	}
	return nil
}

func TestTheLogIsExportedAsJSONLines(t *testing.T) {
	p := startProvost(t)
	p.must(t, "domain", "add", "example.com")
	p.must(t, "directory", "create", "clients", "--kind", "scim")
	lines := strings.Split(p.must(t, "event", "export", "--type", "domain.*", "--type", "directory.created", "--since", "1h"), "\n")
	var types []string
	described := describedEvents(t)
	for _, line := range lines {
		e := decode[openapi.Event](t, line)
		described.check(t, &e)
		types = append(types, e.Type)
	}
	if diff := cmp.Diff([]string{"domain.added", "directory.created"}, types); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
	if out := p.must(t, "event", "export", "--until", "1h"); out != "" {
		t.Errorf("events of an hour ago: %s", out)
	}
	if _, stderr, code := p.run(t, "event", "export", "--since", "soon"); code != exitUsage || !strings.Contains(stderr, "--since") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if _, stderr, code := p.run(t, "event", "export", "--after", "999999"); code != exitError || !strings.Contains(stderr, "the log ends at") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
