package ldap_test

import (
	"errors"
	"flag"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
	reader "github.com/provost-scim/provost/sync/ldap"
	"github.com/provost-scim/provost/sync/ldap/dn"
)

var (
	benchUsers  = flag.Int("ldap.users", 3000, "users in the benchmark's directory")
	benchGroups = flag.Int("ldap.groups", 300, "groups in the benchmark's directory")
)

// BenchmarkRead compares a whole read, mapped, with every member hashed, with
// go-ldap's bare paged read of the same attributes.
func BenchmarkRead(b *testing.B) {
	company := testenv.NewCompany(testenv.CompanyOptions{Users: *benchUsers, Groups: *benchGroups})
	server := testenv.Slapd(b, testenv.SlapdOptions{Write: company.WriteLDIF})
	b.Run("Provost", func(b *testing.B) {
		source := open(b, settings(b, server, plain(server)), server.Password)
		for b.Loop() {
			entries := 0
			for e, err := range source.Entries(b.Context()) {
				if errors.Is(err, reader.Complete) {
					break
				}
				if err != nil {
					b.Fatal(err)
				}
				for _, member := range e.MemberDNs {
					dn.Of(member)
				}
				entries++
			}
			if entries != *benchUsers+*benchGroups {
				b.Fatalf("read %d entries", entries)
			}
		}
	})
	b.Run("go-ldap", func(b *testing.B) {
		for b.Loop() {
			conn, err := ldap.DialURL(server.URL)
			if err != nil {
				b.Fatal(err)
			}
			if err := conn.Bind(server.BindDN, server.Password); err != nil {
				b.Fatal(err)
			}
			entries := 0
			for _, search := range []ldap.SearchRequest{
				{Filter: "(objectClass=groupOfNames)", Attributes: []string{"entryUUID", "cn", "description", "member", "uniqueMember", "memberUid"}},
				{Filter: "(objectClass=inetOrgPerson)", Attributes: []string{"entryUUID", "uid", "displayName", "cn", "mail", "givenName", "sn",
					"mobile", "telephoneNumber", "title", "departmentNumber", "department", "employeeNumber", "manager", "pwdAccountLockedTime", "nsAccountLock"}},
			} {
				search.BaseDN, search.Scope = server.Suffix, ldap.ScopeWholeSubtree
				result, err := conn.SearchWithPaging(&search, 1000)
				if err != nil {
					b.Fatal(err)
				}
				entries += len(result.Entries)
			}
			if entries != *benchUsers+*benchGroups {
				b.Fatalf("read %d entries", entries)
			}
			if err := conn.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func plain(server *testenv.LDAPServer) func(*store.LDAP) {
	return func(s *store.LDAP) {
		s.URLs, s.AllowPlaintext, s.PageSize = []string{server.URL}, true, 1000
	}
}
