package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
)

// serviceAccount adds an ordinary account and returns its DN.
func (d *adDomain) serviceAccount(admin ldapAdmin, name, password string) string {
	admin.t.Helper()
	dn := "CN=" + name + ",OU=Leavers," + d.Suffix
	add := ldap.NewAddRequest(dn, nil)
	for attribute, value := range map[string]string{
		"objectClass": "user", "sAMAccountName": name, "userAccountControl": "512", "unicodePwd": testenv.UnicodePassword(password),
	} {
		add.Attribute(attribute, []string{value})
	}
	if err := admin.Add(add); err != nil {
		admin.t.Fatalf("add %s: %v", dn, err)
	}
	return dn
}

func TestADomainIsReachedInEveryWayItAllows(t *testing.T) {
	t.Parallel()
	d := startDomain(t, map[string]adPerson{"ann": {CN: "Ann", Unit: "People", Given: "Ann", Surname: "Lee"}}, map[string]adGroup{"staff": {People: []string{"ann"}}})
	admin := d.admin(t)
	const password = "Another-secret.1"
	disabled, mustChange := d.serviceAccount(admin, "svc-disabled", password), d.serviceAccount(admin, "svc-change", password)
	admin.set(disabled, "userAccountControl", "514")
	admin.set(mustChange, "pwdLastSet", "0")
	want := d.pulled(admin)
	other := testenv.Slapd(t, testenv.SlapdOptions{}) // has another authority
	const dead = "ldaps://127.0.0.1:1"

	onBothDatabases(t, func(t *testing.T, dsn string) {
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		good := pullDomain(t, d.DomainController)
		good[slices.Index(good, d.Suffix)] = "OU=People," + d.Suffix // without the accounts of this test
		good = append(good, "--base-dn", "OU=Groups,"+d.Suffix)
		p.must(t, append([]string{"directory", "create", "corp"}, good...)...)
		file := passwordFile(t, password)
		for _, c := range []struct {
			name  string
			flags []string
			fails string // what the run says, and what to do
			hint  string
		}{
			{name: "over LDAPS"},
			{name: "over StartTLS", flags: []string{"--url", d.URL, "--start-tls"}},
			{name: "as user@domain", flags: []string{"--bind-dn", "svc-provost@" + d.Realm}},
			{name: `as DOMAIN\user`, flags: []string{"--bind-dn", d.Domain + `\svc-provost`}},
			{name: "when the first of two servers is dead", flags: []string{"--url", dead, "--url", d.TLSURL}},
			{name: "when the certificate of the first of two is another's", flags: []string{"--url", other.TLSURL, "--url", d.TLSURL}},
			{
				name: "in plain text", flags: []string{"--url", d.URL, "--allow-plaintext"},
				fails: "Strong Auth Required (8)", hint: "the server wants encryption: use ldaps://",
			},
			{
				name: "with another's CA", flags: []string{"--ca-file", other.CAFile},
				fails: "is not signed by a trusted authority", hint: "--ca-file",
			},
			{
				name: "with a wrong password", flags: []string{"--bind-password-file", file},
				fails: "the password is wrong, or there is no such user (Active Directory code 52e)", hint: "check the bind DN and the bind password",
			},
			{
				name: "with a disabled account", flags: []string{"--bind-dn", disabled, "--bind-password-file", file},
				fails: "the account is disabled (Active Directory code 533)", hint: "enable or unlock the service account",
			},
			{
				name: "with a password that must be changed", flags: []string{"--bind-dn", mustChange, "--bind-password-file", file},
				fails: "the password must be changed before it can be used (Active Directory code 773)", hint: "let it never expire",
			},
			{
				name: "when every server is dead", flags: []string{"--url", dead, "--url", "ldaps://127.0.0.1:2"},
				fails: "127.0.0.1:2 cannot be reached", hint: "check the URL",
			},
		} {
			p.must(t, append([]string{"directory", "set", "corp", "--no-start-tls", "--no-allow-plaintext"}, good[4:]...)...)
			if c.flags != nil {
				p.must(t, append([]string{"directory", "set", "corp"}, c.flags...)...)
			}
			before := db.trace()
			done, code := p.pull(t)
			if c.fails == "" {
				if code != 0 {
					t.Errorf("%s: exit code %d: %s", c.name, code, done.Error)
				}
				sameState(t, c.name, want, db.state())
				continue
			}
			if code != exitFailed || !strings.Contains(done.Error, c.fails) || !strings.Contains(done.Error, c.hint) {
				t.Errorf("%s: exit code %d, %q; want it to say %q and %q", c.name, code, done.Error, c.fails, c.hint)
			}
			if strings.Contains(done.Error, password) {
				t.Errorf("%s: the error shows the password", c.name)
			}
			unmoved(t, c.name, db, before)
		}
	})
}

func TestALargeGroupAndASmallScopeOfADomain(t *testing.T) {
	t.Parallel()
	const size = 2_000
	people, groups := map[string]adPerson{}, map[string]adGroup{
		"Grüppe, größte": {},
		"inner":          {People: []string{"u0001", "u0002"}},
		"outer":          {People: []string{"u0003"}, Groups: []string{"inner"}},
		"aside":          {People: []string{"u0004"}},
	}
	for i := range size {
		account := fmt.Sprintf("u%04d", i)
		people[account] = adPerson{CN: fmt.Sprintf("Últimus, João %04d", i), Unit: "People", Given: "João", Surname: "Últimus"}
		g := groups["Grüppe, größte"]
		g.People = append(g.People, account)
		groups["Grüppe, größte"] = g
	}
	d := startDomain(t, people, groups)
	admin := d.admin(t)
	d.nest(admin)
	all := d.pulled(admin)
	scoped := d.within(all, "outer")

	onBothDatabases(t, func(t *testing.T, dsn string) {
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--scope-group", "outer"}, pullDomain(t, d.DomainController)...)...)
		first := p.mustPull(t)
		same(t, "users of the scope", map[string]int{"created": 3}, first.tally("users"))
		same(t, "groups of the scope", map[string]int{"created": 2}, first.tally("groups"))
		sameState(t, "the scope", scoped, db.state())

		p.must(t, "directory", "set", "corp", "--scope", "all", "--page-size", "700")
		second := p.mustPull(t)
		same(t, "users of the domain", map[string]int{"created": size + 1 - 3, "unchanged": 3}, second.tally("users"))
		sameState(t, "the domain", all, db.state())
	})
}

// within is what is left of a state when the scope is one group: it and the groups
// below it, with their users.
func (d *adDomain) within(all directoryState, group string) directoryState {
	s := directoryState{Users: map[string]userState{}, Groups: map[string]groupState{group: all.Groups[group]}}
	for queue := []string{group}; len(queue) > 0; queue = queue[1:] {
		for _, child := range d.groups[queue[0]].Groups {
			if _, ok := s.Groups[child]; !ok {
				s.Groups[child] = all.Groups[child]
				queue = append(queue, child)
			}
		}
	}
	for _, g := range s.Groups {
		for _, name := range g.Effective {
			s.Users[name] = all.Users[name]
		}
	}
	return s
}
