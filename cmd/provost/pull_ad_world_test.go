package main

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

// adPerson is one user of an Active Directory domain, named by account.
type adPerson struct {
	CN         string // as a person writes it, without escapes
	Unit       string // People or Leavers
	Given      string
	Surname    string
	Title      string
	Department string
	Manager    string // account
	Disabled   bool
	Primary    string // the group whose number primaryGroupID is; "" is Domain Users
}

// adGroup is one group, named by its common name.
type adGroup struct {
	People []string // accounts
	Groups []string // common names
}

// adDomain is what the test knows a domain to hold.
type adDomain struct {
	*testenv.DomainController
	people map[string]adPerson
	groups map[string]adGroup
}

// ldapAdmin is a connection that may change a directory.
type ldapAdmin struct {
	*ldap.Conn
	t *testing.T
}

func (d *adDomain) admin(t *testing.T) ldapAdmin { return ldapAdmin{d.Admin(t), t} }

// startDomain starts a domain controller that holds the people and groups.
func startDomain(t *testing.T, people map[string]adPerson, groups map[string]adGroup) *adDomain {
	t.Helper()
	d := &adDomain{people: people, groups: groups}
	d.DomainController = testenv.Samba(t, testenv.SambaOptions{Write: d.write})
	admin := d.admin(t)
	for account, p := range people {
		if p.Primary != "" {
			d.setPrimary(admin, account, p.Primary)
		}
	}
	return d
}

func (p adPerson) dn() string {
	return "CN=" + escapeCN(p.CN) + ",OU=" + p.Unit + "," + testenv.DomainSuffix
}

// escapeCN escapes "=", too: RFC 4514 leaves it to the writer, and Active Directory
// writes it so.
func escapeCN(name string) string { return strings.ReplaceAll(ldap.EscapeDN(name), "=", `\=`) }

func groupDN(name string) string {
	return "CN=" + escapeCN(name) + ",OU=Groups," + testenv.DomainSuffix
}

const (
	normalAccount = 0x200 | 0x20 // no password is needed, so none must be hashed
	disabled      = 0x2
)

func (p adPerson) control() string {
	if p.Disabled {
		return strconv.Itoa(normalAccount | disabled)
	}
	return strconv.Itoa(normalAccount)
}

// attributes are those of a user's entry.
func (p adPerson) attributes(account, manager string) map[string]string {
	a := map[string]string{
		"objectClass": "user", "sAMAccountName": account, "userPrincipalName": account + "@ad.corp.test", "mail": account + "@corp.test",
		"displayName": p.CN, "givenName": p.Given, "sn": p.Surname, "title": p.Title, "department": p.Department, "manager": manager,
		"userAccountControl": p.control(),
	}
	maps.DeleteFunc(a, func(_, value string) bool { return value == "" })
	return a
}

func (d *adDomain) write(w io.Writer) error {
	var b strings.Builder
	line := func(name, value string) {
		fmt.Fprintf(&b, "%s:: %s\n", name, base64.StdEncoding.EncodeToString([]byte(value)))
	}
	bossesFirst := func(a, b string) int {
		return cmp.Or(cmp.Compare(len(d.people[a].Manager), len(d.people[b].Manager)), cmp.Compare(a, b))
	}
	for _, account := range slices.SortedFunc(maps.Keys(d.people), bossesFirst) {
		p := d.people[account]
		line("dn", p.dn())
		manager := ""
		if p.Manager != "" {
			manager = d.people[p.Manager].dn()
		}
		for name, value := range p.attributes(account, manager) {
			line(name, value)
		}
		b.WriteString("\n")
	}
	names := slices.Sorted(maps.Keys(d.groups))
	for _, name := range names { // the groups first: some are in a circle
		line("dn", groupDN(name))
		fmt.Fprintf(&b, "objectClass: group\ngroupType: -2147483646\nsAMAccountName: g%s\n", hex.EncodeToString([]byte(name)))
		line("description", "All of "+name)
		for _, account := range d.groups[name].People {
			line("member", d.people[account].dn())
		}
		for _, child := range d.groups[name].Groups {
			if child < name {
				line("member", groupDN(child))
			}
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// nest adds the memberships that write could not, because the members came later.
func (d *adDomain) nest(admin ldapAdmin) {
	admin.t.Helper()
	for name, g := range d.groups {
		for _, child := range g.Groups {
			if child >= name {
				change := ldap.NewModifyRequest(groupDN(name), nil)
				change.Add("member", []string{groupDN(child)})
				admin.modify(change)
			}
		}
	}
}

func (a ldapAdmin) modify(change *ldap.ModifyRequest) {
	a.t.Helper()
	if err := a.Modify(change); err != nil {
		a.t.Fatalf("modify %s: %v", change.DN, err)
	}
}

// rename gives an entry another name, another unit, or both.
func (a ldapAdmin) rename(from, to string) {
	a.t.Helper()
	cut := strings.Index(strings.ToUpper(to), ",OU=")
	if err := a.ModifyDN(ldap.NewModifyDNRequest(from, to[:cut], true, to[cut+1:])); err != nil {
		a.t.Fatalf("rename %s to %s: %v", from, to, err)
	}
}

func (a ldapAdmin) remove(dn string) {
	a.t.Helper()
	if err := a.Del(ldap.NewDelRequest(dn, nil)); err != nil {
		a.t.Fatalf("delete %s: %v", dn, err)
	}
}

// set replaces one attribute of an entry.
func (a ldapAdmin) set(dn, attribute string, values ...string) {
	a.t.Helper()
	change := ldap.NewModifyRequest(dn, nil)
	change.Replace(attribute, values)
	a.modify(change)
}

// setPrimary makes a group somebody's primary group. The domain takes the explicit
// membership away when it does so.
func (d *adDomain) setPrimary(admin ldapAdmin, account, group string) {
	admin.t.Helper()
	dn := d.people[account].dn()
	change := ldap.NewModifyRequest(groupDN(group), nil)
	change.Add("member", []string{dn})
	admin.modify(change)
	sid := admin.attribute(groupDN(group), "objectSid")
	rid := binary.LittleEndian.Uint32([]byte(sid[len(sid)-4:]))
	admin.set(dn, "primaryGroupID", strconv.FormatUint(uint64(rid), 10))
	if member := admin.attribute(groupDN(group), "member"); strings.EqualFold(member, dn) {
		admin.t.Fatalf("%s is still an explicit member of its primary group %s", account, group)
	}
}

func (a ldapAdmin) attribute(dn, name string) string {
	a.t.Helper()
	found, err := a.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", []string{name}, nil))
	if err != nil || len(found.Entries) != 1 {
		a.t.Fatalf("look at %s: %v", dn, err)
	}
	return string(found.Entries[0].GetRawAttributeValue(name))
}

// guid is an entry's objectGUID as Windows prints it.
func (a ldapAdmin) guid(dn string) string {
	a.t.Helper()
	b := []byte(a.attribute(dn, "objectGUID"))
	if len(b) != 16 {
		a.t.Fatalf("%s has an objectGUID of %d bytes", dn, len(b))
	}
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:])
}

// upn is the userName of an account.
func upn(account string) string { return account + "@ad.corp.test" }

// effective lists the accounts at or below a group, each once.
func (d *adDomain) effective(name string) []string {
	seen, accounts := map[string]bool{name: true}, map[string]bool{}
	for queue := []string{name}; len(queue) > 0; queue = queue[1:] {
		for _, account := range d.direct(queue[0]) {
			accounts[account] = true
		}
		for _, child := range d.groups[queue[0]].Groups {
			if !seen[child] {
				seen[child] = true
				queue = append(queue, child)
			}
		}
	}
	return slices.Collect(maps.Keys(accounts))
}

// direct lists the accounts in a group, by member or as their primary group.
func (d *adDomain) direct(name string) []string {
	accounts := slices.Clone(d.groups[name].People)
	for account, p := range d.people {
		if p.Primary == name {
			accounts = append(accounts, account)
		}
	}
	return accounts
}

// pulled is what an organization holds when the domain was pulled with the preset
// active_directory.
func (d *adDomain) pulled(admin ldapAdmin) directoryState {
	admin.t.Helper()
	reader := adPerson{CN: "svc-provost", Unit: "People"} // the service account is a user like others
	s := directoryState{Groups: map[string]groupState{}, Users: map[string]userState{
		upn("svc-provost"): {admin.guid(reader.dn()), true, store.Attributes{UserName: upn("svc-provost"), DisplayName: "svc-provost"}},
	}}
	for account, p := range d.people {
		a := store.Attributes{
			UserName: upn(account), DisplayName: strings.TrimSpace(p.CN), Title: p.Title,
			Name:   &store.Name{FamilyName: p.Surname, GivenName: p.Given},
			Emails: []store.Value{{Value: account + "@corp.test", Type: "work", Primary: true}},
		}
		if p.Department != "" || p.Manager != "" {
			a.Enterprise = &store.Enterprise{Department: p.Department}
		}
		if p.Manager != "" {
			a.Enterprise.Manager = &store.Manager{Value: upn(p.Manager)}
		}
		s.Users[upn(account)] = userState{admin.guid(p.dn()), !p.Disabled, a}
	}
	names := func(accounts []string) (list []string) {
		for _, account := range accounts {
			list = append(list, upn(account))
		}
		return list
	}
	for name, g := range d.groups {
		members := names(d.direct(name))
		for _, child := range g.Groups {
			members = append(members, "group "+child)
		}
		effective := names(d.effective(name))
		s.Groups[name] = groupState{
			ExternalID: admin.guid(groupDN(name)), Description: "All of " + name,
			Count: len(effective), Members: sorted(members), Effective: sorted(effective),
		}
	}
	return s
}

// pullDomain are the flags of `directory create` for a domain.
func pullDomain(t *testing.T, d *testenv.DomainController, more ...string) []string {
	t.Helper()
	return append([]string{
		"--kind", "ldap", "--preset", "active_directory", "--url", d.TLSURL, "--ca-file", d.CAFile, "--base-dn", d.Suffix,
		"--bind-dn", d.BindDN, "--bind-password-file", passwordFile(t, d.Password), "--schedule", "off", "--domain-policy", "off",
		"--no-incremental", // most tests are about full reads
	}, more...)
}
