package main

import (
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
)

// An account that may no longer search by entryUUID finds nobody of whom the server
// tells that they have changed; one that may read nobody finds nobody who is named.
// Both are fewer than the guard allows to be deleted.
func TestRule6ARunOfAFewEntriesDeletesNobodyForAnAccountThatLostItsRights(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 60, Groups: 12})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := deniable(t, truth)
		admin := server.Admin(t)
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append(append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, server, server.TLSURL)...), "--incremental")...)
		p.mustPull(t)
		want := db.state()
		occupy := func(role string, change func(*ldap.ModifyRequest)) {
			t.Helper()
			m := ldap.NewModifyRequest("cn="+role+",ou=svc,"+server.Suffix, nil)
			change(m)
			if err := admin.Modify(m); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			role, says string
			flags      []string
		}{
			{role: "no-ids", says: "shows its stable id, so none can be recognised"},
			{role: "no-people", flags: []string{"--user", truth.User(3).UID}, says: "60 of 60 stored users were not found, not only those that are named"},
		} {
			occupy(c.role, func(m *ldap.ModifyRequest) { m.Add("roleOccupant", []string{server.BindDN}) })
			for i := range 4 {
				m := ldap.NewModifyRequest(truth.User(i).DN, nil)
				m.Replace("description", []string{c.role})
				if err := admin.Modify(m); err != nil {
					t.Fatal(err)
				}
			}
			if run, code := p.pull(t, c.flags...); code != exitFailed || run.State != "failed" || !strings.Contains(run.Error, c.says) {
				t.Errorf("%s: exit code %d, the run is %s, full because %q: %s", c.role, code, run.State, run.FullBecause, run.Error)
			}
			sameState(t, "while the account is in "+c.role, want, db.state())
			occupy(c.role, func(m *ldap.ModifyRequest) { m.Delete("roleOccupant", nil) })
		}
		p.mustPull(t)
		sameState(t, "when all is well again", want, db.state())
	})
}
