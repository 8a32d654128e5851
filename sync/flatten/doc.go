// Package flatten turns nested groups into effective members (product rule 4): the
// users directly in a group or in any group below it. Cycles are legal.
//
// The usual path: number groups and users from 0 ([Index] does that for database
// keys), state each group's users and nestings in a [Graph], and let
// [Graph.Effective] visit the groups, or only those that [Graph.Above] finds to be
// concerned by a change.
//
// Each effective member comes with its support: how many groups, at or below, hold
// the user directly. Groups are counted, not paths, so a cycle or two ways to the
// same group cannot inflate it; a user is an effective member while its support is
// above zero.
//
// [Shifts] compares two nestings of the same groups, and tells which groups reach others
// that they did not, or no longer do: by it effective membership that is stored follows
// a change.
//
// The package does no I/O, keeps no results, and knows nothing of caps.
package flatten
