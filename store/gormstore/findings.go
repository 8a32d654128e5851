package gormstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/provost-scim/provost/store"
)

// Findings lists findings by key.
func (r *reader) Findings(ctx context.Context, q store.FindingQuery) ([]store.Finding, error) {
	where, args := "f.org_id = ?", []any{q.Org}
	and := func(condition string, arg ...any) {
		where += " AND " + condition
		args = append(args, arg...)
	}
	if q.Directory != nil {
		and("f.directory_id = ?", *q.Directory)
	}
	if q.Run != 0 {
		and("f.run_id = ?", q.Run)
	}
	if q.Open {
		and("f.resolved_at IS NULL")
	}
	if q.Resolved {
		and("f.resolved_at IS NOT NULL")
	}
	if q.Kind != "" {
		and("f.kind = ?", string(q.Kind))
	}
	if q.Record != "" {
		and("f.record = ?", q.Record)
	}
	if q.Rules != nil {
		among, list := r.amongTexts(q.Rules, "text")
		and("f.rule"+among, list)
	}
	if q.After != 0 {
		and("f.id > ?", q.After)
	}
	list, err := collect(ctx, r.session, scanFinding,
		`SELECT f.id, f.public_id, f.org_id, f.directory_id, f.rule, f.kind, f.record, f.run_id, run.public_id,
			f.sentence, f.name, f.dn, f.opened_at, f.seen_at, f.resolved_at
		FROM finding AS f LEFT JOIN run ON run.id = f.run_id WHERE `+where+` ORDER BY f.id LIMIT ?`,
		append(args, bounded(q.Limit))...)
	if err != nil {
		return nil, fmt.Errorf("list findings: %w", err)
	}
	return list, nil
}

func scanFinding(r scanner) (f store.Finding, err error) {
	err = r.Scan(&f.Key, &f.ID, &f.Org, &f.Directory, &f.Rule, &f.Kind, &f.Record, scanKey(&f.Run), scanID(&f.RunID),
		&f.Sentence, &f.Name, &f.DN, scanTime(&f.OpenedAt), scanTime(&f.SeenAt), scanTime(&f.ResolvedAt))
	return f, err
}

// Open opens findings. One that is open already stays the same finding: it is only
// written when it says something else now or a later run has seen it, so that a
// client that repeats a refused request costs no writes.
func (t *tx) Open(ctx context.Context, findings []store.Finding) error {
	// One statement cannot write a row twice: of equal findings the last is kept. The
	// order is that in which rows are locked.
	last := make(map[store.FindingKey]store.Finding, len(findings))
	for _, f := range findings {
		last[f.FindingKey] = f
	}
	rows := make([][]any, 0, len(last))
	for _, k := range sortedFindings(last) {
		f := last[k]
		if f.SeenAt.IsZero() {
			f.SeenAt = t.e.now()
		}
		if f.OpenedAt.IsZero() {
			f.OpenedAt = f.SeenAt
		}
		if f.ID == "" {
			f.ID = store.NewID(f.OpenedAt)
		}
		rows = append(rows, []any{
			f.ID, f.Org, f.Directory, f.Rule, string(f.Kind), f.Record, nullKey(f.Run),
			f.Sentence, f.Name, f.DN, f.OpenedAt, f.SeenAt,
		})
	}
	err := t.insertRows(ctx, "finding", []string{
		"public_id", "org_id", "directory_id", "rule", "kind", "record", "run_id",
		"sentence", "name", "dn", "opened_at", "seen_at",
	}, rows, ` ON CONFLICT (record, rule, kind, directory_id, org_id) WHERE resolved_at IS NULL DO UPDATE
		SET run_id = excluded.run_id, seen_at = excluded.seen_at, sentence = excluded.sentence, name = excluded.name, dn = excluded.dn
		WHERE finding.run_id IS DISTINCT FROM excluded.run_id OR finding.sentence <> excluded.sentence
			OR finding.name <> excluded.name OR finding.dn <> excluded.dn`)
	if err != nil {
		return fmt.Errorf("open findings: %w", err)
	}
	return nil
}

func sortedFindings(findings map[store.FindingKey]store.Finding) []store.FindingKey {
	keys := make([]store.FindingKey, 0, len(findings))
	for k := range findings {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b store.FindingKey) int {
		return cmp.Or(cmp.Compare(a.Directory, b.Directory), cmp.Compare(a.Rule, b.Rule),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Record, b.Record))
	})
	return keys
}
