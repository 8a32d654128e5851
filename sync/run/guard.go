package run

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/provost-scim/provost/store"
)

// GuardClass is one class of rule 6: how much of it a run would take away.
type GuardClass struct {
	Class store.LossClass `json:"class"`
	// Taken and Of are counts of records; of members_removed, of the direct members
	// of the group that loses most.
	Taken int `json:"taken"`
	Of    int `json:"of"`
	// Earlier is what of Taken incremental runs of the last 24 hours took, which are
	// judged together. Of is what there was before them.
	Earlier int `json:"earlier,omitempty"`
	// OutOfScope is what of Taken only leaves the scope, and comes back with it (rule 7).
	OutOfScope int `json:"out_of_scope,omitempty"`
	// Over says that it is beyond the threshold.
	Over  bool            `json:"over"`
	Limit store.Threshold `json:"limit"`
	// Groups are, of members_removed, those over the threshold, at most 100, or else the one that loses most.
	Groups []GuardGroup `json:"groups,omitempty"`
}

// GuardGroup is a group that loses members.
type GuardGroup struct {
	Name       string `json:"name"`
	ExternalID string `json:"external_id"`
	Taken      int    `json:"taken"`
	Of         int    `json:"of"`
	Earlier    int    `json:"earlier,omitempty"`
}

// guardWindow is how far back incremental runs count, and guardGroups how many groups
// over the threshold are named.
const (
	guardWindow = 24 * time.Hour
	guardGroups = 100
)

// losses counts what a stage would take away, but for members, which the store
// compares.
type losses struct {
	activeUsers, users, groups                    int // stored
	usersDeactivated, usersDeleted, groupsRemoved int
	usersLeft, groupsLeft                         int // of usersDeactivated and groupsRemoved: out of scope
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

// deactivates counts a user whom the stage makes inactive.
func (l *losses) deactivates(n *node) {
	if n.is(known|active) && !n.is(outOfScope) {
		l.usersDeactivated++
	}
}

// leaves counts a record that the stage puts out of scope: a group publishes nobody then,
// so it counts with the deleted ones, and an active user becomes inactive.
func (l *losses) leaves(n *node) {
	switch {
	case !n.is(isUser):
		l.groupsRemoved++
		l.groupsLeft++
	case n.is(known|active) && !n.is(outOfScope):
		l.usersDeactivated++
		l.usersLeft++
	}
}

// classes judges the losses by the directory's guard, together with what earlier runs
// took. With replicate_state off nothing is deleted.
func (l *losses) classes(g store.Guard, earlier map[store.LossClass]int, members []store.Loss) []GuardClass {
	class := func(c store.LossClass, limit store.Threshold, taken, left, of int) GuardClass {
		past := earlier[c]
		out := GuardClass{Class: c, Taken: taken + past, Of: of + past, Earlier: past, OutOfScope: left, Limit: limit}
		out.Over = taken > 0 && limit.Exceeded(out.Taken, out.Of)
		return out
	}
	return []GuardClass{
		class(store.LossUsersDeactivated, g.UsersDeactivated, l.usersDeactivated, l.usersLeft, l.activeUsers),
		class(store.LossUsersDeleted, g.UsersDeleted, l.usersDeleted, 0, l.users),
		class(store.LossGroupsDeleted, g.GroupsDeleted, l.groupsRemoved, l.groupsLeft, l.groups),
		memberClass(g.MembersRemoved, members),
	}
}

// memberClass is the class of the group that loses most, which comes first.
func memberClass(limit store.Threshold, groups []store.Loss) GuardClass {
	c := GuardClass{Class: store.LossMembersRemoved, Limit: limit}
	for i, l := range groups {
		over := limit.Exceeded(l.Taken, l.Of)
		if i == 0 {
			c.Taken, c.Of, c.Earlier, c.Over = l.Taken, l.Of, l.Earlier, over
		}
		if i == 0 || over && len(c.Groups) < guardGroups {
			c.Groups = append(c.Groups, GuardGroup{Name: l.Name, ExternalID: l.Record, Taken: l.Taken, Of: l.Of, Earlier: l.Earlier})
		}
	}
	return c
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

// weigh finds out what applying the sealed stage would take away, and what of it runs
// that follow have to count: nothing, unless the run is incremental or of a selection.
func (r *reading) weigh(ctx context.Context, v store.Reader, run *store.Run) (classes []GuardClass, noted []store.Loss, err error) {
	guard, now := r.directory.Settings.Guard, r.w.e.now()
	q := store.LossQuery{
		Run: run.Key, Directory: r.directory.Key, Replicates: r.directory.Settings.ReplicateState,
		Threshold: guard.MembersRemoved, Since: now.Add(-guardWindow), Limit: guardGroups,
	}
	if run.Incremental || run.Selection != nil {
		q.Limit = 0 // all that the store hands out
	}
	earlier, err := v.EarlierLosses(ctx, q.Directory, q.Since)
	if err != nil {
		return nil, nil, err
	}
	members, err := v.MemberLosses(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	classes = r.losses.classes(guard, earlier, members)
	if !run.Incremental && run.Selection == nil {
		return classes, nil, nil
	}
	noted = members
	for _, c := range classes {
		if c.Class != store.LossMembersRemoved {
			noted = append(noted, store.Loss{Class: c.Class, Taken: c.Taken, Of: c.Of, Earlier: c.Earlier})
		}
	}
	return classes, noted, nil
}

// verdict is why a run is held: what is over a threshold, what has
// vanished, and what may be out of sight.
type verdict struct {
	over     []GuardClass
	vanished []Vanished
	hidden   []Container
}

func (v *verdict) holds() bool { return len(v.over)+len(v.vanished)+len(v.hidden) > 0 }

// findings tell a person what is held and what to do.
func (r *reading) guardFindings(run *store.Run, v *verdict) []store.Finding {
	now := r.w.e.now()
	finding := func(rule, record, sentence string) store.Finding {
		return store.Finding{
			FindingKey: store.FindingKey{Directory: run.Directory, Rule: rule, Record: record},
			Org:        run.Org, Run: run.Key, RunID: run.ID, Name: run.DirectoryName, Sentence: sentence, OpenedAt: now, SeenAt: now,
		}
	}
	var list []store.Finding
	if len(v.over) > 0 {
		list = append(list, finding(store.RuleGuard, string(r.directory.ID), guardSentence(v.over)))
	}
	for _, a := range v.vanished {
		list = append(list, finding(store.RuleVanished, a.Attribute, a.sentence()))
	}
	for _, c := range v.hidden {
		f := finding(store.RuleHidden, invalidRecord("", c.DN), c.sentence())
		f.DN = c.DN
		list = append(list, f)
	}
	return list
}

// untouched ends the sentences of the guard.
const untouched = "nothing has been changed; approve or discard the run"

func guardSentence(over []GuardClass) string {
	parts := make([]string, len(over))
	for i := range over {
		parts[i] = over[i].phrase()
	}
	return "the run would " + strings.Join(parts, ", and ") + ": " + untouched
}

// phrase says what would be taken away, and how much more than allowed that is.
func (c *GuardClass) phrase() string {
	what := fmt.Sprintf("%d of %d", c.Taken, c.Of)
	switch c.Class {
	case store.LossUsersDeactivated:
		what = "deactivate " + what + " active users"
	case store.LossUsersDeleted:
		what = "delete " + what + " users"
	case store.LossGroupsDeleted:
		what = c.takesGroups(what + " groups")
	case store.LossMembersRemoved:
		what = "remove " + what + " members of the group " + c.Groups[0].Name
		if n := len(c.Groups) - 1; n > 0 {
			what += fmt.Sprintf(", and too many of %d more groups", n)
		}
	}
	var notes []string
	if c.OutOfScope > 0 && (c.Class != store.LossGroupsDeleted || c.OutOfScope < c.Taken) {
		notes = append(notes, fmt.Sprintf("%d of them out of scope", c.OutOfScope))
	}
	if c.Earlier > 0 {
		notes = append(notes, fmt.Sprintf("%d of them by runs of the last 24 hours", c.Earlier))
	}
	if len(notes) > 0 {
		what += " (" + strings.Join(notes, ", ") + ")"
	}
	return what + fmt.Sprintf(", which is %.3g %% where %d and %g %% are allowed", float64(c.Taken)*100/float64(max(c.Of, 1)), c.Limit.Count, c.Limit.Percent)
}

// takesGroups says what becomes of groups: those that leave the scope are not deleted. What
// earlier runs did is not told apart.
func (c *GuardClass) takesGroups(what string) string {
	switch {
	case c.OutOfScope == c.Taken:
		return "put out of scope " + what
	case c.OutOfScope+c.Earlier == 0:
		return "delete " + what
	}
	return "delete or put out of scope " + what
}
