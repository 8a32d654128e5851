package gormstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/provost-scim/provost/store"
)

// edgeNews is what became of one group's direct members.
type edgeNews struct{ added, removed []store.Edge }

// writeEdges writes direct members: those of the change set, and those that were
// pending for a record that now exists.
func (a *applier) writeEdges(ctx context.Context) error {
	fresh, add, remove := edgeLists{}, edgeLists{}, edgeLists{} // fresh: of groups that are created, which have no edges yet
	var pending [][]any
	var gone, goneExternal = []int64(nil), map[int64][]string{}
	for i := range a.c.Groups {
		g := &a.c.Groups[i]
		for _, e := range g.Add {
			if g.Op == store.OpCreate && e.Kind == store.KindUser {
				fresh.put(g.After.Key, e)
			} else {
				add.put(g.After.Key, e)
			}
		}
		for _, e := range g.Remove {
			remove.put(g.After.Key, e)
		}
		for _, ext := range g.AddPending {
			pending = append(pending, []any{a.c.Org, g.After.Key, ext})
		}
		if len(g.RemovePending) > 0 {
			gone = append(gone, int64(g.After.Key))
			goneExternal[int64(g.After.Key)] = g.RemovePending
		}
	}
	if len(pending) > 0 {
		err := a.insertRows(ctx, "pending_member", []string{"org_id", "group_id", "external_id"}, pending, " ON CONFLICT DO NOTHING")
		if err != nil {
			return fmt.Errorf("write pending members: %w", err)
		}
	}
	w := &writes{tx: a.tx, what: "remove pending members"}
	for _, group := range gone {
		f, arg := a.texts(goneExternal[group])
		w.add(statement{
			query: "DELETE FROM pending_member WHERE org_id = ? AND group_id = ? AND external_id IN (SELECT v FROM " + f + " AS k)",
			args:  []any{a.c.Org, group, arg}, want: -1,
		})
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	if err := a.revive(ctx, &add); err != nil {
		return err
	}
	if err := a.dropRevived(ctx); err != nil {
		return err
	}
	if err := a.appear(ctx); err != nil {
		return err
	}
	return a.writeLists(ctx, &fresh, &add, &remove)
}

// dropRevived takes the memberships of users that return without their grants (rule
// 7): being in a group grants what the group grants. They do not count yet, so nothing
// follows for effective membership, and it was told when they were deleted.
func (a *applier) dropRevived(ctx context.Context) error {
	revived := map[store.Key]bool{}
	for i := range a.c.Users {
		if u := &a.c.Users[i]; u.Op == store.OpRestore && u.Revived {
			revived[u.After.Key] = true
		}
	}
	if len(revived) == 0 {
		return nil
	}
	f, arg := a.keys(sorted(revived))
	_, err := a.exec(ctx, "DELETE FROM member WHERE org_id = ? AND user_id IN (SELECT v FROM "+f+" AS k)", a.c.Org, arg)
	if err != nil {
		return fmt.Errorf("take the memberships of users that return without them: %w", err)
	}
	return nil
}

// dropEdges takes the edges of groups that are deleted (rule 4), after the groups
// above them have been found by those edges.
func (a *applier) dropEdges(ctx context.Context) error {
	deleted := map[store.Key]bool{}
	for i := range a.c.Groups {
		if g := &a.c.Groups[i]; g.Op == store.OpDelete {
			deleted[g.After.Key] = true
		}
	}
	if len(deleted) == 0 {
		return nil
	}
	f, arg := a.keys(sorted(deleted))
	if err := a.dropNested(ctx, deleted); err != nil {
		return err
	}
	w := &writes{tx: a.tx, what: "take the edges of deleted groups"}
	for _, column := range []string{"member WHERE org_id = ? AND group_id", "nest WHERE org_id = ? AND parent_id", "pending_member WHERE org_id = ? AND group_id"} {
		w.add(statement{query: "DELETE FROM " + column + " IN (SELECT v FROM " + f + " AS k)", args: []any{a.c.Org, arg}, want: -1})
	}
	return w.flush(ctx)
}

// edgeLists are edges by what they lead to, as lists to hand over.
type edgeLists struct {
	users, groups struct{ a, b []int64 }
}

func (l *edgeLists) put(group store.Key, e store.Edge) {
	to := &l.users
	if e.Kind == store.KindGroup {
		to = &l.groups
	}
	to.a, to.b = append(to.a, int64(group)), append(to.b, int64(e.Key))
}

// awaited finds who waits for the records that are created, return or are taken over.
// It follows the writing of the records: whoever states one of them as a member at the
// same time either finds the record, or is found.
func (a *applier) awaited() []ask {
	if len(a.known) == 0 || a.c.Directory == 0 {
		return nil
	}
	a.looked = true
	f, arg := a.texts(sorted(a.known))
	return []ask{{
		what: "look for pending members",
		query: "SELECT p.group_id, p.external_id FROM " + f + ` AS k JOIN pending_member p ON p.external_id = k.v
			JOIN groups g ON g.org_id = p.org_id AND g.id = p.group_id WHERE p.org_id = ? AND g.directory_id = ?`,
		args: []any{arg, a.c.Org, a.c.Directory},
		each: func(row scanner) error {
			var w waiting
			err := row.Scan(&w.group, &w.external)
			a.waiting = append(a.waiting, w)
			return err
		},
	}}
}

// waiting is a stable id that is a member of a group as soon as there is a record of it.
type waiting struct {
	group    store.Key
	external string
}

// revive turns pending members into edges to the records that are created, return or
// are taken over.
func (a *applier) revive(ctx context.Context, add *edgeLists) error {
	if !a.looked { // not with the records
		if err := a.read(ctx, a.awaited()...); err != nil {
			return err
		}
	}
	if len(a.waiting) == 0 {
		return nil
	}
	targets := map[string]store.Edge{}
	for i := range a.c.Groups {
		if g := &a.c.Groups[i]; groupComes(g) {
			targets[g.After.ExternalID] = store.Edge{Kind: store.KindGroup, Key: g.After.Key}
		}
	}
	for i := range a.c.Users { // a user goes before a group of the same stable id
		if u := &a.c.Users[i]; userComes(u) {
			targets[u.After.ExternalID] = store.Edge{Kind: store.KindUser, Key: u.After.Key}
		}
	}
	found := make([]string, len(a.waiting))
	for i, w := range a.waiting {
		found[i] = w.external
		if e := targets[w.external]; e.Kind == store.KindUser || e.Key != w.group { // no group is in itself
			add.put(w.group, e)
		}
	}
	f, arg := a.texts(found)
	_, err := a.exec(ctx, `DELETE FROM pending_member WHERE org_id = ? AND external_id IN (SELECT v FROM `+f+` AS k)
		AND group_id IN (SELECT g.id FROM groups g WHERE g.org_id = ? AND g.directory_id = ?)`, a.c.Org, arg, a.c.Org, a.c.Directory)
	if err != nil {
		return fmt.Errorf("take pending members: %w", err)
	}
	if a.e.postgres { // not known to Load, and locked before the edges are written
		return a.read(ctx, append([]ask{lockGraph(a.c.Org, len(add.groups.a) > 0 && !a.c.Deferred)}, a.lockAbove(keysOf(add.users.a, add.groups.a))...)...)
	}
	return nil
}

func keysOf(lists ...[]int64) []store.Key {
	set := map[store.Key]bool{}
	for _, list := range lists {
		for _, k := range list {
			set[store.Key(k)] = true
		}
	}
	return sorted(set)
}

// writeLists writes edges and notes which of them are new or gone.
func (a *applier) writeLists(ctx context.Context, fresh, add, remove *edgeLists) error {
	if a.strikes(fresh, add, remove) {
		return a.strikeEdges(ctx, remove)
	}
	var counting map[store.Key]bool
	if !a.c.Deferred { // else who counts is found when the groups are published
		var err error
		if counting, err = a.counting(ctx, slices.Concat(fresh.users.b, add.users.b), remove.users.b); err != nil {
			return err
		}
	}
	moves := func(p pair) bool { return a.arriving[p.user] || a.leaving[p.user] }
	user := func(p pair, gained bool) {
		news := a.newsOf(p.group)
		e := store.Edge{Kind: store.KindUser, Key: p.user}
		if gained {
			news.added = append(news.added, e)
			if counting[p.user] && !moves(p) {
				a.gained = append(a.gained, p)
			}
			return
		}
		news.removed = append(news.removed, e)
		if counting[p.user] && !moves(p) {
			a.lost = append(a.lost, p)
		}
	}
	group := func(p pair, gained bool) {
		news := a.newsOf(p.group)
		e := store.Edge{Kind: store.KindGroup, Key: p.user}
		if gained {
			news.added = append(news.added, e)
		} else {
			news.removed = append(news.removed, e)
		}
		a.nested = append(a.nested, p.group)
	}
	if err := a.insertFresh(ctx, fresh.users.a, fresh.users.b, user); err != nil {
		return fmt.Errorf("write members: %w", err)
	}
	for _, w := range []struct {
		list   struct{ a, b []int64 }
		note   func(pair, bool)
		gained bool
		table  string
		query  string
	}{
		{add.groups, group, true, "nest", insertNest},
		{add.users, user, true, "member", insertMember},
		{remove.groups, group, false, "nest", "DELETE FROM nest WHERE org_id = ? AND (parent_id, child_id) IN (SELECT a, b FROM {pairs} AS k) RETURNING parent_id, child_id"},
		{remove.users, user, false, "member", "DELETE FROM member WHERE org_id = ? AND (group_id, user_id) IN (SELECT a, b FROM {pairs} AS k) RETURNING group_id, user_id"},
	} {
		if len(w.list.a) == 0 {
			continue
		}
		f, args := a.pairs(w.list.a, w.list.b)
		err := a.each(ctx, func(row scanner) error {
			var p pair
			err := row.Scan(&p.group, &p.user)
			w.note(p, w.gained)
			return err
		}, replacePairs(w.query, f), append([]any{a.c.Org}, args...)...)
		if err != nil {
			return fmt.Errorf("write members: %w", err)
		}
		if w.gained {
			a.grew(w.table, len(w.list.a))
		}
	}
	for key := range a.news {
		a.touched = append(a.touched, key)
	}
	return nil
}

const (
	insertNest   = "INSERT INTO nest (org_id, parent_id, child_id) SELECT CAST(? AS bigint), k.a, k.b FROM {pairs} AS k WHERE true ON CONFLICT DO NOTHING RETURNING parent_id, child_id"
	insertMember = "INSERT INTO member (org_id, group_id, user_id) SELECT CAST(? AS bigint), k.a, k.b FROM {pairs} AS k WHERE true ON CONFLICT DO NOTHING RETURNING group_id, user_id"
)

// insertFresh writes the memberships of groups that are created: all of them are new.
func (a *applier) insertFresh(ctx context.Context, groups, users []int64, note func(pair, bool)) error {
	if len(groups) == 0 {
		return nil
	}
	a.grew("member", len(groups))
	for i, g := range groups {
		note(pair{store.Key(g), store.Key(users[i])}, true)
	}
	if a.e.postgres && len(groups) > copyFrom {
		rows := make([][]any, len(groups))
		for i, g := range groups {
			rows[i] = []any{a.c.Org, g, users[i]}
		}
		return a.copyRows(ctx, "member", []string{"org_id", "group_id", "user_id"}, rows)
	}
	f, args := a.pairs(groups, users)
	_, err := a.exec(ctx, replacePairs("INSERT INTO member (org_id, group_id, user_id) SELECT CAST(? AS bigint), k.a, k.b FROM {pairs} AS k WHERE true", f),
		append([]any{a.c.Org}, args...)...)
	return err
}

func (a *applier) newsOf(group store.Key) *edgeNews {
	n := a.news[group]
	if n == nil {
		n = &edgeNews{}
		a.news[group] = n
	}
	return n
}

// counting finds which users count. Those that are added are held against whoever
// would delete them; who holds one already makes this a race, because the other may
// wait for the group.
func (a *applier) counting(ctx context.Context, added, removed []int64) (map[store.Key]bool, error) {
	out := map[store.Key]bool{}
	var asks []ask
	look := func(list []int64, lock string) {
		if len(list) == 0 {
			return
		}
		among, arg := a.among(list)
		asks = append(asks, ask{
			what:  "lock the members",
			query: "SELECT u.id FROM users u WHERE u.org_id = ? AND u.id" + among + " AND u.deleted_at IS NULL AND NOT u.out_of_scope ORDER BY u.id" + lock,
			args:  []any{a.c.Org, arg},
			each: func(row scanner) error {
				k, err := value[store.Key](row)
				out[k] = true
				return err
			},
		})
	}
	lock := ""
	if a.e.postgres {
		lock = " FOR KEY SHARE OF u NOWAIT"
	}
	look(added, lock)
	look(removed, "")
	return out, a.read(ctx, asks...)
}
