package main

import (
	"fmt"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

// No transaction of a run but its last waits for the log, so a crash of PostgreSQL takes
// back what the program has already seen committed.
func TestADatabaseThatCrashesInARunSetsItBackAndLosesNothing(t *testing.T) {
	t.Parallel()
	pg := testenv.PostgresAlone(t)
	w := newReorganized(t, pg.Database(t, migrateDatabase))
	at := (w.firstGroup + w.firstGone) / 2
	for _, point := range []struct{ name, when string }{ // of the run's row, which hangs until the crash
		{"when it seals the stage", "OLD.windows = 0 AND NEW.windows > 0"},
		{"between windows of groups", fmt.Sprintf("OLD.next_window = %d AND NEW.next_window = %d", at, at+1)},
		{"when it has published", "OLD.phase = 'publish' AND NEW.phase <> 'publish'"},
	} {
		t.Run(point.name, func(t *testing.T) {
			dsn := w.copy(t)
			_ = hang(t, dsn, "run", point.when)
			p, db := w.start(t, dsn, "--lease", "30s"), openPeer(t, dsn, "")
			pg.HoldLog(t)
			id := store.ID(decode[struct{ ID string }](t, p.must(t, "sync", "run", "corp", "--json", "--yes")).ID)
			await(t, "the run is there", func() bool { return hangs(t, dsn) })
			seen := db.run(id)
			db.close()
			pg.Crash(t)
			db = openPeer(t, dsn, "")
			if got := db.run(id); got.Writes >= seen.Writes {
				t.Errorf("after the crash the run has %d writes, of %d: it was not set back", got.Writes, seen.Writes)
			}
			w.endsAsIfUndisturbed(t, &p.provostServer, db, id)
		})
	}
}

// hangs reports whether a transaction waits for what [hang] holds.
func hangs(t *testing.T, dsn string) (waits bool) {
	t.Helper()
	db := openSQL(t, dsn)
	err := db.QueryRowContext(t.Context(), "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)").Scan(&waits)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return waits
}
