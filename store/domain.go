package store

import "time"

// DomainState is the state of a claimed domain.
type DomainState string

// States of a domain (product page, "Domains").
const (
	DomainPending  DomainState = "pending"
	DomainVerified DomainState = "verified"
	DomainFailed   DomainState = "failed"
)

// Domain is a DNS name that an organization claims.
type Domain struct {
	Key        Key
	ID         ID
	Org        Key
	Name       string // folded, without a trailing dot
	State      DomainState
	Challenge  string // the TOKEN of the TXT record
	Vouched    bool   // verified by an owner's word, not by DNS
	Failures   int    // checks that failed in a row, since the last that succeeded
	CreatedAt  time.Time
	VerifiedAt time.Time
	CheckedAt  time.Time
	LastError  string
}

// TokenRole is what the bearer of a token may do.
type TokenRole string

// Roles of tokens. A directory token speaks SCIM for one directory; the others
// call the REST interface.
const (
	RoleDirectory TokenRole = "directory"
	RoleOwner     TokenRole = "owner"
	RoleAdmin     TokenRole = "admin"
	RoleAuditor   TokenRole = "auditor"
)

// Token is a bearer secret of which only the SHA-256 hash is kept.
type Token struct {
	Key        Key
	ID         ID
	Org        Key // 0: the whole instance
	Directory  Key // of a directory token
	Name       string
	Role       TokenRole
	Hash       []byte // SHA-256 of the secret, 32 bytes
	Prefix     string // the first characters, to recognise it by
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	LastUsedAt time.Time // to within a minute
	RevokedAt  time.Time
}

// Usable reports whether the token is neither revoked nor expired at now.
func (t *Token) Usable(now time.Time) bool {
	return t.RevokedAt.IsZero() && (t.ExpiresAt.IsZero() || now.Before(t.ExpiresAt))
}
