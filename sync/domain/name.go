package domain

import (
	"crypto/rand"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"

	"github.com/provost-scim/provost/store"
)

// maxInput bounds what is looked at; a name itself has at most 253 bytes (RFC 1035
// section 2.3.4).
const maxInput = 1000

// profile is UTS #46 without its transitional rules: ß stays ß.
var profile = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.CheckJoiners(true),
	idna.CheckHyphens(true), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// Normalize returns the one form of a domain name: lower case, foreign letters in
// their ASCII form (xn--…), no trailing dot. It refuses addresses, single labels,
// and what DNS could not hold.
func Normalize(name string) (string, error) {
	if len(name) > maxInput {
		return "", invalid("the name is longer than 253 bytes")
	}
	text := strings.TrimSpace(name)
	if _, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return "", invalid("%q is an address", text)
	}
	if strings.Contains(text, "@") {
		return "", invalid("%q is not a domain name: leave out what stands before the @", text)
	}
	if strings.Contains(text, "/") || strings.Contains(text, ":") {
		return "", invalid("%q is a URL or has a port", text)
	}
	ascii, err := profile.ToASCII(strings.TrimSuffix(text, "."))
	if err != nil {
		e := invalid("%q is not a domain name", text)
		e.Err = err
		return "", e
	}
	last := strings.LastIndexByte(ascii, '.')
	if last < 0 {
		return "", invalid("%q has only one label", text)
	}
	if strings.Trim(ascii[last+1:], "0123456789") == "" {
		return "", invalid("%q ends with a number, as addresses do", text)
	}
	return ascii, nil
}

func invalid(format string, args ...any) *store.Error {
	e := store.Errorf(store.CodeInvalid, format, args...)
	e.Field, e.Hint = "name", "give a domain such as example.com"
	return e
}

// Challenge makes a token of 130 random bits.
func Challenge() string { return strings.ToLower(rand.Text()) }

// RecordName is where the TXT record of a domain must be.
func RecordName(name string) string { return "_provost-challenge." + name }

// RecordValue is what the TXT record must say.
func RecordValue(token string) string { return "provost-verification=" + token }
