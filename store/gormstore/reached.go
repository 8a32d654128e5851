package gormstore

import (
	"slices"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/flatten"
)

// reachedAtOnce is about how many pairs of groups are handed to the database together.
const reachedAtOnce = 1 << 19

// reached is what groups have come to reach, or no longer do: other groups that hold
// users, or users themselves.
type reached struct {
	own     pairList // of a group, what it reaches
	classes pairList // of a number of groups, what all of them reach
	groups  pairList // these groups, by the same number
	users   bool     // it is users
}

type pairList struct{ a, b []int64 }

func (l *pairList) put(a, b int64) { l.a, l.b = append(l.a, a), append(l.b, b) }

func (r *reached) size() int { return len(r.own.a) + len(r.classes.a) + len(r.groups.a) }

// add notes that groups reach the same.
func (r *reached) add(groups []store.Key, what []int64) {
	if len(what) == 0 {
		return
	}
	if len(groups) == 1 {
		for _, w := range what {
			r.own.put(int64(groups[0]), w)
		}
		return
	}
	class := int64(len(r.groups.a)) // a number that no other has
	for _, w := range what {
		r.classes.put(class, w)
	}
	for _, g := range groups {
		r.groups.put(class, int64(g))
	}
}

// shifts tells, a part at a time, which holders the roots came to reach and which they no
// longer do.
func (g *region) shifts(roots, holders []int32, take func(gained, lost *reached) error) (err error) {
	var gained, lost reached
	hand := func() error {
		if gained.size()+lost.size() == 0 {
			return nil
		}
		more, less := gained, lost
		gained, lost = reached{}, reached{}
		return take(&more, &less)
	}
	flatten.Shifts(g.before, g.after, roots, holders, func(groups, more, less []int32) bool {
		keys := g.keysOf(groups)
		gained.add(keys, keys64(g.keysOf(more)))
		lost.add(keys, keys64(g.keysOf(less)))
		if gained.size()+lost.size() >= reachedAtOnce {
			err = hand()
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	return hand()
}

func (g *region) keysOf(numbers []int32) []store.Key {
	keys := make([]store.Key, len(numbers))
	for i, n := range numbers {
		keys[i] = g.Key(n)
	}
	return keys
}

// supportQuery is the query of the support that groups have from what they reach:
// group_id, user_id and support, of each pair once. Users that do not count are left out,
// unless it is users that are reached.
func (s *session) supportQuery(org store.Key, r *reached) (query string, args []any) {
	if len(r.classes.a) == 0 {
		return s.supportFrom(org, r.users, r.own)
	}
	class, args := s.supportFrom(org, r.users, r.classes)
	f, groups := s.pairs(r.groups.a, r.groups.b)
	// In the order that lets SQLite make an index of the groups.
	query = "SELECT x.group_id, x.user_id, x.support FROM (WITH k AS MATERIALIZED (SELECT p.a, p.b FROM " + f + " AS p)" +
		" SELECT k.b AS group_id, y.user_id, y.support FROM (" + class + ") AS y CROSS JOIN k WHERE k.a = y.group_id) AS x"
	args = append(groups, args...)
	if len(r.own.a) > 0 {
		own, ownArgs := s.supportFrom(org, r.users, r.own)
		query += " UNION ALL " + own
		args = slices.Concat(args, ownArgs)
	}
	return "SELECT group_id, user_id, CAST(sum(support) AS integer) AS support FROM (" + query + ") AS z GROUP BY group_id, user_id", args
}

// supportFrom is the query of supportQuery of what is in one list. It begins with the
// pairs and goes by the index of member, whatever the planner believes. Else all members
// of the organization were read for each step of publishing.
func (s *session) supportFrom(org store.Key, users bool, list pairList) (query string, args []any) {
	f, args := s.pairs(list.a, list.b)
	if users {
		return "SELECT c.a AS group_id, c.b AS user_id, CAST(count(*) AS integer) AS support FROM " + f + " AS c GROUP BY c.a, c.b", args
	}
	members := "member AS m WHERE m.group_id = c.b AND"
	if s.e.postgres {
		members = "LATERAL (SELECT e.user_id, e.org_id FROM member AS e WHERE e.group_id = c.b OFFSET 0) AS m WHERE"
	}
	return "SELECT c.a AS group_id, m.user_id, CAST(count(*) AS integer) AS support FROM " + f + " AS c CROSS JOIN " + members + ` m.org_id = ?
		AND NOT EXISTS (SELECT 1 FROM users u WHERE u.org_id = m.org_id AND u.id = m.user_id AND (u.deleted_at IS NOT NULL OR u.out_of_scope))
		GROUP BY c.a, m.user_id`, append(args, org)
}
