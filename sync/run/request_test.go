package run_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/run"
)

func TestAPlanChangesNothingAndTellsWhatRunningItDoes(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.cap = 100
		w.domain("example.com", store.DomainVerified)
		w.settings(func(s *store.Settings) { s.DomainPolicy = store.DomainsVerified })
		w.fake.users = people(10)
		w.pulled(e, group("g-1", "staff", "u001", "u002"))
		before, events := w.state(), w.events()

		w.fake.drop("id-009")
		stranger := user("x", "stranger")
		stranger.Attributes.UserName = "stranger@example.org"
		invalid := user("y", "invalid")
		invalid.Invalid = "no user name"
		w.fake.change(func() {
			disabled(w.fake.user("id-001"))
			w.fake.user("id-002").Attributes.Title = "boss"
			w.fake.users = append(w.fake.users, stranger, invalid, user("z", "zoe"))
			w.fake.groups[0].Description = "everyone"
		})
		plan := w.rest(e.Plan(t.Context(), w.org, "corp", person))
		if plan.State != store.RunPlanned || plan.Phase != store.PhaseReady {
			t.Fatalf("the plan is %s, %s: %s", plan.State, plan.Phase, plan.Error)
		}
		if diff := cmp.Diff(before, w.state()); diff != "" {
			t.Errorf("the plan changed the state (-before +after):\n%s", diff)
		}
		if added := since(events, w.events()); len(added) > 0 {
			t.Errorf("the plan wrote the events %v", added)
		}
		if findings := w.findings(); len(findings) > 0 {
			t.Errorf("the plan opened the findings %v", findings)
		}
		var summary run.PlanSummary
		if err := json.Unmarshal(plan.Plan, &summary); err != nil {
			t.Fatal(err)
		}
		want := store.RunCounts{
			Users:  store.Counts{Created: 1, Modified: 1, Deactivated: 1, Deleted: 1, Refused: 2, Unchanged: 7},
			Groups: store.Counts{Modified: 1},
		}
		if diff := cmp.Diff(&want, summary.Counts); diff != "" {
			t.Errorf("planned counts (-want +got):\n%s", diff)
		}
		domains := []run.PlanDomain{{Name: "example.com", Users: 10, State: store.DomainVerified}, {Name: "example.org", Users: 1}}
		if diff := cmp.Diff(domains, summary.Domains); diff != "" {
			t.Errorf("domains (-want +got):\n%s", diff)
		}
		outcomes := map[string]store.Outcome{}
		for number := range plan.Windows {
			items, err := e.PlanItems(t.Context(), w.org, plan.ID, number)
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range items {
				outcomes[item.ExternalID+" "+item.Name] = item.Outcome
				if (item.Outcome == store.Refused) != (item.Reason != "") {
					t.Errorf("%s is %s because of %q", item.Name, item.Outcome, item.Reason)
				}
			}
		}
		wantItems := map[string]store.Outcome{
			"id-001 u001@example.com": store.Deactivated, "id-002 u002@example.com": store.Modified, "id-009 u009@example.com": store.Deleted,
			"x stranger@example.org": store.Refused, "y invalid@example.com": store.Refused, "z zoe@example.com": store.Created, "g-1 staff": store.Modified,
		}
		if diff := cmp.Diff(wantItems, outcomes); diff != "" {
			t.Errorf("items (-want +got):\n%s", diff)
		}

		ran := w.rest(e.Start(t.Context(), w.org, "corp", plan.ID, false, person))
		if ran.State != store.RunSucceeded || ran.ID != plan.ID || ran.ApprovedBy != "ada" {
			t.Fatalf("the run is %s, approved by %q: %s", ran.State, ran.ApprovedBy, ran.Error)
		}
		if diff := cmp.Diff(want, ran.Counts); diff != "" {
			t.Errorf("counts of the run (-planned +got):\n%s", diff)
		}
		if _, err := e.Start(t.Context(), w.org, "corp", plan.ID, false, person); store.CodeOf(err) != store.CodeConflict {
			t.Errorf("running the plan twice gave %v, want a conflict", err)
		}
	})
}

func TestAPlanGoesStale(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.settings(func(s *store.Settings) { s.DomainPolicy = store.DomainsVerified })
		w.fake.users = people(3)
		for name, change := range map[string]func(){
			"settings changed":      func() { w.settings(func(s *store.Settings) { s.EnableNewUsers = !s.EnableNewUsers }) },
			"a domain was verified": func() { w.domain("example.com", store.DomainVerified) },
			"a later run was made":  func() { w.pull(e) },
			"a later plan was made": func() { w.rest(e.Plan(t.Context(), w.org, "corp", person)) },
		} {
			plan := w.rest(e.Plan(t.Context(), w.org, "corp", person))
			change()
			_, err := e.Start(t.Context(), w.org, "corp", plan.ID, false, person)
			if store.CodeOf(err) != store.CodeStale || !strings.Contains(err.Error(), "plan is stale: plan again") {
				t.Errorf("%s: running the plan gave %v, want that it is stale", name, err)
			}
		}
	})
}

func TestRule6TheGuardHoldsARunUntilAPersonDecides(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.fake.users = people(10)
		w.pulled(e, group("g-1", "staff", "u001", "u002"))
		w.settings(func(s *store.Settings) { s.Guard = store.SameGuard(store.Threshold{Count: 2, Percent: 10}) })
		before, events := w.state(), w.events()
		w.fake.drop("id-001", "id-002", "id-003")
		hold := func() *store.Run {
			t.Helper()
			r := w.rest(e.Start(t.Context(), w.org, "corp", "", false, person))
			if r.State != store.RunHeld || r.Phase != store.PhaseReady || r.StageHash == "" {
				t.Fatalf("the run is %s, %s, want it held: %s", r.State, r.Phase, r.Error)
			}
			return r
		}
		first := hold()
		if diff := cmp.Diff(before, w.state()); diff != "" {
			t.Errorf("the held run changed the state (-before +after):\n%s", diff)
		}
		guard := []string{"guard " + string(w.dir.ID)}
		if diff := cmp.Diff(guard, w.findings()); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]int{store.EventRunStarted: 1, store.EventRunHeld: 1}, since(events, w.events())); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}

		if _, err := e.Discard(t.Context(), w.org, first.ID, person); err != nil {
			t.Fatal(err)
		}
		if findings := w.findings(); len(findings) > 0 || w.run(first.ID).State != store.RunDiscarded {
			t.Errorf("after it was discarded it is %s, with the findings %v", w.run(first.ID).State, findings)
		}
		if counts := w.run(first.ID).Counts; counts != (store.RunCounts{}) {
			t.Errorf("a run that was discarded has done nothing, and counts %+v", counts)
		}
		if _, err := e.Approve(t.Context(), w.org, first.ID, "", person); store.CodeOf(err) != store.CodeConflict {
			t.Errorf("approving a discarded run gave %v, want a conflict", err)
		}

		second := hold()
		third := hold()
		if got := w.run(second.ID).State; got != store.RunDiscarded {
			t.Errorf("the run that was replaced is %s, want it discarded", got)
		}
		if _, err := e.Approve(t.Context(), w.org, third.ID, "another stage", person); store.CodeOf(err) != store.CodeStale {
			t.Errorf("approving another stage gave %v, want that it is stale", err)
		}
		done := w.rest(e.Approve(t.Context(), w.org, third.ID, third.StageHash, person))
		if done.State != store.RunSucceeded || done.Counts.Users.Deleted != 3 {
			t.Errorf("the approved run is %s and deleted %d users, want 3: %s", done.State, done.Counts.Users.Deleted, done.Error)
		}
		if findings := w.findings(); len(findings) > 0 {
			t.Errorf("findings %v, want none", findings)
		}
		if n := w.events()[store.EventRunApproved]; n != 1 {
			t.Errorf("%d events of approval, want 1", n)
		}
	})
}

func TestRule6RunningAReviewedPlanIsApproval(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.fake.users = people(10)
		w.pull(e)
		w.settings(func(s *store.Settings) { s.Guard = store.SameGuard(store.Threshold{Count: 2, Percent: 10}) })
		w.fake.drop("id-001", "id-002", "id-003")
		plan := w.rest(e.Plan(t.Context(), w.org, "corp", person))
		done := w.rest(e.Start(t.Context(), w.org, "corp", plan.ID, false, person))
		if done.State != store.RunSucceeded || done.Counts.Users.Deleted != 3 {
			t.Errorf("the run is %s and deleted %d users, want 3: %s", done.State, done.Counts.Users.Deleted, done.Error)
		}
	})
}

func TestOneRunOfADirectoryAtATime(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		started, release := make(chan struct{}), make(chan struct{})
		w.fake.users = people(2)
		w.fake.reading = func(_ context.Context, n int) {
			if n == 0 {
				close(started)
				<-release
			}
		}
		first, err := e.Start(t.Context(), w.org, "corp", "", false, person)
		if err != nil {
			t.Fatal(err)
		}
		<-started
		for name, request := range map[string]func() (*store.Run, error){
			"a run":  func() (*store.Run, error) { return e.Start(t.Context(), w.org, "corp", "", false, person) },
			"a plan": func() (*store.Run, error) { return e.Plan(t.Context(), w.org, "corp", person) },
		} {
			if _, err := request(); store.CodeOf(err) != store.CodeConflict || !strings.Contains(err.Error(), string(first.ID)) {
				t.Errorf("%s beside a run gave %v, want a conflict that names it", name, err)
			}
		}
		close(release)
		if r := w.rest(first, nil); r.State != store.RunSucceeded {
			t.Errorf("the run is %s: %s", r.State, r.Error)
		}
	})
}

func TestADirectoryThatPushesCannotBePulled(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, _ := w.engine(w.store)
		w.update(func(tx store.Tx) error {
			now := w.clock.now().UTC()
			return tx.CreateDirectory(t.Context(), &store.Directory{
				ID: store.NewID(now), Org: w.org, Name: "entra", Kind: store.DirectorySCIM,
				Settings: store.DefaultSettings(store.DirectorySCIM), Revision: 1, CreatedAt: now, UpdatedAt: now,
			})
		})
		if _, err := e.Start(t.Context(), w.org, "entra", "", false, person); store.CodeOf(err) != store.CodeInvalid {
			t.Errorf("error %v, want one that it cannot be pulled", err)
		}
		if _, err := e.Start(t.Context(), w.org, "nowhere", "", false, person); store.CodeOf(err) != store.CodeNotFound {
			t.Errorf("error %v, want that there is none", err)
		}
	})
}

func TestAScheduleBeginsWithTheFirstRunThatAPersonStartsAndReplacesAHeldOne(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.fake.users = people(5)
		w.settings(func(s *store.Settings) {
			s.LDAP.Schedule = store.Schedule{Kind: "interval", IntervalMins: 60}
			s.Guard = store.SameGuard(store.Threshold{Count: 0, Percent: 0})
		})
		runs := func() (list []store.Run) {
			w.view(func(v store.Reader) (err error) {
				list, err = v.Runs(t.Context(), store.RunQuery{Org: w.org, Limit: 10})
				return err
			})
			return list
		}
		e, _ := w.engine(w.store)
		w.clock.advance(24 * time.Hour)
		w.rest(e.Plan(t.Context(), w.org, "corp", person))
		w.clock.advance(24 * time.Hour)
		w.rest(e.Plan(t.Context(), w.org, "corp", person)) // by then the schedule was looked at
		if n := len(runs()); n != 2 {
			t.Fatalf("%d runs, want only the two plans: nobody has started one", n)
		}
		w.pull(e)
		w.fake.drop("id-001")
		w.clock.advance(61 * time.Minute)
		var held store.Run
		w.await("the schedule has started a run, which is held", func() bool {
			held = runs()[0]
			return held.State == store.RunHeld
		})
		if held.Cause.Actor.Kind != "schedule" {
			t.Errorf("the run was caused by %+v, want the schedule", held.Cause.Actor)
		}
		w.clock.advance(61 * time.Minute)
		w.await("the schedule has replaced the held run", func() bool {
			list := runs()
			return list[0].ID != held.ID && list[0].State == store.RunHeld
		})
		if got := w.run(held.ID).State; got != store.RunDiscarded {
			t.Errorf("the run that was held is %s, want it discarded", got)
		}
		if diff := cmp.Diff([]string{"guard " + string(w.dir.ID)}, w.findings()); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
}

// A day without any process, and then two: the runs that were missed are one, and it is
// started once, whichever of the two comes first.
func TestARunThatWasMissedRunsOnceHoweverManyProcessesThereAre(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.fake.users = people(5)
		w.settings(func(s *store.Settings) { s.LDAP.Schedule = store.Schedule{Kind: "interval", IntervalMins: 60} })
		first, stop := w.engine(w.store)
		w.pull(first)
		stop()
		scheduled := func() (list []store.Run) {
			w.view(func(v store.Reader) (err error) {
				list, err = v.Runs(t.Context(), store.RunQuery{Org: w.org, Limit: 100})
				return err
			})
			return slices.DeleteFunc(list, func(r store.Run) bool { return r.Cause.Actor.Kind != "schedule" })
		}
		for round := range 5 {
			w.clock.advance(24*time.Hour + time.Minute)
			var stops []func()
			for n := range 3 {
				_, stop := w.engine(w.open(), func(o *run.Options) { o.Owner = fmt.Sprint("replica ", n); o.Poll = time.Millisecond })
				stops = append(stops, stop)
			}
			w.await("the run that was missed has succeeded", func() bool {
				list := scheduled()
				return len(list) > round && list[0].State == store.RunSucceeded
			})
			for _, stop := range stops { // what they have begun they end, or hand back
				stop()
			}
			if n := len(scheduled()); n != round+1 {
				t.Fatalf("after %d days without a process %d runs were started by the schedule", round+1, n)
			}
		}
	})
}
