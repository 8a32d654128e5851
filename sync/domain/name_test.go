package domain_test

import (
	"strings"
	"testing"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/domain"
)

func TestNormalize(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"a plain name stays", "corp.test", "corp.test"},
		{"case is folded", "Corp.TEST", "corp.test"},
		{"a trailing dot and space go", " corp.test. ", "corp.test"},
		{"foreign letters become ASCII", "Zürich.test", "xn--zrich-kva.test"},
		{"the ASCII form stays", "XN--Zrich-KVA.test", "xn--zrich-kva.test"},
		{"sharp s stays itself", "straße.test", "xn--strae-oqa.test"},
		{"full-width letters are letters", "ｃｏｒｐ.test", "corp.test"},
		{"the ideographic dot is a dot", "corp。test", "corp.test"},
		{"a label may begin with digits", "3m.example", "3m.example"},
		{"nothing is refused", "", ""},
		{"a single label is refused", "localhost", ""},
		{"only dots are refused", "..", ""},
		{"an empty label is refused", "corp..test", ""},
		{"an IPv4 address is refused", "192.0.2.1", ""},
		{"an IPv6 address is refused", "[2001:db8::1]", ""},
		{"what looks like an address is refused", "256.0.2.1", ""},
		{"an email address is refused", "ann@corp.test", ""},
		{"a URL is refused", "https://corp.test", ""},
		{"a port is refused", "corp.test:443", ""},
		{"a wildcard is refused", "*.corp.test", ""},
		{"an underscore is refused", "_dmarc.corp.test", ""},
		{"space inside is refused", "corp .test", ""},
		{"a NUL is refused", "corp\x00.test", ""},
		{"a hyphen at an edge is refused", "-corp.test", ""},
		{"a label that is too long is refused", strings.Repeat("a", 64) + ".test", ""},
		{"the longest label is accepted", strings.Repeat("a", 63) + ".test", strings.Repeat("a", 63) + ".test"},
		{"a name that is too long is refused", strings.Repeat("a.", 127) + "test", ""},
		{"a huge input is refused", strings.Repeat("a.", 1<<20), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := domain.Normalize(c.in)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Fatalf("%.60q gives %q, %v; want %q", c.in, got, err, c.want)
			}
			if err != nil {
				if store.CodeOf(err) != store.CodeInvalid {
					t.Errorf("refused with %v", err)
				}
				return
			}
			if again, err := domain.Normalize(got); err != nil || again != got {
				t.Errorf("%q normalized again is %q, %v", got, again, err)
			}
		})
	}
}

func TestChallengesDiffer(t *testing.T) {
	if a, b := domain.Challenge(), domain.Challenge(); a == b || len(a) < 26 {
		t.Errorf("challenges %q and %q", a, b)
	}
}
