package storetest

import (
	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// elsewhere is a directory of another organization.
func (e *env) elsewhere() *place {
	e.Helper()
	org := e.organization("other")
	d := &store.Directory{
		ID: store.NewID(e.now), Org: org, Name: "alpha", Kind: store.DirectorySCIM, Settings: store.DefaultSettings(store.DirectorySCIM),
		CreatedAt: e.now, UpdatedAt: e.now,
	}
	e.update(func(t store.Tx) error { return t.CreateDirectory(e.Context(), d) })
	return &place{e, org, d.Key}
}

var isolation = map[string]func(*env){
	"a name is free in every other organization": func(e *env) {
		p, other := e.at("alpha"), e.elsewhere()
		mine, theirs := p.user("ann"), other.user("ann")
		p.group("g", mine)
		other.group("g", theirs)
		for _, x := range []*place{p, other} {
			have := x.load(store.Scope{UserKeys: []string{"ann"}, GroupKeys: []string{"g"}, UserNames: []string{"ann"}, Departed: true})
			if o := have.Owners["ann"]; o.Directory != x.dir || o.Holders != 1 || have.NameHolders["ann"].Org != x.org || have.GroupNameHolders["g"].Org != x.org {
				e.Errorf("owner %+v, holder %+v", o, have.NameHolders["ann"])
			}
		}
	},
	"nothing of another organization is read": func(e *env) {
		p, other := e.at("alpha"), e.elsewhere()
		u := other.user("ann", stable("e-1"))
		g := other.group("g", u)
		absent(e, func(r store.Reader) (*store.User, error) { return r.User(e.Context(), e.org, string(u.ID)) })
		absent(e, func(r store.Reader) (*store.User, error) { return r.User(e.Context(), e.org, "ann") })
		absent(e, func(r store.Reader) (*store.Group, error) { return r.Group(e.Context(), e.org, string(g.ID)) })
		e.view(func(r store.Reader) error {
			for _, dir := range []store.Key{p.dir, other.dir, 0} {
				have, err := r.Resolve(e.Context(), e.org, dir, []store.MemberRef{{ID: u.ID}, {ID: g.ID}, {ExternalID: "e-1"}})
				if err != nil || len(have) != 0 {
					e.Errorf("resolved %v, %v", have, err)
				}
				if users, _, groups, err := r.CountRecords(e.Context(), e.org, dir); users+groups != 0 || err != nil {
					e.Errorf("counted %d users and %d groups, %v", users, groups, err)
				}
			}
			members, err := r.Members(e.Context(), store.MemberQuery{Org: e.org, Group: g.Key})
			if err != nil || len(members.Items) != 0 {
				e.Errorf("members %v, %v", members.Items, err)
			}
			members, err = r.Members(e.Context(), store.MemberQuery{Org: e.org, Group: g.Key, Effective: true})
			if err != nil || len(members.Items) != 0 {
				e.Errorf("effective members %v, %v", members.Items, err)
			}
			ids, err := r.IDs(e.Context(), e.org, store.KindUser, []store.Key{u.Key})
			if err != nil || len(ids) != 0 {
				e.Errorf("ids %v, %v", ids, err)
			}
			list, err := r.Memberships(e.Context(), e.org, nil, []store.Key{u.Key})
			if err != nil || len(list) != 0 {
				e.Errorf("memberships %v, %v", list, err)
			}
			for _, filter := range []store.Condition{nil, is("userName", "ann"), is("id", string(u.ID)), is("groups.value", string(g.ID)), is("emails.value", "ann")} {
				users, err := r.Users(e.Context(), store.Query{Org: e.org, Filter: filter, Limit: 10, Count: true})
				if err != nil || len(users.Items)+users.Total != 0 {
					e.Errorf("users %v, %v", users, err)
				}
			}
			groups, err := r.Groups(e.Context(), store.Query{Org: e.org, Filter: is("members.value", string(u.ID)), Limit: 10, Count: true})
			if err != nil || len(groups.Items)+groups.Total != 0 {
				e.Errorf("groups %v, %v", groups, err)
			}
			return nil
		})
	},
	"nothing of another organization is loaded": func(e *env) {
		p, other := e.at("alpha"), e.elsewhere()
		u := other.user("ann", stable("e-1"))
		g := other.group("g", u)
		have := p.load(store.Scope{
			Users: []store.RecordKey{{ID: u.ID}, {ExternalID: "e-1"}}, UserNames: []string{"ann"}, UserKeys: []string{"ann"}, GroupKeys: []string{"g"}, Departed: true,
			Groups: []store.GroupScope{{Record: store.RecordKey{ID: g.ID}, AllEdges: true, Refs: []store.MemberRef{{ID: u.ID}, {ExternalID: "e-1"}}}},
		})
		if n := len(have.Users) + len(have.NameHolders) + len(have.Owners) + len(have.Groups) + len(have.GroupNameHolders) + len(have.GroupOwners) +
			len(have.Members) + len(have.Edges) + len(have.Departed) + len(have.DepartedGroups); n != 0 {
			e.Errorf("loaded %+v", have)
		}
	},
	"an edge cannot lead into another organization": func(e *env) {
		p, other := e.at("alpha"), e.elsewhere()
		u, g := other.user("ann"), p.group("g")
		err := e.s.Update(e.Context(), func(t store.Tx) error {
			_, err := t.Apply(e.Context(), &store.ChangeSet{
				Org: e.org, Directory: p.dir, Now: e.now, Cap: 5, Groups: []store.GroupChange{{After: *g, Add: edges([]any{u})}},
			})
			return err
		})
		if err == nil {
			e.Error("the edge was written")
		}
	},
	"what is written of another organization's records is refused": func(e *env) {
		p, other := e.at("alpha"), e.elsewhere()
		u := other.user("ann")
		c := changed(store.OpUpdate, u, func(u *store.User) { u.Org = p.org; u.Attributes.Title = "x" })
		p.stale(store.ChangeSet{Users: []store.UserChange{c}})
		if diff := cmp.Diff(u, other.readUser(u)); diff != "" {
			e.Errorf("user (-want +got):\n%s", diff)
		}
	},
	"stale groups of one organization are not published with another's": func(e *env) {
		p, other := e.at("alpha"), e.elsewhere()
		g, theirs := p.group("g"), other.group("g")
		for x, group := range map[*place]*store.Group{p: g, other: theirs} {
			x.apply(store.ChangeSet{Deferred: true, Groups: []store.GroupChange{{After: *group, Add: edges([]any{x.user("ann")})}}})
		}
		e.update(func(t store.Tx) error {
			effects, more, err := t.Publish(e.Context(), store.Publication{Org: e.org, Cap: 5, Now: e.now, Rows: 100})
			if len(effects.Groups) != 1 || effects.Groups[0].Key != g.Key || more {
				e.Errorf("effects %+v, more %v", effects, more)
			}
			return err
		})
		if have := other.effective(theirs); have != "" {
			e.Errorf("the other organization's group publishes %q", have)
		}
	},
}

func is(field store.Field, value any) store.Condition {
	return store.Compare{Field: field, Op: store.Eq, Value: value}
}
