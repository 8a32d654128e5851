package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/provost-scim/provost/internal/issuer"
	"github.com/provost-scim/provost/store"
)

// byIssuer verifies a token of an OpenID Connect issuer and finds the directory that
// it is bound to. An issuer that no binding names is never contacted. What else a
// binding names is told only to who has a good token of its issuer.
func (a *Authenticator) byIssuer(ctx context.Context, raw string) (*credential, error) {
	named, err := issuer.Peek(raw)
	if err != nil {
		return nil, err
	}
	_, known, err := a.bindingsOf(ctx, store.OIDCClaims{Issuer: named.Issuer})
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, &store.Error{Code: store.CodeUnauthorized, Message: "no directory is bound to the issuer of the token, which says: " + says(named), Hint: bindIt}
	}
	t, err := a.issuers.Verify(ctx, named.Issuer, raw)
	if err != nil {
		return nil, err
	}
	claims := store.OIDCClaims{Issuer: named.Issuer, Audiences: bindable(t.Audiences), AppIDs: bindable(t.AppIDs)}
	if s := bindable([]string{t.Subject}); len(s) == 1 {
		claims.Subject = s[0]
	}
	fit, _, err := a.bindingsOf(ctx, claims)
	if err != nil {
		return nil, err
	}
	if len(fit) == 0 {
		return nil, &store.Error{Code: store.CodeUnauthorized, Message: "the token is good, but no directory is bound to it: " + says(t.Names), Hint: bindIt}
	}
	b := fit[0]
	for i := range fit {
		if fit[i].Directory != b.Directory { // they were made at one moment
			return nil, &store.Error{Code: store.CodeUnauthorized, Message: "the token fits bindings of more than one directory", Hint: "remove one of them"}
		}
	}
	found := &credential{
		Principal: Principal{Binding: b.ID, Name: b.Name, Role: store.RoleDirectory, Org: b.Org},
		expired:   t.Expired, used: used{binding: true, key: b.Key}, written: b.LastUsedAt,
	}
	return found, a.store.View(ctx, func(r store.Reader) error { return found.of(ctx, r, b.Directory) })
}

func (a *Authenticator) bindingsOf(ctx context.Context, c store.OIDCClaims) (fit []store.OIDCBinding, known bool, err error) {
	if len(bindable([]string{c.Issuer})) == 0 {
		return nil, false, nil
	}
	err = a.store.View(ctx, func(r store.Reader) error {
		fit, known, err = r.OIDCBindingsOf(ctx, c)
		return err
	})
	return fit, known, err
}

// bindable are the texts, at most 50, that a binding can name.
func bindable(list []string) (out []string) {
	const most = 50
	for _, s := range list {
		if s != "" && len(s) <= store.MaxOIDCText && !strings.ContainsFunc(s, unicode.IsControl) && len(out) < most {
			out = append(out, s)
		}
	}
	return out
}

const bindIt = "an administrator binds it with: provost directory oidc add NAME"

// says tells what a token says of itself, which is what there is to bind.
func says(n issuer.Names) string {
	var b strings.Builder
	fmt.Fprintf(&b, "its issuer is %q, its audience %s", short(n.Issuer), quoted(n.Audiences))
	if n.Subject != "" {
		fmt.Fprintf(&b, ", its subject %q", short(n.Subject))
	}
	if len(n.AppIDs) > 0 {
		fmt.Fprintf(&b, ", its app id %s", quoted(n.AppIDs))
	}
	return b.String()
}

func quoted(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	var parts []string
	for _, s := range list[:min(3, len(list))] {
		parts = append(parts, fmt.Sprintf("%q", short(s)))
	}
	return strings.Join(parts, " or ")
}

// short keeps a stranger's word from filling an error.
func short(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

// Bind stores a new binding and its event in the caller's transaction. Of b the
// caller sets Org, Directory, Name, Issuer, Audience, Subject and AppID; the rest is
// filled in. A binding that shares tokens with that of another directory is
// [store.CodeConflict].
func Bind(ctx context.Context, tx store.Tx, b *store.OIDCBinding, cause store.Cause, now time.Time) error {
	if err := checkBinding(b); err != nil {
		return err
	}
	b.ID, b.CreatedAt = store.NewID(now), now
	if err := tx.CreateOIDCBinding(ctx, b); err != nil {
		return err
	}
	return logBinding(ctx, tx, store.EventOIDCBound, b, cause, now)
}

// Unbind deletes a binding in the caller's transaction, which calls
// [Authenticator.Forget] once it is committed.
func Unbind(ctx context.Context, tx store.Tx, b *store.OIDCBinding, cause store.Cause, now time.Time) error {
	if err := tx.DeleteOIDCBinding(ctx, b.Org, b.Directory, b.ID); err != nil {
		return err
	}
	return logBinding(ctx, tx, store.EventOIDCUnbound, b, cause, now)
}

func checkBinding(b *store.OIDCBinding) error {
	for _, x := range []struct {
		field, value string
		required     bool
	}{
		{"name", b.Name, true}, {"issuer", b.Issuer, true}, {"audience", b.Audience, true}, {"subject", b.Subject, false}, {"app_id", b.AppID, false},
	} {
		switch {
		case x.required && x.value == "", len(x.value) > store.MaxOIDCText:
			return &store.Error{Code: store.CodeInvalid, Field: x.field, Message: fmt.Sprintf("%s must have 1 to %d bytes", x.field, store.MaxOIDCText)}
		case strings.ContainsFunc(x.value, unicode.IsControl):
			return &store.Error{Code: store.CodeInvalid, Field: x.field, Message: x.field + " must not have control characters"}
		}
	}
	if err := issuer.Check(b.Issuer); err != nil {
		return &store.Error{Code: store.CodeInvalid, Field: "issuer", Message: "issuer: " + err.Error()}
	}
	if b.Subject == "" && b.AppID == "" {
		return &store.Error{Code: store.CodeInvalid, Field: "app_id", Message: "name a subject or an app_id: an issuer gives tokens with this audience to others too"}
	}
	return nil
}

// bindingState is a binding in an event's data.
type bindingState struct {
	ID       store.ID `json:"id"`
	Name     string   `json:"name"`
	Issuer   string   `json:"issuer"`
	Audience string   `json:"audience"`
	Subject  string   `json:"subject,omitempty"`
	AppID    string   `json:"app_id,omitempty"`
}

func logBinding(ctx context.Context, tx store.Tx, typ string, b *store.OIDCBinding, cause store.Cause, now time.Time) error {
	side := "after"
	if typ == store.EventOIDCUnbound {
		side = "before"
	}
	data, err := json.Marshal(map[string]bindingState{side: {b.ID, b.Name, b.Issuer, b.Audience, b.Subject, b.AppID}})
	if err != nil {
		return fmt.Errorf("describe the binding: %w", err)
	}
	return tx.Append(ctx, []store.Event{{
		ID: store.NewID(now), Org: b.Org, Directory: b.Directory, Type: typ, Version: store.EventVersion,
		Kind: "OIDCBinding", Resource: b.ID, Cause: cause, Data: data, Time: now,
	}})
}
