package reconcile

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/provost-scim/provost/store"
)

// mostTogether bounds the users that one transaction creates.
const mostTogether = 50

// errApart undoes a transaction of several creations of which one is more than a
// creation: each is then made by itself.
var errApart = errors.New("one of the users returns")

// lanes let clients that create users of one directory at the same time share a
// transaction, as group commit does: while one is being written those that arrive
// wait, and are the next, which begins while the one before is committed. Nobody
// waits for company: a client by itself is written at once. Each creation ends as it would by itself, because the records of the shared
// statement stand apart, and what is more than a creation is done alone.
type lanes struct {
	mu  sync.Mutex
	all map[laneKey]*lane
}

type laneKey struct{ org, directory store.Key }

// lane is a directory with a transaction under way; without one it does not exist.
type lane struct{ waiting []*creation }

// creation is a statement of one new user.
type creation struct {
	want     store.Statement
	deadline time.Time // zero: none
	turn     chan turn // holds one
}

// turn is what a waiting creation is told: its end, or that it is to lead others, or
// to go by itself.
type turn struct {
	out   *Outcome
	err   error
	lead  []*creation // the leader among them
	alone bool
}

// createsOne reports whether a statement is a push of one new user.
func createsOne(want *store.Statement) bool {
	return want.Origin == store.OriginPush && want.Directory != 0 && !want.Apart && len(want.Groups) == 0 &&
		len(want.Users) == 1 && want.Users[0].Presence == store.Present && want.Users[0].Record == store.RecordKey{}
}

// create makes a statement of one new user true, together with others.
func (r *Reconciler) create(ctx context.Context, want store.Statement) (*Outcome, error) {
	c := &creation{want: want, turn: make(chan turn, 1)}
	c.deadline, _ = ctx.Deadline()
	key := laneKey{want.Org, want.Directory}
	if !r.lanes.enter(key, c) {
		var t turn
		select {
		case t = <-c.turn:
		case <-ctx.Done():
			if r.lanes.leave(key, c) {
				return nil, ctx.Err()
			}
			t = <-c.turn
		}
		switch {
		case t.alone:
			return r.reconcile(ctx, want)
		case t.lead == nil:
			return t.out, t.err
		}
		return r.lead(ctx, key, t.lead)
	}
	return r.lead(ctx, key, []*creation{c})
}

// lead writes the creations, of which the first is the caller's own, and tells the
// others what became of theirs. It passes the lead on as soon as only the commit is
// left to do.
func (r *Reconciler) lead(ctx context.Context, key laneKey, all []*creation) (*Outcome, error) {
	pass := sync.OnceFunc(func() { r.lanes.pass(key) })
	defer pass()
	if len(all) == 1 {
		return r.reconcileThen(ctx, all[0].want, pass)
	}
	told := false
	defer func() {
		if !told { // nobody waits for ever, whatever happens here
			for _, c := range all[1:] {
				c.turn <- turn{alone: true}
			}
		}
	}()
	want := store.Statement{
		Org: all[0].want.Org, Directory: all[0].want.Directory, Origin: store.OriginPush, Apart: true, Cause: all[0].want.Cause,
		Users: make([]store.UserStatement, len(all)),
	}
	for i, c := range all {
		want.Users[i] = c.want.Users[0]
		want.Users[i].Cause = &c.want.Cause
	}
	together, cancel := patient(ctx, all)
	defer cancel()
	var out *Outcome
	err := r.store.Update(together, func(tx store.Tx) error {
		var err error
		out, err = r.revise(together, tx, want, &Revision{Accept: onlyCreates})
		if err == nil {
			pass()
		}
		return err
	})
	if err != nil { // whose fault it was is found out by each
		return r.reconcile(ctx, all[0].want)
	}
	told = true
	for i, c := range all[1:] {
		own, err := out.of(i + 1)
		c.turn <- turn{out: own, err: err}
	}
	return out.of(0)
}

// patient is the leader's context for as long as the most patient of the others
// waits: they are not to fail because its client went away.
func patient(ctx context.Context, all []*creation) (context.Context, context.CancelFunc) {
	ctx = context.WithoutCancel(ctx)
	latest := all[0].deadline
	for _, c := range all {
		if c.deadline.IsZero() {
			return context.WithCancel(ctx)
		}
		if c.deadline.After(latest) {
			latest = c.deadline
		}
	}
	return context.WithDeadline(ctx, latest)
}

func onlyCreates(results []store.Result) error {
	for i := range results {
		if results[i].Err == nil && results[i].Outcome != store.Created {
			return errApart
		}
	}
	return nil
}

// of is what became of one user of a statement that only creates users.
func (o *Outcome) of(i int) (*Outcome, error) {
	if err := o.Results[i].Err; err != nil {
		return nil, err
	}
	return &Outcome{
		Results: o.Results[i : i+1 : i+1], Users: o.Users[i : i+1 : i+1], Groups: []store.Group{},
		Effects: &store.Effects{}, Changed: true,
	}, nil
}

// enter reports whether a creation goes at once; else it waits.
func (l *lanes) enter(key laneKey, c *creation) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[laneKey]*lane{}
	}
	if of := l.all[key]; of != nil {
		of.waiting = append(of.waiting, c)
		return false
	}
	l.all[key] = &lane{}
	return true
}

// leave takes back a creation, and reports whether it still waited.
func (l *lanes) leave(key laneKey, c *creation) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.all[key]
	if of == nil {
		return false
	}
	for i, other := range of.waiting {
		if other == c {
			of.waiting = append(of.waiting[:i:i], of.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// pass hands the lead to the first of those that wait.
func (l *lanes) pass(key laneKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.all[key]
	n := min(len(of.waiting), mostTogether)
	if n == 0 {
		delete(l.all, key)
		return
	}
	next := of.waiting[:n:n]
	of.waiting = of.waiting[n:]
	next[0].turn <- turn{lead: next}
}
