package gormstore

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/provost-scim/provost/store"
)

// wholeGroups is how each engine says that it reads all groups.
var wholeGroups = regexp.MustCompile(`(?m)(Seq Scan on|SCAN) (groups|group_grant|g|o|r)\b.*$`)

// A run of a few changes costs the same however many groups there are.
func TestAWindowOfAFewGroupsDoesNotReadAllGroups(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *Store) {
		c := crowd(t, s, 10)
		inTx(t, s, func(x *tx) error {
			keys, err := x.Keys(t.Context(), store.KindGroup, 5_000)
			if err != nil {
				return err
			}
			more := &store.ChangeSet{Org: c.Org, Directory: c.Directory, Now: c.Now, Cap: c.Cap}
			for i, k := range keys {
				g := store.Group{
					Key: k, ID: store.NewID(c.Now), Org: c.Org, Directory: c.Directory, ExternalID: fmt.Sprint("e", i), DisplayName: fmt.Sprint("many", i),
					Version: 1, CreatedAt: c.Now, ModifiedAt: c.Now,
				}
				more.Groups = append(more.Groups, store.GroupChange{Op: store.OpCreate, After: g, Add: []store.Edge{{Kind: store.KindUser, Key: c.Users[i%10].After.Key}}})
			}
			_, err = x.Apply(t.Context(), more)
			return err
		})
		inTx(t, s, func(x *tx) error {
			if x.e.postgres { // SQLite knows what it is told by the schema
				if _, err := x.exec(t.Context(), "ANALYZE groups, nest, member, stage, users"); err != nil {
					return err
				}
			}
			check := func(name, query string, args ...any) {
				t.Helper()
				plan := explain(t, x, query, args...)
				if bad := wholeGroups.FindString(plan); bad != "" {
					t.Errorf("%s reads all groups: %s\n%s", name, bad, plan)
				}
			}
			l := newLoader(x, store.Scope{
				Org: c.Org, Directory: c.Directory, Departed: true, GroupKeys: []string{"many1", "many2"},
				Groups: []store.GroupScope{
					{Record: store.RecordKey{ExternalID: "e1"}, AllEdges: true, Refs: []store.MemberRef{{ExternalID: "e3"}}},
					{Record: store.RecordKey{ExternalID: "e2"}, AllEdges: true},
				},
			})
			if err := l.probe(t.Context()); err != nil {
				return err
			}
			if len(l.changing) != 2 {
				t.Fatalf("%d groups may change, want 2", len(l.changing))
			}
			candidates, args := l.candidateRows("groups", "display_name_folded", nil, sorted(l.groupNames))
			check("looking for groups", candidates, args...)
			for _, a := range append(l.lockGroups(), (&applier{tx: x, c: c}).lockAbove(l.changing)...) {
				check(a.what, a.query, a.args...)
			}
			check("what members are lost", x.memberLosses(true), c.Directory, 1, 1, 1, c.Directory, c.Now, string(store.LossMembersRemoved), 20, 10.0, 100)
			check("restoring access", restoreAccess, c.Org, c.Directory, c.Org, c.Directory)
			return nil
		})
	})
}
