package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"

	"github.com/provost-scim/provost/store"
)

// cachedQueries bounds how many rewritten statements are kept; filters make new
// ones without end.
const cachedQueries = 2000

// session is one connection, and the transaction open on it if inTx is set.
type session struct {
	e    *engine
	q    queryer
	conn *sql.Conn
	inTx bool

	unbegun bool               // BEGIN is still to be sent, to PostgreSQL
	tail    [][]any            // events to write with the commit
	hasty   bool               // the commit does not wait for the log
	unspent map[string]unspent // keys by table

	used      bool                    // the temporary table of [difference] may hold rows
	queued    bool                    // mails were queued, for [session.announce]
	logged    bool                    // events were appended, for the same
	moved     []store.ID              // runs that were saved, for the same
	grown     map[string]int          // rows added by table, for [session.analyze]
	publicIDs map[store.Edge]store.ID // that the transaction has come across, for its events
}

// publicID keeps the id of a record for the events of the transaction.
func (s *session) publicID(record store.Edge, id store.ID) {
	if !s.inTx {
		return
	}
	if s.publicIDs == nil {
		s.publicIDs = map[store.Edge]store.ID{}
	}
	s.publicIDs[record] = id
}

// queryer is what *sql.Conn and *sql.Tx have in common; gorm needs it whole.
type queryer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// exec runs a statement and returns how many rows it changed.
func (s *session) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	r, err := s.q.ExecContext(ctx, s.e.rebind(query), s.e.arguments(args)...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// row runs a statement that returns at most one row.
func (s *session) row(ctx context.Context, query string, args ...any) scanner {
	if err := s.begin(ctx); err != nil {
		return failed{err}
	}
	return s.q.QueryRowContext(ctx, s.e.rebind(query), s.e.arguments(args)...)
}

// scanner is a row to be scanned: *sql.Row, *sql.Rows or pgx.Rows.
type scanner interface{ Scan(dest ...any) error }

// failed is the row of a query that could not be sent.
type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

// collect runs a query and scans each of its rows.
func collect[T any](ctx context.Context, s *session, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	var out []T
	err := s.each(ctx, func(r scanner) error {
		v, err := scan(r)
		out = append(out, v)
		return err
	}, query, args...)
	return out, err
}

// find runs a query and scans its first row; without one it is [sql.ErrNoRows].
func find[T any](ctx context.Context, s *session, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	return scan(s.row(ctx, query, args...))
}

// value scans a row of one column, for [collect] and [find].
func value[T any](r scanner) (v T, err error) {
	err = r.Scan(&v)
	return v, err
}

// each runs a query and calls fn for each of its rows, which must not use the session.
// On PostgreSQL it goes around database/sql, which starts a goroutine for each query
// and looks at each value once more.
func (s *session) each(ctx context.Context, fn func(scanner) error, query string, args ...any) (err error) {
	if s.e.postgres {
		return s.pgx(ctx, func(c *pgx.Conn) error {
			rows, err := c.Query(ctx, s.e.rebind(query), s.e.arguments(args)...)
			if err != nil {
				return err
			}
			return eachRow(rows, fn)
		})
	}
	rows, err := s.q.QueryContext(ctx, query, s.e.arguments(args)...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// eachRow calls fn for each row and closes them.
func eachRow(rows pgx.Rows, fn func(scanner) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// orm is gorm on the session's connection and transaction, for plain reads and small
// writes.
func (s *session) orm(ctx context.Context) *gorm.DB {
	g := s.e.gorm.Session(&gorm.Session{NewDB: true, Context: ctx})
	g.Statement.ConnPool = s.q
	if err := s.begin(ctx); err != nil {
		_ = g.AddError(err) // which ends whatever is made of it
	}
	return g
}

// pgx hands out the connection beneath, which takes part in the open transaction.
// Only on PostgreSQL, and not while rows are open.
func (s *session) pgx(ctx context.Context, fn func(*pgx.Conn) error) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	return s.raw(fn)
}

// raw is pgx for whoever sees to the beginning of the transaction.
func (s *session) raw(fn func(*pgx.Conn) error) error {
	return s.conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("the connection is a %T, not one of pgx", driver)
		}
		return fn(c.Conn())
	})
}

// rebind writes $1, $2, … for each ? outside of quotes on PostgreSQL.
func (e *engine) rebind(query string) string {
	if !e.postgres || !strings.Contains(query, "?") {
		return query
	}
	if q, ok := e.rebound.Load(query); ok {
		return q.(string)
	}
	q := dollars(query)
	if e.rebounds.Load() < cachedQueries {
		if _, known := e.rebound.LoadOrStore(query, q); !known {
			e.rebounds.Add(1)
		}
	}
	return q
}

func dollars(query string) string {
	var b strings.Builder
	b.Grow(len(query) + 16)
	n := 0
	var quote byte
	for i := range len(query) {
		c := query[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '?':
			n++
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
