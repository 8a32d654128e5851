package store

import "time"

// OIDCBinding lets tokens of an OpenID Connect issuer speak SCIM for one directory
// (product page, "Push"). A token fits that names the issuer and, among others, the
// audience, and has every one of Subject and AppID that is given; one of the two is.
type OIDCBinding struct {
	Key        Key
	ID         ID
	Org        Key
	Directory  Key
	Name       string
	Issuer     string // compared as it is written
	Audience   string
	Subject    string // of the claim sub; empty: any
	AppID      string // of the claim appid, azp or client_id; empty: any
	CreatedAt  time.Time
	LastUsedAt time.Time // to within a minute
}

// MaxOIDCText is the most bytes of each text of an [OIDCBinding]: four of them fit
// into an index of either engine.
const MaxOIDCText = 512

// OIDCClaims are the claims of a token by which its binding is found.
type OIDCClaims struct {
	Issuer    string
	Audiences []string
	Subject   string
	AppIDs    []string
}
