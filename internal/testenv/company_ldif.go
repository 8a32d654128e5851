package testenv

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
)

// WriteLDIF writes the company as LDIF (RFC 2849) for slapadd: the skeleton of
// the tree with the service account, then the users, then the groups. It
// states entryUUID, so that ids are known, and memberOf, which slapadd does
// not derive.
func (c *CompanyTruth) WriteLDIF(w io.Writer) error {
	out := &ldifWriter{Writer: bufio.NewWriterSize(w, 1<<16)}
	out.skeleton()
	for number := range departments {
		out.entry(departmentDN(number), "organizationalUnit")
		out.attribute("ou", fmt.Sprintf("dept%02d", number))
		out.end()
	}
	dns := make([]string, c.Options.Users)
	for index := range dns {
		dns[index] = c.User(index).DN
	}
	userGroups, groupGroups := c.parents()
	for index := range dns {
		c.writeUser(out, index, dns, userGroups[index])
	}
	for number, group := range c.Groups {
		out.entry(group.DN, "groupOfNames")
		out.attribute("cn", group.CN)
		out.attribute("entryUUID", group.ID)
		out.attribute("description", group.Description)
		for _, user := range group.Users {
			out.attribute("member", dns[user])
		}
		for _, child := range group.Children {
			out.attribute("member", c.Groups[child].DN)
		}
		for _, parent := range groupGroups[number] {
			out.attribute("memberOf", c.Groups[parent].DN)
		}
		out.end()
	}
	return out.Flush()
}

func (c *CompanyTruth) writeUser(out *ldifWriter, index int, dns []string, groups []int) {
	person := c.User(index)
	out.entry(person.DN, "inetOrgPerson")
	for _, attribute := range [][2]string{
		{"entryUUID", person.ID},
		{"uid", person.UID},
		{"cn", person.CN},
		{"sn", person.Surname},
		{"givenName", person.GivenName},
		{"displayName", person.DisplayName},
		{"mail", person.Mail},
		{"telephoneNumber", person.Telephone},
		{"mobile", person.Mobile},
		{"title", person.Title},
		{"departmentNumber", person.Department},
		{"employeeNumber", person.EmployeeNumber},
		{"employeeType", person.EmployeeType},
		{"l", cities[index%len(cities)]},
		{"o", "Corp Test"},
		{"street", "Long Street " + strconv.Itoa(index%999+1)},
		{"postalCode", strconv.Itoa(1000 + index%9000)},
		{"preferredLanguage", "en"},
	} {
		out.attribute(attribute[0], attribute[1])
	}
	if person.Manager >= 0 && person.Manager < len(dns) {
		out.attribute("manager", dns[person.Manager])
	}
	for _, group := range groups {
		out.attribute("memberOf", c.Groups[group].DN)
	}
	out.end()
}

// parents returns the groups that hold each user and each group directly.
func (c *CompanyTruth) parents() (users, groups [][]int) {
	users, groups = make([][]int, c.Options.Users), make([][]int, len(c.Groups))
	for number, group := range c.Groups {
		for _, user := range group.Users {
			users[user] = append(users[user], number)
		}
		for _, child := range group.Children {
			groups[child] = append(groups[child], number)
		}
	}
	return users, groups
}

// WriteSkeleton writes the entries that every directory of Slapd needs: the
// suffix, ou=people, ou=groups, and the service account below ou=svc.
func WriteSkeleton(w io.Writer) error {
	out := &ldifWriter{Writer: bufio.NewWriter(w)}
	out.skeleton()
	return out.Flush()
}

// ldifWriter writes entries; errors are kept by the buffer until Flush.
type ldifWriter struct{ *bufio.Writer }

func (out *ldifWriter) skeleton() {
	out.entry(Suffix, "dcObject", "organization")
	out.attribute("dc", "corp")
	out.attribute("o", "Corp Test")
	out.end()
	for _, unit := range []string{"people", "groups", "svc"} {
		out.entry("ou="+unit+","+Suffix, "organizationalUnit")
		out.attribute("ou", unit)
		out.end()
	}
	out.entry(bindDN, "applicationProcess", "simpleSecurityObject")
	out.attribute("cn", "sync")
	out.attribute("userPassword", bindPassword)
	out.end()
}

func (out *ldifWriter) entry(dn string, classes ...string) {
	out.attribute("dn", dn)
	for _, class := range classes {
		out.attribute("objectClass", class)
	}
}

func (out *ldifWriter) attribute(name, value string) {
	_, _ = out.WriteString(name)
	if ldifSafe(value) {
		_, _ = out.WriteString(": ")
		_, _ = out.WriteString(value)
	} else {
		_, _ = out.WriteString(":: ")
		_, _ = out.WriteString(base64.StdEncoding.EncodeToString([]byte(value)))
	}
	_ = out.WriteByte('\n')
}

func (out *ldifWriter) end() { _ = out.WriteByte('\n') }

// ldifSafe is SAFE-STRING of RFC 2849, without a space at the end.
func ldifSafe(value string) bool {
	if value == "" {
		return true
	}
	if first := value[0]; first == ' ' || first == ':' || first == '<' || value[len(value)-1] == ' ' {
		return false
	}
	for i := range len(value) {
		if c := value[i]; c == 0 || c == '\n' || c == '\r' || c > 127 {
			return false
		}
	}
	return true
}
