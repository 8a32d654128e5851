package gormstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/flatten"
)

// nestings are what an Apply has changed of which groups are in which, and of who is in
// them besides. Nobody else may change the nesting or the members of groups meanwhile.
//
// A group's support of a user changes by the groups that it has come to reach, or no
// longer reaches, and that hold the user now; and, as far as it reached before, by the
// memberships that came and went. So only what moves is written, and a change that moves
// nobody costs no more than to see that.
type nestings struct {
	*applier
	added, removed []pair                   // parent and child
	turned         map[store.Key]bool       // groups that begin (true) or cease to count
	moved          [2]map[store.Key][]int64 // by group, users that came and went
}

// renest makes effective membership follow a change of nestings.
func (a *applier) renest(ctx context.Context) ([]*shift, error) {
	n := a.nestings()
	shifts, err := n.apply(ctx)
	if err != nil {
		return nil, fmt.Errorf("follow nested groups: %w", err)
	}
	return shifts, nil
}

func (a *applier) nestings() *nestings {
	n := &nestings{applier: a, turned: map[store.Key]bool{}, moved: [2]map[store.Key][]int64{{}, {}}}
	for parent, news := range a.news {
		for _, e := range news.added {
			if e.Kind == store.KindGroup {
				n.added = append(n.added, pair{parent, e.Key})
			}
		}
		for _, e := range news.removed {
			if e.Kind == store.KindGroup {
				n.removed = append(n.removed, pair{parent, e.Key})
			}
		}
	}
	for _, key := range a.turned {
		g := a.groups[key]
		n.turned[key] = !g.Deleted() && !g.OutOfScope
	}
	for i, list := range [][]pair{a.gained, a.lost} {
		for _, p := range list {
			n.moved[i][p.group] = append(n.moved[i][p.group], int64(p.user))
		}
	}
	return n
}

func (n *nestings) apply(ctx context.Context) ([]*shift, error) {
	holders, err := n.holders(ctx)
	if err != nil || len(holders) == 0 {
		return nil, err
	}
	g, err := n.between(ctx, holders)
	if err != nil {
		return nil, err
	}
	d := n.newDifference(n.c)
	err = g.shifts(g.roots, g.holders(), func(gained, lost *reached) error {
		if err := d.add(ctx, gained, 1); err != nil {
			return err
		}
		return d.add(ctx, lost, -1)
	})
	if err != nil {
		return nil, err
	}
	for i, sign := range []int{1, -1} {
		if err := n.follow(ctx, d, g, n.moved[i], sign); err != nil {
			return nil, err
		}
	}
	if d.rows == 0 {
		return nil, nil
	}
	if err := d.analyze(ctx); err != nil {
		return nil, err
	}
	gone, err := d.move(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.write(ctx, gone, false); err != nil {
		return nil, err
	}
	shifts := make([]*shift, len(d.groups))
	for i, key := range d.groups {
		shifts[i] = d.shifts[key]
	}
	return shifts, nil
}

// follow adds to the table what comes of users that came to groups, or went, in all
// groups that reached them before the nesting changed.
func (n *nestings) follow(ctx context.Context, d *difference, g *region, moved map[store.Key][]int64, sign int) error {
	if len(moved) == 0 {
		return nil
	}
	r := reached{users: true}
	flatten.Shifts(flatten.Nesting{}, g.before, g.roots, g.numbers(sorted(moved)), func(groups, in, _ []int32) bool {
		var users []int64
		for _, group := range in {
			users = append(users, moved[g.Key(group)]...)
		}
		r.add(g.keysOf(groups), users)
		return true
	})
	return d.add(ctx, &r, sign)
}

// holders finds the groups below the change that hold users. Groups without effective
// members are passed over with all below them: none of these holds anybody, unless it is
// part of the change itself.
func (n *nestings) holders(ctx context.Context) (found map[store.Key]bool, err error) {
	found = map[store.Key]bool{}
	var fresh, other []store.Key // fresh: whose count is not yet what it has to be
	for _, m := range n.moved {
		for key := range m {
			found[key] = true
			fresh = append(fresh, key)
		}
	}
	for key, counts := range n.turned {
		if counts {
			fresh = append(fresh, key)
		} else {
			other = append(other, key)
		}
	}
	for _, p := range slices.Concat(n.added, n.removed) {
		other = append(other, p.user)
	}
	const some = "(g.effective_count > 0 OR g.stale)"
	first, firstArg := n.keys(fresh)
	then, thenArg := n.keys(other)
	err = n.read(ctx, append(n.planForRegions(), ask{
		what: "read the groups below",
		query: `WITH RECURSIVE down(id) AS (
				SELECT k.v FROM ` + first + ` AS k
				UNION SELECT g.id FROM ` + then + ` AS k CROSS JOIN groups g WHERE g.org_id = ? AND g.id = k.v AND ` + some + `
				UNION ` + n.children(some) + `)
			SELECT down.id FROM down WHERE ` + peopled + " = 1",
		args: []any{firstArg, thenArg, n.c.Org, n.c.Org},
		each: func(row scanner) error {
			key, err := value[store.Key](row)
			found[key] = true
			return err
		},
	})...)
	return found, err
}

// between reads everything between the holders and whoever may reach them, as it is and
// was.
func (n *nestings) between(ctx context.Context, holders map[store.Key]bool) (*region, error) {
	from := make(map[store.Key]bool, len(holders)+len(n.removed))
	for key := range holders {
		from[key] = true
	}
	for _, p := range n.removed { // the way up that is no more
		from[p.group] = true
	}
	f, arg := n.keys(sorted(from))
	g := newRegion(len(from))
	type state struct{ live, stale bool }
	states := map[int32]state{}
	now := map[pair]bool{}
	err := n.each(ctx, func(row scanner) error {
		var key, parent store.Key
		var s state
		if err := row.Scan(&key, &parent, &s.live, &s.stale); err != nil {
			return err
		}
		states[g.Number(key)] = s
		if parent != 0 {
			now[pair{parent, key}] = true
		}
		return nil
	}, `WITH RECURSIVE up(id) AS (SELECT k.v FROM `+f+` AS k UNION `+n.parents()+`)
		SELECT g.id, coalesce(n.parent_id, 0), g.deleted_at IS NULL AND NOT g.out_of_scope, g.stale
		FROM up CROSS JOIN groups g LEFT JOIN nest n ON n.child_id = g.id AND n.org_id = g.org_id WHERE g.org_id = ? AND g.id = up.id`,
		arg, n.c.Org, n.c.Org)
	if err != nil {
		return nil, err
	}
	for key := range holders {
		g.holds[g.Number(key)] = true
	}
	g.after.Children = n.edges(g, now)
	for _, p := range n.added {
		delete(now, p)
	}
	for _, p := range n.removed {
		now[p] = true
	}
	g.before.Children = n.edges(g, now)
	g.before.Absent, g.after.Absent = make([]bool, g.Len()), make([]bool, g.Len())
	for number := range int32(g.Len()) {
		s := states[number]
		_, turned := n.turned[g.Key(number)]
		g.after.Absent[number] = !s.live
		g.before.Absent[number] = s.live == turned
		if !s.stale { // the others are computed anew, later
			g.roots = append(g.roots, number)
		}
	}
	return g, nil
}

// edges are those within the region.
func (n *nestings) edges(g *region, list map[pair]bool) [][]int32 {
	children := make([][]int32, g.Len())
	for p := range list {
		parent, above := g.Find(p.group)
		if child, below := g.Find(p.user); above && below {
			children[parent] = append(children[parent], child)
		}
	}
	return children
}
