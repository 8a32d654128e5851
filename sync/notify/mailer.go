package notify

import (
	"context"
	"log/slog"
	"math/rand/v2"
	netmail "net/mail"
	"sync"
	"time"

	"github.com/provost-scim/provost/store"
)

const (
	giveUpAfter = 3 * 24 * time.Hour  // since it was queued, a mail is not sent any more
	keepFor     = 30 * 24 * time.Hour // what became of a mail is kept
	purgeEvery  = time.Hour
	batch       = 20  // mails held at a time
	sweep       = 200 // mails of one transaction that ends many
	mostDoubled = 12  // the wait for another attempt is doubled so often: 1 min becomes 3 days
	longestWait = 6 * time.Hour

	longestPause = 5 * time.Minute // of a mail server that cannot be reached
)

// Store is what a mailer needs of a [store.Store].
type Store interface {
	View(ctx context.Context, fn func(store.Reader) error) error
	Update(ctx context.Context, fn func(store.Tx) error) error
}

// Options configure a [Mailer].
type Options struct {
	Server *Server          // nil: mails wait until they are too old
	From   *netmail.Address // the sender; required with a server
	Owner  string           // names this process among all that share the store

	Clock  func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: nothing is logged

	Lease  time.Duration // how long a silent process keeps its mails; 0: 30 s
	Poll   time.Duration // longest wait before looking for mails that others queued; 0: 30 s
	Retry  time.Duration // about how long after the first refusal comes the second attempt; 0: 1 min
	Answer time.Duration // how long a mail server may take to answer for a mail; 0: 5 min
}

// Mailer sends what is in the outbox. Every replica may run one.
type Mailer struct {
	store  Store
	opt    Options
	wakeup chan struct{} // holds one signal that there may be something to do
	purged time.Time
}

// New returns a mailer that does nothing before [Mailer.Run].
func New(s Store, o Options) *Mailer {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.Lease, 30 * time.Second}, {&o.Poll, 30 * time.Second}, {&o.Retry, time.Minute}, {&o.Answer, 5 * time.Minute}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return &Mailer{store: s, opt: o, wakeup: make(chan struct{}, 1)}
}

// Wake makes Run look for mails to send. It never blocks.
func (m *Mailer) Wake() {
	select {
	case m.wakeup <- struct{}{}:
	default:
	}
}

// Run sends mails until ctx ends; then it gives back what it has not begun to hand
// over. Failures are logged and tried again.
func (m *Mailer) Run(ctx context.Context) {
	defer m.release(ctx)
	failures := 0 // of the mail server, in a row
	for ctx.Err() == nil {
		m.sweep(ctx)
		wait, patient := m.opt.Poll, false
		switch reached, err := m.deliver(ctx); {
		case err != nil:
			m.complain(ctx, "send mails", err)
		case !reached:
			// Whatever is queued meanwhile would fail, too.
			wait, patient = min(m.backOff(failures-4), longestPause), true
			failures++
		default:
			failures = 0
			wait = m.untilNext(ctx)
		}
		m.sleep(ctx, wait, !patient)
	}
}

// sleep waits, and no longer than until Wake if that counts.
func (m *Mailer) sleep(ctx context.Context, wait time.Duration, wakes bool) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	wakeup := m.wakeup
	if !wakes {
		wakeup = nil
	}
	select {
	case <-ctx.Done():
	case <-wakeup:
	case <-timer.C:
	}
}

// untilNext is how long there is nothing to do, as far as the store knows.
func (m *Mailer) untilNext(ctx context.Context) time.Duration {
	wait := m.opt.Poll
	var a store.Agenda
	err := m.store.View(ctx, func(r store.Reader) (err error) {
		a, err = r.MailAgenda(ctx)
		return err
	})
	if err != nil {
		m.complain(ctx, "look for mails to send", err)
		return wait
	}
	if m.opt.Server != nil && !a.Next.IsZero() {
		wait = min(wait, a.Next.Sub(m.opt.Clock()))
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
func (m *Mailer) backOff(failures int) time.Duration {
	longest := m.opt.Retry
	for ; failures < 0 && longest > time.Millisecond; failures++ {
		longest /= 2
	}
	longest = min(longest<<min(failures, mostDoubled), longestWait)
	return longest*3/4 + rand.N(longest/4+1)
}

// deliver sends what is due. It reports whether the mail server could be reached.
func (m *Mailer) deliver(ctx context.Context) (reached bool, err error) {
	if m.opt.Server == nil {
		return true, nil
	}
	d := &delivery{m: m}
	defer d.close()
	for ctx.Err() == nil {
		var mails []store.Mail
		err := m.store.Update(ctx, func(tx store.Tx) (err error) {
			mails, err = tx.ClaimMails(ctx, m.opt.Owner, m.opt.Lease, m.opt.Clock(), batch)
			return err
		})
		if err != nil || len(mails) == 0 {
			return true, err
		}
		if reached, err = d.send(ctx, mails); err != nil || !reached {
			return reached, err
		}
	}
	return true, nil
}

// send sends a batch while it keeps the leases.
func (d *delivery) send(ctx context.Context, mails []store.Mail) (reached bool, err error) {
	keeping, cancel := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { d.m.keep(keeping) })
	defer keeper.Wait()
	defer cancel()
	reached = true
	for i := range mails {
		if ctx.Err() != nil {
			return true, nil // release gives the others back
		}
		if reached {
			reached, err = d.one(ctx, &mails[i])
		} else {
			err = d.m.putOff(ctx, &mails[i], d.words)
		}
		if err != nil {
			return reached, err
		}
	}
	return reached, nil
}

// keep renews the leases until ctx ends. One that is lost shows when the mail is begun.
func (m *Mailer) keep(ctx context.Context) {
	renew := time.NewTicker(max(m.opt.Lease/3, time.Millisecond))
	defer renew.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-renew.C:
		}
		err := m.store.Update(ctx, func(tx store.Tx) error { return tx.RenewMails(ctx, m.opt.Owner, m.opt.Lease) })
		if err != nil {
			m.complain(ctx, "renew the leases of mails", err)
		}
	}
}

func (m *Mailer) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := m.store.Update(ctx, func(tx store.Tx) error { return tx.ReleaseMails(ctx, m.opt.Owner) })
	if err != nil {
		m.opt.Logger.WarnContext(ctx, "could not give mails back", "error", err)
	}
}

// now is the time as both engines store it.
func (m *Mailer) now() time.Time { return m.opt.Clock().UTC().Truncate(time.Microsecond) }

func (m *Mailer) complain(ctx context.Context, doing string, err error) {
	if ctx.Err() == nil {
		m.opt.Logger.ErrorContext(ctx, "could not "+doing, "error", err)
	}
}
