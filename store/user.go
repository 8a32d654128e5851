package store

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// User is one person's record: SCIM's User resource and what Provost adds to it.
type User struct {
	Key        Key
	ID         ID
	Org        Key
	Directory  Key    // the owner; 0 is internal
	ExternalID string // the directory's stable id of the record: externalId in SCIM, entryUUID or objectGUID in LDAP
	Attributes Attributes
	Text       []byte // Attributes as JSON, in place of them where [Query.Text] asks for that
	Stated     bool   // active, as the directory says
	Enabled    bool   // the administrator's own switch
	OutOfScope bool   // rule 7: left the directory's scope
	Version    int64
	Hash       []byte // of the source entry when it was last applied whole (pull); nil: stage it again
	CreatedAt  time.Time
	ModifiedAt time.Time
	DeletedAt  time.Time // zero while the record lives
}

// Active is what applications see (rule 7): what the directory says AND the
// administrator's switch, and in scope.
func (u *User) Active() bool { return u.Stated && u.Enabled && !u.OutOfScope }

// Deleted reports whether the record is soft-deleted.
func (u *User) Deleted() bool { return !u.DeletedAt.IsZero() }

// Attributes are a user's SCIM attributes (RFC 7643 sections 4.1 and 4.3) in
// canonical form; marshalled, they are the body of the resource without id,
// externalId, active, groups and meta.
type Attributes struct {
	UserName          string      `json:"userName"`
	Name              *Name       `json:"name,omitempty"`
	DisplayName       string      `json:"displayName,omitempty"`
	NickName          string      `json:"nickName,omitempty"`
	ProfileURL        string      `json:"profileUrl,omitempty"`
	Title             string      `json:"title,omitempty"`
	UserType          string      `json:"userType,omitempty"`
	PreferredLanguage string      `json:"preferredLanguage,omitempty"`
	Locale            string      `json:"locale,omitempty"`
	Timezone          string      `json:"timezone,omitempty"`
	Emails            []Value     `json:"emails,omitempty"`
	PhoneNumbers      []Value     `json:"phoneNumbers,omitempty"`
	IMs               []Value     `json:"ims,omitempty"`
	Photos            []Value     `json:"photos,omitempty"`
	Addresses         []Address   `json:"addresses,omitempty"`
	Entitlements      []Value     `json:"entitlements,omitempty"`
	Roles             []Value     `json:"roles,omitempty"`
	X509Certificates  []Value     `json:"x509Certificates,omitempty"`
	Enterprise        *Enterprise `json:"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User,omitempty"`
}

// Name is RFC 7643 section 4.1.1, name.
type Name struct {
	Formatted       string `json:"formatted,omitempty"`
	FamilyName      string `json:"familyName,omitempty"`
	GivenName       string `json:"givenName,omitempty"`
	MiddleName      string `json:"middleName,omitempty"`
	HonorificPrefix string `json:"honorificPrefix,omitempty"`
	HonorificSuffix string `json:"honorificSuffix,omitempty"`
}

// Value is one element of a multi-valued attribute (RFC 7643 section 2.4).
type Value struct {
	Value   string `json:"value,omitempty"`
	Display string `json:"display,omitempty"`
	Type    string `json:"type,omitempty"`
	Primary bool   `json:"primary,omitempty"`
}

// Address is one element of addresses (RFC 7643 section 4.1.2).
type Address struct {
	Formatted     string `json:"formatted,omitempty"`
	StreetAddress string `json:"streetAddress,omitempty"`
	Locality      string `json:"locality,omitempty"`
	Region        string `json:"region,omitempty"`
	PostalCode    string `json:"postalCode,omitempty"`
	Country       string `json:"country,omitempty"`
	Type          string `json:"type,omitempty"`
	Primary       bool   `json:"primary,omitempty"`
}

// Enterprise is the enterprise extension (RFC 7643 section 4.3).
type Enterprise struct {
	EmployeeNumber string   `json:"employeeNumber,omitempty"`
	CostCenter     string   `json:"costCenter,omitempty"`
	Organization   string   `json:"organization,omitempty"`
	Division       string   `json:"division,omitempty"`
	Department     string   `json:"department,omitempty"`
	Manager        *Manager `json:"manager,omitempty"`
}

// Manager names a user's manager as the directory stated it: by id in a push,
// which may be that of a user that does not exist yet; by stable id in a pull,
// which REST resolves to the id when it is read.
type Manager struct {
	Value       string `json:"value,omitempty"`
	DisplayName string `json:"displayName,omitempty"`
}

// PrimaryEmail is the email marked primary, else the first of type "work", else
// the first, else "".
func (a *Attributes) PrimaryEmail() string {
	best := ""
	rank := 0
	for _, e := range a.Emails {
		r := 1
		if strings.EqualFold(e.Type, "work") {
			r = 2
		}
		if e.Primary {
			r = 3
		}
		if e.Value != "" && r > rank {
			best, rank = e.Value, r
		}
	}
	return best
}

// DecidingAddress is the address whose domain decides (rule 3): userName if it
// is an address, else the primary email, else "".
func (a *Attributes) DecidingAddress() string {
	if DomainOf(a.UserName) != "" {
		return a.UserName
	}
	return a.PrimaryEmail()
}

// DomainOf returns the domain of an address as DNS has it: folded, and in its ASCII
// form if it is international (RFC 5891). It is "" if s is no address.
func DomainOf(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || at == len(s)-1 || strings.ContainsAny(s, " \t\r\n") {
		return ""
	}
	domain := strings.TrimSuffix(Fold(s[at+1:]), ".")
	for i := range len(domain) {
		if domain[i] >= 0x80 {
			ascii, err := idna.Lookup.ToASCII(domain)
			if err != nil {
				return ""
			}
			return ascii
		}
	}
	return domain
}

// IdentityKeys are the folded names by which a user is known in its organization
// (rule 2): userName and every email, each once.
func (a *Attributes) IdentityKeys() []string {
	keys := make([]string, 0, 1+len(a.Emails))
	add := func(s string) {
		k := Fold(s)
		if k == "" {
			return
		}
		if slices.Contains(keys, k) {
			return
		}
		keys = append(keys, k)
	}
	add(a.UserName)
	for _, e := range a.Emails {
		add(e.Value)
	}
	return keys
}
