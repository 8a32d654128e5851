package ldap_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
	reader "github.com/provost-scim/provost/sync/ldap"
	"github.com/provost-scim/provost/sync/ldap/dn"
)

// followed is a small company whose changes are asked for.
type followed struct {
	t       *testing.T
	company *testenv.CompanyTruth
	server  *testenv.LDAPServer
	admin   *ldap.Conn
	source  *reader.Source
	cookie  []byte
}

func followCompany(t *testing.T, options testenv.SlapdOptions, change ...func(*store.LDAP)) *followed {
	t.Helper()
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 60, Groups: 12, Cap: 20})
	options.Write = company.WriteLDIF
	f := &followed{t: t, company: company, server: testenv.Slapd(t, options)}
	f.admin = f.server.Admin(t)
	f.source = open(t, settings(t, f.server, append([]func(*store.LDAP){incremental}, change...)...), f.server.Password)
	f.mark()
	return f
}

func incremental(s *store.LDAP) { s.Incremental = true }

// mark reads everything, and keeps the cookie of it.
func (f *followed) mark() {
	f.t.Helper()
	readAll(f.t, f.source)
	cookie, why := f.source.Cookie()
	if why != "" {
		f.t.Fatalf("the read left no cookie: %s", why)
	}
	f.cookie = cookie
}

func (f *followed) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// follow asks for the changes since the cookie, which it moves on.
func (f *followed) follow() *reader.Following {
	f.t.Helper()
	following, why, err := f.source.Follow(f.t.Context(), f.cookie, 1_000)
	if err != nil || why != "" {
		f.t.Fatalf("follow: %q, %v", why, err)
	}
	f.t.Cleanup(following.Close)
	f.cookie = following.Cookie()
	return following
}

func (f *followed) title(name, title string) {
	f.t.Helper()
	m := ldap.NewModifyRequest(name, nil)
	m.Replace("title", []string{title})
	f.must(f.admin.Modify(m))
}

// below are the stable ids of an entry and of what lies below it.
func (f *followed) below(name string) (ids []string) {
	f.t.Helper()
	found, err := f.admin.Search(ldap.NewSearchRequest(name, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"entryUUID"}, nil))
	f.must(err)
	for _, e := range found.Entries {
		ids = append(ids, e.GetAttributeValue("entryUUID"))
	}
	return ids
}

func (f *followed) changed(following *reader.Following, want ...string) {
	f.t.Helper()
	slices.Sort(want)
	if diff := gocmp.Diff(want, following.Changed()); diff != "" {
		f.t.Errorf("changed (-want +got):\n%s", diff)
	}
}

func TestTheServerTellsWhatHasChangedSinceARead(t *testing.T) {
	f := followCompany(t, testenv.SlapdOptions{})
	if following := f.follow(); len(following.Changed()) != 0 || following.Listed() {
		t.Errorf("nothing has changed, and the server tells of %q", following.Changed())
	}
	modified, renamed, deleted := f.company.User(3), f.company.User(4), f.company.User(5)
	f.title(modified.DN, "Changed")
	f.must(f.admin.ModifyDN(ldap.NewModifyDNRequest(renamed.DN, "uid=renamed", true, "")))
	f.must(f.admin.Del(ldap.NewDelRequest(deleted.DN, nil)))
	following := f.follow()
	f.changed(following, modified.ID, renamed.ID, deleted.ID)

	entries, err := following.Read(t.Context(), following.Changed())
	f.must(err)
	var have []string
	for _, e := range entries {
		have = append(have, e.ExternalID)
	}
	slices.Sort(have)
	want := []string{modified.ID, renamed.ID}
	slices.Sort(want)
	if diff := gocmp.Diff(want, have); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	f.changed(f.follow())
}

func TestAServerThatLostItsSessionLogListsWhatIsThere(t *testing.T) {
	f := followCompany(t, testenv.SlapdOptions{})
	modified, deleted := f.company.User(3), f.company.User(5)
	f.title(modified.DN, "Changed")
	f.must(f.admin.Del(ldap.NewDelRequest(deleted.DN, nil)))
	_ = f.admin.Close()
	f.server.Restart()
	f.admin = f.server.Admin(t)
	following := f.follow()
	f.changed(following, modified.ID)
	if !following.Listed() {
		t.Fatal("the server did not list what is there")
	}
	for i := range f.company.Options.Users {
		if u := f.company.User(i); following.Missing(u.ID) != (u.ID == deleted.ID) {
			t.Errorf("user %d: missing is %v", i, following.Missing(u.ID))
		}
	}
}

func TestARenamedContainerTellsOfAllBelow(t *testing.T) {
	people := "ou=people," + testenv.Suffix
	f := followCompany(t, testenv.SlapdOptions{}, func(s *store.LDAP) { s.BaseDNs = []string{people} })
	u := f.company.User(7)
	rdn, unit, _ := strings.Cut(u.DN, ",")
	all := f.below(unit)

	f.must(f.admin.ModifyDN(ldap.NewModifyDNRequest(unit, "ou=moved", true, "")))
	f.changed(f.follow(), all...)

	// Nobody tells of what a container takes along to where nothing is read.
	f.must(f.admin.ModifyDN(ldap.NewModifyDNRequest("ou=moved,"+people, "ou=moved", true, testenv.Suffix)))
	f.refused(1_000, "was moved, with what lies below it")
	f.mark()

	f.must(f.admin.ModifyDN(ldap.NewModifyDNRequest("ou=moved,"+testenv.Suffix, "ou=moved", true, people)))
	f.changed(f.follow(), all...)

	// And a single user that was moved out of what is read is told of.
	f.must(f.admin.ModifyDN(ldap.NewModifyDNRequest(rdn+",ou=moved,"+people, rdn, true, testenv.Suffix)))
	following := f.follow()
	f.changed(following, u.ID)
	if found, err := following.Lookup(t.Context(), []string{u.ID}); err != nil || found[u.ID] == "" {
		t.Errorf("looked up %q, %v", found, err)
	}
}

func TestWhenTheServerDoesNotTellItSaysWhy(t *testing.T) {
	t.Run("more has changed than is asked for", func(t *testing.T) {
		f := followCompany(t, testenv.SlapdOptions{})
		for i := range 3 {
			f.title(f.company.User(i).DN, "Changed")
		}
		f.refused(2, "more than 2 entries")
	})
	t.Run("the account may not have so many entries at once", func(t *testing.T) {
		f := followCompany(t, testenv.SlapdOptions{SizeLimit: 100})
		for i := range 101 { // neither users nor groups, but changes
			add := ldap.NewAddRequest(fmt.Sprintf("ou=unit %d,%s", i, testenv.Suffix), nil)
			add.Attribute("objectClass", []string{"organizationalUnit"})
			f.must(f.admin.Add(add))
		}
		f.refused(1_000, "Size Limit Exceeded")
	})
	t.Run("the cookie is of another server", func(t *testing.T) {
		f := followCompany(t, testenv.SlapdOptions{})
		f.cookie = []byte(strings.Replace(string(f.cookie), "127.0.0.1", "127.0.0.9", 1))
		f.refused(1_000, "the last run read 127.0.0.9")
	})
	t.Run("the server is behind the cookie", func(t *testing.T) {
		f := followCompany(t, testenv.SlapdOptions{})
		f.cookie = []byte(strings.Replace(string(f.cookie), "csn=20", "csn=29", 1))
		f.refused(1_000, "does not tell what has changed")
	})
	t.Run("the cookie is none of the server's", func(t *testing.T) {
		f := followCompany(t, testenv.SlapdOptions{})
		f.cookie = []byte(strings.Replace(string(f.cookie), "csn=20", "csn=x", 1))
		f.refused(50, "more than 50 entries") // it takes it for that of a client that has nothing
	})
	t.Run("the cookie cannot be read", func(t *testing.T) {
		f := followCompany(t, testenv.SlapdOptions{})
		f.cookie = []byte("{")
		f.refused(1_000, "cannot be read")
	})
	t.Run("the stable id is another one", func(t *testing.T) {
		company := testenv.NewCompany(testenv.CompanyOptions{Users: 5, Groups: 1, Cap: 20})
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF})
		source := open(t, settings(t, server, incremental, func(s *store.LDAP) {
			s.Attributes = map[string]string{"externalId": "cn"}
		}), server.Password)
		readAll(t, source)
		if _, why := source.Cookie(); !strings.Contains(why, "the stable id is cn") {
			t.Errorf("why: %q", why)
		}
	})
}

func (f *followed) refused(limit int, text string) {
	f.t.Helper()
	following, why, err := f.source.Follow(f.t.Context(), f.cookie, limit)
	if following != nil {
		following.Close()
	}
	if err != nil || following != nil || !strings.Contains(why, text) {
		f.t.Errorf("following is %v, why %q, error %v; want to be told …%s…", following != nil, why, err, text)
	}
}

func TestWhoNamesAnEntryIsFound(t *testing.T) {
	f := followCompany(t, testenv.SlapdOptions{})
	following := f.follow()
	ctx := context.Background()
	u := f.company.User(f.company.Groups[3].Users[0])
	bearers, err := following.Bearers(ctx, []string{strings.ToUpper(u.DN), "uid=nobody," + testenv.Suffix, f.company.Groups[2].DN, "junk"})
	f.must(err)
	named := map[dn.Key]string{}
	for name, id := range bearers {
		named[dn.Of(name)] = id
	}
	if diff := gocmp.Diff(map[dn.Key]string{dn.Of(u.DN): u.ID, dn.Of(f.company.Groups[2].DN): f.company.Groups[2].ID}, named); diff != "" {
		t.Errorf("bearers (-want +got):\n%s", diff)
	}
	here, svc := f.company.Groups[2], "cn=sync,ou=svc,"+testenv.Suffix
	everybody, err := following.Anywhere(ctx, []string{strings.ToUpper(u.DN), here.DN, svc, "uid=nobody," + testenv.Suffix, "junk"})
	f.must(err)
	other := map[dn.Key]string{}
	for name, id := range everybody {
		other[dn.Of(name)] = id
	}
	if other[dn.Of(svc)] == "" { // who is neither a user nor a group of the directory
		t.Errorf("%s is not found anywhere: %v", svc, everybody)
	}
	if delete(other, dn.Of(svc)); !maps.Equal(named, other) {
		t.Errorf("anywhere are %v, want the bearers %v, too", other, named)
	}
	users, groups := readAll(t, f.source)
	var want []string
	for _, e := range append(groups, users...) {
		if dn.Of(e.ManagerDN) == dn.Of(u.DN) || slices.ContainsFunc(e.MemberDNs, func(m string) bool { return dn.Of(m) == dn.Of(u.DN) }) {
			want = append(want, e.ExternalID)
		}
	}
	slices.Sort(want)
	naming, err := following.Naming(ctx, []string{u.DN}, nil, nil)
	f.must(err)
	if diff := gocmp.Diff(want, naming); diff != "" || len(want) == 0 {
		t.Errorf("naming (-want +got):\n%s", diff)
	}
	called, err := following.Users(ctx, []string{u.UID, "nobody"})
	f.must(err)
	if len(called) != 1 || called[0].ExternalID != u.ID {
		t.Errorf("called %s: %v", u.UID, called)
	}
}
