package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"crypto/x509"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
	"github.com/provost-scim/provost/sync/notify"
)

// loopback lets webhooks go to the servers of tests.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// hookWorld is a store with endpoints, at a time of its own.
type hookWorld struct {
	t     *testing.T
	store *gormstore.Store
	org   store.Key

	mu    sync.Mutex
	now   time.Time
	hooks *notify.Webhooks
}

func bothHooks(t *testing.T, test func(t *testing.T, w *hookWorld)) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			w := &hookWorld{t: t, now: time.Now().UTC().Truncate(time.Microsecond)}
			var err error
			w.store, err = gormstore.Open(t.Context(), engine(t), gormstore.Options{Logged: func() {
				if w.hooks != nil {
					w.hooks.Logged()
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = w.store.Close() })
			w.view(func(r store.Reader) error {
				o, err := r.Organization(t.Context(), store.DefaultOrganization)
				if err == nil {
					w.org = o.Key
				}
				return err
			})
			test(t, w)
		})
	}
}

func (w *hookWorld) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *hookWorld) later(d time.Duration) {
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.mu.Unlock()
	w.hooks.Wake()
}

func (w *hookWorld) view(fn func(store.Reader) error) {
	w.t.Helper()
	if err := w.store.View(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *hookWorld) update(fn func(store.Tx) error) {
	w.t.Helper()
	if err := w.store.Update(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// start serves webhooks until the test or stop ends it. Secrets are not sealed.
func (w *hookWorld) start(adjust func(*notify.WebhookOptions)) (stop func()) {
	w.t.Helper()
	as := func(b []byte, _ store.ID) ([]byte, error) { return b, nil }
	o := notify.WebhookOptions{
		Reach: notify.Reach{Allow: loopback}, Owner: "tester", Clock: w.clock, Seal: as, Open: as, Retry: time.Minute,
		Render: func(_ context.Context, _ store.Reader, _ store.Key, events []store.Event) (out [][]byte, err error) {
			for _, e := range events {
				body, err := json.Marshal(map[string]any{"type": e.Type, "resource": e.Resource, "cursor": e.Cursor, "data": e.Data})
				if err != nil {
					return nil, err
				}
				out = append(out, body)
			}
			return out, nil
		},
	}
	if adjust != nil {
		adjust(&o)
	}
	hooks := notify.NewWebhooks(w.store, o)
	w.hooks = hooks
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		hooks.Run(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	w.t.Cleanup(stop)
	return stop
}

// hook makes an endpoint with a secret, and returns what its receiver is given.
func (w *hookWorld) hook(name, url string, types ...string) (*store.Webhook, string) {
	w.t.Helper()
	now := w.clock()
	h := &store.Webhook{ID: store.NewID(now), Org: w.org, Name: name, URL: url, Types: types, Enabled: true, CreatedAt: now, UpdatedAt: now}
	key, text, err := w.hooks.Secret(h.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	h.Secret = key
	w.update(func(tx store.Tx) (err error) {
		if h.Cursor, err = tx.LastEvent(w.t.Context(), w.org); err != nil {
			return err
		}
		return tx.CreateWebhook(w.t.Context(), h)
	})
	w.hooks.Wake()
	return h, text
}

// log appends one event about each resource, in one transaction each.
func (w *hookWorld) log(typ string, resources ...store.ID) {
	w.t.Helper()
	for _, id := range resources {
		w.update(func(tx store.Tx) error {
			return tx.Append(w.t.Context(), []store.Event{{
				Org: w.org, Type: typ, Kind: "User", Resource: id, Time: w.clock(), Data: json.RawMessage(`{"x":1}`),
			}})
		})
	}
}

func (w *hookWorld) again(h *store.Webhook) (got *store.Webhook) {
	w.t.Helper()
	w.view(func(r store.Reader) (err error) {
		got, err = r.WebhookByKey(w.t.Context(), h.Key)
		return err
	})
	return got
}

// deliveries are those of an endpoint in the order of their events.
func (w *hookWorld) deliveries(h *store.Webhook, state store.DeliveryState) (list []store.Delivery) {
	w.t.Helper()
	w.view(func(r store.Reader) (err error) {
		list, err = r.Deliveries(w.t.Context(), store.DeliveryQuery{Org: w.org, Webhook: h.Key, State: state})
		return err
	})
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list
}

func (w *hookWorld) until(what string, condition func() bool) {
	w.t.Helper()
	for limit := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			w.t.Fatalf("it never came that %s", what)
		}
	}
}

// received is one request to a receiver.
type received struct {
	header http.Header
	path   string
	body   []byte

	Type     string   `json:"type"`
	Resource store.ID `json:"resource"`
	Cursor   int64    `json:"cursor"`
}

// receiver is an endpoint over TLS.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(*received, http.ResponseWriter) // nil: 204
	got    []received
}

func newReceiver(t *testing.T, answer func(*received, http.ResponseWriter)) *receiver {
	r := &receiver{answer: answer}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		m := received{header: q.Header, path: q.URL.Path, body: body}
		if err := json.Unmarshal(body, &m); err != nil {
			t.Errorf("%v in %s", err, body)
		}
		r.mu.Lock()
		r.got = append(r.got, m)
		answer := r.answer
		r.mu.Unlock()
		if answer == nil {
			rw.WriteHeader(http.StatusNoContent)
			return
		}
		answer(&m, rw)
	}))
	t.Cleanup(r.Close)
	return r
}

// roots trusts the receiver.
func (r *receiver) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}))
	return pool
}

func (r *receiver) then(answer func(*received, http.ResponseWriter)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

// of are the requests about a resource.
func (r *receiver) of(id store.ID) (list []received) {
	for _, m := range r.all() {
		if m.Resource == id {
			list = append(list, m)
		}
	}
	return list
}

// journal is what was logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// sqlite opens the world on SQLite, where the engine does not matter.
func (w *hookWorld) sqlite(t *testing.T) {
	t.Helper()
	*w = hookWorld{t: t, now: time.Now().UTC().Truncate(time.Microsecond)}
	var err error
	w.store, err = gormstore.Open(t.Context(), engines["sqlite"](t), gormstore.Options{Logged: func() { w.hooks.Logged() }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	w.view(func(r store.Reader) error {
		o, err := r.Organization(t.Context(), store.DefaultOrganization)
		if err == nil {
			w.org = o.Key
		}
		return err
	})
}
