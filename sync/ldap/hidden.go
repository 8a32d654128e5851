package ldap

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	asn1 "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// Hidden tries containers, by DN, that had entries with these stable ids directly below
// them, none of which is found any more. Of each container where that does not look like
// deletion it says why, in a part of a sentence: an account that has lost the right to
// read there sees the same.
//
// A container in which it sees a user or a group is above suspicion. So is one that says
// that nothing is below it (hasSubordinates), or, in Active Directory, whose entries are
// among the deleted objects, if the account may list those.
func (s *Source) Hidden(ctx context.Context, gone map[string][]string) (why map[string]string, err error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	why = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(gone)) {
		reason, err := s.hidden(ctx, c, name, gone[name])
		if err != nil {
			return nil, fmt.Errorf("see whether %s can be read: %w", quoteDN(name), err)
		}
		if reason != "" {
			why[name] = reason
		}
	}
	return why, nil
}

func (s *Source) hidden(ctx context.Context, c *conn, name string, ids []string) (why string, err error) {
	switch shows, err := s.showsBelow(ctx, c, name, s.either()); {
	case err != nil:
		return "", err
	case shows:
		return "", nil
	}
	if s.binaryID {
		sees, buried, err := s.buried(ctx, c, ids)
		switch {
		case err != nil:
			return "", err
		case sees && buried == len(ids):
			return "", nil
		case sees:
			return fmt.Sprintf("%d of them are not among the deleted objects", len(ids)-buried), nil
		}
	}
	p, err := c.search(ctx, query{base: name, scope: ldap.ScopeBaseObject, filter: presence, attributes: []string{attrHasSubordinates}})
	const unreadable = "it cannot be read any more, either"
	switch {
	case goneNow(err), forbidden(err):
		return unreadable, nil
	case err != nil:
		return "", err
	case len(p.entries) == 0:
		return unreadable, nil
	}
	has := valuesOf(p, attrHasSubordinates)
	if len(has) == 1 && strings.EqualFold(has[0], "FALSE") {
		return "", nil
	}
	switch shows, err := s.showsBelow(ctx, c, name, presence); {
	case err != nil, shows:
		return "", err
	case len(has) == 1:
		return "it has entries that cannot be read", nil
	case len(ids) == 1:
		return "", nil // nothing tells the last one that was deleted from one that is hidden
	}
	return "it shows no entry any more", nil
}

// showsBelow reports whether any entry that matches is directly below a container.
func (s *Source) showsBelow(ctx context.Context, c *conn, name string, filter *asn1.Packet) (bool, error) {
	q := query{base: name, scope: ldap.ScopeSingleLevel, filter: filter, attributes: []string{noAttributes}, size: 1}
	for range maxEmptyPages {
		p, err := c.search(ctx, q)
		if goneNow(err) || forbidden(err) {
			return false, nil
		}
		if err != nil || len(p.entries) > 0 || p.cookie == "" {
			return err == nil && len(p.entries) > 0, err
		}
		q.cookie = p.cookie
	}
	return false, nil
}

// buried reports whether the account sees deleted objects, and how many of the stable ids
// are among them.
func (s *Source) buried(ctx context.Context, c *conn, ids []string) (sees bool, count int, err error) {
	contexts, err := s.namingContexts(ctx, c)
	if err != nil {
		return false, 0, err
	}
	for _, context := range contexts {
		shows, err := s.seesTombstones(ctx, c, context)
		if err != nil {
			return false, 0, err
		}
		if !shows {
			continue
		}
		sees = true
		for batch := range slices.Chunk(s.idValues(ids), lookupBatch) {
			filter, err := anyOf([]string{s.idAttribute}, batch)
			if err != nil {
				return false, 0, err
			}
			p, err := c.search(ctx, query{
				base: "<WKGUID=" + deletedObjects + "," + context + ">", scope: ldap.ScopeWholeSubtree, filter: filter,
				attributes: []string{noAttributes}, controls: []*asn1.Packet{bareControl(showDeletedOID)},
			})
			if err != nil {
				return false, 0, err
			}
			count += len(p.entries)
		}
	}
	return sees, count, nil
}
