package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
)

func TestARandomHistoryOfADomainFollowedIncrementallyEndsAsAFullPull(t *testing.T) {
	t.Parallel()
	suffix := testenv.DomainSuffix
	for name, c := range map[string]struct {
		bases []string
		sees  bool // the tombstones
	}{
		"the whole domain, as an account that sees tombstones": {[]string{suffix}, true},
		"two units, as an account that sees tombstones":        {[]string{"OU=People," + suffix, "OU=Groups," + suffix}, true},
		"two units, as an ordinary account":                    {[]string{"OU=People," + suffix, "OU=Groups," + suffix}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dc := testenv.Samba(t, testenv.SambaOptions{Write: writeUnits})
			if c.sees {
				dc.ShowTombstones(dc.BindDN)
			}
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			h := domainHistory(t, dc, seed)
			h.happen(40)
			create := append(pullDomain(t, dc), "--incremental", "--guard", "all=10000/100%",
				"--user-filter", "(&(objectCategory=person)(objectClass=user)(!(isCriticalSystemObject=TRUE))(!(employeeType=left)))")
			followed := followHistory{history: h, create: basedOn(create, suffix, c.bases)}
			followed.run(t, testenv.Postgres(t).Database(t, migrateDatabase))
		})
	}
}

// writeUnits writes LDIF of three units with users, a few groups, and whom they need.
func writeUnits(w io.Writer) error {
	for i := range 3 {
		if _, err := fmt.Fprintf(w, "dn: OU=dept%d,OU=People,%s\nobjectClass: organizationalUnit\n\n", i, testenv.DomainSuffix); err != nil {
			return err
		}
	}
	for i := range 30 {
		if _, err := fmt.Fprintf(w, "dn: CN=Anfang\\, Ö %[1]d,OU=dept%[2]d,OU=People,%[3]s\nobjectClass: user\nsAMAccountName: first%[1]d\nuserPrincipalName: first%[1]d@ad.corp.test\nuserAccountControl: 544\n\n", i, i%3, testenv.DomainSuffix); err != nil {
			return err
		}
	}
	for i := range 6 {
		if _, err := fmt.Fprintf(w, "dn: CN=team%[1]d,OU=Groups,%[2]s\nobjectClass: group\nsAMAccountName: gteam%[1]d\n\n", i, testenv.DomainSuffix); err != nil {
			return err
		}
	}
	return nil
}

// domainHistory is the history of a domain.
func domainHistory(t *testing.T, dc *testenv.DomainController, seed uint64) *history {
	h := &history{
		t: t, admin: dc.Admin(t), random: rand.New(rand.NewPCG(seed, 1)), suffix: dc.Suffix,
		users:  "(&(objectCategory=person)(objectClass=user)(!(isCriticalSystemObject=TRUE))(!(sAMAccountName=svc-provost)))",
		groups: "(&(objectCategory=group)(!(isCriticalSystemObject=TRUE)))", left: "(employeeType=left)",
		units: "(&(objectClass=organizationalUnit)(ou=dept*))", archive: "OU=Leavers," + dc.Suffix, rdn: "CN",
	}
	h.newUser = func(name string) map[string][]string {
		return map[string][]string{
			"objectClass": {"user"}, "sAMAccountName": {name}, "userPrincipalName": {name + "@ad.corp.test"}, "userAccountControl": {"544"},
		}
	}
	h.newGroup = func(name string) map[string][]string {
		return map[string][]string{"objectClass": {"group"}, "sAMAccountName": {"g" + name}, "member": {h.user(), h.group()}}
	}
	set := func(dn, attribute, value string) error {
		return h.modify(dn, func(m *ldap.ModifyRequest) { m.Replace(attribute, []string{value}) })
	}
	h.others = []func() (string, error){
		func() (string, error) {
			dn, control := h.user(), []string{"544", "546"}[h.random.IntN(2)]
			return "control of " + dn + ": " + control, set(dn, "userAccountControl", control)
		},
		func() (string, error) {
			dn, name := h.user(), h.fresh("upn")
			return "user name of " + dn + ": " + name, set(dn, "userPrincipalName", name+"@ad.corp.test")
		},
		func() (string, error) {
			user, group := h.user(), h.group()
			what := "primary group of " + user + ": " + group
			// Whose primary group it shall be must be a member, if it is not already.
			_ = h.modify(group, func(m *ldap.ModifyRequest) { m.Add("member", []string{user}) })
			sid := []byte(ldapAdmin{h.admin, t}.attribute(group, "objectSid"))
			rid := uint64(sid[len(sid)-4]) | uint64(sid[len(sid)-3])<<8 | uint64(sid[len(sid)-2])<<16
			return what, set(user, "primaryGroupID", strconv.FormatUint(rid, 10))
		},
		func() (string, error) {
			user := h.user()
			return "primary group of " + user + ": Domain Users", set(user, "primaryGroupID", "513")
		},
		func() (string, error) {
			// A unit takes along who is in it, and may come back another day.
			unit, to := h.pick(h.units), h.archive
			if h.random.IntN(2) == 0 {
				to = "OU=People," + dc.Suffix
			}
			rdn, err := ldap.ParseDN(unit)
			if err != nil {
				t.Fatal(err)
			}
			return "move " + unit + " to " + to, h.admin.ModifyDN(ldap.NewModifyDNRequest(unit, rdn.RDNs[0].String(), true, to))
		},
	}
	return h
}

func TestAFullRunRepairsAndReportsWhatADomainDidNotTell(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		d := startDomain(t, map[string]adPerson{
			"ann": {CN: "Ann", Unit: "People", Given: "Ann", Surname: "Lee"},
			"bob": {CN: "Bob", Unit: "People", Given: "Bob", Surname: "Ray"},
			"cid": {CN: "Cid", Unit: "People", Given: "Cid", Surname: "Sun"},
		}, map[string]adGroup{"staff": {People: []string{"ann", "bob", "cid"}}})
		admin := d.admin(t)
		d.ShowTombstones(d.BindDN)
		admin.remove(d.people["cid"].dn()) // so that there is a tombstone
		delete(d.people, "cid")
		d.groups["staff"] = adGroup{People: []string{"ann", "bob"}}
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp"}, pullDomain(t, d.DomainController, "--incremental")...)...)
		p.mustPull(t)

		// Who is moved to where the account may not look is told of to nobody.
		d.Hide(d.BindDN, "OU=Leavers,"+d.Suffix)
		bob := d.people["bob"]
		bob.Unit = "Leavers"
		admin.rename(d.people["bob"].dn(), bob.dn())
		missed := p.mustPull(t)
		if !missed.Incremental {
			t.Fatalf("everything was read because %s", missed.FullBecause)
		}
		same(t, "users of the run that is not told", map[string]int{"unchanged": 3}, missed.tally("users"))

		admin.set(d.people["ann"].dn(), "title", "Chief")
		ann := d.people["ann"]
		ann.Title = "Chief"
		d.people["ann"] = ann
		full := p.mustPull(t, "--full")
		same(t, "users of the full run", map[string]int{"deleted": 1, "modified": 1, "unchanged": 1}, full.tally("users"))
		if full.Drift == nil || full.Drift.Users != 1 || full.Drift.Groups != 1 || full.Drift.Unknown != "" {
			t.Errorf("drift %+v, want that of a user and the group that lost him", full.Drift)
		}
		delete(d.people, "bob")
		d.groups["staff"] = adGroup{People: []string{"ann"}}
		sameState(t, "after the full run", d.pulled(admin), db.state())
		said := p.must(t, "sync", "status", "corp")
		if want := "users 1, groups 1, which the incremental runs before had missed: group staff (modified), user bob@ad.corp.test (deleted)"; !strings.Contains(said, want) {
			t.Errorf("status says\n%s\nwithout %q", said, want)
		}
	})
}

func TestWhoIsRestoredFromATombstoneOfADomainComesBackAsThemselves(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		d := startDomain(t, map[string]adPerson{
			"ann": {CN: "Ann", Unit: "People", Given: "Ann", Surname: "Lee"},
			"bob": {CN: "Bob", Unit: "People", Given: "Bob", Surname: "Ray"},
		}, map[string]adGroup{"staff": {People: []string{"ann", "bob"}}})
		admin := d.admin(t)
		p := startProvost(t, "--database", dsn)
		p.must(t, append([]string{"directory", "create", "corp"}, pullDomain(t, d.DomainController, "--incremental")...)...)
		p.mustPull(t)
		ids, guid := recordIDs(t, p), admin.guid(d.people["bob"].dn())

		admin.remove(d.people["bob"].dn())
		gone := p.mustPull(t)
		same(t, "users when one was deleted", map[string]int{"deleted": 1, "unchanged": 2}, gone.tally("users"))
		// [MS-ADTS] section 3.1.1.5.3.7: a tombstone is given its name and place again.
		change := ldap.NewModifyRequest(`CN=Bob\0ADEL:`+guid+",CN=Deleted Objects,"+d.Suffix, []ldap.Control{ldap.NewControlString("1.2.840.113556.1.4.417", true, "")})
		change.Delete("isDeleted", nil)
		change.Replace("distinguishedName", []string{d.people["bob"].dn()})
		admin.modify(change)
		admin.set(d.people["bob"].dn(), "userPrincipalName", upn("bob")) // a tombstone has lost it
		back := p.mustPull(t)
		if !gone.Incremental || !back.Incremental {
			t.Errorf("everything was read because %s%s", gone.FullBecause, back.FullBecause)
		}
		same(t, "users when one was restored", map[string]int{"restored": 1, "unchanged": 2}, back.tally("users"))
		same(t, "ids", ids, recordIDs(t, p))
	})
}
