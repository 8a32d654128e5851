package gormstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/provost-scim/provost/store"
)

// MemberLosses compares the members that a stage states of stored groups with the
// stored ones. Only groups that the stage states are looked at, all of them in one
// query.
func (r *reader) MemberLosses(ctx context.Context, q store.LossQuery) ([]store.Loss, error) {
	list, err := collect(ctx, r.session, func(row scanner) (store.Loss, error) {
		l := store.Loss{Class: store.LossMembersRemoved}
		err := row.Scan(&l.Record, &l.Name, &l.Taken, &l.Of, &l.Earlier)
		return l, err
	}, r.memberLosses(q.Replicates), q.Directory, q.Run, q.Run, q.Run, q.Directory, q.Since, string(store.LossMembersRemoved),
		q.Threshold.Count, q.Threshold.Percent, bounded(q.Limit))
	if err != nil {
		return nil, fmt.Errorf("compare the members of run %d: %w", q.Run, err)
	}
	return list, nil
}

// memberLosses is the query of [reader.MemberLosses]. SQLite joins what is cross joined in
// this order: it would begin with all groups there are.
func (r *reader) memberLosses(replicates bool) string {
	members := "json_each(s.body, '$.members') AS m"
	value := "m.value"
	if r.e.postgres {
		members, value = "LATERAL json_array_elements_text(CAST(s.body AS json) -> 'members') AS m(v)", "m.v"
	}
	gone := "presence = 'out_of_scope'"
	if replicates {
		gone = "presence IN ('out_of_scope', 'gone')"
	}
	return `WITH restated AS MATERIALIZED (
			SELECT g.id, g.external_id, g.display_name, s.seq FROM stage AS s
			JOIN groups AS g ON g.external_id = s.external_id AND g.external_id <> '' AND g.directory_id = ? AND g.deleted_at IS NULL
			WHERE s.run_id = ? AND s.phase = 2 AND s.kind = 'Group' AND s.presence = '' AND s.known
		), named AS MATERIALIZED (
			SELECT t.id, ` + value + ` AS external_id FROM restated AS t JOIN stage AS s ON s.run_id = ? AND s.seq = t.seq, ` + members + `
		), away AS MATERIALIZED (
			SELECT kind, external_id FROM stage WHERE run_id = ? AND phase = 3 AND ` + gone + `
		), have AS (
			SELECT t.id, 'User' AS kind, u.external_id FROM restated AS t
			CROSS JOIN member AS m CROSS JOIN users AS u WHERE m.group_id = t.id AND u.org_id = m.org_id AND u.id = m.user_id AND u.deleted_at IS NULL
			UNION ALL
			SELECT t.id, 'Group', g.external_id FROM restated AS t
			CROSS JOIN nest AS n CROSS JOIN groups AS g WHERE n.parent_id = t.id AND g.org_id = n.org_id AND g.id = n.child_id AND g.deleted_at IS NULL
		), lost AS (
			SELECT h.id, count(*) AS had, sum(CASE WHEN n.id IS NULL AND a.kind IS NULL THEN 1 ELSE 0 END) AS taken
			FROM have AS h LEFT JOIN named AS n ON n.id = h.id AND n.external_id = h.external_id
			LEFT JOIN away AS a ON a.kind = h.kind AND a.external_id = h.external_id GROUP BY h.id
		), earlier AS (
			SELECT record, sum(taken) AS taken FROM run_loss WHERE ` + countedLosses + ` AND class = ? GROUP BY record
		), judged AS (
			SELECT t.external_id, t.display_name, l.taken + coalesce(e.taken, 0) AS taken, l.had + coalesce(e.taken, 0) AS had, coalesce(e.taken, 0) AS past
			FROM lost AS l JOIN restated AS t ON t.id = l.id LEFT JOIN earlier AS e ON e.record = t.external_id WHERE l.taken > 0
		)
		SELECT external_id, display_name, CAST(taken AS bigint), CAST(had AS bigint), CAST(past AS bigint) FROM judged
		ORDER BY CASE WHEN taken > CAST(? AS bigint) AND taken * 100 > CAST(? AS double precision) * had THEN 0 ELSE 1 END, taken DESC, external_id LIMIT ?`
}

// countedLosses are those of a directory since a time which incremental runs took that
// nobody approved. A run that was held or dropped took nothing.
const countedLosses = `directory_id = ? AND noted_at > ? AND EXISTS (SELECT 1 FROM run AS r
	WHERE r.id = run_loss.run_id AND r.next_window > 0 AND NOT r.approved)`

// EarlierLosses sums what incremental runs took.
func (r *reader) EarlierLosses(ctx context.Context, directory store.Key, since time.Time) (map[store.LossClass]int, error) {
	sums := map[store.LossClass]int{}
	err := r.each(ctx, func(row scanner) error {
		var class store.LossClass
		var taken int
		err := row.Scan(&class, &taken)
		sums[class] = taken
		return err
	}, "SELECT class, sum(taken) FROM run_loss WHERE "+countedLosses+" AND class <> ? GROUP BY class",
		directory, since, string(store.LossMembersRemoved))
	if err != nil {
		return nil, fmt.Errorf("sum what earlier runs took away: %w", err)
	}
	return sums, nil
}

// NoteLosses keeps what a run takes away.
func (t *tx) NoteLosses(ctx context.Context, run *store.Run, losses []store.Loss, now time.Time) error {
	w := writes{tx: t, what: fmt.Sprintf("note the losses of run %d", run.Key)}
	w.add(statement{query: "DELETE FROM run_loss WHERE run_id = ?", args: []any{run.Key}, want: -1})
	var rows [][]any
	for _, l := range losses {
		if taken := l.Taken - l.Earlier; taken > 0 {
			rows = append(rows, []any{run.Key, string(l.Class), strings.ToValidUTF8(l.Record, ""), run.Directory, taken, now})
		}
	}
	w.insert("run_loss", []string{"run_id", "class", "record", "directory_id", "taken", "noted_at"}, rows)
	return w.flush(ctx)
}
