package ldap_test

import (
	"cmp"
	"context"
	"errors"
	"io"
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

func TestAReadReturnsExactlyWhatTheCompanyIs(t *testing.T) {
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 730, Groups: 61, Cap: 100})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF})
	for name, change := range map[string]func(*store.LDAP){
		"over LDAPS in pages of 100":  func(*store.LDAP) {},
		"over StartTLS in one page":   func(s *store.LDAP) { s.URLs, s.StartTLS, s.PageSize = []string{server.URL}, true, 1000 },
		"in plain text, if allowed":   func(s *store.LDAP) { s.URLs, s.AllowPlaintext = []string{server.URL}, true },
		"in pages of one":             func(s *store.LDAP) { s.PageSize = 1 },
		"from two base DNs":           func(s *store.LDAP) { s.BaseDNs = []string{"ou=groups," + server.Suffix, "ou=people," + server.Suffix} },
		"from the second of two URLs": func(s *store.LDAP) { s.URLs = []string{"ldaps://127.0.0.1:1", s.URLs[0]} },
	} {
		t.Run(name, func(t *testing.T) {
			users, groups := readAll(t, open(t, settings(t, server, change), server.Password))
			compareCompany(t, company, users, groups)
		})
	}
}

func compareCompany(t *testing.T, company *testenv.CompanyTruth, users, groups []store.Entry) {
	t.Helper()
	byID := func(a, b store.Entry) int { return cmp.Compare(a.ExternalID, b.ExternalID) }
	var wantUsers, wantGroups []store.Entry
	active := true
	keys := map[dn.Key]string{}
	for i := range company.Options.Users {
		u := company.User(i)
		e := store.Entry{Kind: store.KindUser, ExternalID: u.ID, DN: canonical(t, u.DN), Active: &active, Attributes: store.Attributes{
			UserName: u.UID, DisplayName: u.DisplayName, Title: u.Title,
			Name:         &store.Name{GivenName: u.GivenName, FamilyName: u.Surname},
			Emails:       []store.Value{{Value: u.Mail, Type: "work", Primary: true}},
			PhoneNumbers: []store.Value{{Value: u.Mobile, Type: "mobile"}, {Value: u.Telephone, Type: "work"}},
			Enterprise:   &store.Enterprise{Department: u.Department, EmployeeNumber: u.EmployeeNumber},
		}}
		if u.Manager >= 0 && u.Manager < company.Options.Users {
			e.ManagerDN = canonical(t, company.User(u.Manager).DN)
		}
		wantUsers = append(wantUsers, e)
		keys[dn.Of(u.DN)] = u.ID
	}
	for _, g := range company.Groups {
		e := store.Entry{Kind: store.KindGroup, ExternalID: g.ID, DN: canonical(t, g.DN), DisplayName: g.CN, Description: g.Description}
		for _, u := range g.Users {
			e.MemberDNs = append(e.MemberDNs, company.User(u).ID)
		}
		for _, child := range g.Children {
			e.MemberDNs = append(e.MemberDNs, company.Groups[child].ID)
		}
		slices.Sort(e.MemberDNs)
		wantGroups = append(wantGroups, e)
		keys[dn.Of(g.DN)] = g.ID
	}
	for i := range users {
		if keys[dn.Of(users[i].DN)] != users[i].ExternalID {
			t.Fatalf("the key of %q is not that of the DN as it was loaded", users[i].DN)
		}
		users[i].DN = canonical(t, users[i].DN)
		if users[i].ManagerDN != "" {
			users[i].ManagerDN = canonical(t, users[i].ManagerDN)
		}
	}
	for i := range groups {
		groups[i].DN = canonical(t, groups[i].DN)
		for j, member := range groups[i].MemberDNs { // by key, as the run does
			groups[i].MemberDNs[j] = keys[dn.Of(member)]
		}
		slices.Sort(groups[i].MemberDNs)
	}
	for _, list := range [][]store.Entry{users, groups, wantUsers, wantGroups} {
		slices.SortFunc(list, byID)
	}
	if diff := gocmp.Diff(wantUsers, users); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(wantGroups, groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

// canonical makes the spellings of a DN equal: slapd answers "\2C" in an
// entry's own DN where a member value keeps the "\," that was loaded.
func canonical(t testing.TB, name string) string {
	t.Helper()
	parsed, err := ldap.ParseDN(name)
	if err != nil {
		t.Fatalf("DN %q: %v", name, err)
	}
	return strings.ToLower(parsed.String())
}

func TestGroupsComeBeforeUsers(t *testing.T) {
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 50, Groups: 20, Cap: 10})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF})
	var kinds []store.Kind
	for e, err := range open(t, settings(t, server), server.Password).Entries(t.Context()) {
		if err == nil {
			kinds = append(kinds, e.Kind)
		}
	}
	if want := append(slices.Repeat([]store.Kind{store.KindGroup}, 20), slices.Repeat([]store.Kind{store.KindUser}, 50)...); !slices.Equal(kinds, want) {
		t.Errorf("kinds came as %v", kinds)
	}
}

func TestAnIncompleteReadNeverLooksComplete(t *testing.T) {
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 300, Groups: 20, Cap: 50})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF})
	limited := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF, SizeLimit: 120})
	throughProxy := func(proxy *testenv.Proxy) func(*store.LDAP) {
		return func(s *store.LDAP) {
			s.URLs, s.AllowPlaintext, s.PageSize = []string{"ldap://" + proxy.Addr}, true, 50
		}
	}
	whole := testenv.DropProxy(t, server.URL)
	readAll(t, open(t, settings(t, server, throughProxy(whole)), server.Password))
	size := whole.FromServer()

	t.Run("a connection cut anywhere is an error", func(t *testing.T) {
		for _, part := range []int64{1, 5, 25, 50, 75, 99} {
			proxy := testenv.DropProxy(t, server.URL)
			proxy.CutAfter(size * part / 100)
			_, _, end := read(t.Context(), open(t, settings(t, server, throughProxy(proxy)), server.Password))
			if end == nil || errors.Is(end, reader.Complete) {
				t.Errorf("cut after %d %%: the read ended with %v", part, end)
			}
		}
	})
	t.Run("a connection cut before the last byte of the last result is an error", func(t *testing.T) {
		proxy := testenv.DropProxy(t, server.URL)
		proxy.CutAfter(size - 1)
		if _, _, end := read(t.Context(), open(t, settings(t, server, throughProxy(proxy)), server.Password)); end == nil || errors.Is(end, reader.Complete) {
			t.Errorf("the read ended with %v", end)
		}
	})
	t.Run("a server that stops answering is an error after the time-out", func(t *testing.T) {
		proxy := testenv.DropProxy(t, server.URL)
		proxy.StallAfter(size / 2)
		source := open(t, settings(t, server, throughProxy(proxy), func(s *store.LDAP) { s.TimeoutSeconds = 1 }), server.Password)
		_, _, end := read(t.Context(), source)
		wantError(t, end, store.CodeBusy, "timeout_seconds", "did not answer within 1s")
	})
	t.Run("a size limit of the server is an error", func(t *testing.T) {
		_, _, end := read(t.Context(), open(t, settings(t, limited, func(s *store.LDAP) { s.PageSize = 50 }), limited.Password))
		wantError(t, end, store.CodeBusy, "", "Size Limit Exceeded (4)")
	})
	t.Run("a context cancelled in the middle is an error", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		count := 0
		var end error
		for _, err := range open(t, settings(t, server, func(s *store.LDAP) { s.PageSize = 20 }), server.Password).Entries(ctx) {
			if count++; count == 30 {
				cancel()
			}
			end = err
		}
		if !errors.Is(end, context.Canceled) {
			t.Errorf("the read ended with %v after %d entries", end, count)
		}
	})
	t.Run("a context cancelled before is an error", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, end := read(ctx, open(t, settings(t, server), server.Password)); !errors.Is(end, context.Canceled) {
			t.Errorf("the read ended with %v", end)
		}
	})
	t.Run("a base DN that is not there is an error", func(t *testing.T) {
		_, _, end := read(t.Context(), open(t, settings(t, server, func(s *store.LDAP) { s.BaseDNs = []string{"ou=nowhere," + server.Suffix} }), server.Password))
		wantError(t, end, store.CodeInvalid, "base_dns", "No Such Object (32)")
	})
	t.Run("a consumer may stop at any time", func(t *testing.T) {
		for _, err := range open(t, settings(t, server), server.Password).Entries(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			break
		}
	})
}

func wantError(t *testing.T, err error, code store.Code, field, text string) {
	t.Helper()
	var e *store.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a store.Error with %q", err, text)
	}
	if e.Code != code || e.Field != field || !strings.Contains(e.Message, text) {
		t.Errorf("got %s, field %q, %q (hint %q), want %s, field %q, …%q…", e.Code, e.Field, e.Message, e.Hint, code, field, text)
	}
	if e.Hint == "" {
		t.Errorf("%q does not say what to do", e.Message)
	}
}

// skeletonWith is an LDIF of the skeleton and more entries.
func skeletonWith(ldif string) func(io.Writer) error {
	return func(w io.Writer) error {
		if err := testenv.WriteSkeleton(w); err != nil {
			return err
		}
		_, err := io.WriteString(w, ldif)
		return err
	}
}

func TestOddEntries(t *testing.T) {
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: skeletonWith(`
dn: cn=no uid,ou=people,dc=corp,dc=test
objectClass: inetOrgPerson
cn: no uid
sn: uid

dn: uid=two,ou=people,dc=corp,dc=test
objectClass: inetOrgPerson
uid: two
cn: Two Mails
sn: Mails
mail: first@corp.test
mail: second@corp.test
carLicense: TRUE
employeeType: Guest

dn: uid=off,ou=people,dc=corp,dc=test
objectClass: inetOrgPerson
uid: off
cn: Off
sn: Off
carLicense: FALSE

dn: cn=unique,ou=groups,dc=corp,dc=test
objectClass: groupOfUniqueNames
cn: unique
uniqueMember: uid=two,ou=people,dc=corp,dc=test#'0101'B
uniqueMember: uid=off,ou=people,dc=corp,dc=test
`)})
	overrides := map[string]string{
		"active": "carLicense", "userType": "employeeType", "displayName": "", "department": "ou|o", "name.familyName": "surname",
	}
	users, groups := readAll(t, open(t, settings(t, server, func(s *store.LDAP) { s.Attributes = overrides }), server.Password))
	slices.SortFunc(users, func(a, b store.Entry) int { return cmp.Compare(a.DN, b.DN) })
	yes, no := true, false
	want := []store.Entry{
		{Kind: store.KindUser, DN: "cn=no uid,ou=people,dc=corp,dc=test", Active: &yes,
			Attributes: store.Attributes{Name: &store.Name{FamilyName: "uid"}},
			Invalid:    "the entry has no user name: uid is empty"},
		{Kind: store.KindUser, DN: "uid=off,ou=people,dc=corp,dc=test", Active: &no,
			Attributes: store.Attributes{UserName: "off", Name: &store.Name{FamilyName: "Off"}}},
		{Kind: store.KindUser, DN: "uid=two,ou=people,dc=corp,dc=test", Active: &yes,
			Attributes: store.Attributes{UserName: "two", UserType: "Guest", Name: &store.Name{FamilyName: "Mails"}, Emails: []store.Value{
				{Value: "first@corp.test", Type: "work", Primary: true}, {Value: "second@corp.test", Type: "work"}}}},
	}
	withoutID := func(entries []store.Entry) []store.Entry {
		for i := range entries {
			if len(entries[i].ExternalID) != 36 {
				t.Errorf("%s has stable id %q", entries[i].DN, entries[i].ExternalID)
			}
			entries[i].ExternalID = ""
		}
		return entries
	}
	if diff := gocmp.Diff(want, withoutID(users)); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	wantGroups := []store.Entry{{Kind: store.KindGroup, DN: "cn=unique,ou=groups,dc=corp,dc=test", DisplayName: "unique",
		MemberDNs: []string{"uid=two,ou=people,dc=corp,dc=test", "uid=off,ou=people,dc=corp,dc=test"}}}
	if diff := gocmp.Diff(wantGroups, withoutID(groups)); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestLookupFindsWhatLeftTheScope(t *testing.T) {
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 130, Groups: 20, Cap: 50})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF})
	narrow := func(s *store.LDAP) {
		s.BaseDNs, s.UserFilter = []string{"ou=groups," + server.Suffix}, "(uid=nobody)"
	}
	source := open(t, settings(t, server, narrow), server.Password)
	want := map[string]string{}
	ids := []string{"00000000-0000-4000-8000-000000000000", "", "*)(uid=*"}
	for i := range company.Options.Users {
		u := company.User(i)
		ids = append(ids, u.ID)
		want[u.ID] = canonical(t, u.DN)
	}
	ids, want[company.Groups[3].ID] = append(ids, company.Groups[3].ID), canonical(t, company.Groups[3].DN)
	got, err := source.Lookup(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for id := range got {
		got[id] = canonical(t, got[id])
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}

	t.Run("an answer that was cut off is an error", func(t *testing.T) {
		limited := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF, SizeLimit: 10})
		_, err := open(t, settings(t, limited), limited.Password).Lookup(t.Context(), ids)
		wantError(t, err, store.CodeBusy, "", "Size Limit Exceeded")
	})
}
