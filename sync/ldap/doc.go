// Package ldap reads LDAP version 3 servers (RFC 4511): OpenLDAP and its kin, and
// Active Directory. Its one job is to turn what a directory holds now into
// [store.Entry] values, completely or not at all.
//
// The usual path: [New] validates a directory's settings; [Source.Entries] reads
// the groups and then the users, page by page; after a pull, [Source.Lookup] says
// which of the entries that were missing still exist outside the scope. Between
// pulls [Source.Follow] says what has changed, by syncrepl or DirSync. [Source.Check] is for the person who has just typed the settings in.
//
// Requests and their filters are made with go-ldap; answers are decoded by this
// package, because a value here is a slice of the message it came in (go-ldap
// makes a packet tree of each, which costs three times as long), and because a
// context then reaches the connection itself: a cancelled read fails, always.
//
// The package never writes to a server, never follows a referral, never decides
// what becomes of an entry, and never lets a read that was cut off look complete.
package ldap
