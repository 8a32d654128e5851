package ldap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	asn1 "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

// Bounds of a search.
const (
	maxSearchName  = 256 // characters of a name
	maxWildcards   = 10  // in a name
	maxFilterTerms = 100
	maxFilterDepth = 20
	searchTime     = 20 * time.Second // of all requests together
)

// Search finds users and groups for a person: at most limit entries, users first,
// and whether there are more. What is asked for is always joined by AND with the
// directory's own filters, below its base DNs, so nobody sees by a search what a run
// would not read. Entries come without members.
//
// Names are escaped (RFC 4515 section 3); a raw filter is parsed here and sent in its
// binary form, so neither can reach beyond its own term.
func (s *Source) Search(ctx context.Context, q store.DirectorySearch, limit int) (found []store.Entry, more bool, err error) {
	users, groups, err := s.searchFilters(q)
	if err != nil {
		return nil, false, err
	}
	limited, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	found, more, err = s.searchAll(limited, users, groups, limit)
	if err != nil && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
		return nil, false, &store.Error{Code: store.CodeBusy, Message: fmt.Sprintf("the search took longer than %v", searchTime), Err: err,
			Hint: "ask more narrowly, without * at the beginning, and by attributes that the LDAP server has an index for"}
	}
	return found, more, err
}

func (s *Source) searchAll(ctx context.Context, users, groups *asn1.Packet, limit int) (found []store.Entry, more bool, err error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, false, err
	}
	defer c.close()
	for _, part := range []struct {
		plan   *plan
		filter *asn1.Packet
	}{{&s.users, users}, {&s.groups, groups}} {
		if part.filter == nil {
			continue
		}
		for _, base := range s.bases {
			found, err = s.searchBelow(ctx, c, part.plan, base, part.filter, limit+1, found)
			if err != nil {
				return nil, false, fmt.Errorf("search the %ss below %s: %w", kindWord(part.plan.kind), quoteDN(base), err)
			}
			if len(found) > limit {
				return found[:limit], true, nil
			}
		}
	}
	return found, false, nil
}

// searchBelow appends entries below one base DN until there are enough.
func (s *Source) searchBelow(ctx context.Context, c *conn, p *plan, base string, asked *asn1.Packet, enough int, found []store.Entry) ([]store.Entry, error) {
	m := newMapper(p)
	q := query{
		base: base, scope: ldap.ScopeWholeSubtree, filter: and(p.filter, asked), attributes: p.withoutMembers(),
		size: min(s.pageSize, enough),
	}
	for empty := 0; ; {
		page, err := c.search(ctx, q)
		if err != nil {
			return nil, err
		}
		if err := s.checkReferences(page); err != nil {
			return nil, err
		}
		for _, raw := range page.entries {
			if len(found) == enough {
				return found, nil
			}
			found = append(found, m.entry(raw))
		}
		if page.cookie == "" || len(found) == enough {
			return found, nil
		}
		if len(page.entries) == 0 {
			if empty++; empty > maxEmptyPages {
				return nil, store.Errorf(store.CodeBusy, "the LDAP server sent %d pages without an entry", maxEmptyPages)
			}
		} else {
			empty = 0
		}
		q.cookie = page.cookie
	}
}

// withoutMembers are the attributes to ask for when members do not matter.
func (p *plan) withoutMembers() []string {
	list := make([]string, 0, len(p.request))
	for slot, name := range p.request {
		if !slices.Contains(p.members, slot) && slot != p.uids {
			list = append(list, name)
		}
	}
	return list
}

// searchFilters makes of a question the filters for users and for groups; nil means
// that the question is not about them.
func (s *Source) searchFilters(q store.DirectorySearch) (users, groups *asn1.Packet, err error) {
	asked := 0
	for _, text := range []string{q.UserName, q.GroupName, q.Filter} {
		if text != "" {
			asked++
		}
	}
	switch {
	case asked != 1:
		return nil, nil, invalid("filter", "", "search by one of user_name, group_name and filter")
	case q.UserName != "":
		users, err = nameFilter("user_name", s.users.sources("userName"), q.UserName)
	case q.GroupName != "":
		groups, err = nameFilter("group_name", s.groups.sources("group.displayName"), q.GroupName)
	default:
		users, err = rawFilter(q.Filter)
		groups = users
	}
	return users, groups, err
}

// nameFilter finds a name in any of the attributes.
func nameFilter(field string, attributes []string, name string) (*asn1.Packet, error) {
	value, err := namePattern(field, name)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	text.WriteString("(|")
	for _, a := range attributes {
		text.WriteString("(" + a + "=" + value + ")")
	}
	text.WriteString(")")
	filter, err := ldap.CompileFilter(text.String())
	if err != nil {
		return nil, fmt.Errorf("compile the filter of a name: %w", err)
	}
	return filter, nil
}

// namePattern is a name as the value of a filter: everything is escaped but the
// asterisks that stand for any text.
func namePattern(field, name string) (string, error) {
	switch {
	case !validText(name):
		return "", invalid(field, "", "%s must be UTF-8 text without NUL", field)
	case utf8.RuneCountInString(name) > maxSearchName:
		return "", invalid(field, "", "%s is longer than %d characters", field, maxSearchName)
	}
	var pattern, literal strings.Builder
	wildcards, escaped, last := 0, false, false
	flush := func() {
		if literal.Len() > 0 {
			pattern.WriteString(escapeFilter(literal.String()))
			literal.Reset()
			last = false
		}
	}
	for _, r := range name {
		switch {
		case escaped:
			literal.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case r == '*':
			if flush(); !last {
				pattern.WriteByte('*')
				wildcards, last = wildcards+1, true
			}
		default:
			literal.WriteRune(r)
		}
	}
	if escaped {
		return "", invalid(field, `write \\ for a backslash and \* for an asterisk`, "%s ends with a lone backslash", field)
	}
	flush()
	if wildcards > maxWildcards {
		return "", invalid(field, "", "%s has more than %d asterisks", field, maxWildcards)
	}
	return pattern.String(), nil
}

// rawFilter parses and bounds what a person has written.
func rawFilter(text string) (*asn1.Packet, error) {
	if !validText(text) {
		return nil, invalid("filter", `write \00 for a NUL`, "filter must be UTF-8 text without NUL")
	}
	if strings.Count(text, "(") > 2*maxFilterTerms { // before it is parsed
		return nil, invalid("filter", "", "filter has more than %d terms", maxFilterTerms)
	}
	filter, err := compileFilter("filter", strings.TrimSpace(text), "")
	if err != nil {
		return nil, err
	}
	terms := 0
	if !bounded(filter, maxFilterDepth, &terms) {
		return nil, invalid("filter", "", "filter has more than %d terms, or is nested deeper than %d", maxFilterTerms, maxFilterDepth)
	}
	return filter, nil
}

// bounded reports whether a filter is neither too deep nor too long, and counts its
// terms.
func bounded(filter *asn1.Packet, depth int, terms *int) bool {
	switch filter.Tag {
	case ldap.FilterAnd, ldap.FilterOr, ldap.FilterNot:
		if depth == 0 {
			return false
		}
		for _, child := range filter.Children {
			if !bounded(child, depth-1, terms) {
				return false
			}
		}
		return true
	}
	*terms++
	return *terms <= maxFilterTerms
}
