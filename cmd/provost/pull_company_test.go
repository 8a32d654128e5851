package main

import (
	"bytes"
	"database/sql"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

func TestALargeCompanyIsPulledOverLDAPSAndThenOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		const users, groups = 20_000, 2_000
		truth := testenv.NewCompany(testenv.CompanyOptions{Users: users, Groups: groups})
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF})
		dns := testenv.DNS(t)
		p := startProvost(t, "--database", dsn, "--dns-resolver", dns.Addr, "--log-level", "debug")
		// No attribute of the standard schemas says that an account is disabled.
		p.must(t, append([]string{"directory", "create", "corp", "--attribute", "active=!roomNumber"}, pullFrom(t, server, server.TLSURL)...)...)
		p.must(t, "domain", "add", "corp.test")
		domain := decode[[]openapi.Domain](t, p.must(t, "domain", "list", "--json"))[0]
		dns.SetTXT(domain.RecordName, domain.RecordValue)
		p.must(t, "domain", "verify", "corp.test")
		company, db := newCompanyState(truth), openPeer(t, dsn, "")

		plan := decode[struct {
			ID    string
			Items []openapi.RunItem
		}](t, p.must(t, "sync", "plan", "corp", "--json"))
		if len(plan.Items) != users+groups {
			t.Errorf("the plan has %d items, want %d", len(plan.Items), users+groups)
		}
		if now := db.trace(); now != (trace{}) {
			t.Errorf("the plan has changed %+v", now)
		}
		first := p.mustPull(t)
		same(t, "users of the first run", map[string]int{"created": users}, first.tally("users"))
		same(t, "groups of the first run", map[string]int{"created": groups}, first.tally("groups"))
		same(t, "findings of the first run", 2, len(first.Findings))
		want := company.pulled()
		same(t, "groups over the cap", []string{"over_cap " + testenv.GroupOverByNesting, "over_cap " + testenv.GroupOverCap}, want.Findings)
		sameState(t, "after the first run", want, db.state())
		for _, name := range []string{testenv.GroupAtCap, testenv.GroupOverCap, testenv.GroupChain, testenv.GroupCycleB} {
			compareGroup(t, p, name, want.Groups[name])
		}
		sealed(t, dsn, server, p.stderr.String())

		before := db.trace()
		quiet := p.mustPull(t)
		same(t, "users of a quiet run", map[string]int{"unchanged": users}, quiet.tally("users"))
		same(t, "groups of a quiet run", map[string]int{"unchanged": groups}, quiet.tally("groups"))
		same(t, "what a quiet run may not move", before, db.trace())

		touched := change(t, company, server.Admin(t))
		third := p.mustPull(t)
		same(t, "users of the third run", map[string]int{"created": 1, "modified": 2, "deactivated": 1, "deleted": 1, "unchanged": users - 4}, third.tally("users"))
		same(t, "groups of the third run", map[string]int{"modified": touched, "deleted": 1, "unchanged": groups - 1 - touched}, third.tally("groups"))
		sameState(t, "after the third run", company.pulled(), db.state())
		kinds := map[string]int{}
		for _, e := range db.events(before.Cursor) {
			if strings.HasPrefix(e.Type, "user.") || e.Type == store.EventGroupCreated || e.Type == store.EventGroupUpdated || e.Type == store.EventGroupDeleted {
				kinds[e.Type]++
			}
		}
		same(t, "events of the third run", map[string]int{
			store.EventUserCreated: 1, store.EventUserUpdated: 3, store.EventUserDeleted: 1, store.EventGroupDeleted: 1,
		}, kinds)
	})
}

// same reports how two values differ.
func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// compareGroup holds what the command says of a group to what it should be.
func compareGroup(t *testing.T, p *provostServer, name string, want groupState) {
	t.Helper()
	g := decode[openapi.Group](t, p.must(t, "group", "show", name, "--json"))
	if g.OverCap != want.OverCap || g.EffectiveCount != want.Count {
		t.Errorf("group %s has %d effective users, over the cap %t; want %d, %t", name, g.EffectiveCount, g.OverCap, want.Count, want.OverCap)
	}
	var got []string
	for _, m := range decode[[]struct {
		Name string `json:"user_name"`
	}](t, p.must(t, "group", "members", name, "--effective", "--json")) {
		got = append(got, m.Name)
	}
	same(t, "effective members of "+name, want.Effective, sorted(got))
}

// sealed makes sure that the bind password is nowhere in the database or in the log.
func sealed(t *testing.T, dsn string, server *testenv.LDAPServer, log string) {
	t.Helper()
	holds := holdsRow
	if strings.HasPrefix(dsn, "sqlite:") {
		holds = holdsBytes
	}
	if !holds(t, dsn, server.BindDN) {
		t.Error("the search does not even find the bind DN")
	}
	if holds(t, dsn, server.Password) {
		t.Error("the database holds the bind password")
	}
	if strings.Contains(log, server.Password) {
		t.Error("the log holds the bind password")
	}
}

// holdsBytes reports whether a text is anywhere in the files of an SQLite database.
func holdsBytes(t *testing.T, dsn, text string) bool {
	t.Helper()
	files, err := filepath.Glob(strings.TrimPrefix(dsn, "sqlite:") + "*")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Contains(content, []byte(text))
	})
}

// holdsRow reports whether a text is in any row of a PostgreSQL database, plainly or
// as bytes.
func holdsRow(t *testing.T, dsn, text string) bool {
	t.Helper()
	db := openSQL(t, dsn)
	var tables []string
	rows, err := db.QueryContext(t.Context(), "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(tables, func(name string) bool {
		var n int
		err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM "`+name+`" AS r WHERE CAST(r AS text) LIKE $1 OR CAST(r AS text) LIKE $2`,
			"%"+text+"%", "%"+hex.EncodeToString([]byte(text))+"%").Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n > 0
	})
}

// openSQL opens a database for statements of the test's own.
func openSQL(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	driver := "pgx"
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, dsn = "sqlite", "file:"+path+"?_pragma=busy_timeout(20000)"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // it may have been closed
	return db
}

// change lets something of every kind happen to a company and its directory, and
// returns how many groups are no longer what they were.
func change(t *testing.T, c *companyState, admin *ldap.Conn) (touched int) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	set := func(dn, attribute, value string) {
		t.Helper()
		m := ldap.NewModifyRequest(dn, nil)
		m.Replace(attribute, []string{value})
		must(admin.Modify(m))
	}
	// Nobody's manager, named by uid, and not alone in a group.
	plain := func(index int) bool {
		return index%97 != 0 && !slices.ContainsFunc(c.Groups, func(g testenv.CompanyGroup) bool {
			return len(g.Users)+len(g.Children) == 1 && slices.Contains(g.Users, index)
		})
	}
	var chosen []int
	for index := 300; len(chosen) < 5; index++ {
		if plain(index) {
			chosen = append(chosen, index)
		}
	}
	titled, renamed, moved, deleted, disabled := chosen[0], chosen[1], chosen[2], chosen[3], chosen[4]
	groups := map[int]bool{}

	person := c.users[titled]
	person.Title = "Astronaut, retired"
	set(person.DN, "title", person.Title)
	c.users[titled] = person

	person = c.users[renamed]
	person.UID = "nürnberg+" + person.UID
	must(admin.ModifyDN(ldap.NewModifyDNRequest(person.DN, `uid=nürnberg\+`+c.users[renamed].UID, true, "")))
	c.users[renamed] = person

	_, parent, _ := strings.Cut(c.users[(moved+1)].DN, ",")
	must(admin.ModifyDN(ldap.NewModifyDNRequest(c.users[moved].DN, "uid="+c.users[moved].UID, true, parent)))

	must(admin.Del(ldap.NewDelRequest(c.users[deleted].DN, nil)))
	for i := range c.Groups {
		g := &c.Groups[i]
		if n := len(g.Users); n > len(drop(&g.Users, deleted)) {
			groups[i] = true
		}
	}
	delete(c.users, deleted)

	set(c.users[disabled].DN, "roomNumber", "TRUE")
	c.inactive[disabled] = true

	// A group over the cap comes to fit it.
	over := c.Group(testenv.GroupOverCap)
	leaver := c.Groups[over].Users[slices.IndexFunc(c.Groups[over].Users, func(u int) bool { return u != moved && u != renamed && u%97 != 0 })]
	m := ldap.NewModifyRequest(c.Groups[over].DN, nil)
	m.Delete("member", []string{c.users[leaver].DN})
	must(admin.Modify(m))
	drop(&c.Groups[over].Users, leaver)
	groups[over] = true

	// Somebody new joins the lowest group of a chain.
	end, index := c.Group(testenv.GroupChainEnd), c.Options.Users
	joiner := c.User(index)
	add := ldap.NewAddRequest(joiner.DN, nil)
	for name, value := range map[string]string{
		"objectClass": "inetOrgPerson", "uid": joiner.UID, "cn": joiner.CN, "sn": joiner.Surname, "givenName": joiner.GivenName,
		"displayName": joiner.DisplayName, "mail": joiner.Mail, "telephoneNumber": joiner.Telephone, "mobile": joiner.Mobile,
		"title": joiner.Title, "departmentNumber": joiner.Department, "employeeNumber": joiner.EmployeeNumber,
		"manager": c.users[joiner.Manager].DN,
	} {
		add.Attribute(name, []string{value})
	}
	must(admin.Add(add))
	found, err := admin.Search(ldap.NewSearchRequest(joiner.DN, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", []string{"entryUUID"}, nil))
	must(err)
	joiner.ID = found.Entries[0].GetAttributeValue("entryUUID")
	c.users[index] = joiner
	m = ldap.NewModifyRequest(c.Groups[end].DN, nil)
	m.Add("member", []string{joiner.DN})
	must(admin.Modify(m))
	c.Groups[end].Users = append(c.Groups[end].Users, index)
	groups[end] = true

	// A group that others contain goes.
	nested := map[int]bool{}
	for i := range c.Groups {
		if i > c.Group(testenv.GroupCycleB) && len(c.Groups[i].Users)+len(c.Groups[i].Children) > 1 {
			for _, child := range c.Groups[i].Children {
				nested[child] = true
			}
		}
	}
	gone := slices.Min(slices.Collect(maps.Keys(nested)))
	must(admin.Del(ldap.NewDelRequest(c.Groups[gone].DN, nil)))
	c.gone[gone] = true
	for i := range c.Groups {
		g := &c.Groups[i]
		if n := len(g.Children); n > len(drop(&g.Children, gone)) {
			groups[i] = true
		}
	}
	delete(groups, gone)
	return len(groups)
}

// drop takes a value out of a list and returns what is left.
func drop(list *[]int, value int) []int {
	*list = slices.DeleteFunc(*list, func(v int) bool { return v == value })
	return *list
}

func TestADirectoryIsReachedByStartTLSAndInPlainTextOnlyWhenAllowed(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 30, Groups: 3})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF})
	strict := testenv.Slapd(t, testenv.SlapdOptions{RequireTLS: true, Write: truth.WriteLDIF})
	want := newCompanyState(truth).pulled()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		p := startProvost(t, "--database", dsn)
		_, stderr, code := p.run(t, append([]string{"directory", "create", "corp"}, pullFrom(t, server, server.URL)...)...)
		if code != 1 || !strings.Contains(stderr, "plain text") && !strings.Contains(stderr, "allow_plaintext") {
			t.Errorf("plain text without saying so: exit code %d, %s", code, stderr)
		}
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off", "--start-tls"}, pullFrom(t, strict, strict.URL)...)...)
		p.mustPull(t)
		db := openPeer(t, dsn, "")
		sameState(t, "over StartTLS", want, db.state())

		p.must(t, "directory", "set", "corp", "--url", server.URL, "--no-start-tls", "--allow-plaintext")
		p.mustPull(t)
		sameState(t, "in plain text", want, db.state())
	})
}
