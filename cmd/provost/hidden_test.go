package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
)

// The account may no longer read one unit. Those in it are fewer than the guard allows to
// be deleted, and look deleted.
func TestRule6AUnitOutOfSightIsNotTakenForDeleted(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 120, Groups: 12})
	unit := "ou=dept03,ou=people," + testenv.Suffix
	var inUnit []string
	for i := range truth.Options.Users {
		if u := truth.User(i); strings.HasSuffix(u.DN, unit) {
			inUnit = append(inUnit, u.UID)
		}
	}
	if len(inUnit) < 2 || len(inUnit) > 15 {
		t.Fatalf("%d users are in the unit, want a few", len(inUnit))
	}
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := deniable(t, truth)
		admin := ldapAdmin{server.Admin(t), t}
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append(append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, server, server.TLSURL)...), "--incremental")...)
		p.mustPull(t)
		want := db.state()
		for _, c := range []struct {
			name, role  string
			flags       []string
			incremental bool
			says        string
		}{
			{name: "a full run", role: "no-unit", flags: []string{"--full"}, says: "it cannot be read any more, either"},
			{name: "a full run that sees the unit", role: "no-staff", flags: []string{"--full"}, says: "it has entries that cannot be read"},
			{name: "an incremental run", role: "no-unit", incremental: true, says: "it cannot be read any more, either"},
			{name: "an incremental run that sees the unit", role: "no-staff", incremental: true, says: "it has entries that cannot be read"},
			{name: "a run of one in it", role: "no-unit", flags: []string{"--user", inUnit[0]}, says: "it cannot be read any more, either"},
		} {
			before := db.trace()
			admin.set("cn="+c.role+",ou=svc,"+server.Suffix, "roleOccupant", server.BindDN)
			if c.incremental {
				server.Restart() // without its log the server lists what is there, as this account sees it
				admin = ldapAdmin{server.Admin(t), t}
			}
			run, code := p.pull(t, c.flags...)
			if code != exitHeld || run.State != "held" || run.Incremental != c.incremental {
				t.Errorf("%s: exit code %d, it is %s, incremental %t, full because %q: %s", c.name, code, run.State, run.Incremental, run.FullBecause, run.Error)
			}
			unmoved(t, c.name, db, before)
			_, stderr, _ := p.run(t, "sync", "status", "corp")
			for _, says := range []string{unit, c.says} {
				if !strings.Contains(stderr, says) {
					t.Errorf("%s: the status does not say %q:\n%s", c.name, says, stderr)
				}
			}
			if open := db.findings(); !slices.ContainsFunc(open, func(f string) bool { return strings.HasPrefix(f, "container_vanished") }) {
				t.Errorf("%s: the open findings are %v", c.name, open)
			}
			if len(c.flags) == 0 || c.flags[0] == "--full" {
				if shown := p.must(t, "sync", "plan", "corp"); !strings.Contains(shown, c.says) {
					t.Errorf("%s: the plan does not say %q:\n%s", c.name, c.says, shown)
				}
			}
			admin.set("cn="+c.role+",ou=svc,"+server.Suffix, "roleOccupant")
			p.mustPull(t)
			sameState(t, "when all is well again after "+c.name, want, db.state())
		}

		// What is deleted where others are seen goes without a question, by every kind of run,
		// and so does all that was in a unit which says that it is empty.
		dn := func(uid string) string { return "uid=" + uid + "," + unit }
		gone := 0
		for _, flags := range [][]string{{"--full"}, nil, {"--user", inUnit[2]}} {
			admin.remove(dn(inUnit[gone]))
			r := p.mustPull(t, flags...)
			same(t, "users of a run after a deletion", 1, r.tally("users")["deleted"])
			gone++
		}
		for _, uid := range inUnit[gone:] {
			admin.remove(dn(uid))
		}
		r := p.mustPull(t, "--full")
		same(t, "users of a run after the unit was emptied", len(inUnit)-gone, r.tally("users")["deleted"])
	})
}

// A unit that was deleted with all in it looks the same as one out of sight: a person says
// which it is.
func TestAUnitThatWasDeletedGoesWhenAPersonSaysSo(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 120, Groups: 5})
	unit := "ou=dept03,ou=people," + testenv.Suffix
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF})
		admin := ldapAdmin{server.Admin(t), t}
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, server, server.TLSURL)...)...)
		p.mustPull(t)

		// One who is gone from a unit that was renamed is gone from where the others are.
		admin.rename("ou=dept01,ou=people,"+server.Suffix, "ou=renamed,ou=people,"+server.Suffix)
		admin.remove("uid=" + truth.User(1).UID + ",ou=renamed,ou=people," + server.Suffix)
		renamed := p.mustPull(t)
		same(t, "users of a run after a unit was renamed", 1, renamed.tally("users")["deleted"])

		in := 0
		for i := range truth.Options.Users {
			if u := truth.User(i); strings.HasSuffix(u.DN, unit) {
				admin.remove(u.DN)
				in++
			}
		}
		admin.remove(unit)
		run, code := p.pull(t)
		if code != exitHeld {
			t.Fatalf("exit code %d, the run is %s: %s", code, run.State, run.Error)
		}
		done := decode[pulledRun](t, p.must(t, "sync", "approve", run.ID, "--wait", "--json"))
		same(t, "users of the approved run", in, done.tally("users")["deleted"])
		same(t, "findings then", []string(nil), db.findings())
		r := p.mustPull(t)
		same(t, "users of the next run", map[string]int{"unchanged": 119 - in}, r.tally("users"))
	})
}
