package gormstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/provost-scim/provost/store"
)

// strike is what most removals are: users are taken out of one group, and nothing else
// moves. Whoever leaves loses one group of support in it and in all above it, so it
// takes no look at each of them to know what becomes of their effective rows.
type strike struct {
	group  store.Key
	groups []store.GroupEffect // it and all above it that count and are not stale
	users  []int64
	ids    []store.ID // of the users, in the order of their text
}

// strikes reports whether direct members are only removed, from one group, and nobody
// begins or ceases to count.
func (a *applier) strikes(fresh, add, remove *edgeLists) bool {
	return !a.c.Deferred && len(remove.users.a) > 0 && len(fresh.users.a)+len(add.users.a)+len(add.groups.a)+len(remove.groups.a) == 0 &&
		len(a.arriving)+len(a.leaving)+len(a.back)+len(a.gone)+len(a.turned) == 0 &&
		!slices.ContainsFunc(remove.users.a, func(group int64) bool { return group != remove.users.a[0] })
}

// strikeEdges deletes the memberships, and reads what that may change. Who is no member
// is left out of the strike.
func (a *applier) strikeEdges(ctx context.Context, remove *edgeLists) error {
	s := &strike{group: store.Key(remove.users.a[0])}
	among, arg := a.among(remove.users.b)
	taken := a.taken("DELETE FROM member WHERE org_id = ? AND group_id = ? AND user_id"+among+" RETURNING group_id, user_id, true",
		[]any{a.c.Org, s.group, arg}, func(_ store.Key, _ bool, users []int64) { s.users = append(s.users, users...) })
	taken.what = "remove members"
	err := a.read(ctx, taken, a.lockCounting(a.c.Org, s.group, &s.groups))
	if err != nil || len(s.users) == 0 {
		return err
	}
	if s.ids, err = a.knownIDs(ctx, a.c.Org, s.users); err != nil {
		return err
	}
	a.struck, a.touched = s, append(a.touched, s.group)
	return nil
}

// taken is a DELETE that returns a group, a user and a mark of each row, and hands the
// users out by the others. PostgreSQL gathers them first: most of the time went into
// reading rows, as pgx does it, so such a query is not to be read by itself but with
// [session.stream].
func (t *tx) taken(query string, args []any, each func(group store.Key, marked bool, users []int64)) ask {
	var group store.Key
	var marked bool
	if !t.e.postgres {
		return ask{query: query, args: args, each: func(row scanner) error {
			var user int64
			err := row.Scan(&group, &user, &marked)
			each(group, marked, []int64{user})
			return err
		}}
	}
	query = "WITH gone(a, b, c) AS (" + query + ") SELECT a, c, array_agg(b) FROM gone GROUP BY a, c"
	return ask{query: query, args: args, each: func(row scanner) error {
		var users []int64
		err := row.Scan(&group, &marked, &users)
		each(group, marked, users)
		return err
	}}
}

// struckEvents tells of the direct members that were struck.
func (a *applier) struckEvents() (events []store.Event, err error) {
	group := a.groups[a.struck.group]
	err = chunked(nil, slices.Clone(a.struck.ids), func(m membersChanged) error {
		data, err := json.Marshal(m)
		events = append(events, groupEvent(a.c, store.EventMembersChanged, group.ID, group.Directory, data))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("tell of members: %w", err)
	}
	return events, nil
}

// strikeEffective takes one group of support from the effective rows of users that were
// struck from a group, in it and in all above it. Users that do not count have none.
func (t *tx) strikeEffective(ctx context.Context, c *store.ChangeSet, s *strike) ([]*shift, error) {
	groups := s.groups
	if len(groups) == 0 {
		return nil, nil
	}
	shifts := make(map[store.Key]*shift, len(groups))
	keys := make([]int64, len(groups))
	for i, g := range groups {
		shifts[g.Key], keys[i] = &shift{effect: g}, int64(g.Key)
	}
	gone, err := t.takeEffective(ctx, keys, s.users, shifts)
	if err != nil {
		return nil, fmt.Errorf("take effective members: %w", err)
	}
	if gone < len(groups)*len(s.users) { // the others are left with a group less below
		in, inArg := t.among(keys)
		of, ofArg := t.among(s.users)
		if _, err := t.exec(ctx, "UPDATE effective SET support = support - 1 WHERE group_id"+in+" AND user_id"+of, inArg, ofArg); err != nil {
			return nil, fmt.Errorf("take support of effective members: %w", err)
		}
	}
	for _, g := range shifts {
		if len(g.lost) == len(s.users) {
			g.ceased = slices.Clone(s.ids)
		} else if g.ceased, err = t.knownIDs(ctx, c.Org, keys64(g.lost)); err != nil {
			return nil, err
		}
	}
	w := supportWrites{writes: &writes{tx: t, what: "count effective members"}, org: c.Org}
	out := make([]*shift, len(groups))
	var fit []store.Key
	for i := range groups {
		g := shifts[groups[i].Key]
		out[i] = g
		g.effect.Over = g.effect.After > c.Cap
		if (g.effect.WasOver || g.effect.Before > c.Cap) && !g.effect.Over {
			fit = append(fit, g.effect.Key)
		}
		if g.effect.After != g.effect.Before || g.effect.Over != g.effect.WasOver {
			w.count(g.effect)
		}
	}
	if err := w.finish(ctx); err != nil {
		return nil, err
	}
	return out, t.publishFitting(ctx, c.Org, fit, shifts)
}

// lockCounting locks a group and all above it that count and are not stale.
func (t *tx) lockCounting(org, group store.Key, into *[]store.GroupEffect) ask {
	up, args := t.supportsQuery(org, nil, []pair{{group: group, user: 1}})
	return t.lockUp(up, args, org, into)
}

// takeEffective deletes the rows that have no more support than is taken, and notes of
// each group how many there were and whom they published.
func (t *tx) takeEffective(ctx context.Context, groups, users []int64, shifts map[store.Key]*shift) (gone int, err error) {
	in, inArg := t.among(groups)
	of, ofArg := t.among(users)
	query := "DELETE FROM effective WHERE group_id" + in + " AND user_id" + of + " AND support = 1 RETURNING group_id, user_id, published"
	rows := t.taken(query, []any{inArg, ofArg}, func(group store.Key, published bool, users []int64) {
		g := shifts[group]
		g.effect.After -= len(users)
		gone += len(users)
		if published {
			for _, user := range users {
				g.lost = append(g.lost, store.Key(user))
			}
		}
	})
	err = t.each(ctx, rows.each, rows.query, rows.args...)
	return gone, err
}

// knownIDs are the public ids of users, in the order of their text. Mostly the
// transaction has come across them.
func (t *tx) knownIDs(ctx context.Context, org store.Key, users []int64) ([]store.ID, error) {
	ids := make([]store.ID, 0, len(users))
	var unknown []pair
	for _, key := range users {
		user := store.Key(key)
		if id, ok := t.publicIDs[store.Edge{Kind: store.KindUser, Key: user}]; ok {
			ids = append(ids, id)
		} else {
			unknown = append(unknown, pair{user: user})
		}
	}
	read, err := t.userIDs(ctx, org, unknown)
	for _, id := range read {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, err
}
