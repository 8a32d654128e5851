package gormstore

import (
	"context"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// activeUser is the condition that the user u is active as published (rule 7).
const activeUser = "u.deleted_at IS NULL AND u.stated AND u.enabled AND NOT u.out_of_scope"

// Grants lists what a record holds.
func (r *reader) Grants(ctx context.Context, q store.GrantQuery) (page store.Page[store.Grant], err error) {
	q.Limit = bounded(q.Limit)
	query := `SELECT t.id, t.public_id, t.kind, t.name, 0, '', '', h.granted_at, h.suspended_at FROM group_grant h
		JOIN entitlement t ON t.org_id = h.org_id AND t.id = h.entitlement_id
		WHERE h.group_id = ? AND h.org_id = ? AND t.id > ? ORDER BY t.id LIMIT ?`
	args := []any{q.Record.Key, q.Org, q.After.Entitlement, q.Limit + 1}
	if q.Record.Kind == store.KindUser {
		query = `SELECT t.id, t.public_id, t.kind, t.name, x.via, x.via_id, x.via_name, x.granted_at, NULL FROM (
				SELECT h.entitlement_id AS entitlement, 0 AS via, '' AS via_id, '' AS via_name, h.granted_at
					FROM user_grant h WHERE h.user_id = ? AND h.org_id = ?
				UNION ALL SELECT h.entitlement_id, g.id, CAST(g.public_id AS text), g.display_name, h.granted_at
					FROM effective e JOIN group_grant h ON h.group_id = e.group_id AND h.suspended_at IS NULL
					JOIN groups g ON g.org_id = h.org_id AND g.id = h.group_id AND g.deleted_at IS NULL
					WHERE e.user_id = ? AND e.published AND h.org_id = ?
			) AS x JOIN entitlement t ON t.org_id = ? AND t.id = x.entitlement
			WHERE t.id > ? OR (t.id = ? AND x.via > ?) ORDER BY t.id, x.via LIMIT ?`
		after := q.After
		if after == (store.GrantPlace{}) {
			after.Via = -1
		}
		args = []any{q.Record.Key, q.Org, q.Record.Key, q.Org, q.Org, after.Entitlement, after.Entitlement, after.Via, q.Limit + 1}
	}
	page.Items, err = collect(ctx, r.session, func(row scanner) (g store.Grant, err error) {
		e := &g.Entitlement
		err = row.Scan(&e.Key, &e.ID, &e.Kind, &e.Name, &g.Via, &g.ViaID, &g.ViaName, scanTime(&g.GrantedAt), scanTime(&g.SuspendedAt))
		e.Org = q.Org
		return g, err
	}, query, args...)
	if err != nil {
		return page, fmt.Errorf("list grants: %w", err)
	}
	cutPage(&page, q.Limit)
	return page, nil
}

// Holders lists who holds an entitlement itself.
func (r *reader) Holders(ctx context.Context, q store.HolderQuery) (page store.Page[store.Holder], err error) {
	q.Limit = bounded(q.Limit)
	list := func(kind store.Kind, query string, after store.Key) error {
		more, err := collect(ctx, r.session, func(row scanner) (h store.Holder, err error) {
			h.Kind, h.Direct = kind, true
			var shown struct {
				DisplayName string `json:"displayName"`
			}
			if kind == store.KindUser {
				err = row.Scan(&h.Key, &h.ID, &h.UserName, scanJSON(&shown), scanTime(&h.GrantedAt))
				h.DisplayName = shown.DisplayName
			} else {
				err = row.Scan(&h.Key, &h.ID, &h.DisplayName, scanTime(&h.GrantedAt), scanTime(&h.SuspendedAt))
			}
			return h, err
		}, query, q.Entitlement, q.Org, after, q.Limit+1-len(page.Items))
		page.Items = append(page.Items, more...)
		return err
	}
	if q.After.Kind != store.KindGroup {
		err = list(store.KindUser, `SELECT u.id, u.public_id, u.user_name, u.attributes, h.granted_at
			FROM user_grant h JOIN users u ON u.org_id = h.org_id AND u.id = h.user_id
			WHERE h.entitlement_id = ? AND h.org_id = ? AND h.user_id > ? AND u.deleted_at IS NULL ORDER BY h.user_id LIMIT ?`, q.After.Key)
		q.After = store.Edge{Kind: store.KindGroup}
	}
	if err == nil && len(page.Items) <= q.Limit {
		err = list(store.KindGroup, `SELECT g.id, g.public_id, g.display_name, h.granted_at, h.suspended_at
			FROM group_grant h JOIN groups g ON g.org_id = h.org_id AND g.id = h.group_id
			WHERE h.entitlement_id = ? AND h.org_id = ? AND h.group_id > ? AND g.deleted_at IS NULL ORDER BY h.group_id LIMIT ?`, q.After.Key)
	}
	if err != nil {
		return page, fmt.Errorf("list holders: %w", err)
	}
	cutPage(&page, q.Limit)
	return page, nil
}

// Billable counts the active published users of groups with product access.
func (r *reader) Billable(ctx context.Context, org store.Key) (*store.Billable, error) {
	const from = ` FROM group_grant h JOIN entitlement t ON t.org_id = h.org_id AND t.id = h.entitlement_id AND t.kind = 'product'
		JOIN groups g ON g.org_id = h.org_id AND g.id = h.group_id AND g.deleted_at IS NULL
		JOIN effective e ON e.group_id = h.group_id AND e.published
		JOIN users u ON u.org_id = h.org_id AND u.id = e.user_id AND ` + activeUser + ` WHERE h.org_id = ? AND h.suspended_at IS NULL`
	out := &store.Billable{}
	var err error
	if out.Users, err = find(ctx, r.session, value[int], "SELECT count(DISTINCT e.user_id)"+from, org); err != nil {
		return nil, fmt.Errorf("count billable users: %w", err)
	}
	out.Products, err = collect(ctx, r.session, func(row scanner) (p store.ProductUsers, err error) {
		e := &p.Product
		e.Org = org
		err = row.Scan(&e.Key, &e.ID, &e.Kind, &e.Name, &p.Users)
		return p, err
	}, "SELECT t.id, t.public_id, t.kind, t.name, count(DISTINCT e.user_id)"+from+" GROUP BY t.id, t.public_id, t.kind, t.name ORDER BY t.id", org)
	if err != nil {
		return nil, fmt.Errorf("count the users of products: %w", err)
	}
	return out, nil
}

// Grant grants to those who do not hold it.
func (t *tx) Grant(ctx context.Context, c store.GrantChange) ([]store.Edge, error) {
	users, groups := byKind(c.Holders)
	var granted []store.Edge
	if len(users) > 0 {
		list, err := t.grantUsers(ctx, &c, users)
		if err != nil {
			return nil, err
		}
		granted = list
	}
	if len(groups) > 0 {
		f, arg := t.keys(groups)
		list, err := collect(ctx, t.session, edgeTo(store.KindGroup), `INSERT INTO group_grant (org_id, group_id, entitlement_id, granted_at)
			SELECT g.org_id, g.id, CAST(? AS bigint), CAST(? AS `+t.e.momentType()+`) FROM groups g WHERE g.org_id = ? AND g.id IN (SELECT v FROM `+f+` AS k) AND g.deleted_at IS NULL
			ON CONFLICT (group_id, entitlement_id) DO UPDATE SET granted_at = excluded.granted_at, suspended_at = NULL
				WHERE group_grant.suspended_at IS NOT NULL RETURNING group_id`,
			c.Entitlement.Key, c.Now, c.Org, arg)
		if err != nil {
			return nil, fmt.Errorf("grant %s to groups: %w", c.Entitlement.Ref(), err)
		}
		granted = append(granted, list...)
	}
	return granted, nil
}

func (t *tx) grantUsers(ctx context.Context, c *store.GrantChange, users []store.Key) ([]store.Edge, error) {
	f, arg := t.keys(users)
	list, err := collect(ctx, t.session, edgeTo(store.KindUser), `INSERT INTO user_grant (org_id, user_id, entitlement_id, granted_at)
		SELECT u.org_id, u.id, CAST(? AS bigint), CAST(? AS `+t.e.momentType()+`) FROM users u WHERE u.org_id = ? AND u.id IN (SELECT v FROM `+f+` AS k) AND u.deleted_at IS NULL
		ON CONFLICT (user_id, entitlement_id) DO NOTHING RETURNING user_id`, c.Entitlement.Key, c.Now, c.Org, arg)
	if err != nil {
		return nil, fmt.Errorf("grant %s to users: %w", c.Entitlement.Ref(), err)
	}
	if len(list) == 0 || c.Entitlement.Kind != store.EntitlementLicence {
		return list, nil
	}
	n, err := t.exec(ctx, "UPDATE entitlement SET taken = taken + ? WHERE org_id = ? AND id = ? AND (seats IS NULL OR taken + ? <= seats)",
		len(list), c.Org, c.Entitlement.Key, len(list))
	if err != nil {
		return nil, fmt.Errorf("take seats of %s: %w", c.Entitlement.Ref(), err)
	}
	if n == 0 {
		return nil, &store.Error{
			Code: store.CodeConflict, Message: fmt.Sprintf("%s has not enough free seats for %d more", c.Entitlement.Ref(), len(list)),
			Resource: c.Entitlement.Ref(), Hint: "revoke some, or give it more seats",
		}
	}
	return list, nil
}

// Revoke takes an entitlement from those who hold it.
func (t *tx) Revoke(ctx context.Context, c store.GrantChange) ([]store.Edge, error) {
	users, groups := byKind(c.Holders)
	var revoked []store.Edge
	for kind, keys := range map[store.Kind][]store.Key{store.KindUser: users, store.KindGroup: groups} {
		if len(keys) == 0 {
			continue
		}
		table, column := "user_grant", "user_id"
		if kind == store.KindGroup {
			table, column = "group_grant", "group_id"
		}
		f, arg := t.keys(keys)
		list, err := collect(ctx, t.session, edgeTo(kind), "DELETE FROM "+table+" WHERE org_id = ? AND entitlement_id = ? AND "+column+
			" IN (SELECT v FROM "+f+" AS k) RETURNING "+column, c.Org, c.Entitlement.Key, arg)
		if err != nil {
			return nil, fmt.Errorf("revoke %s: %w", c.Entitlement.Ref(), err)
		}
		if kind == store.KindUser && c.Entitlement.Kind == store.EntitlementLicence {
			if err := t.returnSeats(ctx, c.Org, map[store.Key]int{c.Entitlement.Key: len(list)}); err != nil {
				return nil, err
			}
		}
		revoked = append(revoked, list...)
	}
	return revoked, nil
}

// returnSeats gives seats back to the pools of licences.
func (s *session) returnSeats(ctx context.Context, org store.Key, seats map[store.Key]int) error {
	for _, key := range sorted(seats) { // in one order, as each locks its row
		if seats[key] == 0 {
			continue
		}
		if _, err := s.exec(ctx, "UPDATE entitlement SET taken = taken - ? WHERE org_id = ? AND id = ?", seats[key], org, key); err != nil {
			return fmt.Errorf("return seats: %w", err)
		}
	}
	return nil
}

func byKind(edges []store.Edge) (users, groups []store.Key) {
	for _, e := range edges {
		if e.Kind == store.KindUser {
			users = append(users, e.Key)
		} else {
			groups = append(groups, e.Key)
		}
	}
	return users, groups
}

func edgeTo(kind store.Kind) func(scanner) (store.Edge, error) {
	return func(row scanner) (store.Edge, error) {
		e := store.Edge{Kind: kind}
		err := row.Scan(&e.Key)
		return e, err
	}
}

// RestoreAccess lifts suspensions when everything of the directory is in scope again.
func (t *tx) RestoreAccess(ctx context.Context, org, directory store.Key, now time.Time, cause store.Cause) error {
	list, err := collect(ctx, t.session, scanGroupGrant, restoreAccess, org, directory, org, directory)
	if err != nil || len(list) == 0 {
		return wrap(err, "restore product access")
	}
	events, err := t.grantEvents(ctx, &store.ChangeSet{Org: org, Directory: directory, Now: now, Cause: cause}, store.EventGrantAdded, reasonInScope, list)
	if err != nil {
		return err
	}
	return t.Append(ctx, events)
}

// restoreAccess begins with what is suspended, which is little.
const restoreAccess = `UPDATE group_grant SET suspended_at = NULL
		WHERE org_id = ? AND suspended_at IS NOT NULL
			AND EXISTS (SELECT 1 FROM groups g WHERE g.org_id = group_grant.org_id AND g.id = group_grant.group_id AND g.directory_id = ? AND g.deleted_at IS NULL)
			AND NOT EXISTS (SELECT 1 FROM groups o WHERE o.org_id = ? AND o.directory_id = ? AND o.deleted_at IS NULL AND o.out_of_scope)
		RETURNING group_id, entitlement_id, (SELECT g.public_id FROM groups g WHERE g.org_id = group_grant.org_id AND g.id = group_grant.group_id)`

func scanGroupGrant(r scanner) (g grantOf, err error) {
	g.holder.Kind = store.KindGroup
	err = r.Scan(&g.holder.Key, &g.entitlement, &g.id)
	return g, err
}

func wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
