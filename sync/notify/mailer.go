package notify

import (
	"context"
	"log/slog"
	netmail "net/mail"
	"sync"
	"time"

	"github.com/provost-scim/provost/store"
)

const (
	keepFor    = 30 * 24 * time.Hour // what became of a mail is kept
	purgeEvery = time.Hour
	batch      = 20  // mails held at a time
	sweep      = 200 // mails of one transaction that ends many

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
	worker
	server *Server
	from   *netmail.Address
	answer time.Duration
	purged time.Time
}

// New returns a mailer that does nothing before [Mailer.Run].
func New(s Store, o Options) *Mailer {
	if o.Answer <= 0 {
		o.Answer = 5 * time.Minute
	}
	return &Mailer{
		worker: newWorker(s, o.Owner, o.Clock, o.Logger, o.Lease, o.Poll, o.Retry, time.Minute),
		server: o.Server, from: o.From, answer: o.Answer,
	}
}

// Run sends mails until ctx ends; then it gives back what it has not begun to hand
// over. Failures are logged and tried again.
func (m *Mailer) Run(ctx context.Context) {
	defer m.release(ctx, "mails", func(ctx context.Context, tx store.Tx) error { return tx.ReleaseMails(ctx, m.owner) })
	failures := 0 // of the mail server, in a row
	for ctx.Err() == nil {
		m.sweep(ctx)
		wait, patient := m.poll, false
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

// untilNext is how long there is nothing to do, as far as the store knows.
func (m *Mailer) untilNext(ctx context.Context) time.Duration {
	var a store.Agenda
	err := m.store.View(ctx, func(r store.Reader) (err error) {
		a, err = r.MailAgenda(ctx)
		return err
	})
	if err != nil {
		m.complain(ctx, "look for mails to send", err)
		return m.poll
	}
	if m.server == nil {
		a.Next = time.Time{}
	}
	return m.until(a)
}

// deliver sends what is due. It reports whether the mail server could be reached.
func (m *Mailer) deliver(ctx context.Context) (reached bool, err error) {
	if m.server == nil {
		return true, nil
	}
	d := &delivery{m: m}
	defer d.close()
	for ctx.Err() == nil {
		var mails []store.Mail
		err := m.store.Update(ctx, func(tx store.Tx) (err error) {
			mails, err = tx.ClaimMails(ctx, m.owner, m.lease, m.clock(), batch)
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
	keeper.Go(func() {
		d.m.keep(keeping, "mails", func(ctx context.Context, tx store.Tx) error { return tx.RenewMails(ctx, d.m.owner, d.m.lease) })
	})
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
