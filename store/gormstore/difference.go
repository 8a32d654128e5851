package gormstore

import (
	"context"

	"github.com/provost-scim/provost/store"
)

// analyzeFrom is from how many rows on the planner has to know how many are wanted.
const analyzeFrom = 5_000

// difference brings the effective rows of groups that have some to what they have to be,
// by way of a temporary table of the rows that are wanted.
type difference struct {
	*tx
	c      *store.ChangeSet
	groups []store.Key
	shifts map[store.Key]*shift
	table  string

	of   string // the condition that a column is a key of groups
	list any
}

// writeDifference is recompute for groups that have effective rows. It returns how many
// they have to have.
func (t *tx) writeDifference(ctx context.Context, c *store.ChangeSet, groups []store.Key, shifts map[store.Key]*shift) (int, error) {
	d := &difference{tx: t, c: c, groups: groups, shifts: shifts, table: "temp.wanted"}
	if t.e.postgres {
		d.table = "pg_temp.wanted"
	}
	d.of, d.list = t.among(keys64(groups))
	rows, err := d.want(ctx)
	if err != nil {
		return 0, err
	}
	return rows, d.write(ctx)
}

// want fills the table with what effective has to hold of the groups and returns how
// many rows that are.
func (d *difference) want(ctx context.Context) (int, error) {
	prepare := []string{
		"CREATE TEMP TABLE IF NOT EXISTS wanted (group_id bigint NOT NULL, user_id bigint NOT NULL, support integer NOT NULL, PRIMARY KEY (group_id, user_id)) WITHOUT ROWID",
		"DELETE FROM temp.wanted",
	}
	if d.e.postgres {
		prepare = []string{
			"CREATE TEMP TABLE IF NOT EXISTS wanted (group_id bigint NOT NULL, user_id bigint NOT NULL, support integer NOT NULL, PRIMARY KEY (group_id, user_id)) ON COMMIT DELETE ROWS",
			"TRUNCATE pg_temp.wanted",
		}
	}
	for _, q := range prepare {
		if _, err := d.exec(ctx, q); err != nil {
			return 0, err
		}
	}
	with, wanted, args := d.wanted(d.c.Org, d.groups)
	n, err := d.exec(ctx, with+"INSERT INTO "+d.table+" (group_id, user_id, support) "+wanted, args...)
	if err != nil {
		return 0, err
	}
	if d.e.postgres && n >= analyzeFrom {
		if _, err := d.exec(ctx, "ANALYZE pg_temp.wanted"); err != nil {
			return 0, err
		}
	}
	err = d.each(ctx, func(row scanner) error {
		var key store.Key
		var count int
		err := row.Scan(&key, &count)
		d.shifts[key].effect.After = count
		return err
	}, "SELECT group_id, count(*) FROM "+d.table+" GROUP BY group_id")
	return int(n), err
}

func (d *difference) write(ctx context.Context) error {
	gone, err := d.overlap(ctx)
	if err != nil {
		return err
	}
	w := &writes{tx: d.tx, what: "count effective members"}
	w.counts(d.c, d.groups, d.shifts)
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
		back, err := d.changed(ctx, "UPDATE effective SET published = true WHERE NOT published AND group_id"+among+
			" RETURNING group_id, user_id, published", fitting)
		if err != nil {
			return err
		}
		published = append(published, back...)
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
func (d *difference) overlap(ctx context.Context) ([]pair, error) {
	gone, err := d.changed(ctx, "DELETE FROM effective WHERE group_id"+d.of+" AND NOT EXISTS (SELECT 1 FROM "+d.table+` w
			WHERE w.group_id = effective.group_id AND w.user_id = effective.user_id) RETURNING group_id, user_id, published`, d.list)
	if err != nil {
		return nil, err
	}
	_, err = d.exec(ctx, "UPDATE effective SET support = w.support FROM "+d.table+` w WHERE effective.group_id`+d.of+`
		AND effective.group_id = w.group_id AND effective.user_id = w.user_id AND effective.support <> w.support`, d.list)
	if err != nil {
		return nil, err
	}
	// If the insert looked for these rows itself, in the table that it fills, it would
	// look through all that it has filled when the planner believes the table small.
	_, err = d.exec(ctx, "DELETE FROM "+d.table+" AS w WHERE EXISTS (SELECT 1 FROM effective e WHERE e.group_id"+d.of+
		" AND e.group_id = w.group_id AND e.user_id = w.user_id)", d.list)
	return gone, err
}

// insert adds the rows that are new, and returns whom they publish.
func (d *difference) insert(ctx context.Context) ([]pair, error) {
	rows := 0
	var published []pair
	err := d.each(ctx, func(row scanner) error {
		var p pair
		var is bool
		err := row.Scan(&p.group, &p.user, &is)
		if rows++; is {
			published = append(published, p)
		}
		return err
	}, "INSERT INTO effective (group_id, user_id, support, published) SELECT w.group_id, w.user_id, w.support, NOT g.over_cap FROM "+
		d.table+" w CROSS JOIN groups g WHERE g.org_id = ? AND g.id = w.group_id RETURNING group_id, user_id, published", d.c.Org)
	d.grew("effective", rows)
	return published, err
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
