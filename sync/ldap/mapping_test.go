package ldap_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

const entryUUID = "5f0f5ce4-0000-4000-8000-00000000000a"

// oneOf answers searches of the OpenLDAP preset with one user or one group.
func oneOf(t *testing.T, kind store.Kind, attributes ...ldap.EntryAttribute) *fakeServer {
	return fake(t, func(r request) []answer {
		if strings.Contains(r.filter, "groupOfNames") == (kind == store.KindGroup) {
			return []answer{entry("cn=a,dc=corp,dc=test", append(attributes, attribute("entryUUID", strings.ToUpper(entryUUID)))...)}
		}
		return nil
	})
}

func TestActiveFollowsTheLocksOfAnAccount(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		name      string
		attribute ldap.EntryAttribute
		override  string
		active    *bool
		invalid   string
	}{
		{name: "an account without locks is active", attribute: attribute("title", "x"), active: &yes},
		{name: "a lock for ever makes it inactive", attribute: attribute("pwdAccountLockedTime", "000001010000Z"), active: &no},
		{name: "a lock-out after wrong passwords does not", attribute: attribute("pwdAccountLockedTime", "20260301100000Z"), active: &yes},
		{name: "nsAccountLock makes it inactive", attribute: attribute("nsaccountlock", "TRUE"), active: &no},
		{name: "nsAccountLock that is false does not", attribute: attribute("nsAccountLock", "false"), active: &yes},
		{name: "an attribute of one's own says active", attribute: attribute("accountStatus", "active"), override: "accountStatus", active: &yes},
		{name: "an attribute of one's own says inactive", attribute: attribute("accountStatus", "Disabled"), override: "accountStatus", active: &no},
		{name: "an attribute of one's own can be turned around", attribute: attribute("loginDisabled", "TRUE"), override: "!loginDisabled", active: &no},
		{name: "what is neither true nor false is invalid", attribute: attribute("accountStatus", "maybe"), override: "accountStatus", invalid: "accountStatus is neither TRUE nor FALSE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := oneOf(t, store.KindUser, attribute("uid", "a"), c.attribute)
			s := server.settings("openldap")
			if c.override != "" {
				s.Attributes = map[string]string{"active": c.override}
			}
			users, _ := readAll(t, open(t, s, "secret"))
			if diff := cmp.Diff(c.active, users[0].Active); diff != "" || users[0].Invalid != c.invalid {
				t.Errorf("active (-want +got):\n%sinvalid: %q", diff, users[0].Invalid)
			}
		})
	}
}

func TestGroupsOfEveryClass(t *testing.T) {
	for _, c := range []struct {
		name       string
		attributes []ldap.EntryAttribute
		want       store.Entry
	}{
		{"posixGroup names its members by user name", []ldap.EntryAttribute{attribute("cn", "staff"), attribute("memberUid", "ann", "ben")},
			store.Entry{DisplayName: "staff", MemberNames: []string{"ann", "ben"}}},
		{"member and uniqueMember add up", []ldap.EntryAttribute{attribute("cn", "staff"), attribute("member", "cn=a", ""), attribute("UniqueMember", "cn=b#'01'B", "cn=c#x")},
			store.Entry{DisplayName: "staff", MemberDNs: []string{"cn=a", "cn=b", "cn=c#x"}}},
		{"a group without a name is invalid, not dropped", []ldap.EntryAttribute{attribute("member", "cn=a"), attribute("cn", " ")},
			store.Entry{MemberDNs: []string{"cn=a"}, Invalid: "the group has no name: cn is empty"}},
		{"a member that is not UTF-8 makes it invalid", []ldap.EntryAttribute{attribute("cn", "staff"), attribute("member", "cn=\xff")},
			store.Entry{DisplayName: "staff", Invalid: "a value of member is not valid UTF-8 text"}},
		{"values in a language are not the name", []ldap.EntryAttribute{attribute("cn;lang-fr", "personnel"), attribute("cn", "staff")},
			store.Entry{DisplayName: "staff"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := oneOf(t, store.KindGroup, c.attributes...)
			_, groups := readAll(t, open(t, server.settings("openldap"), "secret"))
			c.want.Kind, c.want.DN, c.want.ExternalID = store.KindGroup, "cn=a,dc=corp,dc=test", entryUUID
			if diff := cmp.Diff([]store.Entry{c.want}, groups); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyWhatIsMappedIsAskedFor(t *testing.T) {
	server := oneOf(t, store.KindUser, attribute("login", "a"))
	s := server.settings("openldap")
	s.Attributes = map[string]string{"userName": "login", "title": "", "Emails.Work": "mail|rfc822Mailbox", "manager": "", "active": "",
		"displayName": "", "name.givenName": "", "name.familyName": "", "phoneNumbers.work": "", "phoneNumbers.mobile": "", "department": "", "employeeNumber": ""}
	users, _ := readAll(t, open(t, s, "secret"))
	if users[0].Attributes.UserName != "a" || users[0].Active != nil {
		t.Errorf("got %+v", users[0])
	}
	requests := server.seen()
	if diff := cmp.Diff([]string{"entryUUID", "mail", "login"}, requests[len(requests)-1].attributes); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}
