package run_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// A run of named users deletes who is gone, but not when nearly everybody is: then the
// account has lost its rights, and who is named would be too few for the guard.
func TestARunOfNamedUsersDeletesNobodyWhenTheOthersAreNotFoundEither(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.settings(func(s *store.Settings) { s.Guard = store.SameGuard(store.DefaultThreshold) })
		w.pulled(e, people(40)...)
		all := w.fake.users
		named := func(ids ...string) *store.Run {
			return w.rest(e.StartSelected(t.Context(), w.org, "corp", store.Selection{Users: ids}, person))
		}
		before := w.state()
		for _, left := range []int{0, 10} {
			w.fake.change(func() { w.fake.users = all[:left] })
			r := named("id-039")
			if r.State != store.RunFailed || !strings.Contains(r.Error, "of 40 stored users were not found, not only those that are named") {
				t.Errorf("with %d of 40 users the run is %s: %s", left, r.State, r.Error)
			}
			if after := w.state(); len(after) != len(before) {
				t.Errorf("with %d of 40 users the run left %d records of %d", left, len(after), len(before))
			}
		}
		w.fake.change(func() { w.fake.users = all[:38] })
		if r := named("id-039"); r.State != store.RunSucceeded || r.Counts.Users.Deleted != 1 {
			t.Errorf("the run of who is gone is %s, and deleted %d: %s", r.State, r.Counts.Users.Deleted, r.Error)
		}
	})
}

// Whoever is out of the scope is not read by a run of everything, and says nothing of the
// rights of the account.
func TestARunOfNamedUsersDeletesWhoIsGoneBesideManyOutOfScope(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.settings(func(s *store.Settings) { s.Guard = store.SameGuard(store.DefaultThreshold) })
		all := people(40)
		w.pulled(e, all...)
		w.fake.elsewhere = map[string]string{}
		for _, left := range []int{28, 16} {
			w.fake.change(func() {
				for _, u := range all[left:] {
					w.fake.elsewhere[u.ExternalID] = u.DN
				}
				w.fake.users = all[:left]
			})
			if r := w.pull(e); r.State != store.RunSucceeded || r.Counts.Users.OutOfScope != 12 {
				t.Fatalf("with %d of 40 users in scope the run is %s, and put %d out of scope: %s", left, r.State, r.Counts.Users.OutOfScope, r.Error)
			}
		}
		w.fake.change(func() { w.fake.users = all[:15] })
		r := w.rest(e.StartSelected(t.Context(), w.org, "corp", store.Selection{Users: []string{"id-015"}}, person))
		if r.State != store.RunSucceeded || r.Counts.Users.Deleted != 1 {
			t.Errorf("the run of who is gone is %s, and deleted %d: %s", r.State, r.Counts.Users.Deleted, r.Error)
		}
	})
}

// A run of a group takes no members from it because the account does not see people any more.
func TestARunOfANamedGroupTakesNoMembersWhenNobodyIsFound(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.settings(func(s *store.Settings) { s.Guard = store.SameGuard(store.DefaultThreshold) })
		all := people(30)
		w.pulled(e, append(all, group("g-1", "staff", "u001", "u002", "u003"))...)
		before := w.state()
		for _, left := range []int{0, 6} {
			w.fake.change(func() { w.fake.users = slices.Clone(all[30-left:]) })
			r := w.rest(e.StartSelected(t.Context(), w.org, "corp", store.Selection{Groups: []string{"staff"}}, person))
			if r.State != store.RunFailed || !strings.Contains(r.Error, "of 30 stored users were not found") {
				t.Errorf("with %d of 30 users the run is %s: %s", left, r.State, r.Error)
			}
			if diff := cmp.Diff(before, w.state()); diff != "" {
				t.Errorf("with %d of 30 users (-want +got):\n%s", left, diff)
			}
		}
		// One who is gone is no reason to doubt the others.
		w.fake.change(func() {
			w.fake.users = slices.DeleteFunc(slices.Clone(all), func(u store.Entry) bool { return u.ExternalID == "id-002" })
		})
		r := w.rest(e.StartSelected(t.Context(), w.org, "corp", store.Selection{Groups: []string{"staff"}}, person))
		if r.State != store.RunSucceeded || r.Counts.Groups.Modified != 1 {
			t.Errorf("with one user gone the run is %s, and modified %d groups: %s", r.State, r.Counts.Groups.Modified, r.Error)
		}
	})
}
