package store

// DirectorySearch is a question to a live directory (product page, "Search and
// import"). Exactly one field is set.
type DirectorySearch struct {
	UserName  string // users of this name; * stands for any text, a backslash takes a meaning away
	GroupName string // groups of this name, written alike
	Filter    string // users and groups that this filter finds (RFC 4515)
}

// SearchStatus says what an import would make of a hit.
type SearchStatus string

// The statuses of a hit (product page, "Search and import").
const (
	HitNew          SearchStatus = "new"          // it would be created, or take over an internal user
	HitSynchronized SearchStatus = "synchronized" // the directory's own record would be updated
	HitConflict     SearchStatus = "conflict"     // another record has its name or address (rule 2)
	HitRefused      SearchStatus = "refused"      // a rule does not let it in, or the entry is no record
)

// SearchHit is one entry that a search has found, judged as a run would judge it now.
type SearchHit struct {
	Kind        Kind
	Status      SearchStatus
	Outcome     Outcome // what a run would count it as
	ExternalID  string  // the directory's stable id; empty for an entry without one
	DN          string
	Name        string // userName or displayName, as the directory says
	DisplayName string // of a user
	ID          ID     // of the directory's record, if there is one
	Reason      string // why it is a conflict or refused, or what part of it would be
	With        *KeyOwner
}

// SearchResult is what a search has found, users before groups.
type SearchResult struct {
	Hits []SearchHit
	More bool // there is more than is shown: ask more narrowly
}
