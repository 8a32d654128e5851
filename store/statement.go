package store

// Statement is what one directory asserts about one window of records. Records
// it does not name are not spoken of: absence means deletion only where a
// statement says so with [Gone], and a source says so only after a read that it
// knows to be complete.
type Statement struct {
	Org       Key
	Directory Key // 0: an administrator, about internal records
	Origin    Origin
	Cause     Cause
	Run       Key // the sync run that states it, for findings; 0 for others
	// Apart lets each record stand for itself: one that is refused is a result with
	// its error, and the others are made true. A member or a manager may then be a
	// record that the statement creates, named by its NewID.
	Apart  bool
	New    *NewUsers // nil: by the directory's settings
	Users  []UserStatement
	Groups []GroupStatement
}

// NewUsers says how the users of a statement are made that have to be created.
type NewUsers struct {
	Roles []Entitlement // nil: the directory's default roles (rule 10)
	// Licences are granted too, but to nobody who is inactive while the directory
	// unassigns the licences of such users (rule 8). Too few seats are [CodeConflict].
	Licences []Entitlement
	Enabled  *bool // nil: as enable_new_users says
}

// Origin is the way in by which a statement came. The rules are the same for
// all; what differs is how a refusal is told (an error or a finding) and when
// effective membership is published (at once, or at the end of the run).
type Origin string

// The three ways in.
const (
	OriginPush  Origin = "push"
	OriginPull  Origin = "pull"
	OriginAdmin Origin = "admin"
)

// Presence is what a statement says of a record's existence.
type Presence string

// The presences. The zero value is [Present].
const (
	Present Presence = ""
	Gone    Presence = "gone"         // no longer exists in the directory
	Left    Presence = "out_of_scope" // exists there, but outside the scope (rule 7)
)

// RecordKey says which record a statement is about: by public id (push, admin),
// or by the directory's stable id (pull). With neither it is a new record.
type RecordKey struct {
	ID         ID
	ExternalID string
}

// UserStatement states one user whole.
type UserStatement struct {
	Record     RecordKey
	Presence   Presence
	ExternalID string
	Active     *bool // nil: unchanged; true for a new user
	Enabled    *bool // the administrator's switch; nil: unchanged
	Attributes Attributes
	Hash       []byte // of the source entry (pull)
	DN         string // of the source entry, for findings (pull)
	Cause      *Cause // of this record's events; nil: the statement's

	NewKey Key // what to call the record if it has to be created
	NewID  ID
}

// GroupStatement states a group. A nil attribute is left as it is, so that adding
// a member does not restate the name.
type GroupStatement struct {
	Record      RecordKey
	Presence    Presence
	ExternalID  *string
	DisplayName *string
	Description *string
	Members     MemberStatement
	Hash        []byte
	DN          string

	NewKey Key
	NewID  ID
}

// MemberMode says how the members of a [MemberStatement] relate to those stored.
type MemberMode string

// The member modes. The zero value is [MembersDelta], which with no members
// changes none.
const (
	MembersDelta   MemberMode = ""
	MembersReplace MemberMode = "replace" // Add is the whole set
)

// MemberStatement states members: the whole set, or what to add and remove
// without reading the others. Nothing is in both Add and Remove.
type MemberStatement struct {
	Mode   MemberMode  `json:"mode,omitempty"`
	Add    []MemberRef `json:"add,omitempty"`
	Remove []MemberRef `json:"remove,omitempty"`
}

// Empty reports whether the statement changes no member.
func (m *MemberStatement) Empty() bool {
	return m.Mode == MembersDelta && len(m.Add) == 0 && len(m.Remove) == 0
}

// MemberRef names a member by public id (push, admin) or by the stable id of the
// same directory (pull); one of the two is set. Whether it is a user or a group
// is found out when it is resolved.
type MemberRef struct {
	ID         ID     `json:"id,omitempty"`
	ExternalID string `json:"external_id,omitempty"`
}

// Cause is why a change is made, for the event log (rule 11).
type Cause struct {
	Actor   Actor  `json:"actor"`
	Reason  string `json:"reason,omitempty"`  // in words: "SCIM PATCH", "sync run", a rule
	Run     ID     `json:"run,omitempty"`     // the sync run
	Request string `json:"request,omitempty"` // the HTTP request's id
	Address string `json:"address,omitempty"` // the IP address that it came from
}

// Actor is who caused a change.
type Actor struct {
	Kind string `json:"kind"` // token, oidc, person, directory, schedule, system
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}
