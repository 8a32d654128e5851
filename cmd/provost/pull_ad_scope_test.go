package main

import "testing"

func TestWhoMovesOutOfTheBaseOfADomainIsInactiveAndComesBackAsThemselves(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		d := startDomain(t, map[string]adPerson{
			"ann": {CN: "Ann", Unit: "People", Given: "Ann", Surname: "Lee"},
			"bob": {CN: "Bob", Unit: "People", Given: "Bob", Surname: "Ray"},
			"cid": {CN: "Cid", Unit: "People", Given: "Cid", Surname: "Sun"},
		}, map[string]adGroup{"staff": {People: []string{"ann", "bob", "cid"}}})
		admin := d.admin(t)
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp"}, pullDomain(t, d.DomainController)...)...)
		p.must(t, "directory", "set", "corp", "--base-dn", "OU=People,"+d.Suffix, "--base-dn", "OU=Groups,"+d.Suffix)
		p.mustPull(t)
		whole, ids := db.state(), recordIDs(t, p)
		same(t, "users before", 4, len(whole.Users))

		ann, bob := d.people["ann"], d.people["bob"]
		away := ann
		away.Unit, away.CN = "Leavers", "Ann, away"
		admin.rename(ann.dn(), away.dn())
		admin.remove(bob.dn())
		left := p.mustPull(t)
		same(t, "users when one moved and one was deleted", map[string]int{"out_of_scope": 1, "deleted": 1, "unchanged": 2}, left.tally("users"))
		now := db.state()
		if now.Users[upn("ann")].Active {
			t.Error("who left the base is still active")
		}
		if _, there := now.Users[upn("bob")]; there {
			t.Error("who was deleted from the domain is still there")
		}
		same(t, "the group publishes", []string{upn("cid")}, now.Groups["staff"].Effective)

		admin.rename(away.dn(), ann.dn())
		back := p.mustPull(t)
		same(t, "users when one came back", map[string]int{"restored": 1, "unchanged": 2}, back.tally("users"))
		got := recordIDs(t, p)
		same(t, "the id of who came back", ids["User "+upn("ann")], got["User "+upn("ann")])
		same(t, "who came back", whole.Users[upn("ann")], db.state().Users[upn("ann")])
		same(t, "the group publishes again", []string{upn("ann"), upn("cid")}, db.state().Groups["staff"].Effective)
	})
}

func TestAGroupThatIsNestedIntoTheScopeOfADomainLaterJoinsIt(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		d := startDomain(t, map[string]adPerson{
			"ann": {CN: "Ann", Unit: "People", Given: "Ann", Surname: "Lee"},
			"bob": {CN: "Bob", Unit: "People", Given: "Bob", Surname: "Ray"},
			"cid": {CN: "Cid", Unit: "People", Given: "Cid", Surname: "Sun", Primary: "later"},
		}, map[string]adGroup{"chosen": {People: []string{"ann"}}, "later": {People: []string{"bob"}}})
		admin := d.admin(t)
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--scope-group", "CHOSEN"}, pullDomain(t, d.DomainController)...)...)
		p.mustPull(t)
		sameState(t, "before", d.within(d.pulled(admin), "chosen"), db.state())

		d.groups["chosen"] = adGroup{People: []string{"ann"}, Groups: []string{"later"}}
		d.nest(admin)
		joined := p.mustPull(t)
		same(t, "users that join", map[string]int{"created": 2, "unchanged": 1}, joined.tally("users"))
		sameState(t, "nested", d.within(d.pulled(admin), "chosen"), db.state())

		admin.set(groupDN("chosen"), "member", d.people["ann"].dn())
		d.groups["chosen"] = adGroup{People: []string{"ann"}}
		apart := p.mustPull(t)
		same(t, "users that leave", map[string]int{"out_of_scope": 2, "unchanged": 1}, apart.tally("users"))
		same(t, "groups that leave", map[string]int{"out_of_scope": 1, "modified": 1}, apart.tally("groups"))
		state := db.state()
		for _, account := range []string{"bob", "cid"} {
			if state.Users[upn(account)].Active {
				t.Errorf("%s is out of scope and active", account)
			}
		}
		same(t, "the group out of scope publishes", 0, len(state.Groups["later"].Effective))

		// A scope group is kept by its stable id, whatever it is called.
		admin.rename(groupDN("chosen"), groupDN("chosen still"))
		renamed := p.mustPull(t)
		same(t, "users of a scope group that was renamed", map[string]int{"unchanged": 1}, renamed.tally("users"))

		// One that cannot be found must not look like an empty one.
		before := db.trace()
		admin.remove(groupDN("chosen still"))
		failed, code := p.pull(t)
		if code != exitFailed {
			t.Errorf("without the scope group: exit code %d, state %s", code, failed.State)
		}
		unmoved(t, "without the scope group", db, before)
	})
}
