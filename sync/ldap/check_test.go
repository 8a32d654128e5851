package ldap_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
	reader "github.com/provost-scim/provost/sync/ldap"
)

func TestCheckSaysWhatToDo(t *testing.T) {
	server := testenv.Slapd(t, testenv.SlapdOptions{RequireTLS: true})
	other := testenv.Slapd(t, testenv.SlapdOptions{}) // with another CA
	refusing := fake(t, func(request) []answer { return nil })
	dead := testenv.DropProxy(t, server.TLSURL)
	dead.StallAfter(0)
	for _, c := range []struct {
		name     string
		change   func(*store.LDAP)
		password string
		field    string
		text     string // "" if all is well
		code     store.Code
	}{
		{name: "nothing, when all is well over LDAPS", change: func(*store.LDAP) {}},
		{name: "nothing, when all is well over StartTLS", change: func(s *store.LDAP) { s.URLs, s.StartTLS = []string{server.URL}, true }},
		{name: "that the password is wrong", change: func(*store.LDAP) {}, password: "wrong", code: store.CodeInvalid, field: "bind_password", text: "refused the credentials"},
		{name: "that the bind DN is no DN", change: func(s *store.LDAP) { s.BindDN = "nobody" }, code: store.CodeInvalid, field: "bind_dn", text: "Invalid DN Syntax"},
		{name: "that the CA is not trusted", change: func(s *store.LDAP) { s.CA = settings(t, other).CA }, code: store.CodeInvalid, field: "ca", text: "not signed by a trusted authority"},
		{name: "that the CA is not trusted over StartTLS", change: func(s *store.LDAP) {
			s.CA, s.URLs, s.StartTLS = settings(t, other).CA, []string{server.URL}, true
		}, code: store.CodeInvalid, field: "ca", text: "not signed by a trusted authority"},
		{name: "that the system does not know the CA", change: func(s *store.LDAP) { s.CA = "" }, code: store.CodeInvalid, field: "ca", text: "not signed by a trusted authority"},
		{name: "that the port does not speak TLS", change: func(s *store.LDAP) { s.URLs = []string{"ldaps" + server.URL[len("ldap"):]} }, code: store.CodeInvalid, field: "urls", text: "does not speak TLS"},
		{name: "that StartTLS was refused", change: func(s *store.LDAP) { s.URLs, s.StartTLS = []string{refusing.url}, true }, code: store.CodeInvalid, field: "start_tls", text: "refused StartTLS"},
		{name: "that the server wants encryption", change: func(s *store.LDAP) { s.URLs, s.AllowPlaintext = []string{server.URL}, true }, code: store.CodeInvalid, field: "urls", text: "Confidentiality Required"},
		{name: "that nobody listens", change: func(s *store.LDAP) { s.URLs = []string{"ldaps://127.0.0.1:1"} }, code: store.CodeBusy, field: "urls", text: "cannot be reached"},
		{name: "that the name is unknown", change: func(s *store.LDAP) { s.URLs = []string{"ldaps://ldap.invalid"} }, code: store.CodeBusy, field: "urls", text: "ldap.invalid"},
		{name: "that the server does not answer", change: func(s *store.LDAP) { s.URLs, s.TimeoutSeconds = []string{"ldaps://" + dead.Addr}, 1 }, code: store.CodeBusy, field: "timeout_seconds", text: "did not answer"},
		{name: "that a base DN is not there", change: func(s *store.LDAP) { s.BaseDNs = []string{"dc=elsewhere"} }, code: store.CodeInvalid, field: "base_dns", text: "No Such Object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			password := server.Password
			if c.password != "" {
				password = c.password
			}
			err := open(t, settings(t, server, c.change), password).Check(t.Context())
			if c.text == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, c.code, c.field, c.text)
		})
	}
}

func TestACertificateForAnotherNameIsRefused(t *testing.T) {
	server := testenv.Slapd(t, testenv.SlapdOptions{})
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(server.TLSURL, "ldaps://"))
	}
	source, err := reader.New(settings(t, server, func(s *store.LDAP) { s.URLs = []string{"ldaps://ldap.corp.test"} }), server.Password, reader.Options{Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, source.Check(t.Context()), store.CodeInvalid, "urls", "is for another name")
}

func TestRefusedCredentialsAreNotTriedOnEveryServer(t *testing.T) {
	first, second := fake(t, func(request) []answer { return nil }), testenv.DropProxy(t, "ldap://127.0.0.1:1")
	first.bind = answer{result: ldap.LDAPResultInvalidCredentials}
	s := first.settings("openldap")
	s.URLs = append(s.URLs, "ldap://"+second.Addr)
	if err := open(t, s, "wrong").Check(t.Context()); store.CodeOf(err) != store.CodeInvalid {
		t.Errorf("got %v", err)
	}
	if second.Connections() != 0 {
		t.Error("the second server was asked, too")
	}
}

func TestACancelledCheckEnds(t *testing.T) {
	server := testenv.Slapd(t, testenv.SlapdOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := open(t, settings(t, server), server.Password).Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNewNamesTheSettingAtFault(t *testing.T) {
	good := store.LDAP{
		URLs: []string{"ldaps://ldap.corp.test"}, BindDN: "cn=sync,dc=corp,dc=test", BaseDNs: []string{"dc=corp,dc=test"},
		Preset: "openldap", PageSize: 1000, TimeoutSeconds: 60,
	}
	if _, err := reader.New(good, "secret", reader.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		field  string
		change func(s *store.LDAP, secret *string)
	}{
		{"no URL", "urls", func(s *store.LDAP, _ *string) { s.URLs = nil }},
		{"a URL of another scheme", "urls", func(s *store.LDAP, _ *string) { s.URLs = []string{"https://ldap.corp.test"} }},
		{"a URL without a host", "urls", func(s *store.LDAP, _ *string) { s.URLs = []string{"ldaps://:636"} }},
		{"a URL with a base DN", "urls", func(s *store.LDAP, _ *string) { s.URLs = []string{"ldaps://ldap.corp.test/dc=corp"} }},
		{"a URL with a port out of range", "urls", func(s *store.LDAP, _ *string) { s.URLs = []string{"ldaps://ldap.corp.test:65536"} }},
		{"plain text that is not allowed", "urls", func(s *store.LDAP, _ *string) { s.URLs = []string{"ldap://ldap.corp.test"} }},
		{"StartTLS within LDAPS", "start_tls", func(s *store.LDAP, _ *string) { s.StartTLS = true }},
		{"a CA that is none", "ca", func(s *store.LDAP, _ *string) { s.CA = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----" }},
		{"a bind DN without a password", "bind_password", func(_ *store.LDAP, secret *string) { *secret = "" }},
		{"a password without a bind DN", "bind_dn", func(s *store.LDAP, _ *string) { s.BindDN = "" }},
		{"no base DN", "base_dns", func(s *store.LDAP, _ *string) { s.BaseDNs = nil }},
		{"a base DN that is none", "base_dns", func(s *store.LDAP, _ *string) { s.BaseDNs = []string{"corp.test"} }},
		{"an empty base DN", "base_dns", func(s *store.LDAP, _ *string) { s.BaseDNs = []string{""} }},
		{"base DNs that overlap", "base_dns", func(s *store.LDAP, _ *string) { s.BaseDNs = append(s.BaseDNs, "ou=people,DC=corp,dc=test") }},
		{"an unknown preset", "preset", func(s *store.LDAP, _ *string) { s.Preset = "novell" }},
		{"a user filter that does not compile", "user_filter", func(s *store.LDAP, _ *string) { s.UserFilter = "(uid=*" }},
		{"a group filter that does not compile", "group_filter", func(s *store.LDAP, _ *string) { s.GroupFilter = "cn" }},
		{"a page of nothing", "page_size", func(s *store.LDAP, _ *string) { s.PageSize = 0 }},
		{"a page that is too large", "page_size", func(s *store.LDAP, _ *string) { s.PageSize = 10_001 }},
		{"no time-out", "timeout_seconds", func(s *store.LDAP, _ *string) { s.TimeoutSeconds = 0 }},
		{"an unknown attribute", "attributes", func(s *store.LDAP, _ *string) { s.Attributes = map[string]string{"shoeSize": "x"} }},
		{"an attribute name that is none", "attributes", func(s *store.LDAP, _ *string) { s.Attributes = map[string]string{"title": "a b"} }},
		{"leaving out what is required", "attributes", func(s *store.LDAP, _ *string) { s.Attributes = map[string]string{"userName": ""} }},
		{"two stable ids", "attributes", func(s *store.LDAP, _ *string) { s.Attributes = map[string]string{"externalId": "a|b"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, secret := good, "secret"
			c.change(&s, &secret)
			_, err := reader.New(s, secret, reader.Options{})
			var e *store.Error
			if !errors.As(err, &e) || e.Code != store.CodeInvalid || e.Field != c.field {
				t.Errorf("got %v, want a fault of %s", err, c.field)
			}
		})
	}
}
