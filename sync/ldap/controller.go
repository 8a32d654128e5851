package ldap

import (
	"context"
	"strconv"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

// controller is what a domain controller says of itself.
type controller struct {
	// invocation identifies its database. It is another one after a restore: what it
	// counted since means something else then.
	invocation string
	usn        int64  // how far it has counted its changes
	schema     string // DN of the schema
}

// controllerOf asks the domain controller at the other end. What it does not show is
// an error of [store.CodeInvalid].
func (s *Source) controllerOf(ctx context.Context, c *conn) (*controller, error) {
	const service, counted, schema = "dsServiceName", "highestCommittedUSN", "schemaNamingContext"
	root, err := c.search(ctx, query{base: "", scope: ldap.ScopeBaseObject, filter: presence, attributes: []string{service, counted, schema}})
	if err != nil {
		return nil, err
	}
	var values [3]string
	for i, name := range []string{service, counted, schema} {
		found := valuesOf(root, name)
		if len(found) != 1 {
			return nil, store.Errorf(store.CodeInvalid, "the LDAP server shows no %s, by which a domain controller is recognised", name)
		}
		values[i] = found[0]
	}
	usn, err := strconv.ParseInt(values[1], 10, 64)
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the LDAP server's %s is no number", counted)
	}
	p, err := c.search(ctx, query{base: values[0], scope: ldap.ScopeBaseObject, filter: presence, attributes: []string{"invocationId"}})
	if err != nil && !goneNow(err) && !forbidden(err) {
		return nil, err
	}
	if p == nil {
		p = &page{}
	}
	ids := valuesOf(p, "invocationId")
	if len(ids) != 1 || len(ids[0]) != len(uuid{}) {
		return nil, store.Errorf(store.CodeInvalid, "%s shows no invocationId, by which a domain controller is recognised: the bind DN may not read it", quoteDN(values[0]))
	}
	return &controller{invocation: guidText(ids[0]), usn: usn, schema: values[2]}, nil
}
