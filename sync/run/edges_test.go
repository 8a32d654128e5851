package run_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/run"
)

// leaves takes entries out of what is read and leaves them in the directory.
func (f *fake) leaves(ids ...string) {
	f.change(func() {
		for _, e := range slices.Concat(f.users, f.groups) {
			if slices.Contains(ids, e.ExternalID) {
				f.elsewhere[e.ExternalID] = e.DN
			}
		}
	})
	f.drop(ids...)
}

func TestRule7WhoLeavesTheScopeStaysAMemberOfWhatNamesThem(t *testing.T) {
	for how, incremental := range map[string]bool{"in full runs": false, "in incremental runs": true} {
		t.Run(how, func(t *testing.T) {
			both(t, func(t *testing.T, w *world) {
				e, _ := w.engine(w.store)
				if incremental {
					w.fake.teller = &teller{cookie: 1}
				}
				pull := func(told ...string) *store.Run {
					t.Helper()
					if incremental {
						w.fake.happens(func() {}, told...)
					}
					r := w.pull(e)
					if r.Incremental != incremental {
						t.Fatalf("incremental is %v: %s", r.Incremental, r.FullBecause)
					}
					return r
				}
				w.pulled(e, group("g", "staff", "ann", "bob", "cn=ops,dc=example"), group("o", "ops", "cid"), group("l", "late"),
					user("a", "ann", manager("uid=bob,dc=example")), user("b", "bob"), user("c", "cid"))
				all, groups, before := slices.Clone(w.fake.users), slices.Clone(w.fake.groups), w.state()

				w.fake.leaves("b", "o")
				r := pull("b", "o")
				want := store.RunCounts{Users: store.Counts{OutOfScope: 1, Modified: 1, Unchanged: 1}, Groups: store.Counts{OutOfScope: 1, Unchanged: 2}}
				if diff := cmp.Diff(want, r.Counts); diff != "" {
					t.Errorf("counts (-want +got):\n%s", diff)
				}
				said := w.state()
				for name, is := range map[string]string{"group staff": "g [ann bob ops] [ann]", "group ops": "o out of scope [cid] []", "user bob@example.com": "b inactive out of scope"} {
					if got := plain(said[name]); got != is {
						t.Errorf("%s is %q, want %q", name, got, is)
					}
				}
				if r := pull("g"); r.Progress.Staged > 0 {
					t.Errorf("nothing changed, and %d rows were staged", r.Progress.Staged)
				}

				// What the directory says of the membership holds while they are away.
				w.fake.change(func() {
					w.fake.groups[0].MemberDNs = []string{"uid=ann,dc=example", "cn=ops,dc=example"}
					w.fake.groups[1].MemberDNs = []string{"uid=bob,dc=example", "uid=nobody,dc=example"}
				})
				pull("g", "l")
				if got := plain(w.state()["group staff"]) + ", " + plain(w.state()["group late"]); got != "g [ann ops] [ann], l [bob] []" {
					t.Errorf("after the groups have changed: %s", got)
				}
				w.fake.change(func() { w.fake.elsewhere["b"] = "uid=robert,dc=example" })
				pull("b")
				if got := plain(w.state()["group late"]); got != "l [] []" {
					t.Errorf("the group names nobody by this name any more, and is %q", got)
				}
				w.fake.change(func() { w.fake.groups[1].MemberDNs = []string{"uid=robert,dc=example"} })
				pull("l")
				w.fake.change(func() { delete(w.fake.elsewhere, "b") })
				pull("b")
				if got := plain(w.state()["group late"]); got != "l [] []" {
					t.Errorf("who was in it was deleted, and it is %q", got)
				}

				w.fake.change(func() { w.fake.users, w.fake.groups = all, groups })
				pull("b", "o", "g", "l")
				if diff := cmp.Diff(before, w.state()); diff != "" {
					t.Errorf("state when all are back (-before +after):\n%s", diff)
				}
			})
		})
	}
}

func TestThePlanOfAScopeThatShrinksTakesNobodyOutOfAGroup(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.settings(func(s *store.Settings) { s.Guard = store.SameGuard(store.Threshold{Count: 3, Percent: 10}) })
		e, _ := w.engine(w.store)
		list := people(12)
		var names []string
		for i := range list {
			names = append(names, fmt.Sprintf("u%03d", i))
		}
		w.fake.users = list
		w.pulled(e, group("g", "staff", names...))
		for i := range 3 {
			w.fake.leaves(fmt.Sprintf("id-%03d", i), fmt.Sprintf("id-%03d", 11-i))
		}
		r := w.rest(e.Start(t.Context(), w.org, "corp", "", false, person))
		var plan run.PlanSummary
		if err := json.Unmarshal(r.Plan, &plan); err != nil {
			t.Fatal(err)
		}
		want := store.RunCounts{Users: store.Counts{OutOfScope: 6, Unchanged: 6}, Groups: store.Counts{Unchanged: 1}}
		if diff := cmp.Diff(want, *plan.Counts); diff != "" || r.State != store.RunHeld {
			t.Errorf("the run is %s; it would (-want +got):\n%s", r.State, diff)
		}
	})
}

// plain is a group without the twice told names of its members.
func plain(text string) string {
	for _, n := range []string{"ann", "bob", "cid"} {
		text = strings.ReplaceAll(text, n+"@example.com"+n, n)
	}
	return text
}
