package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

const (
	entraTenant   = "0a0a0a0a-0000-4000-8000-000000000001"
	entraAudience = "8adf8e6e-67b2-4cf2-a259-e3dc5476c621"
	entraApp      = "1b1b1b1b-0000-4000-8000-000000000001"
)

// entraIssuer is an issuer as Entra's are, and a token's usual claims.
func entraIssuer(t *testing.T) (*testenv.OIDCIssuer, func(...any) map[string]any) {
	return testenv.OIDC(t, "/"+entraTenant+"/"), func(over ...any) map[string]any {
		claims := map[string]any{"aud": entraAudience, "appid": entraApp, "sub": "provisioner", "tid": entraTenant, "ver": "1.0"}
		for i := 0; i < len(over); i += 2 {
			claims[over[i].(string)] = over[i+1]
		}
		return claims
	}
}

// by asks for the users of the directory with a bearer token.
func (w *scimWorld) by(t *testing.T, token string) *scimAnswer {
	t.Helper()
	return w.send(t, scimRequest{method: http.MethodGet, path: "/Users", header: map[string]string{"Authorization": "Bearer " + token}})
}

// wants holds the answer to a request with a bearer token against what it should be.
func (w *scimWorld) wants(t *testing.T, token string, status int, detail string) {
	t.Helper()
	a := w.by(t, token)
	if a.status != status || !strings.Contains(a.text("detail"), detail) {
		t.Errorf("%d %s; want %d with %q", a.status, a.raw, status, detail)
	}
	switch challenge := a.header.Get("WWW-Authenticate"); {
	case status == 401 && !strings.Contains(challenge, `error="invalid_token"`), status != 401 && challenge != "":
		t.Errorf("%d with the challenge %q", status, challenge)
	}
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); (status == 503) != (err == nil && seconds > 0) {
		t.Errorf("%d with Retry-After %q", status, a.header.Get("Retry-After"))
	}
}

func TestATokenOfABoundIssuerSpeaksForItsDirectory(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		entra, claims := entraIssuer(t)
		w.wants(t, entra.Token(claims()), 401, "no directory is bound to the issuer of the token, which says: its issuer is \""+entra.URL)
		if documents, keys := entra.Reads(); documents+keys != 0 {
			t.Errorf("an issuer that no binding names was asked %d times", documents+keys)
		}
		_, other := w.newDirectory(t, "other", nil)
		w.server.must(t, "directory", "oidc", "add", "clients", "--issuer", entra.URL, "--audience", entraAudience, "--app-id", entraApp, "--label", "Entra")
		w.server.must(t, "directory", "oidc", "add", "other", "--issuer", entra.URL, "--audience", entraAudience, "--app-id", "another")
		if _, stderr, code := w.server.run(t, "directory", "oidc", "add", "other", "--issuer", entra.URL, "--audience", entraAudience, "--subject", "provisioner"); code == 0 || !strings.Contains(stderr, `"clients"`) {
			t.Errorf("a binding that shares tokens with another: %d %s", code, stderr)
		}

		made := w.send(t, scimRequest{method: http.MethodPost, path: "/Users", body: `{"userName":"kim@example.com"}`,
			header: map[string]string{"Authorization": "Bearer " + entra.Token(claims())}})
		if made.status != 201 {
			t.Fatalf("creating a user answers %d %s", made.status, made.raw)
		}
		for token, want := range map[string]string{w.token: "1", entra.Token(claims()): "1", other: "0", entra.Token(claims("appid", "another")): "0"} {
			if a := w.by(t, token); a.status != 200 || string(a.raw) == "" || !strings.Contains(string(a.raw), `"totalResults":`+want) {
				t.Errorf("users by %.20s…: %d %s; want %s", token, a.status, a.raw, want)
			}
		}
		events := w.log(t)
		if e := events[len(events)-1]; e.Type != store.EventUserCreated || e.Cause.Actor.Kind != "oidc" || e.Cause.Actor.Name != "Entra" || e.Cause.Reason != "SCIM POST" {
			t.Errorf("the last event is %s, caused by %+v", e.Type, e.Cause)
		}
		until(t, "the last use is shown", func() bool {
			return !strings.Contains(w.server.must(t, "directory", "oidc", "list", "clients"), "never") &&
				strings.Contains(w.server.must(t, "directory", "oidc", "list", "clients", "--json"), `"last_used_at"`)
		})
	})
}

func TestATokenThatIsNotOfTheBindingIsRefused(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		entra, claims := entraIssuer(t)
		stranger := testenv.OIDC(t, "/"+entraTenant+"/")
		w.server.must(t, "directory", "oidc", "add", "clients", "--issuer", entra.URL, "--audience", entraAudience, "--subject", "provisioner", "--app-id", entraApp)
		w.wants(t, entra.Token(claims()), 200, "")
		key := entra.Key()
		der, err := x509.MarshalPKIXPublicKey(&key.Private.(*rsa.PrivateKey).PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		forged, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		unknown := testenv.OIDCKey{ID: "unknown", Alg: jose.RS256, Private: forged}
		now := time.Now()
		for name, tt := range map[string]struct{ token, detail string }{
			"wrong issuer":         {stranger.Token(claims()), "no directory is bound to the issuer"},
			"wrong audience":       {entra.Token(claims("aud", "api://another")), `its audience "api://another"`},
			"no audience":          {entra.Token(claims("aud", nil)), "its audience "},
			"an audience with NUL": {entra.Token(claims("aud", "\x00")), "its audience "},
			"wrong subject":        {entra.Token(claims("sub", "someone")), `its subject "someone"`},
			"wrong app":            {entra.Token(claims("appid", "someone", "azp", "other")), `its app id "someone" or "other"`},
			"wrong tenant":         {entra.Token(claims("tid", "0b0b0b0b-0000-4000-8000-000000000002")), "tenant"},
			"expired":              {entra.Token(claims("exp", now.Add(-time.Hour).Unix())), "expired since"},
			"not yet valid":        {entra.Token(claims("nbf", now.Add(time.Hour).Unix())), "not valid before"},
			"unknown key":          {entra.TokenBy(unknown, claims()), "not signed with a key of its issuer"},
			"alg none":             {testenv.UnsignedJWT(t, entra.Claims(claims())), `"none"`},
			"HS256":                {testenv.SignJWT(t, jose.HS256, der, key.ID, entra.Claims(claims())), `"HS256"`},
			"huge":                 {entra.Token(claims("x", strings.Repeat("x", 100_000))), "larger than"},
			"no JWT":               {"a.b.c", "malformed"},
			"an issuer with NUL":   {stranger.Token(claims("iss", "https://\x00")), "no directory is bound"},
		} {
			t.Run(name, func(t *testing.T) { w.wants(t, tt.token, 401, tt.detail) })
		}
		if documents, keys := stranger.Reads(); documents+keys != 0 {
			t.Errorf("the wrong issuer was asked %d times", documents+keys)
		}
		a, body := fetch(t, http.MethodGet, w.url+"/api/v1/users", entra.Token(claims()), "")
		if a.StatusCode != http.StatusForbidden {
			t.Errorf("REST answers a directory's token with %d %s", a.StatusCode, body)
		}
	})
}

func TestABindingFollowsItsIssuersKeysAndEndsAtOnce(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		entra, claims := entraIssuer(t)
		id := w.server.must(t, "directory", "oidc", "add", "clients", "--issuer", entra.URL, "--audience", entraAudience, "--app-id", entraApp, "--quiet")
		entra.Stop()
		old := entra.Token(claims())
		w.wants(t, old, 503, "cannot be read now")
		entra.Start()
		w.wants(t, old, 200, "")
		entra.RotateElliptic()
		w.wants(t, entra.Token(claims()), 200, "")
		entra.Stop()
		w.wants(t, entra.Token(claims()), 200, "") // with the keys that are known
		last := entra.Token(claims())
		w.wants(t, last, 200, "")
		w.server.must(t, "directory", "oidc", "remove", "--yes", "clients", id)
		w.wants(t, last, 401, "no directory is bound")
		w.wants(t, w.token, 200, "")
		if got := w.server.must(t, "directory", "oidc", "list", "clients", "--json"); got != "[]" {
			t.Errorf("left are %s", got)
		}
	})
}

func TestTokensOfADirectoryOverlapWhileTheyAreChanged(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		next := w.server.must(t, "token", "create", "--directory", "clients", "--name", "next", "--expires-in", "365d")
		w.wants(t, w.token, 200, "")
		w.wants(t, next, 200, "")
		until(t, "both last uses are shown", func() bool {
			return strings.Count(w.server.must(t, "token", "list", "--directory", "clients", "--json"), `"last_used_at"`) == 2
		})
		ids := strings.Fields(w.server.must(t, "token", "list", "--directory", "clients", "--quiet"))
		if len(ids) != 2 {
			t.Fatalf("the directory has tokens %v", ids)
		}
		w.server.must(t, "token", "revoke", "--yes", ids[1], "--directory", "clients") // the older one
		w.wants(t, w.token, 401, "revoked")
		w.wants(t, next, 200, "")
	})
}

func TestARateLimitHoldsForOneDirectoryAndChangesAtOnce(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		_, other := w.newDirectory(t, "other", nil)
		second := w.newToken(t, store.Token{Org: w.org, Directory: w.directory, Name: "second", Role: store.RoleDirectory})
		for range 20 {
			w.wants(t, w.token, 200, "")
		}
		w.server.must(t, "directory", "set", "clients", "--rate-limit", "0.01/3")
		for _, token := range []string{w.token, second, w.token} {
			w.wants(t, token, 200, "")
		}
		a := w.by(t, second)
		if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); a.status != 429 || err != nil || seconds < 1 || seconds > 10_000 {
			t.Errorf("a request too many: %d %s, Retry-After %q", a.status, a.raw, a.header.Get("Retry-After"))
		}
		w.wants(t, other, 200, "")
		w.wants(t, "nonsense", 401, "")
		_, metrics := fetch(t, http.MethodGet, w.url+"/metrics", "", "")
		var id store.ID
		w.update(t, func(ctx context.Context, tx store.Tx) error {
			d, err := tx.DirectoryByKey(ctx, w.directory)
			id = d.ID
			return err
		})
		if want := `provost_scim_requests_limited_total{directory="` + string(id) + `"} 1`; !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
		w.server.must(t, "directory", "set", "clients", "--rate-limit", "0")
		w.wants(t, w.token, 200, "")
	})
}

// Two transactions that bind what one token fits do not see each other on
// PostgreSQL. What comes of it must not let one organization take the other's pushes.
func TestATokenThatFitsBindingsOfTwoDirectoriesIsRefused(t *testing.T) {
	t.Parallel()
	w := newSCIMWorld(t, testenv.Postgres(t).Database(t, migrateForSCIM))
	entra, claims := entraIssuer(t)
	other, _ := w.newDirectory(t, "other", nil)
	bind := func(tx store.Tx, directory store.Key, subject, app string) error {
		return auth.Bind(t.Context(), tx, &store.OIDCBinding{Org: w.org, Directory: directory, Name: "x", Issuer: entra.URL,
			Audience: entraAudience, Subject: subject, AppID: app}, store.Cause{}, time.Now())
	}
	w.update(t, func(_ context.Context, tx store.Tx) error {
		if err := bind(tx, w.directory, "provisioner", ""); err != nil {
			return err
		}
		return w.store.Update(t.Context(), func(beside store.Tx) error { return bind(beside, other, "", entraApp) })
	})
	w.wants(t, entra.Token(claims()), 401, "bindings of more than one directory")
	w.wants(t, entra.Token(claims("appid", "another")), 200, "")
}

func TestDiscoveryNamesBothKindsOfToken(t *testing.T) {
	t.Parallel()
	w := newSCIMWorld(t, testenv.Postgres(t).Database(t, migrateForSCIM))
	a := w.send(t, scimRequest{method: http.MethodGet, path: "/ServiceProviderConfig"})
	schemes, _ := a.get("authenticationSchemes").([]any)
	primary := 0
	for _, s := range schemes {
		scheme, _ := s.(map[string]any)
		if scheme["type"] != "oauthbearertoken" || scheme["name"] == "" || scheme["description"] == "" {
			t.Errorf("a scheme is %v", scheme)
		}
		if scheme["primary"] == true {
			primary++
		}
	}
	if len(schemes) != 2 || primary != 1 {
		t.Errorf("%d schemes, %d of them primary: %s", len(schemes), primary, a.raw)
	}
}
