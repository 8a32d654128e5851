package storetest

import (
	"slices"
	"strings"

	"github.com/provost-scim/provost/store"
)

// place is where records are made: an organization and a directory of it (0: none).
type place struct {
	*env
	org, dir store.Key
}

// at is a new directory of the default organization.
func (e *env) at(name string) *place {
	e.Helper()
	return &place{e, e.org, e.directory(name, store.DirectorySCIM).Key}
}

// apply writes a change set in a transaction of its own, with a cap of 5.
func (p *place) apply(c store.ChangeSet) *store.Effects {
	p.Helper()
	c.Org, c.Directory, c.Now = p.org, p.dir, p.now
	if c.Cap == 0 {
		c.Cap = 5
	}
	var effects *store.Effects
	p.update(func(t store.Tx) (err error) {
		effects, err = t.Apply(p.Context(), &c)
		return err
	})
	return effects
}

func (p *place) load(s store.Scope) *store.Snapshot {
	p.Helper()
	s.Org, s.Directory = p.org, p.dir
	var have *store.Snapshot
	p.update(func(t store.Tx) (err error) {
		have, err = t.Load(p.Context(), s)
		return err
	})
	return have
}

func (p *place) key(kind store.Kind) store.Key {
	p.Helper()
	var key store.Key
	p.update(func(t store.Tx) error {
		keys, err := t.Keys(p.Context(), kind, 1)
		if err == nil {
			key = keys[0]
		}
		return err
	})
	return key
}

// newUser is a user that is not stored yet.
func (p *place) newUser(name string, change ...func(*store.User)) store.User {
	p.Helper()
	u := store.User{
		Key: p.key(store.KindUser), ID: store.NewID(p.now), Org: p.org, Directory: p.dir, Attributes: store.Attributes{UserName: name},
		Stated: true, Enabled: true, Version: 1, CreatedAt: p.now, ModifiedAt: p.now,
	}
	for _, c := range change {
		c(&u)
	}
	return u
}

func created(u store.User) store.UserChange {
	return store.UserChange{Op: store.OpCreate, After: u, Claim: u.Attributes.IdentityKeys()}
}

func (p *place) user(name string, change ...func(*store.User)) *store.User {
	p.Helper()
	u := p.newUser(name, change...)
	p.apply(store.ChangeSet{Users: []store.UserChange{created(u)}})
	return &u
}

func (p *place) users(names ...string) []*store.User {
	p.Helper()
	out := make([]*store.User, len(names))
	for i, n := range names {
		out[i] = p.user(n)
	}
	return out
}

// changed is the change of a user to what change makes of it.
func changed(op store.Op, u *store.User, change func(*store.User)) store.UserChange {
	before, after := *u, *u
	change(&after)
	after.Version++
	c := store.UserChange{Op: op, Before: &before, After: after}
	was, is := before.Attributes.IdentityKeys(), after.Attributes.IdentityKeys()
	switch op {
	case store.OpDelete:
		c.Release = was
	case store.OpRestore:
		c.Claim = is
	default:
		for _, k := range was {
			if !slices.Contains(is, k) {
				c.Release = append(c.Release, k)
			}
		}
		for _, k := range is {
			if !slices.Contains(was, k) {
				c.Claim = append(c.Claim, k)
			}
		}
	}
	return c
}

// change changes a user and the record at hand.
func (p *place) change(op store.Op, u *store.User, change func(*store.User)) {
	p.Helper()
	c := changed(op, u, change)
	p.apply(store.ChangeSet{Users: []store.UserChange{c}})
	*u = c.After
}

func (p *place) deleteUser(u *store.User) {
	p.Helper()
	p.change(store.OpDelete, u, func(u *store.User) { u.DeletedAt = p.now })
}

func (p *place) restoreUser(u *store.User) {
	p.Helper()
	p.change(store.OpRestore, u, func(u *store.User) { u.DeletedAt = store.User{}.DeletedAt })
}

func (p *place) newGroup(name string, change ...func(*store.Group)) store.Group {
	p.Helper()
	g := store.Group{
		Key: p.key(store.KindGroup), ID: store.NewID(p.now), Org: p.org, Directory: p.dir, DisplayName: name,
		Version: 1, CreatedAt: p.now, ModifiedAt: p.now,
	}
	for _, c := range change {
		c(&g)
	}
	return g
}

// group creates a group with members: *store.User or *store.Group.
func (p *place) group(name string, members ...any) *store.Group {
	p.Helper()
	g := p.newGroup(name)
	p.apply(store.ChangeSet{Groups: []store.GroupChange{{Op: store.OpCreate, After: g, Claim: store.Fold(name), Add: edges(members)}}})
	return &g
}

func edges(members []any) []store.Edge {
	var out []store.Edge
	for _, m := range members {
		switch m := m.(type) {
		case *store.User:
			out = append(out, store.Edge{Kind: store.KindUser, Key: m.Key})
		case *store.Group:
			out = append(out, store.Edge{Kind: store.KindGroup, Key: m.Key})
		}
	}
	return out
}

func (p *place) add(g *store.Group, members ...any) *store.Effects {
	p.Helper()
	return p.apply(store.ChangeSet{Groups: []store.GroupChange{{After: *g, Add: edges(members)}}})
}

func (p *place) remove(g *store.Group, members ...any) *store.Effects {
	p.Helper()
	return p.apply(store.ChangeSet{Groups: []store.GroupChange{{After: *g, Remove: edges(members)}}})
}

// versionOf reads the version of a group, which moves with its members, too.
func (p *place) versionOf(g *store.Group) int64 {
	p.Helper()
	page := got(p.env, func(r store.Reader) (store.Page[store.Group], error) {
		return r.Groups(p.Context(), store.Query{
			Org: p.org, Deleted: g.Deleted(), Limit: 1, Filter: store.Compare{Field: "id", Op: store.Eq, Value: string(g.ID)},
		})
	})
	if len(page.Items) == 0 {
		p.Fatalf("group %s is not there", g.DisplayName)
	}
	return page.Items[0].Version
}

func (p *place) changeGroup(op store.Op, g *store.Group, change func(*store.Group)) {
	p.Helper()
	before := *g
	before.Version = p.versionOf(g)
	after := before
	change(&after)
	after.Version++
	c := store.GroupChange{Op: op, Before: &before, After: after}
	was, is := store.Fold(before.DisplayName), store.Fold(after.DisplayName)
	switch {
	case op == store.OpDelete:
		c.Release = was
	case op == store.OpRestore:
		c.Claim = is
	case was != is:
		c.Release, c.Claim = was, is
	}
	p.apply(store.ChangeSet{Groups: []store.GroupChange{c}})
	*g = after
}

// effective are the names of a group's published members, sorted, in one text.
func (p *place) effective(g *store.Group) string {
	p.Helper()
	return p.memberNames(g, true)
}

// direct are the names of a group's stated members, users before groups.
func (p *place) direct(g *store.Group) string {
	p.Helper()
	return p.memberNames(g, false)
}

func (p *place) memberNames(g *store.Group, effective bool) string {
	p.Helper()
	page := got(p.env, func(r store.Reader) (store.Page[store.Member], error) {
		return r.Members(p.Context(), store.MemberQuery{Org: p.org, Group: g.Key, Effective: effective})
	})
	var names []string
	for _, m := range page.Items {
		if m.Kind == store.KindUser {
			names = append(names, m.UserName)
		} else {
			names = append(names, m.DisplayName)
		}
	}
	if effective {
		slices.Sort(names)
	}
	return strings.Join(names, " ")
}

func (p *place) readUser(u *store.User) *store.User {
	p.Helper()
	return got(p.env, func(r store.Reader) (*store.User, error) { return r.User(p.Context(), p.org, string(u.ID)) })
}

func (p *place) readGroup(g *store.Group) *store.Group {
	p.Helper()
	return got(p.env, func(r store.Reader) (*store.Group, error) { return r.Group(p.Context(), p.org, string(g.ID)) })
}

// stale fails the test unless applying the change set is a race.
func (p *place) stale(c store.ChangeSet) {
	p.Helper()
	c.Org, c.Directory, c.Now, c.Cap = p.org, p.dir, p.now, 5
	p.refused(store.CodeStale, func(t store.Tx) error {
		_, err := t.Apply(p.Context(), &c)
		return err
	})
}
