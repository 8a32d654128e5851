package bench

import (
	"fmt"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
)

// Of an incremental pull: so many changes, a tenth of them of groups.
const (
	pullChanges = 100
	pullRounds  = 3
)

// changes is what an administrator of a directory changes between two pulls.
type changes struct {
	admin  *ldap.Conn
	users  []string // DNs
	groups []string // of small groups
}

// changesOf takes what rounds of changes need of a company, which is large.
func changesOf(b *testing.B, company *testenv.CompanyTruth, server *testenv.LDAPServer) *changes {
	c := &changes{admin: server.Admin(b)}
	for i := range company.Options.Users {
		if len(c.users) < 2*pullChanges {
			c.users = append(c.users, company.User(i).DN)
		}
	}
	for i := range company.Groups {
		if n := len(company.Groups[i].Users); n > 1 && n < 1000 && len(c.groups) < pullChanges/10 {
			c.groups = append(c.groups, company.Groups[i].DN)
		}
	}
	return c
}

// make changes the titles of users, and members of groups, in a way of its own each
// round.
func (c *changes) make(b *testing.B, round int) {
	b.Helper()
	modify := func(m *ldap.ModifyRequest) {
		if err := c.admin.Modify(m); err != nil {
			b.Fatalf("modify %s: %v", m.DN, err)
		}
	}
	for i := range pullChanges - len(c.groups) {
		m := ldap.NewModifyRequest(c.users[i], nil)
		m.Replace("title", []string{fmt.Sprintf("Title %d of round %d", i, round)})
		modify(m)
	}
	for i, group := range c.groups {
		m := ldap.NewModifyRequest(group, nil)
		member := c.users[len(c.users)-1-i]
		if round%2 == 0 {
			m.Add("member", []string{member})
		} else {
			m.Delete("member", []string{member})
		}
		modify(m)
	}
}
