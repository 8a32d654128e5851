package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// pushed is a push of one new user, caused by a request of its own.
func (w *world) pushed(name, external, request string) store.Statement {
	return store.Statement{
		Org: w.org, Directory: w.scim, Origin: store.OriginPush,
		Cause: store.Cause{Actor: store.Actor{Kind: "token"}, Reason: "SCIM POST", Request: request},
		Users: []store.UserStatement{{ExternalID: external, Attributes: store.Attributes{UserName: name}}},
	}
}

func TestUsersCreatedAtTheSameTimeEachEndAsByThemselves(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		const clients, each, names = 16, 20, 200 // so that some names are asked for twice
		type end struct {
			name, request string
			id            store.ID
			err           error
		}
		ends := make([][]end, clients)
		var all sync.WaitGroup
		for c := range clients {
			all.Go(func() {
				for i := range each {
					n := c*each + i
					e := end{name: fmt.Sprintf("u%d@%s", n%names, w.domain()), request: fmt.Sprintf("request %d", n)}
					out, err := w.reconciler.Reconcile(t.Context(), w.pushed(e.name, fmt.Sprint(n), e.request))
					if e.err = err; err == nil {
						if e.id = out.Users[0].ID; out.Users[0].ExternalID != fmt.Sprint(n) {
							e.err = fmt.Errorf("got the user %s", out.Users[0].ExternalID)
						}
					}
					ends[c] = append(ends[c], e)
				}
			})
		}
		all.Wait()
		created := map[string]end{}
		for _, list := range ends {
			for _, e := range list {
				if e.err == nil {
					if _, twice := created[e.name]; twice {
						t.Errorf("%s was created twice", e.name)
					}
					created[e.name] = e
				} else if store.CodeOf(e.err) != store.CodeUniqueness {
					t.Errorf("%s: %v", e.name, e.err)
				}
			}
		}
		if len(created) != names {
			t.Errorf("%d names were created, not %d", len(created), names)
		}
		for _, e := range created {
			if got := w.lastEvent(t, e.id); got.Type != store.EventUserCreated || got.Cause.Request != e.request {
				t.Errorf("%s was told of as %s by %q, not by %q", e.name, got.Type, got.Cause.Request, e.request)
			}
		}
	})
}

func TestAUserWhoReturnsAmongNewOnesReturnsByItself(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		const leavers = 10
		before := map[string]store.ID{}
		for i := range leavers {
			external := fmt.Sprint("leaver ", i)
			out, err := w.reconciler.Reconcile(t.Context(), w.pushed(fmt.Sprintf("leaver%d@%s", i, w.domain()), external, ""))
			if err != nil {
				t.Fatal(err)
			}
			before[external] = out.Users[0].ID
			_, err = w.reconciler.Reconcile(t.Context(), store.Statement{
				Org: w.org, Directory: w.scim, Origin: store.OriginPush,
				Users: []store.UserStatement{{Record: store.RecordKey{ID: out.Users[0].ID}, Presence: store.Gone}},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		var mu sync.Mutex
		after := map[string]store.ID{}
		var all sync.WaitGroup
		for i := range leavers {
			all.Go(func() {
				if _, err := w.reconciler.Reconcile(t.Context(), w.pushed(fmt.Sprintf("new%d@%s", i, w.domain()), fmt.Sprint("new ", i), "")); err != nil {
					t.Error(err)
				}
			})
			all.Go(func() {
				external := fmt.Sprint("leaver ", i)
				out, err := w.reconciler.Reconcile(t.Context(), w.pushed(fmt.Sprintf("leaver%d@%s", i, w.domain()), external, ""))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				after[external] = out.Users[0].ID
			})
		}
		all.Wait()
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("who returned (-before +after):\n%s", diff)
		}
	})
}

func TestAClientThatGoesAwayTakesNobodyWithIt(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		var all sync.WaitGroup
		for i := range 60 {
			ctx, leave := context.WithCancel(t.Context())
			goes := i%3 == 0
			all.Go(func() {
				_, err := w.reconciler.Reconcile(ctx, w.pushed(fmt.Sprintf("u%d@%s", i, w.domain()), fmt.Sprint(i), ""))
				if err != nil && (!goes || !errors.Is(err, context.Canceled)) {
					t.Errorf("client %d: %v", i, err)
				}
			})
			if goes {
				leave()
			}
			t.Cleanup(leave)
		}
		all.Wait()
	})
}

// heldCommit keeps the first transaction from its commit until another has been written.
type heldCommit struct {
	store.Store
	written  atomic.Int32
	second   chan struct{}
	released chan struct{}
}

func (h *heldCommit) Update(ctx context.Context, fn func(store.Tx) error) error {
	return h.Store.Update(ctx, func(tx store.Tx) error {
		err := fn(tx)
		if err != nil {
			return err
		}
		switch h.written.Add(1) {
		case 1:
			select {
			case <-h.second:
				close(h.released)
			case <-ctx.Done():
				return ctx.Err()
			}
		case 2:
			close(h.second)
		}
		return nil
	})
}

func TestTheNextUsersAreWrittenWhileTheOnesBeforeAreCommitted(t *testing.T) {
	w := onPostgres(t) // SQLite has one writer, which is not free before the commit
	if _, err := w.reconciler.Reconcile(t.Context(), w.pushed("first@"+w.domain(), "first", "")); err != nil {
		t.Fatal(err) // it marks the directory as synced, which is done once a minute
	}
	held := &heldCommit{Store: w.store, second: make(chan struct{}), released: make(chan struct{})}
	reconciler := reconcile.New(held, reconcile.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for i := range 3 { // one by itself, and two that wait for it or not
		all.Go(func() {
			if _, err := reconciler.Reconcile(ctx, w.pushed(fmt.Sprintf("u%d@%s", i, w.domain()), fmt.Sprint(i), "")); err != nil {
				t.Errorf("user %d: %v", i, err)
			}
		})
	}
	all.Wait()
	select {
	case <-held.released:
	default:
		t.Error("nothing was written before the first commit")
	}
}
