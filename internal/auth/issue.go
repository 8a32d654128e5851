package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// MaxTokenName is the most bytes of a token's name.
const MaxTokenName = 255

// Issue stores a new token and its event in the caller's transaction, and returns
// the secret, which is kept nowhere. Of t the caller sets Org, Directory, Name,
// Role and ExpiresAt; the rest is filled in. A token of the whole instance is
// logged in the default organization.
func Issue(ctx context.Context, tx store.Tx, t *store.Token, cause store.Cause, now time.Time) (string, error) {
	if err := check(t, now); err != nil {
		return "", err
	}
	secret := newSecret()
	t.ID, t.Hash, t.Prefix, t.CreatedAt = store.NewID(now), Hash(secret), secret[:prefixSize], now
	if err := tx.CreateToken(ctx, t); err != nil {
		return "", fmt.Errorf("create the token: %w", err)
	}
	return secret, log(ctx, tx, store.EventTokenCreated, t, cause, now)
}

// Revoke ends a token in the caller's transaction, which calls
// [Authenticator.Forget] once it is committed. Revoking it again changes nothing.
func Revoke(ctx context.Context, tx store.Tx, t *store.Token, cause store.Cause, now time.Time) error {
	if !t.RevokedAt.IsZero() {
		return nil
	}
	if err := tx.RevokeToken(ctx, t.Org, t.ID, now); err != nil {
		return fmt.Errorf("revoke the token: %w", err)
	}
	t.RevokedAt = now
	return log(ctx, tx, store.EventTokenRevoked, t, cause, now)
}

func check(t *store.Token, now time.Time) error {
	invalid := func(field, message string) error {
		return &store.Error{Code: store.CodeInvalid, Field: field, Message: message}
	}
	switch {
	case t.Name == "" || len(t.Name) > MaxTokenName:
		return invalid("name", fmt.Sprintf("name must have 1 to %d bytes", MaxTokenName))
	case !t.ExpiresAt.IsZero() && !t.ExpiresAt.After(now):
		return invalid("expires_at", "expires_at is in the past")
	}
	switch t.Role {
	case store.RoleDirectory:
		if t.Directory == 0 || t.Org == 0 {
			return invalid("role", "a directory token needs a directory")
		}
	case store.RoleOwner, store.RoleAdmin, store.RoleAuditor:
		if t.Directory != 0 {
			return invalid("role", "the token of a directory has the role directory")
		}
	default:
		return invalid("role", "role must be owner, admin or auditor")
	}
	return nil
}

// tokenState is a token in an event's data.
type tokenState struct {
	ID        store.ID        `json:"id"`
	Name      string          `json:"name"`
	Role      store.TokenRole `json:"role"`
	Prefix    string          `json:"prefix"`
	Instance  bool            `json:"instance,omitempty"`
	ExpiresAt *time.Time      `json:"expires_at,omitempty"`
}

func log(ctx context.Context, tx store.Tx, typ string, t *store.Token, cause store.Cause, now time.Time) error {
	state := tokenState{ID: t.ID, Name: t.Name, Role: t.Role, Prefix: t.Prefix, Instance: t.Org == 0}
	if !t.ExpiresAt.IsZero() {
		state.ExpiresAt = &t.ExpiresAt
	}
	side := "after"
	if typ == store.EventTokenRevoked {
		side = "before"
	}
	data, err := json.Marshal(map[string]tokenState{side: state})
	if err != nil {
		return fmt.Errorf("describe the token: %w", err)
	}
	org := t.Org
	if org == 0 {
		home, err := tx.Organization(ctx, store.DefaultOrganization)
		if err != nil {
			return fmt.Errorf("find the organization that logs for the instance: %w", err)
		}
		org = home.Key
	}
	return tx.Append(ctx, []store.Event{{
		ID: store.NewID(now), Org: org, Directory: t.Directory, Type: typ, Version: store.EventVersion,
		Kind: "Token", Resource: t.ID, Cause: cause, Data: data, Time: now,
	}})
}
