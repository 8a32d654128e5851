package main

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
)

// everyClass is what OpenLDAP directories hold besides groupOfNames, and accounts
// that a password policy locks.
func everyClass(w io.Writer) error {
	if err := testenv.WriteSkeleton(w); err != nil {
		return err
	}
	for i, uid := range []string{"ann", "bob", "cid"} {
		_, err := fmt.Fprintf(w, "dn: uid=%[1]s,ou=people,%[2]s\nobjectClass: inetOrgPerson\nobjectClass: posixAccount\nuid: %[1]s\ncn: %[1]s\nsn: %[1]s\n"+
			"uidNumber: %[3]d\ngidNumber: 100\nhomeDirectory: /home/%[1]s\nuserPassword: right-secret\n\n", uid, testenv.Suffix, 1000+i)
		if err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, `dn: ou=policies,%[1]s
objectClass: organizationalUnit
ou: policies

dn: cn=default,ou=policies,%[1]s
objectClass: device
objectClass: pwdPolicy
cn: default
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 2

dn: cn=unique,ou=groups,%[1]s
objectClass: groupOfUniqueNames
cn: unique
uniqueMember: uid=ann,ou=people,%[1]s
uniqueMember: uid=bob,ou=people,%[1]s#'0101'B

dn: cn=posix,ou=groups,%[1]s
objectClass: posixGroup
cn: posix
gidNumber: 2000
memberUid: Bob
memberUid: cid
memberUid: who-is-not-here

dn: cn=names,ou=groups,%[1]s
objectClass: groupOfNames
cn: names
member: cn=unique,ou=groups,%[1]s
member: cn=posix,ou=groups,%[1]s

`, testenv.Suffix)
	return err
}

func TestEveryClassOfGroupAndLockOfOpenLDAPIsUnderstood(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: everyClass, Config: []string{
			"overlay ppolicy", `ppolicy_default "cn=default,ou=policies,` + testenv.Suffix + `"`,
		}})
		admin := server.Admin(t)
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, server, server.TLSURL)...)...)
		p.mustPull(t)
		check := func(when string, active map[string]bool, members, effective map[string][]string) {
			t.Helper()
			state := db.state()
			gotActive, gotMembers, gotEffective := map[string]bool{}, map[string][]string{}, map[string][]string{}
			for name, u := range state.Users {
				gotActive[name] = u.Active
			}
			for name, g := range state.Groups {
				gotMembers[name], gotEffective[name] = g.Members, g.Effective
			}
			same(t, when+": active", active, gotActive)
			same(t, when+": members", members, gotMembers)
			same(t, when+": effective members", effective, gotEffective)
		}
		members := map[string][]string{"unique": {"ann", "bob"}, "posix": {"bob", "cid"}, "names": {"group posix", "group unique"}}
		effective := map[string][]string{"unique": {"ann", "bob"}, "posix": {"bob", "cid"}, "names": {"ann", "bob", "cid"}}
		check("at first", map[string]bool{"ann": true, "bob": true, "cid": true}, members, effective)

		// Ann is locked by an administrator, for ever. Bob mistypes his password, which
		// locks him out until he is let in again; that is no reason to take anything away.
		ldapAdmin{admin, t}.set("uid=ann,ou=people,"+server.Suffix, "pwdAccountLockedTime", "000001010000Z")
		for range 3 {
			conn, err := ldap.DialURL(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			var refused *ldap.Error
			if err := conn.Bind("uid=bob,ou=people,"+server.Suffix, "wrong-secret"); !errors.As(err, &refused) || refused.ResultCode != ldap.LDAPResultInvalidCredentials {
				t.Fatalf("a wrong password: %v", err)
			}
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if locked := (ldapAdmin{admin, t}).attribute("uid=bob,ou=people,"+server.Suffix, "pwdAccountLockedTime"); locked == "" {
			t.Fatal("the password policy does not lock Bob out")
		}
		change := ldap.NewModifyRequest("cn=posix,ou=groups,"+server.Suffix, nil)
		change.Delete("memberUid", []string{"cid"})
		if err := admin.Modify(change); err != nil {
			t.Fatal(err)
		}
		second := p.mustPull(t)
		same(t, "users of the second run", map[string]int{"deactivated": 1, "unchanged": 2}, second.tally("users"))
		members["posix"], effective["posix"], effective["names"] = []string{"bob"}, []string{"bob"}, []string{"ann", "bob"}
		check("after a lock", map[string]bool{"ann": false, "bob": true, "cid": true}, members, effective)

		ldapAdmin{admin, t}.set("uid=ann,ou=people,"+server.Suffix, "pwdAccountLockedTime")
		p.mustPull(t)
		check("after the lock is lifted", map[string]bool{"ann": true, "bob": true, "cid": true}, members, effective)
	})
}
