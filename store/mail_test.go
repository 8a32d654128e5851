package store

import (
	"strings"
	"testing"
	"time"
)

func TestAnAddressThatCanBeWrittenTo(t *testing.T) {
	for given, want := range map[string]string{
		"ann@corp.test":                         "ann@corp.test",
		"Ann.O'Neil+x@Corp.Test":                "Ann.O'Neil+x@Corp.Test",
		"jürg@corp.test":                        "jürg@corp.test",
		"ann@bücher.test":                       "ann@xn--bcher-kva.test",
		"":                                      "",
		"ann":                                   "",
		"@corp.test":                            "",
		"ann@":                                  "",
		"Ann <ann@corp.test>":                   "",
		"ann@corp.test, bob@corp.test":          "",
		"ann@corp.test,bob@corp.test":           "",
		"ann@corp.test\r\nBcc: all@corp.test":   "",
		"ann\n@corp.test":                       "",
		"ann@corp.test>":                        "",
		"<ann@corp.test>":                       "",
		"a b@corp.test":                         "",
		"ann@corp.test\x00":                     "",
		strings.Repeat("a", 300) + "@corp.test": "",
		"ann(comment)@corp.test":                "",
		"ann_corp.test#EXT#@tenant.onmicrosoft.me": "ann_corp.test#EXT#@tenant.onmicrosoft.me",
	} {
		got, ok := MailAddress(given)
		if got != want || ok != (want != "") {
			t.Errorf("%q is written to at %q, %v; want %q", given, got, ok, want)
		}
	}
}

func TestAWelcomeGoesToThePrimaryEmailElseToAUserNameThatIsAnAddress(t *testing.T) {
	emails := func(list ...string) (out []Value) {
		for i, e := range list {
			out = append(out, Value{Value: e, Primary: i == len(list)-1})
		}
		return out
	}
	for name, c := range map[string]struct {
		of   Attributes
		want string
	}{
		"the primary email":              {Attributes{UserName: "ann@a.test", Emails: emails("x@a.test", "y@a.test")}, "y@a.test"},
		"a userName that is an address":  {Attributes{UserName: "ann@a.test"}, "ann@a.test"},
		"a primary email that is broken": {Attributes{UserName: "ann@a.test", Emails: emails("no address")}, "ann@a.test"},
		"no address":                     {Attributes{UserName: "ann"}, ""},
	} {
		m := WelcomeMail(&User{ID: "x", Org: 1, Directory: 2, Attributes: c.of}, time.Unix(1, 0))
		switch {
		case m == nil && c.want != "":
			t.Errorf("%s: nobody is written to, want %s", name, c.want)
		case m != nil && (m.Recipient != c.want || m.Dedupe != "welcome:x" || m.Resource != "x" || m.Org != 1 || m.Directory != 2):
			t.Errorf("%s: %+v, want to %q", name, m, c.want)
		}
	}
}
