package gormstore

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

// ears are the runs that a store has told of.
type ears struct {
	store *Store
	heard chan store.ID
}

// listening migrates and opens a database, as a process of its own.
func listening(t *testing.T, dsn string) ears {
	t.Helper()
	if err := Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	heard := make(chan store.ID, 100)
	s, err := Open(t.Context(), dsn, Options{RunMoved: func(run store.ID) { heard <- run }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var listener sync.WaitGroup
	listener.Go(func() { s.Listen(ctx) })
	t.Cleanup(func() {
		cancel()
		listener.Wait()
		_ = s.Close()
	})
	return ears{s, heard}
}

// hears waits until the store tells of a run, whatever it tells of before.
func (e ears) hears(t *testing.T, run store.ID) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		select {
		case got := <-e.heard:
			if got == run {
				return
			}
		case <-limit:
			t.Fatalf("it does not hear of run %q", run)
		}
	}
}

// heldRun makes a directory with a run that a worker holds.
func heldRun(t *testing.T, s *Store) (*store.Run, store.Lease) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	run := &store.Run{ID: store.NewID(now), State: store.RunRunning, Phase: store.PhaseQueued, Apply: true, CreatedAt: now}
	inTx(t, s, func(x *tx) error {
		org, err := x.Organization(t.Context(), store.DefaultOrganization)
		if err != nil {
			return err
		}
		d := &store.Directory{ID: store.NewID(now), Org: org.Key, Name: "ldap", Kind: store.DirectoryLDAP, CreatedAt: now, UpdatedAt: now}
		if err := x.CreateDirectory(t.Context(), d); err != nil {
			return err
		}
		run.Org, run.Directory, run.DirectoryName = org.Key, d.Key, d.Name
		return x.CreateRun(t.Context(), run)
	})
	var lease store.Lease
	inTx(t, s, func(x *tx) error {
		claimed, err := x.ClaimRun(t.Context(), "worker", time.Hour)
		run, lease = claimed, store.Lease{Run: claimed.Key, Fence: claimed.Fence}
		return err
	})
	return run, lease
}

// move saves progress of a run.
func move(t *testing.T, s *Store, lease store.Lease, read int) {
	t.Helper()
	inTx(t, s, func(x *tx) error {
		run, err := x.HoldRun(t.Context(), lease)
		if err != nil {
			return err
		}
		run.Phase, run.Progress.ReadUsers = store.PhaseRead, read
		return x.SaveRun(t.Context(), run)
	})
}

func TestWhoSavesARunHearsOfItWhenItIsCommitted(t *testing.T) {
	for name, database := range map[string]func() string{
		"postgres": func() string { return testenv.Postgres(t).Database(t, nil) },
		"sqlite":   func() string { return "sqlite:" + filepath.Join(t.TempDir(), "provost.db") },
	} {
		t.Run(name, func(t *testing.T) {
			e := listening(t, database())
			run, lease := heldRun(t, e.store)
			undone := errors.New("undone")
			err := e.store.Update(t.Context(), func(x store.Tx) error { return errors.Join(x.SaveRun(t.Context(), run), undone) })
			if !errors.Is(err, undone) {
				t.Fatal(err)
			}
			for len(e.heard) > 0 {
				if got := <-e.heard; got != "" {
					t.Error("it hears of what was not committed")
				}
			}
			move(t, e.store, lease, 1)
			e.hears(t, run.ID)
		})
	}
}

func TestOtherProcessesHearOfARunAlsoAfterTheirConnectionWasLost(t *testing.T) {
	dsn := testenv.Postgres(t).Database(t, nil)
	here, there := listening(t, dsn), listening(t, dsn)
	there.hears(t, "") // it listens
	run, lease := heldRun(t, here.store)
	move(t, here.store, lease, 1)
	there.hears(t, run.ID)

	inTx(t, here.store, func(x *tx) error {
		n, err := x.exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN "+runChannel+"'")
		if n != 2 {
			t.Errorf("%d connections listened, want 2", n)
		}
		return err
	})
	there.hears(t, "") // it listens again, and may have missed something
	move(t, here.store, lease, 2)
	there.hears(t, run.ID)
}

func TestALeaseAndASaveThatMovesNothingIsNotToldToOthers(t *testing.T) {
	dsn := testenv.Postgres(t).Database(t, nil)
	here, there := listening(t, dsn), listening(t, dsn)
	there.hears(t, "")
	_, lease := heldRun(t, here.store)
	inTx(t, here.store, func(x *tx) error { return x.RenewLease(t.Context(), lease, time.Hour) })
	inTx(t, here.store, func(x *tx) error {
		run, err := x.HoldRun(t.Context(), lease)
		if err != nil {
			return err
		}
		return x.SaveRun(t.Context(), run)
	})
	other := store.NewID(time.Now()) // what is told after them has come after them
	inTx(t, here.store, func(x *tx) error {
		_, err := x.exec(t.Context(), "SELECT pg_notify(?, ?)", runChannel, string(other))
		return err
	})
	if got := <-there.heard; got != other {
		t.Errorf("it hears of run %q", got)
	}
}
