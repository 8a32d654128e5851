package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/provost-scim/provost/store"
)

// hookBatch is what is sent to one endpoint between two writes.
type hookBatch struct {
	hook   store.Webhook
	to     *target
	cursor int64
	chains []*hookChain
	kept   []*hookDelivery // behind a pending delivery that is not of this batch
	down   bool            // the endpoint takes nothing at all, as far as is known
	full   bool            // as much is pending as may be
}

// hookChain is what is sent about one resource, in order: one that fails keeps those
// behind it.
type hookChain struct{ list []*hookDelivery }

// hookDelivery is a delivery with its body, and what became of it.
type hookDelivery struct {
	store.Delivery
	body    []byte
	tried   bool
	attempt store.Attempt
	again   time.Duration
}

// load reads what is due: deliveries that are pending, and then events, as many as there
// is room for. An endpoint that takes nothing gets one, to see whether it does again.
func (w *Webhooks) load(ctx context.Context, claimed *store.Webhook) (*hookBatch, error) {
	b := &hookBatch{}
	err := w.store.View(ctx, func(r store.Reader) error {
		hook, err := r.WebhookByKey(ctx, claimed.Key)
		if err != nil {
			return err
		}
		if hook.Fence != claimed.Fence || !hook.Enabled {
			return store.Errorf(store.CodeStale, "webhook %s is not ours any more", hook.Name)
		}
		*b = hookBatch{hook: *hook, cursor: hook.Cursor, down: hook.Failures >= downAfter}
		now, most := w.now(), eventsAtOnce
		if b.down {
			most = 1
		}
		due, err := r.DueDeliveries(ctx, hook.Key, now, most)
		if err != nil {
			return err
		}
		var fresh []store.Event
		if !b.down {
			if fresh, err = b.read(ctx, r, most-len(due)); err != nil {
				return err
			}
		}
		return b.arrange(ctx, w, r, due, fresh, now)
	})
	if err != nil {
		return nil, err
	}
	b.to, err = w.target(&b.hook)
	return b, err
}

// read reads events of the log for which there is room, and moves the place in it past
// those that the endpoint does not want.
func (b *hookBatch) read(ctx context.Context, r store.Reader, most int) ([]store.Event, error) {
	n, _, err := r.PendingDeliveries(ctx, b.hook.Key, nil)
	if err != nil {
		return nil, err
	}
	b.full = n >= mostPending
	most = min(most, mostPending-n)
	if most <= 0 {
		return nil, nil
	}
	// The end first: whatever is appended meanwhile comes after it.
	end, err := r.LastEvent(ctx, b.hook.Org)
	if err != nil {
		return nil, err
	}
	list, err := r.Events(ctx, store.EventQuery{Org: b.hook.Org, After: b.hook.Cursor, Types: b.hook.Types, Limit: most})
	if err != nil {
		return nil, err
	}
	if len(list) > 0 {
		b.cursor = list[len(list)-1].Cursor
	}
	if len(list) < most {
		b.cursor = max(b.cursor, end)
	}
	return list, nil
}

// arrange makes chains of what is due, and the bodies.
func (b *hookBatch) arrange(ctx context.Context, w *Webhooks, r store.Reader, due []store.Delivery, fresh []store.Event, now time.Time) error {
	cursors := make([]int64, len(due))
	for i := range due {
		cursors[i] = due[i].Cursor
	}
	var events []store.Event
	if len(due) > 0 {
		var err error
		if events, err = r.EventsAt(ctx, b.hook.Org, cursors); err != nil {
			return err
		}
		if len(events) != len(due) {
			return fmt.Errorf("the log has %d of %d events that are to be delivered", len(events), len(due))
		}
	}
	resources := make([]store.ID, len(fresh))
	for i := range fresh {
		resources[i] = fresh[i].Resource
	}
	_, held, err := r.PendingDeliveries(ctx, b.hook.Key, resources)
	if err != nil {
		return err
	}
	bodies, err := w.opt.Render(ctx, r, b.hook.Org, append(events, fresh...))
	if err != nil {
		return err
	}
	chains := map[store.ID]*hookChain{}
	add := func(d *hookDelivery) {
		c := chains[d.Resource]
		if c == nil {
			c = &hookChain{}
			chains[d.Resource] = c
			b.chains = append(b.chains, c)
		}
		c.list = append(c.list, d)
	}
	for i := range due {
		add(&hookDelivery{Delivery: due[i], body: bodies[i]})
	}
	for i := range fresh {
		e := &fresh[i]
		d := &hookDelivery{body: bodies[len(due)+i], Delivery: store.Delivery{
			Org: b.hook.Org, Webhook: b.hook.Key, Cursor: e.Cursor, Event: e.ID, Type: e.Type, Resource: e.Resource,
			State: store.DeliveryPending, NextAttemptAt: now, CreatedAt: now,
		}}
		if held[e.Resource] {
			b.kept = append(b.kept, d)
			continue
		}
		add(d)
	}
	return nil
}

// send posts the chains beside each other, until all is tried, time is up, the endpoint
// takes nothing more, or the program stops.
func (w *Webhooks) send(ctx context.Context, b *hookBatch) {
	until := time.Now().Add(passTime)
	failures := atomic.Int64{}
	failures.Store(int64(b.hook.Failures))
	stopped := func() bool {
		return ctx.Err() != nil || time.Now().After(until) || !b.down && failures.Load() >= downAfter
	}
	todo := make(chan *hookChain)
	var posting sync.WaitGroup
	for range min(postsAtOnce, len(b.chains)) {
		posting.Go(func() {
			for c := range todo {
				for _, d := range c.list {
					if stopped() || !w.try(ctx, b, d) {
						break
					}
					switch {
					case d.attempt.Ended():
						failures.Store(0)
						continue
					case d.Attempts == 0 || b.down:
						failures.Add(1)
					}
					break
				}
			}
		})
	}
	for _, c := range b.chains {
		todo <- c
	}
	close(todo)
	posting.Wait()
	b.hook.Failures = int(failures.Load())
}

// try posts one delivery, and reports whether that counts as an attempt.
func (w *Webhooks) try(ctx context.Context, b *hookBatch, d *hookDelivery) bool {
	d.attempt, d.again = w.post(ctx, b.to, hookMessage{id: string(d.Event), body: d.body})
	if !d.attempt.Ended() && ctx.Err() != nil {
		return false // the program stops, which is no fault of the endpoint
	}
	d.tried = true
	w.opt.Observe(d.attempt.Ended())
	return true
}

// pass is what is to be written of a batch that was sent.
func (b *hookBatch) pass(w *Webhooks) *store.Pass {
	now := w.now()
	p := &store.Pass{Webhook: b.hook.Key, Fence: b.hook.Fence, Now: now, Cursor: b.cursor, FailingSince: b.hook.FailingSince}
	delivered, failed := false, false
	for _, c := range b.chains {
		for _, d := range c.list {
			if d.tried && d.attempt.Ended() {
				delivered = true
			}
			failed = failed || d.tried && !d.attempt.Ended()
			d.note(w, now)
			p.Deliveries = append(p.Deliveries, d.Delivery)
			if why := d.givenUp(now); why != "" && p.Disable == "" {
				p.Disable = why
			}
		}
	}
	for _, d := range b.kept {
		p.Deliveries = append(p.Deliveries, d.Delivery)
	}
	p.Failures = b.hook.Failures
	switch {
	case delivered:
		p.FailingSince, p.Recovered = time.Time{}, b.down
		if failed {
			p.FailingSince = now
		}
	case failed && p.FailingSince.IsZero():
		p.FailingSince = now
	case failed && now.Sub(p.FailingSince) >= giveUpAfter && p.Disable == "":
		p.Disable = "nothing was delivered for 3 days: " + b.lastError()
	}
	switch {
	case p.Failures >= downAfter:
		p.RetryAt = now.Add(min(w.backOff(p.Failures-downAfter), longestDown))
	case b.full && len(p.Deliveries) == 0:
		p.RetryAt = now.Add(w.retry)
	}
	p.Release = p.Disable != "" || !p.RetryAt.IsZero() || len(p.Deliveries) == 0
	return p
}

// note writes down what became of a delivery.
func (d *hookDelivery) note(w *Webhooks, now time.Time) {
	if !d.tried {
		return
	}
	if d.Since.IsZero() {
		d.Since = now
	}
	d.Attempts++
	d.Tries = append(d.Tries, d.attempt)
	if more := len(d.Tries) - store.KeptAttempts; more > 0 {
		d.Tries = d.Tries[more:]
	}
	if d.attempt.Ended() {
		d.State, d.NextAttemptAt, d.EndedAt = store.DeliveryDelivered, time.Time{}, now
		return
	}
	d.NextAttemptAt = now.Add(max(w.backOff(d.Attempts-1), d.again))
}

// givenUp says why nothing more is sent, "" if it is.
func (d *hookDelivery) givenUp(now time.Time) string {
	switch {
	case !d.tried || d.attempt.Ended():
		return ""
	case d.attempt.Status == http.StatusGone: // as the specification of Standard Webhooks has it
		return "it answered 410 Gone, which says that it wants no more"
	case now.Sub(d.Since) >= giveUpAfter:
		return fmt.Sprintf("it did not take the event %s for 3 days: %s", d.Event, d.attempt.Error)
	}
	return ""
}

func (b *hookBatch) lastError() string {
	last := ""
	for _, c := range b.chains {
		for _, d := range c.list {
			if d.tried && d.attempt.Error != "" {
				last = d.attempt.Error
			}
		}
	}
	return last
}

// disabledEvent tells that an endpoint was disabled by itself.
func disabledEvent(w *store.Webhook, p *store.Pass) store.Event {
	data, err := json.Marshal(map[string]any{
		"before": map[string]any{"name": w.Name, "enabled": true}, "after": map[string]any{"name": w.Name, "enabled": false}, "reason": p.Disable,
	})
	if err != nil {
		panic(err) // it is made of plain values
	}
	return store.Event{
		Org: w.Org, Type: store.EventWebhookDisabled, Kind: "Webhook", Resource: w.ID, Data: data, Time: p.Now,
		Cause: store.Cause{Actor: store.Actor{Kind: "system"}, Reason: "webhook"},
	}
}
