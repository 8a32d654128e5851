package reconcile_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func policy() reconcile.Policy { return reconcile.Policy{Now: now, Cap: 3} }

// directory 7 of organization 1, called corp.
func corp(change func(*store.Settings)) *store.Directory {
	s := store.DefaultSettings(store.DirectoryLDAP)
	if change != nil {
		change(&s)
	}
	return &store.Directory{Key: 7, Org: 1, Name: "corp", Kind: store.DirectoryLDAP, Settings: s}
}

func person(key store.Key, ext, userName string) *store.User {
	return &store.User{
		Key: key, ID: store.ID(userName + "-id"), Org: 1, Directory: 7, ExternalID: ext, Stated: true, Enabled: true,
		Version: 1, Hash: []byte{1}, Attributes: store.Attributes{UserName: userName},
	}
}

// pull states users of the directory corp by stable id and userName.
func pull(users ...store.UserStatement) store.Statement {
	for i := range users {
		users[i].Record = store.RecordKey{ExternalID: users[i].ExternalID}
		users[i].NewKey, users[i].NewID = store.Key(100+i), store.ID("new-"+users[i].ExternalID)
		users[i].Hash = []byte{2}
	}
	return store.Statement{Org: 1, Directory: 7, Origin: store.OriginPull, Users: users}
}

func states(ext, userName string) store.UserStatement {
	return store.UserStatement{ExternalID: ext, Attributes: store.Attributes{UserName: userName}}
}

func push(s store.Statement) store.Statement { s.Origin = store.OriginPush; return s }

// snapshot is of the directory with its live users.
func snapshot(d *store.Directory, users ...*store.User) *store.Snapshot {
	have := &store.Snapshot{
		Directory:   d,
		Domains:     map[string]store.DomainState{"corp.test": store.DomainVerified, "other.test": store.DomainVerified, "new.test": store.DomainPending},
		Users:       map[store.RecordKey]*store.User{},
		NameHolders: map[string]*store.User{},
		Owners:      map[string]store.KeyOwner{},
	}
	for _, u := range users {
		have.Users[store.RecordKey{ExternalID: u.ExternalID}] = u
		have.Users[store.RecordKey{ID: u.ID}] = u
		have.NameHolders[store.Fold(u.Attributes.UserName)] = u
		for _, k := range u.Attributes.IdentityKeys() {
			have.Owners[k] = store.KeyOwner{Directory: u.Directory, DirectoryName: "corp", Holders: 1, Key: u.Key, ID: u.ID, Name: u.Attributes.UserName}
		}
	}
	return have
}

func foreign(have *store.Snapshot, key string) {
	have.Owners[store.Fold(key)] = store.KeyOwner{Directory: 9, DirectoryName: "okta", Holders: 1, Key: 50, ID: "theirs", Name: key}
}

func outcomes(cs store.ChangeSet) []store.Outcome {
	var out []store.Outcome
	for _, r := range cs.Results {
		out = append(out, r.Outcome)
	}
	return out
}

func TestPlanUsers(t *testing.T) {
	guest := states("g", "eve@elsewhere.example")
	guest.Attributes.UserType = "guest"
	disabled := states("a", "ann@corp.test")
	disabled.Active = new(bool)
	mailed := states("x", "xavier")
	mailed.Attributes.Emails = []store.Value{{Value: "Bob@Corp.Test", Type: "work"}}

	tests := []struct {
		name string
		have *store.Snapshot
		want store.Statement
		is   []store.Outcome
		rule string // of the first finding
	}{
		{"rule 1: a new user of the directory is created", snapshot(corp(nil)), pull(states("a", "ann@corp.test")), []store.Outcome{store.Created}, ""},
		{"rule 2: a userName that another directory owns is a duplicate", func() *store.Snapshot {
			s := snapshot(corp(nil))
			foreign(s, "ann@corp.test")
			return s
		}(), pull(states("a", "ANN@corp.test")), []store.Outcome{store.Duplicated}, store.RuleDuplicate},
		{"rule 2: an email that another directory owns is a duplicate", func() *store.Snapshot {
			s := snapshot(corp(nil))
			foreign(s, "bob@corp.test")
			return s
		}(), pull(mailed), []store.Outcome{store.Duplicated}, store.RuleDuplicate},
		{"rule 2: the holder keeps a contested name", snapshot(corp(nil), person(1, "b", "ann@corp.test")),
			pull(states("a", "ann@corp.test"), states("b", "ann@corp.test")), []store.Outcome{store.Duplicated, store.Unchanged}, store.RuleDuplicate},
		{"rule 2: without a holder the lowest stable id has a contested name", snapshot(corp(nil)),
			pull(states("b", "ann@corp.test"), states("a", "Ann@corp.test")), []store.Outcome{store.Duplicated, store.Created}, store.RuleDuplicate},
		{"rule 2: swapped names succeed", snapshot(corp(nil), person(1, "a", "ann@corp.test"), person(2, "b", "bob@corp.test")),
			pull(states("a", "bob@corp.test"), states("b", "ann@corp.test")), []store.Outcome{store.Modified, store.Modified}, ""},
		{"rule 2: a name freed by a deletion in the same statement can be taken", snapshot(corp(nil), person(1, "a", "ann@corp.test")),
			pull(store.UserStatement{ExternalID: "a", Presence: store.Gone}, states("b", "ann@corp.test")), []store.Outcome{store.Deleted, store.Created}, ""},
		{"rule 2: a name is not freed by leaving the scope", snapshot(corp(nil), person(1, "a", "ann@corp.test")),
			pull(store.UserStatement{ExternalID: "a", Presence: store.Left}, states("b", "ann@corp.test")), []store.Outcome{store.LeftScope, store.Duplicated}, store.RuleDuplicate},
		{"rule 2: who cannot move keeps its name from others", snapshot(corp(nil), person(1, "a", "ann@corp.test"), person(2, "b", "bob@corp.test"), person(3, "c", "cy@corp.test")),
			pull(states("a", "cy@corp.test"), states("b", "ann@corp.test")), []store.Outcome{store.Duplicated, store.Duplicated}, store.RuleDuplicate},
		{"rule 3: a user of an unverified domain is refused", snapshot(corp(nil)), pull(states("a", "ann@new.test")), []store.Outcome{store.Refused}, store.RuleUnverifiedDomain},
		{"rule 3: a subdomain of a verified domain is not verified", snapshot(corp(nil)), pull(states("a", "ann@hr.corp.test")), []store.Outcome{store.Refused}, store.RuleUnverifiedDomain},
		{"rule 3: a user without any address is refused", snapshot(corp(nil)), pull(states("a", "ann")), []store.Outcome{store.Refused}, store.RuleUnverifiedDomain},
		{"rule 3: without an address in userName the primary email decides", snapshot(corp(nil)), pull(mailed), []store.Outcome{store.Created}, ""},
		{"rule 3: external users always sync", snapshot(corp(nil)), pull(guest, states("h", "h_x.test#EXT#@tenant.example")), []store.Outcome{store.Created, store.Created}, ""},
		{"rule 3: selected lets in the chosen domains only", snapshot(corp(func(s *store.Settings) { s.DomainPolicy, s.Domains = store.DomainsSelected, []string{"other.test"} })),
			pull(states("a", "ann@corp.test"), states("b", "bob@other.test")), []store.Outcome{store.Refused, store.Created}, store.RuleUnverifiedDomain},
		{"rule 3: off lets everyone in", snapshot(corp(func(s *store.Settings) { s.DomainPolicy = store.DomainsOff })), pull(states("a", "ann")), []store.Outcome{store.Created}, ""},
		{"rule 3: a user of a domain that was lost stays and can be disabled", func() *store.Snapshot {
			s := snapshot(corp(nil), person(1, "a", "ann@corp.test"))
			s.Domains["corp.test"] = store.DomainFailed
			return s
		}(), pull(disabled), []store.Outcome{store.Deactivated}, ""},
		{"rule 3: a pull refuses a new address and applies the rest", snapshot(corp(nil), person(1, "a", "ann@corp.test")),
			pull(func() store.UserStatement { s := states("a", "ann@new.test"); s.Attributes.Title = "Chief"; return s }()), []store.Outcome{store.Modified}, store.RuleUnverifiedDomain},
		{"rule 7: gone means deleted", snapshot(corp(nil), person(1, "a", "ann@corp.test")), pull(store.UserStatement{ExternalID: "a", Presence: store.Gone}), []store.Outcome{store.Deleted}, ""},
		{"rule 7: with replicate_state off what is gone is left as it is", snapshot(corp(func(s *store.Settings) { s.ReplicateState = false }), person(1, "a", "ann@corp.test")),
			pull(store.UserStatement{ExternalID: "a", Presence: store.Gone}), []store.Outcome{store.Unchanged}, store.RuleStateKept},
		{"rule 7: with replicate_state off what is disabled is left as it is", snapshot(corp(func(s *store.Settings) { s.ReplicateState = false }), person(1, "a", "ann@corp.test")),
			pull(disabled), []store.Outcome{store.Unchanged}, store.RuleStateKept},
		{"rule 7: out of scope and back again", func() *store.Snapshot {
			u := person(1, "a", "ann@corp.test")
			u.OutOfScope = true
			return snapshot(corp(nil), u)
		}(), pull(states("a", "ann@corp.test")), []store.Outcome{store.Restored}, ""},
		{"rule 10: a user that is there already is updated", snapshot(corp(nil), person(1, "a", "ann@corp.test")),
			pull(states("a", "anna@corp.test")), []store.Outcome{store.Modified}, ""},
		{"an entry with a blank userName is refused and stops nothing", snapshot(corp(nil)), pull(states("a", " "), states("b", "bob@corp.test")),
			[]store.Outcome{store.Refused, store.Created}, store.RuleInvalidEntry},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cs := reconcile.Plan(tt.have, tt.want, policy())
			if diff := cmp.Diff(tt.is, outcomes(cs)); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			rule := ""
			if len(cs.Findings) > 0 {
				rule = cs.Findings[0].Rule
			}
			if rule != tt.rule {
				t.Errorf("the first finding is of rule %q, want %q", rule, tt.rule)
			}
			again := reconcile.Plan(tt.have, tt.want, policy())
			if diff := cmp.Diff(cs, again); diff != "" {
				t.Errorf("planning twice differs:\n%s", diff)
			}
		})
	}
}

func TestAPartlyRefusedUserKeepsItsOldAddressAndIsStagedAgain(t *testing.T) {
	want := pull(states("a", "ann@new.test"))
	want.Users[0].Attributes.Title = "Chief"
	cs := reconcile.Plan(snapshot(corp(nil), person(1, "a", "ann@corp.test")), want, policy())
	after := cs.Users[0].After
	if after.Attributes.UserName != "ann@corp.test" || after.Attributes.Title != "Chief" || after.Hash != nil {
		t.Errorf("got userName %q, title %q, hash %x; want the old userName, the new title and no hash", after.Attributes.UserName, after.Attributes.Title, after.Hash)
	}
	if want.Users[0].Attributes.UserName != "ann@new.test" {
		t.Error("planning changed the statement")
	}
}

func TestReturnOfADeletedUser(t *testing.T) {
	gone := func(ext string) *store.User {
		u := person(5, ext, "ann@corp.test")
		u.DeletedAt = now.Add(-time.Hour)
		return u
	}
	tests := []struct {
		name        string
		departed    string
		stated      string
		restored    bool
		withoutRole bool
	}{
		{"rule 7: the same stable id restores everything", "a", "a", true, false},
		{"rule 7: the same userName with another stable id is a new person", "a", "b", false, false},
		{"rule 7: the same userName where one side has no stable id gets id and history but no roles", "", "a", true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			have := snapshot(corp(nil))
			have.Departed = []*store.User{gone(tt.departed)}
			cs := reconcile.Plan(have, push(pull(states(tt.stated, "ann@corp.test"))), policy())
			c := cs.Users[0]
			if got := c.Op == store.OpRestore; got != tt.restored || c.Revived != tt.withoutRole {
				t.Errorf("got op %s, revived %v", c.Op, c.Revived)
			}
			if tt.restored && c.After.ID != "ann@corp.test-id" {
				t.Errorf("the id changed to %s", c.After.ID)
			}
		})
	}
}

func TestClaimOfAnInternalUser(t *testing.T) {
	internal := func(have *store.Snapshot, keys ...string) {
		u := person(8, "", "ann@corp.test")
		u.Directory = 0
		u.Attributes.Emails = []store.Value{{Value: "ann@corp.test"}}
		have.Users[store.RecordKey{ID: "claim:" + u.ID}] = u
		for _, k := range keys {
			have.Owners[k] = store.KeyOwner{Holders: 1, Key: 8, ID: u.ID, Name: "ann@corp.test", Internal: true}
		}
	}
	claim := func(s *store.Settings) { s.OnMatch = store.MatchClaim }
	t.Run("rule 2: on_match claim takes over an internal user with its id", func(t *testing.T) {
		have := snapshot(corp(claim))
		internal(have, "ann@corp.test")
		cs := reconcile.Plan(have, pull(states("a", "ann@corp.test")), policy())
		if got := cs.Results[0]; got.Outcome != store.Claimed || got.Key != 8 {
			t.Fatalf("got %+v", got)
		}
		if c := cs.Users[0]; c.After.Directory != 7 || len(c.Release) != 1 || len(c.Claim) != 1 {
			t.Errorf("got %+v", c)
		}
	})
	t.Run("rule 2: without on_match claim it is a duplicate", func(t *testing.T) {
		have := snapshot(corp(nil))
		internal(have, "ann@corp.test")
		cs := reconcile.Plan(have, pull(states("a", "ann@corp.test")), policy())
		if got := cs.Results[0].Outcome; got != store.Duplicated {
			t.Errorf("got %s", got)
		}
	})
	t.Run("rule 2: userName and email that match different users stay a duplicate", func(t *testing.T) {
		have := snapshot(corp(claim))
		internal(have, "ann@corp.test")
		have.Owners["second@corp.test"] = store.KeyOwner{Holders: 1, Key: 9, ID: "other", Name: "second"}
		s := states("a", "ann@corp.test")
		s.Attributes.Emails = []store.Value{{Value: "second@corp.test"}}
		cs := reconcile.Plan(have, pull(s), policy())
		if got := cs.Results[0].Outcome; got != store.Duplicated {
			t.Errorf("got %s", got)
		}
	})
}
