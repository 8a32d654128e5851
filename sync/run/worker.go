package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/provost-scim/provost/store"
)

// errLost ends the work on a run that another worker has taken, or that was
// deleted with its directory. Nothing is written after it.
var errLost = errors.New("the lease of the run was lost")

// errSetBack ends a piece of work whose beginning the database has lost in a crash: no
// transaction of a run waits for the log but the last.
var errSetBack = errors.New("the database has come back from a crash with less than the run had written")

// worker works one claimed run.
type worker struct {
	e     *Engine
	id    store.ID
	org   store.Key
	dir   store.Key
	cause store.Cause // of every change of the run
	lease store.Lease
	only  *store.Selection // nil: the whole directory

	readUsers, readGroups, staged atomic.Int64
	renewed                       atomic.Int64 // when the lease was last renewed, in nanoseconds of Unix time
	writes                        atomic.Int64 // transactions of the run that were committed, as far as is known
}

// work takes a claimed run as far as it goes without a person.
func (e *Engine) work(ctx context.Context, claimed *store.Run) {
	w := &worker{
		e: e, id: claimed.ID, org: claimed.Org, dir: claimed.Directory, cause: claimed.Cause, only: claimed.Selection,
		lease: store.Lease{Run: claimed.Key, Fence: claimed.Fence},
	}
	w.renewed.Store(time.Now().UnixNano())
	w.writes.Store(claimed.Writes)
	w.cause.Run = claimed.ID
	if w.cause.Reason == "" {
		w.cause.Reason = "sync run"
	}
	log := e.opt.Logger.With("run", claimed.ID, "directory", claimed.DirectoryName)
	log.InfoContext(ctx, "run is taken up", "phase", claimed.Phase, "fence", claimed.Fence)

	working, cancel := context.WithCancelCause(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { w.keep(working, cancel) })
	err := w.steps(working, claimed)
	if err != nil && working.Err() == nil {
		if err := w.settle(working); err != nil {
			log.ErrorContext(ctx, "could not publish what the failed run has applied", "error", err)
		}
	}
	if cause := context.Cause(working); err != nil && errors.Is(cause, errLost) {
		err = cause
	}
	cancel(nil)
	keeper.Wait()

	switch {
	case err == nil:
		w.tell(ctx)
	case errors.Is(err, errLost):
		log.WarnContext(ctx, "run was lost to another worker", "error", err)
	case ctx.Err() != nil:
		w.handBack(ctx)
	default:
		log.ErrorContext(ctx, "run failed", "error", err)
		if err := w.fail(ctx, err); err != nil {
			// The lease runs out, and whoever takes the run up meets the cause again.
			log.ErrorContext(ctx, "could not mark the run as failed", "error", err)
			return
		}
		w.tell(ctx)
	}
}

// tell tells how the run has ended, or that it waits.
func (w *worker) tell(ctx context.Context) {
	if w.e.opt.Rested == nil {
		return
	}
	var run *store.Run
	err := w.e.store.View(ctx, func(r store.Reader) (err error) {
		run, err = r.RunByKey(ctx, w.lease.Run)
		return err
	})
	switch {
	case err == nil:
		w.e.opt.Rested(run)
	case store.CodeOf(err) != store.CodeNotFound: // deleted with its directory
		w.e.complain(ctx, "look at run "+string(w.id), err)
	}
}

// steps goes from phase to phase until the run is done or waits for a person. When the
// database was away, it goes on from where the run is stored to be.
func (w *worker) steps(ctx context.Context, run *store.Run) error {
	phase := run.Phase
	for failures := 0; phase != store.PhaseReady && phase != store.PhaseDone; {
		next, err := w.step(ctx, phase)
		switch {
		case err == nil:
			phase = next
		case failures == retries || !away(err) || w.pause(ctx, failures, err) != nil:
			return err
		default:
			phase, failures = "", failures+1
		}
	}
	return nil
}

func (w *worker) step(ctx context.Context, phase store.RunPhase) (next store.RunPhase, err error) {
	switch phase {
	case store.PhaseQueued, store.PhaseRead:
		return w.read(ctx)
	case store.PhaseApply:
		return w.apply(ctx)
	case store.PhasePublish:
		return w.publish(ctx)
	}
	return w.stored(ctx)
}

// stored looks where the run is.
func (w *worker) stored(ctx context.Context) (phase store.RunPhase, err error) {
	err = w.e.store.View(ctx, func(r store.Reader) error {
		run, err := r.RunByKey(ctx, w.lease.Run)
		if err == nil {
			phase = run.Phase
			w.writes.Store(run.Writes)
		}
		return err
	})
	return phase, lost(err)
}

// away reports whether an error says that the database was away for a moment.
func away(err error) bool {
	var source sourceError
	return errors.Is(err, errSetBack) || store.CodeOf(err) == store.CodeBusy && !errors.As(err, &source)
}

// pause waits before something is tried again: a second the first time, and each time
// twice as long.
func (w *worker) pause(ctx context.Context, failures int, cause error) error {
	w.e.opt.Logger.WarnContext(ctx, "run meets an error that may pass, and tries again", "run", w.id, "error", cause)
	timer := time.NewTimer(time.Second << failures)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// update runs fn in a transaction that first makes sure of the lease, and renews it when
// a third of it has passed: the keeper may wait long for a row that one window after the
// other locks.
func (w *worker) update(ctx context.Context, fn func(tx store.Tx, run *store.Run) error) error {
	now := time.Now().UnixNano()
	due := now-w.renewed.Load() > int64(w.e.opt.Lease/3)
	var writes int64
	err := w.e.store.Update(ctx, func(tx store.Tx) error {
		run, err := tx.HoldRun(ctx, w.lease)
		if err != nil {
			return lost(err)
		}
		if writes = run.Writes; writes <= w.writes.Load() {
			return errSetBack
		}
		if due {
			if err := tx.RenewLease(ctx, w.lease, w.e.opt.Lease); err != nil {
				return lost(err)
			}
		}
		return fn(tx, run)
	})
	if err != nil {
		return err
	}
	for known := w.writes.Load(); known < writes && !w.writes.CompareAndSwap(known, writes); known = w.writes.Load() {
	}
	if due {
		w.renewed.Store(now)
	}
	return nil
}

func lost(err error) error {
	if code := store.CodeOf(err); code == store.CodeStale || code == store.CodeNotFound {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return err
}

// retries is how often a transaction or a phase that the database refused is tried again.
const retries = 4

// insist is update for work that must not be given up because the database was
// away for a moment.
func (w *worker) insist(ctx context.Context, fn func(tx store.Tx, run *store.Run) error) error {
	for failures := 0; ; failures++ {
		err := w.update(ctx, fn)
		if err == nil || failures == retries || !passing(err) || w.pause(ctx, failures, err) != nil {
			return err
		}
	}
}

// passing reports whether an error may go away by itself.
func passing(err error) bool {
	if errors.Is(err, errLost) || errors.Is(err, errSetBack) {
		return false
	}
	switch store.CodeOf(err) {
	case store.CodeBusy, store.CodeInternal, store.CodeStale:
		return true
	}
	return false
}

// keep renews the lease and saves the progress of reading until ctx ends; it ends
// the work with errLost when the lease is gone.
func (w *worker) keep(ctx context.Context, cancel context.CancelCauseFunc) {
	renew := time.NewTicker(max(w.e.opt.Lease/3, time.Millisecond))
	defer renew.Stop()
	save := time.NewTicker(time.Second)
	defer save.Stop()
	var saved store.Progress
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-renew.C:
			err = w.e.store.Update(ctx, func(tx store.Tx) error {
				return lost(tx.RenewLease(ctx, w.lease, w.e.opt.Lease))
			})
		case <-save.C:
			if now := w.progress(); now != saved {
				err = w.saveProgress(ctx, now)
				saved = now
			}
		}
		if errors.Is(err, errLost) {
			cancel(err)
			return
		}
		if err != nil && !errors.Is(err, errSetBack) { // which the next step sees
			w.e.complain(ctx, "keep run "+string(w.id), err)
		}
	}
}

func (w *worker) progress() store.Progress {
	return store.Progress{ReadUsers: int(w.readUsers.Load()), ReadGroups: int(w.readGroups.Load()), Staged: int(w.staged.Load())}
}

// saveProgress saves how far the reading is; what has been applied is saved with
// the windows.
func (w *worker) saveProgress(ctx context.Context, p store.Progress) error {
	return w.update(ctx, func(tx store.Tx, run *store.Run) error {
		if run.Phase != store.PhaseRead {
			return nil
		}
		run.Progress = p
		return tx.SaveRun(ctx, run)
	})
}

// handBack lets another worker take the run at once when this process ends.
func (w *worker) handBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := w.e.store.Update(ctx, func(tx store.Tx) error { return tx.RenewLease(ctx, w.lease, 0) })
	if err != nil && !errors.Is(lost(err), errLost) {
		w.e.opt.Logger.WarnContext(ctx, "could not hand the run back", "run", w.id, "error", err)
	}
}

// fail ends the run. What it has applied stays, and settle has published it; of a
// run that was still reading that is nothing.
func (w *worker) fail(ctx context.Context, cause error) error {
	return w.update(ctx, func(tx store.Tx, run *store.Run) error {
		run.State, run.Error, run.FinishedAt = store.RunFailed, words(cause), w.e.now()
		enter(run, store.PhaseDone, run.FinishedAt)
		if err := tx.ClearStage(ctx, run.Key); err != nil {
			return err
		}
		if err := tx.SaveRun(ctx, run); err != nil {
			return err
		}
		return tx.Append(ctx, []store.Event{w.e.event(run, store.EventRunFailed, w.cause)})
	})
}

// sourceError is an error of the directory that was read: its words are for people.
type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

// maxWords bounds the error of a run, in bytes.
const maxWords = 2_000

// words says why a run failed without showing anything internal.
func words(err error) string {
	var source sourceError
	if errors.As(err, &source) {
		text := strings.ReplaceAll(source.Error(), "\n", "; ")
		return strings.ToValidUTF8(text[:min(len(text), maxWords)], "")
	}
	var known *store.Error
	if errors.As(err, &known) && known.Code != store.CodeInternal {
		if known.Hint != "" {
			return known.Message + " (hint: " + known.Hint + ")"
		}
		return known.Message
	}
	return "an internal error ended the run; the server's log has it (hint: run it again)"
}
