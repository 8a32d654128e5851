package storetest

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// expired is a lease that has run out when it begins.
const expired = -time.Second

func (e *env) newRun(d *store.Directory) *store.Run {
	return &store.Run{
		ID: store.NewID(e.now), Org: d.Org, Directory: d.Key, DirectoryName: d.Name, State: store.RunPlanned, Phase: store.PhaseQueued,
		Apply: true, Cause: store.Cause{Actor: store.Actor{Kind: "schedule"}}, Phases: []store.PhaseTime{}, CreatedAt: e.now,
	}
}

// run creates a run that waits for a worker.
func (e *env) run(d *store.Directory) *store.Run {
	e.Helper()
	r := e.newRun(d)
	e.update(func(t store.Tx) error { return t.CreateRun(e.Context(), r) })
	return r
}

func (e *env) claim(owner string, lease time.Duration) *store.Run {
	e.Helper()
	var r *store.Run
	e.update(func(t store.Tx) (err error) {
		r, err = t.ClaimRun(e.Context(), owner, lease)
		return err
	})
	return r
}

func leaseOf(r *store.Run) store.Lease { return store.Lease{Run: r.Key, Fence: r.Fence} }

// save changes a run under its lease.
func (e *env) save(l store.Lease, change func(*store.Run)) *store.Run {
	e.Helper()
	var saved *store.Run
	e.update(func(t store.Tx) (err error) {
		if saved, err = t.HoldRun(e.Context(), l); err != nil {
			return err
		}
		change(saved)
		return t.SaveRun(e.Context(), saved)
	})
	return saved
}

func (e *env) runByID(id store.ID) *store.Run {
	e.Helper()
	return got(e, func(r store.Reader) (*store.Run, error) { return r.Run(e.Context(), e.org, id) })
}

func waiting(r *store.Run) { r.State, r.Phase = store.RunPlanned, store.PhaseReady }

func finished(r *store.Run) { r.State, r.Phase = store.RunSucceeded, store.PhaseDone }

// over makes a run that ended at a time.
func (e *env) over(d *store.Directory, at time.Time, change func(*store.Run)) store.ID {
	e.Helper()
	r := e.newRun(d)
	r.State, r.Phase, r.FinishedAt = store.RunSucceeded, store.PhaseDone, at
	change(r)
	e.update(func(t store.Tx) error { return t.CreateRun(e.Context(), r) })
	return r.ID
}

var runs = map[string]func(*env){
	"old runs are purged, but for the last that was started and the last ones that succeeded": func(e *env) {
		d, other := e.directory("one", store.DirectoryLDAP), e.directory("two", store.DirectoryLDAP)
		old, young := e.now.Add(-48*time.Hour), e.now
		as := func(s store.RunState) func(*store.Run) { return func(r *store.Run) { r.State = s } }
		plain := func(*store.Run) {}
		oldest := e.over(d, old, plain)
		whole := e.over(d, old, plain)
		failed := e.over(d, old, as(store.RunFailed))
		dropped := e.over(d, old, func(r *store.Run) { r.State, r.Apply = store.RunDiscarded, false })
		oldChange := e.over(d, old, func(r *store.Run) { r.Incremental = true })
		change := e.over(d, old, func(r *store.Run) { r.Incremental = true })
		last := e.over(d, old, as(store.RunFailed))
		alone := e.over(other, old, plain)
		newer := e.over(other, young, func(r *store.Run) { r.State, r.Apply = store.RunDiscarded, false })
		waits := e.newRun(other)
		waiting(waits)
		waits.FinishedAt = old
		e.update(func(t store.Tx) error { return t.CreateRun(e.Context(), waits) })

		purge := func(limit int) (n int) {
			e.update(func(t store.Tx) (err error) {
				n, err = t.PurgeRuns(e.Context(), e.now.Add(-time.Hour), limit)
				return err
			})
			return n
		}
		if a, b, c := purge(3), purge(3), purge(3); a != 3 || b != 1 || c != 0 {
			e.Errorf("purged %d, %d, and %d runs, want 3, 1 and none", a, b, c)
		}
		left := map[store.ID]bool{}
		for _, r := range got(e, func(r store.Reader) ([]store.Run, error) { return r.Runs(e.Context(), store.RunQuery{Org: e.org}) }) {
			left[r.ID] = true
		}
		for name, id := range map[string]store.ID{"the last whole one that succeeded": whole, "the last that succeeded": change, "the last that was started": last, "the only one": alone, "a young one": newer, "one that waits": waits.ID} {
			if !left[id] {
				e.Errorf("%s was purged", name)
			}
		}
		for name, id := range map[string]store.ID{"the oldest": oldest, "one that failed": failed, "a plan that was dropped": dropped, "an old one of changes": oldChange} {
			if left[id] {
				e.Errorf("%s is left", name)
			}
		}
	},

	"a run is read back as it was created and saved": func(e *env) {
		d := e.directory("ldap", store.DirectoryLDAP)
		r := e.run(d)
		if diff := cmp.Diff(r, e.runByID(r.ID)); diff != "" {
			e.Errorf("created (-want +got):\n%s", diff)
		}
		claimed := e.claim("worker", time.Hour)
		saved := e.save(leaseOf(claimed), func(r *store.Run) {
			r.State, r.Phase, r.Approved, r.ApprovedBy = store.RunRunning, store.PhaseApply, true, "Ann"
			r.Revision, r.PolicyHash, r.StageHash, r.Windows, r.NextWindow = 3, "policy", "stage", 7, 2
			r.Full, r.FullBecause, r.Cookie = true, "it was asked for", json.RawMessage(`{"a": 1}`)
			r.Selection = &store.Selection{Users: []string{"ann"}, Groups: []string{"staff", "cn=x"}}
			r.Plan = json.RawMessage(`{"users": 1}`)
			r.Counts.Users.Add(store.Created, 5)
			r.Drift = &store.Drift{Users: 1, Records: []store.DriftRecord{{Kind: store.KindUser, ID: "u", ExternalID: "a", Name: "ann", Outcome: store.Deleted}}, Unknown: "x"}
			r.Progress = store.Progress{ReadUsers: 9, Staged: 4}
			r.Phases = []store.PhaseTime{{Phase: store.PhaseRead, Start: e.now, Seconds: 1.5}}
			r.Error, r.StartedAt, r.FinishedAt = "none", e.now.Add(time.Second), e.now.Add(time.Minute)
		})
		if diff := cmp.Diff(saved, e.runByID(r.ID)); diff != "" {
			e.Errorf("saved (-want +got):\n%s", diff)
		}
		byKey := got(e, func(x store.Reader) (*store.Run, error) { return x.RunByKey(e.Context(), r.Key) })
		if diff := cmp.Diff(saved, byKey); diff != "" {
			e.Errorf("by key (-want +got):\n%s", diff)
		}
		if saved.Owner != "worker" || saved.LeaseUntil.IsZero() {
			e.Errorf("owner %q until %v: the lease was lost by saving", saved.Owner, saved.LeaseUntil)
		}
	},
	"runs are listed newest first, by directory and page, of one organization": func(e *env) {
		d, other := e.directory("ldap", store.DirectoryLDAP), e.directory("other", store.DirectoryLDAP)
		first := e.run(d)
		e.save(leaseOf(e.claim("worker", time.Hour)), finished)
		second, third := e.run(d), e.run(other)
		stranger := e.organization("stranger")
		for name, tt := range map[string]struct {
			q    store.RunQuery
			want []store.ID
		}{
			"all":       {store.RunQuery{Org: e.org}, []store.ID{third.ID, second.ID, first.ID}},
			"directory": {store.RunQuery{Org: e.org, Directory: &d.Key}, []store.ID{second.ID, first.ID}},
			"page":      {store.RunQuery{Org: e.org, Before: third.Key, Limit: 1}, []store.ID{second.ID}},
			"stranger":  {store.RunQuery{Org: stranger}, nil},
		} {
			var have []store.ID
			for _, r := range got(e, func(r store.Reader) ([]store.Run, error) { return r.Runs(e.Context(), tt.q) }) {
				have = append(have, r.ID)
			}
			if diff := cmp.Diff(tt.want, have); diff != "" {
				e.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		absent(e, func(r store.Reader) (*store.Run, error) { return r.Run(e.Context(), stranger, first.ID) })
		absent(e, func(r store.Reader) (*store.Run, error) { return r.Run(e.Context(), e.org, "nonsense") })
	},
	"a directory has one active run, and any number that wait for a person": func(e *env) {
		d := e.directory("ldap", store.DirectoryLDAP)
		plan := e.run(d)
		e.refused(store.CodeConflict, func(t store.Tx) error { return t.CreateRun(e.Context(), e.newRun(d)) })
		e.save(leaseOf(e.claim("worker", time.Hour)), waiting)
		e.run(d)
		e.refused(store.CodeConflict, func(t store.Tx) error { // to run the plan now would make two
			r, err := t.LockRun(e.Context(), e.org, plan.ID)
			if err != nil {
				return err
			}
			r.State, r.Phase = store.RunRunning, store.PhaseApply
			return t.SaveRun(e.Context(), r)
		})
	},
	"a run is claimed once, the oldest first, until its lease runs out": func(e *env) {
		first, second := e.run(e.directory("a", store.DirectoryLDAP)), e.run(e.directory("b", store.DirectoryLDAP))
		one := e.claim("one", time.Hour)
		two := e.claim("two", expired)
		if one == nil || two == nil || one.ID != first.ID || two.ID != second.ID {
			e.Fatalf("claimed %v and %v, want %v and %v", one, two, first.ID, second.ID)
		}
		if one.Owner != "one" || one.Fence != 1 || one.LeaseUntil.IsZero() {
			e.Errorf("owner %q, fence %d, until %v", one.Owner, one.Fence, one.LeaseUntil)
		}
		taken := e.claim("three", time.Hour)
		if taken == nil || taken.ID != second.ID || taken.Fence != 2 || taken.Owner != "three" {
			e.Fatalf("took over %+v, want %v with fence 2", taken, second.ID)
		}
		if none := e.claim("four", time.Hour); none != nil {
			e.Errorf("claimed %v, which somebody has", none.ID)
		}
	},
	"each transaction that holds a run is counted": func(e *env) {
		e.run(e.directory("ldap", store.DirectoryLDAP))
		run := e.claim("one", time.Hour)
		for want := run.Writes + 1; want < run.Writes+4; want++ {
			e.update(func(t store.Tx) error {
				held, err := t.HoldRun(e.Context(), leaseOf(run))
				if err == nil && held.Writes != want {
					e.Errorf("the run has %d writes, want %d", held.Writes, want)
				}
				if err == nil && want%2 == 0 {
					err = t.SaveRun(e.Context(), held)
				}
				return err
			})
		}
	},
	"who lost the lease can neither renew it nor write": func(e *env) {
		e.run(e.directory("ldap", store.DirectoryLDAP))
		old := e.claim("old", expired)
		e.update(func(t store.Tx) error { return t.RenewLease(e.Context(), leaseOf(old), expired) })
		taken := e.claim("new", time.Hour)
		for name, write := range map[string]func(store.Tx) error{
			"renew": func(t store.Tx) error { return t.RenewLease(e.Context(), leaseOf(old), time.Hour) },
			"hold": func(t store.Tx) error {
				_, err := t.HoldRun(e.Context(), leaseOf(old))
				return err
			},
			"save": func(t store.Tx) error {
				again := *old
				finished(&again)
				return t.SaveRun(e.Context(), &again)
			},
		} {
			tries := 0
			e.refused(store.CodeStale, func(t store.Tx) error {
				tries++
				return write(t)
			})
			if tries != 1 {
				e.Errorf("%s was tried %d times: repeating cannot help", name, tries)
			}
		}
		e.save(leaseOf(taken), func(r *store.Run) { r.NextWindow = 1 })
	},
	"a renewed lease is not taken over": func(e *env) {
		e.run(e.directory("ldap", store.DirectoryLDAP))
		r := e.claim("one", expired)
		e.update(func(t store.Tx) error { return t.RenewLease(e.Context(), leaseOf(r), time.Hour) })
		if taken := e.claim("two", time.Hour); taken != nil {
			e.Error("it was taken over")
		}
	},
	"a run that waits or is finished has no owner and is not claimed": func(e *env) {
		d := e.directory("ldap", store.DirectoryLDAP)
		for name, change := range map[string]func(*store.Run){
			"plan":     waiting,
			"held":     func(r *store.Run) { r.State, r.Phase = store.RunHeld, store.PhaseReady },
			"finished": finished,
			"failed":   func(r *store.Run) { r.State, r.Phase = store.RunFailed, store.PhaseDone },
		} {
			e.run(d)
			saved := e.save(leaseOf(e.claim("worker", expired)), change)
			stored := e.runByID(saved.ID)
			if stored.Owner != "" || !stored.LeaseUntil.IsZero() {
				e.Errorf("%s: owner %q until %v", name, stored.Owner, stored.LeaseUntil)
			}
			if diff := cmp.Diff(saved, stored); diff != "" {
				e.Errorf("%s: saved (-want +got):\n%s", name, diff)
			}
			if r := e.claim("other", time.Hour); r != nil {
				e.Errorf("%s: it was claimed", name)
			}
			e.refused(store.CodeStale, func(t store.Tx) error { return t.RenewLease(e.Context(), leaseOf(saved), time.Hour) })
		}
	},
	"a decision makes a plan claimable, and cannot be made while a worker has the run": func(e *env) {
		r := e.run(e.directory("ldap", store.DirectoryLDAP))
		lock := func(t store.Tx) error {
			_, err := t.LockRun(e.Context(), e.org, r.ID)
			return err
		}
		e.refused(store.CodeConflict, lock)
		first := e.claim("one", time.Hour)
		e.refused(store.CodeConflict, lock)
		e.save(leaseOf(first), waiting)
		e.update(func(t store.Tx) error {
			locked, err := t.LockRun(e.Context(), e.org, r.ID)
			if err != nil {
				return err
			}
			locked.State, locked.Phase, locked.Approved, locked.ApprovedBy = store.RunRunning, store.PhaseApply, true, "Ann"
			return t.SaveRun(e.Context(), locked)
		})
		second := e.claim("two", time.Hour)
		if second == nil || second.Fence != 2 || !second.Approved {
			e.Errorf("claimed %+v, want the approved run with fence 2", second)
		}
	},
	"of workers that claim at once each gets another run": func(e *env) {
		const directories, workers = 3, 12
		for _, name := range []string{"a", "b", "c"} {
			e.run(e.directory(name, store.DirectoryLDAP))
		}
		var claiming sync.WaitGroup
		var mu sync.Mutex
		claims := map[store.ID]int{}
		for range workers {
			claiming.Go(func() {
				err := e.s.Update(e.Context(), func(t store.Tx) error {
					r, err := t.ClaimRun(e.Context(), "worker", time.Hour)
					if r != nil {
						mu.Lock()
						defer mu.Unlock()
						claims[r.ID]++
					}
					return err
				})
				if err != nil {
					e.Error(err)
				}
			})
		}
		claiming.Wait()
		for id, n := range claims {
			if n != 1 {
				e.Errorf("run %s was claimed %d times", id, n)
			}
		}
		if len(claims) != directories {
			e.Errorf("%d runs were claimed, want %d", len(claims), directories)
		}
	},
	"due are the ldap directories of all organizations, with the start of their last run": func(e *env) {
		stranger := e.organization("stranger")
		a := e.directory("a", store.DirectoryLDAP)
		e.directory("push", store.DirectorySCIM)
		b := &store.Directory{
			ID: store.NewID(e.now), Org: stranger, Name: "b", Kind: store.DirectoryLDAP,
			Settings: store.DefaultSettings(store.DirectoryLDAP), CreatedAt: e.now, UpdatedAt: e.now,
		}
		e.update(func(t store.Tx) error { return t.CreateDirectory(e.Context(), b) })
		due := func(want ...store.Due) {
			e.Helper()
			have := got(e, func(r store.Reader) ([]store.Due, error) { return r.Due(e.Context(), 0) })
			if diff := cmp.Diff(want, have); diff != "" {
				e.Errorf("due (-want +got):\n%s", diff)
			}
		}
		due(store.Due{Directory: *a}, store.Due{Directory: *b})

		plan := e.newRun(a)
		plan.Apply = false
		e.update(func(t store.Tx) error { return t.CreateRun(e.Context(), plan) })
		e.save(leaseOf(e.claim("worker", time.Hour)), waiting)
		due(store.Due{Directory: *a}, store.Due{Directory: *b})

		e.run(a)
		due(store.Due{Directory: *a, LastRun: e.now}, store.Due{Directory: *b})
		e.save(leaseOf(e.claim("worker", time.Hour)), func(r *store.Run) { r.StartedAt = e.now.Add(time.Second) })
		due(store.Due{Directory: *a, LastRun: e.now.Add(time.Second)}, store.Due{Directory: *b})
	},
	"every directory says when it was synchronized and which of its runs wait for a person": func(e *env) {
		stranger := e.organization("stranger")
		corp := e.directory("corp", store.DirectoryLDAP)
		e.directory("push", store.DirectorySCIM)
		other := &store.Directory{
			ID: store.NewID(e.now), Org: stranger, Name: "corp", Kind: store.DirectoryLDAP,
			Settings: store.DefaultSettings(store.DirectoryLDAP), CreatedAt: e.now, UpdatedAt: e.now,
		}
		e.update(func(t store.Tx) error { return t.CreateDirectory(e.Context(), other) })
		states := func(want ...store.DirectoryState) {
			e.Helper()
			have := got(e, func(r store.Reader) ([]store.DirectoryState, error) { return r.DirectoryStates(e.Context()) })
			if diff := cmp.Diff(want, have); diff != "" {
				e.Errorf("states (-want +got):\n%s", diff)
			}
		}
		push := store.DirectoryState{Organization: store.DefaultOrganization, Directory: "push", Kind: store.DirectorySCIM}
		first := store.DirectoryState{Organization: store.DefaultOrganization, Directory: "corp", Kind: store.DirectoryLDAP}
		theirs := store.DirectoryState{Organization: "stranger", Directory: "corp", Kind: store.DirectoryLDAP}
		states(first, push, theirs)

		e.run(corp)
		e.save(leaseOf(e.claim("worker", time.Hour)), func(r *store.Run) { r.State, r.Phase = store.RunHeld, store.PhaseReady })
		first.Held = 1
		states(first, push, theirs)
	},
}
