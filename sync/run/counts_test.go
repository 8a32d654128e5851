package run_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/run"
)

// entryRefusals are the rules by which a run leaves a record as it is, or does not take it in.
var entryRefusals = []string{store.RuleInvalidEntry, store.RuleDuplicate, store.RuleUnverifiedDomain}

// refusals are the records of a run's findings, of those rules, that it has not changed:
// all that it counts as refused or duplicated, and those of which it has refused a part.
func (w *world) refusals(r *store.Run, happened map[string]store.Outcome) (names []string) {
	w.t.Helper()
	w.view(func(v store.Reader) error {
		list, err := v.Findings(w.t.Context(), store.FindingQuery{Org: w.org, Run: r.Key, Open: true, Limit: 1000})
		for i := range list {
			f := &list[i]
			name := string(f.Kind) + " " + f.Record
			if _, changed := happened[name]; !changed && slices.Contains(entryRefusals, f.Rule) {
				names = append(names, name)
			}
		}
		return err
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// sum is how many records are counted.
func sum(c store.Counts) int {
	return c.Created + c.Modified + c.Deactivated + c.Deleted + c.Duplicated + c.Refused + c.Claimed + c.Restored + c.OutOfScope + c.Unchanged
}

// changedEntries are the stable ids of entries that are not as they were.
func changedEntries(before, after []store.Entry) (ids []string) {
	was := map[string]store.Entry{}
	for _, e := range before {
		was[e.ExternalID] = e
	}
	for _, e := range after {
		if old, there := was[e.ExternalID]; !there || !cmp.Equal(old, e) {
			ids = append(ids, e.ExternalID)
		}
		delete(was, e.ExternalID)
	}
	for id := range was {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// entries are all of the directory, as a copy that later changes leave alone.
func (s *shaken) entries() []store.Entry {
	all := slices.Concat(s.fake.users, s.fake.groups)
	for i := range all {
		all[i].MemberDNs = slices.Clone(all[i].MemberDNs)
	}
	return all
}

// some are n of those who are in the directory, or stored and gone or out of scope.
func (s *shaken) some(n int, entries []store.Entry, known func(storedRecords) []string) []string {
	ids := known(s.stored())
	for i := range entries {
		ids = append(ids, entries[i].ExternalID)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	s.r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids[:min(n, len(ids))]
}

// kindsOfRuns are the ways in which a run comes about, but by a plan, which
// TestWhatThePlanSaysIsExactlyWhatTheRunDoesAndItsCountsAreTheDifference has. Each runs
// once after each few random changes, and says how many users and groups it has to have
// looked at; below zero: it is not known.
var kindsOfRuns = map[string]func(s *shaken, e *run.Engine) (r *store.Run, users, groups int){
	"full": func(s *shaken, e *run.Engine) (*store.Run, int, int) {
		r := s.rest(e.Start(s.t.Context(), s.org, "corp", "", true, person))
		return r, len(s.fake.users) + r.Counts.Users.Deleted + r.Counts.Users.OutOfScope, len(s.fake.groups) + r.Counts.Groups.Deleted + r.Counts.Groups.OutOfScope
	},
	"incremental": func(s *shaken, e *run.Engine) (*store.Run, int, int) {
		r := s.pull(e)
		if !r.Incremental {
			s.t.Fatalf("the run has read everything, because %s", r.FullBecause)
		}
		return r, -1, -1
	},
	"of named users": func(s *shaken, e *run.Engine) (*store.Run, int, int) {
		only := store.Selection{Users: s.some(7, s.fake.users, func(r storedRecords) (ids []string) {
			for _, u := range r.users {
				if !u.Deleted() {
					ids = append(ids, u.ExternalID)
				}
			}
			return ids
		})}
		counted := len(only.Users)
		for _, u := range s.stored().users { // who was out of scope, and is, is nobody whom it looks at
			if _, away := s.fake.elsewhere[u.ExternalID]; away && u.OutOfScope && slices.Contains(only.Users, u.ExternalID) {
				counted--
			}
		}
		return s.rest(e.StartSelected(s.t.Context(), s.org, "corp", only, person)), counted, 0
	},
	"of named groups": func(s *shaken, e *run.Engine) (*store.Run, int, int) {
		only := store.Selection{Groups: s.some(3, s.fake.groups, func(r storedRecords) (ids []string) {
			for _, g := range r.groups {
				if !g.Deleted() {
					ids = append(ids, g.ExternalID)
				}
			}
			return ids
		})}
		return s.rest(e.StartSelected(s.t.Context(), s.org, "corp", only, person)), -1, -1
	},
	"held and approved": func(s *shaken, e *run.Engine) (*store.Run, int, int) {
		before := s.stored()
		r := s.rest(e.Start(s.t.Context(), s.org, "corp", "", false, person))
		if r.State == store.RunHeld {
			if diff := cmp.Diff(before, s.stored(), cmp.AllowUnexported(storedRecords{})); diff != "" {
				s.t.Errorf("a held run has changed (-before +after):\n%s", diff)
			}
			s.held++
			r = s.rest(e.Approve(s.t.Context(), s.org, r.ID, r.StageHash, person))
		}
		return r, len(s.fake.users) + r.Counts.Users.Deleted + r.Counts.Users.OutOfScope, len(s.fake.groups) + r.Counts.Groups.Deleted + r.Counts.Groups.OutOfScope
	},
}

// Random changes of a directory, a few at a time: whatever kind of run follows, its
// counts are the difference of the state before and after, and each record that it has
// looked at is counted once.
func TestTheCountsOfEveryKindOfRunAreTheDifferenceOfTheStateBeforeAndAfter(t *testing.T) {
	const rounds, atOnce = 12, 5
	for kind, work := range kindsOfRuns {
		t.Run(kind, func(t *testing.T) {
			both(t, func(t *testing.T, w *world) {
				seed := uint64(20261129)
				s := &shaken{world: w, r: rand.New(rand.NewPCG(seed, 2))}
				w.domain("example.com", store.DomainVerified)
				w.settings(func(s *store.Settings) {
					s.DomainPolicy = store.DomainsVerified
					if kind == "held and approved" {
						s.Guard = store.SameGuard(store.Threshold{})
					}
				})
				w.otherUser("theirs@example.com")
				if kind == "incremental" {
					w.fake.teller = &teller{}
				}
				e, _ := w.engine(w.store)
				w.fake.change(func() {
					for range 12 {
						w.fake.users = append(w.fake.users, s.newUser())
					}
					for range 5 {
						w.fake.groups = append(w.fake.groups, s.newGroup())
					}
				})
				w.pull(e)
				changed := 0
				for round := range rounds {
					w.fake.change(func() {
						was := s.entries()
						for range atOnce {
							s.change()
						}
						if w.fake.teller != nil {
							w.fake.teller.cookie++
							w.fake.teller.told = changedEntries(was, s.entries())
						}
					})
					before := w.stored()
					r, users, groups := work(s, e)
					if r.State != store.RunSucceeded {
						t.Fatalf("round %d: the run is %s: %s", round, r.State, r.Error)
					}
					happened := difference(before, w.stored())
					changed += len(happened)
					var want store.RunCounts
					tally(&want, happened)
					got := r.Counts
					if n, refused := got.Users.Refused+got.Users.Duplicated+got.Groups.Refused+got.Groups.Duplicated, w.refusals(r, happened); n > len(refused) {
						t.Errorf("round %d: %d records are counted as refused or duplicated, and findings tell only of %q", round, n, refused)
					}
					for _, c := range []struct {
						what      string
						got, want *store.Counts
						all       int
					}{{"users", &got.Users, &want.Users, users}, {"groups", &got.Groups, &want.Groups, groups}} {
						if n := sum(*c.got); c.all >= 0 && n != c.all {
							t.Errorf("round %d: %d %s are counted, want %d: %+v", round, n, c.what, c.all, *c.got)
						}
						c.want.Unchanged, c.want.Refused, c.want.Duplicated = c.got.Unchanged, c.got.Refused, c.got.Duplicated
						if diff := cmp.Diff(c.want, c.got); diff != "" {
							t.Errorf("round %d, seed %d: the difference of the %s and the counts of the run (-difference +counts):\n%s", round, seed, c.what, diff)
						}
					}
					if t.Failed() {
						return
					}
				}
				if changed < rounds {
					t.Errorf("only %d records have changed in %d rounds", changed, rounds)
				}
				if kind == "held and approved" && s.held < rounds/3 {
					t.Errorf("only %d of %d runs were held", s.held, rounds)
				}
			})
		})
	}
}
