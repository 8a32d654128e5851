package testenv_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/provost-scim/provost/internal/testenv"
)

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("connect to %s: %v", dsn, err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return conn
}

// migrateSample makes one table with one row, and counts how often it ran.
func migrateSample(dsn string) error {
	migrations.Add(1)
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		return err
	}
	_, err = conn.Exec(context.Background(), "CREATE TABLE sample (n int PRIMARY KEY); INSERT INTO sample VALUES (1)")
	return errors.Join(err, conn.Close(context.Background()))
}

var migrations atomic.Int64

func TestADatabaseIsAFreshCloneOfTheTemplateThatWasMigratedOnce(t *testing.T) {
	pg := testenv.Postgres(t)
	before := migrations.Load()
	first := connect(t, pg.Database(t, migrateSample))
	if _, err := first.Exec(t.Context(), "INSERT INTO sample VALUES (2)"); err != nil {
		t.Fatal(err)
	}
	second := connect(t, pg.Database(t, migrateSample))

	var rows int
	if err := second.QueryRow(t.Context(), "SELECT count(*) FROM sample").Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if rows != 1 {
		t.Errorf("the second clone has %d rows, want the 1 of the template", rows)
	}
	if got := migrations.Load() - before; got > 1 {
		t.Errorf("migrate ran %d times, want at most once", got)
	}
}

func TestADatabaseIsDroppedAtTheEndOfItsTestEvenWhenSomebodyIsConnected(t *testing.T) {
	pg := testenv.Postgres(t)
	var dsn string
	var open *pgx.Conn
	t.Run("inner", func(t *testing.T) {
		dsn = pg.Database(t, nil)
		var err error
		if open, err = pgx.Connect(t.Context(), dsn); err != nil {
			t.Fatal(err)
		}
	})
	defer func() { _ = open.Close(context.Background()) }() // the server has cut it already
	_, err := pgx.Connect(t.Context(), dsn)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "3D000" {
		t.Errorf("connect after the test: %v, want error 3D000, the database does not exist", err)
	}
}

func TestServersDifferInDurabilityAndSortLinguistically(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pg    func(testing.TB) *testenv.PG
		fsync string
	}{
		{"the server for tests does not wait for the disk", testenv.Postgres, "off"},
		{"the server for benchmarks does", testenv.PostgresDurable, "on"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := connect(t, tt.pg(t).Database(t, nil))
			var fsync string
			if err := conn.QueryRow(t.Context(), "SHOW fsync").Scan(&fsync); err != nil {
				t.Fatal(err)
			}
			if fsync != tt.fsync {
				t.Errorf("fsync is %s, want %s", fsync, tt.fsync)
			}
			var before bool
			if err := conn.QueryRow(t.Context(), "SELECT 'a' < 'B'").Scan(&before); err != nil {
				t.Fatal(err)
			}
			if !before {
				t.Error("the default collation is bytewise, so a missing COLLATE would go unseen")
			}
		})
	}
}

func BenchmarkDatabaseClone(b *testing.B) {
	pg := testenv.Postgres(b)
	for b.Loop() {
		pg.Database(b, migrateSample)
	}
}
