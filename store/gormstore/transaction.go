package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/provost-scim/provost/store"
)

// attempts bounds how often one Update is run.
const attempts = 10

// reader is the read-only part of both engines. Its methods are spread over the
// package, a file a topic.
type reader struct{ *session }

// tx is one transaction that may write.
type tx struct{ reader }

// View reads. On SQLite all of it is one snapshot; on PostgreSQL each statement is.
func (s *Store) View(ctx context.Context, fn func(store.Reader) error) error {
	conn, err := s.e.read.Conn(ctx)
	if err != nil {
		return fmt.Errorf("take a connection: %w", translate(err))
	}
	defer func() { _ = conn.Close() }() // back to the pool
	if s.e.postgres {
		return translate(fn(&reader{&session{e: s.e, q: conn, conn: conn}}))
	}
	begun, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin to read: %w", translate(err))
	}
	defer func() { _ = begun.Rollback() }() // it wrote nothing
	return translate(fn(&reader{&session{e: s.e, q: begun, conn: conn, inTx: true}}))
}

// Update runs fn in one READ COMMITTED transaction, again from the start while it
// meets a deadlock, a serialization failure, a locked file or a [race], at most ten
// times. If fn panics, nothing is kept.
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error) error {
	var err error
	for attempt := range attempts {
		if attempt > 0 {
			if err := pause(ctx, attempt); err != nil {
				return err
			}
		}
		if err = s.once(ctx, fn); err == nil || !retryable(err) {
			return translate(err)
		}
		s.e.log.DebugContext(ctx, "transaction is run again", "attempt", attempt+1, "error", err)
	}
	return exhausted(err)
}

func (s *Store) once(ctx context.Context, fn func(store.Tx) error) error {
	conn, err := s.e.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("take a connection: %w", err)
	}
	defer func() { _ = conn.Close() }() // back to the pool
	session := &session{e: s.e, q: conn, conn: conn, inTx: true, unbegun: s.e.postgres}
	commit := session.commit
	if s.e.postgres {
		defer session.rollback() // does nothing after a commit
	} else {
		begun, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return fmt.Errorf("begin a transaction: %w", err)
		}
		defer func() { _ = begun.Rollback() }() // does nothing after a commit
		session.q = begun
		commit = func(ctx context.Context) error { return commitSQLite(ctx, begun) }
	}
	if err := fn(&tx{reader{session}}); err != nil {
		return err
	}
	if err := commit(ctx); err != nil {
		return err
	}
	session.spareUnspent()
	session.announce()
	session.analyze(ctx)
	return nil
}

func commitSQLite(ctx context.Context, begun *sql.Tx) error {
	err := begun.Commit()
	// A cancelled context ends the transaction before Commit can.
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
		err = ctx.Err()
	}
	return wrap(err, "commit")
}

// announce tells those who wait for it what was committed.
func (s *session) announce() {
	if s.queued && s.e.mailed != nil {
		s.e.mailed()
	}
	if s.logged && s.e.logged != nil {
		s.e.logged()
	}
	if s.e.runMoved != nil {
		for _, run := range s.moved {
			s.e.runMoved(run)
		}
	}
}

// pause waits before another attempt: 2 ms doubled each time, at most half a second,
// of which a random part is taken so that those who met once do not meet again.
func pause(ctx context.Context, attempt int) error {
	longest := min(2*time.Millisecond<<attempt, 500*time.Millisecond)
	timer := time.NewTimer(longest/4 + rand.N(longest*3/4))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
