package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// OIDCIssuer is an OpenID Connect issuer: it serves a discovery document and its
// keys over HTTP on a loopback port, and signs tokens.
type OIDCIssuer struct {
	URL string // what its tokens name as their issuer

	t       testing.TB
	address string
	path    string

	mu        sync.Mutex
	server    *http.Server
	ended     chan error
	keys      []OIDCKey // published ones; the last one signs
	made      int
	status    int // of every answer, 0 for what is right
	documents int
	reads     int
	overwrite map[string]any
}

// OIDCKey is a key pair of an issuer.
type OIDCKey struct {
	ID      string
	Alg     jose.SignatureAlgorithm
	Private any // *rsa.PrivateKey or *ecdsa.PrivateKey
}

// OIDC starts an issuer whose URL ends with the path, such as "" or "/TENANT/", and
// stops it at the end of the test. It signs with RS256, as Entra does.
func OIDC(t testing.TB, path string) *OIDCIssuer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start an issuer: %v", err)
	}
	i := &OIDCIssuer{t: t, address: listener.Addr().String(), path: path}
	i.URL = "http://" + i.address + path
	i.serve(listener)
	t.Cleanup(func() {
		if err := i.stop(); err != nil {
			t.Errorf("stop the issuer: %v", err)
		}
	})
	i.Rotate()
	return i
}

func (i *OIDCIssuer) serve(listener net.Listener) {
	i.mu.Lock()
	defer i.mu.Unlock()
	server, ended := &http.Server{Handler: i, ReadHeaderTimeout: 10 * time.Second}, make(chan error, 1)
	i.server, i.ended = server, ended
	go func() { ended <- server.Serve(listener) }()
}

// Stop makes the issuer unreachable.
func (i *OIDCIssuer) Stop() {
	i.t.Helper()
	if err := i.stop(); err != nil {
		i.t.Fatalf("stop the issuer: %v", err)
	}
}

func (i *OIDCIssuer) stop() error {
	i.mu.Lock()
	server, ended := i.server, i.ended
	i.server = nil
	i.mu.Unlock()
	if server == nil {
		return nil
	}
	err := server.Close()
	if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// Start makes a stopped issuer reachable again, where it was.
func (i *OIDCIssuer) Start() {
	i.t.Helper()
	listener, err := net.Listen("tcp", i.address)
	if err != nil {
		i.t.Fatalf("start the issuer again: %v", err)
	}
	i.serve(listener)
}

// Answer gives every answer a status, such as 500; 0 ends that.
func (i *OIDCIssuer) Answer(status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status = status
}

// Overwrite sets members of the discovery document, such as issuer or jwks_uri.
func (i *OIDCIssuer) Overwrite(members map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.overwrite = members
}

// Reads returns how often the discovery document and the keys were asked for.
func (i *OIDCIssuer) Reads() (documents, keys int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.documents, i.reads
}

// Rotate makes a new RSA key, which signs from now on, and withdraws the others.
func (i *OIDCIssuer) Rotate() {
	i.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		i.t.Fatal(err)
	}
	i.Publish(jose.RS256, key)
}

// RotateElliptic is Rotate to a key for ES256.
func (i *OIDCIssuer) RotateElliptic() {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	i.Publish(jose.ES256, key)
}

// Publish makes a key the only one, which signs from now on.
func (i *OIDCIssuer) Publish(alg jose.SignatureAlgorithm, private any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.made++
	i.keys = []OIDCKey{{ID: fmt.Sprintf("key-%d", i.made), Alg: alg, Private: private}}
}

// Key returns the key that signs.
func (i *OIDCIssuer) Key() OIDCKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[len(i.keys)-1]
}

// Token signs a token with the claims over the usual ones: iss, iat, and an exp in
// an hour. A claim that is nil is left out.
func (i *OIDCIssuer) Token(claims map[string]any) string {
	i.t.Helper()
	return i.TokenBy(i.Key(), claims)
}

// TokenBy is Token with a key of one's own.
func (i *OIDCIssuer) TokenBy(key OIDCKey, claims map[string]any) string {
	i.t.Helper()
	return SignJWT(i.t, key.Alg, key.Private, key.ID, i.Claims(claims))
}

// Claims are the claims of a token.
func (i *OIDCIssuer) Claims(claims map[string]any) map[string]any {
	now := time.Now()
	all := map[string]any{"iss": i.URL, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// SignJWT signs claims with any algorithm and key.
func SignJWT(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// UnsignedJWT is a token with alg none (RFC 7519 section 6).
func UnsignedJWT(t testing.TB, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(payload) + "."
}

// ServeHTTP implements [http.Handler].
func (i *OIDCIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	base := "http://" + i.address + strings.TrimSuffix(i.path, "/")
	var document any
	switch r.URL.Path {
	case strings.TrimSuffix(i.path, "/") + "/.well-known/openid-configuration":
		i.documents++
		members := map[string]any{
			"issuer": i.URL, "jwks_uri": base + "/keys",
			"authorization_endpoint": base + "/authorize", "token_endpoint": base + "/token",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"RS256", "ES256"},
		}
		maps.Copy(members, i.overwrite)
		document = members
	case strings.TrimSuffix(i.path, "/") + "/keys":
		i.reads++
		set := jose.JSONWebKeySet{}
		for _, k := range i.keys {
			private := jose.JSONWebKey{Key: k.Private, KeyID: k.ID, Use: "sig"}
			set.Keys = append(set.Keys, private.Public())
		}
		document = set
	default:
		http.NotFound(w, r)
		return
	}
	if i.status != 0 {
		http.Error(w, "the test wants it so", i.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	//nolint:errchkjson // what a test puts into the document it can write; a client that went away is the one under test
	_ = json.NewEncoder(w).Encode(document)
}
