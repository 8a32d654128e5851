// Package auth knows who calls: it makes bearer tokens, tells from an
// Authorization header whose token it is, and says what its role may do.
//
// The usual path: an HTTP layer calls [Authenticator.Directory] (SCIM) or uses
// [Authenticator.Admin] (REST), and works for the [Principal] it gets. Tokens are
// made by [Issue] and end by [Revoke], inside the caller's transaction; [Bind] and
// [Unbind] do the same for bindings, by which the tokens of an OpenID Connect issuer
// speak for a directory. How often a directory's clients may call is for [Limits].
//
// Only hashes of tokens are stored and cached. The package never decides what an
// operation needs ([Rule]); it answers whether a principal has it.
package auth

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"strings"
	"time"

	"github.com/provost-scim/provost/internal/issuer"
	"github.com/provost-scim/provost/store"
)

// Principal is who calls: the bearer of a token that is neither revoked nor expired.
type Principal struct {
	Token       store.ID // of a token of ours
	Binding     store.ID // of a client with a token of an issuer
	Subject     string   // of a person with a token of an issuer
	Name        string   // of the token, the binding or the person
	Role        store.TokenRole
	Org         store.Key // 0: the token is good for every organization
	Directory   store.Key // of a directory's token; with its id and limit
	DirectoryID store.ID
	RateLimit   store.RateLimit
}

// Actor is the principal as the event log names it.
func (p *Principal) Actor() store.Actor {
	switch {
	case p.Binding != "":
		return store.Actor{Kind: "oidc", ID: string(p.Binding), Name: p.Name}
	case p.Subject != "":
		return store.Actor{Kind: "person", ID: p.Subject, Name: p.Name}
	}
	return store.Actor{Kind: "token", ID: string(p.Token), Name: p.Name}
}

// Options configure an [Authenticator]. Zero values are the defaults.
type Options struct {
	Clock     func() time.Time // time.Now
	CacheSize int              // tokens that are remembered, 10,000
	Log       *slog.Logger     // slog.Default()
	CacheTime time.Duration    // for how long, 2 s; that long a token revoked by another replica still works
	People    *People          // administrators with tokens of an issuer; nil: there are none
}

// Authenticator finds tokens and bindings in the store and remembers them for a
// moment.
type Authenticator struct {
	store   store.Store
	clock   func() time.Time
	log     *slog.Logger
	issuers *issuer.Verifier
	people  *People
	cache   *cache // of tokens that speak for a directory, and ours
	persons *cache
	use     *usage
}

// credential is a bearer token that was good when it was looked up.
type credential struct {
	Principal
	expired func(now time.Time) error
	used    used
	written time.Time // the last use that is stored
}

// New returns an authenticator. [Authenticator.Run] has to be running for the
// last use of tokens to be recorded.
func New(s store.Store, o Options) *Authenticator {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.CacheSize <= 0 {
		o.CacheSize = 10_000
	}
	if o.CacheTime <= 0 {
		o.CacheTime = 2 * time.Second
	}
	return &Authenticator{
		store: s, clock: o.Clock, log: o.Log, issuers: issuer.New(issuer.Options{Clock: o.Clock, Log: o.Log}), people: o.People,
		cache: newCache(o.CacheSize, o.CacheTime), persons: newCache(o.CacheSize, o.CacheTime), use: newUsage(),
	}
}

// Directory returns the principal of an Authorization header that carries a token of
// a directory or of an issuer that is bound to one. A token of an administrator is
// [store.CodeForbidden]; no token, or one that is not good, is
// [store.CodeUnauthorized]; one of an issuer that cannot be reached is
// [store.CodeBusy].
func (a *Authenticator) Directory(ctx context.Context, header string) (*Principal, error) {
	p, err := a.principal(ctx, header)
	if err != nil {
		return nil, err
	}
	if p.Role != store.RoleDirectory || p.Directory == 0 {
		return nil, &store.Error{Code: store.CodeForbidden, Message: "an administrator's token does not speak for a directory",
			Hint: "make one with: provost token create --directory NAME"}
	}
	return p, nil
}

// Admin returns the principal of an Authorization header that carries the token
// of an administrator, with the same errors as Directory. A person's token without a
// mapped role is [store.CodeForbidden].
func (a *Authenticator) Admin(ctx context.Context, header string) (*Principal, error) {
	if raw, ok := bearer(header); ok && a.people != nil && issuer.Looks(raw) {
		names, err := issuer.Peek(raw)
		if err != nil {
			return nil, err
		}
		if names.Issuer == a.people.Issuer {
			return a.remembered(ctx, a.persons, raw, a.byPerson)
		}
	}
	p, err := a.principal(ctx, header)
	if store.CodeOf(err) == store.CodeUnauthorized && issuer.Looks(header) {
		return nil, &store.Error{Code: store.CodeUnauthorized, Message: "the token is not one of an administrator", Err: err,
			Hint: "use one of provost admin token create, or of the issuer that provost serve --oidc-issuer names"}
	}
	if err != nil {
		return nil, err
	}
	switch p.Role {
	case store.RoleOwner, store.RoleAdmin, store.RoleAuditor:
		return p, nil
	}
	return nil, &store.Error{Code: store.CodeForbidden, Message: "a directory's token is for SCIM only",
		Hint: "make an administrator's token with: provost admin token create"}
}

func (a *Authenticator) principal(ctx context.Context, header string) (*Principal, error) {
	secret, ok := bearer(header)
	if !ok {
		return nil, &store.Error{Code: store.CodeUnauthorized, Message: "a bearer token is required",
			Hint: "send the header Authorization: Bearer TOKEN"}
	}
	if issuer.Looks(secret) {
		return a.remembered(ctx, a.cache, secret, a.byIssuer)
	}
	if !wellFormed(secret) {
		return nil, unknownToken()
	}
	return a.remembered(ctx, a.cache, secret, a.byHash)
}

// remembered returns the principal of a bearer token, which is looked up unless that
// was done a moment ago.
func (a *Authenticator) remembered(ctx context.Context, c *cache, secret string, find func(context.Context, string) (*credential, error)) (*Principal, error) {
	key := [hashSize]byte(Hash(secret))
	known, generation := c.get(key, a.clock())
	if known == nil {
		var err error
		if known, err = find(ctx, secret); err != nil {
			return nil, err
		}
		c.put(key, known, generation, a.clock())
	}
	now := a.clock()
	if err := known.expired(now); err != nil {
		return nil, err
	}
	if known.used.key != 0 {
		a.use.note(known.used, known.written, now)
	}
	p := known.Principal
	return &p, nil
}

// byHash finds a token of ours.
func (a *Authenticator) byHash(ctx context.Context, secret string) (*credential, error) {
	hash := Hash(secret)
	var t *store.Token
	found := &credential{}
	err := a.store.View(ctx, func(r store.Reader) (err error) {
		if t, err = r.TokenByHash(ctx, hash); err != nil {
			return err
		}
		found.Principal = Principal{Token: t.ID, Name: t.Name, Role: t.Role, Org: t.Org}
		if t.Directory == 0 || !t.RevokedAt.IsZero() { // the directory may be gone
			return nil
		}
		return found.of(ctx, r, t.Directory)
	})
	if store.CodeOf(err) == store.CodeNotFound {
		return nil, unknownToken()
	}
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(t.Hash, hash) != 1 {
		return nil, unknownToken()
	}
	found.used, found.written = used{key: t.Key}, t.LastUsedAt
	found.expired = func(now time.Time) error {
		switch {
		case t.Usable(now):
			return nil
		case !t.RevokedAt.IsZero():
			return &store.Error{Code: store.CodeUnauthorized, Message: "the token is revoked"}
		}
		return &store.Error{Code: store.CodeUnauthorized, Message: "the token has been expired since " + t.ExpiresAt.UTC().Format(time.RFC3339)}
	}
	return found, nil
}

// of completes the principal with the directory that it speaks for.
func (p *Principal) of(ctx context.Context, r store.Reader, directory store.Key) error {
	d, err := r.DirectoryByKey(ctx, directory)
	if err != nil {
		return err
	}
	p.Directory, p.DirectoryID, p.RateLimit = d.Key, d.ID, d.Settings.RateLimit
	return nil
}

// Forget drops what is remembered of tokens and bindings, so that what was just
// revoked here stops at once, and new settings of a directory hold. It is called
// after the transaction that did it.
func (a *Authenticator) Forget() {
	a.cache.clear()
	a.persons.clear()
}

func unknownToken() error {
	return &store.Error{Code: store.CodeUnauthorized, Message: "the token is not known"}
}

// bearer returns the credentials of a Bearer header (RFC 6750 section 2.1); the
// scheme's case does not matter (RFC 9110 section 11.1).
func bearer(header string) (string, bool) {
	scheme, rest, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	rest = strings.TrimSpace(rest)
	return rest, rest != ""
}

type principalKey struct{}

// WithPrincipal returns a context that carries who calls.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalOf returns who calls, or nil outside an authenticated request.
func PrincipalOf(ctx context.Context) *Principal {
	p, _ := ctx.Value(principalKey{}).(*Principal)
	return p
}
