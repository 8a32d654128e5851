package store

// Entry is one record as a source read it from its directory, already mapped to
// the field's names, before any rule looked at it.
type Entry struct {
	Kind       Kind
	ExternalID string // the stable id
	DN         string
	Active     *bool      // of a user; nil: the directory does not say
	Attributes Attributes // of a user
	ManagerDN  string     // of a user; resolved to the manager's stable id by the run

	DisplayName string   // of a group
	Description string   // of a group
	MemberDNs   []string // of a group, as the directory states them
	MemberNames []string // of a posixGroup: memberUid values, which are user names

	PrimaryGroup string // of an Active Directory user: the SID of its primary group
	SID          string // of an Active Directory group

	Invalid string // why the entry cannot become a record, in a sentence; else empty
}
