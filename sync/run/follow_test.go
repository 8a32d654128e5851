package run_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/run"
)

// teller makes the fake directory tell what has changed.
type teller struct {
	cookie int      // of the present state
	told   []string // what has changed since the last one
	since  []string // the cookies that were asked with
	why    string   // it does not tell
	silent []string // of told: it does not say that they were deleted, although they are not found
	blind  bool     // nobody can be found by the stable id
	broken bool     // reading what has changed fails
}

func (f *fake) Cookie() ([]byte, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.teller == nil {
		return nil, "it is a fake"
	}
	return fmt.Appendf(nil, "%d", f.teller.cookie), ""
}

func (f *fake) Follow(_ context.Context, since []byte, _ int) (run.Following, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.teller == nil || f.teller.why != "" {
		return nil, f.teller.why, nil
	}
	f.teller.since = append(f.teller.since, string(since))
	return following{f, slices.Clone(f.teller.told), fmt.Appendf(nil, "%d", f.teller.cookie)}, "", nil
}

type following struct {
	*fake
	told   []string
	cookie []byte
}

func (f following) Changed() []string   { return f.told }
func (f following) Listed() bool        { return false }
func (f following) Missing(string) bool { return false }
func (f following) Cookie() []byte      { return f.cookie }
func (f following) Close()              {}

func (f following) Deleted(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.told, id) && !slices.Contains(f.teller.silent, id)
}

func (f following) Sees(context.Context) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.teller.blind, nil
}

func (f following) entries(match func(*store.Entry) bool) (list []store.Entry, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.teller.broken {
		return nil, errors.New("the connection was dropped")
	}
	for _, e := range slices.Concat(f.groups, f.users) {
		if match(&e) {
			list = append(list, e)
		}
	}
	return list, nil
}

func (f following) Read(_ context.Context, ids []string) ([]store.Entry, error) {
	return f.entries(func(e *store.Entry) bool { return slices.Contains(ids, e.ExternalID) })
}

func (f following) Bearers(_ context.Context, dns []string) (map[string]string, error) {
	found := map[string]string{}
	list, err := f.entries(func(e *store.Entry) bool { return slices.Contains(dns, e.DN) })
	for _, e := range list {
		found[e.DN] = e.ExternalID
	}
	return found, err
}

func (f following) Anywhere(ctx context.Context, dns []string) (map[string]string, error) {
	found, err := f.Bearers(ctx, dns)
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, dn := range f.elsewhere {
		if slices.Contains(dns, dn) {
			found[dn] = id
		}
	}
	return found, err
}

func (f following) Users(_ context.Context, names []string) ([]store.Entry, error) {
	return f.entries(func(e *store.Entry) bool { return slices.Contains(names, e.Attributes.UserName) })
}

func (f following) Primary(_ context.Context, sids []string) (map[string][]string, error) {
	found := map[string][]string{}
	list, err := f.entries(func(e *store.Entry) bool { return slices.Contains(sids, e.PrimaryGroup) })
	for _, e := range list {
		found[e.PrimaryGroup] = append(found[e.PrimaryGroup], e.ExternalID)
	}
	return found, err
}

func (f following) Naming(_ context.Context, dns, names, sids []string) (ids []string, err error) {
	list, err := f.entries(func(e *store.Entry) bool {
		return slices.Contains(dns, e.ManagerDN) || slices.Contains(sids, e.SID) ||
			slices.ContainsFunc(e.MemberDNs, func(dn string) bool { return slices.Contains(dns, dn) }) ||
			slices.ContainsFunc(e.MemberNames, func(name string) bool { return slices.Contains(names, name) })
	})
	for _, e := range list {
		ids = append(ids, e.ExternalID)
	}
	return ids, err
}

// full starts a full run and waits for it to succeed.
func (w *world) full(e *run.Engine) *store.Run {
	w.t.Helper()
	r := w.rest(e.Start(w.t.Context(), w.org, "corp", "", true, person))
	if r.State != store.RunSucceeded || r.Incremental {
		w.t.Fatalf("the full run is %s, incremental %v: %s", r.State, r.Incremental, r.Error)
	}
	return r
}

// happens changes the directory, which tells of the ids when it is asked.
func (f *fake) happens(fn func(), ids ...string) {
	f.change(func() {
		fn()
		f.teller.cookie++
		f.teller.told = append(f.teller.told, ids...)
	})
}

func TestARunGoesOnFromTheCookieOfTheLastOneThatSucceeded(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.fake.teller = &teller{cookie: 1}
		e, _ := w.engine(w.store)
		first := w.pulled(e, append(people(4), group("g", "Staff", "u000", "u001"))...)
		if first.Incremental || first.FullBecause != "no run has succeeded before" || string(first.Cookie) != "1" {
			t.Errorf("the first run: %v, %q, cookie %s", first.Incremental, first.FullBecause, first.Cookie)
		}
		w.fake.happens(func() { w.fake.user("id-001").Attributes.Title = "Chief" }, "id-001")
		second := w.pull(e)
		if diff := cmp.Diff(store.Counts{Modified: 1, Unchanged: 3}, second.Counts.Users); diff != "" || !second.Incremental || second.FullBecause != "" {
			t.Errorf("incremental is %v, full because %q; users (-want +got):\n%s", second.Incremental, second.FullBecause, diff)
		}
		// It begins, stages with judging, applies, publishes and succeeds; while it reads it
		// may save once how far it is.
		if second.Writes > 6 {
			t.Errorf("a run of one change took %d transactions", second.Writes)
		}

		// One that breaks deletes nothing, and does not count.
		w.fake.happens(func() {
			w.fake.users = slices.DeleteFunc(w.fake.users, func(e store.Entry) bool { return e.ExternalID == "id-000" })
		}, "id-000")
		before := w.state()
		w.fake.change(func() { w.fake.teller.broken = true })
		if r := w.rest(e.Start(t.Context(), w.org, "corp", "", false, person)); r.State != store.RunFailed || !strings.Contains(r.Error, "dropped") {
			t.Errorf("the broken run is %s: %s", r.State, r.Error)
		}
		if diff := cmp.Diff(before, w.state()); diff != "" {
			t.Errorf("the broken run changed something:\n%s", diff)
		}
		w.fake.change(func() { w.fake.teller.broken = false })
		last := w.pull(e)
		if diff := cmp.Diff(store.Counts{Deleted: 1, Unchanged: 3}, last.Counts.Users); diff != "" {
			t.Errorf("users (-want +got):\n%s", diff)
		}
		if text := w.state()["group Staff"]; !strings.HasPrefix(text, "g [u001@") || strings.Contains(text, "u000") {
			t.Errorf("the group is %q: who is gone is still in it", text)
		}
		if diff := cmp.Diff([]string{"1", "2", "2"}, w.fake.teller.since); diff != "" {
			t.Errorf("cookies asked with (-want +got):\n%s", diff)
		}
	})
}

func TestWhatCannotBeFollowedSurelyIsReadWholeAndSaysWhy(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.settings(func(s *store.Settings) { s.DomainPolicy = store.DomainsVerified })
		w.domain("example.com", store.DomainVerified)
		w.fake.teller = &teller{cookie: 1}
		e, _ := w.engine(w.store)
		w.pulled(e, append(people(3), group("g", "Staff", "u000"))...)
		for _, tt := range []struct {
			why    string
			change func()
		}{
			{"the directory's settings have changed", func() { w.settings(func(s *store.Settings) { s.LDAP.PageSize = 7 }) }},
			{"the verified domains or the cap have changed", func() { w.domain("example.org", store.DomainVerified) }},
			{"the cookie was refused", func() { w.fake.change(func() { w.fake.teller.why = "the cookie was refused" }) }},
			{"the last full run is 24h0m0s ago", func() { w.clock.advance(24 * time.Hour) }},
		} {
			tt.change()
			if r := w.pull(e); r.Incremental || r.FullBecause != tt.why {
				t.Errorf("incremental is %v, full because %q, want %q", r.Incremental, r.FullBecause, tt.why)
			}
			w.fake.change(func() { w.fake.teller.why = "" })
			if r := w.pull(e); !r.Incremental {
				t.Errorf("after that everything was read again, because %s", r.FullBecause)
			}
		}
		if r := w.rest(e.Start(t.Context(), w.org, "corp", "", true, person)); r.FullBecause != "it was asked for" {
			t.Errorf("a full run that was asked for is full because %q", r.FullBecause)
		}
		if r := w.rest(e.Plan(t.Context(), w.org, "corp", person)); r.FullBecause != "it is a plan, which tells everything" {
			t.Errorf("a plan is full because %q", r.FullBecause)
		}
		w.settings(func(s *store.Settings) { s.LDAP.Incremental = false })
		if r := w.pull(e); r.FullBecause != "incremental runs are turned off" {
			t.Errorf("turned off, a run is full because %q", r.FullBecause)
		}
	})
}

func TestAChosenScopeIsFollowedAsLongAsNoGroupChanges(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.settings(func(s *store.Settings) { s.LDAP.ScopeGroups = []string{"Staff"} })
		w.fake.teller = &teller{cookie: 1}
		e, _ := w.engine(w.store)
		w.pulled(e, append(people(3), group("g", "Staff", "u000"))...)
		w.fake.happens(func() { w.fake.user("id-000").Attributes.Title = "Chief" }, "id-000")
		if r := w.pull(e); !r.Incremental || r.Counts.Users.Modified != 1 {
			t.Errorf("a user in scope changed: incremental is %v, %+v", r.Incremental, r.Counts.Users)
		}
		w.fake.happens(func() {
			w.fake.groups[0].MemberDNs = append(w.fake.groups[0].MemberDNs, "cn=Nested,dc=example")
			w.fake.groups = append(w.fake.groups, group("n", "Nested", "u002"))
		}, "g", "n")
		r := w.pull(e)
		if r.FullBecause != "a group has changed, and groups choose the scope" || r.Counts.Users.Created != 1 || r.Counts.Groups.Created != 1 {
			t.Errorf("a group was nested into the scope: full because %q, %+v", r.FullBecause, r.Counts)
		}
	})
}
