package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// newWebhook makes an endpoint that begins at the end of the log.
func (e *env) newWebhook(name string, types ...string) *store.Webhook {
	e.Helper()
	w := &store.Webhook{
		ID: store.NewID(e.now), Org: e.org, Name: name, URL: "https://" + name + ".test/", Types: types, Enabled: true, Secret: []byte("sealed"),
		Cursor: got(e, func(r store.Reader) (int64, error) { return r.LastEvent(e.Context(), e.org) }), CreatedAt: e.now, UpdatedAt: e.now,
	}
	e.update(func(t store.Tx) error { return t.CreateWebhook(e.Context(), w) })
	return w
}

// happen appends an event about each resource and returns them as they are read.
func (e *env) happen(after int64, resources ...store.ID) []store.Event {
	e.Helper()
	e.update(func(t store.Tx) error {
		var list []store.Event
		for _, id := range resources {
			list = append(list, e.event(id, "{}"))
		}
		return t.Append(e.Context(), list)
	})
	return e.events(store.EventQuery{Org: e.org, After: after})
}

func (e *env) claimWebhooks(owner string, lease time.Duration) (list []store.Webhook) {
	e.Helper()
	e.update(func(t store.Tx) (err error) {
		list, err = t.ClaimWebhooks(e.Context(), owner, lease, e.now, 10)
		return err
	})
	return list
}

// deliveryOf is a delivery of an event that is to be tried at a time.
func deliveryOf(w *store.Webhook, v *store.Event, at time.Time) store.Delivery {
	return store.Delivery{
		Org: w.Org, Webhook: w.Key, Cursor: v.Cursor, Event: v.ID, Type: v.Type, Resource: v.Resource,
		State: store.DeliveryPending, NextAttemptAt: at, CreatedAt: v.Time,
	}
}

// passed claims an endpoint and writes deliveries of it.
func (e *env) passed(w *store.Webhook, list ...store.Delivery) {
	e.Helper()
	claimed := e.claimWebhooks("worker", time.Minute)
	if len(claimed) != 1 || claimed[0].Key != w.Key {
		e.Fatalf("claimed %+v", claimed)
	}
	e.update(func(t store.Tx) error {
		return t.SavePass(e.Context(), &store.Pass{
			Webhook: w.Key, Fence: claimed[0].Fence, Now: e.now, Cursor: list[len(list)-1].Cursor, Deliveries: list, Release: true,
		})
	})
}

func (e *env) due(w *store.Webhook, now time.Time) (cursors []int64) {
	e.Helper()
	for _, d := range got(e, func(r store.Reader) ([]store.Delivery, error) { return r.DueDeliveries(e.Context(), w.Key, now, 100) }) {
		cursors = append(cursors, d.Cursor)
	}
	return cursors
}

func (e *env) allDeliveries(w *store.Webhook) []store.Delivery {
	e.Helper()
	return got(e, func(r store.Reader) ([]store.Delivery, error) {
		return r.Deliveries(e.Context(), store.DeliveryQuery{Org: w.Org, Webhook: w.Key})
	})
}

var webhooks = map[string]func(*env){
	"a webhook is found by name and id, in its organization, and its name is its own": func(e *env) {
		w := e.newWebhook("App", "user.*", "run.held")
		for _, ref := range []string{"aPP", string(w.ID)} {
			if diff := cmp.Diff(w, got(e, func(r store.Reader) (*store.Webhook, error) { return r.Webhook(e.Context(), e.org, ref) })); diff != "" {
				e.Errorf("by %s (-want +got):\n%s", ref, diff)
			}
		}
		other := e.organization("other")
		absent(e, func(r store.Reader) (*store.Webhook, error) { return r.Webhook(e.Context(), other, "app") })
		again := *w
		again.ID = store.NewID(e.now)
		e.refused(store.CodeUniqueness, func(t store.Tx) error { return t.CreateWebhook(e.Context(), &again) })
		again.Org = other
		e.update(func(t store.Tx) error { return t.CreateWebhook(e.Context(), &again) })
		e.update(func(t store.Tx) error { return t.DeleteWebhook(e.Context(), e.org, w.Key, e.now) })
		absent(e, func(r store.Reader) (*store.Webhook, error) { return r.Webhook(e.Context(), e.org, "app") })
		e.newWebhook("app")
	},
	"of changes at the same time one is refused": func(e *env) {
		w := e.newWebhook("app")
		stale := *w
		w.URL, w.Types, w.OldSecret, w.OldSecretUntil = "https://new.test/", []string{"user.*"}, []byte("old"), e.now.Add(time.Hour)
		e.update(func(t store.Tx) error { return t.UpdateWebhook(e.Context(), w) })
		if diff := cmp.Diff(w, got(e, func(r store.Reader) (*store.Webhook, error) { return r.WebhookByKey(e.Context(), w.Key) })); diff != "" {
			e.Errorf("changed (-want +got):\n%s", diff)
		}
		e.refused(store.CodeStale, func(t store.Tx) error { return t.UpdateWebhook(e.Context(), &stale) })
	},
	"a webhook is claimed by one when there is something to do, until its lease ends": func(e *env) {
		w := e.newWebhook("app")
		if list := e.claimWebhooks("a", time.Minute); len(list) != 0 {
			e.Errorf("without an event %+v was claimed", list)
		}
		last := e.happen(w.Cursor, store.NewID(e.now))[0].Cursor
		first := e.claimWebhooks("a", 0) // its lease runs out at once
		if len(first) != 1 || first[0].Fence != 1 {
			e.Fatalf("claimed %+v", first)
		}
		e.until("the lease has run out", func() bool { return len(e.claimWebhooks("b", time.Hour)) == 1 })
		if list := e.claimWebhooks("c", time.Hour); len(list) != 0 {
			e.Errorf("claimed twice: %+v", list)
		}
		pass := &store.Pass{Webhook: w.Key, Fence: first[0].Fence, Now: e.now, Cursor: last, Release: true}
		e.refused(store.CodeStale, func(t store.Tx) error { return t.SavePass(e.Context(), pass) })
		pass.Fence = got(e, func(r store.Reader) (*store.Webhook, error) { return r.WebhookByKey(e.Context(), w.Key) }).Fence
		e.update(func(t store.Tx) error { return t.SavePass(e.Context(), pass) })
		if list := e.claimWebhooks("c", time.Hour); len(list) != 0 {
			e.Errorf("at the end of the log %+v was claimed", list)
		}
	},
	"what is due is the first of each resource with what is behind it": func(e *env) {
		w := e.newWebhook("app")
		a, b := store.NewID(e.now), store.NewID(e.now)
		v := e.happen(w.Cursor, a, b, a, b)
		e.passed(w, deliveryOf(w, &v[0], e.now.Add(time.Hour)), deliveryOf(w, &v[1], e.now), deliveryOf(w, &v[2], e.now), deliveryOf(w, &v[3], e.now))
		if diff := cmp.Diff([]int64{v[1].Cursor, v[3].Cursor}, e.due(w, e.now)); diff != "" {
			e.Errorf("now due (-want +got):\n%s", diff)
		}
		n, held, err := 0, map[store.ID]bool(nil), error(nil)
		e.view(func(r store.Reader) error {
			n, held, err = r.PendingDeliveries(e.Context(), w.Key, []store.ID{a, store.NewID(e.now)})
			return err
		})
		if diff := cmp.Diff(map[store.ID]bool{a: true}, held); n != 4 || diff != "" {
			e.Errorf("%d are pending; held (-want +got):\n%s", n, diff)
		}
		done := deliveryOf(w, &v[1], time.Time{})
		done.State, done.Attempts, done.EndedAt = store.DeliveryDelivered, 1, e.now
		done.Tries = []store.Attempt{{At: e.now, Status: 200, Millis: 5, Response: "ok"}}
		e.passed(w, done, deliveryOf(w, &v[3], e.now.Add(time.Hour)))
		e.view(func(r store.Reader) error {
			agenda, ready, none, err := r.WebhookAgenda(e.Context(), e.now)
			if ready || none || agenda.Held || !agenda.Next.Equal(e.now.Add(time.Hour)) {
				e.Errorf("agenda %+v, ready: %t, none: %t", agenda, ready, none)
			}
			return err
		})
		list := e.allDeliveries(w)
		var read store.Delivery
		for _, d := range list {
			if d.Cursor == v[1].Cursor {
				read = d
			}
		}
		done.Key, done.ID = read.Key, read.ID
		if diff := cmp.Diff(done, read); diff != "" || len(list) != 4 {
			e.Errorf("%d deliveries; read back (-want +got):\n%s", len(list), diff)
		}
		e.update(func(t store.Tx) error { return t.Redeliver(e.Context(), e.org, w.Key, read.ID, e.now) })
		if diff := cmp.Diff([]int64{v[1].Cursor, v[3].Cursor}, e.due(w, e.now)); diff != "" {
			e.Errorf("redelivered (-want +got):\n%s", diff)
		}
		other := e.organization("other")
		e.refused(store.CodeNotFound, func(t store.Tx) error { return t.Redeliver(e.Context(), other, w.Key, read.ID, e.now) })
		events := got(e, func(r store.Reader) ([]store.Event, error) {
			return r.EventsAt(e.Context(), e.org, []int64{v[3].Cursor, v[0].Cursor})
		})
		if diff := cmp.Diff([]store.Event{v[0], v[3]}, events); diff != "" {
			e.Errorf("events (-want +got):\n%s", diff)
		}
	},
	"who moves or disables a webhook takes it from its worker": func(e *env) {
		w := e.newWebhook("app")
		v := e.happen(w.Cursor, store.NewID(e.now), store.NewID(e.now))
		e.passed(w, deliveryOf(w, &v[0], e.now.Add(time.Hour)))
		for name, change := range map[string]func(store.Tx) error{
			"moved": func(t store.Tx) error { return t.MoveWebhook(e.Context(), e.org, w.Key, v[0].Cursor, e.now) },
			"disabled": func(t store.Tx) error {
				w, err := t.WebhookByKey(e.Context(), w.Key)
				if err != nil {
					return err
				}
				w.Enabled = false
				return t.UpdateWebhook(e.Context(), w)
			},
		} {
			claimed := e.claimWebhooks("worker", time.Hour)
			if len(claimed) != 1 {
				e.Fatalf("%s: claimed %+v", name, claimed)
			}
			e.update(change)
			pass := &store.Pass{Webhook: w.Key, Fence: claimed[0].Fence, Now: e.now, Cursor: v[1].Cursor}
			e.refused(store.CodeStale, func(t store.Tx) error { return t.SavePass(e.Context(), pass) })
			e.update(func(t store.Tx) error {
				w, err := t.WebhookByKey(e.Context(), w.Key)
				if err != nil {
					return err
				}
				w.Enabled = true
				if err := t.UpdateWebhook(e.Context(), w); err != nil {
					return err
				}
				return t.EnableWebhook(e.Context(), e.org, w.Key, e.now)
			})
		}
		if d := e.allDeliveries(w)[0]; d.State != store.DeliveryDropped || !d.NextAttemptAt.IsZero() {
			e.Errorf("what was pending when it was moved is %+v", d)
		}
	},
	"old deliveries are purged, and a deleted webhook with all of its own": func(e *env) {
		w := e.newWebhook("app")
		v := e.happen(w.Cursor, store.NewID(e.now), store.NewID(e.now), store.NewID(e.now))
		old, fresh, pending := deliveryOf(w, &v[0], time.Time{}), deliveryOf(w, &v[1], time.Time{}), deliveryOf(w, &v[2], e.now.Add(time.Hour))
		old.State, fresh.State = store.DeliveryDelivered, store.DeliveryDelivered
		old.CreatedAt, pending.CreatedAt = e.now.Add(-time.Hour), e.now.Add(-time.Hour)
		e.passed(w, old, fresh, pending)
		purge := func() (n int) {
			e.update(func(t store.Tx) (err error) {
				n, err = t.PurgeWebhooks(e.Context(), e.now.Add(-time.Minute), 100)
				return err
			})
			return n
		}
		if n := purge(); n != 1 || len(e.allDeliveries(w)) != 2 {
			e.Errorf("%d were purged, %d are left", n, len(e.allDeliveries(w)))
		}
		b := got(e, func(r store.Reader) (store.Backlog, error) { return r.Backlog(e.Context()) })
		if diff := cmp.Diff(store.Backlog{Enabled: 1, Pending: 1, Oldest: e.now.Add(-time.Hour)}, b); diff != "" {
			e.Errorf("backlog (-want +got):\n%s", diff)
		}
		e.update(func(t store.Tx) error { return t.DeleteWebhook(e.Context(), e.org, w.Key, e.now) })
		if n := purge(); n != 2 || purge() != 0 || len(e.allDeliveries(w)) != 0 {
			e.Errorf("%d were purged with the webhook, %d are left", n, len(e.allDeliveries(w)))
		}
		e.view(func(r store.Reader) error {
			if _, _, none, err := r.WebhookAgenda(e.Context(), e.now); !none || err != nil {
				e.Errorf("there is still one: %v", err)
			}
			return nil
		})
	},
}

// until waits for a condition that the database's clock decides.
func (e *env) until(what string, condition func() bool) {
	e.Helper()
	for limit := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			e.Fatalf("it never came that %s", what)
		}
	}
}
