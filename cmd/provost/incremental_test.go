package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
)

func TestARandomHistoryFollowedIncrementallyEndsAsAFullPull(t *testing.T) {
	t.Parallel()
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 60, Groups: 14, Cap: 25})
	for name, bases := range map[string][]string{
		"below the naming context":    {testenv.Suffix},
		"below two units of it":       {"ou=people," + testenv.Suffix, "ou=groups," + testenv.Suffix},
		"with restarts of the server": {testenv.Suffix},
	} {
		t.Run(name, func(t *testing.T) {
			onBothDatabases(t, func(t *testing.T, dsn string) {
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				h := newHistory(t, company, seed)
				p := startProvost(t, "--database", dsn, "--log-level", "warn")
				create := []string{"--domain-policy", "off", "--incremental", "--guard", "all=10000/100%",
					"--user-filter", "(&(objectClass=inetOrgPerson)(!(employeeType=left)))"}
				flags := pullFrom(t, h.server, h.server.TLSURL, create...)
				for i := range flags {
					if flags[i] == h.server.Suffix {
						flags[i] = bases[0]
					}
				}
				for _, base := range bases[1:] {
					flags = append(flags, "--base-dn", base)
				}
				p.must(t, append([]string{"directory", "create", "corp"}, flags...)...)
				p.must(t, "org", "create", "full")
				p.must(t, append([]string{"directory", "create", "corp", "--organization", "full"}, flags...)...)
				p.mustPull(t, "--organization", "full")
				if first := p.mustPull(t); first.Incremental || first.FullBecause != "no run has succeeded before" {
					t.Errorf("the first run: incremental is %v, full because %q", first.Incremental, first.FullBecause)
				}
				followed, full := openPeer(t, dsn, ""), openPeer(t, dsn, "full")
				for round := range 6 {
					h.happen(15)
					if strings.Contains(name, "restarts") {
						h.restart()
					}
					run := p.mustPull(t)
					if !run.Incremental && !strings.Contains(run.FullBecause, "was moved, with what lies below it") {
						t.Errorf("round %d: everything was read because %s", round, run.FullBecause)
					}
					if run := p.mustPull(t, "--organization", "full", "--full"); run.Incremental || run.FullBecause != "it was asked for" {
						t.Errorf("asked for a full run: incremental is %v, full because %q", run.Incremental, run.FullBecause)
					}
					sameState(t, fmt.Sprintf("round %d, beside full runs", round), full.state(), followed.state())
					org := fmt.Sprintf("fresh-%d", round)
					p.must(t, "org", "create", org)
					p.must(t, append([]string{"directory", "create", "corp", "--organization", org}, flags...)...)
					p.mustPull(t, "--organization", org)
					sameState(t, fmt.Sprintf("round %d, beside a first run", round), openPeer(t, dsn, org).state(), followed.inScope())
					if t.Failed() {
						t.Fatalf("what happened:\n%s", strings.Join(h.log, "\n"))
					}
				}
				quiet := p.mustPull(t)
				for _, kind := range []string{"users", "groups"} {
					if tally := quiet.tally(kind); tally["created"]+tally["modified"]+tally["deleted"]+tally["out_of_scope"] > 0 {
						t.Errorf("nothing happened, and the run has %v %s", tally, kind)
					}
				}
			})
		})
	}
}

// inScope is the state without what has left the scope, which a first run never saw.
func (p *peer) inScope() directoryState {
	p.t.Helper()
	s := p.state()
	users, groups := p.records()
	for i := range users {
		if users[i].OutOfScope {
			delete(s.Users, users[i].Attributes.UserName)
		}
	}
	for i := range groups {
		if groups[i].OutOfScope {
			delete(s.Groups, groups[i].DisplayName)
		}
	}
	return s
}

// history is a directory to which things happen.
type history struct {
	t      *testing.T
	server *testenv.LDAPServer
	admin  *ldap.Conn
	random *rand.Rand
	made   int
	log    []string
}

func newHistory(t *testing.T, company *testenv.CompanyTruth, seed uint64) *history {
	h := &history{t: t, server: testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF}), random: rand.New(rand.NewPCG(seed, 1))}
	h.admin = h.server.Admin(t)
	add := ldap.NewAddRequest("ou=archive,"+testenv.Suffix, nil)
	add.Attribute("objectClass", []string{"organizationalUnit"})
	if err := h.admin.Add(add); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *history) restart() {
	_ = h.admin.Close()
	h.server.Restart()
	h.admin = h.server.Admin(h.t)
}

// pick is the DN of some entry that matches a filter.
func (h *history) pick(filter string) string {
	h.t.Helper()
	found, err := h.admin.Search(ldap.NewSearchRequest(testenv.Suffix, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, []string{"1.1"}, nil))
	if err != nil || len(found.Entries) == 0 {
		h.t.Fatalf("search %s: %d entries, %v", filter, len(found.Entries), err)
	}
	return found.Entries[h.random.IntN(len(found.Entries))].DN
}

func (h *history) user() string  { return h.pick("(objectClass=inetOrgPerson)") }
func (h *history) group() string { return h.pick("(objectClass=groupOfNames)") }

func (h *history) unit() string {
	if h.random.IntN(4) == 0 {
		return "ou=archive," + testenv.Suffix
	}
	return h.pick("(&(objectClass=organizationalUnit)(ou=dept*))")
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

func (h *history) event() (what string, err error) {
	rdnOf := func(dn string) string {
		parsed, err := ldap.ParseDN(dn)
		if err != nil {
			h.t.Fatal(err)
		}
		return parsed.RDNs[0].String()
	}
	switch h.random.IntN(16) {
	case 0:
		dn, title := h.user(), h.fresh("Title ")
		return "title of " + dn, h.modify(dn, func(m *ldap.ModifyRequest) { m.Replace("title", []string{title}) })
	case 1:
		dn, name := h.user(), h.fresh("renamed")
		return "rename " + dn + " to " + name, h.admin.ModifyDN(ldap.NewModifyDNRequest(dn, "uid="+name, true, ""))
	case 2, 3:
		dn, unit := h.user(), h.unit()
		return "move " + dn + " to " + unit, h.admin.ModifyDN(ldap.NewModifyDNRequest(dn, rdnOf(dn), true, unit))
	case 4:
		dn := h.user()
		return "delete " + dn, h.admin.Del(ldap.NewDelRequest(dn, nil))
	case 5, 6:
		name := h.fresh("new")
		dn := "uid=" + name + "," + h.unit()
		add := ldap.NewAddRequest(dn, nil)
		add.Attribute("objectClass", []string{"inetOrgPerson"})
		add.Attribute("cn", []string{name})
		add.Attribute("sn", []string{name})
		add.Attribute("manager", []string{h.user()})
		return "add " + dn, h.admin.Add(add)
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
		dn := "cn=" + h.fresh("group") + ",ou=groups," + testenv.Suffix
		add := ldap.NewAddRequest(dn, nil)
		add.Attribute("objectClass", []string{"groupOfNames"})
		// Members may be named before they are there.
		add.Attribute("member", []string{h.user(), h.group(), fmt.Sprintf("uid=new%d,ou=archive,%s", h.made+1+h.random.IntN(4), testenv.Suffix)})
		return "add " + dn, h.admin.Add(add)
	case 12:
		dn := h.pick("(&(objectClass=inetOrgPerson)(!(employeeType=left)))")
		return "leaves the filter: " + dn, h.modify(dn, func(m *ldap.ModifyRequest) { m.Replace("employeeType", []string{"left"}) })
	case 13:
		dn := h.user()
		return "enters the filter: " + dn, h.modify(dn, func(m *ldap.ModifyRequest) { m.Replace("employeeType", nil) })
	case 14:
		if h.random.IntN(2) == 0 {
			dn, name := h.pick("(&(objectClass=organizationalUnit)(ou=dept*))"), h.fresh("dept9")
			return "rename " + dn + " to " + name, h.admin.ModifyDN(ldap.NewModifyDNRequest(dn, "ou="+name, true, ""))
		}
		dn, name := h.group(), h.fresh("team")
		return "rename " + dn + " to " + name, h.admin.ModifyDN(ldap.NewModifyDNRequest(dn, "cn="+name, true, ""))
	default:
		dn, manager := h.user(), h.user()
		return "manager of " + dn + ": " + manager, h.modify(dn, func(m *ldap.ModifyRequest) { m.Replace("manager", []string{manager}) })
	}
}
