package ldap

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	asn1 "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// watchedAlways tell what has happened to an entry.
var watchedAlways = []string{attrName, attrObjectClass, attrIsDeleted}

// The systemFlags of attributes whose changes are not replicated and so not told
// ([MS-ADTS] section 2.2.10).
const (
	flagNotReplicated = 0x1
	flagConstructed   = 0x4
)

// watched returns the attributes to ask changes of: all on which anything depends. If
// there is one whose changes the server cannot tell, such as memberOf, why names it.
func (s *Source) watched(ctx context.Context, c *conn, of *controller) (names []string, why string, err error) {
	asked := s.speaksOf()
	names = slices.Clone(watchedAlways)
	for batch := range slices.Chunk(asked, lookupBatch) {
		var filter strings.Builder
		filter.WriteString("(|")
		for _, name := range batch {
			key := "lDAPDisplayName"
			if name[0] >= '0' && name[0] <= '9' {
				key = "attributeID"
			}
			filter.WriteString("(" + key + "=" + escapeFilter(name) + ")")
		}
		filter.WriteString(")")
		compiled, err := ldap.CompileFilter(filter.String())
		if err != nil {
			return nil, "", fmt.Errorf("compile a filter of the schema: %w", err)
		}
		p, err := c.search(ctx, query{
			base: of.schema, scope: ldap.ScopeSingleLevel, filter: compiled,
			attributes: []string{"lDAPDisplayName", "systemFlags", "linkID"},
		})
		if err != nil {
			return nil, "", err
		}
		for i := range p.entries {
			name, told := toldOf(&page{entries: p.entries[i : i+1]})
			switch {
			case name == "":
				return nil, "the schema cannot be read, so nobody can say whose changes the LDAP server tells", nil
			case strings.EqualFold(name, s.idAttribute), strings.EqualFold(name, "distinguishedName"):
				// One never changes; the other does with the name.
			case !told:
				return nil, fmt.Sprintf("the settings speak of %s, whose changes the LDAP server cannot tell", name), nil
			default:
				names = append(names, name)
			}
		}
	}
	if len(names) == len(watchedAlways) {
		return nil, "the schema cannot be read, so nobody can say whose changes the LDAP server tells", nil
	}
	names = append(names, attrObjectGUID)
	slices.Sort(names)
	return slices.Compact(names), "", nil
}

// toldOf reports whether changes of an attribute are replicated, by its entry in the
// schema: it is neither computed, nor kept by each controller for itself, nor a back
// link, whose linkID is odd.
func toldOf(entry *page) (name string, told bool) {
	one := func(attribute string) string {
		if values := valuesOf(entry, attribute); len(values) == 1 {
			return values[0]
		}
		return ""
	}
	flags, _ := strconv.ParseInt(one("systemFlags"), 10, 64)
	link, _ := strconv.ParseInt(one("linkID"), 10, 64)
	return one("lDAPDisplayName"), flags&(flagNotReplicated|flagConstructed) == 0 && link&1 == 0
}

// filtered adds the names of the attributes of which a filter speaks.
func filtered(names []string, filter *asn1.Packet) []string {
	name := func(p *asn1.Packet) string { return p.Data.String() }
	switch filter.Tag {
	case ldap.FilterAnd, ldap.FilterOr, ldap.FilterNot:
		for _, child := range filter.Children {
			names = filtered(names, child)
		}
	case ldap.FilterPresent:
		names = append(names, name(filter))
	case ldap.FilterExtensibleMatch: // MatchingRuleAssertion, RFC 4511 section 4.5.1
		for _, part := range filter.Children {
			if part.Tag == ldap.MatchingRuleAssertionType {
				names = append(names, name(part))
			}
		}
	default:
		names = append(names, name(filter.Children[0]))
	}
	return names
}

// speaksOf are the attributes on which it depends who is a user or a group and what
// comes of an entry, without options, in lower case, each once.
func (s *Source) speaksOf() []string {
	names := filtered(filtered(nil, s.users.filter), s.groups.filter)
	names = slices.Concat(names, s.users.names, s.groups.names)
	for i, name := range names {
		name, _, _ = strings.Cut(name, ";")
		names[i] = strings.ToLower(name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
