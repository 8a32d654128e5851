package issuer

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"

	"github.com/provost-scim/provost/store"
)

// How keys of an issuer are read and remembered.
const (
	readEvery  = 10 * time.Second // between reads of one issuer's keys, once readBurst are used up
	readBurst  = 3                // so that a rotation is seen at once
	keysFresh  = time.Hour        // after which they are read again: withdrawn keys must not live on
	keysUsable = 24 * time.Hour   // for which they do, if the issuer does not answer
	readTime   = 10 * time.Second // of discovery and keys together
	maxAnswer  = 1 << 20          // bytes of either document
	maxKeys    = 100
	maxWaiting = 64 // requests that wait for one issuer; more are told to come again
)

// source is where the keys of one issuer come from.
type source struct {
	issuer string
	clock  func() time.Time
	log    *slog.Logger

	turn    chan struct{} // holds one: who reads
	waiting atomic.Int32

	limit *rate.Limiter // of reads, in whose turn it is used

	mu   sync.Mutex
	know knowledge
}

// knowledge is what is known of an issuer's keys.
type knowledge struct {
	attempts int // to read them
	keys     []jose.JSONWebKey
	read     time.Time // when they were; zero: never
	failed   error     // what the last attempt came to
}

// source returns that of an issuer.
func (v *Verifier) source(issuer string) *source {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.sources[issuer]
	if s == nil {
		if len(v.sources) >= maxSources {
			clear(v.sources)
		}
		s = &source{
			issuer: issuer, clock: v.clock, log: v.log, turn: make(chan struct{}, 1),
			limit: rate.NewLimiter(rate.Every(readEvery), readBurst),
		}
		v.sources[issuer] = s
	}
	return s
}

// attempt is the verification of one signature. It is what go-oidc asks, which
// keeps only the text of its error.
type attempt struct {
	*source
	err error
}

// VerifySignature implements [oidc.KeySet]. The algorithm has been checked.
func (a *attempt) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	payload, err := a.verify(ctx, raw)
	a.err = err
	return payload, err
}

func (a *attempt) verify(ctx context.Context, raw string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(raw, signatureAlgorithms())
	if err != nil || len(signed.Signatures) != 1 {
		return nil, &store.Error{Code: store.CodeUnauthorized, Message: "the token's signature is malformed", Err: err}
	}
	know, err := a.held(ctx)
	if err != nil {
		return nil, err
	}
	if payload, ok := verifyWith(know.keys, signed); ok {
		return payload, nil
	}
	// The issuer may have a new key.
	if know, err = a.readAfter(ctx, know.attempts); err != nil {
		return nil, err
	}
	if payload, ok := verifyWith(know.keys, signed); ok {
		return payload, nil
	}
	if kid := signed.Signatures[0].Header.KeyID; kid != "" {
		return nil, refused("the token is not signed with a key of its issuer %q: it names the key %q", short(a.issuer), short(kid))
	}
	return nil, refused("the token is not signed with a key of its issuer %q", short(a.issuer))
}

func signatureAlgorithms() []jose.SignatureAlgorithm {
	out := make([]jose.SignatureAlgorithm, len(algorithms))
	for i, a := range algorithms {
		out[i] = jose.SignatureAlgorithm(a)
	}
	return out
}

// verifyWith tries the keys that the token may mean.
func verifyWith(keys []jose.JSONWebKey, signed *jose.JSONWebSignature) ([]byte, bool) {
	header := signed.Signatures[0].Header
	for i := range keys {
		k := &keys[i]
		if (header.KeyID != "" && k.KeyID != header.KeyID) || (k.Algorithm != "" && k.Algorithm != header.Algorithm) {
			continue
		}
		if payload, err := signed.Verify(k.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// held returns the keys, which are read first if there are none or they are old.
// Old ones do for a day if no newer can be had.
func (s *source) held(ctx context.Context) (knowledge, error) {
	know, now := s.knows(), s.clock()
	if !know.read.IsZero() && now.Before(know.read.Add(keysFresh)) {
		return know, nil
	}
	know, err := s.readAfter(ctx, know.attempts)
	if err != nil && !know.read.IsZero() && now.Before(know.read.Add(keysUsable)) {
		return know, nil
	}
	return know, err
}

func (s *source) knows() knowledge {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.know
}

// readAfter reads the keys, unless somebody has tried since so many attempts. An
// issuer that was asked too often lately is not asked: what it said last holds.
func (s *source) readAfter(ctx context.Context, attempts int) (knowledge, error) {
	if s.waiting.Add(1) > maxWaiting {
		s.waiting.Add(-1)
		return s.knows(), s.unreachable(nil)
	}
	defer s.waiting.Add(-1)
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return s.knows(), ctx.Err()
	}
	know := s.knows()
	if know.attempts > attempts || !s.limit.AllowN(s.clock(), 1) {
		return know, know.failed
	}
	// Whoever reads does it for all that wait, also if his own client goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTime)
	defer cancel()
	know.attempts++
	keys, err := fetch(ctx, s.issuer)
	if err == nil {
		know.keys, know.read, know.failed = keys, s.clock(), nil
	} else {
		s.log.WarnContext(ctx, "the keys of an issuer cannot be read", "issuer", s.issuer, "error", err)
		know.failed = s.unreachable(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.know = know
	return know, know.failed
}

// unreachable says that the token cannot be judged now. The cause is for the log: it
// would tell strangers of the network that this server sees.
func (s *source) unreachable(cause error) error {
	e := &store.Error{
		Code: store.CodeBusy, Message: fmt.Sprintf("the keys of the issuer %q cannot be read now", short(s.issuer)), RetryAfter: readEvery,
	}
	var other *oidc.IssuerMismatchError
	if errors.As(cause, &other) {
		e.Hint = fmt.Sprintf("it calls itself %q: bind that, letter by letter", short(other.Discovered))
	}
	return e
}

// client reads from issuers. Redirections are not followed, so that an issuer cannot
// send it anywhere.
var client = &http.Client{
	Timeout:       readTime,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: bounded{&http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSHandshakeTimeout:    readTime / 2,
		ResponseHeaderTimeout:  readTime / 2,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true, // the next read is far off
	}},
}

// bounded ends answers that are too long.
type bounded struct{ inner http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.inner.RoundTrip(r)
	if err == nil {
		res.Body = http.MaxBytesReader(nil, res.Body, maxAnswer)
	}
	return res, err
}

// fetch reads an issuer's discovery document and the keys that it points to.
func fetch(ctx context.Context, issuer string) ([]jose.JSONWebKey, error) {
	u, err := url.Parse(issuer)
	if err != nil || !safe(u, true) {
		return nil, errors.New("the issuer is no https URL")
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, client), issuer)
	if err != nil {
		return nil, fmt.Errorf("read its discovery document: %w", err)
	}
	var document struct {
		KeysURL string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, fmt.Errorf("read its discovery document: %w", err)
	}
	where, err := url.Parse(document.KeysURL)
	if err != nil || !safe(where, u.Scheme == "http") {
		return nil, fmt.Errorf("its jwks_uri %q is no https URL", short(document.KeysURL))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, document.KeysURL, nil)
	if err != nil {
		return nil, fmt.Errorf("read its keys: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read its keys: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read its keys: %s", res.Status)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("read its keys: %w", err)
	}
	return parse(body)
}

// parse reads a key set (RFC 7517 section 5). Keys that are not for signatures, of a
// kind that is not accepted, or too weak are left out.
func parse(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("read its keys: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("it has %d keys, more than %d", len(set.Keys), maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, text := range set.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(text) == nil && k.Use != "enc" && strong(k.Key) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no key that tokens can be verified with")
	}
	return keys, nil
}

// strong reports whether a public key can be trusted, and used in no time.
func strong(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192
	case *ecdsa.PublicKey:
		return true // go-jose knows P-256, P-384 and P-521 only
	}
	return false
}
