package gormstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Limits of one INSERT: parameters (PostgreSQL takes 65,535, SQLite 32,766), and
// from how many rows on COPY is the faster way.
const (
	maxParameters = 30_000
	copyFrom      = 20
)

// copyRows inserts rows, each with a value for each column: by COPY on PostgreSQL if
// there are many, else by INSERT in chunks.
func (s *session) copyRows(ctx context.Context, table string, columns []string, rows [][]any) error {
	return s.copyEach(ctx, table, columns, len(rows), func(i int) ([]any, error) { return rows[i], nil })
}

// copyEach is copyRows of n rows. Those of a COPY are made one by one while the database
// writes the ones before.
func (s *session) copyEach(ctx context.Context, table string, columns []string, n int, row func(i int) ([]any, error)) error {
	if !s.e.postgres || n <= copyFrom {
		rows, err := rowsOf(n, row)
		if err != nil {
			return err
		}
		return s.insertRows(ctx, table, columns, rows, "")
	}
	return s.pgx(ctx, func(c *pgx.Conn) error {
		copied, err := c.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) {
			values, err := row(i)
			return s.e.arguments(values), err
		}))
		if err == nil && copied != int64(n) {
			err = fmt.Errorf("copied %d of %d rows into %s", copied, n, table)
		}
		return err
	})
}

func rowsOf(n int, row func(i int) ([]any, error)) (rows [][]any, err error) {
	rows = make([][]any, n)
	for i := range rows {
		if rows[i], err = row(i); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// insertRows inserts rows in chunks, each statement ending in suffix, such as an ON
// CONFLICT clause.
func (s *session) insertRows(ctx context.Context, table string, columns []string, rows [][]any, suffix string) error {
	chunk := maxParameters / len(columns)
	for len(rows) > 0 {
		n := min(chunk, len(rows), 500) // a longer text is no faster
		query, args := insertAll(table, columns, rows[:n])
		if _, err := s.exec(ctx, query+suffix, args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// insertAll is one INSERT of a few rows.
func insertAll(table string, columns []string, rows [][]any) (query string, args []any) {
	args = make([]any, 0, len(rows)*len(columns))
	for _, r := range rows {
		args = append(args, r...)
	}
	return insertSQL(table, columns, len(rows)), args
}

// insertArrays is insertAll on PostgreSQL whose text is the same for any number of rows,
// so that its plan is kept. The types are those of the columns.
func (e *engine) insertArrays(table string, columns, types []string, rows [][]any) (query string, args []any) {
	from, args := e.unnest(types, rows)
	return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") SELECT * FROM " + from, args
}

// unnest is rows as a table in SQL, an array a column. Only on PostgreSQL.
func (e *engine) unnest(types []string, rows [][]any) (fragment string, args []any) {
	casts := make([]string, len(types))
	args = make([]any, len(types))
	for i, kind := range types {
		casts[i] = "CAST(? AS " + kind + "[])"
		column := make([]any, len(rows))
		for j, row := range rows {
			column[j] = e.argument(row[i])
		}
		args[i] = column
	}
	return "unnest(" + strings.Join(casts, ", ") + ")", args
}

func insertSQL(table string, columns []string, rows int) string {
	one := "(" + strings.Repeat("?, ", len(columns)-1) + "?)"
	return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES " + strings.Repeat(one+", ", rows-1) + one
}

// statement is one of a [session.batch].
type statement struct {
	query string
	args  []any
	want  int64 // rows that it must change; below 0: any number
}

// batch runs statements and then queries in order, on PostgreSQL in one round trip. A
// statement that does not change as many rows as it wants ends it with a [race].
func (s *session) batch(ctx context.Context, list []statement, asks ...ask) error {
	if !s.e.postgres || len(list) == 1 && len(asks) == 0 && !s.unbegun {
		for _, st := range list {
			n, err := s.exec(ctx, st.query, st.args...)
			if err := st.check(n, err); err != nil {
				return err
			}
		}
		return s.read(ctx, asks...)
	}
	if len(list)+len(asks) == 0 {
		return nil
	}
	return s.pipeline(ctx, func(b *pgx.Batch) {
		for _, st := range list {
			b.Queue(s.e.rebind(st.query), s.e.arguments(st.args)...)
		}
		for _, a := range asks {
			b.Queue(s.e.rebind(a.query), s.e.arguments(a.args)...)
		}
	}, func(results pgx.BatchResults) error {
		for _, st := range list {
			tag, err := results.Exec()
			if err := st.check(tag.RowsAffected(), err); err != nil {
				return err
			}
		}
		for i := range asks {
			if err := asks[i].collect(results); err != nil {
				return asks[i].fail(err)
			}
		}
		return nil
	})
}

func (st *statement) check(n int64, err error) error {
	if err == nil && st.want >= 0 && n != st.want {
		return race("%d rows were changed instead of %d", n, st.want)
	}
	return err
}
