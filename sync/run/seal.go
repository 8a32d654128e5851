package run

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// seal ends a complete read: the stage is divided into windows, the guard judges
// the whole of it (rule 6), and the run goes on or waits for a person. For a few rows,
// of a run that goes on, all of that is one transaction.
func (r *reading) seal(ctx context.Context) (phase store.RunPhase, err error) {
	w := r.w
	var run store.Run
	err = w.update(ctx, func(tx store.Tx, held *store.Run) error {
		phase = ""
		if err := r.divide(ctx, tx, held); err != nil {
			return err
		}
		if r.few && held.Selection == nil { // which may have to be planned first
			j, err := r.judge(ctx, tx, held)
			if err != nil {
				return err
			}
			if !j.waits {
				phase, err = r.decide(ctx, tx, held, j)
				return err
			}
		}
		run = *held
		return tx.SaveRun(ctx, held)
	})
	if err != nil {
		return "", fmt.Errorf("seal the stage: %w", err)
	}
	w.staged.Add(int64(len(r.rows)))
	if phase != "" {
		return phase, nil
	}
	planned, err := w.seated(ctx, &run)
	if err != nil {
		return "", err
	}
	var j *judgement
	err = w.e.store.View(ctx, func(v store.Reader) (err error) {
		j, err = r.judge(ctx, v, &run)
		return err
	})
	if err != nil {
		return "", err
	}
	if j.waits {
		// A run that goes on tells its counts soon enough.
		if planned == nil {
			counts, err := w.preview(ctx, &run)
			if err != nil {
				return "", fmt.Errorf("plan the stage: %w", err)
			}
			planned = &counts
		}
		j.summary.Counts = planned
	}
	err = w.update(ctx, func(tx store.Tx, run *store.Run) (err error) {
		phase, err = r.decide(ctx, tx, run, j)
		return err
	})
	return phase, err
}

// divide seals the stage and notes what the read has found in the run, which the caller
// saves.
func (r *reading) divide(ctx context.Context, tx store.Tx, run *store.Run) error {
	w := r.w
	if len(r.rows) > 0 {
		if err := tx.AppendStage(ctx, run.Key, r.rows); err != nil {
			return err
		}
	}
	windows, hash, err := tx.SealStage(ctx, run.Key, w.e.opt.WindowRecords, w.e.opt.WindowRefs)
	if err != nil {
		return err
	}
	run.Windows, run.StageHash = windows, hash
	run.Counts, run.Progress = r.counts, w.progress()
	run.Progress.Staged += len(r.rows)
	run.Cookie, run.Drift = r.cookie, r.drift
	if r.places != nil {
		if err := tx.NoteContainers(ctx, run.Org, run.Directory, r.places.seen); err != nil {
			return err
		}
	}
	if run.FullBecause == lostCookie && r.noCookie != "" {
		run.FullBecause = r.noCookie
	}
	return nil
}

// judgement is what a sealed stage comes to.
type judgement struct {
	classes []GuardClass
	noted   []store.Loss // what later runs have to count
	summary *PlanSummary
	against verdict
	waits   bool // for a person
}

// judge finds out whether a run with a sealed stage may go on.
func (r *reading) judge(ctx context.Context, v store.Reader, run *store.Run) (*judgement, error) {
	classes, noted, err := r.weigh(ctx, v, run)
	if err != nil {
		return nil, fmt.Errorf("judge the stage: %w", err)
	}
	summary := r.summary(classes)
	summary.Joins = r.joins
	summary.Hidden = r.hidden
	against := verdict{over: exceeded(classes), hidden: r.hidden}
	if !run.Incremental && run.Selection == nil { // else it has not judged every entry
		summary.Attributes = r.attributes()
		summary.Vanished = vanished(r.last, summary)
		summary.Scope, summary.ScopeChange = r.scope.chosen, r.scopeChange()
		against.vanished = summary.Vanished
	}
	return &judgement{classes, noted, summary, against, !run.Apply || against.holds() && !run.Approved}, nil
}

// decide lets the run go on, or wait for a person, and saves it.
func (r *reading) decide(ctx context.Context, tx store.Tx, run *store.Run, j *judgement) (phase store.RunPhase, err error) {
	w := r.w
	if run.Plan, err = r.encodeSummary(ctx, tx, j.summary); err != nil {
		return "", err
	}
	if run.Incremental || run.Selection != nil {
		if err := tx.NoteLosses(ctx, run, j.noted, w.e.now()); err != nil {
			return "", err
		}
	}
	var events []store.Event
	now := w.e.now()
	switch {
	case !j.waits:
		enter(run, store.PhaseApply, now)
		if events, err = w.e.joinScope(ctx, tx, run, w.cause); err != nil {
			return "", err
		}
	case run.Apply:
		run.State = store.RunHeld
		enter(run, store.PhaseReady, now)
		found := r.guardFindings(run, &j.against)
		if err := tx.Open(ctx, found); err != nil {
			return "", err
		}
		if err := r.tellHeld(ctx, tx, run, j.classes, found); err != nil {
			return "", err
		}
		would := *run
		would.Counts = *j.summary.Counts
		events = append(events, w.e.event(&would, store.EventRunHeld, w.cause, j.against))
	default:
		enter(run, store.PhaseReady, now)
	}
	if err := tx.SaveRun(ctx, run); err != nil || len(events) == 0 {
		return run.Phase, err
	}
	return run.Phase, tx.Append(ctx, events)
}
