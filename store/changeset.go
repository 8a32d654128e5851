package store

import "time"

// ChangeSet is what has to be written to make a statement true: the result of
// planning, and the input of [Tx.Apply]. Applying it is all or nothing.
type ChangeSet struct {
	Org       Key
	Directory Key
	Cause     Cause // of the events that Apply adds
	Now       time.Time
	Cap       int  // rule 5: the most users a group publishes
	Deferred  bool // leave effective membership stale, to be published by [Tx.Publish] (pull)
	Users     []UserChange
	Groups    []GroupChange
	Findings  []Finding // to be open from now on
	Resolved  []FindingKey
	Events    []Event  // to append; Apply adds those of direct and of effective membership (EventMembersChanged, EventEffectiveChanged)
	Mails     []Mail   // to queue: each is new
	Results   []Result // one for each stated record: users, then groups, in the statement's order
	Synced    bool     // a push was accepted: mark the directory as synced, to the minute
	Pulled    bool     // a pull has succeeded: mark it as synced at this moment

	DefaultRoles     []Entitlement // granted to users that are created (rule 10)
	NewLicences      []Entitlement // likewise; too few seats are [CodeConflict]
	UnassignLicences bool          // users that become inactive or are deleted lose their licences (rule 8)
	RestoreAccess    bool          // groups that come back have their product access again (rule 9)
}

// Empty reports whether applying the change set would write nothing.
func (c *ChangeSet) Empty() bool {
	return len(c.Users) == 0 && len(c.Groups) == 0 && len(c.Findings) == 0 && len(c.Resolved) == 0 && len(c.Events) == 0
}

// Licensed reports whether a user that is created is granted NewLicences: one that is
// inactive is not, where such users lose theirs (rule 8).
func (c *ChangeSet) Licensed(u *User) bool { return u.Active() || !c.UnassignLicences }

// Op is what a change does to a record.
type Op string

// The operations.
const (
	OpCreate  Op = "create"
	OpUpdate  Op = "update"
	OpDelete  Op = "delete"  // soft
	OpRestore Op = "restore" // from soft deletion, with the new content
	OpMark    Op = "mark"    // only the stored source hash changes: no version, no event
	OpForget  Op = "forget"  // a soft-deleted record that can no longer return: its stable id is cleared
)

// UserChange changes one user. Identity keys are released before any is claimed,
// over the whole change set; a claim of a key that another directory holds fails
// with [CodeStale], and the transaction is retried from its Load.
type UserChange struct {
	Op      Op
	Before  *User // nil for a create
	After   User
	Release []string
	Claim   []string
	Revived bool // a restore without memberships, roles and grants (rule 7, "Return" with no stable id on one side)
}

// GroupChange changes one group and its edges. With an empty Op only edges change.
type GroupChange struct {
	Op            Op
	Before        *Group
	After         Group // Key is always set
	Release       string
	Claim         string
	Add           []Edge
	Remove        []Edge
	AddPending    []string // stable ids
	RemovePending []string
}

// Outcome names what became of a stated record. The words are those of a run's counts.
type Outcome string

// The outcomes (product page, "Result").
const (
	Created     Outcome = "created"
	Modified    Outcome = "modified"
	Deactivated Outcome = "deactivated"
	Deleted     Outcome = "deleted"
	Duplicated  Outcome = "duplicated"
	Refused     Outcome = "refused"
	Claimed     Outcome = "claimed"
	Restored    Outcome = "restored"
	LeftScope   Outcome = "out_of_scope"
	Unchanged   Outcome = "unchanged"
)

// Result is what became of one stated record.
type Result struct {
	Kind    Kind
	Record  RecordKey
	Key     Key // 0 if there is no record
	ID      ID
	Outcome Outcome
	Err     *Error    // why it was refused or a duplicate, or what part of it was
	With    *KeyOwner // of a duplicate: who has its name or address; nil if another stated record is about to
}

// Effects are what applying a change set did to effective membership.
type Effects struct {
	Groups []GroupEffect // every group whose effective membership, count or mark changed, by Key
	Events int           // appended
	// Versions are the new ones of groups that the change set does not write, but whose
	// members it deleted or brought back.
	Versions map[Key]int64
}

// GroupEffect is the change of one group's effective membership.
type GroupEffect struct {
	Key         Key
	ID          ID
	Directory   Key
	DisplayName string
	Before      int // true counts
	After       int
	WasOver     bool
	Over        bool
	Published   int // users that became published members
	Ceased      int // users that ceased to be
}

// Effect returns the effect on one group, or a zero effect if nothing changed.
func (e *Effects) Effect(group Key) GroupEffect {
	for _, g := range e.Groups {
		if g.Key == group {
			return g
		}
	}
	return GroupEffect{Key: group}
}
