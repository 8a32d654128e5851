package gormstore

import (
	"context"
	"sync"
)

// How much a table has to grow to be analysed again: by so many rows, and by so many
// times what it held when it was last analysed.
const (
	analyzeRows  = 500
	analyzeTimes = 3
)

// statistics remembers how much tables of PostgreSQL have grown since they were
// analysed. Autovacuum looks once a minute; in that time a first pull writes all of a
// directory, and a planner that believes its tables to be all but empty joins lists
// of thousands in loops.
type statistics struct {
	mu     sync.Mutex
	tables map[string]*growth
}

type growth struct {
	known int64 // rows when the table was last analysed
	added int64
}

// grew notes rows that the session has added to a table.
func (s *session) grew(table string, rows int) {
	if s.e.statistics == nil || rows == 0 {
		return
	}
	if s.grown == nil {
		s.grown = map[string]int{}
	}
	s.grown[table] += rows
}

// analyze refreshes the statistics of tables that have outgrown them, after the
// session's transaction has been committed. Without them everything still works, so
// that a failure is only logged.
func (s *session) analyze(ctx context.Context) {
	for table, rows := range s.grown {
		due, err := s.outgrown(ctx, table, rows)
		if err == nil && due {
			_, err = s.conn.ExecContext(ctx, "ANALYZE "+table)
		}
		if err != nil {
			s.e.log.WarnContext(ctx, "could not analyse a table", "table", table, "error", err)
		}
	}
}

// outgrown adds rows to what a table has grown by, and reports whether it has to be
// analysed now. Of several sessions one is told so.
func (s *session) outgrown(ctx context.Context, table string, rows int) (bool, error) {
	st := s.e.statistics
	st.mu.Lock()
	defer st.mu.Unlock()
	g := st.tables[table]
	if g == nil {
		g = &growth{}
		err := s.conn.QueryRowContext(ctx, "SELECT greatest(0, CAST(reltuples AS bigint)) FROM pg_class WHERE oid = to_regclass($1)", table).Scan(&g.known)
		if err != nil {
			return false, err
		}
		st.tables[table] = g
	}
	g.added += int64(rows)
	if g.added < analyzeRows || g.added < analyzeTimes*g.known {
		return false, nil
	}
	g.known, g.added = g.known+g.added, 0
	return true, nil
}
