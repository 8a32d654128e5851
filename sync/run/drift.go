package run

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/provost-scim/provost/store"
)

// findDrift tells what a full run repairs from what has changed since the incremental
// run before it: after the read the directory is asked for the changes since that run,
// and whom they concern is found as an incremental run finds it. What is staged besides
// had been missed. What changed while the directory was read is told as well, so that
// it does not look missed; what had been missed and has changed again does not, either.
func (r *reading) findDrift(ctx context.Context, from *basis) error {
	r.drift = &store.Drift{Unknown: from.lost}
	if from.lost != "" {
		return nil
	}
	g, why, err := r.since(ctx, from.cookie)
	var refused sourceError
	switch {
	case errors.As(err, &refused) && ctx.Err() == nil: // what was read is no worse for it
		why = "the directory could not be asked: " + words(err)
	case err != nil:
		return err
	}
	if r.drift.Unknown = why; why != "" {
		return nil
	}
	g.f.Close()
	told := slices.Sorted(maps.Keys(g.looked))
	return r.w.update(ctx, func(tx store.Tx, run *store.Run) error { return tx.MarkTold(ctx, run.Key, told) })
}
