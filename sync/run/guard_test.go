package run

import (
	"strings"
	"testing"

	"github.com/provost-scim/provost/store"
)

func TestTheGuardHoldsWhatExceedsBothTheCountAndThePerCent(t *testing.T) {
	guard := store.Guard{Count: 20, Percent: 10}
	for _, c := range []struct {
		name   string
		losses losses
		over   string
	}{
		{"nothing is taken away", losses{users: 100}, ""},
		{"the count is not exceeded", losses{users: 100, usersDeleted: 20}, ""},
		{"the per cent is not exceeded", losses{users: 1000, usersDeleted: 100}, ""},
		{"users deleted", losses{users: 100, usersDeleted: 21}, "users_deleted"},
		{"users deactivated are judged by the active ones", losses{users: 1000, activeUsers: 100, usersDeactivated: 21}, "users_deactivated"},
		{"groups deleted", losses{groups: 30, groupsRemoved: 30}, "groups_deleted"},
		{"each class by itself", losses{users: 100, usersDeleted: 15, activeUsers: 100, usersDeactivated: 15}, ""},
		{"several classes", losses{users: 100, usersDeleted: 30, groups: 50, groupsRemoved: 50}, "users_deleted groups_deleted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var names []string
			over := exceeded(c.losses.classes(guard))
			for _, class := range over {
				names = append(names, class.Class)
			}
			if got := strings.Join(names, " "); got != c.over {
				t.Errorf("over: %q, want %q", got, c.over)
			}
			if len(over) > 0 && !strings.Contains(guardSentence(guard, over), "nothing has been changed") {
				t.Errorf("the sentence %q does not say that nothing was changed", guardSentence(guard, over))
			}
		})
	}
}
