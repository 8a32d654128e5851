package main

import (
	"strings"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
)

// In a domain a unit whose content is hidden is itself still seen, and does not say whether
// it is empty. Whoever sees the deleted objects can tell.
func TestRule6AUnitOfADomainOutOfSightIsNotTakenForDeleted(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, dsn string) {
		people := map[string]adPerson{"boss": {CN: "Boss", Unit: "People", Given: "The", Surname: "Boss"}}
		for _, name := range []string{"lea", "leo", "lev"} {
			people[name] = adPerson{CN: name, Unit: "Leavers", Given: name, Surname: "Leaver"}
		}
		d := startDomain(t, people, nil)
		admin := d.admin(t)
		account := adPerson{CN: "svc-provost", Unit: "People"}.dn()
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append(append([]string{"directory", "create", "corp"}, pullDomain(t, d.DomainController)...), "--incremental")...)
		p.mustPull(t)

		admin.remove(people["lev"].dn())
		r := p.mustPull(t, "--full")
		same(t, "users of a run after one of three was deleted", map[string]int{"deleted": 1, "unchanged": 4}, r.tally("users"))

		held := func(says string, flags ...string) {
			t.Helper()
			before := db.trace()
			if run, code := p.pull(t, flags...); code != exitHeld {
				t.Errorf("exit code %d, the run of %q is %s, full because %q: %s", code, flags, run.State, run.FullBecause, run.Error)
			}
			unmoved(t, says, db, before)
			if _, stderr, _ := p.run(t, "sync", "status", "corp"); !strings.Contains(stderr, "OU=Leavers,"+testenv.DomainSuffix) || !strings.Contains(stderr, says) {
				t.Errorf("the status does not say %q:\n%s", says, stderr)
			}
		}
		d.Hide(account, "OU=Leavers,"+testenv.DomainSuffix)
		held("it shows no entry any more", "--full")
		held("it shows no entry any more") // the ids of all are listed: this account sees no tombstones
		d.ShowTombstones(account)
		held("2 of them are not among the deleted objects", "--full")
		held("1 of them are not among the deleted objects", "--user", upn("lea"))

		admin.remove(people["lea"].dn())
		admin.remove(people["leo"].dn())
		r = p.mustPull(t, "--full")
		same(t, "users of a run after the rest was deleted", map[string]int{"deleted": 2, "unchanged": 2}, r.tally("users"))
	})
}
