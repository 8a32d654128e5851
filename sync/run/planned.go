package run

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// preview counts what applying the stage would do, by planning every window without
// writing, and notes what decides on the members of groups.
func (w *worker) preview(ctx context.Context, run *store.Run) (store.RunCounts, error) {
	counts := run.Counts
	for number := range run.Windows {
		var of *planned
		err := w.update(ctx, func(tx store.Tx, run *store.Run) error {
			var err error
			if of, err = w.e.plan(ctx, tx, run, number); err != nil {
				return err
			}
			return tx.NotePlan(ctx, run.Key, of.records())
		})
		if err != nil {
			return counts, err
		}
		of.count(&counts)
	}
	return counts, nil
}

// planned is a window with what would become of it.
type planned struct {
	*window
	out *reconcile.Planned
}

// plan plans a window as things are now.
func (e *Engine) plan(ctx context.Context, tx store.Tx, run *store.Run, number int) (*planned, error) {
	rows, err := tx.StagedWindow(ctx, run.Key, number)
	if err != nil {
		return nil, err
	}
	of, err := newWindow(run, run.Cause, rows)
	if err != nil {
		return nil, err
	}
	if of.statement.New, err = newUsers(ctx, tx, run); err != nil {
		return nil, err
	}
	out, err := e.reconciler.Preview(ctx, tx, of.statement)
	if err != nil {
		return nil, err
	}
	of.results = out.Results
	return &planned{window: of, out: out}, nil
}

// waiting plans one window of a run that waits for a person.
func (e *Engine) waiting(ctx context.Context, org store.Key, id store.ID, number int, fn func(store.Tx, *store.Run, *planned) error) error {
	err := e.store.Update(ctx, func(tx store.Tx) error {
		run, err := tx.Run(ctx, org, id)
		if err != nil {
			return err
		}
		if run.Phase != store.PhaseReady {
			return conflict(run, "only a plan that is ready and a held run tell what they would do")
		}
		if number < 0 || number >= run.Windows {
			return store.Errorf(store.CodeInvalid, "the plan has no window %d: it has %d, from 0", number, run.Windows)
		}
		of, err := e.plan(ctx, tx, run, number)
		if err != nil {
			return err
		}
		return fn(tx, run, of)
	})
	if err != nil {
		return fmt.Errorf("look at plan %s: %w", id, err)
	}
	return nil
}

// PlanItems tells what would become of each record of one window of a plan or a
// held run, from 0 to [store.Run.Windows] - 1, as things are now. A window has one
// item for each staged record, always in the same order. What the read found
// unchanged is not staged and not listed.
func (e *Engine) PlanItems(ctx context.Context, org store.Key, id store.ID, number int) (items []store.PlanItem, err error) {
	err = e.waiting(ctx, org, id, number, func(tx store.Tx, run *store.Run, of *planned) error {
		members, err := of.members(ctx, tx, run)
		if err != nil {
			return err
		}
		items = of.items()
		for _, m := range members {
			if m.Joins {
				items[m.Item].Joining++
			} else {
				items[m.Item].Leaving++
			}
		}
		return nil
	})
	return items, err
}

// items joins the rows of a window with what would become of them.
func (of *planned) items() []store.PlanItem {
	items := make([]store.PlanItem, 0, len(of.users)+len(of.groups)+len(of.invalid))
	add := func(row *store.Staged, at int) {
		r := &of.out.Results[at]
		item := store.PlanItem{
			Kind: row.Kind, ExternalID: row.ExternalID, DN: row.DN, Name: of.name(at), Outcome: r.Outcome, Changes: of.out.Changes[at],
		}
		if r.Key > 0 { // a record to be created has a provisional one
			item.ID = r.ID
		}
		if r.Err != nil {
			item.Reason = r.Err.Message
		}
		items = append(items, item)
	}
	for i, row := range of.users {
		add(row, i)
	}
	for i, row := range of.groups {
		add(row, len(of.users)+i)
	}
	for i := range of.invalid {
		v := &of.invalid[i]
		items = append(items, store.PlanItem{
			Kind: v.row.Kind, ExternalID: v.row.ExternalID, DN: v.row.DN, Name: v.body.Name, Outcome: store.Refused, Reason: v.body.Sentence,
		})
	}
	return items
}

// name is what the record of a result is called: by the directory, if that states it.
func (of *planned) name(at int) string {
	if at < len(of.users) {
		if name := of.statement.Users[at].Attributes.UserName; name != "" {
			return name
		}
		return of.out.Users[at].Attributes.UserName
	}
	i := at - len(of.users)
	if name := of.statement.Groups[i].DisplayName; name != nil {
		return *name
	}
	return of.out.Groups[i].DisplayName
}

// row is the staged row of a result.
func (of *planned) row(at int) *store.Staged {
	if at < len(of.users) {
		return of.users[at]
	}
	return of.groups[at-len(of.users)]
}
