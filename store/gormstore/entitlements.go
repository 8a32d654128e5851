package gormstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/provost-scim/provost/store"
)

// entitlementColumns are read by [scanEntitlement], from a table called t.
const entitlementColumns = `t.id, t.public_id, t.org_id, t.kind, t.name, t.description, t.seats, t.taken, t.revision, t.created_at, t.updated_at`

func scanEntitlement(r scanner) (e store.Entitlement, err error) {
	err = r.Scan(&e.Key, &e.ID, &e.Org, &e.Kind, &e.Name, &e.Description, &e.Seats, &e.Taken, &e.Revision,
		scanTime(&e.CreatedAt), scanTime(&e.UpdatedAt))
	return e, err
}

// Entitlements lists a page in the order of creation.
func (r *reader) Entitlements(ctx context.Context, q store.EntitlementQuery) (page store.Page[store.Entitlement], err error) {
	where, args := "t.org_id = ? AND t.id > ?", []any{q.Org, q.After}
	if q.Kind != "" {
		where, args = where+" AND t.kind = ?", append(args, string(q.Kind))
	}
	q.Limit = bounded(q.Limit)
	page.Items, err = collect(ctx, r.session, scanEntitlement,
		"SELECT "+entitlementColumns+" FROM entitlement t WHERE "+where+" ORDER BY t.id LIMIT ?", append(args, q.Limit+1)...)
	if err != nil {
		return page, fmt.Errorf("list entitlements: %w", err)
	}
	cutPage(&page, q.Limit)
	return page, nil
}

// cutPage takes the item too many, which was read to see whether there are more.
func cutPage[T any](p *store.Page[T], limit int) {
	if len(p.Items) > limit {
		p.Items, p.More = p.Items[:limit], true
	}
}

// Entitlement finds one by ID, or by kind and name.
func (r *reader) Entitlement(ctx context.Context, org store.Key, ref string) (*store.Entitlement, error) {
	where, args := "t.public_id = ?", []any{ref}
	if !store.ValidID(ref) {
		kind, name, _ := strings.Cut(ref, ":")
		where, args = "t.name_folded = ? AND t.kind = ?", []any{store.Fold(name), kind}
	}
	e, err := find(ctx, r.session, scanEntitlement,
		"SELECT "+entitlementColumns+" FROM entitlement t WHERE "+where+" AND t.org_id = ?", append(args, org)...)
	if err != nil {
		return nil, notFound(err, "entitlement", ref)
	}
	return &e, nil
}

// Roles finds roles by name.
func (r *reader) Roles(ctx context.Context, org store.Key, names []string) ([]store.Entitlement, error) {
	return r.roles(ctx, org, names)
}

func (s *session) roles(ctx context.Context, org store.Key, names []string) ([]store.Entitlement, error) {
	folded := make([]string, len(names))
	for i, name := range names {
		folded[i] = store.Fold(name)
	}
	f, arg := s.texts(folded)
	list, err := collect(ctx, s, scanEntitlement, "SELECT "+entitlementColumns+" FROM entitlement t WHERE t.name_folded IN (SELECT v FROM "+f+
		" AS k) AND t.kind = ? AND t.org_id = ? ORDER BY t.id", arg, string(store.EntitlementRole), org)
	if err != nil {
		return nil, fmt.Errorf("read roles: %w", err)
	}
	return list, nil
}

// CreateEntitlement fills Key.
func (t *tx) CreateEntitlement(ctx context.Context, e *store.Entitlement) error {
	e.Revision = 1
	key, err := find(ctx, t.session, value[store.Key],
		`INSERT INTO entitlement (org_id, public_id, kind, name, name_folded, description, seats, taken, revision, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, 0, 1, ?, ?) RETURNING id`,
		e.Org, e.ID, string(e.Kind), e.Name, store.Fold(e.Name), e.Description, seats(e), e.CreatedAt, e.UpdatedAt)
	if uniqueViolation(err) {
		return taken(err, string(e.Kind), e.Name)
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", e.Ref(), err)
	}
	e.Key = key
	return nil
}

func seats(e *store.Entitlement) any {
	if e.Seats == nil {
		return nil
	}
	return *e.Seats
}

// UpdateEntitlement writes description and seats.
func (t *tx) UpdateEntitlement(ctx context.Context, e *store.Entitlement) error {
	lock := ""
	if t.e.postgres {
		lock = " FOR NO KEY UPDATE OF t"
	}
	cur, err := find(ctx, t.session, scanEntitlement, "SELECT "+entitlementColumns+" FROM entitlement t WHERE t.org_id = ? AND t.id = ?"+lock, e.Org, e.Key)
	if err != nil {
		return notFound(err, "entitlement", e.Ref())
	}
	if cur.Revision != e.Revision {
		return &store.Error{Code: store.CodeStale, Message: e.Ref() + " was changed by others meanwhile", Hint: "read it again and repeat the change"}
	}
	if e.Seats != nil && *e.Seats < cur.Taken {
		return &store.Error{
			Code: store.CodeConflict, Field: "seats", Message: fmt.Sprintf("%d seats of %s are taken, more than %d", cur.Taken, e.Ref(), *e.Seats),
			Hint: "revoke some first",
		}
	}
	_, err = t.exec(ctx, "UPDATE entitlement SET description = ?, seats = ?, revision = revision + 1, updated_at = ? WHERE org_id = ? AND id = ?",
		e.Description, seats(e), e.UpdatedAt, e.Org, e.Key)
	if err != nil {
		return fmt.Errorf("update %s: %w", e.Ref(), err)
	}
	e.Revision++
	return nil
}

// DeleteEntitlement deletes it, and every grant of it with it.
func (t *tx) DeleteEntitlement(ctx context.Context, org, entitlement store.Key) error {
	n, err := t.exec(ctx, "DELETE FROM entitlement WHERE org_id = ? AND id = ?", org, entitlement)
	if err != nil {
		return fmt.Errorf("delete entitlement %d: %w", entitlement, err)
	}
	if n == 0 {
		return store.Errorf(store.CodeNotFound, "entitlement %d does not exist", entitlement)
	}
	return nil
}
