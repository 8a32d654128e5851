package notify

import (
	"bytes"
	"mime"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/provost-scim/provost/store"
)

func TestATemplateUsesTheFieldsAndConditionsAndNothingElse(t *testing.T) {
	for source, good := range map[string]bool{
		"":                                true,
		"plain text, {{/* a comment */}}": true,
		"{{.Name}} {{ .UserName }} {{- .Organization -}} {{.SignInURL}}": true,
		"{{if .SignInURL}}at {{.SignInURL}}{{else}}later{{end}}":         true,
		"{{if .SignInURL}}a{{else if .Name}}b{{else}}c{{end}}":           true,
		"{{.Password}}":                     false,
		"{{if .Password}}{{end}}":           false,
		"{{if .SignInURL}}{{.Nope}}{{end}}": false,
		"{{.}}":                             false,
		"{{.Name.Length}}":                  false,
		"{{.Name":                           false,
		"{{end}}":                           false,
		"{{range 1000000000}}x{{end}}":      false,
		"{{range .Name}}x{{end}}":           false,
		"{{with .Name}}x{{end}}":            false,
		`{{printf "%1000000000d" 1}}`:       false,
		"{{.Name | printf}}":                false,
		"{{$x := .Name}}{{$x}}":             false,
		`{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`: false,
		`{{block "a" .}}{{end}}`:                                false,
		"{{len .Name}}":                                         false,
		`{{"text"}}`:                                            false,
		"\xff":                                                  false,
		"a\x00b":                                                false,
		strings.Repeat("x", maxText+1):                          false,
		strings.Repeat("{{if .Name}}", 7) + strings.Repeat("{{end}}", 7): false,
	} {
		err := CheckWelcome("", source)
		if (err == nil) != good {
			t.Errorf("%.80q: %v", source, err)
		}
		if err != nil && store.CodeOf(err) != store.CodeInvalid {
			t.Errorf("%.80q: the error is no refusal: %v", source, err)
		}
	}
	if err := CheckWelcome("two\nlines", ""); store.CodeOf(err) != store.CodeInvalid {
		t.Errorf("a subject of two lines: %v", err)
	}
	if err := CheckWelcome(defaultSubject, defaultText); err != nil {
		t.Errorf("the default: %v", err)
	}
}

func TestNothingThatADirectoryStatesBeginsAHeaderOrALine(t *testing.T) {
	evil := "Ann\r\nBcc: all@corp.test\r\n\r\n.\r\nMAIL FROM:<x@y>\u2028\x00\x1b[31m" + strings.Repeat("ä", 2000)
	o := &store.Organization{Name: "Org\nX-Evil: 1", Settings: store.OrganizationSettings{
		WelcomeSubject: "Hi {{.Name}} of {{.Organization}}", WelcomeText: "{{.Name}}\n{{.UserName}}\n", SignInURL: "https://a.test",
	}}
	u := &store.User{Attributes: store.Attributes{UserName: evil, DisplayName: evil}}
	l, err := welcome(o, u)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	from := &netmail.Address{Name: "Provost", Address: "provost@corp.test"}
	m := &store.Mail{ID: store.NewID(now), Recipient: "ann@corp.test"}
	msg, err := message(from, m, l, now)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := msg.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	parsed, err := netmail.ReadMessage(&text)
	if err != nil {
		t.Fatal(err)
	}
	for name := range parsed.Header {
		switch name {
		case "Date", "Mime-Version", "Message-Id", "Subject", "From", "To", "Auto-Submitted", "Content-Type", "Content-Transfer-Encoding":
		default:
			t.Errorf("the header has %s: %q", name, parsed.Header[name])
		}
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
	if err != nil || strings.ContainsAny(subject, "\r\n\x00\x1b\u2028") || len([]rune(subject)) > maxSubjectMade {
		t.Errorf("the subject is %q, %v", subject, err)
	}
	if n := strings.Count(l.text, "\n"); n != 2 || strings.ContainsAny(l.text, "\r\x00\x1b\u2028") {
		t.Errorf("the text has %d lines: %.200q", n, l.text)
	}
	if _, err := message(from, &store.Mail{ID: "x", Recipient: "ann@corp.test>\r\nRCPT TO:<bob@corp.test"}, l, now); err == nil {
		t.Error("an address with two lines was taken")
	}
}

func TestAUserIsCalledByTheBestNameThereIs(t *testing.T) {
	for want, a := range map[string]store.Attributes{
		"Display":     {UserName: "u", DisplayName: "Display", Name: &store.Name{Formatted: "Formatted"}},
		"Formatted":   {UserName: "u", Name: &store.Name{Formatted: "Formatted", GivenName: "Given"}},
		"Given":       {UserName: "u", Name: &store.Name{GivenName: "Given"}},
		"Given Famil": {UserName: "u", Name: &store.Name{GivenName: "Given", FamilyName: "Famil"}},
		"u":           {UserName: "u", Name: &store.Name{}},
	} {
		if got := nameOf(&store.User{Attributes: a}); got != want {
			t.Errorf("called %q, want %q", got, want)
		}
	}
}
