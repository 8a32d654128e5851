package reconcile_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

func ptr(s string) *string { return &s }

func team(key store.Key, ext, name string) *store.Group {
	return &store.Group{Key: key, ID: store.ID(name + "-id"), Org: 1, Directory: 7, ExternalID: ext, DisplayName: name, Version: 1, Hash: []byte{1}}
}

func withGroups(have *store.Snapshot, groups ...*store.Group) *store.Snapshot {
	have.Groups = map[store.RecordKey]*store.Group{}
	have.GroupNameHolders = map[string]*store.Group{}
	have.GroupOwners = map[string]store.KeyOwner{}
	have.Members = map[store.MemberRef]store.Edge{}
	have.Edges = map[store.Key]map[store.Edge]bool{}
	have.Pending = map[store.Key]map[string]bool{}
	for _, g := range groups {
		have.Groups[store.RecordKey{ExternalID: g.ExternalID}] = g
		have.Groups[store.RecordKey{ID: g.ID}] = g
		have.GroupNameHolders[store.Fold(g.DisplayName)] = g
	}
	for ref, u := range have.Users {
		have.Members[store.MemberRef(ref)] = store.Edge{Kind: store.KindUser, Key: u.Key}
	}
	for ref, g := range have.Groups {
		have.Members[store.MemberRef(ref)] = store.Edge{Kind: store.KindGroup, Key: g.Key}
	}
	return have
}

func stated(groups ...store.GroupStatement) store.Statement {
	for i := range groups {
		if groups[i].ExternalID != nil {
			groups[i].Record = store.RecordKey{ExternalID: *groups[i].ExternalID}
		}
		groups[i].NewKey, groups[i].NewID = store.Key(200+i), "new"
		groups[i].Hash = []byte{2}
	}
	return store.Statement{Org: 1, Directory: 7, Origin: store.OriginPull, Groups: groups}
}

func ext(ids ...string) (refs []store.MemberRef) {
	for _, id := range ids {
		refs = append(refs, store.MemberRef{ExternalID: id})
	}
	return refs
}

var userEdge = func(k store.Key) store.Edge { return store.Edge{Kind: store.KindUser, Key: k} }

func TestPlanMembers(t *testing.T) {
	base := func() *store.Snapshot {
		have := withGroups(snapshot(corp(nil), person(1, "a", "ann@corp.test"), person(2, "b", "bob@corp.test"), person(3, "c", "cy@corp.test")),
			team(20, "g", "Team"), team(21, "h", "Child"))
		have.Edges[20] = map[store.Edge]bool{userEdge(1): true, userEdge(2): true}
		have.Pending[20] = map[string]bool{"later": true}
		return have
	}
	group := func(m store.MemberStatement) store.Statement {
		return stated(store.GroupStatement{ExternalID: ptr("g"), DisplayName: ptr("Team"), Members: m})
	}
	tests := []struct {
		name   string
		want   store.Statement
		is     store.Outcome
		add    []store.Edge
		remove []store.Edge
		wait   []string
		forget []string
	}{
		{"rule 4: replacing writes the difference", group(store.MemberStatement{Mode: store.MembersReplace, Add: ext("b", "c", "later")}),
			store.Modified, []store.Edge{userEdge(3)}, []store.Edge{userEdge(1)}, nil, nil},
		{"rule 4: replacing by the same members changes nothing but the hash", group(store.MemberStatement{Mode: store.MembersReplace, Add: ext("b", "a", "later")}),
			store.Unchanged, nil, nil, nil, nil},
		{"rule 4: adding names only what is added", group(store.MemberStatement{Add: ext("c", "a", "c")}), store.Modified, []store.Edge{userEdge(3)}, nil, nil, nil},
		{"rule 4: removing who is no member changes nothing", group(store.MemberStatement{Remove: ext("c", "nobody")}), store.Unchanged, nil, nil, nil, nil},
		{"rule 4: an unknown member of a pull stays pending", group(store.MemberStatement{Add: ext("stranger", "later")}), store.Modified, nil, nil, []string{"stranger"}, nil},
		{"rule 4: a pending member can be removed", group(store.MemberStatement{Remove: ext("later")}), store.Modified, nil, nil, nil, []string{"later"}},
		{"rule 4: a group may hold a group", group(store.MemberStatement{Add: ext("h")}), store.Modified, []store.Edge{{Kind: store.KindGroup, Key: 21}}, nil, nil, nil},
		{"rule 4: a group in itself is harmless", group(store.MemberStatement{Add: ext("g")}), store.Unchanged, nil, nil, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cs := reconcile.Plan(base(), tt.want, policy())
			if got := cs.Results[0].Outcome; got != tt.is {
				t.Errorf("outcome %s, want %s", got, tt.is)
			}
			var c store.GroupChange
			if len(cs.Groups) > 0 {
				c = cs.Groups[0]
			}
			for _, part := range []struct {
				name      string
				want, got any
			}{{"added", tt.add, c.Add}, {"removed", tt.remove, c.Remove}, {"pending", tt.wait, c.AddPending}, {"forgotten", tt.forget, c.RemovePending}} {
				if diff := cmp.Diff(part.want, part.got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", part.name, diff)
				}
			}
		})
	}
}

func TestAPushIsRefused(t *testing.T) {
	have := withGroups(snapshot(corp(nil), person(1, "a", "ann@corp.test")), team(20, "g", "Team"), team(21, "h", "Other"))
	have.GroupOwners["sales"] = store.KeyOwner{Directory: 9, DirectoryName: "okta", Key: 60, ID: "theirs", Name: "Sales"}
	id := func(s store.GroupStatement) store.Statement {
		s.Record = store.RecordKey{ID: "Team-id"}
		return store.Statement{Org: 1, Directory: 7, Origin: store.OriginPush, Groups: []store.GroupStatement{s}}
	}
	tests := []struct {
		name string
		want store.Statement
		code store.Code
	}{
		{"rule 4: an unknown member", id(store.GroupStatement{Members: store.MemberStatement{Add: []store.MemberRef{{ID: "nobody"}}}}), store.CodeInvalid},
		{"rule 4: a group in itself", id(store.GroupStatement{Members: store.MemberStatement{Add: []store.MemberRef{{ID: "Team-id"}}}}), store.CodeInvalid},
		{"rule 2: a displayName of the same directory", id(store.GroupStatement{DisplayName: ptr("OTHER")}), store.CodeUniqueness},
		{"rule 2: a displayName of another directory", id(store.GroupStatement{DisplayName: ptr("Sales")}), store.CodeUniqueness},
		{"a blank displayName", id(store.GroupStatement{DisplayName: ptr(" ")}), store.CodeInvalid},
		{"a displayName with NUL", id(store.GroupStatement{DisplayName: ptr("a\x00b")}), store.CodeInvalid},
		{"a group that does not exist", func() store.Statement { s := id(store.GroupStatement{}); s.Groups[0].Record.ID = "gone"; return s }(), store.CodeNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cs := reconcile.Plan(have, tt.want, policy())
			if err := cs.Results[0].Err; err == nil || err.Code != tt.code {
				t.Errorf("got %v, want code %s", err, tt.code)
			}
			if len(cs.Groups) > 0 {
				t.Errorf("a refused statement changes %+v", cs.Groups)
			}
		})
	}
}
