// Package scim serves SCIM 2.0 (RFC 7643, RFC 7644) to the directories of kind
// scim: what Entra ID, Okta and others push becomes statements, and what their
// directory owns is shown to them.
//
// The usual path of a request: authenticate the bearer as a directory, read the
// body with scim/dialect, apply PATCH operations with scim/patch, state the result
// to sync/reconcile, render what became of it. Lists turn scim/filter's trees into
// the store's conditions; nothing is filtered in memory.
//
// A client sees and changes only what its own directory owns: other records do not
// exist here. No rule of the reconciler is decided in this package.
package scim
