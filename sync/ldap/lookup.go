package ldap

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	asn1 "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

// lookupBatch is how many stable ids one request asks for.
const lookupBatch = 50

// Lookup says which of the stable ids still exist anywhere in the naming contexts
// of the base DNs, whatever the filters (rule 7): it returns their present DNs,
// and those it does not return are gone. An answer that may be incomplete is an
// error. In Active Directory a naming context is a domain: what moved to another
// domain of the forest is gone from this one.
func (s *Source) Lookup(ctx context.Context, ids []string) (map[string]string, error) {
	if len(ids) == 0 {
		return map[string]string{}, nil
	}
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	return s.lookup(ctx, c, ids)
}

// lookup is Lookup on a connection.
func (s *Source) lookup(ctx context.Context, c *conn, ids []string) (map[string]string, error) {
	found := make(map[string]string, len(ids))
	contexts, err := s.namingContexts(ctx, c)
	if err != nil {
		return nil, err
	}
	for len(ids) > 0 {
		n := min(len(ids), lookupBatch)
		if err := s.lookupBelow(ctx, c, contexts, ids[:n], found); err != nil {
			return nil, fmt.Errorf("look up entries that were missing: %w", err)
		}
		ids = ids[n:]
	}
	return found, nil
}

func (s *Source) lookupBelow(ctx context.Context, c *conn, contexts, ids []string, found map[string]string) error {
	asked := make(map[string]string, len(ids)) // by the value as the server writes it
	values := make([]string, len(ids))
	for i, id := range ids {
		value, err := s.idValue(id)
		if err != nil {
			return err
		}
		asked[s.sameID(value)], values[i] = id, value
	}
	filter, err := anyOf([]string{s.idAttribute}, values)
	if err != nil {
		return err
	}
	for _, base := range contexts {
		p, err := c.search(ctx, query{base: base, scope: ldap.ScopeWholeSubtree, filter: filter, attributes: []string{s.idAttribute}})
		if err != nil {
			return err
		}
		if !s.binaryID {
			if err := s.checkReferences(p); err != nil {
				return err
			}
		}
		for _, e := range p.entries {
			known := false
			for _, a := range e.attributes {
				if !strings.EqualFold(a.name, s.idAttribute) {
					continue
				}
				for _, value := range a.values {
					if id, ok := asked[s.sameID(value)]; ok {
						found[id], known = strings.Clone(e.dn), true
					}
				}
			}
			if !known {
				return &store.Error{Code: store.CodeInvalid, Field: "bind_dn",
					Message: fmt.Sprintf("the entry %s exists, but its %s cannot be read", quoteDN(e.dn), s.idAttribute),
					Hint:    "give the bind DN the right to read it in the whole naming context"}
			}
		}
	}
	return nil
}

// idValue is a stable id as the server writes it.
func (s *Source) idValue(id string) (string, error) {
	if !s.binaryID {
		return id, nil
	}
	value, ok := guidBytes(id)
	if !ok {
		return "", store.Errorf(store.CodeInvalid, "the stable id %q is not an objectGUID", clip(id))
	}
	return value, nil
}

// anyOf is a filter that matches entries in which any of the attributes has any of
// the values.
func anyOf(attributes, values []string) (*asn1.Packet, error) {
	var text strings.Builder
	text.WriteString("(|")
	for _, attribute := range attributes {
		for _, value := range values {
			text.WriteString("(" + attribute + "=" + escapeFilter(value) + ")")
		}
	}
	text.WriteString(")")
	filter, err := ldap.CompileFilter(text.String())
	if err != nil {
		return nil, fmt.Errorf("compile a filter of %s: %w", strings.Join(attributes, " and "), err)
	}
	return filter, nil
}

// sameID makes equal what the matching rule of stable ids takes for equal.
func (s *Source) sameID(value string) string {
	if s.binaryID {
		return value
	}
	return store.Fold(value)
}

// escapeFilter escapes every byte that is not a letter, digit or hyphen (RFC 4515
// section 3).
func escapeFilter(value string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('\\')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

// namingContexts returns the naming contexts that hold the base DNs, each once, as
// the root DSE names them (RFC 4512 section 5.1).
func (s *Source) namingContexts(ctx context.Context, c *conn) ([]string, error) {
	of, err := s.contextsOf(ctx, c)
	if err != nil {
		return nil, err
	}
	var contexts []string
	for _, base := range s.bases {
		if context := of[base]; !slices.Contains(contexts, context) {
			contexts = append(contexts, context)
		}
	}
	return contexts, nil
}

// contextsOf returns the naming context that holds each base DN.
func (s *Source) contextsOf(ctx context.Context, c *conn) (map[string]string, error) {
	p, err := c.search(ctx, query{base: "", scope: ldap.ScopeBaseObject, filter: presence, attributes: []string{"namingContexts"}})
	if err != nil {
		return nil, err
	}
	all := valuesOf(p, "namingContexts")
	contexts := make(map[string]string, len(s.bases))
	for _, base := range s.bases {
		name, err := ldap.ParseDN(base)
		if err != nil {
			return nil, invalid("base_dns", "", "base_dns: %q is not a distinguished name", base)
		}
		best, depth := "", -1
		for _, candidate := range all {
			context, err := ldap.ParseDN(candidate)
			if err != nil || len(context.RDNs) <= depth {
				continue
			}
			if context.EqualFold(name) || context.AncestorOfFold(name) {
				best, depth = candidate, len(context.RDNs)
			}
		}
		if depth < 0 {
			return nil, &store.Error{Code: store.CodeInvalid, Field: "bind_dn",
				Message: fmt.Sprintf("the LDAP server does not say which naming context holds %s, so nobody can tell what is gone from it", quoteDN(base)),
				Hint:    "let the bind DN read namingContexts of the root DSE"}
		}
		contexts[base] = best
	}
	return contexts, nil
}

// adPartitions are parts of an Active Directory forest to which a search from a
// domain's root always refers, and which hold neither users nor groups.
var adPartitions = []string{"dc=domaindnszones,", "dc=forestdnszones,", "cn=configuration,"}

// checkReferences fails if a page refers to entries that another server holds.
func (s *Source) checkReferences(p *page) error {
	for _, reference := range p.references {
		if s.binaryID && refersToPartition(reference) {
			continue
		}
		return &store.Error{Code: store.CodeInvalid, Field: "base_dns",
			Message: fmt.Sprintf("the LDAP server refers to another one, %s, for a part of what was asked for", clip(reference)),
			Hint:    "referrals are not followed: choose base DNs that this server holds whole, and make a directory of its own for the other"}
	}
	return nil
}

func refersToPartition(reference string) bool {
	_, rest, ok := strings.Cut(reference, "://")
	if !ok {
		return false
	}
	_, path, ok := strings.Cut(rest, "/")
	if !ok {
		return false
	}
	path, _, _ = strings.Cut(path, "?")
	name, err := url.PathUnescape(path)
	if err != nil {
		return false
	}
	name = strings.ToLower(name)
	for _, partition := range adPartitions {
		if strings.HasPrefix(name, partition) {
			return true
		}
	}
	return false
}
