// Package auth knows who calls: it makes bearer tokens, tells from an
// Authorization header whose token it is, and says what its role may do.
//
// The usual path: an HTTP layer calls [Authenticator.Directory] (SCIM) or uses
// [Authenticator.Admin] (REST), and works for the [Principal] it gets. Tokens are
// made by [Issue] and end by [Revoke], inside the caller's transaction.
//
// Only hashes of tokens are stored and cached. The package never decides what an
// operation needs; it answers whether a principal has it.
package auth

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"strings"
	"time"

	"github.com/provost-scim/provost/store"
)

// Principal is who calls: the bearer of a token that is neither revoked nor expired.
type Principal struct {
	Token     store.ID
	Name      string
	Role      store.TokenRole
	Org       store.Key // 0: the token is good for every organization
	Directory store.Key // of a directory token
}

// Actor is the principal as the event log names it.
func (p *Principal) Actor() store.Actor {
	return store.Actor{Kind: "token", ID: string(p.Token), Name: p.Name}
}

// Writes reports whether the principal may change things in the REST interface.
func (p *Principal) Writes() bool { return p.Role == store.RoleOwner || p.Role == store.RoleAdmin }

// Owns reports whether the principal is an owner.
func (p *Principal) Owns() bool { return p.Role == store.RoleOwner }

// Options configure an [Authenticator]. Zero values are the defaults.
type Options struct {
	Clock     func() time.Time // time.Now
	CacheSize int              // tokens that are remembered, 10,000
	Log       *slog.Logger     // slog.Default()
	CacheTime time.Duration    // for how long, 2 s; that long a token revoked by another replica still works
}

// Authenticator finds tokens in the store and remembers them for a moment.
type Authenticator struct {
	store store.Store
	clock func() time.Time
	log   *slog.Logger
	cache *cache
	use   *usage
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
		store: s, clock: o.Clock, log: o.Log,
		cache: newCache(o.CacheSize, o.CacheTime), use: newUsage(),
	}
}

// Directory returns the principal of an Authorization header that carries a
// directory's token. A token of an administrator is [store.CodeForbidden]; no
// token, or one that is not good, is [store.CodeUnauthorized].
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
// of an administrator, with the same errors as Directory.
func (a *Authenticator) Admin(ctx context.Context, header string) (*Principal, error) {
	p, err := a.principal(ctx, header)
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
	if !wellFormed(secret) {
		return nil, unknownToken()
	}
	t, err := a.token(ctx, Hash(secret))
	if err != nil {
		return nil, err
	}
	now := a.clock()
	if !t.Usable(now) {
		return nil, &store.Error{Code: store.CodeUnauthorized, Message: "the token is revoked or expired"}
	}
	a.use.note(t, now)
	return &Principal{Token: t.ID, Name: t.Name, Role: t.Role, Org: t.Org, Directory: t.Directory}, nil
}

// token finds a token by its hash, in the cache or the store.
func (a *Authenticator) token(ctx context.Context, hash []byte) (*store.Token, error) {
	key := [hashSize]byte(hash)
	t, generation := a.cache.get(key, a.clock())
	if t != nil {
		return t, nil
	}
	err := a.store.View(ctx, func(r store.Reader) error {
		var err error
		t, err = r.TokenByHash(ctx, hash)
		return err
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
	a.cache.put(key, t, generation, a.clock())
	return t, nil
}

// Forget drops every remembered token, so that what was just revoked here stops
// at once. It is called after the transaction that revoked it.
func (a *Authenticator) Forget() { a.cache.clear() }

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
