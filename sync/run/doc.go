// Package run pulls directories of kind ldap: it decides when, reads the
// directory, stages what differs from what is stored, and applies the stage in
// windows through sync/reconcile.
//
// The usual path: [New] makes an [Engine], [Engine.Run] works until its context
// ends, and people ask for [Engine.Plan], [Engine.Start], [Engine.Approve] and
// [Engine.Discard]. A run is a row in the store. Whichever process claims it holds
// a lease on it; every transaction for the run checks the lease's fence first, so
// a worker that was thought dead changes nothing, and one that died is continued
// by another: a cut-off read begins again, applying goes on at the first window
// that was not committed.
//
// A read is compared with the stored source hashes as it streams; what is equal is
// counted and forgotten. Memory is one page, one batch, and for each record its
// stable id, its hash and its place in the graph of groups.
//
// The package never writes a user, group or membership itself, never takes an
// incomplete read for a smaller directory, and never decides a rule except the
// guard against accidental deletion (rule 6).
package run
