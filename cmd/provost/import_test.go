package main

import (
	"strings"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
)

func TestAnImportGivesRolesAndTheSwitchToUsersThatItCreatesOnly(t *testing.T) {
	t.Parallel()
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: oddNames})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		for _, role := range []string{"Member", "Editor", "Auditor"} {
			p.must(t, "role", "create", role)
		}
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off", "--default-role", "Member"}, pullFrom(t, server, server.TLSURL)...)...)
		imports := func(flags ...string) map[string]int {
			t.Helper()
			run := decode[pulledRun](t, p.must(t, append([]string{"import", "corp", "--wait", "--json"}, flags...)...))
			return run.tally("users")
		}
		id := decode[[]openapi.SearchHit](t, p.must(t, "search", "corp", "--user", "ann", "--json"))[0].ExternalID

		same(t, "by stable id, with roles, disabled", map[string]int{"created": 1}, imports("--user", id, "--role", "editor", "--role", "Auditor", "--disabled"))
		p.wantGranted(t, "imported with roles", "user", "ann", "role:Editor, role:Auditor")
		if db.state().Users["ann"].Active {
			t.Error("ann, who was imported disabled, is active")
		}
		same(t, "again, in another way", map[string]int{"unchanged": 1}, imports("--user", "ann", "--role", "Member", "--enabled"))
		p.wantGranted(t, "imported again", "user", "ann", "role:Editor, role:Auditor")

		same(t, "a group with a member that is missing", map[string]int{"created": 1}, imports("--group", "staff", "--no-roles"))
		p.wantGranted(t, "imported without roles", "user", "bob", "")
		same(t, "members of staff", []string{"ann", "bob"}, db.state().Groups["staff"].Members)
		same(t, "by the settings", map[string]int{"created": 1}, imports("--user", "cid"))
		p.wantGranted(t, "imported by the settings", "user", "cid", "role:Member")

		p.mustPull(t) // keeps what was imported
		p.wantGranted(t, "after a run of all", "user", "ann", "role:Editor, role:Auditor")
		p.wantGranted(t, "new in a run of all", "user", "dora", "role:Member")
		if s := db.state(); s.Users["ann"].Active || !s.Users["bob"].Active || !s.Users["cid"].Active {
			t.Error("the run of all has changed who is enabled")
		}
		if _, stderr, code := p.run(t, "import", "corp", "--user", "eve", "--role", "Nobody"); code != exitError || !strings.Contains(stderr, "there is no role Nobody") {
			t.Errorf("an unknown role: exit code %d, %s", code, stderr)
		}
		if _, stderr, code := p.run(t, "import", "corp"); code != exitError || !strings.Contains(stderr, "1 to 100") {
			t.Errorf("nothing to import: exit code %d, %s", code, stderr)
		}
	})
}

func TestAnImportOutsideTheScopeJoinsIt(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: oddNames})
		admin := ldapAdmin{server.Admin(t), t}
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off", "--scope-group", "staff"}, pullFrom(t, server, server.TLSURL)...)...)
		p.mustPull(t)
		users := func() []string {
			var list []string
			for name, u := range db.state().Users {
				if u.Active {
					list = append(list, name)
				}
			}
			return sorted(list)
		}
		same(t, "the scope", []string{"ann", "bob"}, users())

		// A user, and a group with its members, which nobody has chosen.
		p.must(t, "import", "corp", "--user", "zoë", "--group", "cooks", "--wait")
		joined := []string{"ann", "bob", "dora", "eve", "zoë"}
		same(t, "after the import", joined, users())
		entries := decode[[]openapi.ScopeEntry](t, p.must(t, "directory", "scope", "corp", "--json"))
		ids := map[string]string{}
		for _, e := range entries {
			ids[e.Type+" "+e.Name] = e.ExternalID
		}
		if len(entries) != 2 || ids["User zoë"] == "" || ids["Group cooks"] == "" {
			t.Errorf("in the scope by imports are %v", entries)
		}
		if shown := p.must(t, "directory", "show", "corp"); !strings.Contains(shown, "group cooks") || !strings.Contains(shown, "user zoë") {
			t.Errorf("the directory is shown as\n%s", shown)
		}

		// Plans and runs of all keep them, whatever they are called, with who comes to the group later.
		if shown := p.must(t, "sync", "plan", "corp"); !strings.Contains(shown, "nothing would change") {
			t.Errorf("after the import the plan is\n%s", shown)
		}
		suffix := "," + server.Suffix
		admin.rename("uid=zoë,ou=people"+suffix, "uid=zoe,ou=people"+suffix)
		admin.rename("cn=cooks,ou=groups"+suffix, "cn=chefs,ou=groups"+suffix)
		admin.set("cn=chefs,ou=groups"+suffix, "member", "uid=dora,ou=people"+suffix, "uid=eve,ou=people"+suffix, "uid=cid,ou=people"+suffix)
		for _, how := range [][]string{{"--full"}, nil} {
			p.mustPull(t, how...)
			same(t, "after a run of all", []string{"ann", "bob", "cid", "dora", "eve", "zoe"}, users())
		}
		same(t, "imported again", 2, len(decode[[]openapi.ScopeEntry](t, p.must(t, "directory", "scope", "corp", "--json"))))

		// A run of a selection does not join the scope.
		if run, code := p.pull(t, "--group", "guests"); code != exitFailed || !strings.Contains(run.Error, "outside the scope") {
			t.Errorf("a run of a group outside the scope: exit code %d, %s", code, run.Error)
		}

		// Taken out again, they leave at the next run, and the plan says so. A stale plan is refused.
		stale := planID(t, p)
		p.must(t, "directory", "scope", "corp", "--remove", ids["Group cooks"])
		if _, stderr, code := p.run(t, "sync", "run", "corp", "--plan", stale, "--wait"); code == 0 || !strings.Contains(stderr, "stale") {
			t.Errorf("a plan from before: exit code %d, %s", code, stderr)
		}
		shown := p.must(t, "sync", "plan", "corp")
		for _, want := range []string{"- User   cid", "- User   dora", "- User   eve", "- Group  chefs"} {
			if !strings.Contains(shown, want) {
				t.Errorf("the plan has no %q:\n%s", want, shown)
			}
		}
		p.mustPull(t)
		same(t, "once the group is taken out", []string{"ann", "bob", "zoe"}, users())
		p.must(t, "directory", "scope", "corp", "--remove", ids["User zoë"])
		p.mustPull(t)
		same(t, "once the user is taken out", []string{"ann", "bob"}, users())
		if _, stderr, code := p.run(t, "directory", "scope", "corp", "--remove", ids["User zoë"]); code != exitError || !strings.Contains(stderr, "no import has put") {
			t.Errorf("taken out twice: exit code %d, %s", code, stderr)
		}

		// Where everything is in scope nothing has to join it.
		p.must(t, "directory", "set", "corp", "--scope", "all")
		p.must(t, "import", "corp", "--user", "eve", "--wait")
		same(t, "joined where all is in scope", "[]", p.must(t, "directory", "scope", "corp", "--json"))
	})
}

func TestAnImportLikeAnotherUserCopiesRolesAndLicencesAndKeepsToTheSeats(t *testing.T) {
	t.Parallel()
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: oddNames})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		for _, role := range []string{"Member", "Editor", "Given"} {
			p.must(t, "role", "create", role)
		}
		p.must(t, "licence", "create", "Suite", "--seats", "3")
		p.must(t, "licence", "create", "Free")
		model := decode[openapi.User](t, p.must(t, "user", "create", "model", "--json"))
		if status, answer := p.rest(t, "POST", "/groups", `{"display_name":"givers","members":["`+model.ID+`"]}`); status != 201 {
			t.Fatalf("a group: %d %s", status, answer)
		}
		p.must(t, "role", "grant", "Editor", "--user", "model")
		p.must(t, "role", "grant", "Given", "--group", "givers")
		p.must(t, "licence", "grant", "Suite", "--user", "model")
		p.must(t, "licence", "grant", "Free", "--user", "model")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off", "--default-role", "Member", "--unassign-licences"}, pullFrom(t, server, server.TLSURL)...)...)
		taken := func() string {
			return p.must(t, "licence", "list", "--json")
		}

		p.must(t, "import", "corp", "--user", "ann", "--like", "MODEL", "--wait")
		p.wantGranted(t, "like model", "user", "ann", "role:Editor, licence:Suite, licence:Free")
		p.must(t, "import", "corp", "--user", "bob", "--like", "model", "--disabled", "--wait")
		p.wantGranted(t, "like model, but inactive", "user", "bob", "role:Editor")

		// Two are too many for the one seat that is left: nobody is imported.
		before, seats := db.trace(), taken()
		stdout, stderr, code := p.run(t, "import", "corp", "--user", "cid", "--user", "dora", "--like", "model", "--wait")
		if code != exitFailed || !strings.Contains(stderr, "licence:Suite has 1 free seats of 3: nothing has been changed") {
			t.Errorf("two for one seat: exit code %d, %s%s", code, stdout, stderr)
		}
		same(t, "users and groups after that", before.Users, db.trace().Users)
		same(t, "seats after that", seats, taken())
		p.must(t, "import", "corp", "--user", "cid", "--like", "model", "--wait")
		p.wantGranted(t, "the last seat", "user", "cid", "role:Editor, licence:Suite, licence:Free")

		// Who is there already keeps what it has.
		p.must(t, "import", "corp", "--user", "ann", "--like", "bob", "--wait")
		p.wantGranted(t, "imported again", "user", "ann", "role:Editor, licence:Suite, licence:Free")
		for _, args := range [][]string{{"--like", "nobody"}, {"--like", "model", "--role", "Editor"}} {
			if _, stderr, code := p.run(t, append([]string{"import", "corp", "--user", "eve"}, args...)...); code == 0 {
				t.Errorf("%v: exit code %d, %s", args, code, stderr)
			}
		}
		if status, answer := p.rest(t, "POST", "/directories/corp/import", `{"users":["eve"],"like":"model","roles":[]}`); status != 400 {
			t.Errorf("like and roles: %d %s", status, answer)
		}
	})
}
