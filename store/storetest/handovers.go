package storetest

import (
	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

func (e *env) handover(from, to store.Key) {
	e.Helper()
	e.update(func(t store.Tx) error {
		return t.StartHandover(e.Context(), &store.Handover{Org: e.org, From: from, To: to, StartedAt: e.now, StartedBy: "ada"})
	})
}

// handovers are those that a directory takes part in.
func (e *env) handovers(org, directory store.Key) []store.Handover {
	e.Helper()
	return got(e, func(r store.Reader) (store.Page[store.Handover], error) {
		return r.HandoverPage(e.Context(), store.HandoverQuery{Org: org, Directory: directory})
	}).Items
}

// takes moves a user into the place, under another stable id.
func (p *place) takes(u *store.User, external string) *store.User {
	p.Helper()
	after := *u
	after.Directory, after.ExternalID = p.dir, external
	after.Version++
	keys := u.Attributes.IdentityKeys()
	p.apply(store.ChangeSet{Users: []store.UserChange{{Op: store.OpUpdate, Before: u, After: after, Release: keys, Claim: keys}}})
	return &after
}

func (p *place) takesGroup(g *store.Group, external string) *store.Group {
	p.Helper()
	after := *g
	after.Directory, after.ExternalID = p.dir, external
	after.Version++
	name := store.Fold(g.DisplayName)
	p.apply(store.ChangeSet{Groups: []store.GroupChange{{Op: store.OpUpdate, Before: g, After: after, Release: name, Claim: name}}})
	return &after
}

var handovers = map[string]func(*env){
	"a handover goes on once, in one direction, until it is ended": func(e *env) {
		from, to := e.at("from"), e.at("to")
		e.handover(from.dir, to.dir)
		start := func(a, b store.Key) func(store.Tx) error {
			return func(t store.Tx) error {
				return t.StartHandover(e.Context(), &store.Handover{Org: e.org, From: a, To: b, StartedAt: e.now})
			}
		}
		e.refused(store.CodeConflict, start(from.dir, to.dir))
		e.refused(store.CodeConflict, start(to.dir, from.dir))
		third := e.at("third")
		e.handover(third.dir, to.dir)
		list := e.handovers(e.org, to.dir)
		want := []store.Handover{
			{Org: e.org, From: from.dir, To: to.dir, FromName: "from", ToName: "to", StartedAt: e.now, StartedBy: "ada"},
			{Org: e.org, From: third.dir, To: to.dir, FromName: "third", ToName: "to", StartedAt: e.now, StartedBy: "ada"},
		}
		if diff := cmp.Diff(want, list); diff != "" {
			e.Errorf("handovers (-want +got):\n%s", diff)
		}
		if other := e.handovers(e.organization("other"), to.dir); len(other) != 0 {
			e.Errorf("another organization has %v", other)
		}
		end := func(t store.Tx) error { return t.EndHandover(e.Context(), e.org, from.dir, to.dir) }
		e.update(end)
		e.refused(store.CodeNotFound, end)
		if have := to.load(store.Scope{UserKeys: []string{"x"}}); len(have.TakesFrom) != 1 || !have.TakesFrom[third.dir] {
			e.Errorf("it takes from %v, want the third only", have.TakesFrom)
		}
	},

	"what is to be taken over is loaded, with its edges and those that are foreign": func(e *env) {
		from, to, third := e.at("from"), e.at("to"), e.at("third")
		e.handover(from.dir, to.dir)
		ann, bob := from.user("ann"), to.user("bob")
		inner, outer := from.group("inner", ann), third.group("outer")
		g := from.group("staff", ann, inner)
		from.apply(store.ChangeSet{Groups: []store.GroupChange{{After: *g, AddPending: []string{"later"}}}})
		elsewhere := e.elsewhere()
		stranger := elsewhere.user("stranger")
		have := to.load(store.Scope{
			Handover: true, TakeUsers: []store.ID{ann.ID, stranger.ID}, GroupKeys: []string{"staff"},
			Groups: []store.GroupScope{{Record: store.RecordKey{ExternalID: "e-1"}, Take: g.ID, AllEdges: true}, {Record: store.RecordKey{ExternalID: "e-2"}}},
		})
		if len(have.Taken) != 1 || have.Taken[ann.ID] == nil || len(have.TakenGroups) != 1 || have.TakenGroups[g.ID] == nil || len(have.Users)+len(have.Groups) != 0 {
			e.Fatalf("taken are %v and %v, and loaded %v and %v", have.Taken, have.TakenGroups, have.Users, have.Groups)
		}
		edges := map[store.Edge]bool{{Kind: store.KindUser, Key: ann.Key}: true, {Kind: store.KindGroup, Key: inner.Key}: true}
		if diff := cmp.Diff(edges, have.Edges[g.Key]); diff != "" {
			e.Errorf("edges (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(edges, have.Foreign); diff != "" {
			e.Errorf("foreign (-want +got):\n%s", diff)
		}
		if !have.Pending[g.Key]["later"] {
			e.Errorf("pending %v", have.Pending)
		}
		to.add(g, bob)
		third.add(outer, bob)
		have = to.load(store.Scope{Handover: true, Groups: []store.GroupScope{{Take: g.ID, AllEdges: true}}})
		if have.Foreign[store.Edge{Kind: store.KindUser, Key: bob.Key}] {
			e.Error("its own user is foreign to a directory")
		}
	},

	"a directory still knows what it has handed over, until it comes back or is purged": func(e *env) {
		from, to := e.at("from"), e.at("to")
		e.handover(from.dir, to.dir)
		ann, bob := from.user("ann", stable("a-1")), from.user("bob", stable("b-1"))
		staff := from.group("staff", ann)
		from.changeGroup(store.OpUpdate, staff, func(g *store.Group) { g.ExternalID = "g-1" })
		local := from.group("local", ann)
		ann, bob = to.takes(ann, "e-1"), to.takes(bob, "e-2")
		staff = to.takesGroup(staff, "e-3")
		look := func() *store.Snapshot {
			refs := []store.MemberRef{{ExternalID: "a-1"}, {ExternalID: "g-1"}, {ID: bob.ID}, {ExternalID: "nobody"}}
			return from.load(store.Scope{
				Handover: true, Users: []store.RecordKey{{ExternalID: "a-1"}, {ExternalID: "nobody"}},
				Groups: []store.GroupScope{{Record: store.RecordKey{ID: local.ID}, Refs: refs}, {Record: store.RecordKey{ExternalID: "g-1"}}},
			})
		}
		have := look()
		owner := func(key store.Key, id store.ID, name string) store.KeyOwner {
			return store.KeyOwner{Directory: to.dir, DirectoryName: "to", Holders: 1, Key: key, ID: id, Name: name}
		}
		given := map[store.Kind]map[string]store.KeyOwner{
			store.KindUser:  {"a-1": owner(ann.Key, ann.ID, "ann")},
			store.KindGroup: {"g-1": owner(staff.Key, staff.ID, "staff")},
		}
		if diff := cmp.Diff(given, have.Given); diff != "" || !have.GaveAway {
			e.Errorf("gave away %t (-want +got):\n%s", have.GaveAway, diff)
		}
		members := map[store.MemberRef]store.Edge{
			{ExternalID: "a-1"}: {Kind: store.KindUser, Key: ann.Key}, {ExternalID: "g-1"}: {Kind: store.KindGroup, Key: staff.Key},
			{ID: bob.ID}: {Kind: store.KindUser, Key: bob.Key},
		}
		if diff := cmp.Diff(members, have.Members); diff != "" {
			e.Errorf("members (-want +got):\n%s", diff)
		}
		if !have.Edges[local.Key][store.Edge{Kind: store.KindUser, Key: ann.Key}] || have.Edges[local.Key][store.Edge{Kind: store.KindUser, Key: bob.Key}] {
			e.Errorf("edges %v", have.Edges[local.Key])
		}
		list := e.handovers(e.org, to.dir)
		if len(list) != 1 || list[0].UsersMoved != 2 || list[0].GroupsMoved != 1 {
			e.Errorf("handovers %+v", list)
		}

		bob = from.takes(bob, "b-1")
		to.deleteUser(ann)
		if have := look(); len(have.Given[store.KindUser]) != 0 || len(have.Members) != 2 {
			e.Errorf("after one came back and one was deleted, given are %v and members %v", have.Given, have.Members)
		}
		if have := to.load(store.Scope{Handover: true, Users: []store.RecordKey{{ExternalID: "e-2"}}}); have.Given[store.KindUser]["e-2"].ID != bob.ID {
			e.Errorf("the other directory gave %v, want what it has handed back", have.Given)
		}
		e.purge(e.now.AddDate(1, 0, 0), 10)
		e.update(func(t store.Tx) error { return t.EndHandover(e.Context(), e.org, from.dir, to.dir) })
		if have := look(); have.Members[store.MemberRef{ExternalID: "g-1"}].Key != staff.Key {
			e.Errorf("after the end the members are %v, want the group that has moved", have.Members)
		}
	},

	"members that were pending come alive with a record that is taken over": func(e *env) {
		from, to := e.at("from"), e.at("to")
		ann := from.user("ann", stable("a-1"))
		g := to.group("staff")
		to.apply(store.ChangeSet{Groups: []store.GroupChange{{After: *g, AddPending: []string{"e-1"}}}})
		to.takes(ann, "e-1")
		if have := to.direct(g); have != "ann" {
			e.Errorf("the group has %q, want ann", have)
		}
	},
}
