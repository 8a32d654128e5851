package gormstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// writes gathers statements and rows so that few round trips write them, in order.
type writes struct {
	*tx
	what string // for errors: "write users"
	list []step
	then []ask // what is read with the last of them
}

// step is a statement, or rows that are copied because they are many.
type step struct {
	statement
	table   string
	columns []string
	n       int
	row     func(i int) ([]any, error)
}

func (w *writes) add(list ...statement) {
	for _, s := range list {
		w.list = append(w.list, step{statement: s})
	}
}

// insert adds rows, each of which must be new.
func (w *writes) insert(table string, columns []string, rows [][]any) {
	if len(rows) > copyFrom {
		w.copy(table, columns, len(rows), func(i int) ([]any, error) { return rows[i], nil })
		return
	}
	if len(rows) == 0 {
		return
	}
	w.grew(table, len(rows))
	query, args := insertAll(table, columns, rows)
	w.add(statement{query: query, args: args, want: int64(len(rows))})
}

// insertEach is insert of n rows that are made when they are written, if they are many.
func (w *writes) insertEach(table string, columns []string, n int, row func(i int) ([]any, error)) error {
	if n > copyFrom {
		w.copy(table, columns, n, row)
		return nil
	}
	rows, err := rowsOf(n, row)
	w.insert(table, columns, rows)
	return err
}

func (w *writes) copy(table string, columns []string, n int, row func(i int) ([]any, error)) {
	w.grew(table, n)
	w.list = append(w.list, step{table: table, columns: columns, n: n, row: row})
}

// flush writes what was gathered.
func (w *writes) flush(ctx context.Context) error {
	var batch []statement
	send := func(then ...ask) error {
		err := w.batch(ctx, batch, then...)
		batch = nil
		return w.fail(err)
	}
	for _, s := range w.list {
		if s.table == "" {
			batch = append(batch, s.statement)
			continue
		}
		if err := send(); err != nil {
			return err
		}
		if err := w.copyEach(ctx, s.table, s.columns, s.n, s.row); err != nil {
			return w.fail(err)
		}
	}
	w.list = nil
	return send(w.then...)
}

func (w *writes) fail(err error) error {
	var known *store.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return fmt.Errorf("%s: %w", w.what, err)
}
