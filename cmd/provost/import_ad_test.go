package main

import (
	"testing"

	"github.com/provost-scim/provost/openapi"
)

func TestADomainIsSearchedAndImportedByObjectGUID(t *testing.T) {
	d := domainOfAllKinds(t)
	admin := d.admin(t)
	onBothDatabases(t, func(t *testing.T, dsn string) {
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp"}, pullDomain(t, d.DomainController)...)...)
		for _, name := range []string{"prim", upn("prim"), "PRI*"} {
			same(t, "search for "+name, []string{"new User " + upn("prim")}, hits(t, p, "--user", name))
		}
		same(t, "what belongs to the system", []string{}, hits(t, p, "--filter", "(isCriticalSystemObject=TRUE)"))
		found := decode[[]openapi.SearchHit](t, p.must(t, "search", "corp", "--group", "staff", "--json"))
		if len(found) != 1 || found[0].ExternalID != admin.guid(groupDN("staff")) {
			t.Fatalf("the group is found as %+v", found)
		}
		// Its only member has it as primary group, which the group itself does not say.
		run := decode[pulledRun](t, p.must(t, "import", "corp", "--group", found[0].ExternalID, "--wait", "--json"))
		same(t, "users", map[string]int{"created": 1}, run.tally("users"))
		same(t, "members", []string{upn("prim")}, db.state().Groups["staff"].Members)
		same(t, "searched again", []string{"synchronized Group staff"}, hits(t, p, "--group", "staff"))
	})
}
