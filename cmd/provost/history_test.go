package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
)

// history is a directory to which things happen.
type history struct {
	t      *testing.T
	admin  *ldap.Conn
	random *rand.Rand
	made   int
	log    []string

	suffix              string
	users, groups, left string // filters: users, groups, and users who have left
	units               string // a filter of the units in which users are
	archive             string // a unit that may lie outside of what is read
	rdn                 string // the attribute that names a user
	// newUser and newGroup are entries with a name, without their members.
	newUser, newGroup func(name string) map[string][]string
	// others are what happens besides to such a server only.
	others []func() (what string, err error)
}

func openLDAPHistory(t *testing.T, server *testenv.LDAPServer, seed uint64) *history {
	h := &history{
		t: t, admin: server.Admin(t), random: rand.New(rand.NewPCG(seed, 1)), suffix: testenv.Suffix,
		users: "(objectClass=inetOrgPerson)", groups: "(objectClass=groupOfNames)", left: "(employeeType=left)",
		units: "(&(objectClass=organizationalUnit)(ou=dept*))", archive: "ou=archive," + testenv.Suffix, rdn: "uid",
	}
	h.newUser = func(name string) map[string][]string {
		return map[string][]string{"objectClass": {"inetOrgPerson"}, "cn": {name}, "sn": {name}}
	}
	h.newGroup = func(string) map[string][]string {
		// Members may be named before they are there.
		return map[string][]string{
			"objectClass": {"groupOfNames"},
			"member":      {h.user(), h.group(), fmt.Sprintf("uid=new%d,%s", h.made+1+h.random.IntN(4), h.archive)},
		}
	}
	if err := h.add(h.archive, map[string][]string{"objectClass": {"organizationalUnit"}}); err != nil {
		t.Fatal(err)
	}
	return h
}

// pick is the DN of some entry that matches a filter.
func (h *history) pick(filter string) string {
	h.t.Helper()
	found, err := h.admin.Search(ldap.NewSearchRequest(h.suffix, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, []string{"1.1"}, nil))
	if err != nil || len(found.Entries) == 0 {
		h.t.Fatalf("search %s: %d entries, %v", filter, len(found.Entries), err)
	}
	return found.Entries[h.random.IntN(len(found.Entries))].DN
}

func (h *history) user() string  { return h.pick(h.users) }
func (h *history) group() string { return h.pick(h.groups) }

func (h *history) unit() string {
	if h.random.IntN(4) == 0 {
		return h.archive
	}
	return h.pick(h.units)
}

func (h *history) fresh(prefix string) string {
	h.made++
	return fmt.Sprintf("%s%d", prefix, h.made)
}

// happen lets n things happen that a server lets happen.
func (h *history) happen(n int) {
	h.t.Helper()
	for done := 0; done < n; {
		what, err := h.event()
		if err != nil {
			// Some are no good: a value that is there already, a group's last member.
			h.log = append(h.log, "refused: "+what+": "+err.Error())
			continue
		}
		h.log = append(h.log, what)
		done++
	}
}

func (h *history) modify(dn string, change func(*ldap.ModifyRequest)) error {
	m := ldap.NewModifyRequest(dn, nil)
	change(m)
	return h.admin.Modify(m)
}

func (h *history) add(dn string, entry map[string][]string) error {
	request := ldap.NewAddRequest(dn, nil)
	for name, values := range entry {
		request.Attribute(name, values)
	}
	return h.admin.Add(request)
}

func (h *history) event() (what string, err error) {
	rdnOf := func(dn string) string {
		parsed, err := ldap.ParseDN(dn)
		if err != nil {
			h.t.Fatal(err)
		}
		return parsed.RDNs[0].String()
	}
	switch n := h.random.IntN(16 + len(h.others)); n {
	case 0:
		dn, title := h.user(), h.fresh("Title ")
		return "title of " + dn, h.modify(dn, func(m *ldap.ModifyRequest) { m.Replace("title", []string{title}) })
	case 1:
		dn, name := h.user(), h.fresh("renamed")
		return "rename " + dn + " to " + name, h.admin.ModifyDN(ldap.NewModifyDNRequest(dn, h.rdn+"="+name, true, ""))
	case 2, 3:
		dn, unit := h.user(), h.unit()
		return "move " + dn + " to " + unit, h.admin.ModifyDN(ldap.NewModifyDNRequest(dn, rdnOf(dn), true, unit))
	case 4:
		dn := h.user()
		return "delete " + dn, h.admin.Del(ldap.NewDelRequest(dn, nil))
	case 5, 6:
		name := h.fresh("new")
		dn, entry := h.rdn+"="+name+","+h.unit(), h.newUser(name)
		entry["manager"] = []string{h.user()}
		return "add " + dn, h.add(dn, entry)
	case 7, 8:
		group, member := h.group(), h.user()
		return "add to " + group + ": " + member, h.modify(group, func(m *ldap.ModifyRequest) { m.Add("member", []string{member}) })
	case 9:
		group := h.group()
		found, err := h.admin.Search(ldap.NewSearchRequest(group, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"member"}, nil))
		if err != nil {
			return "members of " + group, err
		}
		members := found.Entries[0].GetAttributeValues("member")
		if len(members) == 0 {
			return "members of " + group, errors.New("there is none")
		}
		member := members[h.random.IntN(len(members))]
		return "remove from " + group + ": " + member, h.modify(group, func(m *ldap.ModifyRequest) { m.Delete("member", []string{member}) })
	case 10:
		group, child := h.group(), h.group()
		return "nest into " + group + ": " + child, h.modify(group, func(m *ldap.ModifyRequest) { m.Add("member", []string{child}) })
	case 11:
		if h.random.IntN(2) == 0 {
			group := h.group()
			return "delete " + group, h.admin.Del(ldap.NewDelRequest(group, nil))
		}
		name := h.fresh("group")
		dn := "cn=" + name + ",ou=groups," + h.suffix
		return "add " + dn, h.add(dn, h.newGroup(name))
	case 12:
		dn := h.pick("(&" + h.users + "(!" + h.left + "))")
		return "leaves the filter: " + dn, h.modify(dn, func(m *ldap.ModifyRequest) { m.Replace("employeeType", []string{"left"}) })
	case 13:
		dn := h.user()
		return "enters the filter: " + dn, h.modify(dn, func(m *ldap.ModifyRequest) { m.Replace("employeeType", nil) })
	case 14:
		if h.random.IntN(2) == 0 {
			dn, name := h.pick(h.units), h.fresh("dept9")
			return "rename " + dn + " to " + name, h.admin.ModifyDN(ldap.NewModifyDNRequest(dn, "ou="+name, true, ""))
		}
		dn, name := h.group(), h.fresh("team")
		return "rename " + dn + " to " + name, h.admin.ModifyDN(ldap.NewModifyDNRequest(dn, "cn="+name, true, ""))
	case 15:
		dn, manager := h.user(), h.user()
		return "manager of " + dn + ": " + manager, h.modify(dn, func(m *ldap.ModifyRequest) { m.Replace("manager", []string{manager}) })
	default:
		return h.others[n-16]()
	}
}
