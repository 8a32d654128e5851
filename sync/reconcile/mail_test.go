package reconcile_test

import (
	"testing"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

func TestOnlyNewUsersThatAreActiveAreWelcomed(t *testing.T) {
	const address = "ann@corp.test"
	on := func(s *store.Settings) { s.EmailNewUsers = true }
	inactive := false
	for name, c := range map[string]struct {
		settings func(*store.Settings)
		have     func(*store.Snapshot)
		state    func(*store.UserStatement)
		outcome  store.Outcome
		mails    int
	}{
		"rule 10: a new user is welcomed when email_new_users is on":    {settings: on, outcome: store.Created, mails: 1},
		"rule 10: nobody is welcomed when it is off, as it is at first": {outcome: store.Created},
		"rule 10: nobody who is inactive in the directory": {
			settings: on, state: func(s *store.UserStatement) { s.Active = &inactive }, outcome: store.Created,
		},
		"rule 10: nobody who is not enabled": {
			settings: func(s *store.Settings) { s.EmailNewUsers, s.EnableNewUsers = true, false }, outcome: store.Created,
		},
		"rule 10: nobody without an address": {
			settings: func(s *store.Settings) { s.EmailNewUsers, s.DomainPolicy = true, store.DomainsOff },
			state:    func(s *store.UserStatement) { s.Attributes.UserName = "ann" }, outcome: store.Created,
		},
		"rule 10: nobody who was imported before": {
			settings: on, outcome: store.Modified,
			have: func(have *store.Snapshot) {
				u := person(8, "a", address)
				u.Stated = false
				have.Users[store.RecordKey{ExternalID: "a"}] = u
			},
			state: func(s *store.UserStatement) { active := true; s.Active = &active },
		},
		"rule 7: nobody who returns": {
			settings: on, outcome: store.Restored,
			have: func(have *store.Snapshot) {
				u := person(8, "a", address)
				u.DeletedAt = now
				have.Departed = []*store.User{u}
			},
		},
		"rule 2: nobody who is claimed": {
			settings: func(s *store.Settings) { s.EmailNewUsers, s.OnMatch = true, store.MatchClaim }, outcome: store.Claimed,
			have: func(have *store.Snapshot) {
				u := person(8, "", address)
				u.Directory = 0
				u.Attributes.Emails = []store.Value{{Value: address}}
				have.Users[store.RecordKey{ID: "claim:" + u.ID}] = u
				have.Owners[address] = store.KeyOwner{Holders: 1, Key: 8, ID: u.ID, Name: address, Internal: true}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			have := snapshot(corp(c.settings))
			if c.have != nil {
				c.have(have)
			}
			s := states("a", address)
			if c.state != nil {
				c.state(&s)
			}
			cs := reconcile.Plan(have, pull(s), policy())
			if got := cs.Results[0].Outcome; got != c.outcome || len(cs.Mails) != c.mails {
				t.Fatalf("%s with %d mails, want %s with %d", got, len(cs.Mails), c.outcome, c.mails)
			}
			if c.mails == 1 && (cs.Mails[0].Recipient != address || cs.Mails[0].Resource != cs.Users[0].After.ID || cs.Mails[0].Directory != 7) {
				t.Errorf("the mail is %+v", cs.Mails[0])
			}
		})
	}
}
