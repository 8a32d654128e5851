package reconcile_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
	"github.com/provost-scim/provost/sync/reconcile"
)

// world is an organization with three directories on a real SQLite store, whose
// reconciler caps groups at 4.
type world struct {
	store      store.Store
	reconciler *reconcile.Reconciler
	org        store.Key
	ldap       store.Key // pulled
	scim       store.Key // pushed
	other      store.Key // pushed
	name       string    // of the organization; its one verified domain is name.test
	made       int       // organizations so far
}

const worldCap = 4

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := context.Background()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "provost.db")
	if err := gormstore.Migrate(ctx, dsn); err != nil {
		t.Fatal(err)
	}
	s, err := gormstore.Open(ctx, dsn, gormstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{store: s, reconciler: reconcile.New(s, reconcile.Options{Cap: worldCap})}
}

// organize makes a fresh organization, so that one store serves many checks.
func (w *world) organize() error {
	ctx := context.Background()
	w.made++
	w.name = fmt.Sprintf("org%d", w.made)
	return w.store.Update(ctx, func(tx store.Tx) error {
		now := time.Now()
		o := &store.Organization{ID: store.NewID(now), Name: w.name, CreatedAt: now}
		if err := tx.CreateOrganization(ctx, o); err != nil {
			return err
		}
		w.org = o.Key
		for _, d := range []struct {
			name string
			kind store.DirectoryKind
			key  *store.Key
		}{{"ldap", store.DirectoryLDAP, &w.ldap}, {"scim", store.DirectorySCIM, &w.scim}, {"other", store.DirectorySCIM, &w.other}} {
			dir := &store.Directory{
				ID: store.NewID(now), Org: o.Key, Name: d.name, Kind: d.kind, Settings: store.DefaultSettings(d.kind), CreatedAt: now, UpdatedAt: now,
			}
			if err := tx.CreateDirectory(ctx, dir); err != nil {
				return err
			}
			*d.key = dir.Key
		}
		return tx.SaveDomain(ctx, &store.Domain{
			ID: store.NewID(now), Org: o.Key, Name: w.domain(), State: store.DomainVerified, Challenge: "x", CreatedAt: now, VerifiedAt: now,
		})
	})
}

// view is everything of the organization that the properties speak of.
type view struct {
	Users   map[store.Key][]store.User // by directory
	Groups  map[store.Key][]store.Group
	Members map[store.ID][]store.Member // published effective members
	Stated  map[store.ID][]store.Member
	Events  int
}

func (w *world) look(t *rapid.T) view {
	ctx := context.Background()
	v := view{map[store.Key][]store.User{}, map[store.Key][]store.Group{}, map[store.ID][]store.Member{}, map[store.ID][]store.Member{}, 0}
	err := w.store.View(ctx, func(r store.Reader) error {
		users, err := r.Users(ctx, store.Query{Org: w.org, Limit: 1000})
		if err != nil {
			return err
		}
		for _, u := range users.Items {
			v.Users[u.Directory] = append(v.Users[u.Directory], u)
		}
		groups, err := r.Groups(ctx, store.Query{Org: w.org, Limit: 1000})
		if err != nil {
			return err
		}
		for _, g := range groups.Items {
			v.Groups[g.Directory] = append(v.Groups[g.Directory], g)
			for effective, into := range map[bool]map[store.ID][]store.Member{true: v.Members, false: v.Stated} {
				page, err := r.Members(ctx, store.MemberQuery{Org: w.org, Group: g.Key, Effective: effective})
				if err != nil {
					return err
				}
				into[g.ID] = page.Items
			}
		}
		events, err := r.Events(ctx, store.EventQuery{Org: w.org, Limit: 100_000})
		v.Events = len(events)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// statement draws what one of the directories could state: names from so small a
// pool that they collide all the time.
func (w *world) statement(t *rapid.T, have view) store.Statement {
	pull := rapid.Bool().Draw(t, "pull")
	s := store.Statement{Org: w.org, Directory: w.ldap, Origin: store.OriginPull, Cause: store.Cause{Actor: store.Actor{Kind: "directory"}}}
	if !pull {
		s.Directory, s.Origin = rapid.SampledFrom([]store.Key{w.scim, w.other}).Draw(t, "directory"), store.OriginPush
	}
	userName := rapid.Custom(func(t *rapid.T) string {
		domain := rapid.SampledFrom([]string{w.domain(), w.domain(), w.domain(), "evil.test"}).Draw(t, "domain")
		return fmt.Sprintf("u%d@%s", rapid.IntRange(0, 8).Draw(t, "name"), domain)
	})
	external := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("e%d", rapid.IntRange(0, 9).Draw(t, "stable id")) })
	if !pull {
		w.push(t, have, &s, userName)
		return s
	}
	if rapid.Bool().Draw(t, "users") {
		for _, ext := range rapid.SliceOfNDistinct(external, 1, 5, rapid.ID).Draw(t, "window") {
			s.Users = append(s.Users, store.UserStatement{
				Record: store.RecordKey{ExternalID: ext}, ExternalID: ext, Attributes: store.Attributes{UserName: userName.Draw(t, "userName")},
				Presence: rapid.SampledFrom([]store.Presence{store.Present, store.Present, store.Present, store.Gone, store.Left}).Draw(t, "presence"),
				Hash:     []byte(ext),
			})
		}
		return s
	}
	for _, ext := range rapid.SliceOfNDistinct(external, 1, 3, rapid.ID).Draw(t, "window") {
		ext := "g" + ext
		name := fmt.Sprintf("group %d", rapid.IntRange(0, 6).Draw(t, "displayName"))
		g := store.GroupStatement{
			Record: store.RecordKey{ExternalID: ext}, ExternalID: &ext, DisplayName: &name, Hash: []byte(ext),
			Presence: rapid.SampledFrom([]store.Presence{store.Present, store.Present, store.Present, store.Gone, store.Left}).Draw(t, "presence"),
			Members:  store.MemberStatement{Mode: store.MembersReplace},
		}
		for _, m := range rapid.SliceOfNDistinct(external, 0, 8, rapid.ID).Draw(t, "members") {
			g.Members.Add = append(g.Members.Add, store.MemberRef{ExternalID: m})
		}
		for _, m := range rapid.SliceOfNDistinct(external, 0, 2, rapid.ID).Draw(t, "nested") {
			g.Members.Add = append(g.Members.Add, store.MemberRef{ExternalID: "g" + m})
		}
		s.Groups = append(s.Groups, g)
	}
	return s
}

func (w *world) domain() string { return w.name + ".test" }

// push draws one request of a SCIM client, which may name records that are not its own.
func (w *world) push(t *rapid.T, have view, s *store.Statement, userName *rapid.Generator[string]) {
	var users, groups []store.ID
	for _, list := range have.Users {
		for _, u := range list {
			users = append(users, u.ID)
		}
	}
	for _, list := range have.Groups {
		for _, g := range list {
			groups = append(groups, g.ID)
		}
	}
	presence := rapid.SampledFrom([]store.Presence{store.Present, store.Present, store.Present, store.Gone}).Draw(t, "presence")
	if rapid.Bool().Draw(t, "user") {
		u := store.UserStatement{Attributes: store.Attributes{UserName: userName.Draw(t, "userName")}}
		if len(users) > 0 && rapid.Bool().Draw(t, "existing") {
			u.Record.ID, u.Presence = rapid.SampledFrom(users).Draw(t, "id"), presence
		}
		s.Users = []store.UserStatement{u}
		return
	}
	name := fmt.Sprintf("group %d", rapid.IntRange(0, 6).Draw(t, "displayName"))
	g := store.GroupStatement{DisplayName: &name}
	if len(groups) > 0 && rapid.Bool().Draw(t, "existing") {
		g.DisplayName = nil
		g.Record.ID, g.Presence = rapid.SampledFrom(groups).Draw(t, "id"), presence
	}
	if members := append(users, groups...); len(members) > 0 && g.Presence == store.Present {
		draw := func(label string) (refs []store.MemberRef) {
			for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom(members), 0, min(5, len(members)), rapid.ID).Draw(t, label) {
				refs = append(refs, store.MemberRef{ID: id})
			}
			return refs
		}
		g.Members.Add = draw("add")
		seen := map[store.MemberRef]bool{}
		for _, r := range g.Members.Add {
			seen[r] = true
		}
		for _, r := range draw("remove") {
			if !seen[r] {
				g.Members.Remove = append(g.Members.Remove, r)
			}
		}
	}
	s.Groups = []store.GroupStatement{g}
}

// make it so, and publish what a pull left stale. A push may be refused.
func (w *world) reconcile(t *rapid.T, s store.Statement) {
	ctx := context.Background()
	_, err := w.reconciler.Reconcile(ctx, s)
	if err != nil && (s.Origin == store.OriginPull || store.CodeOf(err) == store.CodeInternal) {
		t.Fatalf("%s failed: %v", s.Origin, err)
	}
	for more := true; more; {
		err := w.store.Update(ctx, func(tx store.Tx) (err error) {
			_, more, err = w.reconciler.PublishTx(ctx, tx, store.Publication{Org: w.org, Rows: 3}, 0)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoSequenceOfStatementsBreaksTheRules(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(t *rapid.T) {
		if err := w.organize(); err != nil {
			t.Fatal(err)
		}
		before := w.look(t)
		for range rapid.IntRange(1, 15).Draw(t, "statements") {
			s := w.statement(t, before)
			w.reconcile(t, s)
			after := w.look(t)
			w.holds(t, s, before, after)

			w.reconcile(t, s)
			if diff := cmp.Diff(after, w.look(t)); diff != "" {
				t.Fatalf("the same statement again changed something (-first +again):\n%s", diff)
			}
			before = after
		}
	})
}

// holds checks the properties of one step.
func (w *world) holds(t *rapid.T, s store.Statement, before, after view) {
	for _, d := range []store.Key{0, w.ldap, w.scim, w.other} {
		if d == s.Directory {
			continue
		}
		if diff := cmp.Diff(before.Users[d], after.Users[d]); diff != "" {
			t.Fatalf("rule 1: directory %d changed users of directory %d:\n%s", s.Directory, d, diff)
		}
		if diff := cmp.Diff(before.Groups[d], after.Groups[d]); diff != "" {
			t.Fatalf("rule 1: directory %d changed groups of directory %d:\n%s", s.Directory, d, diff)
		}
	}
	outside := map[store.ID]bool{}
	names := map[string]bool{}
	for _, users := range after.Users {
		for _, u := range users {
			if store.DomainOf(u.Attributes.UserName) != w.domain() {
				t.Fatalf("rule 3: %s was let in", u.Attributes.UserName)
			}
			if names[u.Attributes.UserName] {
				t.Fatalf("rule 2: two users are called %s", u.Attributes.UserName)
			}
			names[u.Attributes.UserName] = true
			outside[u.ID] = u.OutOfScope
		}
	}
	for _, groups := range after.Groups {
		for _, g := range groups {
			outside[g.ID] = g.OutOfScope
		}
	}
	for _, groups := range after.Groups {
		for _, g := range groups {
			w.flattened(t, g, after, outside)
		}
	}
}

// flattened holds one group's published members to a breadth-first walk over what
// the directories state (rules 4 and 5).
func (w *world) flattened(t *rapid.T, g store.Group, v view, outside map[store.ID]bool) {
	want := map[store.ID]bool{}
	seen := map[store.ID]bool{g.ID: true}
	for queue := []store.ID{g.ID}; len(queue) > 0; queue = queue[1:] {
		if outside[queue[0]] {
			continue
		}
		for _, m := range v.Stated[queue[0]] {
			switch {
			case m.Kind == store.KindUser && !outside[m.ID]:
				want[m.ID] = true
			case m.Kind == store.KindGroup && !seen[m.ID]:
				seen[m.ID] = true
				queue = append(queue, m.ID)
			}
		}
	}
	published := v.Members[g.ID]
	if len(published) > worldCap {
		t.Fatalf("rule 5: %s publishes %d users", g.DisplayName, len(published))
	}
	for _, m := range published {
		if !want[m.ID] {
			t.Fatalf("rule 4: %s publishes %s, who is not in it", g.DisplayName, m.UserName)
		}
	}
	if g.EffectiveCount != len(want) || g.OverCap != (len(want) > worldCap) {
		t.Fatalf("rule 5: %s says %d (over %v), the walk finds %d", g.DisplayName, g.EffectiveCount, g.OverCap, len(want))
	}
	if len(want) <= worldCap && len(published) != len(want) {
		t.Fatalf("rule 4: %s fits, and publishes %d of %d users", g.DisplayName, len(published), len(want))
	}
}
