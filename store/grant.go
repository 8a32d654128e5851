package store

import "time"

// EntitlementKind says what kind of thing is granted (product page, "grant").
type EntitlementKind string

// The kinds. A role is held by users and groups, a licence by users, and access to
// a product by groups (rule 9).
const (
	EntitlementRole    EntitlementKind = "role"
	EntitlementLicence EntitlementKind = "licence"
	EntitlementProduct EntitlementKind = "product"
)

// Entitlement is one thing that an organization grants: a role, a licence with its
// pool, or a product. Its kind and name never change; a name is unique in its kind,
// without regard to case.
type Entitlement struct {
	Key         Key
	ID          ID
	Org         Key
	Kind        EntitlementKind
	Name        string
	Description string
	Seats       *int  // of a licence: the size of its pool; nil: without limit
	Taken       int   // of a licence: seats that users hold
	Revision    int64 // raised by each change of description or seats
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Ref names the entitlement for people and in paths: role:Member.
func (e *Entitlement) Ref() string { return string(e.Kind) + ":" + e.Name }

// EntitlementQuery selects a page of entitlements, in the order of their creation.
type EntitlementQuery struct {
	Org   Key
	Kind  EntitlementKind // "": all
	After Key
	Limit int
}

// Grant is one entitlement that a record holds, by itself or by a group that
// publishes it (rule 4).
type Grant struct {
	Entitlement Entitlement // without what changes: Key, ID, Kind and Name are set
	Via         Key         // of a user: the group that holds it; 0: the user itself
	ViaID       ID
	ViaName     string
	GrantedAt   time.Time
	SuspendedAt time.Time // of product access that went with its group (rule 9); zero: in force
}

// GrantQuery selects grants of one record, by entitlement and then group.
type GrantQuery struct {
	Org    Key
	Record Edge
	After  GrantPlace
	Limit  int
}

// GrantPlace is where a list of grants goes on.
type GrantPlace struct{ Entitlement, Via Key }

// HolderQuery selects those who hold an entitlement themselves, users before groups.
type HolderQuery struct {
	Org         Key
	Entitlement Key
	After       Edge
	Limit       int
}

// Holder is a record that holds an entitlement itself.
type Holder struct {
	Member
	GrantedAt   time.Time
	SuspendedAt time.Time
}

// GrantChange grants one entitlement to records, or takes it from them.
type GrantChange struct {
	Org         Key
	Entitlement *Entitlement
	Holders     []Edge // live records, which the transaction has locked
	Now         time.Time
}

// Billable counts the active users of groups with product access (rule 9).
type Billable struct {
	Users    int // each counted once
	Products []ProductUsers
}

// ProductUsers counts the active users of one product.
type ProductUsers struct {
	Product Entitlement
	Users   int
}

// GrantData is the data of [EventGrantAdded] and [EventGrantRemoved].
type GrantData struct {
	Entitlement EntitlementName `json:"entitlement"`
	Reason      string          `json:"reason,omitempty"` // of a change that a rule made
}

// EntitlementName names an entitlement in events.
type EntitlementName struct {
	ID   ID              `json:"id"`
	Kind EntitlementKind `json:"kind"`
	Name string          `json:"name"`
}
