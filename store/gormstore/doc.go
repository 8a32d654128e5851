// Package gormstore implements [store.Store] on PostgreSQL and on SQLite. It holds
// all the SQL of Provost and all of gorm.
//
// The usual path: [Migrate] brings a database to the present schema, [Open] makes a
// [Store] of it, and View and Update hand out a reader or a tx. Both embed a
// session, which is one connection:
//
//	exec, query, row        run SQL written with ? for each argument
//	collect, find           run a query and scan its rows, or the only one
//	scanTime, scanKey, scanID   scan columns that may be null
//	nullKey                 an argument that is null for the key 0
//	ints, texts, ids, pairs a list as a table: FROM <fragment> AS k, with columns v, or a and b
//	copyRows                insert many rows: COPY, or INSERT in chunks
//	batch                   many small statements in one round trip
//	orm                     gorm on the same connection and transaction
//	e.postgres              which engine it is
//
// Arguments may be [store.ID], [store.Key], [time.Time], [encoding/json.RawMessage]
// and the like: [session.exec] stores an empty ID and a zero time as null, and
// times as microseconds.
//
// A method that loses a race which its caller could not see returns [race]: Update
// then runs the whole transaction again. It is never used for a lease, a revision
// or anything else that a repetition cannot change.
//
// The package decides nothing: rules live in sync/reconcile.
package gormstore
