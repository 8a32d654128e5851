package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

func (e *env) purge(before time.Time, limit int) int {
	e.Helper()
	var n int
	e.update(func(t store.Tx) (err error) {
		n, err = t.Purge(e.Context(), before, limit)
		return err
	})
	return n
}

// departed are the userNames and displayNames of soft-deleted records.
func (e *env) departed() []string {
	e.Helper()
	return got(e, func(r store.Reader) ([]string, error) {
		q := store.Query{Org: e.org, Deleted: true, Limit: 10}
		users, err := r.Users(e.Context(), q)
		if err != nil {
			return nil, err
		}
		groups, err := r.Groups(e.Context(), q)
		var names []string
		for i := range users.Items {
			names = append(names, users.Items[i].Attributes.UserName)
		}
		for i := range groups.Items {
			names = append(names, groups.Items[i].DisplayName)
		}
		return names, err
	})
}

var purge = map[string]func(*env){
	"a soft-deleted record is listed when asked for, and loaded by its id": func(e *env) {
		p := e.at("alpha")
		u, g := p.user("ann"), p.group("g")
		p.user("bob")
		p.deleteUser(u)
		p.changeGroup(store.OpDelete, g, func(g *store.Group) { g.DeletedAt = p.now })
		if diff := cmp.Diff([]string{"ann", "g"}, e.departed()); diff != "" {
			e.Errorf("departed (-want +got):\n%s", diff)
		}
		scope := store.Scope{Users: []store.RecordKey{{ID: u.ID}}, Groups: []store.GroupScope{{Record: store.RecordKey{ID: g.ID}}}, Departed: true}
		have := p.load(scope)
		if diff := cmp.Diff([]*store.User{u}, have.Departed); diff != "" {
			e.Errorf("user (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]*store.Group{g}, have.DepartedGroups); diff != "" {
			e.Errorf("group (-want +got):\n%s", diff)
		}
		if len(have.Users)+len(have.Groups) != 0 {
			e.Errorf("live records are %v and %v", have.Users, have.Groups)
		}
	},
	"what was soft-deleted before a time is purged, and the log no longer tells of the person": func(e *env) {
		p := e.at("alpha")
		ann, bob := p.user("ann", fullUser), p.user("bob")
		g, team := p.group("g"), p.group("team", ann)
		p.user("live")
		e.update(func(t store.Tx) error {
			return t.Append(e.Context(), []store.Event{e.event(ann.ID, `{"after":{"user_name":"ann"}}`), e.event(bob.ID, `{"after":{"user_name":"bob"}}`)})
		})
		before := e.events(store.EventQuery{Org: e.org, Limit: 100})
		p.deleteUser(ann)
		p.changeGroup(store.OpDelete, g, func(g *store.Group) { g.DeletedAt = p.now })
		p.change(store.OpDelete, bob, func(u *store.User) { u.DeletedAt = p.now.Add(time.Hour) })

		if n := e.purge(p.now, 10); n != 0 {
			e.Errorf("%d were purged at the very time of their deletion", n)
		}
		if n := e.purge(p.now.Add(time.Minute), 10); n != 2 {
			e.Errorf("%d were purged, want a user and a group", n)
		}
		if diff := cmp.Diff([]string{"bob"}, e.departed()); diff != "" {
			e.Errorf("departed (-want +got):\n%s", diff)
		}
		if have := p.direct(team); have != "" {
			e.Errorf("the group still has %q", have)
		}
		for _, id := range []store.ID{ann.ID, bob.ID} {
			for _, was := range before {
				if was.Resource != id {
					continue
				}
				for _, is := range e.events(store.EventQuery{Org: e.org, Resource: id, Limit: 100}) {
					if is.ID != was.ID {
						continue
					}
					want := was
					if id == ann.ID {
						want.Data = []byte(`{"redacted":true}`)
					}
					if diff := cmp.Diff(want, is); diff != "" {
						e.Errorf("event (-want +got):\n%s", diff)
					}
				}
			}
		}
		for resource, typ := range map[store.ID]string{ann.ID: store.EventUserPurged, g.ID: store.EventGroupPurged} {
			list := e.events(store.EventQuery{Org: e.org, Resource: resource, Limit: 100})
			if len(list) == 0 || list[len(list)-1].Type != typ {
				e.Errorf("the events of %s are %+v, want %s last", resource, list, typ)
			}
		}
	},
	"a purge takes no more than it may at a time": func(e *env) {
		p := e.at("alpha")
		for _, name := range []string{"a", "b", "c"} {
			p.deleteUser(p.user(name))
		}
		g := p.group("g")
		p.changeGroup(store.OpDelete, g, func(g *store.Group) { g.DeletedAt = p.now })
		var had []int
		for range 3 {
			had = append(had, e.purge(p.now.Add(time.Second), 3))
		}
		if diff := cmp.Diff([]int{3, 1, 0}, had); diff != "" {
			e.Errorf("purged (-want +got):\n%s", diff)
		}
	},
}
