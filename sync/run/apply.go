package run

import (
	"context"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// apply applies the windows that have not been applied yet, in order. A window and
// its checkpoint are one transaction; meanwhile the next window is read and decoded.
func (w *worker) apply(ctx context.Context) (store.RunPhase, error) {
	var next *ahead
	defer func() { next.wait() }()
	for {
		var phase store.RunPhase
		var began *ahead
		err := w.insist(ctx, func(tx store.Tx, run *store.Run) error {
			if run.NextWindow < run.Windows {
				if n := run.NextWindow + 1; n < run.Windows && began == nil { // else of an attempt that failed
					began = w.lookAhead(ctx, n)
				}
				if err := w.applyWindow(ctx, tx, run, next); err != nil {
					return err
				}
			}
			if phase = store.PhaseApply; run.NextWindow >= run.Windows {
				phase = store.PhasePublish
				enter(run, phase, w.e.now())
			}
			return tx.SaveRun(ctx, run)
		})
		next = began
		if err != nil {
			return "", fmt.Errorf("apply the stage: %w", err)
		}
		if phase != store.PhaseApply {
			return phase, nil
		}
	}
}

// ahead is a window that is being read and decoded. What a sealed stage holds does
// not change.
type ahead struct {
	number int
	of     *window
	err    error
	done   chan struct{}
}

func (w *worker) lookAhead(ctx context.Context, number int) *ahead {
	a := &ahead{number: number, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.err = w.e.store.View(ctx, func(r store.Reader) (err error) {
			a.of, err = w.window(ctx, r, number)
			return err
		})
	}()
	return a
}

func (a *ahead) wait() {
	if a != nil {
		<-a.done
	}
}

// window reads a window of the stage.
func (w *worker) window(ctx context.Context, r store.Reader, number int) (*window, error) {
	rows, err := r.StagedWindow(ctx, w.lease.Run, number)
	if err != nil {
		return nil, err
	}
	return newWindow(&store.Run{Key: w.lease.Run, Org: w.org, Directory: w.dir}, w.cause, rows)
}

// applyWindow applies the next window and moves the checkpoint, which the caller saves.
func (w *worker) applyWindow(ctx context.Context, tx store.Tx, run *store.Run, next *ahead) error {
	next.wait()
	var of *window
	if next != nil && next.err == nil && next.number == run.NextWindow {
		of = next.of
	} else {
		var err error
		if of, err = w.window(ctx, tx, run.NextWindow); err != nil {
			return err
		}
	}
	if len(of.users)+len(of.groups) > 0 {
		var err error
		if of.statement.New, err = newUsers(ctx, tx, run); err != nil {
			return err
		}
		out, err := w.e.reconciler.ReconcileTx(ctx, tx, of.statement)
		if err != nil {
			return err
		}
		of.results = out.Results
		of.drift(run.Drift, out)
	}
	if len(of.invalid) > 0 {
		if err := tx.Open(ctx, of.findings(run, w.e.now())); err != nil {
			return err
		}
	}
	of.count(&run.Counts)
	run.NextWindow++
	run.Progress.Applied += of.rows
	return nil
}

// publish brings effective membership up to date in steps, once, after every
// window: so nobody loses access for the length of a window, and the cap does not
// depend on the order of entries. Then the run has succeeded.
func (w *worker) publish(ctx context.Context) (store.RunPhase, error) {
	if err := w.publishStale(ctx); err != nil {
		return "", err
	}
	if err := w.insist(ctx, w.succeed(ctx)); err != nil {
		return "", fmt.Errorf("finish the run: %w", err)
	}
	return store.PhaseDone, nil
}

func (w *worker) publishStale(ctx context.Context) error {
	for more := true; more; {
		err := w.insist(ctx, func(tx store.Tx, run *store.Run) error {
			var err error
			_, more, err = w.e.reconciler.PublishTx(ctx, tx, store.Publication{Org: run.Org, Directory: run.Directory, Cause: w.cause, Rows: w.e.opt.PublishRows}, run.Key)
			return err
		})
		if err != nil {
			return fmt.Errorf("publish effective membership: %w", err)
		}
	}
	return nil
}

// settleTime bounds the publishing that a failed run still does.
const settleTime = 10 * time.Minute

// settle publishes what a run that fails has applied: whoever was taken out of a
// group must not keep the access until another run succeeds. A run that has not
// begun to apply has nothing to publish.
func (w *worker) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	begun := false
	err := w.insist(ctx, func(_ store.Tx, run *store.Run) error {
		begun = run.Phase == store.PhaseApply || run.Phase == store.PhasePublish
		return nil
	})
	if err != nil || !begun {
		return err
	}
	return w.publishStale(ctx)
}

// entryRules are the rules whose findings are seen again by every run while what
// caused them lasts: what was not applied is always staged again.
var entryRules = []string{
	store.RuleInvalidEntry, store.RuleDuplicate, store.RuleUnverifiedDomain, store.RuleStateKept, store.RuleUnknownMember,
}

func (w *worker) succeed(ctx context.Context) func(store.Tx, *store.Run) error {
	return func(tx store.Tx, run *store.Run) error {
		now := w.e.now()
		run.State, run.FinishedAt = store.RunSucceeded, now
		enter(run, store.PhaseDone, now)
		resolve := tx.ResolveFindings
		if run.Incremental || run.Selection != nil {
			resolve = tx.ResolveStaged
		}
		if err := resolve(ctx, run.Directory, run.Key, entryRules, now); err != nil {
			return err
		}
		if err := w.e.resolveGuard(ctx, tx, run); err != nil {
			return err
		}
		if err := tx.ClearStage(ctx, run.Key); err != nil {
			return err
		}
		if err := tx.RestoreAccess(ctx, run.Org, run.Directory, now, w.cause); err != nil {
			return err
		}
		if err := tx.SaveRun(ctx, run); err != nil {
			return err
		}
		_, err := tx.Apply(ctx, &store.ChangeSet{
			Org: run.Org, Directory: run.Directory, Cause: w.cause, Now: now, Cap: w.e.reconciler.Cap(), Pulled: true,
			Events: []store.Event{w.e.event(run, store.EventRunSucceeded, w.cause)},
		})
		return err
	}
}
