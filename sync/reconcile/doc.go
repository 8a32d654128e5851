// Package reconcile decides. A directory states what is true of a window of
// records; this package makes it so, by the rules of the product page ("Rules of
// the reconciler"), the same for push and pull. It is the only path by which
// users, groups and memberships are written.
//
// The usual path is [Reconciler.Reconcile] with a [store.Statement]: in one
// transaction it locks and loads what the statement is about, makes a
// [store.ChangeSet] with [Plan], applies it, and judges the effects on effective
// membership. [Reconciler.Revise] is for statements that depend on the record as
// it is now (a PATCH). A pull calls [Reconciler.ReconcileTx] once a window, inside
// its run's own transaction.
//
// [Plan] is pure, total and deterministic. The package knows neither HTTP nor LDAP
// nor SQL, and never loads a member that is not named, except to replace a whole
// set.
package reconcile
