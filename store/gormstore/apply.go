package gormstore

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/provost-scim/provost/store"
)

// syncedEvery is how exactly the time of a directory's last accepted push is kept, so
// that not every push writes the directory.
const syncedEvery = time.Minute

// Apply writes a change set: identity keys, users, groups, edges, then what follows of
// them for effective membership and for grants, findings, and events last.
func (t *tx) Apply(ctx context.Context, c *store.ChangeSet) (*store.Effects, error) {
	a := &applier{tx: t, c: c}
	a.sortMoves()
	if err := a.holdMoved(ctx); err != nil {
		return nil, err
	}
	if err := a.writeRecords(ctx); err != nil {
		return nil, err
	}
	if err := a.writeEdges(ctx); err != nil {
		return nil, err
	}
	shifts, err := a.effective(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.dropEdges(ctx); err != nil {
		return nil, err
	}
	versions, err := a.moveVersions(ctx)
	if err != nil {
		return nil, err
	}
	granted, err := a.grants(ctx)
	if err != nil {
		return nil, err
	}
	if len(c.Findings) > 0 {
		if err := t.Open(ctx, c.Findings); err != nil {
			return nil, err
		}
	}
	direct, err := a.directEvents(ctx)
	if err != nil {
		return nil, err
	}
	effects, err := t.finishEffects(ctx, c, shifts, append(direct, granted...))
	if err != nil {
		return nil, err
	}
	effects.Versions = versions
	return effects, nil
}

// applier is one Apply on its way.
type applier struct {
	*tx
	c        *store.ChangeSet
	arriving map[store.Key]bool // users that count from now on and existed before
	leaving  map[store.Key]bool // users that count no longer
	back     map[store.Key]bool // users that return with their memberships
	gone     map[store.Key]bool // users that are deleted
	turned   []store.Key        // groups that begin or cease to count
	known    map[string]bool    // stable ids of records that are created or return
	looked   bool               // for who awaits them
	waiting  []waiting          // who does

	struck       *strike     // instead of lost and gained
	lost, gained []pair      // direct memberships of users that count
	nested       []store.Key // groups whose nested groups changed
	touched      []store.Key // groups whose edges changed, or those of users that move
	news         map[store.Key]*edgeNews
	groups       map[store.Key]*store.Group // of the change set, by key
}

// userComes reports whether the directory comes to know a user by a stable id: it is
// created, returns, or is taken over.
func userComes(u *store.UserChange) bool {
	taken := u.Op == store.OpUpdate && u.Before.Directory != u.After.Directory
	return (u.Op == store.OpCreate || u.Op == store.OpRestore || taken) && u.After.ExternalID != ""
}

func groupComes(g *store.GroupChange) bool {
	taken := g.Op == store.OpUpdate && g.Before.Directory != g.After.Directory
	return (g.Op == store.OpCreate || g.Op == store.OpRestore || taken) && g.After.ExternalID != ""
}

func counts(u *store.User) bool { return !u.Deleted() && !u.OutOfScope }

// sortMoves finds the users and groups that begin or cease to count (rule 5).
func (a *applier) sortMoves() {
	a.arriving, a.leaving, a.back, a.gone = map[store.Key]bool{}, map[store.Key]bool{}, map[store.Key]bool{}, map[store.Key]bool{}
	a.known, a.news, a.groups = map[string]bool{}, map[store.Key]*edgeNews{}, map[store.Key]*store.Group{}
	for i := range a.c.Users {
		u := &a.c.Users[i]
		if userComes(u) {
			a.known[u.After.ExternalID] = true
		}
		if u.Before == nil || u.Op == store.OpMark || u.Op == store.OpForget {
			continue
		}
		if u.Op == store.OpDelete {
			a.gone[u.After.Key] = true
		}
		if u.Op == store.OpRestore && !u.Revived {
			a.back[u.After.Key] = true
		}
		was, is := counts(u.Before), counts(&u.After)
		if is && !was {
			a.arriving[u.After.Key] = true
		}
		if was && !is {
			a.leaving[u.After.Key] = true
		}
	}
	for i := range a.c.Groups {
		g := &a.c.Groups[i]
		a.groups[g.After.Key] = &g.After
		if groupComes(g) {
			a.known[g.After.ExternalID] = true
		}
		if g.Before == nil || g.Op == "" || g.Op == store.OpMark || g.Op == store.OpForget {
			continue
		}
		was, is := !g.Before.Deleted() && !g.Before.OutOfScope, !g.After.Deleted() && !g.After.OutOfScope
		if was != is {
			a.turned = append(a.turned, g.After.Key)
		}
	}
}

// holdMoved holds the users that begin or cease to count, or to be there, against
// everyone who would put them into a group, then the groups above them, and reads what
// those that leave are members of.
func (a *applier) holdMoved(ctx context.Context) error {
	moved := map[store.Key]bool{}
	for _, set := range []map[store.Key]bool{a.arriving, a.leaving, a.back, a.gone} {
		maps.Copy(moved, set)
	}
	if len(moved) == 0 {
		return nil
	}
	f, arg := a.keys(sorted(moved))
	var asks []ask
	if a.e.postgres {
		asks = append(asks, lockGraph(a.c.Org, false), ask{
			what:  "lock the users that move",
			query: "SELECT u.id FROM users u WHERE u.org_id = ? AND u.id IN (SELECT v FROM " + f + " AS k) ORDER BY u.id FOR UPDATE OF u",
			args:  []any{a.c.Org, arg},
		})
	}
	groups := map[store.Key]bool{}
	asks = append(asks, ask{
		what:  "read the groups of users that move",
		query: "SELECT DISTINCT m.group_id FROM member m WHERE m.org_id = ? AND m.user_id IN (SELECT v FROM " + f + " AS k)",
		args:  []any{a.c.Org, arg},
		each: func(row scanner) error {
			k, err := value[store.Key](row)
			groups[k] = true
			return err
		},
	})
	if err := a.read(ctx, asks...); err != nil || len(groups) == 0 {
		return err
	}
	a.touched = append(a.touched, sorted(groups)...)
	away := maps.Clone(a.leaving)
	maps.Copy(away, a.gone)
	asks = a.lockAbove(a.touched)
	var had []pair
	if len(away) > 0 {
		asks = append(asks, a.membersOf(away, &had))
	}
	if err := a.read(ctx, asks...); err != nil {
		return err
	}
	for _, p := range had {
		if a.leaving[p.user] {
			a.lost = append(a.lost, p)
		}
	}
	a.vanish(had)
	return nil
}

func (a *applier) lockAbove(groups []store.Key) []ask {
	if !a.e.postgres {
		return nil
	}
	up, args := a.above(groups, a.c.Org)
	return []ask{{
		what:  "lock the groups above",
		query: "SELECT g.id FROM groups g WHERE g.org_id = ? AND g.id" + a.amongRows(up) + " ORDER BY g.id FOR NO KEY UPDATE OF g",
		args:  append([]any{a.c.Org}, args...),
	}}
}

// membersOf reads every direct membership of users.
func (a *applier) membersOf(users map[store.Key]bool, into *[]pair) ask {
	f, arg := a.keys(sorted(users))
	return ask{
		what:  "read the memberships of users that move",
		query: "SELECT m.group_id, m.user_id FROM member m WHERE m.org_id = ? AND m.user_id IN (SELECT v FROM " + f + " AS k)",
		args:  []any{a.c.Org, arg},
		each: func(row scanner) error {
			var p pair
			err := row.Scan(&p.group, &p.user)
			*into = append(*into, p)
			return err
		},
	}
}

// writeRecords writes everything but edges and what follows of them.
func (a *applier) writeRecords(ctx context.Context) error {
	c := a.c
	w := &writes{tx: a.tx, what: "write records"}
	w.identityKeys(c)
	if err := w.users(c); err != nil {
		return err
	}
	if err := w.groups(c); err != nil {
		return err
	}
	w.mails(c.Mails)
	w.aliases(c)
	for _, k := range c.Resolved {
		w.add(statement{
			query: "UPDATE finding SET resolved_at = ? WHERE record = ? AND rule = ? AND kind = ? AND directory_id = ? AND org_id = ? AND resolved_at IS NULL",
			args:  []any{c.Now, k.Record, k.Rule, string(k.Kind), k.Directory, c.Org}, want: -1,
		})
	}
	if (c.Synced || c.Pulled) && c.Directory != 0 {
		before := c.Now
		if !c.Pulled {
			before = c.Now.Add(-syncedEvery)
		}
		w.add(statement{
			query: "UPDATE directory SET synced_at = ? WHERE org_id = ? AND id = ? AND (synced_at IS NULL OR synced_at < ?)",
			args:  []any{c.Now, c.Org, c.Directory, before}, want: -1,
		})
	}
	if len(c.Groups) == 0 { // else their edges are written first
		w.then = a.awaited()
	}
	return w.flush(ctx)
}

// effective makes effective membership follow what was written, or marks it stale.
func (a *applier) effective(ctx context.Context) ([]*shift, error) {
	if len(a.arriving) > 0 && len(a.touched) > 0 {
		if err := a.read(ctx, a.membersOf(a.arriving, &a.gained)); err != nil {
			return nil, err
		}
	}
	whole := append(a.turned, a.nested...)
	if a.c.Deferred {
		return nil, a.markStale(ctx, append(whole, a.touched...))
	}
	if a.struck != nil {
		return a.strikeEffective(ctx, a.c, a.struck)
	}
	if len(whole) == 0 {
		return a.shiftSupport(ctx, a.c, a.gained, a.lost)
	}
	return a.renest(ctx)
}

// markStale marks groups and all above them as stale.
func (a *applier) markStale(ctx context.Context, groups []store.Key) error {
	if len(groups) == 0 {
		return nil
	}
	if err := a.read(ctx, a.lockAbove(groups)...); err != nil {
		return err
	}
	up, args := a.above(groups, a.c.Org)
	_, err := a.exec(ctx, "UPDATE groups SET stale = true WHERE org_id = ? AND NOT stale AND id"+a.amongRows(up), append([]any{a.c.Org}, args...)...)
	if err != nil {
		return fmt.Errorf("mark groups stale: %w", err)
	}
	return nil
}
