package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
)

// naming are flags that name users and groups.
func naming(users, groups []string) (flags []string) {
	for _, user := range users {
		flags = append(flags, "--user", user)
	}
	for _, group := range groups {
		flags = append(flags, "--group", group)
	}
	return flags
}

// asked runs what is named, which must be asked for and not be searched in everything.
func (p *provostServer) asked(t *testing.T, flags ...string) pulledRun {
	t.Helper()
	run := p.mustPull(t, flags...)
	if run.FullBecause != "" || run.Incremental {
		t.Errorf("the run of %.100q read everything, because %s", flags, run.FullBecause)
	}
	return run
}

func TestARunOfNamedUsersReadsThemAndNotTheDirectory(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 3_000, Groups: 40})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := deniable(t, truth)
		admin := ldapAdmin{server.Admin(t), t}
		proxy := testenv.DropProxy(t, server.TLSURL)
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, server, "ldaps://"+proxy.Addr)...)...)
		bytes := func(run func()) int64 {
			before := proxy.FromServer()
			run()
			return proxy.FromServer() - before
		}
		whole := bytes(func() { p.mustPull(t) })
		if whole < 1_000_000 {
			t.Fatalf("reading everything took %d bytes, which is too few to compare with", whole)
		}
		want := newCompanyState(truth)

		// One user, whose manager and whose groups are known.
		one := want.users[1_234]
		one.Title = "Changed"
		want.users[1_234] = one
		admin.set(one.DN, "title", one.Title)
		took := bytes(func() {
			r := p.asked(t, "--user", one.UID)
			same(t, "users of a run of one", map[string]int{"modified": 1}, r.tally("users"))
		})
		t.Logf("everything: %d bytes; one user: %d", whole, took)
		if took > 20_000 {
			t.Errorf("a run of one user took %d bytes, want a handful of entries; everything takes %d", took, whole)
		}
		took = bytes(func() {
			r := p.asked(t, "--user", one.UID, "--user", one.DN, "--user", one.ID)
			same(t, "users of a run of one by each name", map[string]int{"unchanged": 1}, r.tally("users"))
		})
		if took > 20_000 {
			t.Errorf("a run of one user by each of its names took %d bytes", took)
		}
		sameState(t, "after a run of one user", want.pulled(), db.state())

		// One who has gone: some others are looked for before that is believed, by stable id.
		leaver := 0
		for i, u := range want.users {
			if u.Manager >= 0 && !manages(want, i) {
				leaver = i
				break
			}
		}
		admin.remove(want.users[leaver].DN)
		took = bytes(func() {
			r := p.asked(t, "--user", want.users[leaver].UID)
			same(t, "users of a run of one who is gone", map[string]int{"deleted": 1}, r.tally("users"))
		})
		t.Logf("one who is gone: %d bytes", took)
		if took > whole/4 {
			t.Errorf("a run of one who is gone took %d bytes of %d", took, whole)
		}

		// A full run has nothing to add to it.
		r := p.mustPull(t)
		same(t, "users of the full run", map[string]int{"unchanged": 2_999}, r.tally("users"))

		// An account that finds nobody any more is told by the others, of whom a sample is looked for.
		admin.set("cn=no-people,ou=svc,"+server.Suffix, "roleOccupant", server.BindDN)
		before := db.trace()
		took = bytes(func() {
			failed, code := p.pull(t, "--user", one.UID)
			if code != exitFailed || !strings.Contains(failed.Error, "1001 of 1001 stored users that were looked for were not found") {
				t.Errorf("a run of one whom nobody can find: exit code %d, %s", code, failed.Error)
			}
		})
		if took > 40_000 {
			t.Errorf("a run of one whom nobody can find took %d bytes", took)
		}
		same(t, "what it may not move", before, db.trace())
	})
}

// manages reports whether anybody states the user as manager.
func manages(c *companyState, i int) bool {
	for _, u := range c.users {
		if u.Manager == i {
			return true
		}
	}
	return false
}

// Whoever is named one by one ends as if everything had been read: users with managers,
// groups of all kinds, nested ones, and what they lose.
func TestRunsOfAllThatThereIsByNameDoWhatAFullRunDoes(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 60, Groups: 12, Cap: 40})
	var users, groups []string
	for i := range truth.Options.Users {
		users = append(users, truth.User(i).UID)
	}
	for i := range truth.Groups {
		groups = append(groups, truth.Groups[i].CN)
	}
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF})
		admin := ldapAdmin{server.Admin(t), t}
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, server, server.TLSURL)...)...)
		first := p.asked(t, naming(users, groups)...)
		same(t, "users", map[string]int{"created": len(users)}, first.tally("users"))
		want := newCompanyState(truth).pulled()
		sameState(t, "after a run of all by name", want, db.state())

		before := db.trace()
		full := p.mustPull(t)
		same(t, "users of a full run after it", map[string]int{"unchanged": len(users)}, full.tally("users"))
		same(t, "groups of a full run after it", map[string]int{"unchanged": len(groups)}, full.tally("groups"))
		same(t, "what it may not move", before, db.trace())

		// Names change hands: what a group and a manager say by DN is somebody else now.
		a, b := truth.User(3).DN, truth.User(4).DN
		swap := "uid=swap," + strings.SplitN(a, ",", 2)[1]
		admin.rename(a, swap)
		admin.rename(b, a)
		admin.rename(swap, b)
		admin.set(truth.Groups[2].DN, "member", truth.User(5).DN, truth.Groups[3].DN)
		p.asked(t, naming(nil, groups)...)
		p.asked(t, naming(users, nil)...)
		before = db.trace()
		full = p.mustPull(t)
		same(t, "users of a full run after the swap", map[string]int{"unchanged": len(users)}, full.tally("users"))
		same(t, "groups of a full run after the swap", map[string]int{"unchanged": len(groups)}, full.tally("groups"))
		same(t, "what it may not move then", before, db.trace())
	})
}

func TestARunOfNamedUsersAsksUpwardsWhetherTheyAreInTheScope(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: oddNames})
		admin := ldapAdmin{server.Admin(t), t}
		group := func(cn string) string { return "cn=" + cn + ",ou=groups," + server.Suffix }
		person := func(uid string) string { return "uid=" + uid + ",ou=people," + server.Suffix }
		admin.set(group("staff"), "member", person("ann"), group("cooks"))
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off", "--scope-group", "staff"}, pullFrom(t, server, server.TLSURL)...)...)

		// By a nested group, before anything is stored and after the scope group was renamed.
		r := p.asked(t, "--user", "dora")
		same(t, "users of the first run", map[string]int{"created": 1}, r.tally("users"))
		p.mustPull(t)
		admin.rename(group("staff"), group("all staff"))
		admin.set(person("dora"), "title", "New")
		r = p.asked(t, "--user", "dora", "--group", "cooks")
		same(t, "users by a nested group", map[string]int{"modified": 1}, r.tally("users"))
		same(t, "groups by a nested group", map[string]int{"unchanged": 1}, r.tally("groups"))

		// Who is not seen to be in the scope is not taken to be out of it without a full read.
		admin.set(group("cooks"), "member", person("eve"))
		left := p.mustPull(t, "--user", "dora")
		if !strings.Contains(left.FullBecause, "is not seen to be in the scope") {
			t.Errorf("a run of one who left the scope read everything because %q", left.FullBecause)
		}
		same(t, "users of a run of one who left the scope", map[string]int{"out_of_scope": 1}, left.tally("users"))
		if db.state().Users["dora"].Active {
			t.Error("dora has left the scope and is active")
		}

		// A scope group that is not there must not look like an empty one.
		admin.remove(group("all staff"))
		if run, code := p.pull(t, "--user", "ann"); code != exitFailed || !strings.Contains(run.Error, `the scope group "staff" was not found`) {
			t.Errorf("without the scope group: exit code %d, %s", code, run.Error)
		}
	})
}

func TestADomainIsAskedForNamedUsersAndGroups(t *testing.T) {
	d := domainOfAllKinds(t)
	admin := d.admin(t)
	users, groups := []string{"svc-provost"}, slices.Sorted(maps.Keys(d.groups))
	for account := range d.people {
		users = append(users, account)
	}
	for i := range users {
		users[i] = upn(users[i])
	}
	onBothDatabases(t, func(t *testing.T, dsn string) {
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp"}, pullDomain(t, d.DomainController)...)...)
		// A group brings who has it as primary group, and groups below it.
		r := p.asked(t, "--group", groupDN("research"))
		same(t, "users of a group", map[string]int{"created": 4}, r.tally("users"))
		same(t, "groups of a group", map[string]int{"created": 2}, r.tally("groups"))
		same(t, "members by their primary group", []string{upn("prim")}, db.state().Groups["staff"].Members)

		p.asked(t, naming(users, groups)...)
		sameState(t, "after a run of all by name", d.pulled(admin), db.state())
		before := db.trace()
		full := p.mustPull(t)
		same(t, "users of a full run after it", map[string]int{"unchanged": len(users)}, full.tally("users"))
		same(t, "groups of a full run after it", map[string]int{"unchanged": len(groups)}, full.tally("groups"))
		same(t, "what it may not move", before, db.trace())

		// A move keeps the id; a user is known by objectGUID, DN and record, too.
		loose := d.people["loose"]
		id := admin.guid(loose.dn())
		moved := loose
		moved.Unit = "Leavers"
		admin.rename(loose.dn(), moved.dn())
		for _, name := range []string{id, moved.dn(), string(db.identities()["user "+upn("loose")])} {
			p.asked(t, "--user", name)
		}
		admin.rename(moved.dn(), loose.dn())
		p.must(t, "directory", "set", "corp", "--scope-group", "research")
		r = p.asked(t, "--user", upn("prim"))
		same(t, "one who is in the scope by a nested group that is his primary one", map[string]int{"unchanged": 1}, r.tally("users"))
	})
}

// Whoever names a group while the account does not see its members leaves them members
// as before: a run of everything tells.
func TestARunOfNamedGroupsTakesNoMembersWhomTheAccountDoesNotSee(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 120, Groups: 12})
	var groups []string
	for i := range truth.Groups {
		groups = append(groups, truth.Groups[i].CN)
	}
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := deniable(t, truth)
		admin := ldapAdmin{server.Admin(t), t}
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, server, server.TLSURL)...)...)
		p.mustPull(t)
		want := db.state()
		for _, role := range []string{"no-unit", "no-staff"} {
			admin.set("cn="+role+",ou=svc,"+server.Suffix, "roleOccupant", server.BindDN)
			r := p.asked(t, naming(nil, groups)...)
			same(t, role+": groups", map[string]int{"unchanged": len(groups)}, r.tally("groups"))
			sameState(t, role, want, db.state())
			admin.set("cn="+role+",ou=svc,"+server.Suffix, "roleOccupant")
		}
		// Whoever is known to have left a group does leave it.
		admin.set(truth.Groups[2].DN, "member", truth.User(5).DN)
		p.asked(t, "--group", truth.Groups[2].CN)
		if members := db.state().Groups[truth.Groups[2].CN].Members; len(members) != 1 {
			t.Errorf("the members are %v, want one", members)
		}
	})
}
