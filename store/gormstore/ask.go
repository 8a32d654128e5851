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

func (a *ask) collect(results pgx.BatchResults) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	return eachRow(rows, a.scan)
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
