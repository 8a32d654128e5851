package run

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// seal ends a complete read: the stage is divided into windows, the guard judges
// the whole of it (rule 6), and the run goes on or waits for a person.
func (r *reading) seal(ctx context.Context) (store.RunPhase, error) {
	w := r.w
	var run store.Run
	err := w.update(ctx, func(tx store.Tx, held *store.Run) error {
		windows, hash, err := tx.SealStage(ctx, held.Key, w.e.opt.WindowRecords, w.e.opt.WindowRefs)
		if err != nil {
			return err
		}
		held.Windows, held.StageHash = windows, hash
		held.Counts, held.Progress = r.counts, w.progress()
		held.Cookie, held.Drift = r.cookie, r.drift
		if r.places != nil {
			if err := tx.NoteContainers(ctx, held.Org, held.Directory, r.places.seen); err != nil {
				return err
			}
		}
		if held.FullBecause == lostCookie && r.noCookie != "" {
			held.FullBecause = r.noCookie
		}
		run = *held
		return tx.SaveRun(ctx, held)
	})
	if err != nil {
		return "", fmt.Errorf("seal the stage: %w", err)
	}
	planned, err := w.seated(ctx, &run)
	if err != nil {
		return "", err
	}
	classes, noted, err := r.judge(ctx, &run)
	if err != nil {
		return "", fmt.Errorf("judge the stage: %w", err)
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
	waits := !run.Apply || against.holds() && !run.Approved
	if waits {
		// A run that goes on tells its counts soon enough.
		if planned == nil {
			counts, err := w.preview(ctx, &run)
			if err != nil {
				return "", fmt.Errorf("plan the stage: %w", err)
			}
			planned = &counts
		}
		summary.Counts = planned
	}
	var phase store.RunPhase
	err = w.update(ctx, func(tx store.Tx, run *store.Run) error {
		if run.Plan, err = r.encodeSummary(ctx, tx, summary); err != nil {
			return err
		}
		if run.Incremental || run.Selection != nil {
			if err := tx.NoteLosses(ctx, run, noted, w.e.now()); err != nil {
				return err
			}
		}
		var events []store.Event
		now := w.e.now()
		switch {
		case !waits:
			enter(run, store.PhaseApply, now)
			if events, err = w.e.joinScope(ctx, tx, run, w.cause); err != nil {
				return err
			}
		case run.Apply:
			run.State = store.RunHeld
			enter(run, store.PhaseReady, now)
			found := r.guardFindings(run, &against)
			if err := tx.Open(ctx, found); err != nil {
				return err
			}
			if err := r.tellHeld(ctx, tx, run, classes, found); err != nil {
				return err
			}
			events = append(events, w.e.event(run, store.EventRunHeld, w.cause, against))
		default:
			enter(run, store.PhaseReady, now)
		}
		phase = run.Phase
		if err := tx.SaveRun(ctx, run); err != nil {
			return err
		}
		if len(events) == 0 {
			return nil
		}
		return tx.Append(ctx, events)
	})
	return phase, err
}
