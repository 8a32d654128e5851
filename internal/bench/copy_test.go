package bench

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Tables whose rows a first pull writes: the records and memberships themselves,
// and what is derived from them for filters, uniqueness and the event log.
var (
	recordTables  = []string{"users", "groups", "member", "nest", "effective"}
	derivedTables = []string{"user_value", "identity_key", "event"}
)

// rows is the content of one table in PostgreSQL's binary format.
type rows struct {
	table   string
	content []byte
	count   int64
}

// dump reads tables of Provost's database.
func dump(b *testing.B, conn *pgx.Conn, tables []string) []rows {
	b.Helper()
	all := make([]rows, 0, len(tables))
	for _, table := range tables {
		var content bytes.Buffer
		tag, err := conn.PgConn().CopyTo(b.Context(), &content, "COPY "+table+" TO STDOUT (FORMAT binary)")
		if err != nil {
			b.Fatalf("read table %s: %v", table, err)
		}
		all = append(all, rows{table, content.Bytes(), tag.RowsAffected()})
	}
	return all
}

// copyIn writes the rows into empty tables of the same shape with the same indexes,
// a COPY a table, and returns how long the COPYs took.
func copyIn(b *testing.B, conn *pgx.Conn, all []rows) time.Duration {
	b.Helper()
	mustExec(b, conn, "DROP SCHEMA IF EXISTS floor CASCADE", "CREATE SCHEMA floor")
	var took time.Duration
	for _, r := range all {
		mustExec(b, conn, fmt.Sprintf("CREATE TABLE floor.%[1]s (LIKE public.%[1]s INCLUDING ALL)", r.table))
		start := time.Now()
		tag, err := conn.PgConn().CopyFrom(b.Context(), bytes.NewReader(r.content), "COPY floor."+r.table+" FROM STDIN (FORMAT binary)")
		took += time.Since(start)
		if err != nil {
			b.Fatalf("copy into %s: %v", r.table, err)
		}
		if tag.RowsAffected() != r.count {
			b.Fatalf("copied %d rows into %s instead of %d", tag.RowsAffected(), r.table, r.count)
		}
	}
	mustExec(b, conn, "DROP SCHEMA floor CASCADE")
	return took
}

// copyFloors measures the COPY of the records, and of the derived rows alone.
func copyFloors(b *testing.B, dsn string, repeat int) (records, derived time.Duration) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := conn.Close(context.WithoutCancel(b.Context())); err != nil {
			b.Errorf("close the connection: %v", err)
		}
	}()
	var all []time.Duration
	recordRows, derivedRows := dump(b, conn, recordTables), dump(b, conn, derivedTables)
	var sizes []string
	for _, r := range slices.Concat(recordRows, derivedRows) {
		sizes = append(sizes, fmt.Sprintf("%s %s (%.1f MiB)", r.table, count(int(r.count)), float64(len(r.content))/(1<<20)))
	}
	b.Logf("rows: %s", strings.Join(sizes, ", "))
	for range repeat {
		all = append(all, copyIn(b, conn, recordRows))
	}
	return median(all), copyIn(b, conn, derivedRows)
}

func mustExec(b *testing.B, conn *pgx.Conn, statements ...string) {
	b.Helper()
	for _, statement := range statements {
		if _, err := conn.Exec(b.Context(), statement); err != nil {
			b.Fatalf("%s: %v", statement, err)
		}
	}
}
