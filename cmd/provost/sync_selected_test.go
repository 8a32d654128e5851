package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
)

// titles are the titles of all users, by name, and the members of all groups: what
// tells whether a run has looked at them.
func titles(s directoryState) []string {
	var lines []string
	for name, u := range s.Users {
		lines = append(lines, fmt.Sprintf("%s %q %t", name, u.Attributes.Title, u.Active))
	}
	for name, g := range s.Groups {
		lines = append(lines, fmt.Sprintf("group %s %q: %s", name, g.Description, strings.Join(g.Members, ", ")))
	}
	return sorted(lines)
}

func TestARunOfNamedUsersAndGroupsSaysNothingOfOthers(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: oddNames})
		admin := ldapAdmin{server.Admin(t), t}
		person := func(uid string) string { return "uid=" + uid + ",ou=people," + server.Suffix }
		group := func(cn string) string { return "cn=" + cn + ",ou=groups," + server.Suffix }
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, server, server.TLSURL)...)...)

		// Nothing is there yet: one group brings its members and nobody else.
		first := p.mustPull(t, "--group", "STAFF")
		same(t, "users of the first run", map[string]int{"created": 2}, first.tally("users"))
		same(t, "after the first run", []string{`ann "" true`, `bob "" true`, `group staff "": ann, bob`}, titles(db.state()))
		p.mustPull(t, "--user", "cid", "--user", person("dora"), "--user", "eve")

		// Everything changes, and only what is named is looked at.
		for _, uid := range []string{"ann", "bob", "cid", "dora"} {
			admin.set(person(uid), "title", "New")
		}
		admin.set(group("staff"), "member", person("ann"), person("zoë"), group("cooks"))
		admin.set(group("staff"), "description", "All of us")
		admin.remove(person("eve"))
		before := db.identities()
		done := p.mustPull(t, "--user", "ann", "--user", string(before["user cid"]), "--group", group("staff"))
		same(t, "users", map[string]int{"modified": 2, "created": 1}, done.tally("users"))
		same(t, "groups", map[string]int{"modified": 1, "created": 1}, done.tally("groups"))
		same(t, "after the change", []string{
			`ann "New" true`, `bob "" true`, `cid "New" true`, `dora "" true`, `eve "" true`,
			`group cooks "": dora`, `group staff "All of us": ann, group cooks, zoë`, `zoë "" true`,
		}, titles(db.state()))

		// Whoever is named and gone is deleted (rule 7); nobody else is.
		admin.remove(person("bob"))
		gone := p.mustPull(t, "--user", "eve")
		same(t, "users of a run of one who is gone", map[string]int{"deleted": 1}, gone.tally("users"))
		if s := db.state(); s.Users["bob"].ExternalID == "" || s.Users["eve"].ExternalID != "" {
			t.Errorf("after eve's deletion the users are %v", slices.Sorted(maps.Keys(s.Users)))
		}

		// A name that nobody has changes nothing.
		trace := db.trace()
		for _, flags := range [][]string{{"--user", "nobody", "--user", "dora"}, {"--group", "ann"}, {"--user", "*"}, {"--user", "dora)(uid=*"}} {
			run, code := p.pull(t, flags...)
			if code != exitFailed || !strings.Contains(run.Error, "and none is stored") {
				t.Errorf("%v: exit code %d, %s: %s", flags, code, run.State, run.Error)
			}
		}
		same(t, "what failed runs may not move", trace, db.trace())

		// A full run does the rest, and a second one finds nothing to do.
		p.mustPull(t)
		quiet := p.mustPull(t)
		if n := quiet.tally("users"); len(n) != 1 || n["unchanged"] == 0 {
			t.Errorf("users of a quiet run: %v", n)
		}
	})
}

func TestARunOfNamedUsersKeepsToTheScope(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: oddNames})
		admin := ldapAdmin{server.Admin(t), t}
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off", "--scope-group", "staff"}, pullFrom(t, server, server.TLSURL)...)...)
		p.mustPull(t)
		run, code := p.pull(t, "--user", "cid")
		if code != exitFailed || !strings.Contains(run.Error, `the user "cid" is outside the scope`) {
			t.Errorf("a user outside the scope: exit code %d, %s", code, run.Error)
		}
		bob := db.identities()["user bob"]
		admin.set("cn=staff,ou=groups,"+server.Suffix, "member", "uid=ann,ou=people,"+server.Suffix)
		left := p.mustPull(t, "--user", "bob")
		same(t, "users of a run of one who left the scope", map[string]int{"out_of_scope": 1}, left.tally("users"))
		if s := db.state(); s.Users["bob"].Active || db.identities()["user bob"] != bob {
			t.Error("bob is not inactive with his id")
		}
	})
}

func TestARunOfNamedUsersDoesNotStandForOneOfTheDirectory(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: oddNames})
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, server, server.TLSURL)...)...)
		p.must(t, "user", "create", "eve")
		p.mustPull(t)
		open := db.findings()
		if len(open) != 1 {
			t.Fatalf("the open findings are %v", open)
		}
		p.mustPull(t, "--user", "ann")
		same(t, "findings of others", open, db.findings())
		for _, args := range [][]string{{"--plan", "x", "--user", "ann"}, {"--user", "ann"}} {
			if _, stderr, code := p.run(t, append([]string{"sync", "run", "corp"}, args...)...); code != exitUsage {
				t.Errorf("%v: exit code %d, %s", args, code, stderr)
			}
		}
		for _, body := range []string{`{"users":["a"],"plan":"x"}`, `{"users":[""]}`, `{"users":["a\u0000"]}`, `{"groups":["` + strings.Repeat("a", 1025) + `"]}`} {
			if status, answer := p.rest(t, "POST", "/directories/corp/runs", body); status != 400 {
				t.Errorf("the body %.50s: %d %s", body, status, answer)
			}
		}
	})
}
