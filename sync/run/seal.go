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
		run = *held
		return tx.SaveRun(ctx, held)
	})
	if err != nil {
		return "", fmt.Errorf("seal the stage: %w", err)
	}
	classes := r.losses.classes(r.directory.Settings.Guard)
	over := exceeded(classes)
	waits := !run.Apply || len(over) > 0 && !run.Approved
	summary := r.summary(classes)
	if waits {
		// A run that goes on tells its counts soon enough.
		counts, err := w.preview(ctx, &run)
		if err != nil {
			return "", fmt.Errorf("plan the stage: %w", err)
		}
		summary.Counts = &counts
	}
	var phase store.RunPhase
	err = w.update(ctx, func(tx store.Tx, run *store.Run) error {
		if run.Plan, err = r.encodeSummary(ctx, tx, summary); err != nil {
			return err
		}
		var events []store.Event
		now := w.e.now()
		switch {
		case !waits:
			enter(run, store.PhaseApply, now)
		case run.Apply:
			run.State = store.RunHeld
			enter(run, store.PhaseReady, now)
			if err := r.openGuard(ctx, tx, run, over); err != nil {
				return err
			}
			events = append(events, w.e.event(run, store.EventRunHeld, w.cause, over...))
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

func (r *reading) openGuard(ctx context.Context, tx store.Tx, run *store.Run, over []GuardClass) error {
	now := r.w.e.now()
	return tx.Open(ctx, []store.Finding{{
		FindingKey: store.FindingKey{Directory: run.Directory, Rule: store.RuleGuard, Record: string(r.directory.ID)},
		Org:        run.Org, Run: run.Key, RunID: run.ID, Name: run.DirectoryName,
		Sentence: guardSentence(r.directory.Settings.Guard, over),
		OpenedAt: now, SeenAt: now,
	}})
}
