package gormstore

import (
	"testing"
)

func TestTablesThatHaveGrownAreAnalysedAtOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *Store) {
		if !s.e.postgres {
			return // SQLite's planner is told what to believe by its migration
		}
		crowd(t, s, 2*analyzeRows) // which turns autovacuum off
		for _, table := range []string{"users", "user_value", "identity_key", "member", "effective"} {
			var rows float64
			inTx(t, s, func(x *tx) error {
				return x.row(t.Context(), "SELECT reltuples FROM pg_class WHERE oid = to_regclass(?)", table).Scan(&rows)
			})
			if rows < 2*analyzeRows {
				t.Errorf("%s is believed to have %v rows", table, rows)
			}
		}
	})
}
