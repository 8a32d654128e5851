package ldap_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
	reader "github.com/provost-scim/provost/sync/ldap"
)

const (
	guidBytes = "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff"
	guidText  = "00112233-4455-6677-8899-aabbccddeeff"
	// S-1-5-21-1-2-3-1105 and S-1-5-21-1-2-3-513.
	sidPrefix  = "\x01\x05\x00\x00\x00\x00\x00\x05\x15\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00"
	annSID     = sidPrefix + "\x51\x04\x00\x00"
	groupSID   = sidPrefix + "\x01\x02\x00\x00"
	groupDN    = "CN=all,OU=groups,DC=corp,DC=test"
	windowsMax = 1500
)

// windows answers ranges of a group of n members as Windows does: never more than
// 1,500 values, whatever range is asked for.
func windows(n int, change func(from int, a ldap.EntryAttribute) ldap.EntryAttribute) func(request) []answer {
	members := func(spec string) ldap.EntryAttribute {
		from := 0
		if _, asked, ok := strings.Cut(spec, "range="); ok {
			text, _, _ := strings.Cut(asked, "-")
			from, _ = strconv.Atoi(text)
		}
		to := min(from+windowsMax, n)
		a := ldap.EntryAttribute{Name: fmt.Sprintf("member;range=%d-%d", from, to-1)}
		if to == n {
			a.Name = fmt.Sprintf("member;range=%d-*", from)
		}
		for i := from; i < to; i++ {
			a.Values = append(a.Values, fmt.Sprintf("CN=user %d,DC=corp,DC=test", i))
		}
		return change(from, a)
	}
	return func(r request) []answer {
		switch {
		case strings.Contains(r.filter, "objectCategory=group"):
			return []answer{entry(groupDN, attribute("objectGUID", guidBytes), attribute("cn", "all"), attribute("objectSid", groupSID),
				members(r.attributes[slices.IndexFunc(r.attributes, func(a string) bool { return strings.HasPrefix(a, "member") })]))}
		case strings.HasPrefix(r.base, "<GUID="):
			return []answer{entry(groupDN, members(r.attributes[0]))}
		}
		return nil
	}
}

func unchanged(_ int, a ldap.EntryAttribute) ldap.EntryAttribute { return a }

func TestMembersAreReadRangeByRange(t *testing.T) {
	for _, n := range []int{1, 1499, 1500, 1501, 4200} {
		t.Run(fmt.Sprintf("of a group of %d", n), func(t *testing.T) {
			server := fake(t, windows(n, unchanged))
			_, groups := readAll(t, open(t, server.settings("active_directory"), "secret"))
			if len(groups) != 1 || len(groups[0].MemberDNs) != n {
				t.Fatalf("got %d groups, the first with %d members", len(groups), len(groups[0].MemberDNs))
			}
			if got, want := groups[0].MemberDNs[n-1], fmt.Sprintf("CN=user %d,DC=corp,DC=test", n-1); got != want {
				t.Errorf("the last member is %q, want %q", got, want)
			}
			want := store.Entry{Kind: store.KindGroup, ExternalID: guidText, DN: groupDN, DisplayName: "all", SID: "S-1-5-21-1-2-3-513"}
			groups[0].MemberDNs = nil
			if diff := gocmp.Diff(want, groups[0]); diff != "" {
				t.Errorf("group (-want +got):\n%s", diff)
			}
			requests := server.seen()
			if !slices.Contains(requests[0].attributes, "member;range=0-*") {
				t.Errorf("the first request asks for %q", requests[0].attributes)
			}
			for i, r := range requests[1 : len(requests)-1] {
				if want := fmt.Sprintf("member;range=%d-*", (i+1)*windowsMax); r.base != "<GUID="+guidText+">" || r.attributes[0] != want {
					t.Errorf("request %d is for %q of %s", i+2, r.attributes, r.base)
				}
			}
		})
	}
}

// Windows sends the beginning of a long list unasked, beside an empty attribute
// ([MS-ADTS] section 3.1.1.3.1.3.3). Nobody asks for ranges whose preset is not that
// of Active Directory.
func TestARangeThatNobodyAskedForIsCompleted(t *testing.T) {
	const n = 4200
	answers := windows(n, unchanged)
	server := fake(t, func(r request) []answer {
		if !strings.Contains(r.filter, "objectClass=group") {
			return answers(r)
		}
		if !slices.Contains(r.attributes, "member") {
			t.Errorf("the request asks for %q", r.attributes)
		}
		r.filter, r.attributes = "(objectCategory=group)", []string{"member;range=0-*"}
		group := answers(r)
		group[0].attributes = append(group[0].attributes, attribute("member"))
		return group
	})
	settings := server.settings("openldap")
	settings.GroupFilter, settings.UserFilter = "(objectClass=group)", "(objectClass=user)"
	settings.Attributes = map[string]string{"externalId": "objectGUID"}
	_, groups := readAll(t, open(t, settings, "secret"))
	if len(groups) != 1 || len(slices.Compact(slices.Sorted(slices.Values(groups[0].MemberDNs)))) != n {
		t.Fatalf("got %d groups, the first with %d members, want %d", len(groups), len(groups[0].MemberDNs), n)
	}
	if asked := len(server.seen()); asked != 1+2+1 {
		t.Errorf("%d requests, want one for groups, two for the rest of the members, one for users", asked)
	}
}

func TestMembersThatDoNotFitTogetherFailTheRead(t *testing.T) {
	for name, change := range map[string]func(int, ldap.EntryAttribute) ldap.EntryAttribute{
		"a later range without values": func(from int, a ldap.EntryAttribute) ldap.EntryAttribute {
			if from > 0 {
				a.Values = nil
			}
			return a
		},
		"a later range that begins elsewhere": func(from int, a ldap.EntryAttribute) ldap.EntryAttribute {
			if from > 0 {
				a.Name = "member;range=1600-*"
			}
			return a
		},
		"a range with fewer values than it says": func(from int, a ldap.EntryAttribute) ldap.EntryAttribute {
			if from == 0 {
				a.Values = a.Values[1:]
			}
			return a
		},
		"a first range that does not begin at 0": func(from int, a ldap.EntryAttribute) ldap.EntryAttribute {
			if from == 0 {
				a.Name = "member;range=1-1500"
			}
			return a
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := fake(t, windows(2000, change))
			_, _, end := read(t.Context(), open(t, server.settings("active_directory"), "secret"))
			wantError(t, end, store.CodeBusy, "", "did not send all values of member")
		})
	}
}

func TestUsersOfActiveDirectory(t *testing.T) {
	user := func(changes ...ldap.EntryAttribute) answer {
		a := entry("CN=Lee\\, Ann,DC=corp,DC=test", attribute("objectGUID", guidBytes), attribute("userPrincipalName", "ann@corp.test"),
			attribute("sAMAccountName", "ann"), attribute("USERACCOUNTCONTROL", "512"), attribute("objectSid", annSID),
			attribute("primaryGroupID", "513"), attribute("employeeID", "7"), attribute("mail", "Ann@corp.test"))
		for _, c := range changes {
			i := slices.IndexFunc(a.attributes, func(have ldap.EntryAttribute) bool { return have.Name == c.Name })
			if i < 0 {
				a.attributes = append(a.attributes, c)
			} else {
				a.attributes[i] = c
			}
		}
		return a
	}
	yes, no := true, false
	ann := store.Entry{Kind: store.KindUser, ExternalID: guidText, DN: "CN=Lee\\, Ann,DC=corp,DC=test", Active: &yes, PrimaryGroup: "S-1-5-21-1-2-3-513",
		Attributes: store.Attributes{UserName: "ann@corp.test", Emails: []store.Value{{Value: "Ann@corp.test", Type: "work", Primary: true}},
			Enterprise: &store.Enterprise{EmployeeNumber: "7"}}}
	for _, c := range []struct {
		name string
		user answer
		want func(*store.Entry)
	}{
		{"are mapped, whatever the case of attribute names", user(), func(*store.Entry) {}},
		{"are inactive when bit 2 of userAccountControl says so", user(attribute("USERACCOUNTCONTROL", "66050")), func(e *store.Entry) { e.Active = &no }},
		{"say nothing of their state when it cannot be read", user(attribute("USERACCOUNTCONTROL")), func(e *store.Entry) { e.Active = nil }},
		{"have their sAMAccountName for want of a principal name", user(attribute("userPrincipalName")), func(e *store.Entry) { e.Attributes.UserName = "ann" }},
		{"without objectGUID are invalid, not dropped", user(attribute("objectGUID")), func(e *store.Entry) {
			e.ExternalID, e.Invalid = "", "the entry has no objectGUID, which must identify it for ever"
		}},
		{"with text that is not UTF-8 are invalid", user(attribute("title", "\xff")), func(e *store.Entry) { e.Invalid = "a value of title is not valid UTF-8 text" }},
		{"with a NUL are invalid", user(attribute("employeeID", "7\x00")), func(e *store.Entry) {
			e.Invalid, e.Attributes.Enterprise = "a value of employeeID is not valid UTF-8 text", nil
		}},
		{"with a control that is no number are invalid", user(attribute("USERACCOUNTCONTROL", "x")), func(e *store.Entry) {
			e.Invalid, e.Active = "userAccountControl is not a number", nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := fake(t, func(r request) []answer {
				if strings.Contains(r.filter, "objectCategory=person") {
					return []answer{c.user}
				}
				return nil
			})
			users, _ := readAll(t, open(t, server.settings("active_directory"), "secret"))
			want := ann
			c.want(&want)
			if diff := gocmp.Diff([]store.Entry{want}, users); diff != "" {
				t.Errorf("users (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswersThatAreNotWhole(t *testing.T) {
	partition := func(name string) answer { return answer{reference: "ldap://corp.test/" + name} }
	for _, c := range []struct {
		name    string
		preset  string
		answers []answer
		field   string
		text    string // "" if the read is complete
		code    store.Code
	}{
		{name: "references of a domain to its own partitions are expected", preset: "active_directory", answers: []answer{
			partition("DC=DomainDnsZones,DC=corp,DC=test"), partition("DC=ForestDnsZones,DC=corp,DC=test"), partition("CN=Configuration,DC=corp,DC=test")}},
		{name: "a reference to another domain fails the read", preset: "active_directory", answers: []answer{partition("DC=child,DC=corp,DC=test")},
			code: store.CodeInvalid, field: "base_dns", text: "refers to another one"},
		{name: "any reference of another server fails the read", preset: "openldap", answers: []answer{partition("CN=Configuration,DC=corp,DC=test")},
			code: store.CodeInvalid, field: "base_dns", text: "refers to another one"},
		{name: "a referral fails the read", preset: "openldap", answers: []answer{{result: ldap.LDAPResultReferral}},
			code: store.CodeBusy, text: "Referral (10)"},
		{name: "a time limit fails the read", preset: "openldap", answers: []answer{{result: ldap.LDAPResultTimeLimitExceeded}},
			code: store.CodeBusy, text: "Time Limit Exceeded (3)"},
		{name: "an answer without the paging control fails the read", preset: "openldap", answers: []answer{{unpaged: true}},
			code: store.CodeInvalid, text: "ignored the request for pages"},
		{name: "more entries than a page has fail the read", preset: "openldap", answers: slices.Repeat([]answer{entry("cn=a")}, 101),
			code: store.CodeBusy, text: "more than the 100 entries"},
		{name: "a server that hangs up fails the read", preset: "openldap", answers: []answer{{hangUp: true}},
			code: store.CodeBusy, text: "closed the connection"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := fake(t, func(request) []answer { return c.answers })
			_, _, end := read(t.Context(), open(t, server.settings(c.preset), "secret"))
			if c.text == "" {
				if !errors.Is(end, reader.Complete) {
					t.Errorf("the read ended with %v", end)
				}
				return
			}
			wantError(t, end, c.code, c.field, c.text)
		})
	}
}

func TestEmptyPagesAreNotTheEnd(t *testing.T) {
	server := fake(t, func(r request) []answer {
		switch {
		case !strings.Contains(r.filter, "person"):
			return nil
		case r.cookie == "":
			return []answer{{cookie: "1"}}
		case r.cookie == "1":
			return []answer{{cookie: "2"}}
		}
		return []answer{entry("CN=a,DC=corp,DC=test", attribute("objectGUID", guidBytes), attribute("sAMAccountName", "a")), {}}
	})
	if users, _ := readAll(t, open(t, server.settings("active_directory"), "secret")); len(users) != 1 {
		t.Errorf("read %d users, want the one on the third page", len(users))
	}
}

func TestLookupOfObjectGUIDs(t *testing.T) {
	server := fake(t, func(r request) []answer {
		if r.base == "" {
			return []answer{entry("DC=root", attribute("namingContexts", "DC=corp,DC=test", "CN=Configuration,DC=corp,DC=test"))}
		}
		return []answer{entry("CN=Ann,OU=elsewhere,DC=corp,DC=test", attribute("objectGUID", guidBytes)), {reference: "ldap://child/DC=child,DC=corp,DC=test"}}
	})
	s := server.settings("active_directory")
	s.BaseDNs = []string{"OU=people,DC=corp,DC=test"}
	got, err := open(t, s, "secret").Lookup(t.Context(), []string{guidText, "11112233-4455-6677-8899-aabbccddeeff"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(map[string]string{guidText: "CN=Ann,OU=elsewhere,DC=corp,DC=test"}, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	last := server.seen()[1]
	if !strings.EqualFold(last.base, "dc=corp,dc=test") || !strings.Contains(last.filter, "(objectGUID=3\"\x11\\00UDwf\\88\\99\\aa\\bb\\cc\\dd\\ee\\ff)") {
		t.Errorf("asked %s below %s", last.filter, last.base)
	}
}

func TestBindFailuresOfActiveDirectoryAreExplained(t *testing.T) {
	for code, text := range map[string]string{
		"52e": "the password is wrong", "533": "the account is disabled", "773": "the password must be changed",
	} {
		server := fake(t, func(request) []answer { return nil })
		server.bind = answer{result: ldap.LDAPResultInvalidCredentials,
			diagnostic: "80090308: LdapErr: DSID-0C09042F, comment: AcceptSecurityContext error, data " + code + ", v2580"}
		steps := open(t, server.settings("active_directory"), "secret").Check(t.Context())
		wantStep(t, steps, wanted{name: "bind", status: store.CheckFailed, field: "bind_password", text: text})
	}
}
