package bench

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// pattern is the name of the user that fill copies; in the copies a number stands
// in its place.
const pattern = "pattern"

// filledName is the userName of a copy, and filledID its id, from 1 up.
func filledName(number int) string { return fmt.Sprintf("%07d@bench.test", number) }

func filledID(number int) string { return fmt.Sprintf("01900000-0000-7000-8000-%012d", number) }

// fill posts one user and then copies its rows inside the database, so many times.
// Nothing but the names, keys and ids of the copies differs. The server is stopped
// meanwhile.
func fill(b *testing.B, p *provost, e engine, copies int) *scimClient {
	b.Helper()
	client := p.scim()
	if _, err := client.create("/Users", userBody(pattern)); err != nil {
		b.Fatal(err)
	}
	p.stop()
	start := time.Now()
	if e.postgres {
		db, err := sql.Open("pgx", p.dsn)
		if err != nil {
			b.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		run(b, db, "SET session_replication_role = replica") // foreign keys of copies need no check
		copyPattern(b, db, e, copies)
		run(b, db, "DELETE FROM tally", // nor is this kept meanwhile
			"INSERT INTO tally (org_id, directory_id, kind, n) SELECT org_id, directory_id, 'User', count(*) FROM users GROUP BY org_id, directory_id")
		// What autovacuum would do within a minute, while we measure.
		run(b, db, "SELECT setval('users_key', (SELECT max(id) FROM users))", "VACUUM ANALYZE", "CHECKPOINT")
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	} else {
		db := openSQLite(b, strings.TrimPrefix(p.dsn, "sqlite:"), "OFF")
		copyPattern(b, db, e, copies)
		run(b, db, "PRAGMA wal_checkpoint(TRUNCATE)")
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("filled with %s users in %s", count(copies), seconds(time.Since(start)))
	p.start()
	return p.client(client.token)
}

func run(b *testing.B, db *sql.DB, statements ...string) {
	b.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(b.Context(), statement); err != nil {
			b.Fatalf("%s: %v", statement, err)
		}
	}
}

// copyPattern copies the rows of the one user of a database.
func copyPattern(b *testing.B, db *sql.DB, e engine, copies int) {
	b.Helper()
	for _, table := range []string{"users", "user_value", "identity_key"} {
		if _, err := db.ExecContext(b.Context(), copyStatement(b, db, e, table), copies); err != nil {
			b.Fatalf("copy rows of %s: %v", table, err)
		}
	}
}

// copyStatement inserts, for each number n.i up to the argument, the rows of the
// table again. It knows no more of the schema than the columns of keys and ids.
func copyStatement(b *testing.B, db *sql.DB, e engine, table string) string {
	b.Helper()
	result, err := db.QueryContext(b.Context(), "SELECT * FROM "+table+" LIMIT 0")
	if err != nil {
		b.Fatal(err)
	}
	defer result.Close()
	types, err := result.ColumnTypes()
	if err != nil || result.Err() != nil {
		b.Fatal(err, result.Err())
	}
	number, id := "printf('%07d', n.i)", "'01900000-0000-7000-8000-' || printf('%012d', n.i)"
	if e.postgres {
		number, id = "to_char(n.i, 'FM0000000')", "CAST('01900000-0000-7000-8000-' || to_char(n.i, 'FM000000000000') AS uuid)"
	}
	names, values := make([]string, len(types)), make([]string, len(types))
	for i, column := range types {
		name := column.Name()
		names[i], values[i] = name, "t."+name
		switch {
		case table == "users" && name == "id", name == "user_id":
			values[i] = "t." + name + " + n.i"
		case name == "public_id":
			values[i] = id
		case column.DatabaseTypeName() == "TEXT":
			values[i] = fmt.Sprintf("replace(t.%s, '%s', %s)", name, pattern, number)
		}
	}
	return fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < CAST($1 AS integer)) INSERT INTO %s (%s) SELECT %s FROM n, %s t",
		table, strings.Join(names, ", "), strings.Join(values, ", "), table)
}
