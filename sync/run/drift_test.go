package run_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

func TestAFullRunTellsWhatIncrementalRunsHaveMissed(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.fake.teller = &teller{cookie: 1}
		e, _ := w.engine(w.store)
		if r := w.pulled(e, append(people(8), group("g", "Staff", "u000", "u001"), group("h", "Others", "u002"))...); r.Drift != nil {
			t.Errorf("the first run tells of drift: %+v", r.Drift)
		}
		if r := w.full(e); r.Drift != nil {
			t.Errorf("no run before was incremental, and the run tells of drift: %+v", r.Drift)
		}
		title := func(id, title string) func() {
			return func() { w.fake.user(id).Attributes.Title = title }
		}

		// Nobody tells that u003 changed, u004 is gone, u008 came, and Others lost its member.
		w.fake.change(title("id-003", "Silent"))
		w.fake.drop("id-004")
		w.fake.change(func() {
			w.fake.users = append(w.fake.users, user("id-008", "u008"))
			w.fake.groups[1].MemberDNs = nil
		})
		// It is told that u001 changed.
		w.fake.happens(title("id-001", "Told"), "id-001")
		missed := w.pull(e)
		if !missed.Incremental || missed.Drift != nil || missed.Counts.Users.Modified != 1 {
			t.Fatalf("incremental is %v, drift %+v, users %+v", missed.Incremental, missed.Drift, missed.Counts.Users)
		}
		// And later that u005 changed, u001 is gone, whose group nobody mentions, and u009 came.
		w.fake.happens(title("id-005", "Told"), "id-005")
		w.fake.happens(func() {
			w.fake.groups[0].MemberDNs = w.fake.groups[0].MemberDNs[:1]
			w.fake.users = slices.DeleteFunc(w.fake.users, func(e store.Entry) bool { return e.ExternalID == "id-001" })
		}, "id-001")
		w.fake.happens(func() { w.fake.users = append(w.fake.users, user("id-009", "u009")) }, "id-009")
		full := w.full(e)
		var names []string
		for _, r := range full.Drift.Records {
			if r.ID == "" {
				t.Errorf("%s has no id", r.Name)
			}
			names = append(names, fmt.Sprint(r.Kind, " ", r.ExternalID, " ", r.Name, " ", r.Outcome))
		}
		slices.Sort(names)
		if diff := cmp.Diff([]string{
			"Group h Others modified", "User id-003 u003@example.com modified", "User id-004 u004@example.com deleted", "User id-008 u008@example.com created",
		}, names); diff != "" || full.Drift.Users != 3 || full.Drift.Groups != 1 || full.Drift.Unknown != "" {
			t.Errorf("drift of %d users and %d groups, unknown %q (-want +got):\n%s", full.Drift.Users, full.Drift.Groups, full.Drift.Unknown, diff)
		}
		if diff := cmp.Diff(store.Counts{Created: 2, Modified: 2, Deleted: 2, Unchanged: 4}, full.Counts.Users); diff != "" {
			t.Errorf("users of the full run (-want +got):\n%s", diff)
		}
		if r := w.full(e); r.Drift != nil {
			t.Errorf("what was repaired is told again: %+v", r.Drift)
		}
	})
}

func TestDriftIsNoneWhenNothingWasMissedAndUnknownWhenNobodyCanTell(t *testing.T) {
	w := newWorld(t, engines["sqlite"](t))
	w.fake.teller = &teller{cookie: 1}
	e, _ := w.engine(w.store)
	w.pulled(e, append(people(4), group("g", "Staff", "u000", "u001"))...)
	incremental := func() {
		t.Helper()
		if r := w.pull(e); !r.Incremental {
			t.Fatalf("everything was read because %s", r.FullBecause)
		}
	}
	incremental()
	// Everything was told; one thing only while the run was reading.
	w.fake.happens(func() { w.fake.user("id-000").Attributes.Title = "Before" }, "id-000")
	w.fake.change(func() {
		w.fake.user("id-002").Attributes.Title = "Meanwhile"
		w.fake.reading = func(_ context.Context, n int) {
			if n == 0 {
				w.fake.happens(func() {}, "id-002")
			}
		}
	})
	if r := w.full(e); r.Drift == nil || r.Drift.Users+r.Drift.Groups > 0 || r.Drift.Unknown != "" || r.Counts.Users.Modified != 2 {
		t.Errorf("drift %+v, users %+v", r.Drift, r.Counts.Users)
	}
	w.fake.change(func() { w.fake.reading = nil })

	for _, c := range []struct {
		unknown string
		change  func()
		after   func()
	}{
		{"the cookie was refused", func() { w.fake.teller.why = "the cookie was refused" }, func() { w.fake.teller.why = "" }},
		{"the directory could not be asked: the connection was dropped", func() {
			w.fake.teller.told, w.fake.teller.broken = append(w.fake.teller.told, "id-003"), true
		}, func() { w.fake.teller.broken = false }},
	} {
		incremental()
		w.fake.change(c.change)
		w.fake.change(func() { w.fake.user("id-003").Attributes.Title += "x" })
		if r := w.full(e); r.Drift == nil || r.Drift.Unknown != c.unknown || r.Drift.Users > 0 || r.Counts.Users.Modified != 1 {
			t.Errorf("drift %+v, want unknown because %s; users %+v", r.Drift, c.unknown, r.Counts.Users)
		}
		w.fake.change(c.after)
	}
	incremental()
	w.settings(func(s *store.Settings) { s.LDAP.PageSize = 7 })
	if r := w.pull(e); r.Incremental || r.Drift == nil || r.Drift.Unknown != "the directory's settings have changed" {
		t.Errorf("after a change of settings: drift %+v", r.Drift)
	}
}

func TestAPlanTellsDriftWhenItIsApplied(t *testing.T) {
	w := newWorld(t, engines["sqlite"](t))
	w.fake.teller = &teller{cookie: 1}
	e, _ := w.engine(w.store)
	w.pulled(e, people(4)...)
	if r := w.pull(e); !r.Incremental {
		t.Fatalf("everything was read because %s", r.FullBecause)
	}
	w.fake.change(func() { w.fake.user("id-003").Attributes.Title = "Silent" })
	plan := w.rest(e.Plan(t.Context(), w.org, "corp", person))
	done := w.rest(e.Start(t.Context(), w.org, "corp", plan.ID, false, person))
	if done.State != store.RunSucceeded || done.Drift == nil || done.Drift.Users != 1 || done.Drift.Records[0].Name != "u003@example.com" {
		t.Errorf("the run is %s, drift %+v", done.State, done.Drift)
	}
}
