package gormstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/provost-scim/provost/store"
)

const stageColumns = "seq, phase, kind, external_id, presence, body, hash, keys, weight, manager, dn, known, told"

func scanStaged(r scanner) (s store.Staged, err error) {
	var body string
	err = r.Scan(&s.Seq, &s.Phase, &s.Kind, &s.ExternalID, &s.Presence, &body, &s.Hash, scanJSON(&s.Keys),
		&s.Weight, &s.Manager, &s.DN, &s.Known, &s.Told)
	s.Body = raw(body)
	return s, err
}

// StagedWindow returns the rows of one window: by phase, then as they were staged.
func (r *reader) StagedWindow(ctx context.Context, run store.Key, window int) ([]store.Staged, error) {
	var list []store.Staged
	each := func(row scanner) error {
		s, err := scanStaged(row)
		s.Window = window
		list = append(list, s)
		return err
	}
	asks := []ask{{
		what:  "read the rows that trade names",
		query: "SELECT " + stageColumns + " FROM stage WHERE run_id = ? AND window_no = ?",
		args:  []any{run, window}, each: each,
	}}
	err := r.each(ctx, func(row scanner) error {
		of := windowRange{window: window}
		err := row.Scan(&of.phase, &of.first, &of.last)
		asks = append(asks, ask{
			what:  "read the rows of a range",
			query: "SELECT " + stageColumns + " FROM stage WHERE run_id = ? AND seq BETWEEN ? AND ? AND phase = ? AND window_no IS NULL",
			args:  []any{run, of.first, of.last, int(of.phase)}, each: each,
		})
		return err
	}, "SELECT phase, first, last FROM stage_window WHERE run_id = ? AND window_no = ?", run, window)
	if err == nil {
		err = r.read(ctx, asks...)
	}
	if err != nil {
		return nil, fmt.Errorf("read window %d of run %d: %w", window, run, err)
	}
	slices.SortFunc(list, func(a, b store.Staged) int {
		return cmp.Or(cmp.Compare(a.Phase, b.Phase), cmp.Compare(a.Seq, b.Seq))
	})
	return list, nil
}

// ClearStage removes all rows of a run's stage.
func (t *tx) ClearStage(ctx context.Context, run store.Key) error {
	err := t.batch(ctx, []statement{
		{query: "DELETE FROM plan_record WHERE run_id = ?", args: []any{run}, want: -1},
		{query: "DELETE FROM stage_window WHERE run_id = ?", args: []any{run}, want: -1},
		{query: "DELETE FROM stage WHERE run_id = ?", args: []any{run}, want: -1},
	})
	if err != nil {
		return fmt.Errorf("clear the stage of run %d: %w", run, err)
	}
	return nil
}

// AppendStage adds rows to the end of a run's stage.
func (t *tx) AppendStage(ctx context.Context, run store.Key, rows []store.Staged) error {
	values := make([][]any, len(rows))
	for i, s := range rows {
		keys, err := jsonText(some(s.Keys))
		if err != nil {
			return fmt.Errorf("stage %s %q: %w", s.Kind, s.ExternalID, err)
		}
		values[i] = []any{
			run, int(s.Phase), string(s.Kind), s.ExternalID, string(s.Presence), nameKey(&s), max(s.Weight, 1), s.Known,
			s.Body, s.Hash, keys, s.Manager, s.DN,
		}
	}
	err := t.copyRows(ctx, "stage", []string{
		"run_id", "phase", "kind", "external_id", "presence", "name_key", "weight", "known",
		"body", "hash", "keys", "manager", "dn",
	}, values)
	if err != nil {
		return fmt.Errorf("stage %d rows of run %d: %w", len(rows), run, err)
	}
	return nil
}

// toldAtOnce bounds how many ids one statement looks for.
const toldAtOnce = 5000

// MarkTold sets told of the rows with the stable ids.
func (t *tx) MarkTold(ctx context.Context, run store.Key, ids []string) error {
	for some := range slices.Chunk(ids, toldAtOnce) {
		f, list := t.texts(some)
		if _, err := t.exec(ctx, "UPDATE stage SET told = true WHERE run_id = ? AND external_id IN (SELECT v FROM "+f+" AS k)", run, list); err != nil {
			return fmt.Errorf("mark what was told in the stage of run %d: %w", run, err)
		}
	}
	return nil
}

// nameKey is the name that only one record of a directory can have.
func nameKey(s *store.Staged) string {
	if len(s.Keys) == 0 {
		return ""
	}
	return s.Keys[0]
}

// amendAtOnce bounds how many managers one statement sets.
const amendAtOnce = 5000

// AmendManagers sets managers of staged users. It first finds the rows: a join by
// stable id would have no index.
func (t *tx) AmendManagers(ctx context.Context, run store.Key, managers map[string]string) error {
	if err := t.analyseStage(ctx, run); err != nil {
		return err
	}
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(managers)), amendAtOnce) {
		f, list := t.texts(ids)
		rows, err := collect(ctx, t.session, scanClaim,
			"SELECT seq, weight, external_id FROM stage WHERE run_id = ? AND kind = 'User' AND external_id IN (SELECT v FROM "+f+" AS k)",
			run, list)
		if err != nil {
			return fmt.Errorf("find users in the stage of run %d: %w", run, err)
		}
		updates := make([]statement, len(rows))
		for i, row := range rows {
			updates[i] = statement{
				query: "UPDATE stage SET manager = ? WHERE run_id = ? AND seq = ?", args: []any{managers[row.id], run, row.seq}, want: 1,
			}
		}
		if err := t.batch(ctx, updates); err != nil {
			return fmt.Errorf("set managers in the stage of run %d: %w", run, err)
		}
	}
	return nil
}
