package auth_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

func peopleOf(i *testenv.OIDCIssuer, claim string) *auth.People {
	return &auth.People{Issuer: i.URL, Audience: "console", RoleClaim: claim, Roles: []auth.RoleMapping{
		{Value: "watchers", Role: store.RoleAuditor},
		{Value: "operators", Role: store.RoleAdmin},
		{Value: "chiefs", Role: store.RoleOwner},
		{Value: "local", Role: store.RoleOwner, Organization: "default"},
		{Value: "lost", Role: store.RoleOwner, Organization: "nowhere"},
	}}
}

func TestAPersonHasTheRoleThatTheClaimIsMappedTo(t *testing.T) {
	i := testenv.OIDC(t, "")
	w := newWorld(t, auth.Options{People: peopleOf(i, "roles")})
	other := testenv.OIDC(t, "")
	local := w.org
	for name, tt := range map[string]struct {
		claims map[string]any
		code   store.Code
		role   store.TokenRole
		org    store.Key
	}{
		"one role":                     {claims: map[string]any{"roles": []string{"operators"}}, role: store.RoleAdmin},
		"a text":                       {claims: map[string]any{"roles": "watchers"}, role: store.RoleAuditor},
		"the best of several":          {claims: map[string]any{"roles": []string{"watchers", "x", "chiefs", "operators"}}, role: store.RoleOwner},
		"in one organization":          {claims: map[string]any{"roles": []string{"local"}}, role: store.RoleOwner, org: local},
		"in several":                   {claims: map[string]any{"roles": []string{"local", "watchers"}}, code: store.CodeForbidden},
		"in one that is not":           {claims: map[string]any{"roles": []string{"lost"}}, code: store.CodeForbidden},
		"an unmapped one":              {claims: map[string]any{"roles": []string{"Operators", "operator"}}, code: store.CodeForbidden},
		"none":                         {claims: nil, code: store.CodeForbidden},
		"numbers":                      {claims: map[string]any{"roles": []int{1}}, code: store.CodeForbidden},
		"a claim of another name":      {claims: map[string]any{"Roles": "chiefs"}, code: store.CodeForbidden},
		"another audience":             {claims: map[string]any{"roles": "chiefs", "aud": "provost"}, code: store.CodeUnauthorized},
		"no subject":                   {claims: map[string]any{"roles": "chiefs", "sub": nil}, code: store.CodeUnauthorized},
		"expired":                      {claims: map[string]any{"roles": "chiefs", "exp": w.clock().Add(-time.Hour).Unix()}, code: store.CodeUnauthorized},
		"unsigned":                     {claims: map[string]any{"roles": "chiefs", "unsigned": true}, code: store.CodeUnauthorized},
		"another issuer with the name": {claims: map[string]any{"roles": "chiefs", "forged": true}, code: store.CodeUnauthorized},
		"another issuer":               {claims: map[string]any{"roles": "chiefs", "iss": other.URL}, code: store.CodeUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			claims := map[string]any{"sub": "ada", "aud": "console", "email": "ada@example.com", "exp": w.clock().Add(time.Hour).Unix()}
			maps.Copy(claims, tt.claims)
			token := i.Token(claims)
			switch {
			case claims["unsigned"] != nil:
				token = testenv.UnsignedJWT(t, i.Claims(claims))
			case claims["forged"] != nil:
				claims["iss"] = i.URL
				token = other.Token(claims)
			}
			p, err := w.Admin(t.Context(), "Bearer "+token)
			if store.CodeOf(err) != tt.code || (err == nil) != (p != nil) {
				t.Fatalf("Admin = %+v, %v; want code %q", p, err, tt.code)
			}
			if p != nil && (p.Role != tt.role || p.Org != tt.org || p.Actor() != (store.Actor{Kind: "person", ID: "ada", Name: "ada@example.com"})) {
				t.Errorf("the principal is %+v", p)
			}
			// A person does not speak for a directory, also when it is remembered.
			for _, header := range []string{"Bearer " + token, "Bearer person " + token} {
				if p, err := w.Directory(t.Context(), header); store.CodeOf(err) != store.CodeUnauthorized {
					t.Errorf("Directory = %+v, %v", p, err)
				}
			}
		})
	}
	if documents, _ := other.Reads(); documents != 0 {
		t.Errorf("the other issuer was asked %d times", documents)
	}
}

func TestARoleClaimMayBeWithinAnother(t *testing.T) {
	i := testenv.OIDC(t, "")
	for name, tt := range map[string]struct {
		claim  string
		claims map[string]any
	}{
		"a path":             {"realm_access.roles", map[string]any{"realm_access": map[string]any{"roles": []string{"chiefs"}}}},
		"a name with a dot":  {"https://example.com/roles", map[string]any{"https://example.com/roles": "chiefs"}},
		"two steps":          {"a.b.c", map[string]any{"a": map[string]any{"b": map[string]any{"c": "chiefs"}}}},
		"the rest has a dot": {"a.b.c", map[string]any{"a": map[string]any{"b.c": "chiefs"}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, auth.Options{People: peopleOf(i, tt.claim)})
			tt.claims["sub"], tt.claims["aud"], tt.claims["exp"] = "ada", "console", w.clock().Add(time.Hour).Unix()
			if p, err := w.Admin(t.Context(), "Bearer "+i.Token(tt.claims)); err != nil || p.Role != store.RoleOwner {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

func TestAClientAndAPersonOfOneIssuerAreToldApart(t *testing.T) {
	i := testenv.OIDC(t, "")
	w := newWorld(t, auth.Options{People: peopleOf(i, "roles")})
	w.bind(t, i)
	client := w.token(i)
	if p, err := w.Directory(t.Context(), "Bearer "+client); err != nil || p.Binding == "" {
		t.Errorf("the client: %+v, %v", p, err)
	}
	if _, err := w.Admin(t.Context(), "Bearer "+client); store.CodeOf(err) != store.CodeUnauthorized || !strings.Contains(err.Error(), "audience") {
		t.Errorf("the client as an administrator: %v", err)
	}
	both := i.Token(map[string]any{"aud": []string{"provost", "console"}, "sub": "client", "roles": "watchers", "exp": w.clock().Add(time.Hour).Unix()})
	for range 2 {
		if p, err := w.Directory(t.Context(), "Bearer "+both); err != nil || p.Role != store.RoleDirectory {
			t.Errorf("for SCIM: %+v, %v", p, err)
		}
		if p, err := w.Admin(t.Context(), "Bearer "+both); err != nil || p.Role != store.RoleAuditor {
			t.Errorf("for REST: %+v, %v", p, err)
		}
	}
}
