package gormstore

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/provost-scim/provost/store"
)

// ring is a chain, or a circle, of the groups of a model, each of which is in the one
// before it, and some users in them, by place.
type ring struct {
	*model
	circle bool
	users  func(i int) []int
}

// make states all that is in the ring at once, with one group left that is in no other.
func (r *ring) make() {
	n := len(r.groups) - 1
	c := r.changes()
	for i := range n {
		g := store.GroupChange{After: r.groups[i]}
		if i+1 < n || r.circle {
			g.Add = append(g.Add, store.Edge{Kind: store.KindGroup, Key: r.groups[(i+1)%n].Key})
		}
		for _, u := range r.users(i) {
			g.Add = append(g.Add, store.Edge{Kind: store.KindUser, Key: r.model.users[u].Key})
		}
		c.Groups = append(c.Groups, g)
	}
	c.Groups = append(c.Groups, store.GroupChange{After: r.groups[n], Add: []store.Edge{{Kind: store.KindUser, Key: r.model.users[len(r.model.users)-1].Key}}})
	inTx(r.T, r.s, func(x *tx) error {
		_, err := x.Apply(r.Context(), c)
		return err
	})
}

func (r *ring) changes() *store.ChangeSet {
	return &store.ChangeSet{Org: r.org, Directory: r.dir, Now: r.now, Cap: r.cap}
}

// work is how many rows of the tables of membership a transaction has written, and how
// many it has read, with how often it looked into an index. SQLite does not tell the latter.
type work struct{ written, read int }

func done(t *testing.T, x *tx) (w work) {
	t.Helper()
	query := "SELECT total_changes(), 0"
	if x.e.postgres {
		query = `SELECT sum(n_tup_ins + n_tup_upd + n_tup_del), sum(seq_tup_read + coalesce(idx_tup_fetch, 0) + coalesce(idx_scan, 0))
			FROM pg_stat_xact_user_tables WHERE relname IN ('nest', 'member', 'groups', 'effective')`
	}
	if err := x.row(t.Context(), query).Scan(&w.written, &w.read); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w work) since(before work) work { return work{w.written - before.written, w.read - before.read} }

// nest puts a group into another, or takes it out, as a push does, and returns what that
// took and the effective rows that came.
func (r *ring) nest(parent, child int, out bool) (cost work, came int) {
	c := r.changes()
	edges := []store.Edge{{Kind: store.KindGroup, Key: r.groups[child].Key}}
	g := store.GroupChange{After: r.groups[parent], Add: edges}
	if out {
		g.Add, g.Remove = nil, edges
	}
	c.Groups = append(c.Groups, g)
	inTx(r.T, r.s, func(x *tx) error {
		before := done(r.T, x)
		_, err := x.Load(r.Context(), store.Scope{Org: r.org, Directory: r.dir, Groups: []store.GroupScope{{
			Record: store.RecordKey{ID: r.groups[parent].ID}, Refs: []store.MemberRef{{ID: r.groups[child].ID}},
		}}})
		if err != nil {
			return err
		}
		effects, err := x.Apply(r.Context(), c)
		if err != nil {
			return err
		}
		cost = done(r.T, x).since(before)
		for i := range effects.Groups {
			came += effects.Groups[i].After - effects.Groups[i].Before
		}
		return nil
	})
	return cost, came
}

// publish makes all groups stale and publishes them.
func (r *ring) publish() (cost work) {
	inTx(r.T, r.s, func(x *tx) error {
		if _, err := x.exec(r.Context(), "UPDATE groups SET stale = true WHERE org_id = ?", r.org); err != nil {
			return err
		}
		before := done(r.T, x)
		effects, more, err := x.Publish(r.Context(), store.Publication{Org: r.org, Cap: r.cap, Now: r.now, Rows: 1_000_000})
		if err == nil && (more || len(effects.Groups) > 0) {
			err = fmt.Errorf("publishing what is right changes %d groups, and leaves some: %t", len(effects.Groups), more)
		}
		cost = done(r.T, x).since(before)
		return err
	})
	return cost
}

// TestTheCostOfANestingGrowsWithTheGroupsAndNotWithTheirSquare makes changes in long
// chains and circles of groups, where the square of the groups would be 800 rows a group.
func TestTheCostOfANestingGrowsWithTheGroupsAndNotWithTheirSquare(t *testing.T) {
	const n, users, few = 800, 20, 5
	for name, tt := range map[string]struct {
		circle bool
		users  func(i int) []int
		held   int // users in each group, once flattened, at most
	}{
		"circle without users":           {true, func(int) []int { return nil }, 0},
		"chain without users":            {false, func(int) []int { return nil }, 0},
		"circle with one user":           {true, only(3), 1},
		"chain with a user at the end":   {false, only(n - 1), 1},
		"circle with users all about it": {true, spread(n, users), users},
	} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, s *Store) {
				r := &ring{newModel(t, s, 7, users+1, n+1, 10_000), tt.circle, tt.users}
				r.make()
				most := n * (50 + 8*tt.held)
				judge := func(what string, cost work, came, want int) {
					t.Helper()
					t.Logf("%s: %+v", what, cost)
					if came != want {
						t.Errorf("%s brings %d effective members, want %d", what, came, want)
					}
					if cost.read > most || cost.written > most || want == 0 && cost.written > few {
						t.Errorf("%s costs %+v, in %d groups with %d users", what, cost, n, tt.held)
					}
				}
				for _, c := range []struct {
					what                string
					parent, child, came int
				}{
					{"a shorter way", n / 2, n - 5, 0},
					{"a group with one user", n - 1, n, n},
				} {
					cost, came := r.nest(c.parent, c.child, false)
					judge(c.what, cost, came, c.came)
					cost, came = r.nest(c.parent, c.child, true)
					judge(c.what+", taken away", cost, came, -c.came)
				}
				if cost := r.publish(); cost.read > most || cost.written > most {
					t.Errorf("publishing costs %+v", cost)
				} else {
					t.Logf("publishing: %+v", cost)
				}
			})
		})
	}
}

func only(at int) func(int) []int {
	return func(i int) []int {
		if i == at {
			return []int{0}
		}
		return nil
	}
}

// spread gives each of n groups its share of the users.
func spread(n, users int) func(i int) []int {
	return func(i int) (list []int) {
		for u := i; u < users; u += n {
			list = append(list, u)
		}
		return list
	}
}

// TestSupportIsMovedFromTheRowsThatMove holds that the statements which write few changes
// of support do not look through all of a large table.
func TestSupportIsMovedFromTheRowsThatMove(t *testing.T) {
	whole := regexp.MustCompile(`(?m)(Seq Scan on|SCAN) (effective|e|member|m)\b.*$`)
	eachEngine(t, func(t *testing.T, s *Store) {
		s.e.statistics = nil
		c := crowd(t, s, 5000)
		inTx(t, s, func(x *tx) error {
			d := x.newDifference(c)
			low, top := c.Groups[0].After.Key, c.Groups[1].After.Key
			some := &reached{users: true}
			some.add([]store.Key{low, top}, []int64{int64(c.Users[7].After.Key)})
			if err := d.add(t.Context(), some, 1); err != nil {
				return err
			}
			if err := d.analyze(t.Context()); err != nil {
				return err
			}
			r := &reached{own: pairList{[]int64{int64(top)}, []int64{int64(low)}}}
			r.add([]store.Key{low, top}, []int64{int64(low)})
			support, args := x.supportQuery(c.Org, r)
			spent, stays, old := d.moves()
			for _, q := range []string{spent, stays, old} {
				if plan := explain(t, x, q); whole.MatchString(plan) {
					t.Errorf("%s\nreads a whole table:\n%s", q, plan)
				}
			}
			plan := explain(t, x, support, args...)
			if bad := regexp.MustCompile(`SCAN k\b`).FindString(plan); bad != "" || whole.MatchString(plan) {
				t.Errorf("%s\nreads a whole table, or a list for each row:\n%s", support, plan)
			}
			return nil
		})
	})
}
