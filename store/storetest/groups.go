package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

var groups = map[string]func(*env){
	"a group is read back as it was created and changed": func(e *env) {
		p := e.at("alpha")
		g := p.newGroup("Straße", func(g *store.Group) { g.ExternalID, g.Description, g.Hash = "g-1", "all of them", []byte{1} })
		p.apply(store.ChangeSet{Groups: []store.GroupChange{{Op: store.OpCreate, After: g, Claim: store.Fold(g.DisplayName)}}})
		for _, ref := range []string{string(g.ID), "STRASSE"} {
			have := got(e, func(r store.Reader) (*store.Group, error) { return r.Group(e.Context(), e.org, ref) })
			if diff := cmp.Diff(&g, have); diff != "" {
				e.Errorf("by %q (-want +got):\n%s", ref, diff)
			}
		}
		p.changeGroup(store.OpUpdate, &g, func(g *store.Group) {
			g.DisplayName, g.Description, g.ExternalID, g.OutOfScope, g.Hash, g.ModifiedAt = "b", "", "", true, nil, e.now.Add(time.Second)
		})
		if diff := cmp.Diff(&g, p.readGroup(&g)); diff != "" {
			e.Errorf("changed (-want +got):\n%s", diff)
		}
		absent(e, func(r store.Reader) (*store.Group, error) { return r.Group(e.Context(), e.org, "strasse") })
	},
	"swapped names are written whatever their order": func(e *env) {
		p := e.at("alpha")
		a, b := p.group("a"), p.group("b")
		rename := func(g *store.Group, name string) store.GroupChange {
			after := *g
			after.DisplayName, after.Version = name, 2
			return store.GroupChange{Op: store.OpUpdate, Before: g, After: after, Release: g.DisplayName, Claim: name}
		}
		p.apply(store.ChangeSet{Groups: []store.GroupChange{rename(a, "b"), rename(b, "a")}})
		if have := p.readGroup(a).DisplayName + p.readGroup(b).DisplayName; have != "ba" {
			e.Errorf("names are %q, want ba", have)
		}
	},
	"a deleted group is nowhere, loses its edges, and its children stay": func(e *env) {
		p := e.at("alpha")
		u := p.user("ann")
		child := p.group("child", u)
		g := p.group("g", child, u)
		parent := p.group("parent", g)
		p.changeGroup(store.OpDelete, g, func(g *store.Group) { g.DeletedAt = e.now })
		absent(e, func(r store.Reader) (*store.Group, error) { return r.Group(e.Context(), e.org, "g") })
		if have := p.direct(parent) + "|" + p.effective(parent) + "|" + p.effective(child); have != "||ann" {
			e.Errorf("members of parent and child are %q", have)
		}
		have := p.load(store.Scope{Departed: true, GroupKeys: []string{"g"}})
		if len(have.DepartedGroups) != 1 || have.DepartedGroups[0].ID != g.ID {
			e.Fatalf("departed groups %v", have.DepartedGroups)
		}
		p.changeGroup(store.OpRestore, g, func(g *store.Group) { g.DeletedAt = time.Time{} })
		if have := p.direct(g) + "|" + p.effective(g); have != "|" {
			e.Errorf("members of the restored group are %q", have)
		}
	},
	"a scope loads groups, their holders of names, and the edges that it asks for": func(e *env) {
		p, other := e.at("alpha"), e.at("beta")
		ann, bob, carl := p.user("ann", stable("e-ann")), p.user("bob", stable("e-bob")), p.user("carl", stable("e-carl"))
		theirs := other.user("dora", stable("e-ann"))
		child := p.group("child")
		g := p.group("g", ann, bob, child)
		p.apply(store.ChangeSet{Groups: []store.GroupChange{{After: *g, AddPending: []string{"e-x", "e-y"}}}})
		edge := func(kind store.Kind, key store.Key) store.Edge { return store.Edge{Kind: kind, Key: key} }
		record := store.RecordKey{ID: g.ID}
		for _, unlocked := range []bool{false, true} {
			have := p.load(store.Scope{Unlocked: unlocked, GroupKeys: []string{"child", "dora"}, Groups: []store.GroupScope{{Record: record, Refs: []store.MemberRef{
				{ID: ann.ID}, {ID: carl.ID}, {ID: child.ID}, {ID: theirs.ID}, {ID: "x"}, {ExternalID: "e-ann"}, {ExternalID: "e-x"}, {ExternalID: "e-z"},
			}}}})
			want := store.Snapshot{
				Groups:           map[store.RecordKey]*store.Group{record: p.readGroup(g)},
				GroupNameHolders: map[string]*store.Group{"child": child},
				Members: map[store.MemberRef]store.Edge{
					{ID: ann.ID}: edge(store.KindUser, ann.Key), {ExternalID: "e-ann"}: edge(store.KindUser, ann.Key),
					{ID: carl.ID}: edge(store.KindUser, carl.Key), {ID: child.ID}: edge(store.KindGroup, child.Key),
				},
				Edges:   map[store.Key]map[store.Edge]bool{g.Key: {edge(store.KindUser, ann.Key): true, edge(store.KindGroup, child.Key): true}},
				Pending: map[store.Key]map[string]bool{g.Key: {"e-x": true}},
			}
			have = &store.Snapshot{Groups: have.Groups, GroupNameHolders: have.GroupNameHolders, Members: have.Members, Edges: have.Edges, Pending: have.Pending}
			if diff := cmp.Diff(&want, have); diff != "" {
				e.Errorf("some edges (-want +got):\n%s", diff)
			}
			all := p.load(store.Scope{Unlocked: unlocked, Groups: []store.GroupScope{{Record: record, AllEdges: true}}})
			want.Edges[g.Key][edge(store.KindUser, bob.Key)], want.Pending[g.Key]["e-y"] = true, true
			if diff := cmp.Diff(want.Edges, all.Edges) + cmp.Diff(want.Pending, all.Pending); diff != "" {
				e.Errorf("all edges (-want +got):\n%s", diff)
			}
		}
	},
	"many members that are removed are looked up as few are, and struck as those would be": func(e *env) {
		p := e.at("alpha")
		theirs := e.at("beta").user("zoe")
		child := p.group("child")
		var c store.ChangeSet
		for i := range 700 {
			c.Users = append(c.Users, store.UserChange{Op: store.OpCreate, After: p.newUser(fmt.Sprint("u", i))})
		}
		p.apply(c)
		g, above := p.group("g", child), p.group("above")
		in := store.GroupChange{After: *g}
		for i := range 600 { // the last hundred are in the group above only
			in.Add = append(in.Add, userEdge(&c.Users[i].After))
		}
		over := store.GroupChange{After: *above, Add: []store.Edge{groupEdge(g)}}
		for i := 550; i < 700; i++ {
			over.Add = append(over.Add, userEdge(&c.Users[i].After))
		}
		p.apply(store.ChangeSet{Cap: 1000, Groups: []store.GroupChange{in, over}})
		p.deleteUser(&c.Users[0].After)

		refs := []store.MemberRef{{ID: child.ID}, {ID: theirs.ID}, {ID: store.NewID(e.now)}, {ID: "x"}}
		for i := range 650 {
			refs = append(refs, store.MemberRef{ID: c.Users[i].After.ID})
		}
		record := store.RecordKey{ID: g.ID}
		few := p.load(store.Scope{Groups: []store.GroupScope{{Record: record, Refs: refs}}})
		many := p.load(store.Scope{Groups: []store.GroupScope{{Record: record, Refs: refs, Removes: true}}})
		if diff := cmp.Diff(few, many); diff != "" {
			e.Errorf("looked up (-as few +as many):\n%s", diff)
		}
		if len(many.Members) != 650 || len(many.Former) != 1 || len(many.Edges[g.Key]) != 601 {
			e.Errorf("%d members, %d former, %d edges", len(many.Members), len(many.Former), len(many.Edges[g.Key]))
		}

		out := store.GroupChange{After: *g}
		for i := range 650 { // fifty of them are none
			out.Remove = append(out.Remove, userEdge(&c.Users[i].After))
		}
		effects := p.apply(store.ChangeSet{Cap: 1000, Groups: []store.GroupChange{out}})
		lower, upper := effects.Effect(g.Key), effects.Effect(above.Key)
		if lower.Before != 599 || lower.After != 0 || lower.Ceased != 599 {
			e.Errorf("in the group: %+v", lower)
		}
		if upper.Before != 699 || upper.After != 150 || upper.Ceased != 549 {
			e.Errorf("above it: %+v", upper)
		}
		if have := p.direct(g); have != "child" {
			e.Errorf("%q are left", have)
		}
		if have := len(strings.Fields(p.effective(above))); have != 150 {
			e.Errorf("%d are left above", have)
		}
	},
	"an administrator's internal group takes members of every directory": func(e *env) {
		inner := &place{e, e.org, 0}
		theirs := e.at("alpha").user("ann")
		g := inner.group("g")
		have := inner.load(store.Scope{Groups: []store.GroupScope{{Record: store.RecordKey{ID: g.ID}, Refs: []store.MemberRef{{ID: theirs.ID}}}}})
		if have.Members[store.MemberRef{ID: theirs.ID}].Key != theirs.Key || have.Groups[store.RecordKey{ID: g.ID}] == nil || have.Directory != nil {
			e.Errorf("members %v, groups %v, directory %v", have.Members, have.Groups, have.Directory)
		}
		inner.add(g, theirs)
		if have := inner.effective(g); have != "ann" {
			e.Errorf("members %q", have)
		}
	},
	"a stable id of both a user and a group is the user's": func(e *env) {
		p := e.at("alpha")
		u := p.user("ann", stable("both"))
		g := p.newGroup("g", func(g *store.Group) { g.ExternalID = "both" })
		p.apply(store.ChangeSet{Groups: []store.GroupChange{{Op: store.OpCreate, After: g}}})
		have := got(e, func(r store.Reader) (map[store.MemberRef]store.Edge, error) {
			return r.Resolve(e.Context(), e.org, p.dir, []store.MemberRef{{ExternalID: "both"}, {ID: g.ID}, {ExternalID: ""}})
		})
		want := map[store.MemberRef]store.Edge{{ExternalID: "both"}: {Kind: store.KindUser, Key: u.Key}, {ID: g.ID}: {Kind: store.KindGroup, Key: g.Key}}
		if diff := cmp.Diff(want, have); diff != "" {
			e.Errorf("resolved (-want +got):\n%s", diff)
		}
	},
	"a name that another directory's group has is told, and cannot be claimed": func(e *env) {
		p, other := e.at("alpha"), e.at("beta")
		g := other.group("Staff")
		have := p.load(store.Scope{GroupKeys: []string{"staff"}}).GroupOwners
		want := map[string]store.KeyOwner{"staff": {Directory: other.dir, DirectoryName: "beta", Holders: 1, Key: g.Key, ID: g.ID, Name: "Staff"}}
		if diff := cmp.Diff(want, have); diff != "" {
			e.Errorf("owners (-want +got):\n%s", diff)
		}
		p.stale(store.ChangeSet{Groups: []store.GroupChange{{Op: store.OpCreate, After: p.newGroup("STAFF"), Claim: "staff"}}})
	},
}

func stable(id string) func(*store.User) { return func(u *store.User) { u.ExternalID = id } }
