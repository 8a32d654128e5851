package store

import "time"

// Organization is the tenant (product page, "Words").
type Organization struct {
	Key       Key
	ID        ID
	Name      string
	Settings  OrganizationSettings
	Revision  int64 // raised by each change of the settings
	CreatedAt time.Time
}

// OrganizationSettings are what an administrator chooses for an organization. They are
// stored as one JSON document and shown as they are in REST.
type OrganizationSettings struct {
	NotifyEmails   []string `json:"notify_emails,omitempty"`   // who is told by mail of held runs
	WelcomeSubject string   `json:"welcome_subject,omitempty"` // a template; empty: the default
	WelcomeText    string   `json:"welcome_text,omitempty"`    // a template; empty: the default
	SignInURL      string   `json:"sign_in_url,omitempty"`     // where new users sign in, for the templates
}

// DefaultOrganization is the name of the organization that exists from the start.
const DefaultOrganization = "default"

// DirectoryKind is how a directory's users come to us.
type DirectoryKind string

// The kinds of directory.
const (
	DirectorySCIM DirectoryKind = "scim" // pushes to us
	DirectoryLDAP DirectoryKind = "ldap" // we poll it
)

// Directory is one place users come from.
type Directory struct {
	Key       Key
	ID        ID
	Org       Key
	Name      string
	Kind      DirectoryKind
	Settings  Settings
	Secret    []byte // the sealed bind password (ldap); never shown
	Revision  int64  // raised by each change of settings or secret
	CreatedAt time.Time
	UpdatedAt time.Time
	SyncedAt  time.Time // last succeeded pull or accepted push; zero: never
}

// Settings are what an administrator chooses for a directory. They are stored as
// one JSON document and shown as they are in REST.
type Settings struct {
	DomainPolicy   DomainPolicy `json:"domain_policy"`
	Domains        []string     `json:"domains,omitempty"` // for [DomainsSelected]: folded names
	OnMatch        OnMatch      `json:"on_match"`
	External       External     `json:"external"`
	ReplicateState bool         `json:"replicate_state"` // rule 7; pull only
	EnableNewUsers bool         `json:"enable_new_users"`
	EmailNewUsers  bool         `json:"email_new_users"` // rule 10: a new user that is active is sent a welcome mail
	Guard          Guard        `json:"guard"`
	RateLimit      RateLimit    `json:"rate_limit"` // push only
	LDAP           *LDAP        `json:"ldap,omitempty"`

	DefaultRoles     []string `json:"default_roles,omitempty"` // names of roles that new users get (rule 10)
	UnassignLicences bool     `json:"unassign_licences"`       // rule 8
}

// DomainPolicy chooses which users rule 3 lets in.
type DomainPolicy string

// The domain policies (rule 3).
const (
	DomainsVerified DomainPolicy = "verified"
	DomainsSelected DomainPolicy = "selected"
	DomainsOff      DomainPolicy = "off"
)

// OnMatch says what becomes of a stated user that equals an internal one (rule 2).
type OnMatch string

// The choices of [OnMatch].
const (
	MatchDuplicate OnMatch = "duplicate"
	MatchClaim     OnMatch = "claim"
)

// External says who is external and so exempt from rule 3: any that matches.
type External struct {
	UserTypes []string `json:"user_types"`          // values of userType, case-insensitive
	UserName  string   `json:"user_name,omitempty"` // a substring of userName, case-insensitive
}

// RateLimit is how many requests clients of a directory may send, in each process.
type RateLimit struct {
	PerSecond float64 `json:"per_second"` // 0: as many as they like
	Burst     int     `json:"burst"`      // at once, after a pause; 0: PerSecond rounded up
}

// LDAP is how a directory of kind ldap is read.
type LDAP struct {
	URLs           []string          `json:"urls"` // tried in order
	StartTLS       bool              `json:"start_tls"`
	AllowPlaintext bool              `json:"allow_plaintext"`
	CA             string            `json:"ca,omitempty"` // PEM; empty: the system's roots
	BindDN         string            `json:"bind_dn"`
	BaseDNs        []string          `json:"base_dns"`
	Preset         string            `json:"preset"` // openldap or active_directory
	UserFilter     string            `json:"user_filter,omitempty"`
	GroupFilter    string            `json:"group_filter,omitempty"`
	Attributes     map[string]string `json:"attributes,omitempty"` // overrides of the preset, by SCIM attribute
	PageSize       int               `json:"page_size"`
	TimeoutSeconds int               `json:"timeout_seconds"`        // of one request to the server
	ScopeGroups    []string          `json:"scope_groups,omitempty"` // names; none: scope "all"
	Schedule       Schedule          `json:"schedule"`
	Incremental    bool              `json:"incremental"`      // read changes only, where the server can tell them
	FullEveryHours int               `json:"full_every_hours"` // how long reads of changes may follow each other before a full one
}

// ScopeEntry is a user or group that an import has put in the scope of a directory of
// which only selected groups are pulled (product page, "Search and import").
type ScopeEntry struct {
	Key        Key       `json:"-"`
	Kind       Kind      `json:"type"`
	ExternalID string    `json:"external_id"`
	Name       string    `json:"name"` // userName or displayName when it joined
	JoinedAt   time.Time `json:"-"`
}

// ScopeQuery selects a page of them.
type ScopeQuery struct {
	Org       Key
	Directory Key
	After     Key
	Limit     int
}

// Schedule says when a directory is pulled.
type Schedule struct {
	Kind         string `json:"kind"`                       // off, interval or daily
	IntervalMins int    `json:"interval_minutes,omitempty"` // of interval
	At           string `json:"at,omitempty"`               // of daily: 15:04
	EveryDays    int    `json:"every_days,omitempty"`       // of daily
	Zone         string `json:"zone,omitempty"`             // of daily: an IANA name
}

// DefaultSettings are those of a new directory (product page).
func DefaultSettings(kind DirectoryKind) Settings {
	s := Settings{
		DomainPolicy:   DomainsVerified,
		OnMatch:        MatchDuplicate,
		External:       External{UserTypes: []string{"Guest", "External"}, UserName: "#EXT#"},
		ReplicateState: true,
		EnableNewUsers: true,
		Guard:          SameGuard(DefaultThreshold),
	}
	if kind == DirectoryLDAP {
		s.LDAP = &LDAP{
			PageSize:       1000,
			TimeoutSeconds: 60,
			Schedule:       Schedule{Kind: "interval", IntervalMins: 240},
			Incremental:    true,
			FullEveryHours: 24,
		}
	}
	return s
}
