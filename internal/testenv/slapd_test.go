package testenv_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
)

func dial(t testing.TB, url string, options ...ldap.DialOpt) *ldap.Conn {
	t.Helper()
	conn, err := ldap.DialURL(url, options...)
	if err != nil {
		t.Fatalf("connect to %s: %v", url, err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the server may be gone
	return conn
}

func trust(t testing.TB, server *testenv.LDAPServer) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(server.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("the CA file has no certificate")
	}
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

func find(t testing.TB, conn *ldap.Conn, base, filter string, attributes ...string) []*ldap.Entry {
	t.Helper()
	result, err := conn.Search(&ldap.SearchRequest{
		BaseDN: base, Scope: ldap.ScopeWholeSubtree, Filter: filter, Attributes: attributes,
	})
	if err != nil {
		t.Fatalf("search %s below %q: %v", filter, base, err)
	}
	return result.Entries
}

// canonical makes the spellings of a DN equal: slapd answers "\2C" in an
// entry's own DN where a member value keeps the "\," that was loaded.
func canonical(t testing.TB, dn string) string {
	t.Helper()
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		t.Fatalf("DN %q: %v", dn, err)
	}
	return strings.ToLower(parsed.String())
}

func TestSlapdHoldsExactlyTheCompanyThatTheTruthDescribes(t *testing.T) {
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 700, Groups: 60, Cap: 100})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF})
	conn := dial(t, server.URL)
	if err := conn.Bind(server.BindDN, server.Password); err != nil {
		t.Fatal(err)
	}

	users := find(t, conn, server.Suffix, "(objectClass=inetOrgPerson)")
	if len(users) != company.Options.Users {
		t.Fatalf("%d users, want %d", len(users), company.Options.Users)
	}
	idOf := map[string]string{} // by canonical DN
	for _, entry := range find(t, conn, server.Suffix, "(|(objectClass=inetOrgPerson)(objectClass=groupOfNames))", "entryUUID") {
		idOf[canonical(t, entry.DN)] = entry.GetAttributeValue("entryUUID")
	}
	for _, entry := range users {
		var index int
		for _, c := range entry.GetAttributeValue("uid")[1:] {
			index = index*10 + int(c-'0')
		}
		want := company.User(index)
		manager := ""
		if want.Manager >= 0 {
			manager = company.User(want.Manager).ID
		}
		got := testenv.CompanyUser{
			ID:  idOf[canonical(t, entry.DN)],
			DN:  want.DN,
			UID: entry.GetAttributeValue("uid"), CN: entry.GetAttributeValue("cn"),
			GivenName: entry.GetAttributeValue("givenName"), Surname: entry.GetAttributeValue("sn"),
			DisplayName: entry.GetAttributeValue("displayName"), Mail: entry.GetAttributeValue("mail"),
			Telephone: entry.GetAttributeValue("telephoneNumber"), Mobile: entry.GetAttributeValue("mobile"),
			Title: entry.GetAttributeValue("title"), Department: entry.GetAttributeValue("departmentNumber"),
			EmployeeNumber: entry.GetAttributeValue("employeeNumber"), EmployeeType: entry.GetAttributeValue("employeeType"),
			Manager: want.Manager,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("user %d (-truth +server):\n%s", index, diff)
		}
		if got := idOf[canonical(t, entry.GetAttributeValue("manager"))]; got != manager {
			t.Fatalf("the manager of %s is %q, want %q", want.UID, got, manager)
		}
	}

	wantMembers, gotMembers := map[string][]string{}, map[string][]string{}
	for _, group := range company.Groups {
		for _, user := range group.Users {
			wantMembers[group.ID] = append(wantMembers[group.ID], company.User(user).ID)
		}
		for _, child := range group.Children {
			wantMembers[group.ID] = append(wantMembers[group.ID], company.Groups[child].ID)
		}
		slices.Sort(wantMembers[group.ID])
	}
	for _, entry := range find(t, conn, server.Suffix, "(objectClass=groupOfNames)", "entryUUID", "member") {
		id := entry.GetAttributeValue("entryUUID")
		for _, dn := range entry.GetAttributeValues("member") {
			gotMembers[id] = append(gotMembers[id], idOf[canonical(t, dn)])
		}
		slices.Sort(gotMembers[id])
	}
	if diff := cmp.Diff(wantMembers, gotMembers); diff != "" {
		t.Errorf("members (-truth +server):\n%s", diff)
	}
}

func TestSlapdSpeaksTLSAndStartTLSWithACertificateForItsAddress(t *testing.T) {
	server := testenv.Slapd(t, testenv.SlapdOptions{RequireTLS: true})
	if err := dial(t, server.URL).Bind(server.BindDN, server.Password); !ldap.IsErrorWithCode(err, ldap.LDAPResultConfidentialityRequired) {
		t.Errorf("a password in plain text: %v, want confidentialityRequired", err)
	}
	if err := dial(t, server.TLSURL, ldap.DialWithTLSConfig(trust(t, server))).Bind(server.BindDN, server.Password); err != nil {
		t.Errorf("bind over TLS: %v", err)
	}
	conn := dial(t, server.URL)
	if err := conn.StartTLS(trust(t, server)); err != nil {
		t.Fatalf("StartTLS: %v", err)
	}
	if err := conn.Bind(server.BindDN, server.Password); err != nil {
		t.Errorf("bind after StartTLS: %v", err)
	}
	if _, err := ldap.DialURL(server.TLSURL); err == nil {
		t.Error("a client that does not know the CA was served")
	}
}

func TestASizeLimitCutsPagedReadsTooAndWithoutOneTheServiceAccountReadsAll(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit int
		want  uint16
	}{
		{"with a limit of 50 a read of 600 entries ends in an error", 50, ldap.LDAPResultSizeLimitExceeded},
		{"without a limit it ends well", 0, ldap.LDAPResultSuccess},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "corp.ldif")
			file, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := testenv.Company(file, testenv.CompanyOptions{Users: 600, Groups: 1}); err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			server := testenv.Slapd(t, testenv.SlapdOptions{LDIF: path, SizeLimit: tt.limit})
			conn := dial(t, server.URL)
			if err := conn.Bind(server.BindDN, server.Password); err != nil {
				t.Fatal(err)
			}
			_, err = conn.SearchWithPaging(&ldap.SearchRequest{
				BaseDN: server.Suffix, Scope: ldap.ScopeWholeSubtree, Filter: "(uid=*)", Attributes: []string{"uid"},
			}, 20)
			if tt.want == ldap.LDAPResultSuccess && err != nil || tt.want != ldap.LDAPResultSuccess && !ldap.IsErrorWithCode(err, tt.want) {
				t.Errorf("paged read: %v, want result code %d", err, tt.want)
			}
		})
	}
}

func TestARestartKeepsTheDataAndTheOverlaysAreAtWork(t *testing.T) {
	server := testenv.Slapd(t, testenv.SlapdOptions{})
	admin := server.Admin(t)
	person := func(uid string) string { return "uid=" + uid + ",ou=people," + server.Suffix }
	for _, uid := range []string{"ann", "bob"} {
		add := ldap.NewAddRequest(person(uid), nil)
		add.Attribute("objectClass", []string{"inetOrgPerson"})
		add.Attribute("cn", []string{uid})
		add.Attribute("sn", []string{uid})
		if err := admin.Add(add); err != nil {
			t.Fatal(err)
		}
	}
	group := "cn=staff,ou=groups," + server.Suffix
	add := ldap.NewAddRequest(group, nil)
	add.Attribute("objectClass", []string{"groupOfNames"})
	add.Attribute("member", []string{person("ann"), person("bob")})
	if err := admin.Add(add); err != nil {
		t.Fatal(err)
	}

	server.Stop()
	if _, err := ldap.DialURL(server.URL); err == nil {
		t.Fatal("a stopped server answers")
	}
	server.Restart()

	admin = server.Admin(t)
	if got := find(t, admin, person("ann"), "(objectClass=*)", "memberOf")[0].GetAttributeValues("memberOf"); !cmp.Equal(got, []string{group}) {
		t.Errorf("memberOf is %q, want %q", got, group)
	}
	if err := admin.Del(ldap.NewDelRequest(person("bob"), nil)); err != nil {
		t.Fatal(err)
	}
	if got := find(t, admin, group, "(objectClass=*)", "member")[0].GetAttributeValues("member"); !cmp.Equal(got, []string{person("ann")}) {
		t.Errorf("after deleting bob the members are %q", got)
	}
	result, err := admin.Search(&ldap.SearchRequest{
		BaseDN: server.Suffix, Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)", Attributes: []string{"contextCSN"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Entries[0].GetAttributeValue("contextCSN") == "" {
		t.Error("syncprov gives no contextCSN")
	}
}

// BenchmarkSlapdLoad loads 100,000 users and 10,000 groups and starts the server.
func BenchmarkSlapdLoad(b *testing.B) {
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 100_000, Groups: 10_000})
	for b.Loop() {
		testenv.Slapd(b, testenv.SlapdOptions{Write: company.WriteLDIF}).Stop()
	}
}
