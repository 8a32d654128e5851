package gormstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// untold are the differences between what tally says and what there is, in one
// statement, so that both are of the same instant.
const untold = `SELECT r.org_id, r.directory_id, r.kind, CAST(sum(r.n) AS bigint) FROM (
	SELECT org_id, directory_id, kind, n FROM tally
	UNION ALL SELECT org_id, coalesce(directory_id, 0), 'User', -1 FROM users WHERE deleted_at IS NULL
	UNION ALL SELECT org_id, coalesce(directory_id, 0), 'Group', -1 FROM groups WHERE deleted_at IS NULL
) AS r GROUP BY r.org_id, r.directory_id, r.kind HAVING sum(r.n) <> 0`

func (r *reader) untold(ctx context.Context) ([]string, error) {
	return collect(ctx, r.session, func(row scanner) (string, error) {
		var org, directory, n int64
		var kind string
		err := row.Scan(&org, &directory, &kind, &n)
		return fmt.Sprintf("organization %d, directory %d, %s: %+d", org, directory, kind, n), err
	}, untold)
}

// TestTheLengthOfAListIsTheTruthWhateverManyWritersDo has writers create, delete,
// restore, hand over and keep records of the same two directories, delete directories of
// their own, purge, and give up half of it, while others fold the rows of the tally and
// compare it with what there is.
func TestTheLengthOfAListIsTheTruthWhateverManyWritersDo(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *Store) {
		var shared [3]store.Key // the last is internal
		m := newModel(t, s, 5, 3, 2, 10)
		shared[0], shared[1] = m.dir, m.directory("second")
		ended := make(chan struct{})
		var writers, others sync.WaitGroup
		stocks := make([]*stock, 6)
		for i := range stocks {
			w := &stock{T: t, s: s, model: m, no: i, shared: shared, r: rand.New(rand.NewPCG(uint64(i), 3))}
			stocks[i] = w
			writers.Go(func() {
				for step := 0; step < 40 && !t.Failed(); step++ {
					w.step(step)
				}
			})
		}
		until := func(fn func() error) {
			others.Go(func() {
				for {
					if err := fn(); err != nil {
						t.Error(err)
						return
					}
					select {
					case <-ended:
						return
					default:
					}
				}
			})
		}
		until(func() error {
			return s.View(t.Context(), func(r store.Reader) error {
				wrong, err := r.(*reader).untold(t.Context())
				if err == nil && len(wrong) > 0 {
					err = fmt.Errorf("the tally is off while records come and go: %v", wrong)
				}
				return err
			})
		})
		if s.e.postgres { // SQLite has nothing to fold
			for range 2 {
				folds := 0
				until(func() error {
					folds++
					err := s.Update(t.Context(), func(public store.Tx) error {
						_, err := public.(*tx).exec(t.Context(), "SELECT tally_fold(d.org_id, d.id, k) FROM directory AS d, (VALUES ('User'), ('Group')) AS v (k)")
						if err == nil && folds%3 == 0 {
							err = errGivenUp
						}
						return err
					})
					if errors.Is(err, errGivenUp) {
						return nil
					}
					return err
				})
			}
		}
		writers.Wait()
		close(ended)
		others.Wait()
		want := map[store.Key][2]int{shared[0]: {3, 2}} // what the model began with
		for _, w := range stocks {
			for i, list := range w.users {
				n := want[shared[i]]
				n[0] += len(list)
				want[shared[i]] = n
			}
			for i, list := range w.groups {
				n := want[shared[i]]
				n[1] += len(list)
				want[shared[i]] = n
			}
		}
		have := map[store.Key][2]int{}
		inTx(t, s, func(x *tx) error {
			for _, d := range shared {
				q := store.Query{Org: m.org, Directory: &d, Count: true}
				users, err := x.Users(t.Context(), q)
				if err != nil {
					return err
				}
				groups, err := x.Groups(t.Context(), q)
				if err != nil {
					return err
				}
				have[d] = [2]int{users.Total, groups.Total}
			}
			wrong, err := x.untold(t.Context())
			if len(wrong) > 0 {
				t.Errorf("in the end the tally is off: %v", wrong)
			}
			return err
		})
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("users and groups by directory (-want +got):\n%s", diff)
		}
	})
}

var errGivenUp = errors.New("given up")

func (m *model) directory(name string) store.Key {
	d := &store.Directory{ID: store.NewID(m.now), Org: m.org, Name: name, Kind: store.DirectorySCIM, CreatedAt: m.now, UpdatedAt: m.now}
	inTx(m.T, m.s, func(x *tx) error { return x.CreateDirectory(m.Context(), d) })
	return d.Key
}

// stock is one writer with its own records in the directories of all.
type stock struct {
	*testing.T
	s      *Store
	model  *model
	no     int
	shared [3]store.Key
	r      *rand.Rand
	users  [3][]store.User
	groups [3][]store.Group
	gone   []store.User // soft-deleted, and may return
}

// step is one transaction. What it does counts only if it is not given up.
func (w *stock) step(step int) {
	seed, giveUp := w.r.Uint64(), w.r.IntN(4) == 0
	var next *stock
	err := w.s.Update(w.Context(), func(public store.Tx) error {
		next = w.next(seed)
		if err := next.act(public.(*tx), fmt.Sprintf("%d-%d", w.no, step)); err != nil {
			return err
		}
		if giveUp {
			return errGivenUp
		}
		return nil
	})
	switch {
	case err == nil:
		w.users, w.groups, w.gone = next.users, next.groups, next.gone
	case !giveUp || !errors.Is(err, errGivenUp):
		w.Errorf("step %d of writer %d: %v", step, w.no, err)
	}
}

// next is a copy to change. Whoever runs a transaction again begins with the same.
func (w *stock) next(seed uint64) *stock {
	next := *w
	next.r = rand.New(rand.NewPCG(seed, seed))
	for i := range next.users {
		next.users[i], next.groups[i] = slices.Clone(w.users[i]), slices.Clone(w.groups[i])
	}
	next.gone = slices.Clone(w.gone)
	return &next
}

func (w *stock) act(x *tx, name string) error {
	c := &store.ChangeSet{Org: w.model.org, Directory: w.shared[0], Now: w.model.now, Cap: 10}
	at, to := w.r.IntN(3), w.r.IntN(3)
	switch w.r.IntN(9) {
	case 0, 1, 2, 3:
		users, groups, err := w.create(x, c, w.shared[at], name)
		w.users[at], w.groups[at] = append(w.users[at], users...), append(w.groups[at], groups...)
		if err != nil {
			return err
		}
	case 4:
		w.delete(c, at)
	case 5:
		w.restore(c, to)
	case 6:
		w.move(c, at, to)
	case 7:
		return w.deleteDirectory(x, name)
	case 8:
		_, err := x.Purge(w.Context(), w.model.now.Add(-time.Hour), 3)
		return err
	}
	_, err := x.Apply(w.Context(), c)
	return err
}

// create adds one to three users and sometimes a group to a change set.
func (w *stock) create(x *tx, c *store.ChangeSet, directory store.Key, name string) (users []store.User, groups []store.Group, err error) {
	keys, err := x.Keys(w.Context(), store.KindUser, 1+w.r.IntN(3))
	if err != nil {
		return nil, nil, err
	}
	for i, k := range keys {
		u := w.model.users[0]
		u.Key, u.ID, u.Directory, u.Attributes = k, store.NewID(w.model.now), directory, store.Attributes{UserName: fmt.Sprint(name, "-", i)}
		users = append(users, u)
		c.Users = append(c.Users, store.UserChange{Op: store.OpCreate, After: u})
	}
	if w.r.IntN(2) == 0 {
		return users, nil, nil
	}
	keys, err = x.Keys(w.Context(), store.KindGroup, 1)
	if err != nil {
		return nil, nil, err
	}
	g := w.model.groups[0]
	g.Key, g.ID, g.Directory, g.DisplayName = keys[0], store.NewID(w.model.now), directory, name
	c.Groups = append(c.Groups, store.GroupChange{Op: store.OpCreate, After: g})
	return users, []store.Group{g}, nil
}

// delete softly deletes the last user and the last group of a directory, so that they
// are purged or may return.
func (w *stock) delete(c *store.ChangeSet, at int) {
	when := w.model.now
	if w.r.IntN(2) == 0 {
		when = when.Add(-2 * time.Hour)
	}
	if n := len(w.users[at]) - 1; n >= 0 {
		before := w.users[at][n]
		after := before
		after.Version++
		after.DeletedAt = when
		c.Users = append(c.Users, store.UserChange{Op: store.OpDelete, Before: &before, After: after})
		w.users[at] = w.users[at][:n]
		if when.Equal(w.model.now) {
			w.gone = append(w.gone, after)
		}
	}
	if n := len(w.groups[at]) - 1; n >= 0 {
		before := w.groups[at][n]
		after := before
		after.Version++
		after.DeletedAt = when
		c.Groups = append(c.Groups, store.GroupChange{Op: store.OpDelete, Before: &before, After: after})
		w.groups[at] = w.groups[at][:n]
	}
}

// restore brings a user back, into any directory.
func (w *stock) restore(c *store.ChangeSet, to int) {
	n := len(w.gone) - 1
	if n < 0 {
		return
	}
	before := w.gone[n]
	after := before
	after.Version++
	after.DeletedAt, after.Directory = time.Time{}, w.shared[to]
	c.Users = append(c.Users, store.UserChange{Op: store.OpRestore, Before: &before, After: after})
	w.gone, w.users[to] = w.gone[:n], append(w.users[to], after)
}

// move hands over a user and a group, or keeps them without a directory.
func (w *stock) move(c *store.ChangeSet, at, to int) {
	if n := len(w.users[at]) - 1; n >= 0 {
		before := w.users[at][n]
		after := before
		after.Version++
		after.Directory = w.shared[to]
		c.Users = append(c.Users, store.UserChange{Op: store.OpUpdate, Before: &before, After: after})
		w.users[at] = w.users[at][:n]
		w.users[to] = append(w.users[to], after)
	}
	if n := len(w.groups[at]) - 1; n >= 0 {
		before := w.groups[at][n]
		after := before
		after.Version++
		after.Directory = w.shared[to]
		c.Groups = append(c.Groups, store.GroupChange{Op: store.OpUpdate, Before: &before, After: after})
		w.groups[at] = w.groups[at][:n]
		w.groups[to] = append(w.groups[to], after)
	}
}

// deleteDirectory makes a directory, and deletes it with its records deleted.
func (w *stock) deleteDirectory(x *tx, name string) error {
	now := w.model.now
	d := &store.Directory{ID: store.NewID(now), Org: w.model.org, Name: name, Kind: store.DirectorySCIM, CreatedAt: now, UpdatedAt: now}
	if err := x.CreateDirectory(w.Context(), d); err != nil {
		return err
	}
	c := &store.ChangeSet{Org: w.model.org, Directory: d.Key, Now: now, Cap: 10}
	users, groups, err := w.create(x, c, d.Key, name)
	if err != nil {
		return err
	}
	if _, err := x.Apply(w.Context(), c); err != nil {
		return err
	}
	c = &store.ChangeSet{Org: w.model.org, Directory: d.Key, Now: now, Cap: 10}
	for _, u := range users {
		after := u
		after.Version++
		after.DeletedAt = now
		c.Users = append(c.Users, store.UserChange{Op: store.OpDelete, Before: &u, After: after})
	}
	for _, g := range groups {
		after := g
		after.Version++
		after.DeletedAt = now
		c.Groups = append(c.Groups, store.GroupChange{Op: store.OpDelete, Before: &g, After: after})
	}
	if _, err := x.Apply(w.Context(), c); err != nil {
		return err
	}
	if err := x.DeleteDirectory(w.Context(), w.model.org, d.Key, now); err != nil {
		return err
	}
	for _, u := range users { // as an internal one it may still return
		u.Version++
		u.Directory, u.DeletedAt = 0, now
		w.gone = append(w.gone, u)
	}
	return nil
}
