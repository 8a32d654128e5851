package gormstore

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/flatten"
)

// Who holds whom is not looked for by the database: a recursive query finds it once for
// each group that asks, and in a circle of groups all of them ask for all of them. It is
// read as edges, each once, and solved by [flatten.Shifts].

// region is the part of the group graph by which it is told what some groups reach.
type region struct {
	*flatten.Index[store.Key]
	before, after flatten.Nesting
	holds         []bool  // by group: it has direct members
	roots         []int32 // groups that are kept exact
}

func newRegion(n int) *region { return &region{Index: flatten.NewIndex[store.Key](n)} }

// Number is that of the index, and makes room for the group.
func (g *region) Number(key store.Key) int32 {
	n := g.Index.Number(key)
	if int(n) == len(g.after.Children) {
		g.after.Children = append(g.after.Children, nil)
		g.holds = append(g.holds, false)
	}
	return n
}

// live says of a row of groups that it holds, and hands on, members.
const live = "g.deleted_at IS NULL AND NOT g.out_of_scope"

// next is the recursive part of a walk through the graph: for each row of walk, kept and
// what is found from it. It goes by the indexes: hashing, or reading, a whole table for
// each step of a long way would make its cost the square of its length. CROSS JOIN makes
// SQLite do so, and to PostgreSQL LATERAL and OFFSET say it.
func (s *session) next(walk, kept, column, from, where string) string {
	if s.e.postgres {
		return "SELECT " + kept + "s.v FROM " + walk + " CROSS JOIN LATERAL (SELECT " + column + " AS v FROM " + from + " WHERE " + where + " OFFSET 0) AS s"
	}
	return "SELECT " + kept + column + " FROM " + walk + " CROSS JOIN " + from + " WHERE " + where
}

// children is what [session.next] finds of the groups in those of the walk down.
func (s *session) children(condition string) string {
	return s.next("down", "", "n.child_id", "nest n CROSS JOIN groups g",
		"n.parent_id = down.id AND n.org_id = ? AND g.org_id = n.org_id AND g.id = n.child_id AND "+condition)
}

// parents is what [session.next] finds of the groups that those of the walk up are in.
func (s *session) parents() string {
	return s.next("up", "", "n.parent_id", "nest n", "n.child_id = up.id AND n.org_id = ?")
}

// peopled is 1 of groups with direct members. As EXISTS, PostgreSQL might read all of them.
const peopled = "coalesce((SELECT 1 FROM member m WHERE m.group_id = down.id LIMIT 1), 0)"

// numbers are those of the groups that the region has.
func (g *region) numbers(keys []store.Key) (list []int32) {
	for _, key := range keys {
		if n, found := g.Find(key); found {
			list = append(list, n)
		}
	}
	return list
}

// holders are the groups that have direct members.
func (g *region) holders() (list []int32) {
	for n, holds := range g.holds {
		if holds {
			list = append(list, int32(n))
		}
	}
	return list
}

// planForRegions makes PostgreSQL plan the statements of a transaction for the lists that
// they are given, which are short or very long, and keeps it from compiling them, which
// takes longer than to run them.
func (s *session) planForRegions() []ask {
	if !s.e.postgres {
		return nil
	}
	return []ask{{what: "plan for regions", query: "SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true)"}}
}

// below reads all that groups hold.
func (s *session) below(ctx context.Context, org store.Key, groups []store.Key) (*region, error) {
	g := newRegion(len(groups))
	f, arg := s.keys(groups)
	err := s.each(ctx, func(row scanner) error {
		var parent, child store.Key
		var held int
		if err := row.Scan(&parent, &child, &held); err != nil {
			return err
		}
		p := g.Number(parent)
		g.holds[p] = held > 0
		if child != 0 {
			c := g.Number(child)
			g.after.Children[p] = append(g.after.Children[p], c)
		}
		return nil
	}, `WITH RECURSIVE down(id) AS (
			SELECT g.id FROM `+f+` AS k CROSS JOIN groups g WHERE g.org_id = ? AND g.id = k.v AND `+live+`
			UNION `+s.children(live)+`)
		SELECT down.id, coalesce(n.child_id, 0), `+peopled+" FROM down LEFT JOIN nest n ON n.parent_id = down.id AND n.org_id = ?", arg, org, org, org)
	if err != nil {
		return nil, fmt.Errorf("read the groups below: %w", err)
	}
	return g, nil
}
