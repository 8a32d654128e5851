package ldap

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

// presence matches every entry.
var presence, _ = ldap.CompileFilter("(objectClass=*)")

// expand completes attributes of which the server sent a range of values only
// ([MS-ADTS] section 3.1.1.3.1.3.3): member;range=0-1499 is followed by a request
// for member;range=1500-*, until a range ends with "*".
func (s *Source) expand(ctx context.Context, c *conn, e *rawEntry) error {
	for i := range e.attributes {
		a := &e.attributes[i]
		if strings.IndexByte(a.name, ';') < 0 {
			continue
		}
		name, r, ok := parseRange(a.name)
		if !ok {
			continue
		}
		base := s.baseOf(e)
		values := a.values
		for {
			if r.first != len(values)-len(a.values) || (!r.last && r.end-r.first+1 != len(a.values)) {
				return brokenRange(e.dn, a.name)
			}
			if r.last {
				break
			}
			p, err := c.search(ctx, query{base: base, scope: ldap.ScopeBaseObject, filter: presence,
				attributes: []string{name + ";range=" + strconv.Itoa(r.end+1) + "-*"}})
			if err != nil {
				return fmt.Errorf("read all values of %s of %s: %w", name, quoteDN(e.dn), err)
			}
			next, following, ok := onlyRange(p, name)
			if !ok || following.first != r.end+1 || len(next.values) == 0 {
				return brokenRange(e.dn, name)
			}
			values = append(values, next.values...)
			a.name, a.values, r = next.name, next.values, following
		}
		a.name, a.values = name, values
	}
	return nil
}

// baseOf returns a base DN that finds the entry even if it was renamed since.
func (s *Source) baseOf(e *rawEntry) string {
	for _, a := range e.attributes {
		if s.binaryID && strings.EqualFold(a.name, attrObjectGUID) && len(a.values) == 1 && len(a.values[0]) == 16 {
			return "<GUID=" + guidText(a.values[0]) + ">"
		}
	}
	return e.dn
}

func brokenRange(dn, name string) error {
	return &store.Error{Code: store.CodeBusy,
		Message: fmt.Sprintf("the LDAP server did not send all values of %s of %s", clip(name), quoteDN(dn)),
		Hint:    "the group may have changed meanwhile; the read can be repeated"}
}

// valueRange is the option range=FIRST-END; with last, END is "*".
type valueRange struct {
	first, end int
	last       bool
}

func parseRange(attribute string) (name string, r valueRange, ok bool) {
	name, options, _ := strings.Cut(attribute, ";")
	const option = "range="
	if len(options) < len(option) || !strings.EqualFold(options[:len(option)], option) {
		return "", r, false
	}
	first, end, ok := strings.Cut(options[len(option):], "-")
	if !ok {
		return "", r, false
	}
	var err error
	if r.first, err = strconv.Atoi(first); err != nil || r.first < 0 {
		return "", r, false
	}
	if end == "*" {
		r.last = true
		return name, r, true
	}
	r.end, err = strconv.Atoi(end)
	return name, r, err == nil && r.end >= r.first
}

// onlyRange returns the range of the attribute in a page of one entry.
func onlyRange(p *page, name string) (rawAttribute, valueRange, bool) {
	if len(p.entries) != 1 {
		return rawAttribute{}, valueRange{}, false
	}
	for _, a := range p.entries[0].attributes {
		if got, r, ok := parseRange(a.name); ok && strings.EqualFold(got, name) {
			return a, r, true
		}
	}
	return rawAttribute{}, valueRange{}, false
}
