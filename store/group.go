package store

import "time"

// Group is SCIM's Group resource and what Provost adds to it. Its members are
// never part of it: they are read and written as edges.
type Group struct {
	Key            Key
	ID             ID
	Org            Key
	Directory      Key // the owner; 0 is internal
	ExternalID     string
	DisplayName    string
	Description    string
	OutOfScope     bool // rule 7: publishes nobody
	EffectiveCount int  // true count of effective members, published or not
	OverCap        bool // rule 5
	Version        int64
	Hash           []byte // as in [User]
	CreatedAt      time.Time
	ModifiedAt     time.Time
	DeletedAt      time.Time
}

// Deleted reports whether the record is soft-deleted.
func (g *Group) Deleted() bool { return !g.DeletedAt.IsZero() }

// Kind tells users from groups wherever both can stand.
type Kind string

// The two kinds of record that a directory states. They are also SCIM's resource
// types and the values of a member's type.
const (
	KindUser  Kind = "User"
	KindGroup Kind = "Group"
)

// Member is one member of a group as a reader sees it.
type Member struct {
	Kind        Kind
	Key         Key
	ID          ID
	UserName    string // of a user
	DisplayName string
	Directory   Key  // that owns it; 0: internal
	Direct      bool // stated in the group itself, not only below it
}

// Membership is one group of a user as a reader sees it.
type Membership struct {
	User        Key // whose membership it is
	Group       ID
	DisplayName string
	Direct      bool
}

// Edge names one direct member of a group by its internal key.
type Edge struct {
	Kind Kind
	Key  Key
}
