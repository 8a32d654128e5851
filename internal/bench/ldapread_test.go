package bench

import (
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
)

const readPage = 1000 // entries in a page, Provost's default

// search is one of the two searches of a pull with the preset openldap.
type search struct {
	filter     string
	attributes []string
}

var searches = []search{
	{
		"(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))",
		[]string{"entryUUID", "cn", "description", "member", "uniqueMember", "memberUid"},
	},
	{
		"(objectClass=inetOrgPerson)",
		[]string{
			"entryUUID", "uid", "displayName", "cn", "mail", "givenName", "sn", "mobile", "telephoneNumber", "title",
			"departmentNumber", "department", "employeeNumber", "manager", "pwdAccountLockedTime", "nsAccountLock",
		},
	},
}

// bareRead reads everything that a pull reads, page by page with go-ldap, keeps
// nothing, and returns how long that took.
func bareRead(b *testing.B, server *testenv.LDAPServer, entries int) time.Duration {
	b.Helper()
	start := time.Now()
	conn, err := ldap.DialURL(server.URL)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Bind(server.BindDN, server.Password); err != nil {
		b.Fatal(err)
	}
	read := 0
	for _, s := range searches {
		read += readPaged(b, conn, server.Suffix, s)
	}
	took := time.Since(start)
	if read != entries {
		b.Fatalf("go-ldap read %d entries instead of %d", read, entries)
	}
	return took
}

func readPaged(b *testing.B, conn *ldap.Conn, base string, s search) (entries int) {
	b.Helper()
	paging := ldap.NewControlPaging(readPage)
	for {
		result, err := conn.Search(&ldap.SearchRequest{
			BaseDN: base, Scope: ldap.ScopeWholeSubtree, Filter: s.filter, Attributes: s.attributes,
			Controls: []ldap.Control{paging},
		})
		if err != nil {
			b.Fatalf("search %s: %v", s.filter, err)
		}
		entries += len(result.Entries)
		answer, ok := ldap.FindControl(result.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !ok || len(answer.Cookie) == 0 {
			return entries
		}
		paging.SetCookie(answer.Cookie)
	}
}

// ldapSearch is bareRead by OpenLDAP's own tool.
func ldapSearch(b *testing.B, server *testenv.LDAPServer) time.Duration {
	b.Helper()
	start := time.Now()
	for _, s := range searches {
		args := []string{
			"-x", "-LLL", "-H", server.URL, "-D", server.BindDN, "-w", server.Password, "-b", server.Suffix,
			"-E", "pr=1000/noprompt", s.filter,
		}
		// Without Stdout the output goes to the null device.
		if err := exec.CommandContext(b.Context(), "ldapsearch", slices.Concat(args, s.attributes)...).Run(); err != nil {
			b.Fatalf("ldapsearch: %v", err)
		}
	}
	return time.Since(start)
}
