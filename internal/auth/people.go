package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/provost-scim/provost/internal/issuer"
	"github.com/provost-scim/provost/store"
)

// People says which tokens of an OpenID Connect issuer are those of administrators
// (product page, "Interfaces"): ID tokens or access tokens with a role that is
// mapped.
type People struct {
	Issuer    string
	Audience  string
	RoleClaim string // a name, or names with dots between them for a claim within a claim
	Roles     []RoleMapping
}

// RoleMapping gives who has a value of the role claim a role here.
type RoleMapping struct {
	Value        string
	Role         store.TokenRole // owner, admin or auditor
	Organization string          // by name or id; empty: every organization
}

// rank orders roles by what they may do.
var rank = map[store.TokenRole]int{store.RoleAuditor: 1, store.RoleAdmin: 2, store.RoleOwner: 3}

// byPerson verifies the token of a person and finds the role that is mapped to it:
// of several the one that may do most. Roles in several organizations are refused,
// because a request would not say which is meant.
func (a *Authenticator) byPerson(ctx context.Context, raw string) (*credential, error) {
	t, err := a.issuers.Verify(ctx, a.people.Issuer, raw)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(t.Audiences, a.people.Audience) {
		return nil, &store.Error{Code: store.CodeUnauthorized, Message: fmt.Sprintf("the token's audience is %s, not %q", quoted(t.Audiences), a.people.Audience)}
	}
	if t.Subject == "" {
		return nil, &store.Error{Code: store.CodeUnauthorized, Message: "the token names no subject"}
	}
	values := valuesOf(t.Claims, a.people.RoleClaim)
	var best *RoleMapping
	for i := range a.people.Roles {
		m := &a.people.Roles[i]
		switch {
		case !slices.Contains(values, m.Value):
		case best == nil:
			best = m
		case best.Organization == m.Organization:
			if rank[m.Role] > rank[best.Role] {
				best = m
			}
		default:
			return nil, &store.Error{Code: store.CodeForbidden, Message: "the token has roles in more than one organization", Hint: "give the person roles in one, or in all"}
		}
	}
	if best == nil {
		return nil, &store.Error{Code: store.CodeForbidden,
			Message: fmt.Sprintf("the token has no role here: its claim %q is %s", a.people.RoleClaim, quoted(values)),
			Hint:    "map a value to a role with: provost serve --oidc-role VALUE=ROLE"}
	}
	found := &credential{Principal: Principal{Subject: t.Subject, Name: nameOf(t), Role: best.Role}, expired: t.Expired}
	if best.Organization == "" {
		return found, nil
	}
	err = a.store.View(ctx, func(r store.Reader) error {
		o, err := r.Organization(ctx, best.Organization)
		if err == nil {
			found.Org = o.Key
		}
		return err
	})
	if store.CodeOf(err) == store.CodeNotFound {
		return nil, &store.Error{Code: store.CodeForbidden, Message: fmt.Sprintf("the token's role is in the organization %q, which does not exist", best.Organization)}
	}
	return found, err
}

// nameOf is what the event log calls a person.
func nameOf(t *issuer.Token) string {
	for _, claim := range []string{"preferred_username", "email", "upn", "name"} {
		if list := valuesOf(t.Claims, claim); len(list) == 1 && len(bindable(list)) == 1 {
			return list[0]
		}
	}
	return short(t.Subject)
}

// valuesOf are the texts of a claim, which is a text or a list of them. A name with
// dots that no claim has is a path: realm_access.roles.
func valuesOf(claims map[string]json.RawMessage, name string) (values []string) {
	raw, ok := claims[name]
	if !ok {
		first, rest, nested := strings.Cut(name, ".")
		var inner map[string]json.RawMessage
		if !nested || json.Unmarshal(claims[first], &inner) != nil {
			return nil
		}
		return valuesOf(inner, rest)
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		if one == "" {
			return nil
		}
		return []string{one}
	}
	if json.Unmarshal(raw, &values) != nil {
		return nil
	}
	return values
}
