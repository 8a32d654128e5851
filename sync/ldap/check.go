package ldap

import (
	"context"
	"fmt"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

// noAttributes asks for entries without attributes (RFC 4511 section 4.5.1.8).
const noAttributes = "1.1"

// Check tries the settings: it connects, encrypts, binds, looks at every base DN,
// and asks for a page of one user. Its errors say what to do.
func (s *Source) Check(ctx context.Context) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	for _, base := range s.bases {
		p, err := c.search(ctx, query{base: base, scope: ldap.ScopeBaseObject, filter: presence, attributes: []string{noAttributes}})
		if err != nil {
			return fmt.Errorf("look at base DN %s: %w", quoteDN(base), err)
		}
		if len(p.entries) != 1 {
			return &store.Error{Code: store.CodeInvalid, Field: "base_dns",
				Message: fmt.Sprintf("the base DN %s cannot be read", quoteDN(base)),
				Hint:    "check the base DN, and that the bind DN may read it"}
		}
	}
	p, err := c.search(ctx, query{base: s.bases[0], scope: ldap.ScopeWholeSubtree, filter: s.users.filter, attributes: []string{noAttributes}, size: 1})
	if err != nil {
		return err
	}
	if !p.paged {
		return &store.Error{Code: store.CodeInvalid, Message: "the LDAP server does not answer in pages",
			Hint: "the server must support paged results (RFC 2696)"}
	}
	return nil
}
