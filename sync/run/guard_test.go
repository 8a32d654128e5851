package run

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

func TestRule6TheGuardHoldsWhatExceedsBothTheCountAndThePerCentOfItsClass(t *testing.T) {
	standard := store.SameGuard(store.DefaultThreshold)
	lenient := standard
	lenient.UsersDeleted = store.Threshold{Count: 50, Percent: 10}
	staff := func(taken, of int) []store.Loss {
		return []store.Loss{{Class: store.LossMembersRemoved, Record: "g-1", Name: "staff", Taken: taken, Of: of}}
	}
	for _, c := range []struct {
		name    string
		guard   store.Guard
		losses  losses
		members []store.Loss
		earlier map[store.LossClass]int
		over    string // the classes
		says    string
	}{
		{name: "nothing is taken away", guard: standard, losses: losses{users: 100}},
		{name: "the count is not exceeded", guard: standard, losses: losses{users: 100, usersDeleted: 20}},
		{name: "the per cent is not exceeded", guard: standard, losses: losses{users: 1000, usersDeleted: 100}},
		{name: "users deleted", guard: standard, losses: losses{users: 100, usersDeleted: 21}, over: "users_deleted",
			says: "delete 21 of 100 users, which is 21 % where 20 and 10 % are allowed"},
		{name: "users deactivated are judged by the active ones", guard: standard,
			losses: losses{users: 1000, activeUsers: 100, usersDeactivated: 21}, over: "users_deactivated", says: "deactivate 21 of 100 active users"},
		{name: "groups deleted", guard: standard, losses: losses{groups: 30, groupsRemoved: 30}, over: "groups_deleted",
			says: "would delete 30 of 30 groups, which is 100 %"},
		{name: "groups that only leave the scope", guard: standard, losses: losses{groups: 30, groupsRemoved: 30, groupsLeft: 30}, over: "groups_deleted",
			says: "would put out of scope 30 of 30 groups, which is 100 %"},
		{name: "groups of both kinds", guard: standard, losses: losses{groups: 30, groupsRemoved: 30, groupsLeft: 29}, over: "groups_deleted",
			says: "would delete or put out of scope 30 of 30 groups (29 of them out of scope), which is 100 %"},
		{name: "groups that leave the scope after others were taken", guard: standard, losses: losses{groups: 25, groupsRemoved: 20, groupsLeft: 20},
			earlier: map[store.LossClass]int{store.LossGroupsDeleted: 5}, over: "groups_deleted",
			says: "would delete or put out of scope 25 of 30 groups (20 of them out of scope, 5 of them by runs of the last 24 hours)"},
		{name: "users that leave the scope", guard: standard, losses: losses{users: 100, activeUsers: 100, usersDeactivated: 30, usersLeft: 30},
			over: "users_deactivated", says: "deactivate 30 of 100 active users (30 of them out of scope)"},
		{name: "members removed from one group", guard: standard, losses: losses{}, members: staff(21, 200), over: "members_removed",
			says: "remove 21 of 200 members of the group staff"},
		{name: "few members of a large group", guard: standard, losses: losses{}, members: staff(21, 210)},
		{name: "each class by itself", guard: standard, losses: losses{users: 100, usersDeleted: 15, activeUsers: 100, usersDeactivated: 15}},
		{name: "each class by its own threshold", guard: lenient,
			losses: losses{users: 100, usersDeleted: 50, groups: 50, groupsRemoved: 50}, over: "groups_deleted"},
		{name: "several classes", guard: standard, losses: losses{users: 100, usersDeleted: 30, groups: 50, groupsRemoved: 50},
			over: "users_deleted groups_deleted", says: "delete 30 of 100 users, which is 30 % where 20 and 10 % are allowed, and delete 50 of 50 groups"},
		{name: "with what earlier runs took, of what there was before them", guard: standard, losses: losses{users: 100, usersDeleted: 5},
			earlier: map[store.LossClass]int{store.LossUsersDeleted: 16}, over: "users_deleted",
			says: "delete 21 of 116 users (16 of them by runs of the last 24 hours), which is 18.1 %"},
		{name: "what earlier runs took holds no run that takes nothing", guard: standard, losses: losses{users: 100},
			earlier: map[store.LossClass]int{store.LossUsersDeleted: 60}},
		{name: "a threshold of nothing", guard: store.Guard{}, losses: losses{users: 1000, usersDeleted: 1}, over: "users_deleted", says: "0.1 %"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var names []string
			over := exceeded(c.losses.classes(c.guard, c.earlier, c.members))
			for _, class := range over {
				names = append(names, string(class.Class))
			}
			if got := strings.Join(names, " "); got != c.over {
				t.Fatalf("over: %q, want %q", got, c.over)
			}
			if len(over) == 0 {
				return
			}
			if said := guardSentence(over); !strings.Contains(said, "nothing has been changed") || !strings.Contains(said, c.says) {
				t.Errorf("it says %q, want %q and that nothing was changed", said, c.says)
			}
		})
	}
}

func TestRule6TheGroupThatLosesMostStandsForAllThatLoseTooMany(t *testing.T) {
	limit := store.Threshold{Count: 5, Percent: 10}
	got := memberClass(limit, []store.Loss{
		{Record: "g-1", Name: "one", Taken: 9, Of: 10}, {Record: "g-2", Name: "two", Taken: 6, Of: 10, Earlier: 2}, {Record: "g-3", Name: "three", Taken: 6, Of: 100},
	})
	want := GuardClass{Class: store.LossMembersRemoved, Taken: 9, Of: 10, Over: true, Limit: limit, Groups: []GuardGroup{
		{Name: "one", ExternalID: "g-1", Taken: 9, Of: 10}, {Name: "two", ExternalID: "g-2", Taken: 6, Of: 10, Earlier: 2},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("class (-want +got):\n%s", diff)
	}
	if said := got.phrase(); !strings.Contains(said, "of the group one, and too many of 1 more groups") {
		t.Errorf("it says %q", said)
	}
}

func TestAnAttributeThatMostEntriesHadAndNoneHasHasVanished(t *testing.T) {
	summary := func(users, groups int, counts map[string]int) *PlanSummary {
		return &PlanSummary{Users: users, Groups: groups, Attributes: counts}
	}
	for _, c := range []struct {
		name      string
		last, now *PlanSummary
		want      []Vanished
	}{
		{name: "there was no earlier read", now: summary(100, 0, nil)},
		{name: "some still have it", last: summary(100, 0, map[string]int{"title": 90}), now: summary(100, 0, map[string]int{"title": 1})},
		{name: "only half had it", last: summary(100, 0, map[string]int{"title": 50}), now: summary(100, 0, nil)},
		{name: "few had it", last: summary(20, 0, map[string]int{"title": 20}), now: summary(20, 0, nil)},
		{name: "there are no users at all, which the classes judge", last: summary(100, 0, map[string]int{"title": 90}), now: summary(0, 0, nil)},
		{name: "of users", last: summary(100, 0, map[string]int{"title": 51, "emails": 100}), now: summary(90, 0, map[string]int{"emails": 2}),
			want: []Vanished{{Attribute: "title", Had: 51, Of: 100}}},
		{name: "the members of many small groups", last: summary(9, 8, map[string]int{"members": 7, "members.value": 21}), now: summary(9, 8, nil),
			want: []Vanished{{Attribute: "members", Had: 7, Of: 8}}},
		{name: "the members of few small groups", last: summary(9, 8, map[string]int{"members": 7, "members.value": 20}), now: summary(9, 8, nil)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := vanished(c.last, c.now)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("vanished (-want +got):\n%s", diff)
			}
			for _, v := range got {
				if said := v.sentence(); !strings.Contains(said, v.Attribute) || !strings.Contains(said, "bind DN may read it") {
					t.Errorf("it says %q", said)
				}
			}
		})
	}
}
