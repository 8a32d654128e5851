package gormstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/provost-scim/provost/store"
)

// NotePlan writes what a plan would make of records.
func (t *tx) NotePlan(ctx context.Context, run store.Key, records []store.PlanRecord) error {
	rows := make([][]any, len(records))
	for i, r := range records {
		rows[i] = []any{run, r.ExternalID, string(r.Kind), r.Name, r.Arrives, r.Record}
	}
	if err := t.copyRows(ctx, "plan_record", []string{"run_id", "external_id", "kind", "name", "arrives", "record_id"}, rows); err != nil {
		return fmt.Errorf("note what run %d would make of %d records: %w", run, len(records), err)
	}
	return nil
}

// PlanRecords reads what NotePlan wrote.
func (r *reader) PlanRecords(ctx context.Context, run store.Key, ids []string) ([]store.PlanRecord, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	among, list := r.amongTexts(ids, "text")
	found, err := collect(ctx, r.session, func(row scanner) (p store.PlanRecord, err error) {
		err = row.Scan(&p.ExternalID, &p.Kind, &p.Name, &p.Arrives, &p.Record)
		return p, err
	}, "SELECT external_id, kind, name, arrives, record_id FROM plan_record WHERE run_id = ? AND external_id"+among+" ORDER BY external_id, kind", run, list)
	if err != nil {
		return nil, fmt.Errorf("read what run %d would make of %d records: %w", run, len(ids), err)
	}
	return found, nil
}

// Belongings lists groups by who is in them.
func (r *reader) Belongings(ctx context.Context, q store.BelongingQuery) ([]store.Belonging, error) {
	var list []store.Belonging
	add := func(kind store.Kind) func(scanner) error {
		return func(row scanner) error {
			b := store.Belonging{Group: store.RecordName{Kind: store.KindGroup}, Member: store.Edge{Kind: kind}}
			var member any = &b.Member.Key
			if kind == "" {
				member = &b.Awaited
			}
			err := row.Scan(&b.GroupKey, &b.Group.ID, &b.Group.ExternalID, &b.Group.Name, member)
			list = append(list, b)
			return err
		}
	}
	const groups = " JOIN groups AS g ON g.org_id = e.org_id AND g.id = e.%s WHERE e.%s%s AND e.org_id = ? AND g.directory_id = ? AND g.deleted_at IS NULL"
	const columns = "SELECT g.id, g.public_id, g.external_id, g.display_name, e."
	var asks []ask
	if len(q.Awaited) > 0 {
		among, ids := r.amongTexts(q.Awaited, "text")
		asks = append(asks, ask{
			what:  "find groups that await members",
			query: columns + "external_id FROM pending_member AS e" + fmt.Sprintf(groups, "group_id", "external_id", among),
			args:  []any{ids, q.Org, q.Directory}, each: add(""),
		})
	}
	for _, part := range []struct {
		kind                 store.Kind
		table, parent, child string
	}{{store.KindUser, "member", "group_id", "user_id"}, {store.KindGroup, "nest", "parent_id", "child_id"}} {
		var keys []int64
		for _, m := range q.Members {
			if m.Kind == part.kind {
				keys = append(keys, int64(m.Key))
			}
		}
		if len(keys) == 0 {
			continue
		}
		among, ids := r.among(keys)
		asks = append(asks, ask{
			what:  "find groups of members",
			query: columns + part.child + " FROM " + part.table + " AS e" + fmt.Sprintf(groups, part.parent, part.child, among),
			args:  []any{ids, q.Org, q.Directory}, each: add(part.kind),
		})
	}
	if err := r.read(ctx, asks...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b store.Belonging) int { return int(a.GroupKey - b.GroupKey) })
	return list, nil
}

// RecordNames names live records, in a query for each kind.
func (r *reader) RecordNames(ctx context.Context, org store.Key, records []store.Edge) (map[store.Edge]store.RecordName, error) {
	out := make(map[store.Edge]store.RecordName, len(records))
	var asks []ask
	for kind, name := range map[store.Kind]string{store.KindUser: "user_name", store.KindGroup: "display_name"} {
		var keys []int64
		for _, e := range records {
			if e.Kind == kind {
				keys = append(keys, int64(e.Key))
			}
		}
		if len(keys) == 0 {
			continue
		}
		among, list := r.among(keys)
		asks = append(asks, ask{
			what:  "name records",
			query: "SELECT t.id, t.public_id, t.external_id, t." + name + " FROM " + tableOf(kind) + " AS t WHERE t.id" + among + " AND t.org_id = ? AND t.deleted_at IS NULL",
			args:  []any{list, org},
			each: func(row scanner) error {
				e, n := store.Edge{Kind: kind}, store.RecordName{Kind: kind}
				err := row.Scan(&e.Key, &n.ID, &n.ExternalID, &n.Name)
				out[e] = n
				return err
			},
		})
	}
	if err := r.read(ctx, asks...); err != nil {
		return nil, err
	}
	return out, nil
}
