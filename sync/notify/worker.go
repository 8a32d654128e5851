package notify

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/provost-scim/provost/store"
)

const (
	giveUpAfter = 3 * 24 * time.Hour // what could not be sent for so long is not tried any more
	mostDoubled = 20                 // the wait for another attempt is doubled at most so often
	longestWait = 6 * time.Hour
	insistFor   = 10 * time.Second // the store is asked again to take what became of something
)

// worker is what a [Mailer] and [Webhooks] have in common: it looks for what is due in
// the store when it is woken, when the next attempt is due, when a lease runs out, and
// now and then for what other replicas have caused.
type worker struct {
	store  Store
	owner  string
	clock  func() time.Time
	log    *slog.Logger
	lease  time.Duration
	poll   time.Duration
	retry  time.Duration
	wakeup chan struct{} // holds one signal that there may be something to do
}

func newWorker(s Store, owner string, clock func() time.Time, log *slog.Logger, lease, poll, retry, defaultRetry time.Duration) worker {
	if clock == nil {
		clock = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&lease, 30 * time.Second}, {&poll, 30 * time.Second}, {&retry, defaultRetry}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return worker{store: s, owner: owner, clock: clock, log: log, lease: lease, poll: poll, retry: retry, wakeup: make(chan struct{}, 1)}
}

// Wake makes Run look for something to send. It never blocks.
func (w *worker) Wake() {
	select {
	case w.wakeup <- struct{}{}:
	default:
	}
}

// sleep waits, and no longer than until Wake if that counts.
func (w *worker) sleep(ctx context.Context, wait time.Duration, wakes bool) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	wakeup := w.wakeup
	if !wakes {
		wakeup = nil
	}
	select {
	case <-ctx.Done():
	case <-wakeup:
	case <-timer.C:
	}
}

// until is how long an agenda has nothing to do.
func (w *worker) until(a store.Agenda) time.Duration {
	wait := w.poll
	if !a.Next.IsZero() {
		wait = min(wait, a.Next.Sub(w.clock()))
	}
	if a.Held {
		wait = min(wait, a.Lapse)
	}
	const least = 10 * time.Millisecond // another process may just be about to take it
	return max(wait, least)
}

// backOff is how long to wait after so many failures: Retry, doubled by each, of which
// a random part is taken so that those who failed together do not come back together.
// Fewer than 0 failures shorten it.
func (w *worker) backOff(failures int) time.Duration {
	longest := w.retry
	for ; failures < 0 && longest > time.Millisecond; failures++ {
		longest /= 2
	}
	for ; failures > 0 && longest < longestWait; failures-- {
		longest *= 2
	}
	longest = min(longest, longestWait)
	return longest*3/4 + rand.N(longest/4+1)
}

// keep renews leases until ctx ends. One that is lost shows when something is written.
func (w *worker) keep(ctx context.Context, what string, renew func(context.Context, store.Tx) error) {
	tick := time.NewTicker(max(w.lease/3, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := w.store.Update(ctx, func(tx store.Tx) error { return renew(ctx, tx) }); err != nil {
			w.complain(ctx, "renew the leases of "+what, err)
		}
	}
}

// release gives back what is held when the program stops.
func (w *worker) release(ctx context.Context, what string, fn func(context.Context, store.Tx) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := w.store.Update(ctx, func(tx store.Tx) error { return fn(ctx, tx) }); err != nil {
		w.log.WarnContext(ctx, "could not give back "+what, "error", err)
	}
}

// insist runs fn in a transaction, again for a while if the database is away: what is
// known of what was sent must not be lost, even if the program is to stop.
func (w *worker) insist(ctx context.Context, fn func(context.Context, store.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), insistFor)
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		err := w.store.Update(ctx, func(tx store.Tx) error { return fn(ctx, tx) })
		switch store.CodeOf(err) {
		case "", store.CodeStale, store.CodeNotFound:
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

// many runs a transaction that ends some until there are no more.
func (w *worker) many(ctx context.Context, some func(context.Context, store.Tx) (int, error)) error {
	for {
		var n int
		err := w.store.Update(ctx, func(tx store.Tx) (err error) {
			n, err = some(ctx, tx)
			return err
		})
		if err != nil || n < sweep {
			return err
		}
	}
}

// now is the time as both engines store it.
func (w *worker) now() time.Time { return w.clock().UTC().Truncate(time.Microsecond) }

func (w *worker) complain(ctx context.Context, doing string, err error) {
	if ctx.Err() == nil {
		w.log.ErrorContext(ctx, "could not "+doing, "error", err)
	}
}
