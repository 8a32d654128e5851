package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

func scanScopeEntry(r scanner) (s store.ScopeEntry, err error) {
	err = r.Scan(&s.Key, &s.Kind, &s.ExternalID, &s.Name, scanTime(&s.JoinedAt))
	return s, err
}

const scopeColumns = "id, kind, external_id, name, joined_at"

// ScopeEntries lists what imports have put in a scope.
func (r *reader) ScopeEntries(ctx context.Context, q store.ScopeQuery) ([]store.ScopeEntry, error) {
	list, err := collect(ctx, r.session, scanScopeEntry,
		"SELECT "+scopeColumns+" FROM scope_entry WHERE org_id = ? AND directory_id = ? AND id > ? ORDER BY id LIMIT ?",
		q.Org, q.Directory, q.After, bounded(q.Limit))
	if err != nil {
		return nil, fmt.Errorf("list what imports have put in the scope: %w", err)
	}
	return list, nil
}

// JoinScope writes entries that are not there yet.
func (t *tx) JoinScope(ctx context.Context, org, directory store.Key, entries []store.ScopeEntry, now time.Time) error {
	if len(entries) == 0 {
		return nil
	}
	rows := make([][]any, len(entries))
	for i, s := range entries {
		rows[i] = []any{org, directory, string(s.Kind), s.ExternalID, s.Name, now}
	}
	err := t.insertRows(ctx, "scope_entry", []string{"org_id", "directory_id", "kind", "external_id", "name", "joined_at"}, rows,
		" ON CONFLICT (directory_id, external_id, kind) DO NOTHING")
	if err != nil {
		return fmt.Errorf("put %d entries in the scope: %w", len(entries), err)
	}
	return nil
}

// LeaveScope deletes an entry.
func (t *tx) LeaveScope(ctx context.Context, org, directory store.Key, externalID string, now time.Time) (*store.ScopeEntry, error) {
	s, err := find(ctx, t.session, scanScopeEntry,
		"DELETE FROM scope_entry WHERE org_id = ? AND directory_id = ? AND external_id = ? RETURNING "+scopeColumns, org, directory, externalID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, store.Errorf(store.CodeNotFound, "no import has put %q in the scope of the directory", externalID)
	}
	if err == nil {
		_, err = t.exec(ctx, "UPDATE directory SET revision = revision + 1, updated_at = ? WHERE org_id = ? AND id = ?", now, org, directory)
	}
	if err != nil {
		return nil, fmt.Errorf("take %q out of the scope: %w", externalID, err)
	}
	return &s, nil
}
