package gormstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

func TestUpdateRepeatsWhatMaySucceedAndNothingElse(t *testing.T) {
	once := func(err error) func(int) error {
		return func(attempt int) error {
			if attempt > 1 {
				return nil
			}
			return err
		}
	}
	always := func(err error) func(int) error { return func(int) error { return err } }
	for _, tt := range []struct {
		name     string
		fn       func(attempt int) error
		code     store.Code
		attempts int
	}{
		{"success", always(nil), "", 1},
		{"a race that was lost once", once(race("taken")), "", 2},
		{"a race within another error", once(fmt.Errorf("apply: %w", race("taken"))), "", 2},
		{"a race that is always lost", always(race("taken")), store.CodeStale, attempts},
		{"staleness that a repetition cannot change", always(store.Errorf(store.CodeStale, "lease lost")), store.CodeStale, 1},
		{"a refusal", always(store.Errorf(store.CodeOwned, "no")), store.CodeOwned, 1},
		{"any other error", always(errors.New("broken")), store.CodeInternal, 1},
		{"a cancelled context", always(context.Canceled), store.CodeInternal, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, s *Store) {
				n := 0
				err := s.Update(t.Context(), func(store.Tx) error {
					n++
					return tt.fn(n)
				})
				if store.CodeOf(err) != tt.code || n != tt.attempts {
					t.Errorf("error %v after %d attempts, want code %q after %d", err, n, tt.code, tt.attempts)
				}
			})
		})
	}
}

func TestAKeyThatSomebodyElseTookIsARaceUnlessTheCallerExpectedIt(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *Store) {
		n := 0
		err := s.Update(t.Context(), func(public store.Tx) error {
			n++
			x := public.(*tx)
			name := "default"
			if n == 3 {
				name = "free"
			}
			_, err := x.exec(t.Context(), "INSERT INTO organization (public_id, name, name_folded, created_at) VALUES (?, ?, ?, ?)",
				store.NewID(x.e.now()), name, name, x.e.now())
			return err
		})
		if err != nil || n != 3 {
			t.Errorf("error %v after %d attempts, want none after 3", err, n)
		}
	})
}

func TestDeadlockedTransactionsBothSucceedInTheEnd(t *testing.T) {
	// SQLite has one writer, so nothing can deadlock.
	onPostgres(t, func(t *testing.T, s *Store) {
		inTx(t, s, func(x *tx) error {
			_, err := x.exec(t.Context(), "CREATE TABLE probe (id bigint PRIMARY KEY, n bigint NOT NULL); INSERT INTO probe VALUES (1, 0), (2, 0)")
			return err
		})
		var met, finished sync.WaitGroup
		met.Add(2)
		for _, order := range [][2]int{{1, 2}, {2, 1}} {
			finished.Go(func() {
				first := true
				err := s.Update(t.Context(), func(public store.Tx) error {
					x := public.(*tx)
					for i, id := range order {
						if _, err := x.exec(t.Context(), "UPDATE probe SET n = n + 1 WHERE id = ?", id); err != nil {
							return err
						}
						if i == 0 && first {
							first = false
							met.Done()
							met.Wait()
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		finished.Wait()
		inTx(t, s, func(x *tx) error {
			have, err := collect(t.Context(), x.session, value[int64], "SELECT n FROM probe ORDER BY id")
			if diff := cmp.Diff([]int64{2, 2}, have); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
			return err
		})
	})
}

func TestOpenRefusesWhatIsNoDatabase(t *testing.T) {
	for _, dsn := range []string{"", "sqlite:", "sqlite::memory:", "mysql://x", "provost.db", "sqlite:" + t.TempDir() + "/missing/provost.db"} {
		t.Run(dsn, func(t *testing.T) {
			s, err := Open(t.Context(), dsn, Options{})
			if err == nil {
				t.Errorf("it was opened; closing: %v", s.Close())
			}
		})
	}
}

func TestPingRefusesADatabaseThatIsNotMigrated(t *testing.T) {
	s, err := Open(t.Context(), "sqlite:"+t.TempDir()+"/provost ?#%.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Ping(t.Context()); err == nil {
		t.Error("an empty database answers a ping")
	}
}
