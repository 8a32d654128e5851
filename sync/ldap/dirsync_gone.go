package ldap

import (
	"context"
	"fmt"

	asn1 "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// deletedObjects is the well-known GUID of the container that holds the tombstones of
// a naming context ([MS-ADTS] section 6.1.1.4).
const deletedObjects = "18E2EA80684F11D2B9AA00C04F79F805"

// tellGone makes sure that what was deleted is known. DirSync tells of a tombstone who
// may see it, and an ordinary account may not list the container of tombstones: then
// the ids of all users and groups are listed instead, and those that are stored and
// not listed are looked up.
func (f *Following) tellGone(ctx context.Context, context string) (why string, err error) {
	sees, err := f.s.seesTombstones(ctx, f.c, context)
	if err != nil || sees {
		return "", err
	}
	return f.list(ctx)
}

// seesTombstones reports whether the account sees at least one tombstone: whoever may
// list their container sees them all. If there is none, nobody can say.
func (s *Source) seesTombstones(ctx context.Context, c *conn, context string) (bool, error) {
	filter, err := ldap.CompileFilter("(" + attrIsDeleted + "=TRUE)")
	if err != nil {
		return false, err
	}
	p, err := c.search(ctx, query{
		base: "<WKGUID=" + deletedObjects + "," + context + ">", scope: ldap.ScopeSingleLevel, filter: filter,
		attributes: []string{noAttributes}, size: 1, controls: []*asn1.Packet{bareControl(showDeletedOID)},
	})
	if goneNow(err) || forbidden(err) {
		return false, nil
	}
	return err == nil && len(p.entries) > 0, err
}

// list notes which users and groups are there. Each base DN is listed once, whichever
// of its naming contexts does not tell of deletions.
func (f *Following) list(ctx context.Context) (why string, err error) {
	if f.present != nil {
		return "", nil
	}
	f.present = map[string]map[uuid]struct{}{}
	filter := f.s.either()
	for _, base := range f.s.bases {
		present := map[uuid]struct{}{}
		q := query{base: base, scope: ldap.ScopeWholeSubtree, filter: filter, attributes: []string{f.s.idAttribute}, size: f.s.pageSize}
		for {
			p, err := f.c.search(ctx, q)
			if err != nil {
				return "", err
			}
			if err := f.s.checkReferences(p); err != nil {
				return "", err
			}
			if !p.paged {
				return "the LDAP server ignored the request for pages", nil
			}
			for _, e := range p.entries {
				u, ok := parseUUID(f.s.idOf(e))
				if !ok { // it would look like one that was deleted
					return fmt.Sprintf("the %s of %s cannot be read", f.s.idAttribute, quoteDN(e.dn)), nil
				}
				present[u] = struct{}{}
			}
			if p.cookie == "" {
				break
			}
			q.cookie = p.cookie
		}
		f.present[base] = present
	}
	return "", nil
}

// bareControl is a critical control without a value.
func bareControl(oid string) *asn1.Packet {
	c := asn1.NewSequence("")
	c.AppendChild(octets(oid))
	c.AppendChild(asn1.NewLDAPBoolean(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagBoolean, true, ""))
	return c
}
