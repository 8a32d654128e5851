package gormstore

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/provost-scim/provost/store"
)

// anyTable is how each engine says that it reads all of a table, by its name in PostgreSQL
// and by its alias in SQLite.
var anyTable = regexp.MustCompile(`(?m)(Seq Scan on|SCAN) (users|user_value|groups|member|nest|effective|u|v|e|g|m|n|ef|lu|lg)\b.*$`)

// TestTheQueriesOfClientsUseIndexes explains what Entra and Okta ask for (and the tools
// that ask for the groups of a member), on tables that were analysed.
func TestTheQueriesOfClientsUseIndexes(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *Store) {
		c := crowd(t, s, 20_000)
		user, group, parent := c.Users[17].After, c.Groups[0].After, c.Groups[1].After
		smallGroups(t, s, c, 3_000)
		eq := func(field store.Field, value string) store.Condition {
			return store.Compare{Field: field, Op: store.Eq, Value: value}
		}
		// Pages without a filter are read in the order of keys, as far as they go: by the index of
		// the directory, or by the table where the directory is all of it.
		const inOrder = ""
		const base = "https://scim.test/scim/v2"
		inTx(t, s, func(x *tx) error {
			if _, err := x.exec(t.Context(), "ANALYZE"); err != nil {
				return err
			}
			for _, tt := range []struct {
				name  string
				of    *recordFields
				q     store.Query
				index string // at least one of the plan's must match
			}{
				{"Entra and Okta match by userName", userRecords, store.Query{Filter: eq("userName", "U17")}, `users_name`},
				{"Entra matches by externalId", userRecords, store.Query{Filter: eq("externalId", "e17")}, `users_external`},
				{"Entra matches by work email", userRecords, store.Query{Filter: store.Element{Attr: "emails", Of: store.And{eq("emails.type", "work"), eq("emails.value", "u17@corp.test")}}}, `user_value_fold`},
				{"the users of a domain", userRecords, store.Query{Filter: eq("domain", "rare.test")}, `users_domain`},
				{"matching by any email", userRecords, store.Query{Filter: eq("emails.value", "u17@corp.test")}, `user_value_fold`},
				{"Entra checks a manager", userRecords, store.Query{Filter: store.And{eq("id", string(user.ID)), eq(enterprise+"manager.value", "m")}}, `users_public_id_key|sqlite_autoindex_users|public_id=`},
				{"a location", userRecords, store.Query{Filter: eq("meta.location", base+"/Users/"+string(user.ID))}, `users_public_id_key|sqlite_autoindex_users|public_id=`},
				{"Okta lists the first page", userRecords, store.Query{}, inOrder},
				{"Okta lists a page in the middle", userRecords, store.Query{Offset: 900}, inOrder},
				{"a page by cursor", userRecords, store.Query{After: store.Position{Key: user.Key}}, inOrder},
				{"Entra matches a group", groupRecords, store.Query{Filter: eq("displayName", "Small 17")}, `groups_name`},
				{"a group by externalId", groupRecords, store.Query{Filter: eq("externalId", "x")}, `groups_external`},
				{"the groups of a member", groupRecords, store.Query{Filter: eq("members.value", string(user.ID))}, `member_user`},
				{"the groups of a member in brackets", groupRecords, store.Query{Filter: store.Element{Attr: "members", Of: store.And{eq("members.value", string(user.ID)), eq("members.type", "User")}}}, `member_user`},
				{"the groups above a group", groupRecords, store.Query{Filter: eq("members.value", string(group.ID))}, `nest_child`},
				{"whether a group has a member", groupRecords, store.Query{Filter: store.And{eq("id", string(parent.ID)), eq("members.value", string(user.ID))}}, `groups_public_id_key|sqlite_autoindex_groups|public_id=`},
				{"Okta lists groups", groupRecords, store.Query{}, inOrder},
			} {
				tt.q.Org, tt.q.Directory, tt.q.Base, tt.q.Limit, tt.q.Count = c.Org, &c.Directory, base, 100, true
				l, err := newLister(compiler{s: x.session, of: tt.of, org: c.Org, base: base}, tt.q)
				if err != nil {
					return err
				}
				columns := userColumns
				if tt.of == groupRecords {
					columns = groupColumns
				}
				query, args, err := l.list(columns, -1)
				if err != nil {
					return err
				}
				plans := []string{explain(t, x, query, args...)}
				if tt.q.Filter != nil {
					plans = append(plans, explain(t, x, "SELECT count(*) FROM "+l.of.table+" "+l.of.alias+" WHERE "+l.where, l.args...))
				}
				if sorts := regexp.MustCompile("Sort|Limit|TEMP B-TREE").FindString(plans[0]); l.of.unique(tt.q.Filter) && sorts != "" {
					t.Errorf("%s finds one record and has a %s:\n%s", tt.name, sorts, plans[0])
				}
				for _, plan := range plans {
					bad := anyTable.FindString(plan)
					if tt.index == inOrder && !x.e.postgres {
						bad = regexp.MustCompile("TEMP B-TREE").FindString(plan)
					}
					if bad != "" {
						t.Errorf("%s reads a whole table: %s\n%s", tt.name, bad, plan)
					}
					if !regexp.MustCompile(tt.index).MatchString(plan) {
						t.Errorf("%s does not use %s:\n%s", tt.name, tt.index, plan)
					}
				}
			}
			return nil
		})
	})
}

// smallGroups adds groups to a crowd, of three users or of one group each.
func smallGroups(t *testing.T, s *Store, c *store.ChangeSet, n int) {
	t.Helper()
	inTx(t, s, func(x *tx) error {
		keys, err := x.Keys(t.Context(), store.KindGroup, n)
		if err != nil {
			return err
		}
		more := &store.ChangeSet{Org: c.Org, Directory: c.Directory, Now: c.Now, Cap: c.Cap}
		for i, k := range keys {
			g := store.Group{
				Key: k, ID: store.NewID(c.Now), Org: c.Org, Directory: c.Directory, DisplayName: fmt.Sprintf("Small %d", i), ExternalID: fmt.Sprintf("g%d", i),
				Version: 1, CreatedAt: c.Now, ModifiedAt: c.Now,
			}
			var add []store.Edge
			if i >= n/2 {
				add = []store.Edge{{Kind: store.KindGroup, Key: keys[i-n/2]}}
			}
			for j := range 3 - 3*len(add) {
				add = append(add, store.Edge{Kind: store.KindUser, Key: c.Users[(3*i+j)%len(c.Users)].After.Key})
			}
			more.Groups = append(more.Groups, store.GroupChange{Op: store.OpCreate, After: g, Add: add})
		}
		_, err = x.Apply(t.Context(), more)
		return err
	})
}
