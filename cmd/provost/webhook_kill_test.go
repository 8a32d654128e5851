package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/provost-scim/provost/openapi"
)

// hookReceiver is an endpoint that counts what it gets.
type hookReceiver struct {
	*httptest.Server
	mu     sync.Mutex
	secret string
	block  chan struct{}  // while it is not nil and open, nobody gets an answer
	asked  int            // requests that came
	times  map[string]int // by webhook-id
	order  map[string][]int64
}

func newHookReceiver(t *testing.T) *hookReceiver {
	r := &hookReceiver{times: map[string]int{}, order: map[string][]int64{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.asked++
		block, secret := r.block, r.secret
		r.mu.Unlock()
		if block != nil {
			select {
			case <-block:
			case <-q.Context().Done():
				return
			}
		}
		v, err := standardwebhooks.NewWebhook(secret)
		if err == nil {
			err = v.Verify(body, q.Header)
		}
		var e openapi.Event
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		if err != nil || e.ID != q.Header.Get("Webhook-Id") {
			t.Errorf("a request is not right: %v, %s", err, body)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.times[e.ID]++; r.times[e.ID] == 1 {
			r.order[e.ResourceID] = append(r.order[e.ResourceID], e.Cursor)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *hookReceiver) seen() (events, requests int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.times {
		requests += n
	}
	return len(r.times), requests
}

func TestAProgramKilledWhileItDeliversDeliversAllAgainInOrder(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		w := &killWorld{dsn: dsn, key: filepath.Join(t.TempDir(), "secret.key")}
		flags := []string{"--webhook-allow", "127.0.0.0/8", "--webhook-retry", "100ms"}
		p := startProvost(t, append(flags, "--database", dsn, "--secret-key-file", w.key)...)
		w.token = p.token
		r := newHookReceiver(t)
		p.must(t, "directory", "create", "clients", "--kind", "scim", "--domain-policy", "off")
		token := p.must(t, "token", "create", "--directory", "clients")
		r.secret = p.must(t, "webhook", "create", "app", "--url", r.URL, "--type", "user.*")
		p.must(t, "webhook", "set", "app", "--disable")
		const users = 40
		for i := range users {
			id := p.push(t, token, scimUser(fmt.Sprint("user", i), `,"active":true`))
			p.scim(t, token, "PATCH", "/Users/"+string(id), `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"title","value":"x"}]}`, http.StatusOK, nil)
		}
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
		for _, at := range []struct {
			name string
			hang string // the change of the webhook's row that hangs
			ask  bool   // or the endpoint does
		}{
			{name: "while it waits for an answer", ask: true},
			{name: "before it writes down what was delivered", hang: "NEW.cursor > OLD.cursor"},
		} {
			t.Run(at.name, func(t *testing.T) {
				dsn := w.copy(t)
				r.mu.Lock()
				r.times, r.order, r.asked, r.block = map[string]int{}, map[string][]int64{}, 0, nil
				if at.ask {
					r.block = make(chan struct{})
				}
				r.mu.Unlock()
				lift := func() {}
				if at.hang != "" {
					lift = hang(t, dsn, "webhook", at.hang)
				}
				first := w.start(t, dsn, flags...)
				first.must(t, "webhook", "set", "app", "--enable", "--after", "0")
				await(t, "it delivers", func() bool {
					r.mu.Lock()
					defer r.mu.Unlock()
					return r.asked >= 8 && (at.ask || r.asked >= 2*users)
				})
				first.kill(t)
				lift()
				r.mu.Lock()
				if r.block != nil {
					close(r.block)
				}
				r.mu.Unlock()
				w.start(t, dsn, flags...)
				await(t, "all has come", func() bool { n, _ := r.seen(); return n >= 2*users })
				second := w.start(t, dsn, flags...)
				await(t, "all is written down", func() bool {
					return strings.Count(second.must(t, "webhook", "deliveries", "app", "--state", "delivered", "--limit", "0", "--quiet"), "\n")+1 == 2*users
				})
				events, requests := r.seen()
				if events != 2*users || at.hang != "" && requests <= events {
					t.Errorf("%d events came in %d requests, want %d events, some of them again", events, requests, 2*users)
				}
				r.mu.Lock()
				defer r.mu.Unlock()
				for id, cursors := range r.order {
					if len(cursors) != 2 || cursors[0] >= cursors[1] {
						t.Errorf("of %s came the events %v", id, cursors)
					}
				}
			})
		}
	})
}

func TestReplicasDeliverEachEventOnceAndMetricsCountIt(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		key := filepath.Join(t.TempDir(), "secret.key")
		flags := []string{"--database", dsn, "--secret-key-file", key, "--webhook-allow", "127.0.0.0/8"}
		p := startProvost(t, flags...)
		if strings.HasPrefix(dsn, "postgres") {
			startProvost(t, flags...)
			startProvost(t, flags...)
		}
		r := newHookReceiver(t)
		p.must(t, "directory", "create", "clients", "--kind", "scim", "--domain-policy", "off")
		token := p.must(t, "token", "create", "--directory", "clients")
		r.secret = p.must(t, "webhook", "create", "app", "--url", r.URL, "--type", "user.created")
		const users = 60
		var writing sync.WaitGroup
		for i := range users {
			writing.Go(func() {
				if err := pushTo(t.Context(), p.url, token, scimUser(fmt.Sprint("user", i), `,"active":true`)); err != nil {
					t.Error(err)
				}
			})
		}
		writing.Wait()
		await(t, "all has come", func() bool { n, _ := r.seen(); return n == users })
		await(t, "all is written down", func() bool {
			return strings.Count(p.must(t, "webhook", "deliveries", "app", "--state", "delivered", "--limit", "0", "--quiet"), "\n")+1 == users
		})
		if _, requests := r.seen(); requests != users {
			t.Errorf("%d requests for %d events", requests, users)
		}
		_, text := fetch(t, "GET", p.url+"/metrics", "", "")
		for _, want := range []string{`provost_webhooks{state="enabled"} 1`, "provost_webhook_deliveries_pending 0", `provost_webhook_attempts_total{result="failed"} 0`} {
			if !strings.Contains(text, want) {
				t.Errorf("the metrics lack %s", want)
			}
		}
	})
}
