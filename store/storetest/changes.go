package storetest

import (
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// changesOnly is what a run that reads changes only asks of the store.
var changesOnly = map[string]func(*env){
	"what is known of some records is what is known of all": func(e *env) {
		p := e.pulled()
		want := map[string]store.Known{}
		e.view(func(r store.Reader) error {
			return r.Known(e.Context(), p.dir, func(k store.Known) error {
				if k.ExternalID == "u1" || k.ExternalID == "sub" {
					want[k.ExternalID] = k
				}
				return nil
			})
		})
		have := map[string]store.Known{}
		e.view(func(r store.Reader) error {
			return r.KnownAs(e.Context(), p.dir, []string{"u1", "sub", "gone", "nobody", "foreign", ""}, func(k store.Known) error {
				have[k.ExternalID] = k
				return nil
			})
		})
		if diff := cmp.Diff(want, have); diff != "" || len(want) != 2 || string(want["u1"].Hash) != "hash of u1" {
			e.Errorf("known (-want +got):\n%s", diff)
		}
	},
	"the stock is what is live, and what of it is active and out of scope": func(e *env) {
		p := e.pulled()
		p.user("eve", func(u *store.User) { u.Stated = false })
		p.user("fay", func(u *store.User) { u.OutOfScope = true })
		out := p.newGroup("out", func(g *store.Group) { g.OutOfScope = true })
		p.apply(store.ChangeSet{Groups: []store.GroupChange{{Op: store.OpCreate, After: out, Claim: "out"}}})
		have := got(e, func(r store.Reader) (store.Stock, error) { return r.Stock(e.Context(), p.dir) })
		if diff := cmp.Diff(store.Stock{Users: 4, Groups: 3, ActiveUsers: 2, UsersOut: 1, GroupsOut: 1}, have); diff != "" {
			e.Errorf("stock (-want +got):\n%s", diff)
		}
	},
	"what is known of members is that of the live direct ones": func(e *env) {
		p := e.pulled()
		var have []string
		e.view(func(r store.Reader) error {
			return r.KnownIn(e.Context(), p.dir, []string{"top", "sub"}, func(k store.Known) error {
				have = append(have, string(k.Kind)+" "+k.ExternalID+" "+string(k.Hash))
				return nil
			})
		})
		slices.Sort(have)
		if diff := cmp.Diff([]string{"Group sub hash of sub", "User u1 hash of u1", "User u1 hash of u1"}, have); diff != "" {
			e.Errorf("members (-want +got):\n%s", diff)
		}
	},
	"who names a record is found by edges, pending members and managers": func(e *env) {
		p := e.pulled()
		for id, want := range map[string][]string{
			"u1":      {"sub", "top", "u2"}, // u2 has u1 as the manager
			"gone":    {"sub"},              // its edges outlive it
			"sub":     {"top"},
			"waiting": {"sub"},
			"top":     nil,
			"foreign": nil, // in a group of the same directory, but another's record
			"":        nil,
		} {
			have := got(e, func(r store.Reader) ([]string, error) { return r.Naming(e.Context(), p.dir, []string{id}) })
			if diff := cmp.Diff(want, have); diff != "" {
				e.Errorf("who names %q (-want +got):\n%s", id, diff)
			}
		}
		have := got(e, func(r store.Reader) ([]string, error) {
			return r.Naming(e.Context(), p.dir, []string{"u1", "sub", "waiting"})
		})
		if diff := cmp.Diff([]string{"sub", "top", "u2"}, have); diff != "" {
			e.Errorf("who names three (-want +got):\n%s", diff)
		}
	},
	"the last run is the one that succeeded last, and the last full one is known": func(e *env) {
		d, other := e.directory("ldap", store.DirectoryLDAP), e.directory("other", store.DirectoryLDAP)
		last := func(want *store.Run, full time.Time) {
			e.Helper()
			e.view(func(r store.Reader) error {
				have, at, err := r.LastRun(e.Context(), d.Key)
				if diff := cmp.Diff(want, have); diff != "" || !at.Equal(full) {
					e.Errorf("last full run at %v, want %v; last run (-want +got):\n%s", at, full, diff)
				}
				return err
			})
		}
		ended := func(d *store.Directory, at time.Duration, change func(*store.Run)) *store.Run {
			e.Helper()
			e.run(d)
			return e.save(leaseOf(e.claim("worker", time.Hour)), func(r *store.Run) {
				finished(r)
				r.FinishedAt, r.Cookie = e.now.Add(at), []byte(`{"a": 1}`)
				change(r)
			})
		}
		last(nil, time.Time{})
		full := ended(d, 2*time.Hour, func(r *store.Run) { r.FullBecause = "it is the first" })
		last(full, full.FinishedAt)
		ended(other, 9*time.Hour, func(r *store.Run) { r.FullBecause = "it was asked for" })
		ended(d, 8*time.Hour, func(r *store.Run) { r.State = store.RunFailed })
		ended(d, 5*time.Hour, func(r *store.Run) { r.Selection = &store.Selection{Users: []string{"ann"}} })
		ended(d, time.Hour, func(r *store.Run) { r.FullBecause = "it was asked for" }) // it began later and ended earlier
		last(full, full.FinishedAt)
		incremental := ended(d, 3*time.Hour, func(r *store.Run) { r.Incremental = true })
		last(incremental, full.FinishedAt)
	},
	"a run that looked at some records resolves the findings of those": func(e *env) {
		d := e.directory("ldap", store.DirectoryLDAP)
		run := e.run(d)
		of := func(record string, run store.Key) store.Finding {
			f := newFinding(e, d.Key, record)
			f.Run = run
			return f
		}
		e.open(of("looked at", 0), of("seen again", run.Key), of("not looked at", 0), of("", 0))
		e.stage(run.Key, stagedUser("looked at", "a"), stagedUser("seen again", "b"), stagedUser("", "c"))
		e.update(func(t store.Tx) error {
			return t.ResolveStaged(e.Context(), d.Key, run.Key, []string{store.RuleDuplicate}, e.now)
		})
		if diff := cmp.Diff([]string{"", "not looked at", "seen again"}, records(e.findings(store.FindingQuery{Open: true}))); diff != "" {
			e.Errorf("open findings (-want +got):\n%s", diff)
		}
	},
	"findings are listed by rule": func(e *env) {
		d := e.directory("ldap", store.DirectoryLDAP)
		invalid := newFinding(e, d.Key, "b")
		invalid.Rule = store.RuleInvalidEntry
		e.open(newFinding(e, d.Key, "a"), invalid)
		if diff := cmp.Diff([]string{"b"}, records(e.findings(store.FindingQuery{Rules: []string{store.RuleInvalidEntry, store.RuleGuard}}))); diff != "" {
			e.Errorf("findings (-want +got):\n%s", diff)
		}
		if list := e.findings(store.FindingQuery{Rules: []string{}}); len(list) != 0 {
			e.Errorf("of no rule: %v", list)
		}
	},
}

// pulled is a directory with the users u1, u2 and gone (deleted), and the groups sub
// (u1, gone, and "waiting", who is pending) and top (sub, u1, and a user of another
// directory), all with stable ids.
func (e *env) pulled() *place {
	e.Helper()
	p, stranger := e.at("pulled"), e.at("stranger")
	stable := func(id string) func(*store.User) {
		return func(u *store.User) { u.ExternalID, u.Hash = id, []byte("hash of "+id) }
	}
	u1 := p.user("ann", stable("u1"))
	p.user("bob", stable("u2"), func(u *store.User) {
		u.Attributes.Enterprise = &store.Enterprise{Manager: &store.Manager{Value: "u1"}}
	})
	gone := p.user("cid", stable("gone"))
	foreign := stranger.user("dan", stable("foreign"))
	group := func(id string, pending []string, members ...any) *store.Group {
		g := p.newGroup(id, func(g *store.Group) { g.ExternalID, g.Hash = id, []byte("hash of "+id) })
		p.apply(store.ChangeSet{Groups: []store.GroupChange{{
			Op: store.OpCreate, After: g, Claim: store.Fold(id), Add: edges(members), AddPending: pending,
		}}})
		return &g
	}
	sub := group("sub", []string{"waiting"}, u1, gone)
	group("top", nil, sub, u1, foreign)
	p.deleteUser(gone)
	return p
}
