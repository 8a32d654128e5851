package notify

import "testing"

func TestTheURLOfAMailServer(t *testing.T) {
	for _, c := range []struct {
		url, password string
		want          string // host:port, and how
	}{
		{"smtp://mail.test", "", "mail.test:587 starttls"},
		{"smtp://mail.test:25/", "", "mail.test:25 starttls"},
		{"smtps://mail.test", "", "mail.test:465 tls"},
		{"smtp://ann@mail.test", "secret", "mail.test:587 starttls"},
		{"smtp://ann%40corp.test@mail.test", "secret", "mail.test:587 starttls"},
		{"smtp://[::1]:25?tls=off", "", "::1:25 plain"},
		{"smtp://ann@mail.test", "", ""},
		{"smtp://mail.test", "secret", ""},
		{"smtp://ann:secret@mail.test", "", ""},
		{"smtp://ann:secret@mail.test", "secret", ""},
		{"smtp://ann@mail.test?tls=off", "secret", ""},
		{"smtps://mail.test?tls=off", "", ""},
		{"smtp://mail.test?tls=maybe", "", ""},
		{"smtp://mail.test?insecure=1", "", ""},
		{"smtp://mail.test/path", "", ""},
		{"smtp://mail.test:0", "", ""},
		{"smtp://mail.test:99999", "", ""},
		{"smtp://", "", ""},
		{"http://mail.test", "", ""},
		{"mail.test:25", "", ""},
		{"", "", ""},
	} {
		s, err := ParseServer(c.url, c.password, nil)
		got := ""
		if err == nil {
			got = s.host + ":" + s.port + " " + map[bool]string{true: "tls", false: map[bool]string{true: "starttls", false: "plain"}[s.starttls]}[s.implicit]
		}
		if got != c.want {
			t.Errorf("%s is %q, %v; want %q", c.url, got, err, c.want)
		}
	}
	if _, err := ParseServer("smtp://mail.test", "", []byte("no PEM")); err == nil {
		t.Error("a CA file without certificates was taken")
	}
}
