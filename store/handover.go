package store

import "time"

// Handover lets one directory take over the records of another (rule 1): a user or a
// group that To states, and that would be a duplicate of one that From owns, is that
// one from then on, with its id, memberships, roles and grants. A directory may take
// from several, but no two take from each other.
type Handover struct {
	Org         Key
	From        Key
	To          Key
	FromName    string // set when read
	ToName      string // set when read
	StartedAt   time.Time
	StartedBy   string // who started it
	UsersMoved  int    // live users that From owned and To owns; set when read
	GroupsMoved int
}
