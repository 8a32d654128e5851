package gormstore

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/provost-scim/provost/store"
)

// crowd fills an organization with users, all in one group beneath another, in tables
// that nobody analyses.
func crowd(t *testing.T, s *Store, n int) (c *store.ChangeSet) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	inTx(t, s, func(x *tx) error {
		if x.e.postgres {
			for _, table := range []string{"users", "user_value", "groups", "member", "effective", "identity_key"} {
				if _, err := x.exec(t.Context(), "ALTER TABLE "+table+" SET (autovacuum_enabled = false)"); err != nil {
					return err
				}
			}
		}
		o, err := x.Organization(t.Context(), store.DefaultOrganization)
		if err != nil {
			return err
		}
		d := &store.Directory{ID: store.NewID(now), Org: o.Key, Name: "d", Kind: store.DirectorySCIM, CreatedAt: now, UpdatedAt: now}
		if err := x.CreateDirectory(t.Context(), d); err != nil {
			return err
		}
		c = &store.ChangeSet{Org: o.Key, Directory: d.Key, Now: now, Cap: 2 * n}
		users, err := x.Keys(t.Context(), store.KindUser, n)
		if err != nil {
			return err
		}
		groups, err := x.Keys(t.Context(), store.KindGroup, 2)
		if err != nil {
			return err
		}
		var low []store.Edge
		for i, k := range users {
			u := store.User{
				Key: k, ID: store.NewID(now), Org: o.Key, Directory: d.Key, ExternalID: fmt.Sprintf("e%d", i),
				Attributes: store.Attributes{UserName: fmt.Sprintf("u%d", i), Emails: []store.Value{{Value: fmt.Sprintf("u%d@corp.test", i)}}},
				Stated:     true, Enabled: true, Version: 1, CreatedAt: now, ModifiedAt: now,
			}
			c.Users = append(c.Users, store.UserChange{Op: store.OpCreate, After: u, Claim: u.Attributes.IdentityKeys()})
			low = append(low, store.Edge{Kind: store.KindUser, Key: k})
		}
		for i, add := range [][]store.Edge{low, {{Kind: store.KindGroup, Key: groups[0]}}} {
			g := store.Group{Key: groups[i], ID: store.NewID(now), Org: o.Key, Directory: d.Key, DisplayName: fmt.Sprintf("g%d", i), Version: 1, CreatedAt: now, ModifiedAt: now}
			c.Groups = append(c.Groups, store.GroupChange{Op: store.OpCreate, After: g, Add: add})
		}
		_, err = x.Apply(t.Context(), c)
		return err
	})
	return c
}

// wholeTable is how each engine says that it reads all of a table that may be large.
var wholeTable = regexp.MustCompile(`(?m)(Seq Scan on|SCAN) (users|user_value|member|effective|identity_key|u|v|m|e|ef|i|r)\b.*$`)

func explain(t *testing.T, x *tx, query string, args ...any) string {
	t.Helper()
	prefix := "EXPLAIN QUERY PLAN "
	if x.e.postgres {
		prefix = "EXPLAIN "
	}
	var plan []string
	err := x.each(t.Context(), func(row scanner) error {
		var line, a, b, c string
		var err error
		if x.e.postgres {
			err = row.Scan(&line)
		} else {
			err = row.Scan(&a, &b, &c, &line)
		}
		plan = append(plan, line)
		return err
	}, prefix+query, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	return strings.Join(plan, "\n")
}

func TestHotQueriesUseIndexesOnTablesThatWereNeverAnalysed(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *Store) {
		s.e.statistics = nil
		c := crowd(t, s, 5000)
		user, group := c.Users[17].After, c.Groups[0].After
		inTx(t, s, func(x *tx) error {
			check := func(name, index, query string, args ...any) {
				t.Helper()
				plan := explain(t, x, query, args...)
				if bad := wholeTable.FindString(plan); bad != "" {
					t.Errorf("%s reads a whole table: %s\n%s", name, bad, plan)
				}
				primary := !x.e.postgres && !strings.Contains(index, "_") && strings.Contains(plan, "PRIMARY KEY") || index == "identity_key" && strings.Contains(plan, "PRIMARY KEY")
				if !primary && !strings.Contains(plan, index) {
					t.Errorf("%s does not use %s:\n%s", name, index, plan)
				}
			}
			for _, tt := range []struct {
				field, value, index string
				directory           *store.Key
			}{
				{"userName", "U17", "users_name", nil}, {"userName", "U17", "users_name", &c.Directory},
				{"emails.value", "U17@corp.test", "user_value_fold", &c.Directory}, {"externalId", "e17", "users_external", &c.Directory},
			} {
				q := store.Query{Org: c.Org, Directory: tt.directory, Limit: 100, Filter: store.Compare{Field: store.Field(tt.field), Op: store.Eq, Value: tt.value}}
				l, err := newLister(compiler{s: x.session, of: userRecords, org: c.Org}, q)
				if err != nil {
					return err
				}
				query, args, err := l.list(userColumns, -1)
				if err != nil {
					t.Fatal(err)
				}
				check(tt.field+" eq", tt.index, query, args...)
			}
			scope := store.Scope{
				Org: c.Org, Directory: c.Directory, Departed: true, Users: []store.RecordKey{{ID: user.ID}},
				UserNames: []string{"u17"}, UserKeys: []string{"u17", "u17@corp.test"}, External: []string{"e17"},
				Groups: []store.GroupScope{{Record: store.RecordKey{ID: group.ID}, Refs: []store.MemberRef{{ID: user.ID}}}},
			}
			l := newLoader(x, scope)
			check("the users of a push", "users_name", l.lockUsers()[0].query, l.lockUsers()[0].args...)
			own := l.owners(store.KindUser, scope.UserKeys, l.snap.Owners)
			check("the owners of names", "identity_key", own.query, own.args...)
			refs := []store.MemberRef{{ID: user.ID}, {ExternalID: "e17"}}
			for _, a := range append(l.resolve(c.Org, c.Directory, true, refs, l.snap.Members, nil), l.resolveGroups(c.Org, c.Directory, true, refs, nil, nil)...) {
				check("resolving", "", a.query, a.args...)
			}
			if err := l.probe(t.Context()); err != nil {
				return err
			}
			for _, a := range l.edges() {
				check("the edges of a push", "member", a.query, a.args...)
			}
			f, args := x.pairs([]int64{int64(group.Key)}, []int64{int64(user.Key)})
			check("removing effective members", "effective", "DELETE FROM effective WHERE (group_id, user_id) IN (SELECT a, b FROM "+f+" AS k)", args...)
			check("removing members", "member", replacePairs("DELETE FROM member WHERE org_id = ? AND (group_id, user_id) IN (SELECT a, b FROM {pairs} AS k)", f), append([]any{c.Org}, args...)...)
			up, upArgs := x.supportsQuery(c.Org, []pair{{group.Key, user.Key}}, nil)
			check("the support of a user", "effective", up+supportOf, append(upArgs, c.Org)...)
			f, arg := x.keys([]store.Key{user.Key})
			check("the memberships of a user", "effective_user", "SELECT e.group_id FROM effective e WHERE e.user_id IN (SELECT v FROM "+f+" AS k) AND e.published", arg)
			return nil
		})
	})
}

func TestTheLogIsFilteredByIndexes(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *Store) {
		s.e.statistics = nil
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		inTx(t, s, func(x *tx) error {
			o, err := x.Organization(t.Context(), store.DefaultOrganization)
			if err != nil {
				return err
			}
			events := make([]store.Event, 20_000)
			for i := range events {
				who := fmt.Sprint("token", i%5000)
				events[i] = store.Event{
					Org: o.Key, Type: store.EventTypes[i%len(store.EventTypes)], Kind: "User", Resource: store.NewID(now), Time: now.Add(time.Duration(i) * time.Second),
					Cause: store.Cause{Actor: store.Actor{Kind: "token", ID: who, Name: who}},
				}
			}
			if err := x.Append(t.Context(), events); err != nil {
				return err
			}
			if _, err := x.LastEvent(t.Context(), o.Key); err != nil {
				return err
			}
			if x.e.postgres { // which analyses by itself; SQLite knows what it is told by the schema
				if _, err := x.exec(t.Context(), "ANALYZE event"); err != nil {
					return err
				}
			}
			for name, tt := range map[string]struct {
				q     store.EventQuery
				index string
			}{
				"a type":     {store.EventQuery{Types: []string{store.EventUserPurged}}, "event_type"},
				"many types": {store.EventQuery{Types: []string{"user.*", "run.held"}}, "event_type"},
				"an actor":   {store.EventQuery{Actor: "token17"}, "event_actor"},
				"a resource": {store.EventQuery{Resource: events[17].Resource}, "event_resource"},
				"the next":   {store.EventQuery{After: 19_990}, "event_seq"},
			} {
				tt.q.Org = o.Key
				tt.q.Limit = 100
				query, args := listEvents(tt.q)
				plan := explain(t, x, query, args...)
				if !strings.Contains(plan, tt.index) || regexp.MustCompile(`Seq Scan on event|SCAN event`).MatchString(plan) {
					t.Errorf("%s does not use %s:\n%s", name, tt.index, plan)
				}
			}
			return nil
		})
	})
}

// TestThePlanOfAPushIsMadeOnceAndForLargeTables loads and writes what a push does on
// tables so small that the planner would read them whole, and keep to it as they grow.
func TestThePlanOfAPushIsMadeOnceAndForLargeTables(t *testing.T) {
	onPostgres(t, func(t *testing.T, s *Store) {
		s.e.write.SetMaxOpenConns(1) // which keeps the plans
		c := crowd(t, s, 5)
		user := c.Users[3].After
		inTx(t, s, func(x *tx) error {
			_, err := x.exec(t.Context(), "ANALYZE")
			return err
		})
		inTx(t, s, func(x *tx) error {
			read := func() (n int64) {
				n, err := find(t.Context(), x.session, value[int64],
					"SELECT sum(seq_scan) FROM pg_stat_xact_user_tables WHERE relname IN ('users', 'user_value', 'identity_key')")
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			before := read()
			_, err := x.Load(t.Context(), store.Scope{
				Org: c.Org, Directory: c.Directory, Departed: true, Users: []store.RecordKey{{ID: user.ID}},
				UserNames: []string{"u3", "new"}, UserKeys: []string{"u3", "u3@corp.test", "new"}, External: []string{"e3"},
			})
			if n := read() - before; n != 0 {
				t.Errorf("a load of two users reads %d whole tables", n)
			}
			return err
		})
		inTx(t, s, func(x *tx) error {
			planned, err := collect(t.Context(), x.session, value[string],
				"SELECT statement FROM pg_prepared_statements WHERE custom_plans > 0 AND (statement LIKE 'WITH want(id)%' OR statement LIKE 'SELECT i.folded%')")
			if len(planned) > 0 {
				t.Errorf("statements are planned each time:\n%s", strings.Join(planned, "\n"))
			}
			return err
		})
	})
}
