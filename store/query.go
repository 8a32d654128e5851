package store

import "time"

// Field names what a condition or an order looks at: the canonical path of a SCIM
// attribute ("userName", "emails.value", "meta.lastModified",
// "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"). The
// engine's registry of fields is the allow-list; an unknown one is [CodeFilter].
type Field string

// Condition is a node of a query's filter tree.
type Condition interface{ condition() }

type (
	// And holds if every condition does.
	And []Condition
	// Or holds if any condition does.
	Or []Condition
	// Not holds if its condition does not.
	Not struct{ Of Condition }
	// Compare compares a field with a value. Of an attribute with several values any
	// may satisfy it; but Ne is always the opposite of Eq, and so holds where there is
	// no value.
	Compare struct {
		Field Field
		Op    CompareOp
		Value any // string, bool, int64, float64 or time.Time, as the field's type wants
	}
	// Has holds if the field has a value: SCIM's pr.
	Has struct{ Field Field }
	// Element holds if one element of a multi-valued attribute satisfies Of, whose
	// fields are full paths below Attr.
	Element struct {
		Attr Field
		Of   Condition
	}
)

func (And) condition()     {}
func (Or) condition()      {}
func (Not) condition()     {}
func (Compare) condition() {}
func (Has) condition()     {}
func (Element) condition() {}

// CompareOp is an operator of RFC 7644 section 3.4.2.2.
type CompareOp string

// The operators.
const (
	Eq         CompareOp = "eq"
	Ne         CompareOp = "ne"
	Contains   CompareOp = "co"
	StartsWith CompareOp = "sw"
	EndsWith   CompareOp = "ew"
	Greater    CompareOp = "gt"
	AtLeast    CompareOp = "ge"
	Less       CompareOp = "lt"
	AtMost     CompareOp = "le"
)

// Query selects users or groups of one organization, ordered by Sort and then by
// internal key. A list of both has the users before the groups where Sort does not tell.
type Query struct {
	Org       Key
	Directory *Key // only those owned by this directory, and in it the groups of users; nil: all of the organization
	Filter    Condition
	Base      string   // URL beneath which SCIM serves the records: what meta.location and $ref begin with
	Sort      *Sort    // nil: by internal key alone
	Offset    int      // skip so many (SCIM's startIndex - 1)
	Limit     int      // at most so many; 0: only count
	After     Position // only what comes after this place (a cursor)
	Before    Position // only the last records before this place; without After and Offset
	Count     bool     // of the whole list, wherever After and Before are
	Deleted   bool     // the soft-deleted ones, which nothing else returns, instead of the live ones
	Groups    bool     // with the groups of the users: Page.Memberships
	Text      bool     // with the attributes of users as they are stored, for who passes them on: User.Text (Users only)
}

// Sort orders records by one field: texts by their fold unless their case matters, of
// a multi-valued attribute the primary element or else the first. Records without a
// value come last, or first if descending (RFC 7644 section 3.4.2.3). Of a text the
// first [SortedText] characters count.
type Sort struct {
	Field      Field
	Descending bool
}

// SortedText is how many characters of a text an order looks at, so that a [Position]
// stays small. Names are short enough to count as a whole.
const SortedText = 256

// Position is the place of a record in the order of a query. It stays what it is when
// the record changes or goes.
type Position struct {
	Key   Key
	Kind  Kind // only in a list of users and groups
	Value any  // of Query.Sort: a string or an int64; nil: the record has no value
}

// Page is a part of a list.
type Page[T any] struct {
	Items     []T
	Positions []Position // of each of Items
	Total     int        // of the whole list, if Query.Count asked for it
	More      bool       // there are further ones, or with Query.Before earlier ones
	// Memberships are the groups in which the users of the page are published members,
	// by user, if Query.Groups asked for them.
	Memberships map[Key][]Membership
}

// Resource is a user or a group; the other is nil.
type Resource struct {
	User  *User
	Group *Group
}

// EventQuery selects events of one organization in the order of their cursor.
type EventQuery struct {
	Org      Key
	After    int64 // cursor of the last event seen; 0: from the beginning
	UpTo     int64 // only up to this cursor; 0: to the end
	Limit    int
	Kind     string // only of this resource kind
	Resource ID
	Types    []string  // only of these; "user.*" stands for all that begin with "user."; nil: of all
	Actor    string    // only caused by who has this id or this name
	Since    time.Time // only of this time or later; zero: of any
	Until    time.Time // only before this time; zero: of any
}

// FindingQuery selects findings.
type FindingQuery struct {
	Org       Key
	Directory *Key
	Run       Key
	Open      bool     // only open ones
	Resolved  bool     // only those that are not open any more
	Rules     []string // nil: of all rules
	Kind      Kind     // only about users or groups
	Record    string   // only about this record, as [FindingKey] has it
	After     Key
	Limit     int
}

// RunQuery selects runs, newest first.
type RunQuery struct {
	Org       Key
	Directory *Key
	Before    Key       // only older than this
	State     RunState  // only in this state; "": in any
	From      time.Time // only those that were created then or later
	Until     time.Time // only those that were created before
	Complete  bool      // only runs that read the directory whole, not what has changed
	Limit     int
}

// Due is one directory's place in the schedule.
type Due struct {
	Directory Directory
	LastRun   time.Time // start of the last run of the whole directory that a person or the schedule started; zero: none
}
