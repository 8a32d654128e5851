package notify_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/notify"
)

func ids(n int) []store.ID {
	list := make([]store.ID, n)
	for i := range list {
		list[i] = store.NewID(time.Now())
	}
	return list
}

// verified checks a request as a receiver would, with the library of the specification.
func verified(t *testing.T, secret string, m *received) error {
	t.Helper()
	v, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(m.body, m.header)
}

func TestEventsArriveOnceSignedAndInTheOrderOfTheirResource(t *testing.T) {
	bothHooks(t, func(t *testing.T, w *hookWorld) {
		r := newReceiver(t, nil)
		w.log("user.created", ids(1)...) // before there was an endpoint
		w.start(func(o *notify.WebhookOptions) { o.Reach.Roots = r.roots() })
		h, secret := w.hook("app", r.URL, "user.*")
		people := ids(5)
		const rounds = 30
		for range rounds {
			w.log("user.updated", people...)
			w.log("group.updated", people[0]) // nobody asked for it
		}
		w.until("all has come", func() bool { return len(r.all()) >= rounds*len(people) })
		w.until("all is written down", func() bool { return len(w.deliveries(h, store.DeliveryDelivered)) == rounds*len(people) })
		seen := map[string]bool{}
		for _, id := range people {
			last := int64(0)
			for _, m := range r.of(id) {
				if m.Cursor <= last {
					t.Errorf("of %s the event %d comes after %d", id, m.Cursor, last)
				}
				last = m.Cursor
			}
		}
		for _, m := range r.all() {
			if err := verified(t, secret, &m); err != nil {
				t.Fatalf("their own library does not verify a request: %v", err)
			}
			if id := m.header.Get("Webhook-Id"); seen[id] || m.Type != "user.updated" || m.header.Get("Content-Type") != "application/json" {
				t.Errorf("the request %s of type %s came twice, or is not right: %v", id, m.Type, m.header)
			}
			seen[m.header.Get("Webhook-Id")] = true
		}
		if _, other := w.hook("other", r.URL, "token.*"); verified(t, other, &r.all()[0]) == nil {
			t.Error("the secret of another endpoint verifies it, too")
		}
		w.until("the cursor is at the end", func() bool {
			var end int64
			w.view(func(r store.Reader) (err error) {
				end, err = r.LastEvent(t.Context(), w.org)
				return err
			})
			return w.again(h).Cursor == end
		})
		for _, d := range w.deliveries(h, "") {
			if d.Attempts != 1 || len(d.Tries) != 1 || d.Tries[0].Status != 204 || d.EndedAt.IsZero() {
				t.Fatalf("a delivery is %+v", d)
			}
		}
	})
}

func TestADeliveryThatFailsHoldsLaterOnesOfItsResourceAndNoOthers(t *testing.T) {
	bothHooks(t, func(t *testing.T, w *hookWorld) {
		people := ids(3)
		bad := people[0]
		r := newReceiver(t, func(m *received, rw http.ResponseWriter) {
			if m.Resource == bad {
				http.Error(rw, "no \x00 such \xff"+strings.Repeat("x", 5000), http.StatusInternalServerError)
			}
		})
		w.start(func(o *notify.WebhookOptions) { o.Reach.Roots = r.roots() })
		h, secret := w.hook("app", r.URL)
		for range 4 {
			w.log("user.updated", people...)
		}
		w.until("all others have come", func() bool { return len(w.deliveries(h, store.DeliveryDelivered)) == 8 })
		w.until("what is behind it is held", func() bool { return len(w.deliveries(h, store.DeliveryPending)) == 4 })
		if n := len(r.of(bad)); n != 1 {
			t.Errorf("the failing resource was tried %d times", n)
		}
		first := w.deliveries(h, store.DeliveryPending)[0]
		if a := first.Tries[0]; a.Status != 500 || !strings.HasPrefix(a.Response, "no \uFFFD such \uFFFD") || len(a.Response) > 1024 {
			t.Errorf("the attempt is %+v", a)
		}
		if wait := first.NextAttemptAt.Sub(w.clock()); wait < 45*time.Second || wait > time.Minute {
			t.Errorf("the second attempt is after %s", wait)
		}
		for tries, about := 1, time.Minute; tries < 6; tries, about = tries+1, 2*about { // back-off
			w.later(about)
			w.until("it was tried again", func() bool { return w.deliveries(h, store.DeliveryPending)[0].Attempts == tries+1 })
			wait := w.deliveries(h, store.DeliveryPending)[0].NextAttemptAt.Sub(w.clock())
			if wait < about*3/2 || wait > 2*about {
				t.Errorf("after attempt %d the wait is %s, want about %s", tries+1, wait, 2*about)
			}
		}
		w.log("user.updated", people...)
		w.until("others come all the while", func() bool { return len(w.deliveries(h, store.DeliveryDelivered)) == 10 })
		r.then(nil)
		w.later(time.Hour)
		w.until("all has come", func() bool { return len(w.deliveries(h, store.DeliveryDelivered)) == 15 })
		var cursors []int64
		sent := map[string]bool{}
		for _, m := range r.of(bad) {
			if id := m.header.Get("Webhook-Id"); !sent[id] {
				sent[id] = true
				cursors = append(cursors, m.Cursor)
			}
			if err := verified(t, secret, &m); err != nil && time.Until(w.clock()) < time.Minute {
				t.Error(err)
			}
		}
		if len(cursors) != 5 {
			t.Errorf("of the failing resource came the events %v, each with one id", cursors)
		}
		for i := 1; i < len(cursors); i++ {
			if cursors[i] <= cursors[i-1] {
				t.Errorf("out of order: %v", cursors)
			}
		}
	})
}

func TestAnEndpointThatIsAwayIsAskedNowAndThenAndCostsFewRows(t *testing.T) {
	bothHooks(t, func(t *testing.T, w *hookWorld) {
		away := func(_ *received, rw http.ResponseWriter) { rw.WriteHeader(http.StatusBadGateway) }
		r := newReceiver(t, away)
		w.start(func(o *notify.WebhookOptions) { o.Reach.Roots = r.roots() })
		h, _ := w.hook("app", r.URL)
		people := ids(300)
		w.log("user.created", people...)
		w.until("it is left alone", func() bool { return !w.again(h).RetryAt.IsZero() })
		w.log("user.updated", people...)
		asked := len(r.all())
		if asked > 5+8 { // those that were on their way
			t.Errorf("%d requests were made before it was left alone", asked)
		}
		for i := range 3 {
			w.later(6 * time.Minute)
			w.until("it is asked once", func() bool { return len(r.all()) == asked+i+1 })
			w.until("it is left alone again", func() bool { return w.again(h).RetryAt.After(w.clock()) })
		}
		if n := len(w.deliveries(h, "")); n > 100 {
			t.Errorf("%d rows were written for an endpoint that is away", n)
		}
		r.then(nil)
		w.later(6 * time.Minute)
		w.until("all has come", func() bool { return len(w.deliveries(h, store.DeliveryDelivered)) == 600 })
		if got := w.again(h); !got.FailingSince.IsZero() || got.Failures != 0 || !got.RetryAt.IsZero() {
			t.Errorf("afterwards it is %+v", got)
		}
	})
}

func TestAfterThreeDaysAnEndpointIsDisabledAndGoesOnWhereItStoppedWhenEnabled(t *testing.T) {
	bothHooks(t, func(t *testing.T, w *hookWorld) {
		people := ids(2)
		r := newReceiver(t, func(m *received, rw http.ResponseWriter) {
			if m.Resource == people[0] {
				rw.WriteHeader(http.StatusBadRequest)
			}
		})
		logged := &journal{}
		w.start(func(o *notify.WebhookOptions) {
			o.Reach.Roots, o.Logger = r.roots(), slog.New(slog.NewTextHandler(logged, nil))
		})
		h, _ := w.hook("app", r.URL, "user.*")
		w.log("user.created", people...)
		w.until("one is delivered", func() bool { return len(w.deliveries(h, store.DeliveryDelivered)) == 1 })
		tried := func() int { return w.deliveries(h, "")[0].Attempts }
		for elapsed := time.Duration(0); elapsed < 72*time.Hour; elapsed += 7 * time.Hour { // the wait is at most six hours
			n := tried()
			w.later(7 * time.Hour)
			w.until("it was tried again", func() bool { return tried() > n })
			if elapsed < 63*time.Hour && !w.again(h).Enabled {
				t.Fatalf("it is disabled after %s", elapsed)
			}
		}
		w.until("it is disabled", func() bool { return !w.again(h).Enabled })
		w.log("user.updated", people...)
		var findings []store.Finding
		var events []store.Event
		w.view(func(r store.Reader) (err error) {
			if findings, err = r.Findings(t.Context(), store.FindingQuery{Org: w.org, Open: true}); err != nil {
				return err
			}
			events, err = r.Events(t.Context(), store.EventQuery{Org: w.org, Types: []string{store.EventWebhookDisabled}})
			return err
		})
		if len(findings) != 1 || findings[0].Rule != store.RuleWebhook || !strings.Contains(findings[0].Sentence, "for 3 days: 400 Bad Request") {
			t.Errorf("findings %+v", findings)
		}
		if len(events) != 1 || events[0].Resource != h.ID || !strings.Contains(string(events[0].Data), "3 days") {
			t.Errorf("events %+v", events)
		}
		if !strings.Contains(logged.String(), "a webhook is disabled") {
			t.Errorf("the log says nothing:\n%s", logged)
		}
		r.then(nil)
		n := len(r.of(people[0]))
		now := w.clock()
		w.update(func(tx store.Tx) error {
			again, err := tx.WebhookByKey(t.Context(), h.Key)
			if err != nil {
				return err
			}
			again.Enabled, again.DisabledReason, again.DisabledAt, again.UpdatedAt = true, "", time.Time{}, now
			if err := tx.UpdateWebhook(t.Context(), again); err != nil {
				return err
			}
			return tx.EnableWebhook(t.Context(), w.org, h.Key, now)
		})
		w.hooks.Wake()
		w.until("all has come", func() bool { return len(w.deliveries(h, store.DeliveryDelivered)) == 4 })
		if again := r.of(people[0])[n:]; len(again) != 2 || again[0].Type != "user.created" || again[1].Type != "user.updated" {
			t.Errorf("after it was enabled came %+v", again)
		}
	})
}

func TestAnEndpointThatIsGoneGetsNothingMore(t *testing.T) {
	bothHooks(t, func(t *testing.T, w *hookWorld) {
		r := newReceiver(t, func(_ *received, rw http.ResponseWriter) { rw.WriteHeader(http.StatusGone) })
		w.start(func(o *notify.WebhookOptions) { o.Reach.Roots = r.roots() })
		h, _ := w.hook("app", r.URL)
		w.log("user.created", ids(1)...)
		w.until("it is disabled", func() bool { return !w.again(h).Enabled })
		if reason := w.again(h).DisabledReason; !strings.Contains(reason, "410") {
			t.Errorf("the reason is %q", reason)
		}
		w.update(func(tx store.Tx) error { // what a person read before must not enable it again unseen
			if err := tx.UpdateWebhook(t.Context(), h); store.CodeOf(err) != store.CodeStale {
				t.Errorf("a change of what it was before is %v", err)
			}
			return nil
		})
	})
}

func TestWhileASecretIsRotatedBothVerifyAndThenOnlyTheNewOne(t *testing.T) {
	bothHooks(t, func(t *testing.T, w *hookWorld) {
		r := newReceiver(t, nil)
		w.start(func(o *notify.WebhookOptions) { o.Reach.Roots = r.roots() })
		h, old := w.hook("app", r.URL)
		key, fresh, err := w.hooks.Secret(h.ID)
		if err != nil {
			t.Fatal(err)
		}
		h.OldSecret, h.OldSecretUntil, h.Secret = h.Secret, w.clock().Add(time.Minute), key
		w.update(func(tx store.Tx) error { return tx.UpdateWebhook(t.Context(), h) })
		sent := func() (m received, oldGood, newGood bool) {
			n := len(r.all())
			w.log("user.created", ids(1)...)
			w.until("it came", func() bool { return len(r.all()) == n+1 })
			m = r.all()[n]
			return m, verified(t, old, &m) == nil, verified(t, fresh, &m) == nil
		}
		if m, oldGood, newGood := sent(); !oldGood || !newGood || strings.Count(m.header.Get("Webhook-Signature"), "v1,") != 2 {
			t.Errorf("during the overlap the old secret verifies: %t, the new one: %t", oldGood, newGood)
		}
		w.later(2 * time.Minute)
		if _, oldGood, newGood := sent(); oldGood || !newGood {
			t.Errorf("after the overlap the old secret verifies: %t, the new one: %t", oldGood, newGood)
		}
	})
}

func TestWhatAnEndpointAsksForWithRetryAfterIsBelieved(t *testing.T) {
	for value, want := range map[string]time.Duration{"7200": 2 * time.Hour, "-1": time.Minute, "99999999999999999999": time.Minute, "1000000": 6 * time.Hour, "soon": time.Minute} {
		t.Run(fmt.Sprint(value), func(t *testing.T) {
			w := &hookWorld{}
			w.sqlite(t)
			r := newReceiver(t, func(_ *received, rw http.ResponseWriter) {
				rw.Header().Set("Retry-After", value)
				rw.WriteHeader(http.StatusServiceUnavailable)
			})
			w.start(func(o *notify.WebhookOptions) { o.Reach.Roots = r.roots() })
			h, _ := w.hook("app", r.URL)
			w.log("user.created", ids(1)...)
			w.until("it was tried", func() bool { return len(w.deliveries(h, store.DeliveryPending)) == 1 })
			if wait := w.deliveries(h, store.DeliveryPending)[0].NextAttemptAt.Sub(w.clock()); wait > want || wait < want*3/4-time.Second {
				t.Errorf("the next attempt is after %s, want %s", wait, want)
			}
		})
	}
}

func TestTwoProcessesDeliverEachEventOnce(t *testing.T) {
	bothHooks(t, func(t *testing.T, w *hookWorld) {
		r := newReceiver(t, nil)
		roots := func(o *notify.WebhookOptions) { o.Reach.Roots, o.Poll = r.roots(), 20*time.Millisecond }
		w.start(roots)
		first := w.hooks
		w.start(func(o *notify.WebhookOptions) { roots(o); o.Owner = "another" })
		const n = 4
		var hooks []*store.Webhook
		for i := range n {
			h, _ := w.hook(fmt.Sprint("app", i), r.URL)
			hooks = append(hooks, h)
		}
		people := ids(10)
		for range 20 {
			w.log("user.updated", people...)
			first.Wake()
		}
		for _, h := range hooks {
			w.until("all has come", func() bool { return len(w.deliveries(h, store.DeliveryDelivered)) == 200 })
		}
		if diff := cmp.Diff(n*200, len(r.all())); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}
