package store

import "time"

// LossClass is a kind of what a run can take away (rule 6).
type LossClass string

// The classes of rule 6.
const (
	LossUsersDeactivated LossClass = "users_deactivated" // active users who are disabled or leave the scope
	LossUsersDeleted     LossClass = "users_deleted"
	LossGroupsDeleted    LossClass = "groups_deleted"  // or out of scope: such a group publishes nobody
	LossMembersRemoved   LossClass = "members_removed" // direct members, users and groups, of one group
)

// Guard is rule 6: a run that takes away more of a class than its threshold is held.
type Guard struct {
	UsersDeactivated Threshold `json:"users_deactivated"`
	UsersDeleted     Threshold `json:"users_deleted"`
	GroupsDeleted    Threshold `json:"groups_deleted"`
	MembersRemoved   Threshold `json:"members_removed"`
}

// Threshold is exceeded by taking more than Count records AND more than Percent of
// them all.
type Threshold struct {
	Count   int     `json:"count"`
	Percent float64 `json:"percent"`
}

// DefaultThreshold is that of every class unless configured (product page, rule 6).
var DefaultThreshold = Threshold{Count: 20, Percent: 10}

// SameGuard is a guard with one threshold for every class.
func SameGuard(t Threshold) Guard {
	return Guard{UsersDeactivated: t, UsersDeleted: t, GroupsDeleted: t, MembersRemoved: t}
}

// Exceeded reports whether taking so many of so many is too much.
func (t Threshold) Exceeded(taken, of int) bool {
	return taken > t.Count && float64(taken)*100 > t.Percent*float64(of)
}

// Loss is what is taken away of one class; of [LossMembersRemoved], of one group.
type Loss struct {
	Class   LossClass
	Record  string // of members: the group's stable id
	Name    string // of members: the group's displayName
	Taken   int    // with Earlier
	Of      int    // before the run, and before Earlier
	Earlier int    // of Taken, what incremental runs took since [LossQuery.Since]
}

// LossQuery asks which groups lose members by a stage.
type LossQuery struct {
	Run       Key
	Directory Key
	// Replicates says that a user who is gone will be deleted, and so counts among
	// the users and not again among the members of each group.
	Replicates bool
	Threshold  Threshold
	Since      time.Time // count with what incremental runs took since
	Limit      int       // at most so many groups, those over the threshold first
}
