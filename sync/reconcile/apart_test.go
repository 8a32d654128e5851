package reconcile_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// creates is a push of new records that stand apart; their NewIDs are the words given.
func creates(users []store.UserStatement, groups []store.GroupStatement) store.Statement {
	for i := range users {
		users[i].NewKey = store.Key(100 + i)
	}
	for i := range groups {
		groups[i].NewKey = store.Key(200 + i)
	}
	return store.Statement{Org: 1, Directory: 7, Origin: store.OriginPush, Apart: true, Users: users, Groups: groups}
}

func newUser(id store.ID, name, manager string) store.UserStatement {
	s := store.UserStatement{NewID: id, Attributes: store.Attributes{UserName: name}}
	if manager != "" {
		s.Attributes.Enterprise = &store.Enterprise{Manager: &store.Manager{Value: manager}}
	}
	return s
}

func newGroup(id store.ID, name string, members ...store.ID) store.GroupStatement {
	s := store.GroupStatement{NewID: id, DisplayName: &name, Members: store.MemberStatement{Mode: store.MembersReplace}}
	for _, m := range members {
		s.Members.Add = append(s.Members.Add, store.MemberRef{ID: m})
	}
	return s
}

func codes(cs store.ChangeSet) []store.Code {
	var out []store.Code
	for _, r := range cs.Results {
		var err error
		if r.Err != nil {
			err = r.Err
		}
		out = append(out, store.CodeOf(err))
	}
	return out
}

func TestRecordsThatStandApartAreRefusedAlone(t *testing.T) {
	const ok = store.Code("")
	have := snapshot(corp(nil), person(1, "e1", "taken@corp.test"))
	tests := []struct {
		name   string
		users  []store.UserStatement
		groups []store.GroupStatement
		want   []store.Code
	}{
		{"a refusal leaves the others be", []store.UserStatement{
			newUser("a", "a@corp.test", ""), newUser("b", "b@nowhere.test", ""), newUser("c", "taken@corp.test", ""), newUser("d", "d@corp.test", ""),
		}, nil, []store.Code{ok, store.CodeInvalid, store.CodeUniqueness, ok}},
		{"who has a refused manager is refused, and who has that one", []store.UserStatement{
			newUser("a", "a@corp.test", "b"), newUser("b", "b@corp.test", "c"), newUser("c", "c@nowhere.test", ""), newUser("d", "d@corp.test", ""),
		}, nil, []store.Code{store.CodeConflict, store.CodeConflict, store.CodeInvalid, ok}},
		{"managers may go in a circle", []store.UserStatement{
			newUser("a", "a@corp.test", "b"), newUser("b", "b@corp.test", "a"),
		}, nil, []store.Code{ok, ok}},
		{"a group may hold users and groups of the same statement, in a circle", []store.UserStatement{newUser("u", "u@corp.test", "")},
			[]store.GroupStatement{newGroup("g", "G", "h", "u"), newGroup("h", "H", "g")}, []store.Code{ok, ok, ok}},
		{"a group that holds a refused one is refused, and those above it", []store.UserStatement{newUser("u", "u@nowhere.test", "")},
			[]store.GroupStatement{newGroup("g", "G", "h"), newGroup("h", "H", "u"), newGroup("i", "I")},
			[]store.Code{store.CodeInvalid, store.CodeConflict, store.CodeConflict, ok}},
		{"a group in itself", nil, []store.GroupStatement{newGroup("g", "G", "g"), newGroup("h", "H", "g")}, []store.Code{store.CodeInvalid, store.CodeConflict}},
		{"an unknown member", nil, []store.GroupStatement{newGroup("g", "G", "nobody"), newGroup("h", "H")}, []store.Code{store.CodeInvalid, ok}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cs := reconcile.Plan(have, creates(tt.users, tt.groups), policy())
			if diff := cmp.Diff(tt.want, codes(cs)); diff != "" {
				t.Error(diff)
			}
			accepted := 0
			for _, c := range tt.want {
				if c == ok {
					accepted++
				}
			}
			if written := len(cs.Users) + len(cs.Groups); written != accepted {
				t.Errorf("%d records would be written of %d that are accepted", written, accepted)
			}
		})
	}
}

func TestAMemberThatReturnsKeepsItsID(t *testing.T) {
	have := snapshot(corp(nil))
	gone := person(1, "e1", "u@corp.test")
	gone.DeletedAt = now
	have.Departed = []*store.User{gone}
	u := newUser("u", "u@corp.test", "")
	u.ExternalID = "e1"
	cs := reconcile.Plan(have, creates([]store.UserStatement{newUser("a", "a@corp.test", "u"), u}, []store.GroupStatement{newGroup("g", "G", "u")}), policy())
	if diff := cmp.Diff([]store.Outcome{store.Created, store.Restored, store.Created}, outcomes(cs)); diff != "" {
		t.Fatal(diff)
	}
	if got := cs.Users[0].After.Attributes.Enterprise.Manager.Value; got != string(gone.ID) {
		t.Errorf("the manager is %s, want %s", got, gone.ID)
	}
	if diff := cmp.Diff([]store.Edge{{Kind: store.KindUser, Key: 1}}, cs.Groups[0].Add); diff != "" {
		t.Error(diff)
	}
}
