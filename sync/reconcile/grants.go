package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// Holder names who is granted something: a user or a group, by id or name.
type Holder struct {
	Kind store.Kind
	Ref  string
}

// Grant gives an entitlement to a user or a group, by an administrator's decision, and
// reports whether it did not hold it. A role can be held by both, a licence by users,
// and access to a product by groups; the rules 8 and 9 refuse what they would take
// away again.
func (r *Reconciler) Grant(ctx context.Context, org store.Key, entitlement string, to Holder, cause store.Cause) (*store.Entitlement, bool, error) {
	return r.decide(ctx, org, entitlement, to, cause, true)
}

// Revoke takes an entitlement from a user or a group, and reports whether it held it.
// What a user holds by a group is the group's.
func (r *Reconciler) Revoke(ctx context.Context, org store.Key, entitlement string, from Holder, cause store.Cause) (*store.Entitlement, bool, error) {
	return r.decide(ctx, org, entitlement, from, cause, false)
}

func (r *Reconciler) decide(ctx context.Context, org store.Key, entitlement string, who Holder, cause store.Cause, give bool) (e *store.Entitlement, changed bool, err error) {
	err = r.store.Update(ctx, func(tx store.Tx) error {
		var err error
		if e, err = tx.Entitlement(ctx, org, entitlement); err != nil {
			return err
		}
		h, err := r.holder(ctx, tx, org, who)
		if err != nil {
			return err
		}
		c := store.GrantChange{Org: org, Entitlement: e, Holders: []store.Edge{h.edge}, Now: r.clock().UTC().Truncate(time.Microsecond)}
		change, typ := tx.Revoke, store.EventGrantRemoved
		if give {
			if err := h.mayHold(e); err != nil {
				return err
			}
			change, typ = tx.Grant, store.EventGrantAdded
		}
		list, err := change(ctx, c)
		if changed = len(list) > 0; err != nil || !changed {
			return err
		}
		data, err := json.Marshal(store.GrantData{Entitlement: store.EntitlementName{ID: e.ID, Kind: e.Kind, Name: e.Name}})
		if err != nil {
			return fmt.Errorf("tell of a grant: %w", err)
		}
		return tx.Append(ctx, []store.Event{{
			Org: org, Directory: h.owner, Type: typ, Version: store.EventVersion, Kind: string(who.Kind), Resource: h.id,
			Cause: cause, Data: data, Time: c.Now,
		}})
	})
	return e, changed, err
}

// grantee is who is to hold something, as it is under the transaction's locks.
type grantee struct {
	edge       store.Edge
	id         store.ID
	owner      store.Key
	name       string
	inactive   bool // of a user: and its directory unassigns licences
	outOfScope bool // of a group
}

// holder finds and locks a record.
func (r *Reconciler) holder(ctx context.Context, tx store.Tx, org store.Key, who Holder) (*grantee, error) {
	h := &grantee{edge: store.Edge{Kind: who.Kind}}
	scope := store.Scope{Org: org}
	var record store.RecordKey
	if who.Kind == store.KindUser {
		u, err := tx.User(ctx, org, who.Ref)
		if err != nil {
			return nil, err
		}
		record, h.owner, scope.Directory = store.RecordKey{ID: u.ID}, u.Directory, u.Directory
		scope.Users = []store.RecordKey{record}
	} else {
		g, err := tx.Group(ctx, org, who.Ref)
		if err != nil {
			return nil, err
		}
		record, h.owner, scope.Directory = store.RecordKey{ID: g.ID}, g.Directory, g.Directory
		scope.Groups = []store.GroupScope{{Record: record}}
	}
	h.id = record.ID
	have, err := tx.Load(ctx, scope)
	if err != nil {
		return nil, err
	}
	switch u, g := have.Users[record], have.Groups[record]; {
	case u != nil:
		h.edge.Key, h.name = u.Key, u.Attributes.UserName
		h.inactive = !u.Active() && have.Directory != nil && have.Directory.Settings.UnassignLicences
	case g != nil:
		h.edge.Key, h.name, h.outOfScope = g.Key, g.DisplayName, g.OutOfScope
	default: // deleted, or claimed by a directory, since it was found
		return nil, store.Errorf(store.CodeStale, "the %s %q was changed by others at the same time", nounOf(who.Kind), who.Ref)
	}
	return h, nil
}

// mayHold refuses what no record of its kind holds, and what a rule would take away.
func (h *grantee) mayHold(e *store.Entitlement) error {
	refuse := func(code store.Code, hint, format string, args ...any) error {
		err := store.Errorf(code, format, args...)
		err.Resource, err.Hint = e.Ref(), hint
		return err
	}
	switch {
	case e.Kind == store.EntitlementLicence && h.edge.Kind != store.KindUser:
		return refuse(store.CodeInvalid, "grant it to users", "a licence is held by users, not by groups")
	case e.Kind == store.EntitlementProduct && h.edge.Kind != store.KindGroup:
		return refuse(store.CodeInvalid, "grant it to a group of the user", "access to a product is held by groups, not by users")
	case e.Kind == store.EntitlementLicence && h.inactive:
		return refuse(store.CodeConflict, "", "the user %s is inactive, and its directory unassigns the licences of inactive users", h.name)
	case e.Kind == store.EntitlementProduct && h.outOfScope:
		return refuse(store.CodeConflict, "bring it back into the scope first", "the group %s is out of its directory's scope and has no access to products", h.name)
	}
	return nil
}
