package run_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/run"
)

// shaken is a directory that changes at random. Entries have DNs of their ids, so that
// names can change freely.
type shaken struct {
	*world
	r     *rand.Rand
	next  int
	away  []store.Entry // exist elsewhere, outside of what is read
	freed []string      // userNames of who has gone
	held  int           // runs that were held
}

func (s *shaken) id() string { s.next++; return fmt.Sprintf("e-%03d", s.next) }

func (s *shaken) newUser() store.Entry {
	id := s.id()
	e := user(id, id)
	if len(s.freed) > 0 && s.r.IntN(2) == 0 {
		e.Attributes.UserName = s.freed[s.r.IntN(len(s.freed))]
	}
	return e
}

func (s *shaken) newGroup() store.Entry {
	id := s.id()
	e := group(id, id)
	s.members(&e)
	return e
}

// members chooses whom a group has: users and groups, read or elsewhere, and nobody.
func (s *shaken) members(e *store.Entry) {
	e.MemberDNs = []string{"uid=nobody,dc=example"}
	for _, list := range [][]store.Entry{s.fake.users, s.fake.users, s.fake.groups, s.away} {
		if len(list) > 0 && s.r.IntN(3) > 0 {
			e.MemberDNs = append(e.MemberDNs, list[s.r.IntN(len(list))].DN)
		}
	}
}

// change makes one change of the directory.
func (s *shaken) change() {
	users, groups := s.fake.users, s.fake.groups
	u, g := s.r.IntN(len(users)), s.r.IntN(len(groups))
	a := &users[u].Attributes
	switch s.r.IntN(17) {
	case 0, 1:
		s.fake.users = append(users, s.newUser())
	case 2:
		a.UserName = s.id() + "@example.com"
	case 3: // a name that another has
		a.UserName = users[s.r.IntN(len(users))].Attributes.UserName
	case 4: // swapped
		b := &users[s.r.IntN(len(users))].Attributes
		a.UserName, b.UserName = b.UserName, a.UserName
	case 5:
		active := s.r.IntN(2) == 0
		users[u].Active = &active
	case 6: // gone
		s.freed = append(s.freed, a.UserName)
		s.fake.users = slices.Delete(users, u, u+1)
	case 7: // out of scope
		s.leave(&s.fake.users, u)
	case 8:
		a.Title = s.id()
	case 9:
		a.UserName = s.id() + "@elsewhere.test" // which nobody has verified
	case 10: // a name that another directory has
		a.UserName = "theirs@example.com"
	case 11:
		users[u].Invalid = map[bool]string{true: "", false: "no user name"}[users[u].Invalid != ""]
	case 12:
		users[u].ManagerDN = users[s.r.IntN(len(users))].DN
	case 13:
		s.fake.groups = append(groups, s.newGroup())
	case 14:
		s.members(&groups[g])
		if s.r.IntN(3) == 0 {
			other := s.r.IntN(len(groups))
			groups[g].DisplayName, groups[other].DisplayName = groups[other].DisplayName, groups[g].DisplayName
		}
	case 15:
		if len(groups) > 2 {
			if s.r.IntN(2) == 0 {
				s.leave(&s.fake.groups, g)
			} else {
				s.fake.groups = slices.Delete(groups, g, g+1)
			}
		}
	case 16: // back
		if len(s.away) > 0 {
			e := s.away[0]
			s.away = s.away[1:]
			delete(s.fake.elsewhere, e.ExternalID)
			if e.Kind == store.KindUser {
				s.fake.users = append(s.fake.users, e)
			} else {
				s.fake.groups = append(s.fake.groups, e)
			}
		}
	}
	if len(s.fake.users) < 3 {
		s.fake.users = append(s.fake.users, s.newUser())
	}
}

func (s *shaken) leave(list *[]store.Entry, i int) {
	e := (*list)[i]
	s.fake.elsewhere[e.ExternalID] = e.DN
	s.away = append(s.away, e)
	*list = slices.Delete(*list, i, i+1)
}

// storedRecords are the records of the pulled directory by public id, the deleted ones too.
type storedRecords struct {
	users   map[store.ID]store.User
	groups  map[store.ID]store.Group
	members map[store.ID]string
}

func (w *world) stored() storedRecords {
	w.t.Helper()
	s := storedRecords{map[store.ID]store.User{}, map[store.ID]store.Group{}, map[store.ID]string{}}
	w.view(func(v store.Reader) error {
		for _, deleted := range []bool{false, true} {
			q := store.Query{Org: w.org, Directory: &w.dir.Key, Limit: 1000, Deleted: deleted}
			users, err := v.Users(w.t.Context(), q)
			if err != nil {
				return err
			}
			for _, u := range users.Items {
				s.users[u.ID] = u
			}
			groups, err := v.Groups(w.t.Context(), q)
			if err != nil {
				return err
			}
			for _, g := range groups.Items {
				s.groups[g.ID] = g
				page, err := v.Members(w.t.Context(), store.MemberQuery{Org: w.org, Group: g.Key})
				if err != nil {
					return err
				}
				var ids []string
				for _, m := range page.Items {
					ids = append(ids, string(m.ID))
				}
				slices.Sort(ids)
				s.members[g.ID] = strings.Join(ids, " ")
			}
		}
		return nil
	})
	return s
}

// became is what a record has become, judged by nothing but its state before and after.
func became(existed, wasDeleted, isDeleted, wasOut, isOut, wasOn, isOn, changed bool) store.Outcome {
	switch {
	case !existed:
		return store.Created
	case wasDeleted && !isDeleted:
		return store.Restored
	case !wasDeleted && isDeleted:
		return store.Deleted
	case !wasOut && isOut:
		return store.LeftScope
	case wasOut && !isOut:
		return store.Restored
	case wasOn && !isOn:
		return store.Deactivated
	case changed:
		return store.Modified
	}
	return store.Unchanged
}

// difference is what each record that is not as before has become, by kind and stable id.
func difference(before, after storedRecords) map[string]store.Outcome {
	out := map[string]store.Outcome{}
	for id, a := range after.users {
		b, existed := before.users[id]
		if o := became(existed, b.Deleted(), a.Deleted(), b.OutOfScope, a.OutOfScope, b.Stated, a.Stated, a.Version != b.Version); o != store.Unchanged {
			out["User "+a.ExternalID] = o
		}
	}
	for id, a := range after.groups {
		b, existed := before.groups[id]
		changed := a.Version != b.Version
		if !changed && before.members[id] != after.members[id] && !comeOrGone(before, after, id) {
			changed = true // and so not counted
		}
		if o := became(existed, b.Deleted(), a.Deleted(), b.OutOfScope, a.OutOfScope, false, false, changed); o != store.Unchanged {
			out["Group "+a.ExternalID] = o
		}
	}
	return out
}

// comeOrGone reports whether a group's members differ only by records that were created,
// deleted or restored: that is counted there, and not as a change of the group.
func comeOrGone(before, after storedRecords, group store.ID) bool {
	alive := func(s storedRecords, id store.ID) bool {
		u, isUser := s.users[id]
		g, isGroup := s.groups[id]
		return isUser && !u.Deleted() || isGroup && !g.Deleted()
	}
	was, is := strings.Fields(before.members[group]), strings.Fields(after.members[group])
	for _, id := range slices.Concat(was, is) {
		if slices.Contains(was, id) != slices.Contains(is, id) && alive(before, store.ID(id)) == alive(after, store.ID(id)) {
			return false
		}
	}
	return true
}

func tally(counts *store.RunCounts, outcomes map[string]store.Outcome) {
	for name, o := range outcomes {
		if strings.HasPrefix(name, "User ") {
			counts.Users.Add(o, 1)
		} else {
			counts.Groups.Add(o, 1)
		}
	}
}

// A hundred random changes of a directory, a few at a time: what the plan says of each
// record is what the run does with it, its counts are those of the run, and both are
// the difference of the state before and after.
func TestWhatThePlanSaysIsExactlyWhatTheRunDoesAndItsCountsAreTheDifference(t *testing.T) {
	const changes, atOnce = 100, 5
	both(t, func(t *testing.T, w *world) {
		seed := uint64(20260301)
		s := &shaken{world: w, r: rand.New(rand.NewPCG(seed, 1))}
		w.domain("example.com", store.DomainVerified)
		w.settings(func(s *store.Settings) { s.DomainPolicy = store.DomainsVerified })
		w.otherUser("theirs@example.com")
		e, _ := w.engine(w.store)
		whole := cmp.AllowUnexported(storedRecords{})
		w.fake.change(func() {
			for range 12 {
				w.fake.users = append(w.fake.users, s.newUser())
			}
			for range 5 {
				w.fake.groups = append(w.fake.groups, s.newGroup())
			}
		})
		w.pull(e)
		for done := 0; done < changes; done += atOnce {
			w.fake.change(func() {
				for range atOnce {
					s.change()
				}
			})
			before := w.stored()
			plan := w.rest(e.Plan(t.Context(), w.org, "corp", person))
			var summary run.PlanSummary
			if err := json.Unmarshal(plan.Plan, &summary); err != nil || summary.Counts == nil {
				t.Fatalf("the plan is %s: %v", plan.Plan, err)
			}
			planned, refused := map[string]store.Outcome{}, map[string]store.Outcome{}
			var moves []string
			for window := range plan.Windows {
				items, err := e.PlanItems(t.Context(), w.org, plan.ID, window)
				if err != nil {
					t.Fatal(err)
				}
				members, err := e.PlanMembers(t.Context(), w.org, plan.ID, window)
				if err != nil {
					t.Fatal(err)
				}
				moves = append(moves, lines(t, items, members)...)
				for _, item := range items {
					switch name := string(item.Kind) + " " + item.ExternalID; item.Outcome {
					case store.Unchanged:
					case store.Refused, store.Duplicated:
						refused[name] = item.Outcome
					default:
						planned[name] = item.Outcome
					}
				}
			}
			if now := w.stored(); !cmp.Equal(before, now, whole) {
				t.Fatalf("after %d changes, seed %d: the plan changed something (-before +after):\n%s", done, seed, cmp.Diff(before, now, whole))
			}
			r := w.rest(e.Start(t.Context(), w.org, "corp", plan.ID, false, person))
			if r.State != store.RunSucceeded {
				t.Fatalf("the run is %s: %s", r.State, r.Error)
			}
			after := w.stored()
			happened := difference(before, after)
			slices.Sort(moves)
			if diff := cmp.Diff(moved(before, after), moves); diff != "" {
				t.Errorf("after %d changes, seed %d: how members moved and were planned to (-moved +planned):\n%s", done, seed, diff)
			}
			if diff := cmp.Diff(happened, planned); diff != "" {
				t.Errorf("after %d changes, seed %d: what happened and what was planned (-happened +planned):\n%s", done, seed, diff)
			}
			if diff := cmp.Diff(r.Counts, *summary.Counts); diff != "" {
				t.Errorf("after %d changes, seed %d: counts of the run and of the plan (-run +plan):\n%s", done, seed, diff)
			}
			var sums store.RunCounts
			tally(&sums, happened)
			tally(&sums, refused)
			sums.Users.Unchanged, sums.Groups.Unchanged = r.Counts.Users.Unchanged, r.Counts.Groups.Unchanged
			if diff := cmp.Diff(sums, r.Counts); diff != "" {
				t.Errorf("after %d changes, seed %d: the difference and the counts of the run (-difference +counts):\n%s", done, seed, diff)
			}
			if t.Failed() {
				return
			}
		}
	})
}

// moved are the direct members that each group has gained and lost, judged by nothing
// but the state before and after; of groups that are gone it says nothing.
func moved(before, after storedRecords) []string {
	name := func(id store.ID) string {
		for _, s := range []storedRecords{after, before} {
			if u, ok := s.users[id]; ok {
				return "User " + u.ExternalID
			}
			if g, ok := s.groups[id]; ok {
				return "Group " + g.ExternalID
			}
		}
		return string(id)
	}
	var out []string
	for id, g := range after.groups {
		if g.Deleted() {
			continue
		}
		was, is := strings.Fields(before.members[id]), strings.Fields(after.members[id])
		for _, m := range is {
			if !slices.Contains(was, m) {
				out = append(out, g.ExternalID+" + "+name(store.ID(m)))
			}
		}
		for _, m := range was {
			if !slices.Contains(is, m) {
				out = append(out, g.ExternalID+" - "+name(store.ID(m)))
			}
		}
	}
	slices.Sort(out)
	return out
}

// lines writes the members that a window of a plan moves as [moved] does, and holds the
// counts of its items to them.
func lines(t *testing.T, items []store.PlanItem, members []store.PlanMember) (out []string) {
	t.Helper()
	joining, leaving := make([]int, len(items)), make([]int, len(items))
	for _, m := range members {
		sign := " - "
		if m.Joins {
			sign = " + "
		}
		out = append(out, m.Group.ExternalID+sign+string(m.Member.Kind)+" "+m.Member.ExternalID)
		if m.Member.Name == "" || m.Group.Name == "" {
			t.Errorf("%q has no name: %+v", out[len(out)-1], m)
		}
		switch {
		case m.Item < 0:
		case m.Joins:
			joining[m.Item]++
		default:
			leaving[m.Item]++
		}
	}
	for i := range items {
		if items[i].Joining != joining[i] || items[i].Leaving != leaving[i] {
			t.Errorf("the item %s counts %d who join and %d who leave, and there are %d and %d",
				items[i].Name, items[i].Joining, items[i].Leaving, joining[i], leaving[i])
		}
	}
	return out
}

// otherUser makes a user of another directory.
func (w *world) otherUser(name string) {
	w.t.Helper()
	w.update(func(tx store.Tx) error {
		now := w.clock.now().UTC()
		d := &store.Directory{
			ID: store.NewID(now), Org: w.org, Name: "other", Kind: store.DirectorySCIM,
			Settings: store.DefaultSettings(store.DirectorySCIM), Revision: 1, CreatedAt: now, UpdatedAt: now,
		}
		if err := tx.CreateDirectory(w.t.Context(), d); err != nil {
			return err
		}
		keys, err := tx.Keys(w.t.Context(), store.KindUser, 1)
		if err != nil {
			return err
		}
		u := store.User{
			Key: keys[0], ID: store.NewID(now), Org: w.org, Directory: d.Key, Attributes: store.Attributes{UserName: name},
			Stated: true, Enabled: true, Version: 1, CreatedAt: now, ModifiedAt: now,
		}
		_, err = tx.Apply(w.t.Context(), &store.ChangeSet{
			Org: w.org, Directory: d.Key, Now: now, Cap: 10, Users: []store.UserChange{{Op: store.OpCreate, After: u, Claim: u.Attributes.IdentityKeys()}},
		})
		return err
	})
}

// A group is not staged for a member that it has awaited and that comes, nor when it is
// refused itself while a member is deleted; the plan tells of both.
func TestAPlanTellsOfMembersOfGroupsThatTheRunDoesNotState(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.domain("example.com", store.DomainVerified)
		w.settings(func(s *store.Settings) { s.DomainPolicy = store.DomainsVerified })
		e, _ := w.engine(w.store)
		late := user("late", "late")
		late.Attributes.UserName = "late@elsewhere.test"
		w.pulled(e, user("ann", "ann"), user("bob", "bob"), late, group("g1", "waits", "ann", "late"), group("g2", "refused", "ann", "bob"), group("g3", "other"))
		w.fake.change(func() {
			w.fake.user("late").Attributes.UserName = "late@example.com"
			for i := range w.fake.groups {
				if g := &w.fake.groups[i]; g.ExternalID == "g2" {
					g.DisplayName = "other" // which g3 has
				}
			}
		})
		w.fake.drop("bob")
		before := w.stored()
		plan := w.rest(e.Plan(t.Context(), w.org, "corp", person))
		var planned []string
		for window := range plan.Windows {
			items, err := e.PlanItems(t.Context(), w.org, plan.ID, window)
			if err != nil {
				t.Fatal(err)
			}
			members, err := e.PlanMembers(t.Context(), w.org, plan.ID, window)
			if err != nil {
				t.Fatal(err)
			}
			planned = append(planned, lines(t, items, members)...)
		}
		if diff := cmp.Diff([]string{"g1 + User late", "g2 - User bob"}, planned); diff != "" {
			t.Errorf("planned (-want +got):\n%s", diff)
		}
		if r := w.rest(e.Start(t.Context(), w.org, "corp", plan.ID, false, person)); r.State != store.RunSucceeded {
			t.Fatalf("the run is %s: %s", r.State, r.Error)
		}
		if diff := cmp.Diff(planned, moved(before, w.stored())); diff != "" {
			t.Errorf("moved (-planned +moved):\n%s", diff)
		}
	})
}
