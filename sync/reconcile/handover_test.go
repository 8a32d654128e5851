package reconcile_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// handingOver is a snapshot of the directory corp, which takes over from the directory
// 9, called okta, with users of that one.
func handingOver(users ...*store.User) *store.Snapshot {
	have := snapshot(corp(nil))
	have.TakesFrom, have.Taken = map[store.Key]bool{9: true}, map[store.ID]*store.User{}
	for _, u := range users {
		u.Directory = 9
		have.Taken[u.ID] = u
		for _, k := range u.Attributes.IdentityKeys() {
			have.Owners[k] = store.KeyOwner{Directory: 9, DirectoryName: "okta", Holders: 1, Key: u.Key, ID: u.ID, Name: u.Attributes.UserName}
		}
	}
	return have
}

func withMail(u *store.User, mail string) *store.User {
	u.Attributes.Emails = []store.Value{{Value: mail}}
	return u
}

func mailed(s store.UserStatement, mail string) store.UserStatement {
	s.Attributes.Emails = []store.Value{{Value: mail}}
	return s
}

func TestAHandoverMovesTheOneUserThatAllNamesMean(t *testing.T) {
	for _, c := range []struct {
		name   string
		have   *store.Snapshot
		states []store.UserStatement
		want   []store.Outcome
	}{
		{"by userName", handingOver(person(1, "o-1", "ann@corp.test")), []store.UserStatement{states("e-1", "ANN@corp.test")}, []store.Outcome{store.Claimed}},
		{"by an email", handingOver(withMail(person(1, "o-1", "x@corp.test"), "ann@corp.test")),
			[]store.UserStatement{mailed(states("e-1", "ann.lee@corp.test"), "Ann@corp.test")}, []store.Outcome{store.Claimed}},
		{"userName and email of two", handingOver(person(1, "o-1", "ann@corp.test"), person(2, "o-2", "bob@corp.test")),
			[]store.UserStatement{mailed(states("e-1", "ann@corp.test"), "bob@corp.test")}, []store.Outcome{store.Duplicated}},
		{"one that two state", handingOver(withMail(person(1, "o-1", "ann@corp.test"), "a@corp.test")),
			[]store.UserStatement{states("e-1", "ann@corp.test"), mailed(states("e-2", "x@corp.test"), "a@corp.test")}, []store.Outcome{store.Claimed, store.Duplicated}},
		{"names that have moved between two", handingOver(withMail(person(1, "o-1", "ann@corp.test"), "a@corp.test"), withMail(person(2, "o-2", "bob@corp.test"), "b@corp.test")),
			[]store.UserStatement{mailed(states("e-1", "bob@corp.test"), "a@corp.test"), mailed(states("e-2", "ann@corp.test"), "b@corp.test")},
			[]store.Outcome{store.Duplicated, store.Duplicated}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cs := reconcile.Plan(c.have, pull(c.states...), policy())
			if diff := cmp.Diff(c.want, outcomes(cs)); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAUserThatIsHandedOverKeepsItsIdAndItsSwitch(t *testing.T) {
	ann := person(1, "o-1", "ann@corp.test")
	ann.Enabled = false
	cs := reconcile.Plan(handingOver(ann), pull(states("e-1", "ann@corp.test")), policy())
	if len(cs.Users) != 1 || len(cs.Events) != 1 {
		t.Fatalf("changes %+v and events %+v", cs.Users, cs.Events)
	}
	got := cs.Users[0]
	if got.Op != store.OpUpdate || got.After.ID != ann.ID || got.After.Key != 1 || got.After.Enabled || got.After.Directory != 7 || got.After.ExternalID != "e-1" {
		t.Errorf("change %+v", got)
	}
	if diff := cmp.Diff([]string{"ann@corp.test"}, got.Release); diff != "" {
		t.Errorf("releases (-want +got):\n%s", diff)
	}
	if e := cs.Events[0]; e.Type != store.EventUserHandedOver || !strings.Contains(string(e.Data), `"from":"okta","to":"corp"`) {
		t.Errorf("event %s %s", e.Type, e.Data)
	}
}

func TestANewAddressOfAUserWhoIsHandedOverIsJudgedAndTheRestMoves(t *testing.T) {
	ann := withMail(person(1, "o-1", "ann@corp.test"), "a@corp.test")
	cs := reconcile.Plan(handingOver(ann), pull(mailed(states("e-1", "ann@evil.test"), "a@corp.test")), policy())
	if len(cs.Users) != 1 || cs.Users[0].After.Directory != 7 || cs.Users[0].After.Attributes.UserName != "ann@corp.test" || cs.Users[0].After.Hash != nil {
		t.Errorf("changes %+v", cs.Users)
	}
	if len(cs.Findings) != 1 || cs.Findings[0].Rule != store.RuleUnverifiedDomain {
		t.Errorf("findings %+v", cs.Findings)
	}
}

func TestADirectoryCannotChangeWhatItHasHandedOver(t *testing.T) {
	have := snapshot(corp(nil))
	have.GaveAway = true
	have.Given = map[store.Kind]map[string]store.KeyOwner{store.KindUser: {"c-1": {Directory: 9, DirectoryName: "okta", ID: "ann-id", Name: "ann"}}}
	cs := reconcile.Plan(have, pull(states("c-1", "renamed@corp.test"), states("c-2", "new@corp.test")), policy())
	if diff := cmp.Diff([]store.Outcome{store.Duplicated, store.Created}, outcomes(cs)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if len(cs.Findings) != 1 || cs.Findings[0].Rule != store.RuleDuplicate || !strings.Contains(cs.Findings[0].Sentence, "handed over and is owned by the directory okta") {
		t.Errorf("findings %+v", cs.Findings)
	}
}
