package run

import (
	"fmt"
	"strings"

	"github.com/provost-scim/provost/store"
)

// GuardClass is one class of rule 6: how many of its records a run would take away.
type GuardClass struct {
	Class string `json:"class"` // users_deactivated, users_deleted or groups_deleted
	Taken int    `json:"taken"`
	Of    int    `json:"of"`
	Over  bool   `json:"over"` // beyond the threshold

	phrase string
}

// losses counts what a stage would take away.
type losses struct {
	activeUsers, users, groups                    int // stored
	usersDeactivated, usersDeleted, groupsRemoved int
}

// stored counts one stored record.
func (l *losses) stored(n *node) {
	switch {
	case !n.is(known):
	case !n.is(isUser):
		l.groups++
	default:
		l.users++
		if n.is(active) && !n.is(outOfScope) {
			l.activeUsers++
		}
	}
}

// deactivates counts a user whom the stage makes inactive or puts out of scope.
func (l *losses) deactivates(n *node) {
	if n.is(known|active) && !n.is(outOfScope) {
		l.usersDeactivated++
	}
}

// classes judges the losses by the directory's guard. The classes share one
// threshold. A group that leaves the scope publishes nobody, so it counts with the
// deleted ones. With replicate_state off nothing is deleted.
func (l *losses) classes(g store.Guard) []GuardClass {
	list := []GuardClass{
		{Class: "users_deactivated", Taken: l.usersDeactivated, Of: l.activeUsers, phrase: "deactivate %d of %d active users"},
		{Class: "users_deleted", Taken: l.usersDeleted, Of: l.users, phrase: "delete %d of %d users"},
		{Class: "groups_deleted", Taken: l.groupsRemoved, Of: l.groups, phrase: "delete or put out of scope %d of %d groups"},
	}
	for i := range list {
		c := &list[i]
		c.Over = c.Taken > g.Count && c.Of > 0 && float64(c.Taken)*100/float64(c.Of) > g.Percent
	}
	return list
}

func exceeded(classes []GuardClass) []GuardClass {
	var over []GuardClass
	for _, c := range classes {
		if c.Over {
			over = append(over, c)
		}
	}
	return over
}

// guardSentence tells a person what is held and what to do.
func guardSentence(g store.Guard, over []GuardClass) string {
	parts := make([]string, len(over))
	for i, c := range over {
		parts[i] = fmt.Sprintf(c.phrase, c.Taken, c.Of)
	}
	return fmt.Sprintf("the run would %s, more than %d and %g %%: nothing has been changed; approve or discard it",
		strings.Join(parts, " and "), g.Count, g.Percent)
}
