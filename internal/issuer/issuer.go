// Package issuer verifies tokens of OpenID Connect issuers: JWTs that a client got
// there and sends as its bearer token.
//
// The usual path: [Peek] tells which issuer a token names; the caller decides
// whether it knows that issuer, by a binding of a directory or by its configuration;
// [Verifier.Verify] then verifies the token and returns what it says. Whose the
// token is, by audience, subject and app, is again the caller's to decide.
//
// Only issuers that the caller names are ever contacted. Their keys are remembered
// and read again when they are old or do not verify a token, but so seldom that no
// flood of forged tokens becomes a flood of requests to the issuer.
package issuer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/provost-scim/provost/store"
)

// MaxToken is the most bytes of a token.
const MaxToken = 16 << 10

// Skew is how far the clocks of an issuer and of this machine may differ.
const Skew = time.Minute

// algorithms are those that a token may be signed with: asymmetric ones only, so
// that the public key of an issuer is never taken for a shared secret.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512,
}

// Options configure a [Verifier]. Zero values are the defaults.
type Options struct {
	Clock func() time.Time // time.Now
	Log   *slog.Logger     // slog.Default()
}

// Verifier verifies tokens, and remembers the keys of their issuers.
type Verifier struct {
	clock func() time.Time
	log   *slog.Logger

	mu      sync.Mutex
	sources map[string]*source // by issuer
}

// maxSources bounds whose keys are remembered. Beyond it all are read again.
const maxSources = 1000

// New returns a verifier that knows no keys yet.
func New(o Options) *Verifier {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Verifier{clock: o.Clock, log: o.Log, sources: map[string]*source{}}
}

// Names are by what a token names its issuer and its bearer.
type Names struct {
	Issuer    string
	Subject   string
	Audiences []string
	AppIDs    []string // the claims appid, azp and client_id, as far as it has them
}

// Token is what a verified token says.
type Token struct {
	Names
	Expiry time.Time
	Claims map[string]json.RawMessage // all of them, by exact name
}

// Looks reports whether a bearer token has the form of a JWT: three parts with dots
// between them.
func Looks(token string) bool { return strings.Count(token, ".") == 2 }

// Peek returns what a token says of itself. Nothing of it is verified: it may be
// anybody's words.
func Peek(raw string) (Names, error) {
	if len(raw) > MaxToken {
		return Names{}, refused("the token is larger than %d bytes", MaxToken)
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return Names{}, refused("the token is no JWT")
	}
	var header struct {
		Alg string `json:"alg"`
	}
	if err := decode(parts[0], &header); err != nil {
		return Names{}, refused("the token's header is malformed")
	}
	if !slices.Contains(algorithms, header.Alg) {
		return Names{}, refused("the token is signed with the algorithm %q, not with RS, ES or PS and 256, 384 or 512", short(header.Alg))
	}
	var claims map[string]json.RawMessage
	if err := decode(parts[1], &claims); err != nil {
		return Names{}, refused("the token's claims are malformed")
	}
	names := namesIn(claims)
	if names.Issuer == "" {
		return Names{}, refused("the token names no issuer")
	}
	return names, nil
}

func namesIn(claims map[string]json.RawMessage) Names {
	n := Names{Issuer: text(claims, "iss"), Subject: text(claims, "sub"), Audiences: texts(claims, "aud")}
	for _, name := range []string{"appid", "azp", "client_id"} {
		if id := text(claims, name); id != "" && !slices.Contains(n.AppIDs, id) {
			n.AppIDs = append(n.AppIDs, id)
		}
	}
	return n
}

// Verify verifies a token of an issuer which the caller knows. What is wrong with
// the token is [store.CodeUnauthorized]; keys that cannot be read are
// [store.CodeBusy].
func (v *Verifier) Verify(ctx context.Context, issuer, raw string) (*Token, error) {
	if len(raw) > MaxToken {
		return nil, refused("the token is larger than %d bytes", MaxToken)
	}
	attempt := &attempt{source: v.source(issuer)}
	verified, err := oidc.NewVerifier(issuer, attempt, &oidc.Config{
		SupportedSigningAlgs: algorithms,
		SkipClientIDCheck:    true, // audiences are the caller's to judge
		SkipExpiryCheck:      true, // it allows five minutes; see current
	}).Verify(ctx, raw)
	switch {
	case attempt.err != nil:
		return nil, attempt.err
	case err != nil:
		return nil, &store.Error{Code: store.CodeUnauthorized, Message: "the token is malformed or of another issuer", Err: err}
	}
	t := &Token{Expiry: verified.Expiry}
	if err := verified.Claims(&t.Claims); err != nil {
		return nil, refused("the token's claims are malformed")
	}
	if t.Names = namesIn(t.Claims); t.Issuer != issuer { // go-oidc reads names of claims in any case
		return nil, refused("the token's issuer is not %q", short(issuer))
	}
	if err := t.tenant(); err != nil {
		return nil, err
	}
	if err := t.current(v.clock()); err != nil {
		return nil, err
	}
	return t, nil
}

// tenant holds the claim tid against the issuer, which at Microsoft has the tenant
// in its path.
func (t *Token) tenant() error {
	claim, ok := t.Claims["tid"]
	if !ok || string(claim) == "null" {
		return nil
	}
	tenant := text(t.Claims, "tid")
	u, err := url.Parse(t.Issuer)
	if err == nil && tenant != "" {
		for _, step := range strings.Split(u.Path, "/") {
			if strings.EqualFold(step, tenant) {
				return nil
			}
		}
	}
	return refused("the token is of the tenant %q, which is not that of its issuer %q", short(tenant), short(t.Issuer))
}

// current holds the token's times against now.
func (t *Token) current(now time.Time) error {
	if _, ok := t.Claims["exp"]; !ok {
		return refused("the token has no time of expiry (exp)")
	}
	if !now.Before(t.Expiry.Add(Skew)) {
		return expired(t.Expiry)
	}
	nbf, ok := t.Claims["nbf"]
	if !ok {
		return nil
	}
	var seconds float64
	if err := json.Unmarshal(nbf, &seconds); err != nil {
		return refused("the token's nbf is no time")
	}
	from := time.Unix(int64(max(-maxSeconds, min(seconds, maxSeconds))), 0)
	if now.Add(Skew).Before(from) {
		return refused("the token is not valid before %s: is the clock of one of the two servers wrong?", from.UTC().Format(time.RFC3339))
	}
	return nil
}

const maxSeconds = 1e12 // beyond every date that can be written

// Expired is the error of a token at now, if it has expired since it was verified.
func (t *Token) Expired(now time.Time) error {
	if now.Before(t.Expiry.Add(Skew)) {
		return nil
	}
	return expired(t.Expiry)
}

func expired(at time.Time) error {
	return refused("the token has been expired since %s", at.UTC().Format(time.RFC3339))
}

// Check refuses an issuer's URL that could not be one (OpenID Connect Discovery 1.0
// section 4), whose keys anybody on the way could replace, or that is that of many
// tenants.
func Check(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(issuer, "?#"):
		return errors.New("it must be a URL such as https://sts.windows.net/TENANT/, without a user, a query and a fragment")
	case !safe(u, true):
		return errors.New("it must be an https URL")
	}
	host := strings.ToLower(u.Hostname())
	if strings.HasPrefix(host, "login.microsoftonline.") || host == "sts.windows.net" || host == "login.partner.microsoftonline.cn" {
		switch first, _, _ := strings.Cut(strings.Trim(u.Path, "/"), "/"); strings.ToLower(first) {
		case "", "common", "organizations", "consumers":
			return errors.New("it must be that of one tenant, such as https://sts.windows.net/TENANT/")
		}
	}
	return nil
}

// safe reports whether what is read from u cannot be changed on the way: TLS, or no
// way at all.
func safe(u *url.URL, loopback bool) bool {
	if u.Scheme == "https" {
		return u.Host != ""
	}
	if u.Scheme != "http" || !loopback {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}

func decode(part string, into any) error {
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// text is a claim that is a text; empty if it is none.
func text(claims map[string]json.RawMessage, name string) (s string) {
	if err := json.Unmarshal(claims[name], &s); err != nil {
		return ""
	}
	return s
}

// texts is a claim that is a text or a list of them.
func texts(claims map[string]json.RawMessage, name string) (list []string) {
	if s := text(claims, name); s != "" {
		return []string{s}
	}
	if err := json.Unmarshal(claims[name], &list); err != nil {
		return nil
	}
	return list
}

func refused(format string, args ...any) error {
	return &store.Error{Code: store.CodeUnauthorized, Message: fmt.Sprintf(format, args...)}
}

// short keeps a stranger's word from filling an error.
func short(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
