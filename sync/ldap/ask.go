package ldap

import (
	"context"
	"fmt"
	"slices"
	"strings"

	asn1 "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

// Asking is a directory that is asked for single entries: it shows what
// [Source.Entries] would read, and no more. It keeps one connection, so that all
// answers are those of one server. It is for one goroutine, which closes it.
type Asking struct {
	s *Source
	c *conn
}

// Ask connects, if the server can be asked for entries by stable id and by DN, which
// is tried. If not, Asking is nil and why says for what reason: then only a full read
// will do.
func (s *Source) Ask(ctx context.Context) (a *Asking, why string, err error) {
	if !s.binaryID && !strings.EqualFold(s.idAttribute, attrEntryUUID) {
		return nil, fmt.Sprintf("the stable id is %s, and entries are asked for by %s or %s", s.idAttribute, attrEntryUUID, attrObjectGUID), nil
	}
	c, err := s.connect(ctx)
	if err != nil {
		return nil, "", err
	}
	a = &Asking{s, c}
	for _, base := range s.bases {
		known, err := a.knowsDN(ctx, base)
		if err == nil && known {
			continue
		}
		c.close()
		if err != nil {
			return nil, "", err
		}
		return nil, fmt.Sprintf("%s cannot be found by its %s", quoteDN(base), s.dnAttribute()), nil
	}
	return a, "", nil
}

// knowsDN reports whether an entry is found by its DN as an attribute. Whatever has no
// such attribute would seem to have no members, either.
func (a *Asking) knowsDN(ctx context.Context, name string) (bool, error) {
	filter, err := anyOf([]string{a.s.dnAttribute()}, []string{name})
	if err != nil {
		return false, err
	}
	p, err := a.c.search(ctx, query{base: name, scope: ldap.ScopeBaseObject, filter: filter, attributes: []string{noAttributes}})
	if err != nil {
		return false, fmt.Errorf("look for the base DN: %w", err)
	}
	return len(p.entries) == 1, nil
}

// dnAttribute is the attribute that has an entry's DN.
func (s *Source) dnAttribute() string {
	if s.binaryID {
		return "distinguishedName"
	}
	return "entryDN" // RFC 5020
}

// Close ends the connection.
func (a *Asking) Close() { a.c.close() }

// Lookup is [Source.Lookup] on the server that is asked.
func (a *Asking) Lookup(ctx context.Context, ids []string) (map[string]string, error) {
	return a.s.lookup(ctx, a.c, ids)
}

// Read reads the entries with the given stable ids which are users or groups below
// the base DNs that the filters let through: groups first. Its strings share memory.
func (a *Asking) Read(ctx context.Context, ids []string) ([]store.Entry, error) {
	var all []store.Entry
	for _, p := range []*plan{&a.s.groups, &a.s.users} {
		m := newMapper(p)
		for batch := range slices.Chunk(a.s.idValues(ids), lookupBatch) {
			err := a.each(ctx, p, []string{a.s.idAttribute}, batch, p.request, func(e *rawEntry) error {
				all = append(all, m.entry(*e))
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("read %ss by stable id: %w", kindWord(p.kind), err)
			}
		}
	}
	return all, nil
}

// each reads the entries of a plan in which an attribute has one of the values.
func (a *Asking) each(ctx context.Context, p *plan, attributes, values, request []string, fn func(*rawEntry) error) error {
	filter, err := anyOf(attributes, values)
	if err != nil {
		return err
	}
	return a.matching(ctx, a.s.bases, and(p.filter, filter), request, func(e *rawEntry) error {
		if p.kind == store.KindGroup {
			if err := a.s.expand(ctx, a.c, e); err != nil {
				return err
			}
		}
		return fn(e)
	})
}

// matching reads the entries below some DNs that match a filter.
func (a *Asking) matching(ctx context.Context, bases []string, filter *asn1.Packet, request []string, fn func(*rawEntry) error) error {
	for _, base := range bases {
		q := query{base: base, scope: ldap.ScopeWholeSubtree, filter: filter, attributes: request, size: a.s.pageSize}
		err := a.s.pages(ctx, a.c, q, func(p *page) error {
			for i := range p.entries {
				if err := fn(&p.entries[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Bearers returns the stable ids of the entries that bear the DNs, of those that
// [Source.Entries] would read; the keys are the DNs as the server writes them.
func (a *Asking) Bearers(ctx context.Context, names []string) (map[string]string, error) {
	return a.bearers(ctx, a.s.bases, names, func(filter *asn1.Packet) *asn1.Packet { return and(a.s.either(), filter) })
}

// Anywhere does the same of all entries of the naming contexts of the base DNs, whatever
// the filters.
func (a *Asking) Anywhere(ctx context.Context, names []string) (map[string]string, error) {
	if len(names) == 0 {
		return map[string]string{}, nil
	}
	contexts, err := a.s.namingContexts(ctx, a.c)
	if err != nil {
		return nil, err
	}
	return a.bearers(ctx, contexts, names, func(filter *asn1.Packet) *asn1.Packet { return filter })
}

func (a *Asking) bearers(ctx context.Context, bases, names []string, narrow func(*asn1.Packet) *asn1.Packet) (map[string]string, error) {
	found := map[string]string{}
	for batch := range slices.Chunk(names, lookupBatch) {
		filter, err := anyOf([]string{a.s.dnAttribute()}, batch)
		if err != nil {
			return nil, err
		}
		err = a.identifyBelow(ctx, bases, narrow(filter), func(e *rawEntry, id string) { found[strings.Clone(e.dn)] = id })
		if err != nil {
			return nil, fmt.Errorf("find members by name: %w", err)
		}
	}
	return found, nil
}

// identify reads the stable ids of the entries below the base DNs that match a filter.
func (a *Asking) identify(ctx context.Context, filter *asn1.Packet, each func(e *rawEntry, id string)) error {
	return a.identifyBelow(ctx, a.s.bases, filter, each)
}

func (a *Asking) identifyBelow(ctx context.Context, bases []string, filter *asn1.Packet, each func(e *rawEntry, id string)) error {
	return a.matching(ctx, bases, filter, []string{a.s.idAttribute}, func(e *rawEntry) error {
		if id := a.s.idOf(*e); id != "" {
			each(e, strings.Clone(id))
		}
		return nil
	})
}

// Users returns the users that have the user names, as far as there are any. The server
// compares, by its rules, with all attributes that a user name may come from, so an
// entry may have another one.
func (a *Asking) Users(ctx context.Context, names []string) ([]store.Entry, error) {
	return a.named(ctx, &a.s.users, "userName", names, a.s.users.request)
}

// Groups does the same for groups, which come without members.
func (a *Asking) Groups(ctx context.Context, names []string) ([]store.Entry, error) {
	return a.named(ctx, &a.s.groups, "group.displayName", names, a.s.groups.withoutMembers())
}

func (a *Asking) named(ctx context.Context, p *plan, scim string, names, request []string) (all []store.Entry, err error) {
	m := newMapper(p)
	for batch := range slices.Chunk(names, lookupBatch) {
		err := a.each(ctx, p, p.sources(scim), batch, request, func(e *rawEntry) error {
			all = append(all, m.entry(*e))
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("find %ss by name: %w", kindWord(p.kind), err)
		}
	}
	return all, nil
}

// Identify returns the DNs of the entries that have the stable ids; a text that is no
// stable id has no entry.
func (a *Asking) Identify(ctx context.Context, ids []string) (map[string]string, error) {
	found := map[string]string{}
	for batch := range slices.Chunk(a.s.idValues(ids), lookupBatch) {
		filter, err := anyOf([]string{a.s.idAttribute}, batch)
		if err != nil {
			return nil, err
		}
		if err := a.identify(ctx, and(a.s.either(), filter), func(e *rawEntry, id string) { found[id] = strings.Clone(e.dn) }); err != nil {
			return nil, fmt.Errorf("look for entries by stable id: %w", err)
		}
	}
	return found, nil
}

// idValues are those of the texts that can be stable ids, as the server writes them.
func (s *Source) idValues(texts []string) (values []string) {
	for _, text := range texts {
		value, ok := guidBytes(text)
		if !s.binaryID {
			value = text
			_, ok = parseUUID(text)
		}
		if ok {
			values = append(values, value)
		}
	}
	return values
}

// Sees reports whether any user or group can be found by its stable id.
func (a *Asking) Sees(ctx context.Context) (bool, error) {
	filter, err := ldap.CompileFilter("(" + a.s.idAttribute + "=*)")
	if err != nil {
		return false, fmt.Errorf("compile a filter of %s: %w", a.s.idAttribute, err)
	}
	for _, base := range a.s.bases {
		q := query{base: base, scope: ldap.ScopeWholeSubtree, filter: and(a.s.either(), filter), attributes: []string{a.s.idAttribute}, size: 1}
		p, err := a.c.search(ctx, q)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(p.entries, func(e rawEntry) bool { return a.s.idOf(e) != "" }) {
			return true, nil
		}
	}
	return false, nil
}

// sources are the LDAP attributes that a SCIM attribute may come from.
func (p *plan) sources(scim string) (names []string) {
	for _, step := range p.steps {
		if step.scim == scim {
			for _, source := range step.from {
				names = append(names, p.names[source.slot])
			}
		}
	}
	return names
}

// either matches users and groups.
func (s *Source) either() *asn1.Packet { return or(s.users.filter, s.groups.filter) }

// idOf is the stable id of an entry that was read with its attribute, or "".
func (s *Source) idOf(e rawEntry) string {
	for _, a := range e.attributes {
		if !strings.EqualFold(a.name, s.idAttribute) || len(a.values) != 1 {
			continue
		}
		if !s.binaryID {
			return strings.ToLower(a.values[0])
		}
		if len(a.values[0]) == 16 {
			return guidText(a.values[0])
		}
	}
	return ""
}

func and(parts ...*asn1.Packet) *asn1.Packet { return combined(ldap.FilterAnd, parts) }
func or(parts ...*asn1.Packet) *asn1.Packet  { return combined(ldap.FilterOr, parts) }

func combined(op asn1.Tag, parts []*asn1.Packet) *asn1.Packet {
	p := asn1.Encode(asn1.ClassContext, asn1.TypeConstructed, op, nil, "")
	for _, part := range parts {
		p.AppendChild(part)
	}
	return p
}
