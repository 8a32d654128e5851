package gormstore

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// analyzeFrom is from how many rows on the planner has to know how many are wanted of
// groups that it is given.
const analyzeFrom = 5_000

// difference brings the effective rows of groups to what they have to be, by way of a
// temporary table of the support that is wanted, or of its changes.
type difference struct {
	*tx
	c      *store.ChangeSet
	groups []store.Key
	shifts map[store.Key]*shift
	table  string
	rows   int // that were put into the table

	prepared bool // the table is there
}

func (t *tx) newDifference(c *store.ChangeSet) *difference {
	d := &difference{tx: t, c: c, table: "temp.wanted"}
	if t.e.postgres {
		d.table = "pg_temp.wanted"
	}
	return d
}

// prepare makes the table, empty.
func (d *difference) prepare(ctx context.Context) error {
	const create = "CREATE TEMP TABLE IF NOT EXISTS wanted (group_id bigint NOT NULL, user_id bigint NOT NULL, support integer NOT NULL, PRIMARY KEY (group_id, user_id))"
	list := []string{create + " WITHOUT ROWID", "DELETE FROM temp.wanted"}
	if d.e.postgres {
		list = []string{create + " ON COMMIT DELETE ROWS"}
		if d.used {
			list = []string{"TRUNCATE pg_temp.wanted"}
		}
	}
	d.used = true
	for _, q := range list {
		if _, err := d.exec(ctx, q); err != nil {
			return err
		}
	}
	d.prepared = true
	return nil
}

// add adds to the table, or with the sign -1 subtracts, what support comes of something
// reached.
func (d *difference) add(ctx context.Context, r *reached, sign int) error {
	if r.size() == 0 {
		return nil
	}
	if !d.prepared {
		if err := d.prepare(ctx); err != nil {
			return err
		}
	}
	query, args := d.supportQuery(d.c.Org, r)
	query = "INSERT INTO " + d.table + " (group_id, user_id, support) SELECT q.group_id, q.user_id, q.support * CAST(? AS integer) FROM (" + query + ") AS q WHERE true"
	if d.rows > 0 {
		query += " ON CONFLICT (group_id, user_id) DO UPDATE SET support = wanted.support + excluded.support"
	}
	n, err := d.exec(ctx, query, append([]any{sign}, args...)...)
	d.rows += int(n)
	return err
}

// analyze tells PostgreSQL what is in the table. It takes it for thousands of rows else,
// for which it would look through all of effective.
func (d *difference) analyze(ctx context.Context) error {
	if !d.e.postgres {
		return nil
	}
	_, err := d.exec(ctx, "ANALYZE pg_temp.wanted")
	return err
}

// writeDifference is recompute for groups that have effective rows. It returns how many
// they have to have.
func (t *tx) writeDifference(ctx context.Context, c *store.ChangeSet, g *region, groups []store.Key, shifts map[store.Key]*shift) (int, error) {
	d := t.newDifference(c)
	d.groups, d.shifts = groups, shifts
	if err := d.prepare(ctx); err != nil {
		return 0, err
	}
	err := g.shifts(g.numbers(groups), g.holders(), func(gained, _ *reached) error { return d.add(ctx, gained, 1) })
	if err != nil {
		return 0, err
	}
	if d.rows >= analyzeFrom { // else the groups are said to it
		if err := d.analyze(ctx); err != nil {
			return 0, err
		}
	}
	err = d.counts(ctx, func(s *shift, rows int) { s.effect.After = rows })
	if err != nil {
		return 0, err
	}
	gone, err := d.overlap(ctx)
	if err != nil {
		return 0, err
	}
	return d.rows, d.write(ctx, gone, true)
}

// counts counts the rows of the table by group.
func (d *difference) counts(ctx context.Context, each func(s *shift, rows int)) error {
	return d.each(ctx, func(row scanner) error {
		var key store.Key
		var n int
		err := row.Scan(&key, &n)
		each(d.shifts[key], n)
		return err
	}, "SELECT group_id, count(*) FROM "+d.table+" GROUP BY group_id")
}

// write counts the members of the groups, and adds those that are left in the table.
// Those that are gone have been deleted. All groups are marked as not stale, if they were.
func (d *difference) write(ctx context.Context, gone []pair, stale bool) error {
	w := &writes{tx: d.tx, what: "count effective members"}
	w.counts(d.c, d.groups, d.shifts, stale)
	if err := w.flush(ctx); err != nil {
		return err
	}
	var fit []int64 // groups whose rows were not all published
	for _, key := range d.groups {
		if e := &d.shifts[key].effect; e.WasOver && !e.Over {
			fit = append(fit, int64(key))
		}
	}
	published, err := d.insert(ctx)
	if err != nil {
		return err
	}
	if len(fit) > 0 {
		among, fitting := d.among(fit)
		err := d.changed(ctx, func(p pair, _ bool) { published = append(published, p) },
			"UPDATE effective SET published = true WHERE NOT published AND group_id"+among+" RETURNING group_id, user_id, published", fitting)
		if err != nil {
			return err
		}
	}
	ids, err := d.userIDs(ctx, d.c.Org, gone, published)
	if err != nil {
		return err
	}
	for _, p := range gone {
		s := d.shifts[p.group]
		s.ceased = append(s.ceased, ids[p.user])
	}
	for _, p := range published {
		s := d.shifts[p.group]
		s.published = append(s.published, ids[p.user])
	}
	return nil
}

// overlap deletes the rows that are not wanted any more, brings those that are to their
// support, and leaves in wanted only the new ones. It returns whom the deleted rows
// published. That the rows are those of the groups is said to the planner too, which
// would else look through all of effective.
func (d *difference) overlap(ctx context.Context) (gone []pair, err error) {
	of, list := d.among(keys64(d.groups))
	err = d.changed(ctx, func(p pair, published bool) {
		if published {
			gone = append(gone, p)
		}
	}, "DELETE FROM effective WHERE group_id"+of+" AND NOT EXISTS (SELECT 1 FROM "+d.table+` w
			WHERE w.group_id = effective.group_id AND w.user_id = effective.user_id) RETURNING group_id, user_id, published`, list)
	if err != nil {
		return nil, err
	}
	_, err = d.exec(ctx, "UPDATE effective SET support = w.support FROM "+d.table+` w WHERE effective.group_id`+of+`
		AND effective.group_id = w.group_id AND effective.user_id = w.user_id AND effective.support <> w.support`, list)
	if err != nil {
		return nil, err
	}
	// If the insert looked for these rows itself, in the table that it fills, it would
	// look through all that it has filled when the planner believes the table small.
	_, err = d.exec(ctx, "DELETE FROM "+d.table+" AS w WHERE EXISTS (SELECT 1 FROM effective e WHERE e.group_id"+of+
		" AND e.group_id = w.group_id AND e.user_id = w.user_id)", list)
	return gone, err
}

// insert adds the rows that are new, and returns whom they publish.
func (d *difference) insert(ctx context.Context) (published []pair, err error) {
	rows := 0
	err = d.changed(ctx, func(p pair, is bool) {
		if rows++; is {
			published = append(published, p)
		}
	}, "INSERT INTO effective (group_id, user_id, support, published) SELECT w.group_id, w.user_id, w.support, NOT g.over_cap FROM "+
		d.table+" w CROSS JOIN groups g WHERE g.org_id = ? AND g.id = w.group_id RETURNING group_id, user_id, published", d.c.Org)
	d.grew("effective", rows)
	return published, err
}

// changed runs a statement that returns effective rows, and hands them out.
func (d *difference) changed(ctx context.Context, each func(p pair, published bool), query string, args ...any) error {
	return d.each(ctx, func(row scanner) error {
		var p pair
		var published bool
		err := row.Scan(&p.group, &p.user, &published)
		each(p, published)
		return err
	}, query, args...)
}

// move applies the table to effective as changes of support, and leaves in it the new
// rows. It returns whom the deleted rows published.
func (d *difference) move(ctx context.Context) (gone []pair, err error) {
	if _, err := d.exec(ctx, "DELETE FROM "+d.table+" WHERE support = 0"); err != nil {
		return nil, err
	}
	if err := d.hold(ctx); err != nil {
		return nil, err
	}
	spent, stays, old := d.moves()
	deleted := 0
	err = d.changed(ctx, func(p pair, published bool) {
		deleted++
		d.shifts[p.group].effect.After--
		if published {
			gone = append(gone, p)
		}
	}, spent)
	if err != nil {
		return nil, err
	}
	for _, query := range []string{stays, old} {
		if _, err := d.exec(ctx, query); err != nil {
			return nil, err
		}
	}
	n, err := d.exec(ctx, "DELETE FROM "+d.table+" WHERE support < 0")
	if err == nil && int(n) != deleted {
		err = fmt.Errorf("%d users were to lose support that they do not have", int(n)-deleted)
	}
	if err != nil {
		return nil, err
	}
	return gone, d.counts(ctx, func(s *shift, rows int) { s.effect.After += rows })
}

// moves are the statements that delete the effective rows whose support is spent, change
// that of those that stay, and delete the latter from the table.
func (d *difference) moves() (spent, stays, old string) {
	of := "w." // with a sign before it no index of the table fits, and SQLite begins with it
	if !d.e.postgres {
		of = "+w."
	}
	spent = "DELETE FROM effective WHERE (group_id, user_id) IN (SELECT w.group_id, w.user_id FROM " + d.table + ` w CROSS JOIN effective e
			WHERE w.support < 0 AND e.group_id = w.group_id AND e.user_id = w.user_id AND e.support + w.support = 0)
		RETURNING group_id, user_id, published`
	stays = "UPDATE effective SET support = effective.support + w.support FROM " + d.table + " w WHERE effective.group_id = " + of + "group_id AND effective.user_id = " + of + "user_id"
	old = "DELETE FROM " + d.table + " AS w WHERE EXISTS (SELECT 1 FROM effective e WHERE e.group_id = w.group_id AND e.user_id = w.user_id)"
	return spent, stays, old
}

// hold locks the groups whose effective rows the table changes.
func (d *difference) hold(ctx context.Context) error {
	lock := ""
	if d.e.postgres {
		lock = " FOR NO KEY UPDATE OF g"
	}
	d.shifts = map[store.Key]*shift{}
	return d.each(ctx, func(row scanner) error {
		e, err := scanEffect(row)
		d.groups = append(d.groups, e.Key)
		d.shifts[e.Key] = &shift{effect: e}
		return err
	}, "SELECT g.id, g.public_id, g.directory_id, g.display_name, g.effective_count, g.over_cap FROM groups g WHERE g.org_id = ? AND g.id IN (SELECT w.group_id FROM "+
		d.table+" w) ORDER BY g.id"+lock, d.c.Org)
}
