package store

import (
	"encoding/json"
	"time"
)

// RunState is where a sync run stands (product page, "A run").
type RunState string

// The states. Planned covers the reading of a plan as well as its waiting; the
// phase tells which.
const (
	RunPlanned   RunState = "planned"
	RunRunning   RunState = "running"
	RunHeld      RunState = "held"
	RunSucceeded RunState = "succeeded"
	RunFailed    RunState = "failed"
	RunDiscarded RunState = "discarded"
)

// Finished reports whether nothing further will happen to a run in this state.
func (s RunState) Finished() bool {
	return s == RunSucceeded || s == RunFailed || s == RunDiscarded
}

// RunPhase is what a run is doing.
type RunPhase string

// The phases, in order.
const (
	PhaseQueued  RunPhase = "queued"  // waits for a worker
	PhaseRead    RunPhase = "read"    // reads the directory and stages what differs
	PhaseReady   RunPhase = "ready"   // staged whole: a plan to look at, or held
	PhaseApply   RunPhase = "apply"   // applies the stage in windows
	PhasePublish RunPhase = "publish" // publishes effective membership
	PhaseDone    RunPhase = "done"
)

// Run is one pull of one directory, from plan to result.
type Run struct {
	Key           Key
	ID            ID
	Org           Key
	Directory     Key
	DirectoryName string
	State         RunState
	Phase         RunPhase
	Apply         bool // apply without asking once staged (a run, not a plan)
	Approved      bool // a person approved it: the guard does not hold it again
	ApprovedBy    string
	DiscardedBy   string     // who discarded it, or the run that replaced it
	Selection     *Selection // only these are synchronized; nil: the directory
	Incremental   bool       // it read only what has changed since an earlier run
	Cause         Cause
	Full          bool            // a person asked for a full read
	FullBecause   string          // why it read everything, in a part of a sentence; empty if it did not
	Cookie        json.RawMessage // from where a later run may go on when this one has succeeded; null if none may
	Revision      int64           // of the directory's settings that it read with
	PolicyHash    string          // of the domains and the cap that it planned with
	StageHash     string          // of the whole stage; what an approval is bound to
	Windows       int             // of the stage
	NextWindow    int             // the first one not applied
	Plan          json.RawMessage // the summary made when the stage was complete
	Counts        RunCounts
	Drift         *Drift // what it found that incremental runs had missed; nil: none was before it, or it was one
	Progress      Progress
	Phases        []PhaseTime
	Error         string
	Owner         string // the worker that holds the lease
	Fence         int64
	Writes        int64 // transactions of its workers; fewer than were committed: the database was set back
	LeaseUntil    time.Time
	CreatedAt     time.Time
	StartedAt     time.Time
	FinishedAt    time.Time
}

// Selection names what a run synchronizes (product page, "Selected"): each by name,
// DN, stable id, or the id of its record.
type Selection struct {
	Users  []string `json:"users,omitempty"`
	Groups []string `json:"groups,omitempty"`
	Import *Import  `json:"import,omitempty"` // nil: users that are created are as those of any run
}

// Import says how users are made that a run of a selection creates (product page,
// "Search and import").
type Import struct {
	Roles   []string `json:"roles"`             // names; instead of the directory's default roles; nil: those
	Enabled *bool    `json:"enabled,omitempty"` // instead of enable_new_users
	// Like is whose roles and licences are copied, by userName; Roles and Licences are
	// those that it held itself when the import was asked for.
	Like     string `json:"like,omitempty"`
	Licences []ID   `json:"licences,omitempty"`
}

// Drift is what a full run changed of what incremental runs before it had left wrong:
// users and groups of which the directory, asked after the read, tells of no change
// since the last of those runs that would concern them.
type Drift struct {
	Users  int `json:"users"`
	Groups int `json:"groups"`
	// Records are the first of them, at most [MaxDriftRecords].
	Records []DriftRecord `json:"records,omitempty"`
	// Unknown is why nobody can tell what had been missed from what has changed since,
	// in a part of a sentence; then nothing is counted.
	Unknown string `json:"unknown,omitempty"`
}

// DriftRecord is one user or group of a [Drift].
type DriftRecord struct {
	Kind       Kind    `json:"kind"`
	ID         ID      `json:"id"`
	ExternalID string  `json:"external_id"`
	Name       string  `json:"name"` // userName or displayName
	Outcome    Outcome `json:"outcome"`
}

// MaxDriftRecords bounds the records that a run names.
const MaxDriftRecords = 100

// RunCounts are the results of a run by kind.
type RunCounts struct {
	Users  Counts `json:"users"`
	Groups Counts `json:"groups"`
}

// Counts counts records by [Outcome].
type Counts struct {
	Created     int `json:"created"`
	Modified    int `json:"modified"`
	Deactivated int `json:"deactivated"`
	Deleted     int `json:"deleted"`
	Duplicated  int `json:"duplicated"`
	Refused     int `json:"refused"`
	Claimed     int `json:"claimed"`
	Restored    int `json:"restored"`
	OutOfScope  int `json:"out_of_scope"`
	Unchanged   int `json:"unchanged"`
}

// Add counts n records of one outcome.
func (c *Counts) Add(o Outcome, n int) {
	switch o {
	case Created:
		c.Created += n
	case Modified:
		c.Modified += n
	case Deactivated:
		c.Deactivated += n
	case Deleted:
		c.Deleted += n
	case Duplicated:
		c.Duplicated += n
	case Refused:
		c.Refused += n
	case Claimed:
		c.Claimed += n
	case Restored:
		c.Restored += n
	case LeftScope:
		c.OutOfScope += n
	case Unchanged:
		c.Unchanged += n
	}
}

// Progress is how far a run is.
type Progress struct {
	ReadUsers  int `json:"read_users"`
	ReadGroups int `json:"read_groups"`
	Staged     int `json:"staged"`
	Applied    int `json:"applied"`
}

// PhaseTime is when a phase began and how long it took; zero while it goes on.
type PhaseTime struct {
	Phase   RunPhase  `json:"phase"`
	Start   time.Time `json:"start"`
	Seconds float64   `json:"seconds"`
}

// Lease is the proof that a worker holds a run: its fence was given by a claim
// and is checked by every transaction that writes for the run.
type Lease struct {
	Run   Key
	Fence int64
}

// StagePhase orders the rows of a stage: users, then groups with their members,
// then what takes away. A member that is created after its group is pending until
// then, and effective membership is published once, last.
type StagePhase int

// The stage phases.
const (
	StageUsers  StagePhase = 1 // users that are there
	StageGroups StagePhase = 2 // groups that are there, with their members
	StageGone   StagePhase = 3 // whatever is gone or left the scope
)

// Staged is one row of a run's stage: a statement about one record that differs
// from what is stored.
type Staged struct {
	Seq        int64 // set by the store; rows of one phase are applied in this order
	Phase      StagePhase
	Window     int // set by the store when the stage is sealed
	Kind       Kind
	ExternalID string
	Presence   Presence
	Body       json.RawMessage // a [StagedUser] or [StagedGroup]; empty for Gone and Left
	Hash       []byte
	Keys       []string // folded identity keys claimed; the first is the userName's or displayName's
	Weight     int      // member references, or KiB of Body if those are more; at least 1
	Manager    string   // of a user: the manager's stable id
	DN         string
	Known      bool // a live record has this stable id: it will be changed, not created
	Told       bool // the directory told of a change that concerns it; set by MarkTold
}

// StagedUser is the body of a staged user.
type StagedUser struct {
	Active     *bool      `json:"active,omitempty"`
	Attributes Attributes `json:"attributes"`
}

// StagedGroup is the body of a staged group. Members are the stable ids of all its
// members, sorted.
type StagedGroup struct {
	DisplayName string   `json:"display_name"`
	Description string   `json:"description,omitempty"`
	Members     []string `json:"members,omitempty"`
}

// DirectoryState is how a directory stands, for who watches all of them.
type DirectoryState struct {
	Organization string
	Directory    string
	Kind         DirectoryKind
	SyncedAt     time.Time // the last pull that succeeded, or push that was accepted; zero: none
	Held         int       // runs that wait for a person
}

// Stock is how much a directory has stored, without what is deleted.
type Stock struct {
	Users, Groups       int
	ActiveUsers         int // as the directory says, in scope
	UsersOut, GroupsOut int // of scope
}

// Known is the stored state of one record of a directory, as a read compares it.
type Known struct {
	Kind       Kind
	Key        Key
	ExternalID string
	Hash       []byte
	Active     bool // of a user: as the directory says
	OutOfScope bool
}
