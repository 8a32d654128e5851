package reconcile_test

import (
	"testing"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// TestRule1AChangeOfWhatADirectoryOwnsIsRefusedByTheNameOfTheField states records of a
// directory as an administrator.
func TestRule1AChangeOfWhatADirectoryOwnsIsRefusedByTheNameOfTheField(t *testing.T) {
	yes, no := true, false
	user := func(change func(*store.UserStatement)) store.Statement {
		s := states("a", "ann@corp.test")
		s.Attributes.Title = "Clerk"
		s.Attributes.Enterprise = &store.Enterprise{Department: "Sales"}
		change(&s)
		return pull(s)
	}
	group := func(s store.GroupStatement) store.Statement {
		s.Record = store.RecordKey{ExternalID: "g"}
		return store.Statement{Org: 1, Directory: 7, Groups: []store.GroupStatement{s}}
	}
	for _, tt := range []struct {
		name  string
		want  store.Statement
		field string // "": it is not refused
	}{
		{"the switch", user(func(s *store.UserStatement) { s.Enabled, s.Active = &no, &yes }), ""},
		{"an attribute", user(func(s *store.UserStatement) { s.Attributes.Title = "Chief" }), "title"},
		{"an attribute taken away", user(func(s *store.UserStatement) { s.Attributes.Title = "" }), "title"},
		{"one that was not there", user(func(s *store.UserStatement) { s.Attributes.Emails = []store.Value{{Value: "a@corp.test"}} }), "emails"},
		{"one of the extension", user(func(s *store.UserStatement) {
			s.Attributes.Enterprise = &store.Enterprise{Department: "Sales", Division: "West"}
		}), "division"},
		{"the extension taken away", user(func(s *store.UserStatement) { s.Attributes.Enterprise = nil }), "department"},
		{"the activation", user(func(s *store.UserStatement) { s.Active = &no }), "active"},
		{"a new user", pull(states("b", "bob@corp.test")), "userName"},
		{"a group's name", group(store.GroupStatement{DisplayName: ptr("Crew"), Description: ptr("x")}), "displayName"},
		{"a group's key", group(store.GroupStatement{ExternalID: ptr("h")}), "externalId"},
		{"a group's description", group(store.GroupStatement{Description: ptr("x")}), "description"},
		{"a group's members", group(store.GroupStatement{Members: store.MemberStatement{Add: ext("a")}}), "members"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ann := person(1, "a", "ann@corp.test")
			ann.Attributes.Title = "Clerk"
			ann.Attributes.Enterprise = &store.Enterprise{Department: "Sales"}
			tt.want.Origin = store.OriginAdmin
			cs := reconcile.Plan(withGroups(snapshot(corp(nil), ann), team(20, "g", "Team")), tt.want, reconcile.Policy{})
			switch err := cs.Results[0].Err; {
			case tt.field == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.field != "" && (err == nil || err.Code != store.CodeOwned || err.Field != tt.field):
				t.Errorf("got %+v, want it refused as owned for %s", err, tt.field)
			}
		})
	}
}
