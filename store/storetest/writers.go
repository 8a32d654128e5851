package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/provost-scim/provost/store"
)

// writers are many transactions that change the same memberships.
type writers struct {
	*place
	users  []*store.User
	groups []*store.Group
}

var concurrency = map[string]func(*env){
	"whatever many writers do at once, effective members are those of the edges": func(e *env) {
		p := e.at("alpha")
		w := &writers{place: p, users: p.users("a", "b", "c", "d", "e", "f")}
		for i := range 5 {
			w.groups = append(w.groups, p.group(fmt.Sprint("g", i)))
		}
		var wait sync.WaitGroup
		for seed := range uint64(10) {
			wait.Go(func() {
				r := rand.New(rand.NewPCG(seed, 7))
				for range 20 {
					if err := e.s.Update(e.Context(), w.any(r)); err != nil {
						e.Errorf("a writer failed: %v", err)
					}
				}
			})
		}
		wait.Wait()
		for more := true; more; {
			e.update(func(t store.Tx) (err error) {
				_, more, err = t.Publish(e.Context(), store.Publication{Org: p.org, Cap: 100, Now: e.now, Rows: 1000})
				return err
			})
		}
		for _, g := range w.groups {
			want := w.below(g.Key, map[store.Key]bool{})
			slices.Sort(want)
			want = slices.Compact(want)
			count := p.readGroup(g).EffectiveCount
			if have := p.effective(g); have != strings.Join(want, " ") || count != len(want) {
				e.Errorf("%s has %q and counts %d, want %q", g.DisplayName, have, count, want)
			}
		}
	},
}

// below are the names of all live users in a group and below it.
func (w *writers) below(group store.Key, seen map[store.Key]bool) []string {
	seen[group] = true
	var out []string
	page := got(w.env, func(r store.Reader) (store.Page[store.Member], error) {
		return r.Members(w.Context(), store.MemberQuery{Org: w.org, Group: group})
	})
	for _, m := range page.Items {
		switch {
		case m.Kind == store.KindUser:
			out = append(out, m.UserName)
		case !seen[m.Key]:
			out = append(out, w.below(m.Key, seen)...)
		}
	}
	return out
}

// any is one random transaction, made of what it loads.
func (w *writers) any(r *rand.Rand) func(store.Tx) error {
	u, g, h := w.users[r.IntN(len(w.users))], w.groups[r.IntN(len(w.groups))], w.groups[r.IntN(len(w.groups))]
	c := store.ChangeSet{Org: w.org, Directory: w.dir, Now: w.now, Cap: 100, Deferred: r.IntN(5) == 0}
	switch n := r.IntN(10); {
	case n < 6:
		return w.edge(c, g, store.MemberRef{ID: u.ID})
	case n < 8 && g != h:
		return w.edge(c, g, store.MemberRef{ID: h.ID})
	case n == 8:
		return func(t store.Tx) error {
			_, _, err := t.Publish(w.Context(), store.Publication{Org: w.org, Cap: 100, Now: w.now, Rows: 1})
			return err
		}
	}
	return w.comeOrGo(c, u)
}

// edge adds a member or, if it is one, removes it.
func (w *writers) edge(c store.ChangeSet, g *store.Group, ref store.MemberRef) func(store.Tx) error {
	record := store.RecordKey{ID: g.ID}
	return func(t store.Tx) error {
		have, err := t.Load(w.Context(), store.Scope{Org: w.org, Directory: w.dir, Groups: []store.GroupScope{{Record: record, Refs: []store.MemberRef{ref}}}})
		if err != nil {
			return err
		}
		edge, ok := have.Members[ref]
		if !ok {
			return nil
		}
		change := store.GroupChange{After: *have.Groups[record]}
		if have.Edges[change.After.Key][edge] {
			change.Remove = []store.Edge{edge}
		} else {
			change.Add = []store.Edge{edge}
		}
		c.Groups = []store.GroupChange{change}
		_, err = t.Apply(w.Context(), &c)
		return err
	}
}

// comeOrGo deletes a user or, if it is deleted, restores it.
func (w *writers) comeOrGo(c store.ChangeSet, u *store.User) func(store.Tx) error {
	return func(t store.Tx) error {
		name := store.Fold(u.Attributes.UserName)
		have, err := t.Load(w.Context(), store.Scope{
			Org: w.org, Directory: w.dir, Users: []store.RecordKey{{ID: u.ID}}, UserNames: []string{name}, Departed: true,
		})
		if err != nil {
			return err
		}
		if live := have.NameHolders[name]; live != nil {
			c.Users = []store.UserChange{changed(store.OpDelete, live, func(u *store.User) { u.DeletedAt = w.now })}
		} else {
			c.Users = []store.UserChange{changed(store.OpRestore, have.Departed[0], func(u *store.User) { u.DeletedAt = time.Time{} })}
		}
		_, err = t.Apply(w.Context(), &c)
		return err
	}
}
