package gormstore

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/provost-scim/provost/store"
)

func makeProbe(t *testing.T, s *Store) {
	t.Helper()
	inTx(t, s, func(x *tx) error {
		_, err := x.exec(t.Context(), "CREATE TABLE probe (id bigint PRIMARY KEY)")
		return err
	})
}

// probed empties the probe and returns how many rows were in it.
func probed(t *testing.T, s *Store) (n int64) {
	t.Helper()
	inTx(t, s, func(x *tx) (err error) {
		n, err = x.exec(t.Context(), "DELETE FROM probe")
		return err
	})
	return n
}

// TestEveryStatementBelongsToItsTransaction begins a transaction in each way that there
// is, and gives it up or keeps it.
func TestEveryStatementBelongsToItsTransaction(t *testing.T) {
	const insert = "INSERT INTO probe VALUES (?)"
	skip := func(scanner) error { return nil }
	tests := []struct {
		name string
		rows int64
		do   func(ctx context.Context, x *tx) error
	}{
		{"a statement", 1, func(ctx context.Context, x *tx) error {
			_, err := x.exec(ctx, insert, 1)
			return err
		}},
		{"a query", 1, func(ctx context.Context, x *tx) error {
			return x.each(ctx, skip, insert+" RETURNING id", 1)
		}},
		{"a row", 1, func(ctx context.Context, x *tx) error {
			_, err := find(ctx, x.session, value[int64], insert+" RETURNING id", 1)
			return err
		}},
		{"a batch of one", 1, func(ctx context.Context, x *tx) error {
			return x.batch(ctx, []statement{{query: insert, args: []any{1}, want: 1}})
		}},
		{"a batch and a query", 2, func(ctx context.Context, x *tx) error {
			return x.batch(ctx, []statement{{query: insert, args: []any{1}, want: 1}}, ask{query: insert + " RETURNING id", args: []any{2}})
		}},
		{"one query of a list", 1, func(ctx context.Context, x *tx) error {
			return x.read(ctx, ask{query: insert + " RETURNING id", args: []any{1}})
		}},
		{"queries of a list", 2, func(ctx context.Context, x *tx) error {
			return x.read(ctx, ask{query: insert + " RETURNING id", args: []any{1}}, ask{query: insert + " RETURNING id", args: []any{2}})
		}},
		{"many rows", 50, func(ctx context.Context, x *tx) error {
			rows := make([][]any, 50)
			for i := range rows {
				rows[i] = []any{i}
			}
			return x.copyRows(ctx, "probe", []string{"id"}, rows)
		}},
		{"the object mapper", 1, func(ctx context.Context, x *tx) error {
			return x.orm(ctx).Exec(insert, 1).Error
		}},
	}
	eachEngine(t, func(t *testing.T, s *Store) {
		makeProbe(t, s)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				err := s.Update(t.Context(), func(x store.Tx) error {
					return errors.Join(tt.do(t.Context(), x.(*tx)), errGivenUp)
				})
				if !errors.Is(err, errGivenUp) {
					t.Fatalf("error %v, want that it was given up", err)
				}
				if n := probed(t, s); n != 0 {
					t.Errorf("%d rows were kept of a transaction that was given up", n)
				}
				inTx(t, s, func(x *tx) error { return tt.do(t.Context(), x) })
				if n := probed(t, s); n != tt.rows {
					t.Errorf("%d rows were kept, want %d", n, tt.rows)
				}
			})
		}
	})
}

func TestATransactionThatFailedUnnoticedIsNotTakenForCommitted(t *testing.T) {
	onPostgres(t, func(t *testing.T, s *Store) {
		makeProbe(t, s)
		err := s.Update(t.Context(), func(public store.Tx) error {
			x := public.(*tx)
			if _, err := x.exec(t.Context(), "INSERT INTO probe VALUES (1)"); err != nil {
				return err
			}
			_, _ = x.exec(t.Context(), "SELECT 1 / 0") // what nobody should do
			return nil
		})
		if !errors.Is(err, pgx.ErrTxCommitRollback) {
			t.Errorf("error %v, want that it was rolled back", err)
		}
		if n := probed(t, s); n != 0 {
			t.Errorf("%d rows were kept", n)
		}
	})
}

// TestAConnectionIsFreeAgainHoweverItsTransactionEnds has one connection only, on which
// a transaction that stayed open would be met by the next.
func TestAConnectionIsFreeAgainHoweverItsTransactionEnds(t *testing.T) {
	write := func(ctx context.Context, x store.Tx) error {
		_, err := x.(*tx).exec(ctx, "INSERT INTO probe VALUES (1)")
		return err
	}
	tests := []struct {
		name string
		fn   func(ctx context.Context, cancel func(), x store.Tx) error
	}{
		{"an error", func(ctx context.Context, _ func(), x store.Tx) error { return errors.Join(write(ctx, x), errGivenUp) }},
		{"a statement that fails", func(ctx context.Context, _ func(), x store.Tx) error {
			_, err := x.(*tx).exec(ctx, "SELECT 1 / 0")
			return errors.Join(write(ctx, x), err, errGivenUp)
		}},
		{"a batch that fails in the middle", func(ctx context.Context, _ func(), x store.Tx) error {
			list := []statement{{query: "INSERT INTO probe VALUES (1)", want: 1}, {query: "INSERT INTO probe SELECT 1 / 0", want: 1}, {query: "INSERT INTO probe VALUES (2)", want: 1}}
			return errors.Join(x.(*tx).batch(ctx, list), errGivenUp)
		}},
		{"a statement that is none", func(ctx context.Context, _ func(), x store.Tx) error {
			return errors.Join(x.(*tx).batch(ctx, []statement{{query: "INSERT", want: 1}}), errGivenUp)
		}},
		{"a context that ends between statements", func(ctx context.Context, cancel func(), x store.Tx) error {
			err := write(ctx, x)
			cancel()
			return errors.Join(err, write(ctx, x), errGivenUp)
		}},
		{"a context that ends before the commit", func(ctx context.Context, cancel func(), x store.Tx) error {
			err := write(ctx, x)
			cancel()
			return err
		}},
		{"events that cannot be written", func(ctx context.Context, _ func(), x store.Tx) error {
			return errors.Join(write(ctx, x), x.Append(ctx, []store.Event{{Org: 1, Type: "nul \x00", Kind: "User"}}))
		}},
		{"a panic", func(ctx context.Context, _ func(), x store.Tx) error { panic(write(ctx, x)) }},
	}
	onPostgres(t, func(t *testing.T, s *Store) {
		makeProbe(t, s)
		s.e.write.SetMaxOpenConns(1)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				err := errGivenUp // of one that panics
				func() {
					defer func() { _ = recover() }()
					err = s.Update(ctx, func(x store.Tx) error { return tt.fn(ctx, cancel, x) })
				}()
				if err == nil {
					t.Error("it was committed")
				}
				if n := probed(t, s); n != 0 {
					t.Errorf("%d rows were kept", n)
				}
				inTx(t, s, func(x *tx) error { return write(t.Context(), x) })
				if n := probed(t, s); n != 1 {
					t.Errorf("%d rows were kept of the next transaction, want 1", n)
				}
			})
		}
	})
}

func TestEventsOfATransactionAreThereForItself(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *Store) {
		m := newModel(t, s, 5, 0, 0, 10)
		for _, n := range []int{1, copyFrom + 1} {
			inTx(t, s, func(x *tx) error {
				before, err := x.Events(t.Context(), store.EventQuery{Org: m.org, Limit: 100})
				if err != nil {
					return err
				}
				var want []store.ID
				for _, e := range before {
					want = append(want, e.Resource)
				}
				events := make([]store.Event, n)
				for i := range events {
					events[i] = store.Event{Org: m.org, Type: "x", Kind: "User", Resource: store.ID(fmt.Sprint(n, "-", i)), Time: m.now}
					want = append(want, events[i].Resource)
				}
				if err := x.Append(t.Context(), events); err != nil {
					return err
				}
				after, err := x.Events(t.Context(), store.EventQuery{Org: m.org, Limit: 100})
				var have []store.ID
				for _, e := range after {
					have = append(have, e.Resource)
				}
				if diff := cmp.Diff(want, have); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				return err
			})
		}
	})
}
