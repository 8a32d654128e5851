package gormstore

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

const (
	publishAtOnce = 500   // groups that one recomputation takes
	analyzeFrom   = 5_000 // wanted rows from which the planner has to know how many there are
)

// Publish brings effective membership of stale groups up to date, by key, until about
// p.Rows rows were compared, and reports whether stale groups remain. It has the
// organization's graph for itself, so that nobody changes a membership meanwhile.
func (t *tx) Publish(ctx context.Context, p store.Publication) (*store.Effects, bool, error) {
	if t.e.postgres {
		if err := t.read(ctx, lockGraph(p.Org, true)); err != nil {
			return nil, false, err
		}
	}
	c := &store.ChangeSet{Org: p.Org, Cap: p.Cap, Now: p.Now, Cause: p.Cause}
	var shifts []*shift
	rows, more := 0, true
	for more && rows < max(p.Rows, 1) {
		groups, left, err := t.staleGroups(ctx, p.Org, p.Directory, p.Rows-rows)
		if err != nil {
			return nil, false, err
		}
		more = left
		if len(groups) == 0 {
			break
		}
		done, compared, err := t.recompute(ctx, c, groups)
		if err != nil {
			return nil, false, err
		}
		shifts = append(shifts, done...)
		rows += compared
	}
	effects, err := t.finishEffects(ctx, c, shifts, nil)
	return effects, more, err
}

// internalOrOf chooses the groups of one directory, and the internal ones that hold
// none that waits for the run of another.
const internalOrOf = ` AND (g.directory_id = ? OR g.directory_id IS NULL AND g.id NOT IN (
	WITH RECURSIVE up(id) AS (
		SELECT o.id FROM groups o WHERE o.org_id = ? AND o.stale AND o.directory_id <> ?
		UNION SELECT n.parent_id FROM up JOIN nest n ON n.child_id = up.id AND n.org_id = ?)
	SELECT id FROM up))`

// staleGroups picks the next stale groups whose rows are about as many as asked for,
// at least one, and reports whether there are others.
func (t *tx) staleGroups(ctx context.Context, org, directory store.Key, rows int) (groups []store.GroupEffect, more bool, err error) {
	of, args := "", []any{org}
	if directory != 0 {
		of = internalOrOf
		args = append(args, directory, org, directory, org)
	}
	weight := 0
	err = t.each(ctx, func(row scanner) error {
		if more {
			return nil
		}
		var e store.GroupEffect
		var direct int
		if err := row.Scan(&e.Key, &e.ID, scanKey(&e.Directory), &e.DisplayName, &e.Before, &e.WasOver, &direct); err != nil {
			return err
		}
		if len(groups) > 0 && weight >= rows || len(groups) == publishAtOnce {
			more = true
			return nil
		}
		e.After = e.Before
		weight += 1 + max(e.Before, direct)
		groups = append(groups, e)
		return nil
	}, `SELECT g.id, g.public_id, g.directory_id, g.display_name, g.effective_count, g.over_cap,
			(SELECT count(*) FROM member m WHERE m.group_id = g.id)
		FROM groups g WHERE g.org_id = ? AND g.stale`+of+" ORDER BY g.id LIMIT ?", append(args, publishAtOnce+1)...)
	if err != nil {
		return nil, false, fmt.Errorf("look for groups to publish: %w", err)
	}
	return groups, more, nil
}

// recompute makes effective membership of groups what it has to be, clears their mark
// of being stale, and returns how many rows that took. Nobody else may change the
// nesting or the groups' members meanwhile.
func (t *tx) recompute(ctx context.Context, c *store.ChangeSet, groups []store.GroupEffect) ([]*shift, int, error) {
	shifts := make(map[store.Key]*shift, len(groups))
	keys := make([]store.Key, len(groups))
	out := make([]*shift, len(groups))
	compared := 0
	for i, g := range groups {
		s := &shift{effect: g}
		s.effect.After = 0
		shifts[g.Key], keys[i], out[i] = s, g.Key, s
		compared += g.Before
	}
	wanted, err := t.want(ctx, c.Org, keys, shifts)
	if err != nil {
		return nil, 0, fmt.Errorf("compute effective members: %w", err)
	}
	compared += wanted
	d := &difference{tx: t, org: c.Org, shifts: shifts}
	if err := d.write(ctx, keys, c.Cap); err != nil {
		return nil, 0, fmt.Errorf("publish effective members: %w", err)
	}
	return out, compared, nil
}

// want fills the temporary table wanted with what effective has to hold of the groups
// and returns how many rows that are. CROSS JOIN makes SQLite begin with the groups
// and not with all members of the organization; to PostgreSQL it means nothing.
func (t *tx) want(ctx context.Context, org store.Key, keys []store.Key, shifts map[store.Key]*shift) (int, error) {
	prepare := []string{
		"CREATE TEMP TABLE IF NOT EXISTS wanted (group_id bigint NOT NULL, user_id bigint NOT NULL, support integer NOT NULL, public_id text NOT NULL, PRIMARY KEY (group_id, user_id)) WITHOUT ROWID",
		"DELETE FROM temp.wanted",
	}
	table := "temp.wanted"
	if t.e.postgres {
		table = "pg_temp.wanted"
		prepare = []string{
			"CREATE TEMP TABLE IF NOT EXISTS wanted (group_id bigint NOT NULL, user_id bigint NOT NULL, support integer NOT NULL, public_id uuid NOT NULL, PRIMARY KEY (group_id, user_id)) ON COMMIT DELETE ROWS",
			"TRUNCATE pg_temp.wanted",
		}
	}
	for _, q := range prepare {
		if _, err := t.exec(ctx, q); err != nil {
			return 0, err
		}
	}
	f, arg := t.keys(keys)
	n, err := t.exec(ctx, `WITH RECURSIVE reach(root, id) AS (
			SELECT g.id, g.id FROM `+f+` AS k CROSS JOIN groups g
				WHERE g.org_id = ? AND g.id = k.v AND g.deleted_at IS NULL AND NOT g.out_of_scope
			UNION SELECT r.root, n.child_id FROM reach r CROSS JOIN nest n CROSS JOIN groups g
				WHERE n.parent_id = r.id AND n.org_id = ? AND g.org_id = n.org_id AND g.id = n.child_id
					AND g.deleted_at IS NULL AND NOT g.out_of_scope)
		INSERT INTO `+table+` (group_id, user_id, support, public_id)
		SELECT r.root, m.user_id, count(*), u.public_id FROM reach r CROSS JOIN member m CROSS JOIN users u
			WHERE m.group_id = r.id AND m.org_id = ? AND u.org_id = m.org_id AND u.id = m.user_id
				AND u.deleted_at IS NULL AND NOT u.out_of_scope GROUP BY r.root, m.user_id, u.public_id`, arg, org, org, org)
	if err != nil {
		return 0, err
	}
	if t.e.postgres && n >= analyzeFrom {
		if _, err := t.exec(ctx, "ANALYZE pg_temp.wanted"); err != nil {
			return 0, err
		}
	}
	err = t.each(ctx, func(row scanner) error {
		var key store.Key
		var count int
		err := row.Scan(&key, &count)
		shifts[key].effect.After = count
		return err
	}, "SELECT group_id, count(*) FROM "+table+" GROUP BY group_id")
	return int(n), err
}

// difference brings effective to what wanted holds.
type difference struct {
	*tx
	org    store.Key
	shifts map[store.Key]*shift
}

func (d *difference) write(ctx context.Context, keys []store.Key, limit int) error {
	table := "temp.wanted"
	if d.e.postgres {
		table = "pg_temp.wanted"
	}
	var held, fit []int64 // groups that have rows, and those whose rows were not all published
	for _, key := range keys {
		e := &d.shifts[key].effect
		e.Over = e.After > limit
		if e.Before > 0 {
			held = append(held, int64(key))
		}
		if e.WasOver && !e.Over {
			fit = append(fit, int64(key))
		}
	}
	gone, err := d.overlap(ctx, table, held)
	if err != nil {
		return err
	}
	w := &writes{tx: d.tx, what: "count effective members"}
	d.counts(w, keys, limit)
	if err := w.flush(ctx); err != nil {
		return err
	}
	if err := d.insert(ctx, table); err != nil {
		return err
	}
	among, fitting := d.among(fit)
	back, err := d.changed(ctx, "UPDATE effective SET published = true WHERE NOT published AND group_id"+among+
		" RETURNING group_id, user_id, published", fitting)
	if err != nil {
		return err
	}
	ids, err := d.userIDs(ctx, d.org, gone, back)
	if err != nil {
		return err
	}
	for _, p := range gone {
		s := d.shifts[p.group]
		s.ceased = append(s.ceased, ids[p.user])
	}
	for _, p := range back {
		s := d.shifts[p.group]
		s.published = append(s.published, ids[p.user])
	}
	return nil
}

// insert adds the rows that are new, and notes whom they publish.
func (d *difference) insert(ctx context.Context, table string) error {
	n, err := d.exec(ctx, "INSERT INTO effective (group_id, user_id, support, published) SELECT w.group_id, w.user_id, w.support, NOT g.over_cap FROM "+
		table+" w CROSS JOIN groups g WHERE g.org_id = ? AND g.id = w.group_id", d.org)
	if err != nil || n == 0 {
		return err
	}
	d.grew("effective", int(n))
	return d.each(ctx, func(row scanner) error {
		var group store.Key
		var id store.ID
		if err := row.Scan(&group, &id); err != nil {
			return err
		}
		if s := d.shifts[group]; !s.effect.Over {
			s.published = append(s.published, id)
		}
		return nil
	}, "SELECT group_id, public_id FROM "+table)
}

// overlap deletes the rows of groups that are not wanted any more, brings those that
// are to their support, and leaves in wanted only the new ones. It returns whom the
// deleted rows published.
func (d *difference) overlap(ctx context.Context, table string, held []int64) ([]pair, error) {
	if len(held) == 0 {
		return nil, nil
	}
	among, arg := d.among(held)
	gone, err := d.changed(ctx, "DELETE FROM effective WHERE group_id"+among+` AND NOT EXISTS (SELECT 1 FROM `+table+` w
			WHERE w.group_id = effective.group_id AND w.user_id = effective.user_id) RETURNING group_id, user_id, published`, arg)
	if err != nil {
		return nil, err
	}
	_, err = d.exec(ctx, "UPDATE effective SET support = w.support FROM "+table+` w
		WHERE effective.group_id = w.group_id AND effective.user_id = w.user_id AND effective.support <> w.support`)
	if err != nil {
		return nil, err
	}
	// If the insert looked for these rows itself, in the table that it fills, it would
	// look through all that it has filled when the planner believes the table small.
	_, err = d.exec(ctx, "DELETE FROM "+table+" AS w WHERE EXISTS (SELECT 1 FROM effective e WHERE e.group_id = w.group_id AND e.user_id = w.user_id)")
	return gone, err
}

// counts writes what is known of the groups themselves: those whose count stays, and
// the others.
func (d *difference) counts(w *writes, keys []store.Key, limit int) {
	var same []store.Key
	var moved, count []int64
	for _, key := range keys {
		e := d.shifts[key].effect
		if e.After == e.Before && e.Over == e.WasOver {
			same = append(same, key)
		} else {
			moved, count = append(moved, int64(key)), append(count, int64(e.After))
		}
	}
	if len(moved) > 0 {
		f, args := d.pairs(moved, count)
		w.add(statement{
			query: "UPDATE groups SET effective_count = k.b, over_cap = k.b > ?, stale = false FROM " + f + " AS k WHERE groups.org_id = ? AND groups.id = k.a",
			args:  append(append([]any{limit}, args...), d.org), want: int64(len(moved)),
		})
	}
	if len(same) > 0 {
		f, arg := d.keys(same)
		w.add(statement{
			query: "UPDATE groups SET stale = false WHERE org_id = ? AND id IN (SELECT v FROM " + f + " AS k)",
			args:  []any{d.org, arg}, want: int64(len(same)),
		})
	}
}

// changed runs a statement that returns effective rows, and returns those published.
func (d *difference) changed(ctx context.Context, query string, args ...any) ([]pair, error) {
	var out []pair
	err := d.each(ctx, func(row scanner) error {
		var p pair
		var published bool
		err := row.Scan(&p.group, &p.user, &published)
		if published {
			out = append(out, p)
		}
		return err
	}, query, args...)
	return out, err
}
