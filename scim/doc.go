// Package scim serves SCIM 2.0 (RFC 7643, RFC 7644) to the directories of kind
// scim: what Entra ID, Okta and others push becomes statements, and what their
// directory owns is shown to them.
//
// The usual path of a request: authenticate the bearer as a directory, read the
// body with scim/dialect, apply PATCH operations with scim/patch, state the result
// to sync/reconcile, render what became of it. Lists turn scim/filter's trees into
// the store's conditions; nothing is filtered in memory.
//
// A Bulk is put in an order in which whatever is referred to exists (bulk_order.go),
// cut into windows of operations that do not depend on one another (bulk_window.go),
// and each window stated at once (bulk_attempt.go): a window is a statement whose
// records stand apart, so that every operation ends as it would alone.
//
// A client sees and changes only what its own directory owns: other records do not
// exist here. No rule of the reconciler is decided in this package.
package scim
