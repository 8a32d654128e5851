package gormstore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/provost-scim/provost/store"
)

// Why grants changed by themselves, in the events that tell of it.
const (
	reasonInactive  = "rule 8: the user is inactive or deleted"
	reasonReturn    = "rule 7: who returns by name alone has no grants"
	reasonGroupLeft = "rule 9: the group is deleted or out of scope"
	reasonInScope   = "rule 9: the group is back"
)

// grantOf is one grant that came or went.
type grantOf struct {
	holder      store.Edge
	id          store.ID
	entitlement store.Key
}

// grants makes grants follow what was written (rules 7 to 10), and returns the events
// that tell of it. Roles that a new user begins with are told by its creation.
func (a *applier) grants(ctx context.Context) ([]store.Event, error) {
	if err := a.grantDefaults(ctx); err != nil {
		return nil, err
	}
	if err := a.grantLicences(ctx); err != nil {
		return nil, err
	}
	var events []store.Event
	add := func(list []store.Event, err error) error {
		events = append(events, list...)
		return err
	}
	ended, revived := map[store.Key]store.ID{}, map[store.Key]store.ID{}
	for i := range a.c.Users {
		u := &a.c.Users[i]
		switch {
		case u.Before == nil || u.Op == store.OpMark || u.Op == store.OpForget:
		case u.Op == store.OpRestore && u.Revived:
			revived[u.After.Key] = u.After.ID
		case a.c.UnassignLicences && !u.Before.Deleted() && (u.After.Deleted() || u.Before.Active() && !u.After.Active()):
			ended[u.After.Key] = u.After.ID
		}
	}
	if err := add(a.revokeUsers(ctx, revived, "", reasonReturn)); err != nil {
		return nil, err
	}
	if err := add(a.revokeUsers(ctx, ended, store.EntitlementLicence, reasonInactive)); err != nil {
		return nil, err
	}
	left, back := map[store.Key]store.ID{}, map[store.Key]store.ID{}
	for i := range a.c.Groups {
		g := &a.c.Groups[i]
		if g.Before == nil || g.Op == "" || g.Op == store.OpMark || g.Op == store.OpForget {
			continue
		}
		was, is := !g.Before.Deleted() && !g.Before.OutOfScope, !g.After.Deleted() && !g.After.OutOfScope
		switch {
		case was && !is:
			left[g.After.Key] = g.After.ID
		case !was && is && a.c.RestoreAccess:
			back[g.After.Key] = g.After.ID
		}
	}
	if err := add(a.suspend(ctx, left, true, store.EventGrantRemoved, reasonGroupLeft)); err != nil {
		return nil, err
	}
	if err := add(a.suspend(ctx, back, false, store.EventGrantAdded, reasonInScope)); err != nil {
		return nil, err
	}
	return events, nil
}

// grantDefaults gives new users the directory's default roles (rule 10).
func (a *applier) grantDefaults(ctx context.Context) error {
	if len(a.c.DefaultRoles) == 0 {
		return nil
	}
	var rows [][]any
	for i := range a.c.Users {
		if u := &a.c.Users[i]; u.Op == store.OpCreate {
			for r := range a.c.DefaultRoles {
				rows = append(rows, []any{a.c.Org, u.After.Key, a.c.DefaultRoles[r].Key, a.c.Now})
			}
		}
	}
	w := &writes{tx: a.tx, what: "grant default roles"}
	w.insert("user_grant", []string{"org_id", "user_id", "entitlement_id", "granted_at"}, rows)
	return w.flush(ctx)
}

// grantLicences gives new users licences, in the order of their keys as locks are taken.
func (a *applier) grantLicences(ctx context.Context) error {
	if len(a.c.NewLicences) == 0 {
		return nil
	}
	c := store.GrantChange{Org: a.c.Org, Now: a.c.Now}
	for i := range a.c.Users {
		if u := &a.c.Users[i]; u.Op == store.OpCreate && a.c.Licensed(&u.After) {
			c.Holders = append(c.Holders, store.Edge{Kind: store.KindUser, Key: u.After.Key})
		}
	}
	if len(c.Holders) == 0 {
		return nil
	}
	licences := slices.SortedFunc(slices.Values(a.c.NewLicences), func(x, y store.Entitlement) int { return cmp.Compare(x.Key, y.Key) })
	for i := range licences {
		c.Entitlement = &licences[i]
		if _, err := a.Grant(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// revokeUsers takes all grants of one kind (all kinds if empty) from users.
func (a *applier) revokeUsers(ctx context.Context, users map[store.Key]store.ID, kind store.EntitlementKind, reason string) ([]store.Event, error) {
	if len(users) == 0 {
		return nil, nil
	}
	f, arg := a.keys(sorted(users))
	query, args := "DELETE FROM user_grant WHERE org_id = ? AND user_id IN (SELECT v FROM "+f+" AS k)", []any{a.c.Org, arg}
	if kind != "" {
		query += " AND entitlement_id IN (SELECT id FROM entitlement WHERE org_id = ? AND kind = ?)"
		args = append(args, a.c.Org, string(kind))
	}
	list, err := collect(ctx, a.session, func(row scanner) (g grantOf, err error) {
		g.holder.Kind = store.KindUser
		err = row.Scan(&g.holder.Key, &g.entitlement)
		g.id = users[g.holder.Key]
		return g, err
	}, query+" RETURNING user_id, entitlement_id", args...)
	if err != nil || len(list) == 0 {
		return nil, wrap(err, "take grants from users")
	}
	if err := a.seatsBack(ctx, a.c.Org, list); err != nil {
		return nil, err
	}
	return a.grantEvents(ctx, a.c, store.EventGrantRemoved, reason, list)
}

// seatsBack returns the seats of those grants that were of licences.
func (t *tx) seatsBack(ctx context.Context, org store.Key, list []grantOf) error {
	seats := map[store.Key]int{}
	for _, g := range list {
		seats[g.entitlement]++
	}
	of, err := t.entitlementsOf(ctx, org, list)
	if err != nil {
		return err
	}
	for key := range seats {
		if of[key].Kind != store.EntitlementLicence {
			delete(seats, key)
		}
	}
	return t.returnSeats(ctx, org, seats)
}

// suspend takes product access from groups, or gives it back.
func (a *applier) suspend(ctx context.Context, groups map[store.Key]store.ID, away bool, event, reason string) ([]store.Event, error) {
	if len(groups) == 0 {
		return nil, nil
	}
	set, when, args := "NULL", "IS NOT NULL", []any{}
	if away {
		set, when, args = "?", "IS NULL", append(args, a.c.Now)
	}
	f, arg := a.keys(sorted(groups))
	list, err := collect(ctx, a.session, func(row scanner) (g grantOf, err error) {
		g.holder.Kind = store.KindGroup
		err = row.Scan(&g.holder.Key, &g.entitlement)
		g.id = groups[g.holder.Key]
		return g, err
	}, "UPDATE group_grant SET suspended_at = "+set+" WHERE org_id = ? AND suspended_at "+when+" AND group_id IN (SELECT v FROM "+f+
		" AS k) AND entitlement_id IN (SELECT id FROM entitlement WHERE org_id = ? AND kind = 'product') RETURNING group_id, entitlement_id",
		append(args, a.c.Org, arg, a.c.Org)...)
	if err != nil || len(list) == 0 {
		return nil, wrap(err, "change the product access of groups")
	}
	return a.grantEvents(ctx, a.c, event, reason, list)
}

// entitlementsOf reads the entitlements of grants.
func (t *tx) entitlementsOf(ctx context.Context, org store.Key, list []grantOf) (map[store.Key]store.Entitlement, error) {
	keys := map[store.Key]bool{}
	for _, g := range list {
		keys[g.entitlement] = true
	}
	f, arg := t.keys(sorted(keys))
	found, err := collect(ctx, t.session, scanEntitlement, "SELECT "+entitlementColumns+" FROM entitlement t WHERE t.org_id = ? AND t.id IN (SELECT v FROM "+f+" AS k)", org, arg)
	if err != nil {
		return nil, fmt.Errorf("read entitlements: %w", err)
	}
	out := make(map[store.Key]store.Entitlement, len(found))
	for i := range found {
		out[found[i].Key] = found[i]
	}
	return out, nil
}

// grantEvents tells of grants that came or went.
func (t *tx) grantEvents(ctx context.Context, c *store.ChangeSet, typ, reason string, list []grantOf) ([]store.Event, error) {
	of, err := t.entitlementsOf(ctx, c.Org, list)
	if err != nil {
		return nil, err
	}
	events := make([]store.Event, len(list))
	for i, g := range list {
		e := of[g.entitlement]
		data, err := json.Marshal(store.GrantData{Entitlement: store.EntitlementName{ID: e.ID, Kind: e.Kind, Name: e.Name}, Reason: reason})
		if err != nil {
			return nil, fmt.Errorf("tell of grants: %w", err)
		}
		events[i] = store.Event{
			ID: store.NewID(c.Now), Org: c.Org, Directory: c.Directory, Type: typ, Version: store.EventVersion,
			Kind: string(g.holder.Kind), Resource: g.id, Cause: c.Cause, Data: data, Time: c.Now,
		}
	}
	return events, nil
}
