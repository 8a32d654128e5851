package gormstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/provost-scim/provost/store"
)

// stampAtOnce bounds one stamping, during which other readers of the organization
// that find something to stamp wait.
const stampAtOnce = 5000

// Events lists events in the organization's order. On PostgreSQL that order is made
// here: writers commit in another order than they were given ids, so a cursor over
// ids would miss some. Whoever reads stamps what has been committed, under a lock.
func (r *reader) Events(ctx context.Context, q store.EventQuery) ([]store.Event, error) {
	q.Limit = bounded(q.Limit)
	if !r.e.postgres {
		return r.stamped(ctx, q)
	}
	for {
		// First, not last: otherwise an event that another reader stamps between our
		// look and our stamping would be missing from this answer.
		n, err := r.stamp(ctx, q.Org)
		if err != nil {
			return nil, fmt.Errorf("order events: %w", err)
		}
		list, err := r.stamped(ctx, q)
		if err != nil || len(list) == q.Limit || n < stampAtOnce {
			return list, err
		}
	}
}

// eventColumns are read by [scanEvent].
const eventColumns = "seq, public_id, org_id, directory_id, type, version, kind, resource, cause, data, time"

func (r *reader) stamped(ctx context.Context, q store.EventQuery) ([]store.Event, error) {
	query, args := listEvents(q)
	list, err := collect(ctx, r.session, scanEvent, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return list, nil
}

// listEvents is the query of stamped events. What an index finds in order is a branch of
// its own, limited like the whole: so a page costs the same wherever it is, and however
// many events fit.
func listEvents(q store.EventQuery) (query string, args []any) {
	where, whereArgs := selected(q)
	branches, branchArgs := branchesOf(q)
	if len(branches) == 1 {
		return "SELECT " + eventColumns + " FROM event WHERE " + where + branches[0] + " ORDER BY seq LIMIT ?", append(append(whereArgs, branchArgs[0]...), q.Limit)
	}
	for i, b := range branches {
		branches[i] = fmt.Sprintf("SELECT * FROM (SELECT %s FROM event WHERE %s%s ORDER BY seq LIMIT ?) AS b%d", eventColumns, where, b, i)
		args = append(append(append(args, whereArgs...), branchArgs[i]...), q.Limit)
	}
	return "SELECT " + eventColumns + " FROM (" + strings.Join(branches, " UNION ALL ") + ") AS e ORDER BY seq LIMIT ?", append(args, q.Limit)
}

// branchesOf are further conditions, no two of which hold of one event: the actor by its
// id or its name, or else each of the types.
func branchesOf(q store.EventQuery) (conditions []string, args [][]any) {
	switch {
	case q.Actor != "":
		return []string{" AND actor_id = ?", " AND actor_folded = ? AND actor_id <> ?"}, [][]any{{q.Actor}, {store.Fold(q.Actor), q.Actor}}
	case len(q.Types) > 0:
		types := store.MatchingEvents(q.Types)
		if len(types) == 0 {
			return []string{" AND type = ''"}, [][]any{nil} // none
		}
		for _, t := range types {
			conditions, args = append(conditions, " AND type = ?"), append(args, []any{t})
		}
		return conditions, args
	}
	return []string{""}, [][]any{nil}
}

// selected is the condition of a query of stamped events, apart from its branches.
func selected(q store.EventQuery) (where string, args []any) {
	where, args = "org_id = ? AND seq > ?", []any{q.Org, q.After}
	and := func(condition string, list ...any) {
		where += " AND " + condition
		args = append(args, list...)
	}
	if q.UpTo != 0 {
		and("seq <= ?", q.UpTo)
	}
	if q.Kind != "" {
		and("kind = ?", q.Kind)
	}
	if q.Resource != "" {
		and("resource = ?", q.Resource)
	}
	if q.Actor != "" && len(q.Types) > 0 {
		types := store.MatchingEvents(q.Types)
		list := make([]any, len(types))
		for i, t := range types {
			list[i] = t
		}
		and("type IN ('' "+strings.Repeat(", ?", len(types))+")", list...)
	}
	if !q.Since.IsZero() {
		and("time >= ?", q.Since)
	}
	if !q.Until.IsZero() {
		and("time < ?", q.Until)
	}
	return where, args
}

// LastEvent finds the end of the log. On SQLite the order is one for all
// organizations.
func (r *reader) LastEvent(ctx context.Context, org store.Key) (last int64, err error) {
	query, args := "SELECT coalesce(max(id), 0) FROM event", []any(nil)
	if r.e.postgres {
		for n := int64(stampAtOnce); n == stampAtOnce; {
			if n, err = r.stamp(ctx, org); err != nil {
				return 0, fmt.Errorf("order events: %w", err)
			}
		}
		query, args = "SELECT seq FROM event_head WHERE org_id = ?", []any{org}
	}
	if err := r.row(ctx, query, args...).Scan(&last); err != nil {
		return 0, fmt.Errorf("find the end of the log: %w", err)
	}
	return last, nil
}

func scanEvent(r scanner) (e store.Event, err error) {
	var data string
	err = r.Scan(&e.Cursor, &e.ID, &e.Org, scanKey(&e.Directory), &e.Type, &e.Version, &e.Kind, &e.Resource,
		scanJSON(&e.Cause), &data, scanTime(&e.Time))
	e.Data = json.RawMessage(data)
	return e, err
}

// stamp gives places in the order to committed events that have none, and returns to
// how many.
func (r *reader) stamp(ctx context.Context, org store.Key) (int64, error) {
	if err := r.writeTail(ctx); err != nil { // whoever reads in a transaction sees what it has appended
		return 0, err
	}
	unstamped, err := find(ctx, r.session, value[bool], "SELECT EXISTS (SELECT 1 FROM event WHERE org_id = ? AND seq IS NULL)", org)
	if err != nil || !unstamped {
		return 0, err
	}
	if r.inTx {
		return stampLocked(ctx, r.session, org)
	}
	begun, err := r.conn.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = begun.Rollback() }() // does nothing after a commit
	n, err := stampLocked(ctx, &session{e: r.e, q: begun, conn: r.conn, inTx: true}, org)
	if err != nil {
		return 0, err
	}
	return n, begun.Commit()
}

// stampLocked locks first and looks for events after, so that a statement sees all
// that was stamped before it.
func stampLocked(ctx context.Context, s *session, org store.Key) (int64, error) {
	if _, err := s.exec(ctx, "SELECT seq FROM event_head WHERE org_id = ? FOR UPDATE", org); err != nil {
		return 0, err
	}
	return s.exec(ctx, `WITH n AS (
			SELECT id, row_number() OVER (ORDER BY id) AS k
			FROM (SELECT id FROM event WHERE org_id = ? AND seq IS NULL ORDER BY id LIMIT ?) AS z
		), h AS (
			UPDATE event_head SET seq = seq + (SELECT count(*) FROM n) WHERE org_id = ?
			RETURNING seq - (SELECT count(*) FROM n) AS base
		)
		UPDATE event SET seq = h.base + n.k FROM n, h WHERE event.id = n.id`, org, stampAtOnce, org)
}

// Append writes events. It comes last in a transaction, so that they are given ids in
// an order that agrees with that of the locks on what they tell of.
func (t *tx) Append(ctx context.Context, events []store.Event) error {
	rows := make([][]any, len(events))
	var cause string
	for i, e := range events {
		if e.Time.IsZero() {
			e.Time = t.e.now()
		}
		if e.ID == "" {
			e.ID = store.NewID(e.Time)
		}
		if e.Version == 0 {
			e.Version = store.EventVersion
		}
		if len(e.Data) == 0 {
			e.Data = json.RawMessage("{}")
		}
		if i == 0 || e.Cause != events[i-1].Cause { // many have the same
			var err error
			if cause, err = jsonText(e.Cause); err != nil {
				return fmt.Errorf("append event %s: %w", e.Type, err)
			}
		}
		rows[i] = []any{
			e.ID, e.Org, nullKey(e.Directory), e.Type, e.Version, e.Kind, string(e.Resource), cause,
			e.Cause.Actor.ID, store.Fold(e.Cause.Actor.Name), e.Data, e.Time,
		}
	}
	t.logged = t.logged || len(events) > 0
	if t.e.postgres {
		t.tail = append(t.tail, rows...)
		return nil
	}
	return appending(t.copyRows(ctx, "event", appendedColumns, rows))
}
