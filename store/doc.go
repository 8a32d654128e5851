// Package store is the vocabulary of Provost: the records it keeps (organizations,
// directories, users, groups, domains, tokens, runs, findings, events), what a
// directory may state about them, the change sets that the reconciler makes of
// such statements, and the interface that a database engine implements.
//
// The usual path: a source builds a [Statement], sync/reconcile loads a
// [Snapshot] in a [Tx], plans a [ChangeSet] and applies it; readers call
// [Store.View]. Everything is scoped by one organization.
//
// The package decides nothing (rules live in sync/reconcile) and does no I/O
// (SQL lives in store/gormstore). It imports the standard library, and of
// golang.org/x what compares names: text (case folding) and net/idna (domains).
package store
