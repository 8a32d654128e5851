package ldap_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

// tellingDomain is a domain of a few users, a unit of which holds a unit, and a group.
type tellingDomain struct {
	*followed
	dc *testenv.DomainController
}

func domainOf(w io.Writer) error {
	fmt.Fprintf(w, "dn: OU=Inner,OU=People,%s\nobjectClass: organizationalUnit\n\n", testenv.DomainSuffix)
	var group strings.Builder
	fmt.Fprintf(&group, "dn: CN=staff,OU=Groups,%s\nobjectClass: group\nsAMAccountName: staff\n", testenv.DomainSuffix)
	for i := range 12 {
		unit := "OU=People"
		if i >= 8 {
			unit = "OU=Inner,OU=People"
		}
		dn := fmt.Sprintf("CN=User %d,%s,%s", i, unit, testenv.DomainSuffix)
		fmt.Fprintf(w, "dn: %s\nobjectClass: user\nsAMAccountName: u%d\nuserAccountControl: 544\n\n", dn, i)
		if i%2 == 0 {
			fmt.Fprintf(&group, "member: %s\n", dn)
		}
	}
	_, err := fmt.Fprintln(w, group.String())
	return err
}

// followDomain reads a new domain as its ordinary account and keeps the cookie.
func followDomain(t *testing.T, change ...func(*store.LDAP)) *tellingDomain {
	t.Helper()
	dc := testenv.Samba(t, testenv.SambaOptions{Write: domainOf})
	d := &tellingDomain{&followed{t: t, admin: dc.Admin(t)}, dc}
	d.reads(change...)
	d.mark()
	return d
}

// reads sets with which settings the domain is read.
func (d *tellingDomain) reads(change ...func(*store.LDAP)) {
	d.t.Helper()
	d.source = open(d.t, domainSettings(d.t, d.dc, append([]func(*store.LDAP){incremental}, change...)...), d.dc.Password)
}

func (d *tellingDomain) user(i int) string {
	if i >= 8 {
		return fmt.Sprintf("CN=User %d,OU=Inner,OU=People,%s", i, d.dc.Suffix)
	}
	return fmt.Sprintf("CN=User %d,OU=People,%s", i, d.dc.Suffix)
}

func (d *tellingDomain) group() string { return "CN=staff,OU=Groups," + d.dc.Suffix }

// ids are the stable ids of the users and groups below DNs.
func (d *tellingDomain) ids(names ...string) (ids []string) {
	d.t.Helper()
	for _, name := range names {
		found, err := d.admin.Search(ldap.NewSearchRequest(name, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"objectGUID"}, nil))
		d.must(err)
		for _, e := range found.Entries {
			ids = append(ids, guidOf(e.GetRawAttributeValue("objectGUID")))
		}
	}
	return ids
}

func guidOf(b []byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:])
}

func (d *tellingDomain) rename(dn, rdn, unit string) {
	d.t.Helper()
	d.must(d.admin.ModifyDN(ldap.NewModifyDNRequest(dn, rdn, true, unit)))
}

func (d *tellingDomain) change(dn string, change func(*ldap.ModifyRequest)) {
	d.t.Helper()
	m := ldap.NewModifyRequest(dn, nil)
	change(m)
	d.must(d.admin.Modify(m))
}

func (d *tellingDomain) remove(dn string) {
	d.t.Helper()
	d.must(d.admin.Del(ldap.NewDelRequest(dn, nil)))
}

func TestADomainTellsAnOrdinaryAccountWhatHasChanged(t *testing.T) {
	d := followDomain(t)
	// It has no right to replicate: what is told needs none.
	ordinary := d.dc.As(t, d.dc.BindDN, d.dc.Password)
	all := ldap.NewSearchRequest(d.dc.Suffix, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"name"},
		[]ldap.Control{ldap.NewRequestControlDirSync(0, 0, nil)})
	if _, err := ordinary.Search(all); !ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights) {
		t.Fatalf("the account may replicate: %v", err)
	}

	d.changed(d.follow()) // nothing has

	ids := func(names ...string) []string { return d.ids(names...) }
	for _, c := range []struct {
		name   string
		happen func()
		want   func() []string
	}{
		{"an attribute", func() { d.title(d.user(0), "Chief") }, func() []string { return ids(d.user(0)) }},
		{"one that nothing depends on", func() {
			d.change(d.user(0), func(m *ldap.ModifyRequest) { m.Replace("info", []string{"x"}) })
		}, func() []string { return nil }},
		{"a disabled account", func() {
			d.change(d.user(1), func(m *ldap.ModifyRequest) { m.Replace("userAccountControl", []string{"546"}) })
		}, func() []string { return ids(d.user(1)) }},
		{"a name", func() { d.rename(d.user(2), "CN=Lee\\, Ann", "") }, func() []string { return ids("CN=Lee\\, Ann,OU=People," + d.dc.Suffix) }},
		{"a place", func() { d.rename(d.user(3), "CN=User 3", "OU=Leavers,"+d.dc.Suffix) }, func() []string { return ids("CN=User 3,OU=Leavers," + d.dc.Suffix) }},
		{"members of a group", func() {
			d.change(d.group(), func(m *ldap.ModifyRequest) {
				m.Add("member", []string{d.user(1)})
				m.Delete("member", []string{d.user(4)})
			})
		}, func() []string { return ids(d.group()) }},
		{"a primary group", func() {
			d.change(d.group(), func(m *ldap.ModifyRequest) { m.Add("member", []string{d.user(5)}) })
			sid := d.attribute(d.group(), "objectSid")
			d.change(d.user(5), func(m *ldap.ModifyRequest) {
				m.Replace("primaryGroupID", []string{fmt.Sprint(binary.LittleEndian.Uint32(sid[len(sid)-4:]))})
			})
		}, func() []string { return ids(d.group(), d.user(5), "CN=Domain Users,CN=Users,"+d.dc.Suffix) }},
		{"the name of a unit", func() { d.rename("OU=Inner,OU=People,"+d.dc.Suffix, "OU=Renamed", "") }, func() []string { return ids("OU=Renamed,OU=People," + d.dc.Suffix) }},
	} {
		c.happen()
		following := d.follow()
		if want := c.want(); !slices.Equal(sorted(want), following.Changed()) {
			t.Errorf("%s: changed %q, want %q", c.name, following.Changed(), want)
		}
	}
}

func sorted(ids []string) []string { slices.Sort(ids); return ids }

func (d *tellingDomain) attribute(dn, name string) []byte {
	d.t.Helper()
	found, err := d.admin.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{name},
		[]ldap.Control{ldap.NewControlString("1.2.840.113556.1.4.417", true, "")}))
	d.must(err)
	return found.Entries[0].GetRawAttributeValue(name)
}

func TestTombstonesAreToldToWhoMaySeeThemAndElseWhatIsThereIsListed(t *testing.T) {
	people := func(s *store.LDAP) {
		s.BaseDNs = []string{"OU=People," + testenv.DomainSuffix, "OU=Groups," + testenv.DomainSuffix}
	}
	d := followDomain(t, people)
	gone, moved := d.ids(d.user(0))[0], d.ids(d.user(1))[0]
	d.remove(d.user(0))
	d.rename(d.user(1), "CN=User 1", "OU=Leavers,"+d.dc.Suffix)
	following := d.follow()
	d.changed(following, moved)
	if !following.Listed() {
		t.Fatal("an ordinary account sees no tombstones, and what is there was not listed")
	}
	for i := 2; i < 12; i++ {
		if id := d.ids(d.user(i))[0]; following.Missing(id) {
			t.Errorf("user %d is missing", i)
		}
	}
	if !following.Missing(gone) || !following.Missing(moved) || following.Missing(d.ids(d.group())[0]) {
		t.Error("who is gone or moved away is not missing, or the group is")
	}
	found, err := following.Lookup(t.Context(), []string{gone, moved})
	d.must(err)
	if _, there := found[gone]; there || found[moved] == "" {
		t.Errorf("looked up %q", found)
	}

	// The right that docs/active-directory.md says to give.
	d.dc.ShowTombstones(d.dc.BindDN)
	gone = d.ids(d.user(2))[0]
	d.remove(d.user(2))
	following = d.follow()
	d.changed(following, gone)
	if following.Listed() {
		t.Error("the account sees tombstones, and everything was listed")
	}
	if found, err := following.Lookup(t.Context(), []string{gone}); err != nil || len(found) > 0 {
		t.Errorf("who is gone was found as %q, %v", found, err)
	}
}

func TestAUnitOfADomainTakesAlongWhatLiesBelow(t *testing.T) {
	d := followDomain(t, func(s *store.LDAP) { s.BaseDNs = []string{"OU=People," + testenv.DomainSuffix} })
	inner := "OU=Inner,OU=People," + d.dc.Suffix
	all := d.ids(inner)
	d.rename(inner, "OU=Inner", "OU=Leavers,"+d.dc.Suffix)
	following := d.follow()
	d.changed(following, all...)
	if entries, err := following.Read(t.Context(), all); err != nil || len(entries) > 0 {
		t.Errorf("what lies outside the base DN was read: %v, %v", entries, err)
	}
	d.rename("OU=Inner,OU=Leavers,"+d.dc.Suffix, "OU=Inner", "OU=People,"+d.dc.Suffix)
	following = d.follow()
	d.changed(following, all...)
	if entries, err := following.Read(t.Context(), all); err != nil || len(entries) != 4 {
		t.Errorf("of four users that came back these were read: %v, %v", entries, err)
	}
	d.rename(inner, "OU=Renamed", "")
	d.refused(3, "perhaps its name: more than 3 entries lie below it")
}

func TestWhenADomainDoesNotTellItSaysWhy(t *testing.T) {
	d := followDomain(t)
	good := d.cookie
	edit := func(change func(k map[string]any)) {
		k := map[string]any{}
		d.must(json.Unmarshal(good, &k))
		change(k)
		cookie, err := json.Marshal(k)
		d.must(err)
		d.cookie = cookie
	}
	for _, c := range []struct {
		why  string
		edit func(k map[string]any)
	}{
		{"the last run read 127.0.0.9:636", func(k map[string]any) { k["server"] = "127.0.0.9:636" }},
		{"is another one than the last run read, or was restored since (invocationId)", func(k map[string]any) { k["invocation"] = "00000000-0000-0000-0000-000000000000" }},
		{"is behind the last run, as if it had been restored from a backup", func(k map[string]any) { k["usn"] = 1 << 40 }},
		{"other attributes are read than by the last run", func(k map[string]any) { k["watched"] = "name" }},
		{"the last run did not read " + `"` + d.dc.Suffix + `"`, func(k map[string]any) { k["contexts"] = map[string]any{} }},
		{"does not tell what has changed in", func(k map[string]any) { k["contexts"] = map[string]any{d.dc.Suffix: []byte("junk")} }},
		{"of the unknown kind", func(k map[string]any) { k["method"] = "guess" }},
	} {
		edit(c.edit)
		d.refused(1_000, c.why)
	}
	d.cookie = good
	for i := range 3 {
		d.title(d.user(i), "Changed")
	}
	d.refused(2, "more than 2 entries")
	d.changed(d.follow(), d.ids(d.user(0), d.user(1), d.user(2))...)

	for _, c := range []struct {
		why    string
		change func(*store.LDAP)
	}{
		{"the settings speak of memberOf, whose changes the LDAP server cannot tell", func(s *store.LDAP) {
			s.UserFilter = "(&(objectCategory=person)(!(memberOf:1.2.840.113556.1.4.1941:=" + d.group() + ")))"
		}},
		{"the settings speak of lastLogon, whose changes", func(s *store.LDAP) { s.Attributes = map[string]string{"title": "title|lastLogon"} }},
		{"the stable id is sAMAccountName, and DirSync tells changes by objectGUID", func(s *store.LDAP) {
			s.Attributes, s.BaseDNs = map[string]string{"externalId": "sAMAccountName"}, []string{"OU=People," + testenv.DomainSuffix}
		}},
	} {
		d.reads(c.change)
		readAll(t, d.source)
		if cookie, why := d.source.Cookie(); cookie != nil || !strings.Contains(why, c.why) {
			t.Errorf("cookie %s, because %q; want it to say %q", cookie, why, c.why)
		}
	}
}

func TestWhoNamesAnEntryOfADomain(t *testing.T) {
	d := followDomain(t)
	d.change(d.user(1), func(m *ldap.ModifyRequest) { m.Replace("manager", []string{d.user(2)}) })
	following := d.follow()
	naming, err := following.Naming(t.Context(), []string{d.user(2)}, nil, nil)
	d.must(err)
	if diff := gocmp.Diff(sorted(d.ids(d.group(), d.user(1))), naming); diff != "" {
		t.Errorf("who names a member who is a manager (-want +got):\n%s", diff)
	}
	bearers, err := following.Bearers(t.Context(), []string{strings.ToUpper(d.user(2)), d.group(), "CN=nobody," + d.dc.Suffix})
	d.must(err)
	named := map[string]string{}
	for dn, id := range bearers {
		named[canonical(t, dn)] = id
	}
	if diff := gocmp.Diff(map[string]string{canonical(t, d.user(2)): d.ids(d.user(2))[0], canonical(t, d.group()): d.ids(d.group())[0]}, named); diff != "" {
		t.Errorf("bearers (-want +got):\n%s", diff)
	}
	// Primary groups are named by the last part of their SID.
	sid := d.attribute(d.group(), "objectSid")
	d.change(d.user(2), func(m *ldap.ModifyRequest) {
		m.Replace("primaryGroupID", []string{fmt.Sprint(binary.LittleEndian.Uint32(sid[len(sid)-4:]))})
	})
	entries, err := following.Read(t.Context(), d.ids(d.user(2), d.group()))
	d.must(err)
	if len(entries) != 2 || entries[0].SID == "" || entries[0].SID != entries[1].PrimaryGroup {
		t.Fatalf("entries %+v", entries)
	}
	own := entries[0].SID
	naming, err = following.Naming(t.Context(), nil, nil, []string{own})
	d.must(err)
	primary, err := following.Primary(t.Context(), []string{own, own + "0"})
	d.must(err)
	if !slices.Equal(naming, d.ids(d.group())) || !slices.Equal(primary[own], d.ids(d.user(2))) || len(primary) != 1 {
		t.Errorf("the primary group is %q, its members %q", naming, primary)
	}
}

// counting is a domain controller that tells changes two at a time, as Windows does when
// there are more than it likes to send at once, and behind whose name are two.
func counting(t *testing.T, change func(r request, a []answer) []answer) *fakeServer {
	schema := func(name string) answer {
		return entry("CN="+name+",CN=Schema", attribute("lDAPDisplayName", name), attribute("systemFlags", "18"))
	}
	return fake(t, func(r request) []answer {
		var a []answer
		switch {
		case r.dirSync != nil:
			from := len(r.dirSync.Cookie)
			a = []answer{{cookie: string(r.dirSync.Cookie) + "xx", more: from < 5}}
			for i := range 2 {
				if !strings.Contains(r.filter, "(!(") {
					a = slices.Insert(a, 0, entry(fmt.Sprintf("CN=%d,DC=corp,DC=test", from+i), attribute("objectGUID", guidBytes[:15]+string(rune('0'+from+i))), attribute("title", "x")))
				}
			}
		case r.base == "" && slices.Contains(r.attributes, "supportedControl"):
			a = []answer{entry("", attribute("supportedControl", "1.2.840.113556.1.4.319", "1.2.840.113556.1.4.841"))}
		case r.base == "" && slices.Contains(r.attributes, "namingContexts"):
			a = []answer{entry("", attribute("namingContexts", "DC=corp,DC=test"))}
		case r.base == "":
			a = []answer{entry("", attribute("dsServiceName", "CN=DC1"), attribute("highestCommittedUSN", "7"), attribute("schemaNamingContext", "CN=Schema"))}
		case r.base == "CN=DC1":
			a = []answer{entry("CN=DC1", attribute("invocationId", guidBytes))}
		case r.base == "CN=Schema":
			a = []answer{schema("title"), schema("objectClass")}
		case strings.HasPrefix(r.base, "<WKGUID="):
			a = []answer{entry("CN=gone,CN=Deleted Objects,DC=corp,DC=test")}
		}
		return change(r, a)
	})
}

func TestWhatADomainTellsInSeveralAnswersIsTakenTogether(t *testing.T) {
	server := counting(t, func(_ request, a []answer) []answer { return a })
	settings := server.settings("active_directory")
	settings.Incremental = true
	f := &followed{t: t, source: open(t, settings, "secret")}
	f.mark()
	const first, fourth = `"eHg="`, `"eHh4eHh4eHg="` // of 2 and 8 x
	if !strings.Contains(string(f.cookie), fourth) {
		t.Errorf("the cookie %s is not that of the last answer", f.cookie)
	}
	f.cookie = []byte(strings.Replace(string(f.cookie), fourth, first, 1))
	if changed := f.follow().Changed(); len(changed) != 2*3 {
		t.Errorf("in three answers of two entries %q have changed", changed)
	}
	if !strings.Contains(string(f.cookie), fourth) {
		t.Errorf("the cookie %s is not that of the last answer", f.cookie)
	}
}

func TestADomainThatCannotBeFollowedIsReadWholeAndSaysWhy(t *testing.T) {
	controllers := 0
	for why, change := range map[string]func(r request, a []answer) []answer{
		"offers neither syncrepl (OpenLDAP's overlay syncprov) nor DirSync": func(r request, a []answer) []answer {
			if slices.Contains(r.attributes, "supportedControl") {
				return []answer{entry("", attribute("supportedControl", "1.2.840.113556.1.4.319"))}
			}
			return a
		},
		"does not tell what has changed in \"DC=corp,DC=test\": Insufficient Access Rights": func(r request, a []answer) []answer {
			if r.dirSync != nil {
				return []answer{{result: ldap.LDAPResultInsufficientAccessRights}}
			}
			return a
		},
		"without a cookie": func(r request, a []answer) []answer {
			if r.dirSync != nil {
				return []answer{{unpaged: true}}
			}
			return a
		},
		"tells of entries that were not asked for": func(r request, a []answer) []answer {
			if r.dirSync != nil {
				return []answer{entry("CN=1,DC=corp,DC=test")}
			}
			return a
		},
		"DirSync was tried in vain: the LDAP server closed the connection": func(r request, a []answer) []answer {
			if r.dirSync != nil {
				return []answer{{hangUp: true}}
			}
			return a
		},
		"leads to several domain controllers": func(r request, a []answer) []answer {
			if r.base == "CN=DC1" {
				controllers++
				return []answer{entry("CN=DC1", attribute("invocationId", guidBytes[:15]+string(rune('0'+controllers))))}
			}
			return a
		},
		"shows no invocationId": func(r request, a []answer) []answer {
			if r.base == "CN=DC1" {
				return []answer{{result: ldap.LDAPResultNoSuchObject}}
			}
			return a
		},
		"the schema cannot be read": func(r request, a []answer) []answer {
			if r.base == "CN=Schema" {
				return nil
			}
			return a
		},
	} {
		server := counting(t, change)
		settings := server.settings("active_directory")
		settings.Incremental = true
		source := open(t, settings, "secret")
		readAll(t, source)
		if cookie, got := source.Cookie(); cookie != nil || !strings.Contains(got, why) {
			t.Errorf("cookie %s, because %q; want it to say %q", cookie, got, why)
		}
	}
}

// An account that sees no tombstones is told what was deleted by a list of what is there.
func TestAListedEntryOfADomainWhoseIDCannotBeReadIsNotTakenForDeleted(t *testing.T) {
	hidden := false
	server := counting(t, func(r request, a []answer) []answer {
		switch {
		case strings.HasPrefix(r.base, "<WKGUID="):
			return nil
		case r.dirSync == nil && strings.EqualFold(r.base, "DC=corp,DC=test") && slices.Equal(r.attributes, []string{"objectGUID"}):
			a = []answer{entry("CN=Ann,DC=corp,DC=test", attribute("objectGUID", guidBytes)), entry("CN=Bob,DC=corp,DC=test")}
			if !hidden {
				a = a[:1]
			}
		}
		return a
	})
	settings := server.settings("active_directory")
	settings.Incremental = true
	f := &followed{t: t, source: open(t, settings, "secret")}
	f.mark()
	if !f.follow().Listed() {
		t.Fatal("what is there was not listed")
	}
	hidden = true
	f.refused(10, `the objectGUID of "CN=Bob,DC=corp,DC=test" cannot be read`)
}

func TestAnEntryOfADomainWhoseIDCannotBeReadIsNotPassedOver(t *testing.T) {
	server := counting(t, func(r request, a []answer) []answer {
		if r.dirSync != nil && !strings.Contains(r.filter, "(!(") {
			return []answer{entry("CN=hidden,DC=corp,DC=test", attribute("title", "x"))}
		}
		return a
	})
	settings := server.settings("active_directory")
	settings.Incremental = true
	f := &followed{t: t, source: open(t, settings, "secret")}
	f.mark()
	f.refused(10, "has changed, and its objectGUID cannot be read")
}
