package main

import (
	"regexp"
	"slices"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
)

// stated are the direct members of the groups.
func (s directoryState) stated() map[string][]string {
	members := make(map[string][]string, len(s.Groups))
	for name, g := range s.Groups {
		members[name] = g.Members
	}
	return members
}

func TestRule7MembershipsStayWhenTheScopeShrinksAndCountAgainWhenItGrows(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 60, Groups: 14, Cap: 25})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF})
		admin := ldapAdmin{server.Admin(t), t}
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append(append([]string{"directory", "create", "corp"}, pullFrom(t, server, server.TLSURL)...),
			"--domain-policy", "off", "--incremental", "--guard", "all=10000/100%")...)
		leave := func(user int) { admin.set(truth.User(user).DN, "employeeType", "left") }
		group := truth.Groups[truth.Group(testenv.GroupChainEnd)]
		for _, user := range group.Users[:2] {
			leave(user)
		}
		p.mustPull(t)
		want := db.state()
		unmovedGroups := func(when string, run pulledRun, incremental bool, out int) {
			t.Helper()
			tally := run.tally("groups")
			if tally["modified"]+tally["restored"] > 0 || run.tally("users")["out_of_scope"] != out || run.Incremental != incremental {
				t.Errorf("%s: incremental is %v (%s); users %v, groups %v", when, run.Incremental, run.FullBecause, run.tally("users"), tally)
			}
			same(t, when+": direct members", want.stated(), db.state().stated())
		}
		published := func(user int) bool {
			return slices.Contains(db.state().Groups[group.CN].Effective, truth.User(user).UID)
		}

		// The filter changes: the plan takes nobody out of a group, and the run does what it says.
		p.must(t, "directory", "set", "corp", "--user-filter", "(&(objectClass=inetOrgPerson)(!(employeeType=left)))")
		if plan := p.must(t, "sync", "plan", "corp"); regexp.MustCompile(`(?m)^. Group`).MatchString(plan) {
			t.Errorf("the plan changes groups:\n%s", plan)
		}
		unmovedGroups("a filter that leaves out two", p.mustPull(t), false, 2)
		if published(group.Users[0]) || !published(group.Users[2]) {
			t.Errorf("%s publishes %v", group.CN, db.state().Groups[group.CN].Effective)
		}

		// One more leaves, and is followed; then the group changes while three are away.
		leave(group.Users[2])
		unmovedGroups("one who leaves", p.mustPull(t), true, 1)
		takeOut := ldap.NewModifyRequest(group.DN, nil)
		takeOut.Delete("member", []string{truth.User(group.Users[1]).DN})
		admin.modify(takeOut)
		g := want.Groups[group.CN]
		g.Members = slices.DeleteFunc(slices.Clone(g.Members), func(name string) bool { return name == truth.User(group.Users[1]).UID })
		want.Groups[group.CN] = g
		taken := p.mustPull(t)
		same(t, "groups when one who is away is taken out", 1, taken.tally("groups")["modified"])
		same(t, "direct members then", want.stated(), db.state().stated())
		unmovedGroups("a run of the group", p.asked(t, "--group", group.CN), false, 0)
		unmovedGroups("a full run", p.mustPull(t, "--full"), false, 0)

		for _, user := range group.Users[:3] {
			admin.set(truth.User(user).DN, "employeeType")
		}
		back := p.mustPull(t)
		same(t, "users who are back", 3, back.tally("users")["restored"])
		same(t, "direct members when all are back", want.stated(), db.state().stated())
		if !published(group.Users[0]) || published(group.Users[1]) || !published(group.Users[2]) {
			t.Errorf("when all are back %s publishes %v", group.CN, db.state().Groups[group.CN].Effective)
		}
	})
}
