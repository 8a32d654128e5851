package ldap_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
	reader "github.com/provost-scim/provost/sync/ldap"
)

// wanted is a step that a check must have taken.
type wanted struct {
	name   string
	status store.CheckStatus
	field  string
	text   string // of the detail
	hint   string // part of the hint; not empty unless the step is ok or skipped
}

// wantStep fails unless one of the steps is as wanted.
func wantStep(t *testing.T, steps []store.CheckStep, w wanted) {
	t.Helper()
	for i := range steps {
		step := &steps[i]
		if step.Name == w.name && step.Status == w.status && step.Field == w.field &&
			strings.Contains(step.Detail, w.text) && strings.Contains(step.Hint, w.hint) {
			if (step.Status == store.CheckFailed || step.Status == store.CheckWarning) && step.Hint == "" {
				t.Errorf("the step does not say what to do: %+v", step)
			}
			return
		}
	}
	t.Errorf("no step is %+v:\n%s", w, listing(steps))
}

// wantOnly fails if a step that is not named ended with a status.
func wantOnly(t *testing.T, steps []store.CheckStep, status store.CheckStatus, names ...string) {
	t.Helper()
	var got []string
	for i := range steps {
		if steps[i].Status == status {
			got = append(got, steps[i].Name)
		}
	}
	if diff := gocmp.Diff(names, got); diff != "" {
		t.Errorf("steps that are %s (-want +got):\n%s\n%s", status, diff, listing(steps))
	}
}

func listing(steps []store.CheckStep) string {
	var text strings.Builder
	for i := range steps {
		fmt.Fprintf(&text, "%+v\n", steps[i])
	}
	return text.String()
}

// fewPeople is the LDIF of ten users, of which a weak account is one, and two groups.
func fewPeople(w io.Writer) error {
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 10, Groups: 2})
	if err := company.WriteLDIF(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "dn: cn=weak,ou=svc,%s\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: weak\nuserPassword: weak\n\n", testenv.Suffix)
	return err
}

func TestCheckSaysWhatToMend(t *testing.T) {
	server := testenv.Slapd(t, testenv.SlapdOptions{RequireTLS: true, Write: fewPeople, Config: []string{
		"limits users size.prtotal=disabled", // of everyone but the service account
	}})
	other := testenv.Slapd(t, testenv.SlapdOptions{}) // with another CA
	old := testenv.Slapd(t, testenv.SlapdOptions{CertificateTime: -time.Hour})
	ending := testenv.Slapd(t, testenv.SlapdOptions{CertificateTime: 73 * time.Hour, Write: fewPeople})
	narrow := testenv.Slapd(t, testenv.SlapdOptions{SizeLimit: 5, Write: fewPeople})
	hiding := testenv.Slapd(t, testenv.SlapdOptions{Write: fewPeople, Config: []string{
		`access to dn.subtree="ou=groups,` + testenv.Suffix + `" by * none`,
		`access to dn.subtree="ou=people,` + testenv.Suffix + `" attrs=mail by * none`,
		"access to attrs=userPassword by anonymous auth by * none",
		"access to * by users read",
	}})
	refusing := fake(t, func(request) []answer { return nil })
	dead := testenv.DropProxy(t, server.TLSURL)
	dead.StallAfter(0)
	for _, c := range []struct {
		name     string
		server   *testenv.LDAPServer // not the first one
		change   func(*store.LDAP)
		password string
		want     []wanted
		warnings []string
		failures []string
	}{
		{name: "nothing, when all is well over LDAPS", want: []wanted{
			{name: "resolve", status: store.CheckOK, text: "an address"},
			{name: "connect", status: store.CheckOK, text: "connected to 127.0.0.1:"},
			{name: "tls", status: store.CheckOK, text: "TLS 1.3, certificate for localhost, 127.0.0.1, issued by CN=Provost test CA, valid until "},
			{name: "bind", status: store.CheckOK, text: "bound as cn=sync"},
			{name: "base_dn", status: store.CheckOK},
			{name: "paging", status: store.CheckOK},
			{name: "users", status: store.CheckOK, text: "10 found"},
			{name: "groups", status: store.CheckOK, text: "2 found"},
			{name: "attributes", status: store.CheckOK, text: "of 10 entries have "},
			{name: "lookup", status: store.CheckOK, text: "entryUUID"},
			{name: "incremental", status: store.CheckOK, text: "syncrepl; incremental runs are off"},
		}},
		{name: "nothing, when all is well over StartTLS", change: func(s *store.LDAP) { s.URLs, s.StartTLS = []string{server.URL}, true },
			want: []wanted{{name: "tls", status: store.CheckOK, text: "TLS 1.3"}}},
		{name: "that the password is wrong", password: "wrong", failures: []string{"bind"},
			want: []wanted{
				{name: "bind", status: store.CheckFailed, field: "bind_password", text: "refused the credentials"},
				{name: "users", status: store.CheckSkipped},
			}},
		{name: "that the bind DN is no DN", change: func(s *store.LDAP) { s.BindDN = "nobody" }, failures: []string{"bind"},
			want: []wanted{{name: "bind", status: store.CheckFailed, field: "bind_dn", text: "Invalid DN Syntax"}}},
		{name: "that the CA is not trusted", change: func(s *store.LDAP) { s.CA = settings(t, other).CA }, failures: []string{"tls"},
			want: []wanted{{name: "tls", status: store.CheckFailed, field: "ca", text: "not signed by a trusted authority (certificate for localhost"}}},
		{name: "that the CA is not trusted over StartTLS", change: func(s *store.LDAP) {
			s.CA, s.URLs, s.StartTLS = settings(t, other).CA, []string{server.URL}, true
		}, failures: []string{"tls"}, want: []wanted{{name: "tls", status: store.CheckFailed, field: "ca", text: "not signed by a trusted authority"}}},
		{name: "that the system does not know the CA", change: func(s *store.LDAP) { s.CA = "" }, failures: []string{"tls"},
			want: []wanted{{name: "tls", status: store.CheckFailed, field: "ca", text: "not signed by a trusted authority"}}},
		{name: "that the certificate has expired", server: old, failures: []string{"tls"},
			want: []wanted{{name: "tls", status: store.CheckFailed, field: "ca", text: "is not valid (certificate for localhost", hint: "renew"}}},
		{name: "that the certificate ends in three days", server: ending, warnings: []string{"tls"},
			want: []wanted{{name: "tls", status: store.CheckWarning, text: "expires in 3 days", hint: "renew"}}},
		{name: "that the port does not speak TLS", change: func(s *store.LDAP) { s.URLs = []string{"ldaps" + server.URL[len("ldap"):]} }, failures: []string{"tls"},
			want: []wanted{{name: "tls", status: store.CheckFailed, field: "urls", text: "does not speak TLS"}}},
		{name: "that StartTLS was refused", change: func(s *store.LDAP) { s.URLs, s.StartTLS = []string{refusing.url}, true }, failures: []string{"tls"},
			want: []wanted{{name: "tls", status: store.CheckFailed, field: "start_tls", text: "refused StartTLS"}}},
		{name: "that the server wants encryption", change: func(s *store.LDAP) { s.URLs, s.AllowPlaintext = []string{server.URL}, true },
			failures: []string{"bind"}, warnings: []string{"tls"}, want: []wanted{
				{name: "tls", status: store.CheckWarning, field: "allow_plaintext", text: "not encrypted"},
				{name: "bind", status: store.CheckFailed, field: "urls", text: "Confidentiality Required"},
			}},
		{name: "that nobody listens", change: func(s *store.LDAP) { s.URLs = []string{"ldaps://127.0.0.1:1"} }, failures: []string{"connect"},
			want: []wanted{
				{name: "connect", status: store.CheckFailed, field: "urls", text: "cannot be reached", hint: "firewall"},
				{name: "bind", status: store.CheckSkipped, text: "no connection"},
			}},
		{name: "that the name is unknown", change: func(s *store.LDAP) { s.URLs = []string{"ldaps://ldap.invalid"} }, failures: []string{"resolve"},
			want: []wanted{{name: "resolve", status: store.CheckFailed, field: "urls", text: "ldap.invalid"}}},
		{name: "that the server does not answer", change: func(s *store.LDAP) { s.URLs, s.TimeoutSeconds = []string{"ldaps://" + dead.Addr}, 1 }, failures: []string{"tls"},
			want: []wanted{{name: "tls", status: store.CheckFailed, field: "timeout_seconds", text: "did not answer"}}},
		{name: "that a base DN is not there", change: func(s *store.LDAP) { s.BaseDNs = []string{"ou=people,dc=corp,dc=test", "ou=elsewhere,dc=corp,dc=test"} },
			failures: []string{"base_dn"}, want: []wanted{
				{name: "base_dn", status: store.CheckOK, text: "it is there"},
				{name: "base_dn", status: store.CheckFailed, field: "base_dns", text: "No Such Object", hint: "check the base DN"},
				{name: "users", status: store.CheckSkipped, text: "not every base DN can be read"},
				{name: "incremental", status: store.CheckOK},
			}},
		{name: "that pages are refused", change: func(s *store.LDAP) { s.BindDN = "cn=weak,ou=svc," + testenv.Suffix }, password: "weak", failures: []string{"paging"},
			want: []wanted{
				{name: "paging", status: store.CheckFailed, text: "pagedResults control not allowed", hint: "size.prtotal=unlimited"},
				{name: "users", status: store.CheckSkipped, text: "pages"},
			}},
		{name: "that the server's limit cuts the answer off", server: narrow, failures: []string{"users"},
			want: []wanted{{name: "users", status: store.CheckFailed, text: "Size Limit Exceeded", hint: "size.prtotal=unlimited"}}},
		{name: "what the account may not read", server: hiding, warnings: []string{"groups", "attributes"},
			want: []wanted{
				{name: "users", status: store.CheckOK, text: "10 found"},
				{name: "groups", status: store.CheckWarning, field: "group_filter", text: "0 found", hint: "may read"},
				{name: "attributes", status: store.CheckWarning, field: "attributes", text: "none has emails.work", hint: "right to read"},
			}},
		{name: "that no entry has the mapped user name", change: func(s *store.LDAP) { s.Attributes = map[string]string{"userName": "userPrincipalName"} }, failures: []string{"attributes"},
			want: []wanted{{name: "attributes", status: store.CheckFailed, field: "attributes", text: "none of 10 entries can become a record", hint: "map"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, password := server, c.password
			if c.server != nil {
				at = c.server
			}
			if password == "" {
				password = at.Password
			}
			set := settings(t, at)
			if c.change != nil {
				c.change(&set)
			}
			steps := open(t, set, password).Check(t.Context())
			for _, w := range c.want {
				wantStep(t, steps, w)
			}
			wantOnly(t, steps, store.CheckFailed, c.failures...)
			wantOnly(t, steps, store.CheckWarning, c.warnings...)
		})
	}
}

func TestCheckSaysThatIncrementalRunsCannotBe(t *testing.T) {
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: fewPeople})
	steps := open(t, settings(t, server, incremental, func(s *store.LDAP) { s.Attributes = map[string]string{"externalId": "uid"} }), server.Password).Check(t.Context())
	wantStep(t, steps, wanted{name: "incremental", status: store.CheckWarning, field: "incremental", text: "stable id is uid", hint: "reads everything"})
	steps = open(t, settings(t, server, incremental), server.Password).Check(t.Context())
	wantStep(t, steps, wanted{name: "incremental", status: store.CheckOK, text: "by syncrepl"})
}

func TestCheckOfAServerThatIgnoresPages(t *testing.T) {
	server := fake(t, func(request) []answer {
		return []answer{entry("dc=corp,dc=test", attribute("objectClass", "domain")), {unpaged: true}}
	})
	steps := open(t, server.settings("openldap"), "secret").Check(t.Context())
	wantStep(t, steps, wanted{name: "paging", status: store.CheckFailed, text: "does not answer in pages", hint: "RFC 2696"})
}

func TestCheckOfADomainOfActiveDirectory(t *testing.T) {
	dc := testenv.Samba(t, testenv.SambaOptions{Write: func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "dn: CN=Ann,OU=People,%[1]s\nobjectClass: user\nsAMAccountName: ann\nuserPrincipalName: ann@ad.corp.test\nmail: ann@corp.test\nuserAccountControl: 544\n\n"+
			"dn: CN=staff,OU=Groups,%[1]s\nobjectClass: group\nsAMAccountName: staff\nmember: CN=Ann,OU=People,%[1]s\n\n", testenv.DomainSuffix)
		return err
	}})
	steps := open(t, domainSettings(t, dc), dc.Password).Check(t.Context())
	for _, w := range []wanted{
		{name: "tls", status: store.CheckOK, text: dc.Address},
		{name: "users", status: store.CheckOK, text: "2 found"}, // with the service account
		{name: "groups", status: store.CheckOK, text: "1 found"},
		{name: "attributes", status: store.CheckOK, text: "active 2"},
		{name: "attributes", status: store.CheckOK, text: "of 1 entries have displayName 1, members 1"},
		{name: "lookup", status: store.CheckOK, text: "objectGUID"},
		{name: "incremental", status: store.CheckOK, text: "by dirsync"},
	} {
		wantStep(t, steps, w)
	}
	wantOnly(t, steps, store.CheckFailed)
	plain := domainSettings(t, dc, func(s *store.LDAP) { s.URLs, s.AllowPlaintext = []string{dc.URL}, true })
	wantStep(t, open(t, plain, dc.Password).Check(t.Context()), wanted{name: "bind", status: store.CheckFailed, field: "urls", text: "Strong Auth Required (8)"})
	for _, base := range []string{"OU=Nowhere," + dc.Suffix, "DC=other,DC=test"} {
		nowhere := domainSettings(t, dc, func(s *store.LDAP) { s.BaseDNs = []string{base} })
		wantStep(t, open(t, nowhere, dc.Password).Check(t.Context()), wanted{name: "base_dn", status: store.CheckFailed, field: "base_dns", text: "No Such Object (32)"})
	}
	steps = open(t, domainSettings(t, dc), "wrong").Check(t.Context())
	wantStep(t, steps, wanted{name: "bind", status: store.CheckFailed, field: "bind_password", text: "the password is wrong, or there is no such user (Active Directory code 52e)"})
}

func TestACertificateForAnotherNameIsRefused(t *testing.T) {
	server := testenv.Slapd(t, testenv.SlapdOptions{})
	options := reader.Options{
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(server.TLSURL, "ldaps://"))
		},
		Resolve: func(context.Context, string) ([]string, error) { return []string{"192.0.2.1", "2001:db8::1"}, nil },
	}
	source, err := reader.New(settings(t, server, func(s *store.LDAP) { s.URLs = []string{"ldaps://ldap.corp.test"} }), server.Password, options)
	if err != nil {
		t.Fatal(err)
	}
	steps := source.Check(t.Context())
	wantStep(t, steps, wanted{name: "resolve", status: store.CheckOK, text: "192.0.2.1, 2001:db8::1"})
	wantStep(t, steps, wanted{name: "tls", status: store.CheckFailed, field: "urls", text: "is for another name (certificate for localhost, 127.0.0.1"})
}

func TestACheckGoesOnWithTheServerThatLetsItIn(t *testing.T) {
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: fewPeople})
	steps := open(t, settings(t, server, func(s *store.LDAP) { s.URLs = []string{"ldaps://127.0.0.1:1", server.TLSURL} }), server.Password).Check(t.Context())
	wantOnly(t, steps, store.CheckFailed, "connect")
	wantStep(t, steps, wanted{name: "users", status: store.CheckOK, text: "10 found"})
}

func TestRefusedCredentialsAreNotTriedOnEveryServer(t *testing.T) {
	first, second := fake(t, func(request) []answer { return nil }), fake(t, func(request) []answer { return nil })
	first.bind = answer{result: ldap.LDAPResultInvalidCredentials}
	s := first.settings("openldap")
	s.URLs = append(s.URLs, second.url)
	source := open(t, s, "wrong")
	steps := source.Check(t.Context())
	wantStep(t, steps, wanted{name: "bind", status: store.CheckSkipped, text: "could lock the account"})
	wantOnly(t, steps, store.CheckFailed, "bind")
	if _, _, err := read(t.Context(), source); store.CodeOf(err) != store.CodeInvalid {
		t.Errorf("a read ends with %v", err)
	}
	if n := second.binds.Load(); n != 0 {
		t.Errorf("the second server was asked %d times, too", n)
	}
}

func TestACancelledCheckEnds(t *testing.T) {
	server := testenv.Slapd(t, testenv.SlapdOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantStep(t, open(t, settings(t, server), server.Password).Check(ctx), wanted{name: "resolve", status: store.CheckSkipped, text: "too long"})
}

func TestACheckOfSilentServersEndsInTime(t *testing.T) {
	server := testenv.Slapd(t, testenv.SlapdOptions{})
	var urls []string
	for range 3 {
		dead := testenv.DropProxy(t, server.TLSURL)
		dead.StallAfter(0)
		urls = append(urls, "ldaps://"+dead.Addr)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	started := time.Now()
	steps := open(t, settings(t, server, func(s *store.LDAP) { s.URLs = urls }), server.Password).Check(ctx)
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	wantOnly(t, steps, store.CheckFailed, "tls")
	wantStep(t, steps, wanted{name: "resolve", status: store.CheckSkipped, text: "taken too long"})
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
