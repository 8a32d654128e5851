package gormstore

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

// eachEngine runs a test of the package's inside on a fresh database of each engine.
func eachEngine(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Run("postgres", func(t *testing.T) { onPostgres(t, test) })
	t.Run("sqlite", func(t *testing.T) {
		on(t, "sqlite:"+filepath.Join(t.TempDir(), "provost.db"), test)
	})
}

// onPostgres is for what only several writers can do.
func onPostgres(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Helper()
	on(t, testenv.Postgres(t).Database(t, nil), test)
}

func on(t *testing.T, dsn string, test func(t *testing.T, s *Store)) {
	t.Helper()
	if err := Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), dsn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	test(t, s)
}

// inTx runs fn in one Update with the inside of the transaction.
func inTx(t *testing.T, s *Store, fn func(t *tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), func(public store.Tx) error { return fn(public.(*tx)) }); err != nil {
		t.Fatal(err)
	}
}

func TestListsAreTables(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *Store) {
		inTx(t, s, func(x *tx) error {
			for _, tt := range []struct {
				name string
				list func() (string, any)
				want []string
			}{
				{"integers", func() (string, any) { return x.ints([]int64{3, 1}) }, []string{"1", "3"}},
				{"no integers", func() (string, any) { return x.ints(nil) }, nil},
				{"texts", func() (string, any) { return x.texts([]string{"é<&>", `a"b\`, ""}) }, []string{"", `a"b\`, "é<&>"}},
				{"ids without what is none", func() (string, any) {
					return x.ids([]store.ID{"00000000-0000-7000-8000-000000000001", "bob"})
				}, []string{"00000000-0000-7000-8000-000000000001"}},
			} {
				t.Run(tt.name, func(t *testing.T) {
					f, arg := tt.list()
					got, err := collect(t.Context(), x.session, value[string], "SELECT v FROM "+f+" AS k ORDER BY v", arg)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(tt.want, got); diff != "" {
						t.Error(diff)
					}
				})
			}
			f, args := x.pairs([]int64{1, 2}, []int64{10, 20})
			sum, err := find(t.Context(), x.session, value[int64], "SELECT CAST(sum(a * b) AS bigint) FROM "+f+" AS p", args...)
			if sum != 50 {
				t.Errorf("the pairs give %d, want 50", sum)
			}
			return err
		})
	})
}

func TestBulkRowsTakePartInTheTransactionAndKeepTheirValues(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.FixedZone("", 3600))
	for _, rows := range []int{1, copyFrom + 1, 1200} {
		eachEngine(t, func(t *testing.T, s *Store) {
			insert := func(x *tx) error {
				var list [][]any
				for i := range rows {
					id := store.NewID(at)
					list = append(list, []any{id, string(id), "x", at, i == 0})
				}
				_, err := x.exec(t.Context(), "CREATE TABLE probe (public_id "+map[bool]string{true: "uuid", false: "text"}[x.e.postgres]+
					", text text, more text, at "+map[bool]string{true: "timestamptz", false: "integer"}[x.e.postgres]+", flag boolean)")
				if err != nil {
					return err
				}
				return x.copyRows(t.Context(), "probe", []string{"public_id", "text", "more", "at", "flag"}, list)
			}
			undo := errors.New("undo")
			err := s.Update(t.Context(), func(public store.Tx) error {
				if err := insert(public.(*tx)); err != nil {
					return err
				}
				return undo
			})
			if !errors.Is(err, undo) {
				t.Fatal(err)
			}
			inTx(t, s, insert) // fails if the table was not rolled back
			inTx(t, s, func(x *tx) error {
				var id store.ID
				var text string
				var when time.Time
				var flags int
				if err := x.row(t.Context(), "SELECT public_id, text, at FROM probe WHERE flag").Scan(scanID(&id), &text, scanTime(&when)); err != nil {
					return err
				}
				if string(id) != text {
					t.Errorf("id %q, want %q", id, text)
				}
				if want := at.Truncate(time.Microsecond).UTC(); !when.Equal(want) || when.Location() != time.UTC {
					t.Errorf("time %v, want %v", when, want)
				}
				if err := x.row(t.Context(), "SELECT count(*) FROM probe").Scan(&flags); err != nil {
					return err
				}
				if flags != rows {
					t.Errorf("%d rows, want %d", flags, rows)
				}
				return nil
			})
		})
	}
}

func TestABatchRunsInOrderAndEndsAtTheFirstStatementThatChangesTooFewRows(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *Store) {
		runs := 0
		err := s.Update(t.Context(), func(public store.Tx) error {
			runs++
			return public.(*tx).batch(t.Context(), []statement{
				{query: "UPDATE organization SET name = ?", args: []any{"first"}, want: 1},
				{query: "UPDATE organization SET name = ? WHERE name = 'first'", args: []any{"second"}, want: -1},
				{query: "UPDATE organization SET name = 'third' WHERE name = 'first'", want: 1},
			})
		})
		if store.CodeOf(err) != store.CodeStale || runs != attempts {
			t.Errorf("error %v after %d attempts, want %s after %d", err, runs, store.CodeStale, attempts)
		}
		inTx(t, s, func(x *tx) error {
			name, err := find(t.Context(), x.session, value[string], "SELECT name FROM organization")
			if name != store.DefaultOrganization {
				t.Errorf("the organization is named %q: the batch was kept", name)
			}
			return err
		})
	})
}

func TestQuestionMarksAreArgumentsOnlyOutsideOfQuotes(t *testing.T) {
	for _, tt := range []struct{ query, want string }{
		{"SELECT 1", "SELECT 1"},
		{"a = ? AND b = ?", "a = $1 AND b = $2"},
		{"a = '?' AND b = ? AND c = 'it''s ?'", "a = '?' AND b = $1 AND c = 'it''s ?'"},
		{`"?" = ?`, `"?" = $1`},
	} {
		t.Run(tt.query, func(t *testing.T) {
			if got := dollars(tt.query); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
