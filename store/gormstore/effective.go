package gormstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/provost-scim/provost/store"
)

// Effective membership (rules 4, 5 and 7): a user counts unless it is soft-deleted or
// out of scope; a group holds and hands on members only while it is live and in
// scope. support counts the groups at or below a group that hold the user directly,
// so that cycles cannot inflate it.
//
// A change of members adds to and subtracts from the support of the groups above
// (effective.go), and so does one of the nesting, for the groups that then reach others
// (nesting.go). What a pull leaves stale is computed anew (publish.go).

// above is the query of the keys of groups and of all that hold them, directly or not,
// whether they count or not.
func (s *session) above(groups []store.Key, org store.Key) (query string, args []any) {
	f, arg := s.keys(groups)
	return `WITH RECURSIVE up(id) AS (
			SELECT k.v FROM ` + f + ` AS k
			UNION ` + s.parents() + `)
		SELECT id FROM up`, []any{arg, org}
}

// support is a change of the number of groups below a group that hold a user, and the
// effective row as it is.
type support struct {
	group, user store.Key
	id          store.ID // of the user
	delta, have int
	published   bool
}

// shift is what becomes of the effective rows of one group.
type shift struct {
	effect    store.GroupEffect
	published []store.ID // users that became published
	ceased    []store.ID
	lost      []store.Key // users of ceased, until their ids are known
}

// shiftSupport applies gained and lost pairs of group and user to the groups and all
// above them. Those that are stale are left alone: they are computed anew later. The
// groups must be locked.
func (t *tx) shiftSupport(ctx context.Context, c *store.ChangeSet, gained, lost []pair) ([]*shift, error) {
	if len(gained)+len(lost) == 0 {
		return nil, nil
	}
	groups, list, err := t.supports(ctx, c.Org, gained, lost)
	if err != nil {
		return nil, err
	}
	w := supportWrites{writes: &writes{tx: t, what: "write effective members"}, org: c.Org}
	shifts := make(map[store.Key]*shift, len(groups))
	for _, g := range groups {
		shifts[g.Key] = &shift{effect: g}
	}
	slices.SortFunc(list, func(a, b support) int {
		if a.group != b.group {
			return int(a.group - b.group)
		}
		return int(a.user - b.user)
	})
	for _, s := range list {
		if g := shifts[s.group]; g != nil {
			if s.have == 0 && s.delta > 0 {
				g.effect.After++
			} else if s.have > 0 && s.have+s.delta <= 0 {
				g.effect.After--
			}
		}
	}
	for _, s := range list {
		g := shifts[s.group]
		if g == nil || s.delta == 0 {
			continue
		}
		fits := g.effect.After <= c.Cap
		switch {
		case s.have == 0 && s.delta > 0:
			w.put(s, fits)
			if fits {
				g.published = append(g.published, s.id)
			}
		case s.have+s.delta > 0:
			w.set(s)
		case s.have+s.delta == 0:
			w.remove(s)
			if s.published {
				g.ceased = append(g.ceased, s.id)
			}
		default:
			return nil, fmt.Errorf("effective membership of user %d in group %d has the support %d and was to lose %d", s.user, s.group, s.have, -s.delta)
		}
	}
	var out []*shift
	var fit []store.Key
	for _, g := range groups {
		s := shifts[g.Key]
		s.effect.Over = s.effect.After > c.Cap
		if s.effect.WasOver || s.effect.Before > c.Cap {
			if !s.effect.Over {
				fit = append(fit, g.Key)
			}
		}
		if s.effect.After != s.effect.Before || s.effect.Over != s.effect.WasOver {
			w.count(s.effect)
		}
		out = append(out, s)
	}
	if err := w.finish(ctx); err != nil {
		return nil, err
	}
	if err := t.publishFitting(ctx, c.Org, fit, shifts); err != nil {
		return nil, err
	}
	return out, nil
}

// pair is a direct membership.
type pair struct{ group, user store.Key }

// supportsQuery is the beginning of the queries of supports: p, the pairs, of which
// those that are lost have the sign of the user turned; and up, what is above each
// group of them and counts, by base.
func (t *tx) supportsQuery(org store.Key, gained, lost []pair) (query string, args []any) {
	a := make([]int64, 0, len(gained)+len(lost))
	b := make([]int64, 0, len(gained)+len(lost))
	for _, p := range gained {
		a, b = append(a, int64(p.group)), append(b, int64(p.user))
	}
	for _, p := range lost {
		a, b = append(a, int64(p.group)), append(b, -int64(p.user))
	}
	f, args := t.pairs(a, b)
	return `WITH RECURSIVE p AS ` + t.materialized() + `(SELECT a, b FROM ` + f + ` AS k),
		up(base, id) AS (
			SELECT g.id, g.id FROM (SELECT DISTINCT a FROM p) AS s JOIN groups g ON g.org_id = ? AND g.id = s.a
				WHERE g.deleted_at IS NULL AND NOT g.out_of_scope
			UNION ` + t.next("up", "up.base, ", "n.parent_id", "nest n CROSS JOIN groups g",
		"n.child_id = up.id AND n.org_id = ? AND g.org_id = n.org_id AND g.id = n.parent_id AND "+live) + `)`, append(args, org, org)
}

// supportOf ends the query of how the support of users changes, and what it is.
const supportOf = `, x AS (SELECT up.id AS group_id, abs(p.b) AS user_id, sum(CASE WHEN p.b > 0 THEN 1 ELSE -1 END) AS n
		FROM p JOIN up ON up.base = p.a GROUP BY up.id, abs(p.b))
	SELECT x.group_id, x.user_id, u.public_id, CAST(x.n AS integer), coalesce(e.support, 0), coalesce(e.published, false)
	FROM x JOIN users u ON u.org_id = ? AND u.id = x.user_id
	LEFT JOIN effective e ON e.group_id = x.group_id AND e.user_id = x.user_id WHERE x.n <> 0`

// supports locks the groups whose members change, and reads for each user of them by
// how much its support changes and what it is.
func (t *tx) supports(ctx context.Context, org store.Key, gained, lost []pair) ([]store.GroupEffect, []support, error) {
	up, args := t.supportsQuery(org, gained, lost)
	var groups []store.GroupEffect
	var list []support
	err := t.read(ctx, t.lockUp(up, args, org, &groups), ask{
		what:  "read effective members",
		query: up + supportOf,
		args:  append(slices.Clone(args), org),
		each: func(row scanner) error {
			var s support
			err := row.Scan(&s.group, &s.user, &s.id, &s.delta, &s.have, &s.published)
			list = append(list, s)
			return err
		},
	})
	return groups, list, err
}

// lockUp locks what [tx.supportsQuery] calls up, but for groups that are stale.
func (t *tx) lockUp(up string, args []any, org store.Key, into *[]store.GroupEffect) ask {
	lock := ""
	if t.e.postgres {
		lock = " FOR NO KEY UPDATE OF g"
	}
	return ask{
		what: "lock the groups above",
		query: up + ` SELECT g.id, g.public_id, g.directory_id, g.display_name, g.effective_count, g.over_cap FROM groups g
			WHERE g.org_id = ? AND g.id IN (SELECT id FROM up) AND NOT g.stale ORDER BY g.id` + lock,
		args: append(slices.Clone(args), org),
		each: func(row scanner) error {
			e, err := scanEffect(row)
			*into = append(*into, e)
			return err
		},
	}
}

// materialized is the word by which PostgreSQL computes a query once.
func (s *session) materialized() string {
	if s.e.postgres {
		return "MATERIALIZED "
	}
	return ""
}

func scanEffect(row scanner) (e store.GroupEffect, err error) {
	err = row.Scan(&e.Key, &e.ID, scanKey(&e.Directory), &e.DisplayName, &e.Before, &e.WasOver)
	e.After = e.Before
	return e, err
}

// supportWrites gathers what is written to effective and to the groups.
type supportWrites struct {
	*writes
	org              store.Key
	rows             [][]any
	goneA, goneB     []int64
	set1, set2, set3 []int64
}

func (w *supportWrites) put(s support, published bool) {
	w.rows = append(w.rows, []any{s.group, s.user, s.delta, published})
}

func (w *supportWrites) remove(s support) {
	w.goneA, w.goneB = append(w.goneA, int64(s.group)), append(w.goneB, int64(s.user))
}

func (w *supportWrites) set(s support) {
	w.set1, w.set2 = append(w.set1, int64(s.group)), append(w.set2, int64(s.user))
	w.set3 = append(w.set3, int64(s.delta))
}

func (w *supportWrites) count(e store.GroupEffect) {
	w.add(statement{
		query: "UPDATE groups SET effective_count = ?, over_cap = ? WHERE org_id = ? AND id = ?",
		args:  []any{e.After, e.Over, w.org, e.Key}, want: 1,
	})
}

var effectiveColumns = []string{"group_id", "user_id", "support", "published"}

func (w *supportWrites) finish(ctx context.Context) error {
	if len(w.goneA) > 0 {
		f, args := w.pairs(w.goneA, w.goneB)
		w.add(statement{
			query: "DELETE FROM effective WHERE (group_id, user_id) IN (SELECT a, b FROM " + f + " AS k)", args: args, want: int64(len(w.goneA)),
		})
	}
	for delta, p := range w.byDelta() {
		f, args := w.pairs(p[0], p[1])
		w.add(statement{
			query: "UPDATE effective SET support = support + ? WHERE (group_id, user_id) IN (SELECT a, b FROM " + f + " AS k)",
			args:  append([]any{delta}, args...), want: int64(len(p[0])),
		})
	}
	w.insert("effective", effectiveColumns, w.rows)
	return w.flush(ctx)
}

// byDelta sorts the rows whose support moves by how far, which is one step in nearly
// all cases.
func (w *supportWrites) byDelta() map[int64][2][]int64 {
	out := map[int64][2][]int64{}
	for i, d := range w.set3 {
		p := out[d]
		out[d] = [2][]int64{append(p[0], w.set1[i]), append(p[1], w.set2[i])}
	}
	return out
}

// publishFitting publishes all members of groups that fit the cap again.
func (t *tx) publishFitting(ctx context.Context, org store.Key, groups []store.Key, shifts map[store.Key]*shift) error {
	if len(groups) == 0 {
		return nil
	}
	f, arg := t.keys(groups)
	var news []pair
	err := t.each(ctx, func(row scanner) error {
		var p pair
		err := row.Scan(&p.group, &p.user)
		news = append(news, p)
		return err
	}, "UPDATE effective SET published = true WHERE NOT published AND group_id IN (SELECT v FROM "+f+" AS k) RETURNING group_id, user_id", arg)
	if err != nil {
		return fmt.Errorf("publish groups that fit again: %w", err)
	}
	ids, err := t.userIDs(ctx, org, news)
	if err != nil {
		return err
	}
	for _, p := range news {
		shifts[p.group].published = append(shifts[p.group].published, ids[p.user])
	}
	return nil
}

// userIDs reads the public ids of users, live or not.
func (s *session) userIDs(ctx context.Context, org store.Key, lists ...[]pair) (map[store.Key]store.ID, error) {
	out := map[store.Key]store.ID{}
	for _, list := range lists {
		for _, p := range list {
			out[p.user] = ""
		}
	}
	if len(out) == 0 {
		return out, nil
	}
	f, arg := s.keys(sorted(out))
	err := s.each(ctx, func(row scanner) error {
		var k store.Key
		var id store.ID
		err := row.Scan(&k, &id)
		out[k] = id
		return err
	}, "SELECT u.id, u.public_id FROM users u WHERE u.org_id = ? AND u.id IN (SELECT v FROM "+f+" AS k)", org, arg)
	if err != nil {
		return nil, fmt.Errorf("read the ids of users: %w", err)
	}
	return out, nil
}
