package gormstore

import "github.com/provost-scim/provost/store"

// locking is the end of a query that locks the rows it returns, of one table alias.
// Foreign keys to the rows are not held up by it.
func (l *loader) locking(alias string) string {
	if !l.e.postgres || l.s.Unlocked {
		return ""
	}
	return " FOR NO KEY UPDATE OF " + alias
}

func (l *loader) lockGraph() []ask {
	if !l.e.postgres || l.s.Unlocked {
		return nil
	}
	return []ask{lockGraph(l.s.Org, l.exclusive)}
}

func lockGraph(org store.Key, exclusive bool) ask {
	mode := "SHARE"
	if exclusive {
		mode = "UPDATE"
	}
	return ask{what: "lock the graph", query: "SELECT org_id FROM org_graph WHERE org_id = ? FOR " + mode, args: []any{org}}
}

// lockGroups locks the groups and what is above those that change, and sorts out the
// ones that the scope asked for.
func (l *loader) lockGroups() []ask {
	f, arg := l.keys(l.candidates)
	where, args := "g.id IN (SELECT v FROM "+f+" AS k)", []any{l.s.Org, arg}
	if len(l.changing) > 0 && !l.s.Unlocked && l.e.postgres {
		up, upArgs := l.above(l.changing, l.s.Org)
		where = "g.id" + l.amongRows("SELECT v FROM "+f+" AS k UNION SELECT id FROM ("+up+") AS a")
		args = append(args, upArgs...)
	}
	return []ask{{
		what:  "lock the groups",
		query: "SELECT " + groupColumns + " FROM groups g WHERE g.org_id = ? AND " + where + " ORDER BY g.id" + l.locking("g"),
		args:  args,
		each: func(row scanner) error {
			g, err := scanGroup(row)
			if err == nil {
				l.placeGroup(&g)
			}
			return err
		},
	}}
}
