package store

import (
	"context"
	"time"
)

// ListReader reads what administrators set up page by page. A page begins after the
// last record of the one before, which need not exist any more.
type ListReader interface {
	OrganizationPage(ctx context.Context, q OrganizationQuery) (Page[Organization], error) // by folded name
	DirectoryPage(ctx context.Context, q DirectoryQuery) (Page[Directory], error)          // by folded name
	DomainPage(ctx context.Context, q DomainQuery) (Page[Domain], error)                   // by name
	HandoverPage(ctx context.Context, q HandoverQuery) (Page[Handover], error)             // by folded names of To and From
	TokenPage(ctx context.Context, q TokenQuery) (Page[Token], error)                      // newest first
	OIDCBindingPage(ctx context.Context, q OIDCBindingQuery) (Page[OIDCBinding], error)    // newest first
	// Ready finds which of the organizations are ready for single sign-on: a directory
	// has synced and a domain is verified.
	Ready(ctx context.Context, orgs []Key) (map[Key]bool, error)
	// DomainsInUse counts the live users of a directory by the domain that decides
	// (rule 3), by name; users without one are left out. At most limit domains.
	DomainsInUse(ctx context.Context, org, directory Key, limit int) ([]DomainUse, error)
}

// OrganizationQuery selects organizations.
type OrganizationQuery struct {
	Only  Key    // 0: all
	After string // the folded name of the last one seen
	Limit int
}

// DirectoryQuery selects directories of one organization.
type DirectoryQuery struct {
	Org   Key
	Kind  DirectoryKind // "": any
	After string        // the folded name of the last one seen
	Limit int
}

// DomainQuery selects domains of one organization.
type DomainQuery struct {
	Org   Key
	State DomainState // "": any
	After string      // the name of the last one seen
	Limit int
}

// HandoverQuery selects the handovers to and from a directory that are going on.
type HandoverQuery struct {
	Org       Key
	Directory Key
	AfterTo   string // the folded names of the last one seen
	AfterFrom string
	Limit     int
}

// TokenQuery selects tokens of a directory, or of administrators.
type TokenQuery struct {
	Org       Key       // 0: of the whole instance
	Directory Key       // 0: of administrators
	Role      TokenRole // "": any
	Usable    *bool     // only those that are good at Now, or only those that have ended
	Now       time.Time
	Before    Key // of the last one seen
	Limit     int
}

// OIDCBindingQuery selects bindings of a directory.
type OIDCBindingQuery struct {
	Org       Key
	Directory Key
	Before    Key // of the last one seen
	Limit     int
}

// DomainUse is how many users a domain has.
type DomainUse struct {
	Name  string // as [DomainOf] returns it
	Users int
}
