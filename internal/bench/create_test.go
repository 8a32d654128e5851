package bench

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/provost-scim/provost/internal/testenv"
)

// BenchmarkCreate posts users from 8 clients, in turn with plain commits of single
// rows by 8 connections to the same engine.
func BenchmarkCreate(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			commit := commitsSQLite(b)
			if e.postgres {
				commit = commitsPostgres(b)
			}
			each := newProvost(b, e.database(b)).scim().connected(b)
			var next atomic.Int64
			post := func(which int) error {
				_, err := each[which].create("/Users", userBody(fmt.Sprintf("u%07d", next.Add(1))))
				return err
			}
			compareRates(b, e.name, fmt.Sprintf("POST /Users, %d clients", clients), "posts", post, "commits", commit, atLeast(12))
		})
	}
}

// payload is about as long as a short user.
var payload = strings.Repeat("single row commit ", 10)

const (
	createNarrow = "CREATE TABLE narrow (id bigint PRIMARY KEY, body text NOT NULL)"
	insertNarrow = "INSERT INTO narrow (id, body) VALUES ($1, $2)"
)

// commitsPostgres returns a function that commits a row on a connection of each
// client's own.
func commitsPostgres(b *testing.B) func(client int) error {
	b.Helper()
	dsn := testenv.PostgresDurable(b).Database(b, nil)
	var conns [clients]*pgx.Conn
	for i := range conns {
		conn, err := pgx.Connect(b.Context(), dsn)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := conn.Close(context.Background()); err != nil {
				b.Errorf("close the connection: %v", err)
			}
		})
		conns[i] = conn
	}
	mustExec(b, conns[0], createNarrow)
	var version string
	if err := conns[0].QueryRow(b.Context(), "SHOW server_version").Scan(&version); err != nil {
		b.Fatal(err)
	}
	results.versions["PostgreSQL"] = strings.Fields(version)[0]
	var next atomic.Int64
	return func(client int) error {
		_, err := conns[client].Exec(b.Context(), insertNarrow, next.Add(1), payload)
		return err
	}
}

// commitsSQLite is commitsPostgres on the one connection that may write.
func commitsSQLite(b *testing.B) func(client int) error {
	b.Helper()
	db := openSQLite(b, filepath.Join(b.TempDir(), "narrow.db"), "FULL")
	if _, err := db.ExecContext(b.Context(), createNarrow); err != nil {
		b.Fatal(err)
	}
	var version string
	if err := db.QueryRowContext(b.Context(), "SELECT sqlite_version()").Scan(&version); err != nil {
		b.Fatal(err)
	}
	results.versions["SQLite"] = version
	insert, err := db.PrepareContext(b.Context(), insertNarrow)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = insert.Close() }) // the database is closed anyhow
	var next atomic.Int64
	return func(int) error {
		_, err := insert.ExecContext(b.Context(), next.Add(1), payload)
		return err
	}
}

// openSQLite opens a file with one connection that writes, until the benchmark ends.
func openSQLite(b *testing.B, path, synchronous string) *sql.DB {
	b.Helper()
	pragmas := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(" + synchronous + ")", "busy_timeout(5000)"}}
	db, err := sql.Open("sqlite", "file:"+path+"?"+pragmas.Encode())
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Errorf("close %s: %v", path, err)
		}
	})
	return db
}
