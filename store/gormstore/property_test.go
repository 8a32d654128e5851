package gormstore

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// TestEffectiveMembershipIsThatOfABreadthFirstSearch grows and shrinks a random graph
// with cycles, users and groups that come and go, at once and deferred, and compares
// all that is stored of effective membership with an oracle after every step.
func TestEffectiveMembershipIsThatOfABreadthFirstSearch(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *Store) {
		m := newModel(t, s, 11, 14, 7, 4)
		for step := range 400 {
			m.step(step)
			m.compare(step)
		}
	})
}

// TestNestedGroupsAreThoseOfABreadthFirstSearch is the same of groups that are mostly in
// one another: circles close and open all the time, several at once, and beside users and
// groups that come and go.
func TestNestedGroupsAreThoseOfABreadthFirstSearch(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *Store) {
		m := newModel(t, s, 23, 6, 14, 3)
		m.nests = 3
		for step := range 300 {
			m.step(step)
			m.compare(step)
		}
	})
}

// graph is what the oracle knows: the truth, and what is published of it.
type graph struct {
	member, nest map[pair]bool // group and member, by place
	out          [2][]bool     // users and groups out of scope
	deleted      [2][]bool
	support      []map[int]int // by group: user to support, as it should be stored
	published    []map[int]bool
	stale        []bool
}

type model struct {
	*testing.T
	s      *Store
	r      *rand.Rand
	org    store.Key
	dir    store.Key
	cap    int
	nests  int // of four edges, how many are of groups
	now    time.Time
	users  []store.User
	groups []store.Group
	g      graph
}

func newModel(t *testing.T, s *Store, seed uint64, users, groups, limit int) *model {
	m := &model{T: t, s: s, r: rand.New(rand.NewPCG(seed, seed)), cap: limit, nests: 1, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	m.g = graph{member: map[pair]bool{}, nest: map[pair]bool{}, stale: make([]bool, groups)}
	for kind, n := range []int{users, groups} {
		m.g.out[kind], m.g.deleted[kind] = make([]bool, n), make([]bool, n)
	}
	for range groups {
		m.g.support = append(m.g.support, map[int]int{})
		m.g.published = append(m.g.published, map[int]bool{})
	}
	inTx(t, s, func(x *tx) error {
		o, err := x.Organization(t.Context(), store.DefaultOrganization)
		if err != nil {
			return err
		}
		m.org = o.Key
		d := &store.Directory{ID: store.NewID(m.now), Org: m.org, Name: "d", Kind: store.DirectorySCIM, CreatedAt: m.now, UpdatedAt: m.now}
		if err := x.CreateDirectory(t.Context(), d); err != nil {
			return err
		}
		m.dir = d.Key
		c := &store.ChangeSet{Org: m.org, Directory: m.dir, Now: m.now, Cap: limit}
		keys, err := x.Keys(t.Context(), store.KindUser, users)
		if err != nil {
			return err
		}
		for i, k := range keys {
			u := store.User{
				Key: k, ID: store.NewID(m.now), Org: m.org, Directory: m.dir, Attributes: store.Attributes{UserName: fmt.Sprintf("u%d", i)},
				Stated: i%3 != 0, Enabled: true, Version: 1, CreatedAt: m.now, ModifiedAt: m.now,
			}
			m.users = append(m.users, u)
			c.Users = append(c.Users, store.UserChange{Op: store.OpCreate, After: u})
		}
		if keys, err = x.Keys(t.Context(), store.KindGroup, groups); err != nil {
			return err
		}
		for i, k := range keys {
			g := store.Group{
				Key: k, ID: store.NewID(m.now), Org: m.org, Directory: m.dir, DisplayName: fmt.Sprintf("g%d", i),
				Version: 1, CreatedAt: m.now, ModifiedAt: m.now,
			}
			m.groups = append(m.groups, g)
			c.Groups = append(c.Groups, store.GroupChange{Op: store.OpCreate, After: g})
		}
		_, err = x.Apply(t.Context(), c)
		return err
	})
	return m
}

// step makes one change set of one to three changes, or publishes.
func (m *model) step(step int) {
	if m.r.IntN(6) == 0 {
		m.publish()
		return
	}
	c := &store.ChangeSet{Org: m.org, Directory: m.dir, Now: m.now, Cap: m.cap, Deferred: m.r.IntN(3) == 0}
	var touched []int // groups whose stored membership has to follow
	used := map[store.Edge]bool{}
	for range 1 + m.r.IntN(3) {
		if m.r.IntN(3) == 0 {
			touched = append(touched, m.turn(c, used)...)
		} else {
			touched = append(touched, m.edges(c, used, step)...)
		}
	}
	before := m.snapshot()
	var effects *store.Effects
	inTx(m.T, m.s, func(x *tx) (err error) {
		effects, err = x.Apply(m.Context(), c)
		return err
	})
	for i := range m.groups {
		if version, moved := effects.Versions[m.groups[i].Key]; moved {
			m.groups[i].Version = version
		}
	}
	if c.Deferred {
		for _, g := range m.above(touched) {
			m.g.stale[g] = true
		}
	}
	for i := range c.Groups {
		if c.Groups[i].Op == store.OpDelete {
			m.dropEdges(slices.IndexFunc(m.groups, func(g store.Group) bool { return g.Key == c.Groups[i].After.Key }))
		}
	}
	m.settle(func(g int) bool { return !m.g.stale[g] })
	m.judge(step, before, effects)
}

// turn takes a user or a group out of its place, or back.
func (m *model) turn(c *store.ChangeSet, used map[store.Edge]bool) []int {
	kind := m.r.IntN(2)
	i := m.r.IntN(len(m.g.out[kind]))
	key := store.Edge{Kind: store.KindUser, Key: store.Key(i)}
	if kind == 1 {
		key.Kind = store.KindGroup
	}
	if used[key] {
		return nil
	}
	used[key] = true
	op, deletes := store.OpUpdate, m.r.IntN(2) == 0
	if m.g.deleted[kind][i] {
		op, deletes = store.OpRestore, true
	} else if deletes {
		op = store.OpDelete
	}
	if deletes {
		m.g.deleted[kind][i] = !m.g.deleted[kind][i]
		m.g.out[kind][i] = m.g.out[kind][i] && op == store.OpDelete
	} else {
		m.g.out[kind][i] = !m.g.out[kind][i]
	}
	at := time.Time{}
	if m.g.deleted[kind][i] {
		at = m.now
	}
	if kind == 0 {
		before := m.users[i]
		u := &m.users[i]
		u.Version++
		u.DeletedAt, u.OutOfScope = at, m.g.out[0][i]
		c.Users = append(c.Users, store.UserChange{Op: op, Before: &before, After: *u})
		var groups []int
		for p := range m.g.member {
			if int(p.user) == i {
				groups = append(groups, int(p.group))
			}
		}
		return groups
	}
	before := m.groups[i]
	g := &m.groups[i]
	g.Version++
	g.DeletedAt, g.OutOfScope = at, m.g.out[1][i]
	c.Groups = append(c.Groups, store.GroupChange{Op: op, Before: &before, After: *g})
	return []int{i}
}

// dropEdges is rule 4: deleting a group takes its edges.
func (m *model) dropEdges(group int) {
	maps.DeleteFunc(m.g.member, func(p pair, _ bool) bool { return int(p.group) == group })
	maps.DeleteFunc(m.g.nest, func(p pair, _ bool) bool { return int(p.group) == group || int(p.user) == group })
}

// edges changes members of one group: any number of users, sometimes a group.
func (m *model) edges(c *store.ChangeSet, used map[store.Edge]bool, step int) []int {
	i := m.r.IntN(len(m.groups))
	g := store.GroupChange{After: m.groups[i]}
	shrink := step/60%2 == 1
	n := 1 + m.r.IntN(4)
	for range n {
		edges, kind, many := m.g.member, store.KindUser, len(m.users)
		if m.r.IntN(4) < m.nests {
			edges, kind, many = m.g.nest, store.KindGroup, len(m.groups)
		}
		p := pair{store.Key(i), store.Key(m.r.IntN(many))}
		key := store.Edge{Kind: kind, Key: store.Key(1000 + i*100 + int(p.user))}
		if used[key] || kind == store.KindGroup && int(p.user) == i || edges[p] != (shrink || m.r.IntN(3) == 0) && edges[p] {
			continue
		}
		used[key] = true
		e := store.Edge{Kind: kind, Key: m.keyOf(kind, int(p.user))}
		if edges[p] {
			delete(edges, p)
			g.Remove = append(g.Remove, e)
		} else {
			edges[p] = true
			g.Add = append(g.Add, e)
		}
	}
	if len(g.Add)+len(g.Remove) == 0 {
		return nil
	}
	c.Groups = append(c.Groups, g)
	return []int{i}
}

func (m *model) keyOf(kind store.Kind, i int) store.Key {
	if kind == store.KindGroup {
		return m.groups[i].Key
	}
	return m.users[i].Key
}

func (m *model) publish() {
	rows := 1 + m.r.IntN(30)
	for more := true; more; {
		var effects *store.Effects
		inTx(m.T, m.s, func(x *tx) (err error) {
			effects, more, err = x.Publish(m.Context(), store.Publication{Org: m.org, Cap: m.cap, Now: m.now, Rows: rows})
			return err
		})
		for _, e := range effects.Groups {
			if i := slices.IndexFunc(m.groups, func(g store.Group) bool { return g.Key == e.Key }); !m.g.stale[i] {
				m.Fatalf("group %d was published and is not stale", i)
			}
		}
	}
	for g := range m.g.stale {
		m.g.stale[g] = false
	}
	m.settle(func(int) bool { return true })
}

func (m *model) counts(kind, i int) bool { return !m.g.deleted[kind][i] && !m.g.out[kind][i] }

// flat searches breadth-first for the groups that a group reaches, and counts in how
// many of them each user is.
func (m *model) flat(root int) map[int]int {
	support := map[int]int{}
	if !m.counts(1, root) {
		return support
	}
	seen := map[int]bool{root: true}
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		for u := range m.users {
			if m.g.member[pair{store.Key(queue[0]), store.Key(u)}] && m.counts(0, u) {
				support[u]++
			}
		}
		for c := range m.groups {
			if m.g.nest[pair{store.Key(queue[0]), store.Key(c)}] && m.counts(1, c) && !seen[c] {
				seen[c] = true
				queue = append(queue, c)
			}
		}
	}
	return support
}

func (m *model) above(groups []int) []int {
	seen := map[int]bool{}
	for queue := slices.Clone(groups); len(queue) > 0; queue = queue[1:] {
		if seen[queue[0]] {
			continue
		}
		seen[queue[0]] = true
		for p := range m.g.nest {
			if int(p.user) == queue[0] {
				queue = append(queue, int(p.group))
			}
		}
	}
	return sorted(seen)
}

// settle publishes what rule 5 says, of the groups chosen.
func (m *model) settle(chosen func(int) bool) {
	for g := range m.groups {
		if !chosen(g) {
			continue
		}
		flat := m.flat(g)
		published := map[int]bool{}
		for u := range flat {
			if len(flat) <= m.cap || m.g.published[g][u] {
				published[u] = true
			}
		}
		m.g.support[g], m.g.published[g] = flat, published
	}
}

// row is what is stored of one effective member.
type row struct {
	Support   int
	Published bool
}

type state struct {
	Count int
	Over  bool
	Users map[int]row
}

func (m *model) snapshot() []state {
	out := make([]state, len(m.groups))
	for g := range m.groups {
		out[g] = state{Count: len(m.g.support[g]), Over: len(m.g.support[g]) > m.cap, Users: map[int]row{}}
		for u, n := range m.g.support[g] {
			out[g].Users[u] = row{n, m.g.published[g][u]}
		}
	}
	return out
}

// compare compares all that is stored with the oracle.
func (m *model) compare(step int) {
	m.Helper()
	have := make([]state, len(m.groups))
	byKey := map[store.Key]int{}
	for i, u := range m.users {
		byKey[u.Key] = i
	}
	groupByKey := map[store.Key]int{}
	for i, g := range m.groups {
		groupByKey[g.Key] = i
	}
	member, nest := map[pair]bool{}, map[pair]bool{}
	edges := func(x *tx, query string, members map[store.Key]int, into map[pair]bool) error {
		return x.each(m.Context(), func(s scanner) error {
			var p pair
			err := s.Scan(&p.group, &p.user)
			into[pair{store.Key(groupByKey[p.group]), store.Key(members[p.user])}] = true
			return err
		}, query)
	}
	inTx(m.T, m.s, func(x *tx) error {
		if err := edges(x, "SELECT group_id, user_id FROM member", byKey, member); err != nil {
			return err
		}
		if err := edges(x, "SELECT parent_id, child_id FROM nest", groupByKey, nest); err != nil {
			return err
		}
		for i := range m.groups {
			have[i].Users = map[int]row{}
			key := m.groups[i].Key
			if err := x.row(m.Context(), "SELECT effective_count, over_cap FROM groups WHERE id = ?", key).Scan(&have[i].Count, &have[i].Over); err != nil {
				return err
			}
			err := x.each(m.Context(), func(s scanner) error {
				var u store.Key
				var r row
				err := s.Scan(&u, &r.Support, &r.Published)
				have[i].Users[byKey[u]] = r
				return err
			}, "SELECT user_id, support, published FROM effective WHERE group_id = ?", key)
			if err != nil {
				return err
			}
		}
		return nil
	})
	plain := cmp.AllowUnexported(pair{})
	if diff := cmp.Diff([]map[pair]bool{m.g.member, m.g.nest}, []map[pair]bool{member, nest}, plain); diff != "" {
		m.Fatalf("step %d: edges (-oracle +stored):\n%s", step, diff)
	}
	if diff := cmp.Diff(m.snapshot(), have); diff != "" {
		m.Fatalf("step %d: (-oracle +stored):\n%s", step, diff)
	}
}

// judge compares the effects that were told with the difference of two snapshots.
func (m *model) judge(step int, before []state, effects *store.Effects) {
	m.Helper()
	var want []store.GroupEffect
	for g, is := range m.snapshot() {
		was := before[g]
		e := store.GroupEffect{
			Key: m.groups[g].Key, ID: m.groups[g].ID, Directory: m.dir, DisplayName: m.groups[g].DisplayName,
			Before: was.Count, After: is.Count, WasOver: was.Over, Over: is.Over,
		}
		for u, r := range is.Users {
			if r.Published && !was.Users[u].Published {
				e.Published++
			}
		}
		for u, r := range was.Users {
			if r.Published && !is.Users[u].Published {
				e.Ceased++
			}
		}
		if e.Before != e.After || e.WasOver != e.Over || e.Published+e.Ceased > 0 {
			want = append(want, e)
		}
	}
	if diff := cmp.Diff(want, effects.Groups); diff != "" {
		m.Fatalf("step %d: effects (-want +got):\n%s", step, diff)
	}
}
