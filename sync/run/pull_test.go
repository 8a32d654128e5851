package run_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/run"
)

func TestAPullMakesTheStoreWhatTheDirectoryIs(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		byName := group("g-3", "posix")
		byName.MemberNames = []string{"ANN@example.com", "nobody"}
		primary := group("g-4", "domain users")
		primary.SID = "S-1-5-513"
		broken := group("g-5", "broken")
		broken.Invalid = "the group has no name: cn is empty"
		r := w.pulled(e,
			group("g-1", "staff", "cn=OPS,dc=example", "ann", "unknown"),
			group("g-2", "ops", "bob", "cn=staff,dc=example"),
			byName, primary, broken,
			user("a", "ann", manager("uid=bob,dc=example")), // read before her manager
			user("b", "bob", manager("UID=bob,dc=example"), func(e *store.Entry) { e.PrimaryGroup = "S-1-5-513" }),
			user("c", "cid", manager("uid=ann,dc=example"), disabled),
			user("d", "dan", manager("uid=nobody,dc=example"), func(e *store.Entry) { e.Invalid = "no user name" }),
			user("a", "imposter"),
		)
		want := map[string]string{
			"user ann@example.com": "a manager b",
			"user bob@example.com": "b manager b",
			"user cid@example.com": "c inactive manager a",
			"group staff":          "g-1 [ann ops] [ann bob]",
			"group ops":            "g-2 [bob staff] [ann bob]",
			"group posix":          "g-3 [ann] [ann]",
			"group domain users":   "g-4 [bob] [bob]",
		}
		trim := func(m map[string]string) map[string]string {
			for k, v := range m { // a user's display name stands beside its user name
				for _, n := range []string{"ann", "bob", "cid"} {
					v = strings.ReplaceAll(v, n+"@example.com"+n, n)
				}
				m[k] = v
			}
			return m
		}
		if diff := cmp.Diff(want, trim(w.state())); diff != "" {
			t.Errorf("state (-want +got):\n%s", diff)
		}
		counts := store.RunCounts{Users: store.Counts{Created: 3, Refused: 2}, Groups: store.Counts{Created: 4, Refused: 1}}
		if diff := cmp.Diff(counts, r.Counts); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"invalid_entry a", "invalid_entry d", "invalid_entry g-5"}, w.findings()); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
		var summary run.PlanSummary
		if err := json.Unmarshal(r.Plan, &summary); err != nil {
			t.Fatal(err)
		}
		if summary.UnreadMembers != 2 || summary.Users != 3 || summary.Groups != 4 {
			t.Errorf("summary %+v, want 3 users, 4 groups and 2 members that were not read", summary)
		}
		if r.Progress.ReadUsers != 5 || r.Progress.ReadGroups != 5 || r.Progress.Applied != r.Progress.Staged || len(r.Phases) != 4 {
			t.Errorf("progress %+v and phases %+v", r.Progress, r.Phases)
		}
	})
}

func TestAQuietRunWritesNoRecordAndNoEventOfARecord(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		list := people(12)
		list[3].ManagerDN, list[8].ManagerDN = list[9].DN, list[2].DN
		w.fake.users = list
		w.pulled(e, group("g-1", "staff", "u001", "cn=ops,dc=example"), group("g-2", "ops", "u002", "cn=staff,dc=example"))
		records := func() (out []any) {
			w.view(func(v store.Reader) error {
				users, err := v.Users(t.Context(), store.Query{Org: w.org, Limit: 100})
				if err != nil {
					return err
				}
				groups, err := v.Groups(t.Context(), store.Query{Org: w.org, Limit: 100})
				for _, u := range users.Items {
					out = append(out, u)
				}
				for _, g := range groups.Items {
					out = append(out, g)
				}
				return err
			})
			return out
		}
		before, events := records(), w.events()
		r := w.pull(e)
		counts := store.RunCounts{Users: store.Counts{Unchanged: 12}, Groups: store.Counts{Unchanged: 2}}
		if diff := cmp.Diff(counts, r.Counts); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		if r.Windows != 0 || r.Progress.Staged != 0 {
			t.Errorf("%d rows were staged in %d windows, want none", r.Progress.Staged, r.Windows)
		}
		if diff := cmp.Diff(before, records()); diff != "" {
			t.Errorf("records changed (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]int{store.EventRunStarted: 1, store.EventRunSucceeded: 1}, since(events, w.events())); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestRule6AnIncompleteReadChangesNothing(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.fake.users = people(20)
		w.pulled(e, group("g-1", "staff", "u001", "u002"))
		before := w.state()
		w.fake.change(func() {
			w.fake.user("id-000").Attributes.DisplayName = "changed"
			w.fake.cut = 11
		})
		r := w.rest(e.Start(t.Context(), w.org, "corp", "", false, person))
		if r.State != store.RunFailed || r.Error != "the connection was dropped" || r.FinishedAt.IsZero() {
			t.Errorf("the run is %s with the error %q", r.State, r.Error)
		}
		if diff := cmp.Diff(before, w.state()); diff != "" {
			t.Errorf("state changed (-before +after):\n%s", diff)
		}
		w.update(func(tx store.Tx) error { // only what is sealed can be read
			windows, _, err := tx.SealStage(t.Context(), r.Key, 5, 20)
			if err != nil || windows == 0 {
				return err
			}
			rows, err := tx.StagedWindow(t.Context(), r.Key, 0)
			t.Errorf("rows are still staged: %d windows, of which the first has %d rows", windows, len(rows))
			return err
		})
		w.fake.change(func() { w.fake.cut, w.fake.fault = 0, fmt.Errorf("no route to host") })
		r = w.rest(e.Start(t.Context(), w.org, "corp", "", false, person))
		if r.State != store.RunFailed || !strings.Contains(r.Error, "no route to host") {
			t.Errorf("the run is %s with the error %q", r.State, r.Error)
		}
		if got := w.events()[store.EventRunFailed]; got != 2 {
			t.Errorf("%d events of failed runs, want 2", got)
		}
	})
}

func TestEntriesThatCannotBeRecognisedAreNotTakenForDeletedOnes(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.pulled(e, people(3)...)
		before := w.state()
		w.fake.change(func() {
			for i := range w.fake.users {
				w.fake.users[i].ExternalID = ""
			}
		})
		r := w.rest(e.Start(t.Context(), w.org, "corp", "", false, person))
		if r.State != store.RunFailed || !strings.Contains(r.Error, "stable id") {
			t.Errorf("the run is %s with the error %q", r.State, r.Error)
		}
		if diff := cmp.Diff(before, w.state()); diff != "" {
			t.Errorf("state changed (-before +after):\n%s", diff)
		}
	})
}

func TestWhileAnEntryShowsNoStableIDNobodyIsTakenForDeleted(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.pulled(e, people(4)...)
		before := w.state()
		all := slices.Clone(w.fake.users)
		w.fake.change(func() {
			w.fake.users = slices.Clone(all[:3]) // who is last is gone
			w.fake.users[1].ExternalID = ""      // and of another one nobody can tell
		})
		r := w.rest(e.Start(t.Context(), w.org, "corp", "", true, person))
		if c := r.Counts.Users; r.State != store.RunSucceeded || c.Deleted != 0 || c.Refused != 1 || c.Unchanged != 4 {
			t.Errorf("the run is %s (%s): %+v", r.State, r.Error, c)
		}
		if diff := cmp.Diff(before, w.state()); diff != "" {
			t.Errorf("state changed (-before +after):\n%s", diff)
		}
		w.fake.change(func() { w.fake.users = slices.Clone(all[:3]) })
		if c := w.pull(e).Counts.Users; c.Deleted != 1 || c.Unchanged != 3 {
			t.Errorf("when all entries show their stable id again: %+v", c)
		}
	})
}

func TestWhatIsMissingIsGoneOrOutOfScope(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.pulled(e, group("g-1", "staff", "ann", "bob", "cid"), group("g-2", "ops", "ann"), group("g-3", "gone"),
			user("a", "ann"), user("b", "bob"), user("c", "cid"))
		all := w.fake.users
		groups := w.fake.groups
		before := w.state()
		w.fake.change(func() {
			w.fake.elsewhere = map[string]string{"b": "uid=bob,ou=elsewhere", "g-2": "cn=ops,ou=elsewhere"}
			w.fake.users, w.fake.groups = all[:1:1], groups[:1:1]
		})
		r := w.pull(e)
		want := store.RunCounts{
			Users: store.Counts{OutOfScope: 1, Deleted: 1, Unchanged: 1}, Groups: store.Counts{OutOfScope: 1, Deleted: 1, Modified: 1},
		}
		if diff := cmp.Diff(want, r.Counts); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		state := w.state()
		if got := state["user bob@example.com"]; got != "b inactive out of scope" {
			t.Errorf("bob is %q", got)
		}
		if _, ok := state["user cid@example.com"]; ok {
			t.Error("cid was not deleted")
		}
		if got := state["group ops"]; !strings.HasPrefix(got, "g-2 out of scope") || !strings.HasSuffix(got, "[]") {
			t.Errorf("ops is %q, want it to publish nobody", got)
		}
		if r = w.pull(e); r.Progress.Staged != 0 {
			t.Errorf("what is still out of scope was staged again: %d rows", r.Progress.Staged)
		}
		w.fake.change(func() { w.fake.users, w.fake.groups = all, groups })
		r = w.pull(e)
		if r.Counts.Users.Restored != 2 || r.Counts.Groups.Restored != 2 {
			t.Errorf("counts %+v, want 2 users and 2 groups restored", r.Counts)
		}
		if diff := cmp.Diff(before, w.state()); diff != "" {
			t.Errorf("state after the return (-before +after):\n%s", diff)
		}
	})
}

func TestNamesThatAreSwappedOrFreedInOneRunSucceedWhateverTheWindows(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store, func(o *run.Options) { o.WindowRecords = 1 })
		w.fake.users = people(12)
		w.pulled(e, group("g-1", "staff"), group("g-2", "filler"), group("g-3", "ops"))
		w.fake.drop("id-005")
		w.fake.change(func() {
			first, last := w.fake.user("id-000"), w.fake.user("id-011")
			first.Attributes.UserName, last.Attributes.UserName = last.Attributes.UserName, first.Attributes.UserName
			w.fake.user("id-006").Attributes.UserName = "u005@example.com" // that of the one who is gone
			w.fake.groups[0].DisplayName, w.fake.groups[2].DisplayName = "ops", "staff"
		})
		r := w.pull(e)
		want := store.RunCounts{
			Users: store.Counts{Modified: 3, Deleted: 1, Unchanged: 8}, Groups: store.Counts{Modified: 2, Unchanged: 1},
		}
		if diff := cmp.Diff(want, r.Counts); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		state := w.state()
		for name, want := range map[string]string{
			"user u000@example.com": "id-011", "user u011@example.com": "id-000", "user u005@example.com": "id-006",
		} {
			if state[name] != want {
				t.Errorf("%s is %q, want %s", name, state[name], want)
			}
		}
		if findings := w.findings(); len(findings) > 0 {
			t.Errorf("findings %v", findings)
		}
	})
}

func TestAMemberThatIsRefusedComesAliveWhenItIsLetIn(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.settings(func(s *store.Settings) { s.DomainPolicy = store.DomainsVerified })
		r := w.pulled(e, group("g-1", "staff", "ann"), user("a", "ann"))
		if r.Counts.Users.Refused != 1 || w.state()["group staff"] != "g-1 [] []" {
			t.Fatalf("counts %+v and state %v", r.Counts, w.state())
		}
		finding := []string{"unverified_domain a"}
		if diff := cmp.Diff(finding, w.findings()); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
		opened := w.events()
		if w.pull(e); !cmp.Equal(finding, w.findings()) {
			t.Errorf("findings after the second run %v, want the same", w.findings())
		}
		if diff := cmp.Diff(map[string]int{store.EventRunStarted: 1, store.EventRunSucceeded: 1}, since(opened, w.events())); diff != "" {
			t.Errorf("events of the second run (-want +got):\n%s", diff)
		}
		w.domain("example.com", store.DomainVerified)
		w.pull(e)
		if got := w.state()["group staff"]; !strings.Contains(got, "ann") || strings.Contains(got, "[]") {
			t.Errorf("staff is %q, want ann in it", got)
		}
		if findings := w.findings(); len(findings) > 0 {
			t.Errorf("findings %v, want none", findings)
		}
	})
}

func TestWhatIsLeftAsItIsStaysAFindingWhileItLasts(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.settings(func(s *store.Settings) { s.ReplicateState = false })
		w.pulled(e, user("a", "ann"), user("b", "bob"))
		before := w.state()
		w.fake.change(func() { disabled(w.fake.user("a")) })
		w.fake.drop("b")
		for range 3 {
			w.pull(e)
			if diff := cmp.Diff([]string{"state_kept a", "state_kept b"}, w.findings()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		}
		if diff := cmp.Diff(before, w.state()); diff != "" {
			t.Errorf("state changed (-before +after):\n%s", diff)
		}
		w.fake.change(func() { *w.fake.user("a").Active = true })
		w.pulled(e, user("b", "bob"))
		if findings := w.findings(); len(findings) > 0 {
			t.Errorf("findings %v, want none", findings)
		}
	})
}

func TestAManagersNameThatComesToMeanAnotherEntryIsNoticed(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		withDepartment := func(e *store.Entry) { e.Attributes.Enterprise = &store.Enterprise{Department: "d"} }
		w.pulled(e, user("a", "ann", manager("uid=boss,dc=example"), withDepartment), user("b", "boss"), user("c", "cid", manager("uid=boss,dc=example")))
		w.fake.drop("b")
		// The new boss comes before cid, but after ann, whose entry says what it said.
		w.fake.change(func() {
			w.fake.users = []store.Entry{w.fake.users[0], user("b2", "boss"), w.fake.users[1]}
		})
		r := w.pull(e)
		want := store.Counts{Created: 1, Modified: 2, Deleted: 1}
		if diff := cmp.Diff(want, r.Counts.Users); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		state := w.state()
		if state["user ann@example.com"] != "a manager b2" || state["user cid@example.com"] != "c manager b2" {
			t.Errorf("state %v, want b2 as the manager of both", state)
		}
		if r := w.pull(e); r.Progress.Staged != 0 {
			t.Errorf("%d rows were staged by the run after it", r.Progress.Staged)
		}
	})
}

func TestSelectedGroupsBoundWhatIsPulled(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.settings(func(s *store.Settings) { s.LDAP.ScopeGroups = []string{"Staff"} })
		w.pulled(e, group("g-1", "staff", "ann", "cn=ops,dc=example"), group("g-2", "ops", "bob"), group("g-3", "sales", "cid"),
			user("a", "ann"), user("b", "bob"), user("c", "cid"))
		state := w.state()
		for _, name := range []string{"user ann@example.com", "user bob@example.com", "group staff", "group ops"} {
			if _, ok := state[name]; !ok {
				t.Errorf("%s is missing", name)
			}
		}
		if len(state) != 4 {
			t.Errorf("state %v, want 2 users and 2 groups", state)
		}
		// ops leaves staff: it and bob are still there, but out of scope.
		w.fake.change(func() { w.fake.groups[0].MemberDNs = w.fake.groups[0].MemberDNs[:1] })
		if r := w.pull(e); r.Counts.Users.OutOfScope != 1 || r.Counts.Groups.OutOfScope != 1 {
			t.Errorf("counts %+v, want a user and a group out of scope", r.Counts)
		}
		// It is kept by its stable id, whatever it and others are called then.
		w.fake.change(func() { w.fake.groups[0].DisplayName, w.fake.groups[2].DisplayName = "personnel", "staff" })
		if r := w.pull(e); r.Counts.Users.OutOfScope != 0 || w.state()["user ann@example.com"] != "a" {
			t.Errorf("counts %+v after it was renamed, and %v", r.Counts, w.state())
		}
		w.fake.drop("g-1", "g-3")
		if r := w.rest(e.Start(t.Context(), w.org, "corp", "", false, person)); r.State != store.RunFailed || !strings.Contains(r.Error, `"Staff"`) {
			t.Errorf("the run is %s with %q, want a failure that names the group", r.State, r.Error)
		}
	})
}

func TestSettingsChangedWhileARunGoesApplyToTheNext(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.fake.users = people(8)
		var once bool
		w.fake.reading = func(_ context.Context, n int) {
			if n == 4 && !once {
				once = true
				w.settings(func(s *store.Settings) { s.LDAP.PageSize = 77 })
			}
		}
		first := w.pull(e)
		second := w.pull(e)
		if second.Revision != first.Revision+1 {
			t.Errorf("the runs read with revisions %d and %d, want them to differ by one", first.Revision, second.Revision)
		}
		// What was judged by the former settings is judged again, and is the same.
		if second.Progress.Staged != 8 || second.Counts.Users != (store.Counts{Unchanged: 8}) {
			t.Errorf("the second run staged %d and counts %+v", second.Progress.Staged, second.Counts.Users)
		}
		if third := w.pull(e); third.Progress.Staged != 0 {
			t.Errorf("the third run staged %d rows", third.Progress.Staged)
		}
	})
}

func TestHowFarARunIsCanBeSeenWhileItReads(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.fake.users = people(8)
		started := make(chan store.ID, 1)
		var seen store.Run
		w.fake.reading = func(_ context.Context, n int) {
			if n != 5 {
				return
			}
			id := <-started
			w.await("its progress is seen", func() bool {
				seen = *w.run(id)
				return seen.Progress.ReadUsers > 0
			})
		}
		r, err := e.Start(t.Context(), w.org, "corp", "", false, person)
		if err != nil {
			t.Fatal(err)
		}
		started <- r.ID
		done := w.rest(r, nil)
		if seen.Phase != store.PhaseRead || seen.Progress.ReadUsers != 5 || done.State != store.RunSucceeded {
			t.Errorf("while it read the run was %s with %+v, and ended %s", seen.Phase, seen.Progress, done.State)
		}
		var phases []store.RunPhase
		for i, p := range done.Phases {
			phases = append(phases, p.Phase)
			if i > 0 && p.Start.Before(done.Phases[i-1].Start) || p.Seconds < 0 {
				t.Errorf("the phases are %+v", done.Phases)
			}
		}
		want := []store.RunPhase{store.PhaseQueued, store.PhaseRead, store.PhaseApply, store.PhasePublish}
		if diff := cmp.Diff(want, phases); diff != "" {
			t.Errorf("phases (-want +got):\n%s", diff)
		}
	})
}
