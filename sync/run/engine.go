package run

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// Complete is the error that a [Source] yields last, with no entry, when every
// entry was read. A sequence that ends in any other way was not complete.
var Complete = errors.New("the directory was read completely")

// Source is one directory, opened with its settings of the moment.
type Source interface {
	// Entries reads the directory: every group, then every user, then [Complete] or
	// another error. Entries may share the memory of what they were read from, except
	// ExternalID; what the engine keeps it copies.
	Entries(ctx context.Context) iter.Seq2[store.Entry, error]
	// Lookup says which stable ids still exist anywhere, whatever scope and filters
	// (rule 7): it returns their present DNs. An answer that may be incomplete is an
	// error.
	Lookup(ctx context.Context, ids []string) (map[string]string, error)
	// Cookie stands for the directory as it was when Entries began to read it, once
	// that has ended with [Complete]; if there is none, why says for what reason.
	Cookie() (cookie []byte, why string)
	// Follow asks what has changed since a cookie was made. If the directory does not
	// tell, or would tell more than limit entries, it returns nil and why.
	Follow(ctx context.Context, since []byte, limit int) (f Following, why string, err error)
}

// Following is what has changed in a directory, and the directory as it is now: all
// its methods ask one server. Its entries may share memory.
type Following interface {
	// Changed are the stable ids of all entries that were added, changed, renamed,
	// moved or deleted; others may be among them.
	Changed() []string
	// Listed reports whether deleted entries are not in Changed: they are those of
	// which Missing is true.
	Listed() bool
	Missing(id string) bool
	// Deleted reports whether the directory has told that an entry was deleted, or moved
	// to where nothing is read.
	Deleted(id string) bool
	// Sees reports whether any entry that Entries would yield can be found by its stable id.
	Sees(ctx context.Context) (bool, error)
	Cookie() []byte // as [Source.Cookie], of the directory with the changes
	// Read reads entries by stable id, of those that Entries would yield: groups first.
	Read(ctx context.Context, ids []string) ([]store.Entry, error)
	// Bearers finds the stable ids of the entries with these DNs, of the same ones, by
	// the DNs as the directory writes them.
	Bearers(ctx context.Context, dns []string) (map[string]string, error)
	// Anywhere does the same of all entries, whatever scope and filters.
	Anywhere(ctx context.Context, dns []string) (map[string]string, error)
	// Users reads users by user name, of those that Entries would yield.
	Users(ctx context.Context, userNames []string) ([]store.Entry, error)
	// Naming finds the stable ids of groups with these members, by DN or user name, of
	// groups with these SIDs, and of users with these managers.
	Naming(ctx context.Context, dns, userNames, sids []string) ([]string, error)
	// Primary finds, by SID, the stable ids of the users whose primary group it is.
	Primary(ctx context.Context, sids []string) (map[string][]string, error)
	Lookup(ctx context.Context, ids []string) (map[string]string, error) // as [Source.Lookup]
	Close()
}

// Options configure an [Engine]. Open, DNKey, DNHash and Owner are required.
type Options struct {
	// Open connects a directory with its settings and its secret.
	Open func(ctx context.Context, d *store.Directory) (Source, error)
	// DNKey gives equal names of an entry equal keys within this process.
	DNKey func(name string) [16]byte
	// DNHash does the same, for every process and for ever: such keys are stored.
	// The second half is the name's, and the first half is the second one of the name of
	// the entry above.
	DNHash func(name string) [16]byte
	// Parent returns the name of the entry above, or "". Nil: whether entries that are gone
	// may only be out of sight is not tried.
	Parent func(name string) string
	// Owner names this process among all that share the store.
	Owner string

	Clock  func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: nothing is logged
	// Rested is told each run that this process has worked, when it waits for a person
	// or has ended; nil tells nobody. It must not block.
	Rested func(*store.Run)

	Lease   time.Duration // how long a silent worker keeps its run; 0: 30 s
	Poll    time.Duration // longest wait before looking for runs of other processes; 0: 5 s
	Workers int           // runs at a time; 0: 2

	// The sizes of transactions. On SQLite, where a push waits for each, they should
	// be about a fifth of the defaults.
	BatchRows     int // rows appended to a stage; 0: 2,000
	WindowRecords int // records of a window; 0: 1,000
	WindowRefs    int // member references of a window; 0: 10,000
	PublishRows   int // effective rows compared in a step of publishing; 0: 20,000
}

func (o *Options) setDefaults() {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.Lease, 30 * time.Second}, {&o.Poll, 5 * time.Second}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	for _, n := range []struct {
		field *int
		value int
	}{{&o.Workers, 2}, {&o.BatchRows, 2_000}, {&o.WindowRecords, 1_000}, {&o.WindowRefs, 10_000}, {&o.PublishRows, 20_000}} {
		if *n.field <= 0 {
			*n.field = n.value
		}
	}
}

// Engine schedules and works runs.
type Engine struct {
	store      store.Store
	reconciler *reconcile.Reconciler
	opt        Options
	wakeup     chan struct{} // holds one signal that there may be something to do
	searches   chan struct{} // under way
}

// New returns an engine that does nothing before [Engine.Run].
func New(s store.Store, r *reconcile.Reconciler, o Options) *Engine {
	o.setDefaults()
	return &Engine{store: s, reconciler: r, opt: o, wakeup: make(chan struct{}, 1), searches: make(chan struct{}, maxSearches)}
}

// Run starts scheduled runs and works whatever run waits for a worker, until ctx
// ends; then it hands its runs back and returns when every goroutine has ended.
// Failures of the database are logged and tried again.
func (e *Engine) Run(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	slots := make(chan struct{}, e.opt.Workers)
	for ctx.Err() == nil {
		for ctx.Err() == nil && len(slots) < cap(slots) {
			claimed, err := e.claim(ctx)
			if err != nil {
				e.complain(ctx, "claim a run", err)
			}
			if claimed == nil {
				break
			}
			slots <- struct{}{}
			workers.Go(func() {
				e.work(ctx, claimed)
				<-slots
				e.wake()
			})
		}
		wait := e.opt.Poll
		if next, err := e.schedule(ctx); err != nil {
			e.complain(ctx, "start scheduled runs", err)
		} else if !next.IsZero() {
			wait = min(wait, max(next.Sub(e.now()), time.Millisecond))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-e.wakeup:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (e *Engine) claim(ctx context.Context) (run *store.Run, err error) {
	err = e.store.Update(ctx, func(tx store.Tx) error {
		run, err = tx.ClaimRun(ctx, e.opt.Owner, e.opt.Lease)
		return err
	})
	if err != nil {
		return nil, err
	}
	return run, nil
}

// wake makes Run look for something to do. It never blocks.
func (e *Engine) wake() {
	select {
	case e.wakeup <- struct{}{}:
	default:
	}
}

// now is the time as both engines store it.
func (e *Engine) now() time.Time { return e.opt.Clock().UTC().Truncate(time.Microsecond) }

func (e *Engine) complain(ctx context.Context, doing string, err error) {
	if ctx.Err() == nil {
		e.opt.Logger.ErrorContext(ctx, "could not "+doing, "error", err)
	}
}
