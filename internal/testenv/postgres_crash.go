package testenv

import (
	"context"
	"syscall"
	"testing"
	"time"
)

// PostgresAlone starts a server for this test alone, which it may let crash.
func PostgresAlone(t testing.TB) *PG {
	t.Helper()
	bin := needPostgres(t)
	pg, err := newPostgres()
	if err != nil {
		t.Fatalf("make a place for PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := pg.stop(); err != nil {
			t.Errorf("stop PostgreSQL: %v", err)
		}
	})
	// Without fsync the operating system still has what was written.
	if err := pg.run(bin, []string{"fsync=off", "synchronous_commit=on", "shared_buffers=64MB"}); err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	return pg
}

// HoldLog stops the process that writes the log in the background: from now on only a
// commit that waits for the log writes it.
func (pg *PG) HoldLog(t testing.TB) {
	t.Helper()
	pid := pg.signalWriter(t, syscall.SIGSTOP)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // unless it has crashed
}

// Crash lets the server crash, and waits until it takes connections again. What no
// commit that waits has written of the log is lost.
func (pg *PG) Crash(t testing.TB) {
	t.Helper()
	pg.signalWriter(t, syscall.SIGKILL) // after which the server drops all that it has in memory
	if err := pg.process.ready(pg.answers); err != nil {
		t.Fatalf("PostgreSQL after a crash: %v", err)
	}
}

// signalWriter sends a signal to the process that writes the log in the background.
func (pg *PG) signalWriter(t testing.TB, signal syscall.Signal) (pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	conn, err := pg.connect(ctx)
	if err != nil {
		t.Fatalf("connect to PostgreSQL: %v", err)
	}
	if err := conn.QueryRow(ctx, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'").Scan(&pid); err != nil {
		t.Fatalf("find the writer of PostgreSQL's log: %v", err)
	}
	if err := syscall.Kill(pid, signal); err != nil {
		t.Fatalf("signal the writer of PostgreSQL's log: %v", err)
	}
	_ = conn.Close(ctx) // which a crash has done
	return pid
}
