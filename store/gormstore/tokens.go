package gormstore

import (
	"context"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// touchEvery is how exact a token's last use is. A write for every request would
// make each read of a client a write.
const touchEvery = time.Minute

// Tokens lists the tokens of an organization, or of one directory, newest first.
// Organization 0 means those of the whole instance.
func (r *reader) Tokens(ctx context.Context, org store.Key, directory *store.Key) ([]store.Token, error) {
	q := r.orm(ctx).Order("id DESC")
	if org == 0 {
		q = q.Where("org_id IS NULL")
	} else {
		q = q.Where("org_id = ?", org)
	}
	if directory != nil {
		q = q.Where("directory_id = ?", *directory)
	}
	var rows []tokenRow
	if err := q.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return records(rows), nil
}

// Token finds a token by ID.
func (r *reader) Token(ctx context.Context, org store.Key, id store.ID) (*store.Token, error) {
	if !store.ValidID(string(id)) {
		return nil, store.Errorf(store.CodeNotFound, "token %q does not exist", id)
	}
	var row tokenRow
	if err := r.orm(ctx).Where("public_id = ? AND coalesce(org_id, 0) = ?", id, org).Take(&row).Error; err != nil {
		return nil, notFound(err, "token", string(id))
	}
	t := row.record()
	return &t, nil
}

// TokenByHash finds a token by the SHA-256 of its secret.
func (r *reader) TokenByHash(ctx context.Context, hash []byte) (*store.Token, error) {
	var row tokenRow
	if err := r.orm(ctx).Where("hash = ?", hash).Take(&row).Error; err != nil {
		return nil, notFound(err, "token", "of this secret")
	}
	t := row.record()
	return &t, nil
}

// CreateToken writes a token.
func (t *tx) CreateToken(ctx context.Context, token *store.Token) error {
	row := newTokenRow(token)
	if err := t.orm(ctx).Create(row).Error; err != nil {
		if uniqueViolation(err) {
			return taken(err, "token", token.Name)
		}
		return fmt.Errorf("create token %q: %w", token.Name, err)
	}
	token.Key = row.ID
	return nil
}

// RevokeToken ends a token; one that is revoked already keeps its time.
func (t *tx) RevokeToken(ctx context.Context, org store.Key, id store.ID, now time.Time) error {
	if !store.ValidID(string(id)) {
		return store.Errorf(store.CodeNotFound, "token %q does not exist", id)
	}
	n, err := t.exec(ctx, "UPDATE token SET revoked_at = coalesce(revoked_at, ?) WHERE public_id = ? AND coalesce(org_id, 0) = ?", now, id, org)
	if err != nil {
		return fmt.Errorf("revoke token %q: %w", id, err)
	}
	if n == 0 {
		return store.Errorf(store.CodeNotFound, "token %q does not exist", id)
	}
	return nil
}

// TouchToken writes the last use, at most once a minute.
func (t *tx) TouchToken(ctx context.Context, key store.Key, now time.Time) error {
	_, err := t.exec(ctx, "UPDATE token SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ?)",
		now, key, now.Add(-touchEvery))
	if err != nil {
		return fmt.Errorf("write the last use of token %d: %w", key, err)
	}
	return nil
}
