package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// ClaimIdempotencyKey inserts the key. On PostgreSQL it waits for a transaction that is
// just inserting the same one, and then sees its row.
func (t *tx) ClaimIdempotencyKey(ctx context.Context, k *store.IdempotencyKey) (*store.IdempotencyKey, error) {
	n, err := t.exec(ctx, "INSERT INTO idempotency_key (key_hash, org_id, request_hash, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		k.Hash, k.Org, k.Request, k.CreatedAt)
	if err != nil {
		return nil, fmt.Errorf("claim an idempotency key: %w", err)
	}
	if n == 1 {
		return nil, nil
	}
	earlier, err := find(ctx, t.session, func(r scanner) (store.IdempotencyKey, error) {
		e := store.IdempotencyKey{Org: k.Org, Hash: k.Hash}
		err := r.Scan(&e.Request, &e.Status, scanJSON(&e.Header), &e.Body, scanTime(&e.CreatedAt))
		return e, err
	}, "SELECT request_hash, status, header, body, created_at FROM idempotency_key WHERE key_hash = ? AND org_id = ?", k.Hash, k.Org)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, race("the idempotency key was given up at this moment")
	}
	if err != nil {
		return nil, fmt.Errorf("read an idempotency key: %w", err)
	}
	return &earlier, nil
}

// AnswerIdempotencyKey keeps an answer.
func (t *tx) AnswerIdempotencyKey(ctx context.Context, k *store.IdempotencyKey) error {
	header, err := jsonText(k.Header)
	if err != nil {
		return fmt.Errorf("keep the answer of an idempotency key: %w", err)
	}
	n, err := t.exec(ctx, "UPDATE idempotency_key SET status = ?, header = ?, body = ? WHERE key_hash = ? AND org_id = ? AND status = 0",
		k.Status, header, k.Body, k.Hash, k.Org)
	if err != nil {
		return fmt.Errorf("keep the answer of an idempotency key: %w", err)
	}
	if n == 0 {
		return store.Errorf(store.CodeNotFound, "the idempotency key is not claimed, or is answered already")
	}
	return nil
}

// ReleaseIdempotencyKey deletes a key without an answer.
func (t *tx) ReleaseIdempotencyKey(ctx context.Context, k *store.IdempotencyKey) error {
	if _, err := t.exec(ctx, "DELETE FROM idempotency_key WHERE key_hash = ? AND org_id = ? AND status = 0", k.Hash, k.Org); err != nil {
		return fmt.Errorf("give up an idempotency key: %w", err)
	}
	return nil
}

// PurgeIdempotencyKeys deletes old keys; one that another purge holds is left to it.
func (t *tx) PurgeIdempotencyKeys(ctx context.Context, before time.Time, limit int) (int, error) {
	lock := ""
	if t.e.postgres {
		lock = " FOR UPDATE SKIP LOCKED"
	}
	n, err := t.exec(ctx, "DELETE FROM idempotency_key WHERE (key_hash, org_id) IN (SELECT key_hash, org_id FROM idempotency_key WHERE created_at < ? ORDER BY created_at LIMIT ?"+lock+")",
		before, bounded(limit))
	if err != nil {
		return 0, fmt.Errorf("purge idempotency keys: %w", err)
	}
	return int(n), nil
}
