package store

import "encoding/json"

// PlanItem is what applying a stage would make of one staged record, as things are
// when it is asked for.
type PlanItem struct {
	Kind       Kind
	ID         ID     // of a record that exists
	ExternalID string // the directory's stable id; empty for an entry without one
	Name       string // userName or displayName
	DN         string
	Outcome    Outcome
	Reason     string        // why it is refused or a duplicate, or what part of it is left out
	Changes    []FieldChange // of a record that exists and would change
	Joining    int           // of a group: direct members that it would gain
	Leaving    int           // and lose; those of a group that is deleted are not counted
}

// FieldChange is one attribute of a record before and after. Field is its SCIM name,
// with a dot before a sub-attribute, or one of external_id, active, stated, enabled
// and out_of_scope; a value is null where there is none.
type FieldChange struct {
	Field  string          `json:"field"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// PlanMember is one direct member that a group would gain or lose.
type PlanMember struct {
	Item   int // the group's place among the items of the window; -1 if it is not one of them
	Group  RecordName
	Member RecordName
	Joins  bool // else it leaves
}

// RecordName is a record as people know it.
type RecordName struct {
	Kind       Kind
	ID         ID // empty for one that does not exist yet
	ExternalID string
	Name       string // userName or displayName
}

// PlanRecord is what a plan would make of a staged record, as far as it decides on
// the members of groups: it would be there and is not yet (Arrives), or it is a group
// that would have the members that it states, or be deleted.
type PlanRecord struct {
	Kind       Kind
	ExternalID string
	Name       string
	Arrives    bool
	Record     Key // of one that another directory, or none, has until then
}

// BelongingQuery asks for the groups of one directory that hold records.
type BelongingQuery struct {
	Org       Key
	Directory Key
	Awaited   []string // stable ids that groups have as members not known yet
	Members   []Edge   // records that groups have as members, deleted or not
}

// Belonging is one group that holds a record.
type Belonging struct {
	Group    RecordName
	GroupKey Key
	Awaited  string // the stable id, or
	Member   Edge   // the record
}
