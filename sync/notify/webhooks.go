package notify

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/provost-scim/provost/store"
)

const (
	hooksAtOnce    = 16   // endpoints that a process serves at a time
	eventsAtOnce   = 100  // of one endpoint between two writes
	postsAtOnce    = 8    // requests to one endpoint at a time, each about another resource
	mostPending    = 1000 // deliveries of an endpoint; then the log waits for them
	downAfter      = 5    // deliveries that fail in a row at their first attempt make the endpoint wait
	passTime       = 10 * time.Second
	turnTime       = 10 * time.Second      // of an endpoint that always has more, before others may have its place
	hookGather     = 50 * time.Millisecond // between looks at a busy log
	longestDown    = 5 * time.Minute       // between attempts at an endpoint that takes nothing
	defaultHookLog = 7 * 24 * time.Hour
)

// WebhookOptions configure [Webhooks].
type WebhookOptions struct {
	Reach Reach
	// Render makes the bodies of events of one organization.
	Render func(ctx context.Context, r store.Reader, org store.Key, events []store.Event) ([][]byte, error)
	// Seal encrypts a secret of an endpoint, and Open decrypts it.
	Seal func(plain []byte, webhook store.ID) ([]byte, error)
	Open func(sealed []byte, webhook store.ID) ([]byte, error)
	// Observe is told of each attempt; nil: nobody is.
	Observe func(delivered bool)
	Owner   string // names this process among all that share the store

	Clock  func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: nothing is logged

	Lease time.Duration // how long a silent process keeps its endpoints; 0: 30 s
	Poll  time.Duration // longest wait before looking for events that others have written; 0: 5 s
	Retry time.Duration // about how long after the first failure comes the second attempt; 0: 10 s
	Keep  time.Duration // how long the log of deliveries is kept; 0: 7 days
}

// Webhooks sends events to the endpoints of all organizations. Every replica may run
// one.
type Webhooks struct {
	worker
	opt    WebhookOptions
	client *http.Client
	idle   atomic.Bool // there is no endpoint, as far as is known: events wake nobody
	purged time.Time

	mu   sync.Mutex
	held map[store.Key]int64 // endpoints that this process serves, each with its fence
}

// NewWebhooks returns what does nothing before [Webhooks.Run].
func NewWebhooks(s Store, o WebhookOptions) *Webhooks {
	if o.Observe == nil {
		o.Observe = func(bool) {}
	}
	if o.Poll <= 0 {
		o.Poll = 5 * time.Second
	}
	if o.Keep <= 0 {
		o.Keep = defaultHookLog
	}
	return &Webhooks{
		worker: newWorker(s, o.Owner, o.Clock, o.Logger, o.Lease, o.Poll, o.Retry, 10*time.Second),
		opt:    o, client: o.Reach.client(postsAtOnce), held: map[store.Key]int64{},
	}
}

// Logged makes Run look for events, if anybody wants them. It never blocks.
func (w *Webhooks) Logged() {
	if !w.idle.Load() {
		w.Wake()
	}
}

// CheckURL refuses URLs to which nothing could ever be sent.
func (w *Webhooks) CheckURL(text string) error { return w.opt.Reach.CheckURL(text) }

// Secret makes a key to sign with, sealed, and the text that its receiver is given.
func (w *Webhooks) Secret(webhook store.ID) (sealed []byte, text string, err error) {
	key, text := newSecret()
	sealed, err = w.opt.Seal(key, webhook)
	return sealed, text, err
}

// Finding is the finding that an endpoint is disabled.
func (*Webhooks) Finding(w *store.Webhook) store.FindingKey {
	return store.FindingKey{Rule: store.RuleWebhook, Kind: "Webhook", Record: string(w.ID)}
}

// Run serves endpoints until ctx ends. Failures are logged and tried again.
func (w *Webhooks) Run(ctx context.Context) {
	var serving sync.WaitGroup
	defer w.client.CloseIdleConnections()
	defer w.release(ctx, "webhooks", func(ctx context.Context, tx store.Tx) error { return tx.ReleaseWebhooks(ctx, w.owner) })
	defer serving.Wait()
	serving.Go(func() { w.keep(ctx, "webhooks", w.renew) })
	for ctx.Err() == nil {
		w.purge(ctx)
		hooks, wait, err := w.claim(ctx)
		if err != nil {
			w.complain(ctx, "look for webhooks to serve", err)
		}
		for i := range hooks {
			serving.Go(func() {
				w.serve(ctx, &hooks[i])
				w.letGo(&hooks[i])
				w.Wake() // what came meanwhile
			})
		}
		w.sleep(ctx, wait, true)
		w.sleep(ctx, hookGather, false)
	}
}

// claim takes endpoints as long as there is room, and says how long to wait before the
// next look.
func (w *Webhooks) claim(ctx context.Context) (hooks []store.Webhook, wait time.Duration, err error) {
	w.mu.Lock()
	room := hooksAtOnce - len(w.held)
	w.mu.Unlock()
	if room == 0 {
		return nil, w.poll, nil // the first to be done wakes us
	}
	w.idle.Store(false) // before the look: what is made after it wakes us
	var a store.Agenda
	var ready, none bool
	err = w.store.View(ctx, func(r store.Reader) (err error) {
		a, ready, none, err = r.WebhookAgenda(ctx, w.now())
		return err
	})
	if err != nil {
		return nil, w.poll, err
	}
	w.idle.Store(none)
	if !ready {
		return nil, w.until(a), nil
	}
	err = w.store.Update(ctx, func(tx store.Tx) (err error) {
		hooks, err = tx.ClaimWebhooks(ctx, w.owner, w.lease, w.now(), room)
		return err
	})
	for i := range hooks {
		w.hold(&hooks[i])
	}
	return hooks, w.until(a), err
}

func (w *Webhooks) hold(hook *store.Webhook) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held[hook.Key] = hook.Fence
}

// letGo forgets an endpoint, unless it was lost and this process has claimed it again.
func (w *Webhooks) letGo(hook *store.Webhook) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[hook.Key] == hook.Fence {
		delete(w.held, hook.Key)
	}
}

// renew puts off the end of the leases of what is being served.
func (w *Webhooks) renew(ctx context.Context, tx store.Tx) error {
	w.mu.Lock()
	keys := make([]store.Key, 0, len(w.held))
	for key := range w.held {
		keys = append(keys, key)
	}
	w.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	return tx.RenewWebhooks(ctx, w.owner, keys, w.lease)
}

// serve works for one endpoint until there is nothing more to do, it is lost, or it has
// had its turn: others may wait for its place.
func (w *Webhooks) serve(ctx context.Context, hook *store.Webhook) {
	begun := w.now()
	for ctx.Err() == nil {
		b, err := w.load(ctx, hook)
		if store.CodeOf(err) == store.CodeStale || store.CodeOf(err) == store.CodeNotFound {
			return
		}
		if err != nil {
			w.complain(ctx, "read what to send to webhook "+hook.Name, err)
			return // its lease runs out, and somebody tries again
		}
		w.send(ctx, b)
		p := b.pass(w)
		p.Release = p.Release || p.Now.Sub(begun) >= turnTime
		if err := w.save(ctx, b, p); err != nil {
			if store.CodeOf(err) != store.CodeStale {
				w.complain(ctx, "write down what was sent to webhook "+hook.Name, err)
			}
			return
		}
		if p.Release {
			return
		}
	}
}

// save writes a pass, and what follows from it.
func (w *Webhooks) save(ctx context.Context, b *hookBatch, p *store.Pass) error {
	return w.insist(ctx, func(ctx context.Context, tx store.Tx) error {
		if err := tx.SavePass(ctx, p); err != nil || p.Disable == "" {
			return err
		}
		w.log.WarnContext(ctx, "a webhook is disabled", "webhook", b.hook.ID, "reason", p.Disable)
		err := tx.Open(ctx, []store.Finding{{
			FindingKey: w.Finding(&b.hook), Org: b.hook.Org, Name: b.hook.Name, OpenedAt: p.Now, SeenAt: p.Now,
			Sentence: fmt.Sprintf("the webhook %s gets no more events: %s; mend the endpoint and enable it, and it goes on where it stopped", b.hook.Name, p.Disable),
		}})
		if err != nil {
			return err
		}
		return tx.Append(ctx, []store.Event{disabledEvent(&b.hook, p)})
	})
}

// purge forgets deliveries that were done long ago.
func (w *Webhooks) purge(ctx context.Context) {
	now := w.now()
	if now.Sub(w.purged) < purgeEvery {
		return
	}
	err := w.many(ctx, func(ctx context.Context, tx store.Tx) (int, error) {
		return tx.PurgeWebhooks(ctx, now.Add(-w.opt.Keep), sweep)
	})
	if err != nil {
		w.complain(ctx, "purge deliveries", err)
		return
	}
	w.purged = now
}

// Ping sends a message of the type webhook.test to an endpoint at once, whatever its
// state, and returns what became of it.
func (w *Webhooks) Ping(ctx context.Context, hook *store.Webhook) (store.Attempt, error) {
	to, err := w.target(hook)
	if err != nil {
		return store.Attempt{}, err
	}
	now := w.now()
	body := fmt.Appendf(nil, `{"type":"webhook.test","timestamp":%q,"data":{}}`, now.Format(time.RFC3339Nano))
	a, _ := w.post(ctx, to, hookMessage{id: string(store.NewID(now)), body: body})
	return a, nil
}

// target is where to send, and the keys to sign with.
type target struct {
	url  string
	keys [][]byte
}

func (w *Webhooks) target(hook *store.Webhook) (*target, error) {
	t := &target{url: hook.URL}
	sealed := [][]byte{hook.Secret}
	if len(hook.OldSecret) > 0 && w.clock().Before(hook.OldSecretUntil) {
		sealed = append(sealed, hook.OldSecret)
	}
	for _, s := range sealed {
		key, err := w.opt.Open(s, hook.ID)
		if err != nil {
			return nil, fmt.Errorf("open the secret of webhook %s: %w", hook.Name, err)
		}
		t.keys = append(t.keys, key)
	}
	return t, nil
}
