package run_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/run"
)

// mortal is a store that is cut off for good at its n-th transaction, as if the
// process had been killed: before it begins, or after it was committed and before
// anybody heard of it.
type mortal struct {
	store.Store
	mu        sync.Mutex
	left      int
	committed bool
	dead      bool
	died      chan struct{}
}

var errDead = errors.New("the process was killed")

func (m *mortal) Update(ctx context.Context, fn func(store.Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock() // so that transactions are counted in an order
	if m.dead {
		return errDead
	}
	m.left--
	if m.left > 0 {
		return m.Store.Update(ctx, fn)
	}
	m.dead = true
	close(m.died)
	if m.committed {
		if err := m.Store.Update(ctx, fn); err != nil {
			return err
		}
	}
	return errDead
}

// expire lets time pass for the lease of a run, if it has one.
func (w *world) expire(id store.ID) {
	w.t.Helper()
	held := w.run(id)
	if held.Owner == "" {
		return
	}
	w.update(func(tx store.Tx) error {
		return tx.RenewLease(w.t.Context(), store.Lease{Run: held.Key, Fence: held.Fence}, 0)
	})
}

// eventful is a directory in a state from which a run has something to do in every
// way, and the change that gives it to do.
func eventful(w *world) (change func()) {
	list := people(14)
	list[2].ManagerDN = list[12].DN
	w.fake.users = list
	w.fake.groups = []store.Entry{
		group("g-1", "staff", "u001", "u002", "u003", "cn=ops,dc=example"), group("g-2", "ops", "u004", "u005"), group("g-3", "gone", "u001"),
	}
	return func() {
		w.fake.drop("id-006", "id-007", "g-3")
		w.fake.change(func() {
			w.fake.elsewhere["id-007"] = "uid=u007,ou=elsewhere"
			a, b := w.fake.user("id-000"), w.fake.user("id-013")
			a.Attributes.UserName, b.Attributes.UserName = b.Attributes.UserName, a.Attributes.UserName
			disabled(w.fake.user("id-004"))
			w.fake.user("id-003").ManagerDN = b.DN
			broken := user("x", "broken")
			broken.Invalid = "no user name"
			w.fake.users = append(w.fake.users, user("n-1", "nina"), user("n-2", "noah"), broken)
			w.fake.groups[1].MemberDNs = append(w.fake.groups[1].MemberDNs, "uid=nina,dc=example", "cn=new,dc=example")
			w.fake.groups = append(w.fake.groups, group("g-4", "new", "noah", "u008"))
		})
	}
}

func TestARunThatIsKilledAnywhereEndsAsIfItHadNotBeen(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			undisturbed := newWorld(t, engine(t))
			change := eventful(undisturbed)
			e, stop := undisturbed.engine(undisturbed.store)
			undisturbed.pull(e)
			before := undisturbed.events()
			change()
			want := undisturbed.pull(e)
			stop()
			state, events, findings := undisturbed.state(), since(before, undisturbed.events()), undisturbed.findings()

			// A database of its own for each death takes PostgreSQL a second, so there some
			// deaths are left out; what survives them is the same.
			step, deaths := 1, func(int) []bool { return []bool{false, true} }
			if name == "postgres" {
				step, deaths = 3, func(n int) []bool { return []bool{n%2 == 0} }
			}
			finished := false
			for n := 2; !finished; n += step { // the first transaction starts the run
				for _, committed := range deaths(n) {
					w := newWorld(t, engine(t))
					change := eventful(w)
					e, stop := w.engine(w.store)
					w.pull(e)
					stop()
					before := w.events()
					change()

					dying := &mortal{Store: w.store, left: n, committed: committed, died: make(chan struct{})}
					e, stop = w.engine(dying, func(o *run.Options) { o.Lease, o.Poll = time.Hour, time.Hour })
					r, err := e.Start(t.Context(), w.org, "corp", "", false, person)
					if err != nil {
						// Idle engines claim as well: this one was killed before the run began.
						stop()
						continue
					}
					w.await("the process dies or the run ends", func() bool {
						select {
						case <-dying.died:
							return true
						default:
							return w.run(r.ID).State.Finished()
						}
					})
					stop()
					finished = !dying.dead
					w.expire(r.ID)

					_, _ = w.engine(w.store)
					r = w.rest(r, nil)
					if r.State != store.RunSucceeded {
						t.Fatalf("killed at transaction %d (committed %t) the run is %s: %s", n, committed, r.State, r.Error)
					}
					for what, diff := range map[string]string{
						"state":    cmp.Diff(state, w.state()),
						"counts":   cmp.Diff(want.Counts, r.Counts),
						"events":   cmp.Diff(events, since(before, w.events())),
						"findings": cmp.Diff(findings, w.findings()),
					} {
						if diff != "" {
							t.Errorf("killed at transaction %d (committed %t), the %s (-undisturbed +got):\n%s", n, committed, what, diff)
						}
					}
				}
			}
		})
	}
}

func TestAWorkerThatLostItsLeaseWritesNothingMore(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.fake.users = people(40)
		reached, release := make(chan struct{}), make(chan struct{})
		letGo := sync.OnceFunc(func() { close(release) })
		var met atomic.Bool
		w.fake.reading = func(_ context.Context, n int) {
			if n == 20 && met.CompareAndSwap(false, true) {
				close(reached)
				<-release
			}
		}
		first, _ := w.engine(w.store, func(o *run.Options) { o.Owner, o.Lease, o.Poll, o.BatchRows = "first", time.Hour, time.Hour, 3 })
		t.Cleanup(letGo) // before the engine is stopped, which waits for its worker
		r, err := first.Start(t.Context(), w.org, "corp", "", false, person)
		if err != nil {
			t.Fatal(err)
		}
		<-reached
		_, _ = w.engine(w.store, func(o *run.Options) { o.Owner = "second" })
		w.await("the second worker takes the run", func() bool {
			held := w.run(r.ID)
			if held.Owner != "first" {
				return true
			}
			// Again and again: a batch that is being written renews the lease.
			err := w.store.Update(t.Context(), func(tx store.Tx) error {
				return tx.RenewLease(t.Context(), store.Lease{Run: held.Key, Fence: held.Fence}, 0)
			})
			if err != nil && store.CodeOf(err) != store.CodeStale { // stale: it has just been taken
				t.Fatal(err)
			}
			return false
		})
		done := w.rest(r, nil)
		if done.State != store.RunSucceeded || done.Counts.Users.Created != 40 {
			t.Fatalf("the run is %s with counts %+v: %s", done.State, done.Counts, done.Error)
		}
		events := w.events()
		letGo()
		next := w.rest(first.Plan(t.Context(), w.org, "corp", person)) // the first worker goes on to the next run
		if next.State != store.RunPlanned {
			t.Errorf("the next plan is %s: %s", next.State, next.Error)
		}
		if diff := cmp.Diff(done, w.run(r.ID)); diff != "" {
			t.Errorf("the worker that lost the run changed it (-before +after):\n%s", diff)
		}
		if added := since(events, w.events()); len(added) > 0 {
			t.Errorf("the worker that lost the run wrote the events %v", added)
		}
	})
}

func TestAnEngineThatStopsHandsItsRunsBack(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.fake.users = people(20)
		reached := make(chan struct{})
		var met atomic.Bool
		w.fake.reading = func(ctx context.Context, n int) {
			if n == 10 && met.CompareAndSwap(false, true) {
				close(reached)
				<-ctx.Done()
			}
		}
		first, stop := w.engine(w.store, func(o *run.Options) { o.Lease = time.Hour })
		r, err := first.Start(t.Context(), w.org, "corp", "", false, person)
		if err != nil {
			t.Fatal(err)
		}
		<-reached
		stop()
		if r := w.run(r.ID); r.State != store.RunRunning || r.Phase != store.PhaseRead {
			t.Fatalf("the run is %s, %s after the engine stopped, want it running still", r.State, r.Phase)
		}
		_, _ = w.engine(w.store)
		if done := w.rest(r, nil); done.State != store.RunSucceeded || done.Counts.Users.Created != 20 {
			t.Errorf("the run is %s with counts %+v: %s", done.State, done.Counts, done.Error)
		}
	})
}
