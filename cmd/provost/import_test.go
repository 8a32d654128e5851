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
