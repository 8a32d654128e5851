package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/provost-scim/provost/store"
)

const (
	purgeEvery  = time.Hour
	purgeAtOnce = 200 // records of one transaction, for which others wait on SQLite
)

// retention purges what is older than it is kept: users and groups that were
// soft-deleted (rule 7), runs that have ended, or idempotency keys. Every replica may run one: they leave
// each other's rows alone.
type retention struct {
	store store.Store
	what  string // for the log
	purge func(ctx context.Context, tx store.Tx, before time.Time, limit int) (int, error)
	keep  time.Duration
	now   func() time.Time                     // nil: time.Now
	after func(time.Duration) <-chan time.Time // nil: time.After
	log   *slog.Logger
}

func purgeRecords(ctx context.Context, tx store.Tx, before time.Time, limit int) (int, error) {
	return tx.Purge(ctx, before, limit)
}

func purgeIdempotencyKeys(ctx context.Context, tx store.Tx, before time.Time, limit int) (int, error) {
	return tx.PurgeIdempotencyKeys(ctx, before, limit)
}

func purgeRuns(ctx context.Context, tx store.Tx, before time.Time, limit int) (int, error) {
	return tx.PurgeRuns(ctx, before, limit)
}

// run purges at once and then every hour, until ctx ends, which is no error.
func (r *retention) run(ctx context.Context) error {
	after := r.after
	if after == nil {
		after = time.After
	}
	for {
		n, err := r.pass(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.ErrorContext(ctx, "purge what is old", "what", r.what, "error", err)
		}
		if n > 0 {
			r.log.InfoContext(ctx, "purged what is old", "what", r.what, "rows", n, "kept", r.keep.String())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-after(purgeEvery):
		}
	}
}

// pass purges all that is due now, a few records a transaction, and returns how many.
func (r *retention) pass(ctx context.Context) (total int, err error) {
	now := time.Now
	if r.now != nil {
		now = r.now
	}
	before := now().Add(-r.keep)
	for {
		var n int
		err := r.store.Update(ctx, func(tx store.Tx) (err error) {
			n, err = r.purge(ctx, tx, before, purgeAtOnce)
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
		if n < purgeAtOnce {
			return total, nil
		}
	}
}
