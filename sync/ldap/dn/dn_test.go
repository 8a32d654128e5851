package dn_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/sync/ldap/dn"
)

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b string
		same bool
	}{
		{"the case of types and values does not matter", "UID=Ann,DC=Test", "uid=ann,dc=test", true},
		{"the case of foreign letters does not matter", "cn=ÅSE ŁUCJA,dc=test", "cn=åse łucja,dc=test", true},
		{"a comma may be escaped in two ways", `cn=Lee\, Ann,dc=test`, `cn=Lee\2C Ann,dc=test`, true},
		{"hexadecimal escapes may spell a foreign letter", `cn=\C3\89mile,dc=test`, "cn=émile,dc=test", true},
		{"space around separators does not matter", "cn = a , dc = test", "cn=a,dc=test", true},
		{"an escaped space at the end matters", `cn=a\ ,dc=test`, "cn=a,dc=test", false},
		{"an escaped space may be hexadecimal", `cn=a\ ,dc=test`, `cn=a\20,dc=test`, true},
		{"a semicolon separates like a comma", "cn=a;dc=test", "cn=a,dc=test", true},
		{"the order in a multi-valued RDN does not matter", "cn=a+uid=b+sn=c,dc=test", "sn=C+CN=a+uid=b,dc=test", true},
		{"the order of RDNs matters", "dc=a,dc=b", "dc=b,dc=a", false},
		{"an escaped separator is none", `cn=a\,dc=test`, "cn=a,dc=test", false},
		{"an escaped plus is none", `cn=a\+b=c,dc=test`, "cn=a+b=c,dc=test", false},
		{"a value may have its BER form", "cn=#0403416e6e,dc=test", "cn=ann,dc=test", true},
		{"a backslash is not what it escapes", `cn=\\2C,dc=test`, `cn=\2C,dc=test`, false},
		{"an equals sign is part of a value", "cn=a=b,dc=test", `cn=a\=b,dc=test`, true},
		{"different values differ", "cn=a,dc=test", "cn=b,dc=test", false},
		{"a shorter name differs", "cn=a,dc=test", "cn=a", false},
		{"a long name is no exception", "cn=" + strings.Repeat("Ä", 2000), "CN=" + strings.Repeat("ä", 2000), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := dn.Of(c.a) == dn.Of(c.b); got != c.same {
				t.Errorf("%q and %q: same %t, want %t", c.a, c.b, got, c.same)
			}
		})
	}
}

func TestTheFirstHalfOfAHashIsThatOfTheNameAbove(t *testing.T) {
	for name, above := range map[string]string{
		"uid=ann,ou=People,dc=test":      "OU=people, dc=test",
		`cn=Lee\, Ann,dc=test`:           "dc=test",
		`cn=Lee\2C Ann\\,dc=test`:        "dc=test",
		"uid=ann+cn=a;ou=x,dc=test":      "ou=X,dc=test",
		"dc=test":                        "",
		`CN="a",OU=Müller \+ Söhne,dc=b`: `ou=MÜLLER \2B söhne,DC=b`,
	} {
		child, parent := dn.Hash(name), dn.Hash(above)
		if !bytes.Equal(child[:8], parent[8:]) {
			t.Errorf("%q: its first half is not the second one of %q", name, above)
		}
		if got := dn.Parent(name); dn.Hash(got) != parent {
			t.Errorf("the name above %q is %q, want %q", name, got, above)
		}
	}
}

// FuzzKeysAreEqualWhenNamesAre holds the keys to what go-ldap's parser says.
func FuzzKeysAreEqualWhenNamesAre(f *testing.F) {
	f.Add("UID=Ann,DC=Test", "uid=ann,dc=test")
	f.Add(`cn=Lee\, Ann+sn=Ü,dc=test`, `SN=\C3\9c + cn=lee\2c ann,dc=test`)
	f.Add(`cn=a\ `, `cn=a\20 `)
	f.Add(`cn=\\ ,a=#0401`, `cn=\5c;a=\,`)
	f.Add("cn=\u212a", "cn=k")
	f.Fuzz(func(t *testing.T, a, b string) {
		left, err1 := ldap.ParseDN(a)
		right, err2 := ldap.ParseDN(b)
		if err1 != nil || err2 != nil || !usable(left, a) || !usable(right, b) {
			return
		}
		if got, want := dn.Of(a) == dn.Of(b), left.EqualFold(right); got != want {
			t.Errorf("%q and %q: same key %t, same name %t", a, b, got, want)
		}
		// However the name is spelt, its key stays.
		if respelt := strings.ToUpper(left.String()); utf8.ValidString(respelt) && !strings.ContainsAny(a, "#") {
			if again, err := ldap.ParseDN(respelt); err == nil && again.EqualFold(left) && dn.Of(respelt) != dn.Of(a) {
				t.Errorf("%q and its other spelling %q have different keys", a, respelt)
			}
		}
	})
}

// usable leaves out what the parsers may see differently: text that is not UTF-8,
// values in BER form, and types that are none (RFC 4512 section 1.4), which go-ldap
// lets pass.
func usable(parsed *ldap.DN, text string) bool {
	if !utf8.ValidString(text) || strings.Contains(text, "#") || len(parsed.RDNs) == 0 || emptyType.MatchString(text) {
		return false
	}
	for _, rdn := range parsed.RDNs {
		for _, a := range rdn.Attributes {
			if !utf8.ValidString(a.Value) || !attributeType.MatchString(a.Type) {
				return false
			}
		}
	}
	return true
}

var (
	emptyType     = regexp.MustCompile(`(^|[,;+]) *=`)
	attributeType = regexp.MustCompile(`^[A-Za-z0-9.-]+$`)
)

func BenchmarkOf(b *testing.B) {
	for _, c := range []struct{ name, dn string }{
		{"a typical name", "uid=u000042,ou=dept02,ou=people,dc=corp,dc=test"},
		{"a name of Active Directory", `CN=Müller\, Ann,OU=Zürich,OU=People,DC=corp,DC=example,DC=com`},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				dn.Of(c.dn)
			}
		})
	}
}
