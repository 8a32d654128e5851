package main

import (
	"bytes"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
)

func TestAdministratorsComeWithTokensOfTheIssuer(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(*testing.T) []string{
		"SQLite": func(*testing.T) []string { return nil },
		"PostgreSQL": func(t *testing.T) []string {
			return []string{"--database", testenv.Postgres(t).Database(t, migrateDatabase)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := testenv.OIDC(t, "")
			p := startProvost(t, append(database(t), "--oidc-issuer", i.URL, "--oidc-audience", "console", "--oidc-role-claim", "groups",
				"--oidc-role", "Provost Admins=admin", "--oidc-role", "readers=auditor", "--oidc-role", "a=b=owner@default", "--oidc-role", "outside=owner@other")...)
			p.must(t, "org", "create", "other")
			token := func(group string) string {
				return i.Token(map[string]any{"aud": "console", "sub": "ada-1", "preferred_username": "ada", "groups": []string{group}})
			}
			for _, tt := range []struct {
				token, method, path, body string
				status                    int
				text                      string
			}{
				{token("readers"), "GET", "/directories", "", 200, `"items":[]`},
				{token("readers"), "POST", "/directories", `{"name":"x","kind":"scim"}`, 403, "an auditor only reads"},
				{token("Provost Admins"), "POST", "/directories", `{"name":"entra","kind":"scim"}`, 201, `"entra"`},
				{token("Provost Admins"), "GET", "/tokens", "", 403, "ada has the role admin"},
				{token("Provost Admins"), "GET", "/directories?organization=other", "", 200, `"items":[]`},
				{token("a=b"), "GET", "/tokens", "", 200, "items"},
				{token("a=b"), "GET", "/directories?organization=other", "", 403, "another organization"},
				{token("outside"), "GET", "/directories", "", 200, `"items":[]`},
				{token("nobody"), "GET", "/directories", "", 403, "no role here"},
				{testenv.UnsignedJWT(t, i.Claims(map[string]any{"aud": "console", "sub": "x", "groups": "a=b"})), "GET", "/tokens", "", 401, "algorithm"},
				{testenv.OIDC(t, "").Token(map[string]any{"aud": "console", "groups": "a=b"}), "GET", "/tokens", "", 401, "not one of an administrator"},
			} {
				a, body := fetch(t, tt.method, p.url+"/api/v1"+tt.path, tt.token, tt.body)
				if a.StatusCode != tt.status || !strings.Contains(body, tt.text) {
					t.Errorf("%s %s is %d %s; want %d with %q", tt.method, tt.path, a.StatusCode, body, tt.status, tt.text)
				}
				if challenge := a.Header.Get("WWW-Authenticate"); (a.StatusCode == http.StatusUnauthorized) != strings.Contains(challenge, `error="invalid_token"`) {
					t.Errorf("%d with the challenge %q", a.StatusCode, challenge)
				}
			}
			if events := p.must(t, "event", "list", "--json"); !strings.Contains(strings.Join(strings.Fields(events), ""), `"actor":{"kind":"person","id":"ada-1","name":"ada"}`) {
				t.Errorf("no event names the person: %s", events)
			}
			if a, body := fetch(t, http.MethodGet, p.url+"/scim/v2/Users", token("a=b"), ""); a.StatusCode != http.StatusUnauthorized {
				t.Errorf("SCIM answers a person with %d %s", a.StatusCode, body)
			}
			i.Rotate()
			if a, body := fetch(t, http.MethodGet, p.url+"/api/v1/users", token("readers"), ""); a.StatusCode != http.StatusOK {
				t.Errorf("after the issuer's keys were changed: %d %s", a.StatusCode, body)
			}
			i.Rotate()
			i.Stop()
			if a, body := fetch(t, http.MethodGet, p.url+"/api/v1/users", token("readers"), ""); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") != "10" {
				t.Errorf("while the issuer is away: %d %v %s", a.StatusCode, a.Header, body)
			}
		})
	}
}

func TestFlagsOfTheIssuerThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		flags []string
		text  string
	}{
		"no audience":     {[]string{"--oidc-issuer", "https://example.com", "--oidc-role", "a=owner"}, "belong together"},
		"no role":         {[]string{"--oidc-issuer", "https://example.com", "--oidc-audience", "a"}, "belong together"},
		"no issuer":       {[]string{"--oidc-audience", "a"}, "belong together"},
		"a plain issuer":  {[]string{"--oidc-issuer", "http://example.com", "--oidc-audience", "a", "--oidc-role", "a=owner"}, "https"},
		"an unknown role": {[]string{"--oidc-issuer", "https://example.com", "--oidc-audience", "a", "--oidc-role", "a=root"}, "owner, admin, auditor"},
		"no value":        {[]string{"--oidc-issuer", "https://example.com", "--oidc-audience", "a", "--oidc-role", "=owner"}, "VALUE=ROLE"},
		"no equals":       {[]string{"--oidc-issuer", "https://example.com", "--oidc-audience", "a", "--oidc-role", "owner"}, "VALUE=ROLE"},
		"no organization": {[]string{"--oidc-issuer", "https://example.com", "--oidc-audience", "a", "--oidc-role", "a=owner@"}, "no organization"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			args := append([]string{"serve", "--listen", "127.0.0.1:0", "--database", "sqlite:" + filepath.Join(t.TempDir(), "provost.db")}, tt.flags...)
			if code := realMain(t.Context(), args, strings.NewReader(""), &bytes.Buffer{}, &stderr, noEnvironment); code != exitUsage || !strings.Contains(stderr.String(), tt.text) {
				t.Errorf("exit code %d, %s; want %d with %q", code, &stderr, exitUsage, tt.text)
			}
		})
	}
}
