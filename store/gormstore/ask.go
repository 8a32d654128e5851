package gormstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ask is one of several queries that are read together.
type ask struct {
	what  string // for errors: "lock the groups"
	query string
	args  []any
	each  func(scanner) error // nil: the rows are not looked at
}

// read runs queries in order and hands their rows out; on PostgreSQL in one round
// trip. Each sees what was committed, and locked, before it began. One that waits
// for a lock with NOWAIT is a [race].
func (s *session) read(ctx context.Context, list ...ask) error {
	if s.e.postgres && (len(list) > 1 || s.unbegun) {
		return s.batch(ctx, nil, list...)
	}
	for i := range list {
		if err := s.each(ctx, list[i].scan, list[i].query, list[i].args...); err != nil {
			return list[i].fail(err)
		}
	}
	return nil
}

// stream is read of one query with very many rows, which on PostgreSQL come faster
// without database/sql.
func (s *session) stream(ctx context.Context, a ask) error {
	if !s.e.postgres {
		return s.each(ctx, a.scan, a.query, a.args...)
	}
	return s.pgx(ctx, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, s.e.rebind(a.query), s.e.arguments(a.args)...)
		if err != nil {
			return err
		}
		return a.take(rows)
	})
}

func (a *ask) collect(results pgx.BatchResults) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	return a.take(rows)
}

func (a *ask) take(rows pgx.Rows) error {
	defer rows.Close()
	for rows.Next() {
		if err := a.scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (a *ask) scan(r scanner) error {
	if a.each == nil {
		return nil
	}
	return a.each(r)
}

func (a *ask) fail(err error) error {
	if lockNotAvailable(err) {
		return race("%s: another transaction holds it", a.what)
	}
	return fmt.Errorf("%s: %w", a.what, err)
}
