package gormstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/provost-scim/provost/store"
)

// runChannel is on which PostgreSQL tells of runs; a trigger of theirs sends their ids.
const runChannel = "provost_run"

// How long to wait before listening again after the connection was lost: twice as long
// each time, and anew once one has worked.
const (
	firstListen = 100 * time.Millisecond
	lastListen  = 10 * time.Second
)

// Listen hears what other processes have saved, for [Options.RunMoved], until ctx ends.
// It holds a connection of its own, beside the pool, and takes another one when that is
// lost. On SQLite there are no other processes, and it only waits.
func (s *Store) Listen(ctx context.Context) {
	if !s.e.postgres || s.e.runMoved == nil {
		<-ctx.Done()
		return
	}
	for pause := firstListen; ; pause = min(2*pause, lastListen) {
		heard, err := s.e.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		if heard {
			pause = firstListen
		}
		s.e.log.WarnContext(ctx, "does not hear of runs that other processes work on; tries again", "error", err, "in", pause)
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-again.C:
		}
		again.Stop()
	}
}

// listen passes on what it hears until the connection is lost, and reports whether it
// has heard at all.
func (e *engine) listen(ctx context.Context) (heard bool, err error) {
	conn, err := pgx.Connect(ctx, e.dsn)
	if err != nil {
		return false, err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = conn.Close(closing) // nothing is left to say on it
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+runChannel); err != nil {
		return false, err
	}
	e.runMoved("") // what was saved until now has not been heard
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return true, err
		}
		if store.ValidID(n.Payload) {
			e.runMoved(store.ID(n.Payload))
		}
	}
}
