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

// retention purges what was soft-deleted longer ago than it is kept (rule 7). Every
// replica may run one: they leave each other's records alone.
type retention struct {
	store store.Store
	keep  time.Duration
	now   func() time.Time                     // nil: time.Now
	after func(time.Duration) <-chan time.Time // nil: time.After
	log   *slog.Logger
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
			r.log.ErrorContext(ctx, "purge what was deleted", "error", err)
		}
		if n > 0 {
			r.log.InfoContext(ctx, "purged what was deleted", "records", n, "kept", r.keep.String())
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
			n, err = tx.Purge(ctx, before, purgeAtOnce)
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
