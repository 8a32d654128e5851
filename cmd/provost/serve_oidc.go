package main

import (
	"strings"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/internal/issuer"
	"github.com/provost-scim/provost/store"
)

// oidcFlags say which tokens of an OpenID Connect issuer are administrators'.
type oidcFlags struct {
	OIDCIssuer    string   `name:"oidc-issuer" group:"oidc" placeholder:"URL" help:"Let administrators call REST with ID or access tokens of this OpenID Connect issuer, letter by letter as they name it in iss."`
	OIDCAudience  string   `name:"oidc-audience" group:"oidc" placeholder:"TEXT" help:"The audience (aud) that their tokens must have."`
	OIDCRoleClaim string   `name:"oidc-role-claim" group:"oidc" default:"roles" placeholder:"CLAIM" help:"The claim that names their roles, such as groups or realm_access.roles."`
	OIDCRole      []string `name:"oidc-role" group:"oidc" sep:"none" placeholder:"VALUE=ROLE[@ORGANIZATION]" help:"Give who has the value in the claim the role owner, admin or auditor, in one organization or in all; may be given several times."`
}

// people makes of the flags what the authenticator needs; nil if none is given.
func (f *oidcFlags) people() (*auth.People, error) {
	if f.OIDCIssuer == "" && f.OIDCAudience == "" && len(f.OIDCRole) == 0 {
		return nil, nil
	}
	if f.OIDCIssuer == "" || f.OIDCAudience == "" || f.OIDCRoleClaim == "" || len(f.OIDCRole) == 0 {
		return nil, misused("give all of them, or none", "--oidc-issuer, --oidc-audience and --oidc-role belong together")
	}
	if err := issuer.Check(f.OIDCIssuer); err != nil {
		return nil, misused("", "--oidc-issuer %q: %v", f.OIDCIssuer, err)
	}
	p := &auth.People{Issuer: f.OIDCIssuer, Audience: f.OIDCAudience, RoleClaim: f.OIDCRoleClaim}
	for _, text := range f.OIDCRole {
		// The role has no = and no @, and so both are looked for from the end.
		at := strings.LastIndex(text, "=")
		if at < 1 {
			return nil, misused("such as provost-admins=admin", "--oidc-role %q is not VALUE=ROLE", text)
		}
		role, organization, within := strings.Cut(text[at+1:], "@")
		if err := oneOf("--oidc-role", role, "owner", "admin", "auditor"); err != nil {
			return nil, err
		}
		if within && organization == "" {
			return nil, misused("such as provost-admins=admin@default", "--oidc-role %q names no organization", text)
		}
		p.Roles = append(p.Roles, auth.RoleMapping{Value: text[:at], Role: store.TokenRole(role), Organization: organization})
	}
	return p, nil
}
