package gormstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/provost-scim/provost/store"
)

const publishAtOnce = 2_000 // groups that one recomputation takes

// Publish brings effective membership of stale groups up to date, by key, until about
// p.Rows rows were compared, and reports whether stale groups remain. It has the
// organization's graph for itself, so that nobody changes a membership meanwhile.
func (t *tx) Publish(ctx context.Context, p store.Publication) (*store.Effects, bool, error) {
	if t.e.postgres {
		if err := t.read(ctx, append(t.planForRegions(), lockGraph(p.Org, true))...); err != nil {
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
// nesting or the groups' members meanwhile. Groups that had no effective members, as
// all of a first pull, are filled; of the others the difference is written.
func (t *tx) recompute(ctx context.Context, c *store.ChangeSet, groups []store.GroupEffect) ([]*shift, int, error) {
	shifts := make(map[store.Key]*shift, len(groups))
	out := make([]*shift, len(groups))
	var empty, held []store.Key
	compared := 0
	below, err := t.below(ctx, c.Org, keysOfEffects(groups))
	if err != nil {
		return nil, 0, err
	}
	for i, g := range groups {
		s := &shift{effect: g}
		s.effect.After = 0
		shifts[g.Key], out[i] = s, s
		compared += g.Before
		if g.Before > 0 {
			held = append(held, g.Key)
		} else {
			empty = append(empty, g.Key)
		}
	}
	for _, of := range []struct {
		groups []store.Key
		write  func(ctx context.Context, c *store.ChangeSet, g *region, groups []store.Key, shifts map[store.Key]*shift) (int, error)
	}{{empty, t.fill}, {held, t.writeDifference}} {
		if len(of.groups) == 0 {
			continue
		}
		rows, err := of.write(ctx, c, below, of.groups, shifts)
		if err != nil {
			return nil, 0, fmt.Errorf("publish effective members: %w", err)
		}
		compared += rows
	}
	return out, compared, nil
}

func keysOfEffects(groups []store.GroupEffect) []store.Key {
	keys := make([]store.Key, len(groups))
	for i := range groups {
		keys[i] = groups[i].Key
	}
	return keys
}

// fill writes the effective rows of groups that have none, and returns how many.
func (t *tx) fill(ctx context.Context, c *store.ChangeSet, g *region, groups []store.Key, shifts map[store.Key]*shift) (int, error) {
	var all *reached
	parts := 0
	err := g.shifts(g.numbers(groups), g.holders(), func(gained, _ *reached) error {
		all = gained
		if parts++; parts > 1 {
			return errTooMany
		}
		return nil
	})
	if errors.Is(err, errTooMany) {
		return t.writeDifference(ctx, c, g, groups, shifts)
	}
	if err != nil {
		return 0, err
	}
	var rows int64
	if all != nil {
		// In the order of the primary key, whose pages are then filled one after the other.
		query, args := t.supportQuery(c.Org, all)
		rows, err = t.exec(ctx, `INSERT INTO effective (group_id, user_id, support, published)
			SELECT q.group_id, q.user_id, q.support, count(*) OVER (PARTITION BY q.group_id) <= CAST(? AS bigint) FROM (`+query+`) AS q ORDER BY q.group_id, q.user_id`,
			append([]any{c.Cap}, args...)...)
		if err != nil {
			return 0, err
		}
	}
	if rows > 0 {
		t.grew("effective", int(rows))
		if err := t.filled(ctx, c, groups, shifts); err != nil {
			return 0, err
		}
	}
	w := &writes{tx: t, what: "count effective members"}
	w.counts(c, groups, shifts, true)
	return int(rows), w.flush(ctx)
}

// errTooMany is more than one statement can be given.
var errTooMany = errors.New("too many groups are reached")

// filled reads how many effective members groups have, and the ids of those that are
// published, which are all of a group or none.
func (t *tx) filled(ctx context.Context, c *store.ChangeSet, groups []store.Key, shifts map[store.Key]*shift) error {
	among, list := t.among(keys64(groups))
	return t.each(ctx, func(row scanner) error {
		var key store.Key
		var count int
		var ids string
		if err := row.Scan(&key, &count, &ids); err != nil {
			return err
		}
		s := shifts[key]
		s.effect.After = count
		if ids == "" {
			return nil
		}
		s.published = make([]store.ID, 0, count)
		for id := range strings.SplitSeq(ids, ",") {
			s.published = append(s.published, store.ID(id))
		}
		return nil
	}, `SELECT e.group_id, count(*), coalesce(string_agg(CASE WHEN e.published THEN CAST(u.public_id AS text) END, ','), '')
		FROM effective e JOIN users u ON u.org_id = ? AND u.id = e.user_id WHERE e.group_id`+among+" GROUP BY e.group_id", c.Org, list)
}

// counts writes what is known of the groups themselves, and that they are not stale: those
// whose count stays, if they were, and the others.
func (w *writes) counts(c *store.ChangeSet, groups []store.Key, shifts map[store.Key]*shift, stale bool) {
	var same []store.Key
	var moved, count []int64
	for _, key := range groups {
		e := &shifts[key].effect
		e.Over = e.After > c.Cap
		if e.After == e.Before && e.Over == e.WasOver {
			same = append(same, key)
		} else {
			moved, count = append(moved, int64(key)), append(count, int64(e.After))
		}
	}
	if len(moved) > 0 {
		f, args := w.pairs(moved, count)
		w.add(statement{
			query: "UPDATE groups SET effective_count = k.b, over_cap = k.b > ?, stale = false FROM " + f + " AS k WHERE groups.org_id = ? AND groups.id = k.a",
			args:  append(append([]any{c.Cap}, args...), c.Org), want: int64(len(moved)),
		})
	}
	if stale && len(same) > 0 {
		f, arg := w.keys(same)
		w.add(statement{
			query: "UPDATE groups SET stale = false WHERE org_id = ? AND id IN (SELECT v FROM " + f + " AS k)",
			args:  []any{c.Org, arg}, want: int64(len(same)),
		})
	}
}
