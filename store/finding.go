package store

import "time"

// Rules that findings name.
const (
	RuleDuplicate        = "duplicate"          // rule 2
	RuleUnverifiedDomain = "unverified_domain"  // rule 3
	RuleUnknownMember    = "unknown_member"     // rule 4
	RuleOverCap          = "over_cap"           // rule 5
	RuleGuard            = "guard"              // rule 6: too much would be taken away
	RuleHidden           = "container_vanished" // rule 6: entries are gone from where nothing can be read
	RuleVanished         = "attribute_vanished" // rule 6: an attribute is gone from every entry
	RuleStateKept        = "state_kept"         // rule 7 with replicate_state off
	RuleInvalidEntry     = "invalid_entry"      // an entry that cannot become a record
	RuleDomainLost       = "domain_lost"        // a verified domain that failed its checks
	RuleWebhook          = "webhook"            // an endpoint of events that took nothing for too long
	RuleMail             = "mail"               // a mail that was not sent, or of which that is not certain
)

// FindingKey identifies a finding: it is open once per directory, rule and record.
type FindingKey struct {
	Directory Key
	Rule      string
	Kind      Kind   // "" when it is about no record
	Record    string // the stable id, or the public id, or a name
}

// Finding is one thing the reconciler refused or wants a person to know.
type Finding struct {
	FindingKey
	Key        Key
	ID         ID
	Org        Key
	Run        Key    // the run that saw it last; 0 for a push
	RunID      ID     // the same, for readers
	Sentence   string // what is so, and what to do about it
	Name       string // the record's name, for people
	DN         string // of the entry, if it has one
	OpenedAt   time.Time
	SeenAt     time.Time
	ResolvedAt time.Time // zero while it is open
}
