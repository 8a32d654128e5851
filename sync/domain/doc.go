// Package domain proves by DNS that an organization holds the domains that it
// claims (product page, "Domains").
//
// The usual path: [Normalize] a name, make a [Challenge] for it, tell the owner to
// publish the TXT record [RecordName] = [RecordValue], and [Keeper.Verify] it.
// [Keeper.Run] asks again every day, and gives a domain up whose record is missing
// three days running.
//
// The package trusts nothing but the answer of the resolver it was given, never
// verifies a domain for two organizations (the store refuses that), and never
// touches users: what a lost domain means for them is the reconciler's.
package domain
