package issuer_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/issuer"
	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

// world is an issuer, and a verifier with a clock that tests move.
type world struct {
	*testenv.OIDCIssuer
	v   *issuer.Verifier
	log *bytes.Buffer

	mu  sync.Mutex
	now time.Time
}

const tenant = "0a0a0a0a-0000-4000-8000-000000000001"

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{OIDCIssuer: testenv.OIDC(t, "/"+tenant+"/"), log: &bytes.Buffer{}, now: time.Now()}
	w.v = issuer.New(issuer.Options{Clock: w.clock, Log: slog.New(slog.NewTextHandler(w.log, nil))})
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// verify does what a caller does that knows the issuer.
func (w *world) verify(t *testing.T, raw string) (*issuer.Token, error) {
	t.Helper()
	named, err := issuer.Peek(raw)
	if err != nil {
		return nil, err
	}
	if named.Issuer != w.URL {
		return nil, fmt.Errorf("the token names %q", named.Issuer)
	}
	return w.v.Verify(t.Context(), w.URL, raw)
}

func (w *world) good(t *testing.T, raw string) {
	t.Helper()
	if _, err := w.verify(t, raw); err != nil {
		t.Errorf("a good token: %v", err)
	}
}

func (w *world) refused(t *testing.T, raw string, code store.Code, text string) {
	t.Helper()
	token, err := w.verify(t, raw)
	if store.CodeOf(err) != code || token != nil || !strings.Contains(err.Error(), text) {
		t.Errorf("%v, %v; want %s with %q", token, err, code, text)
	}
}

func TestATokenSaysWhoItIsOf(t *testing.T) {
	w := newWorld(t)
	got, err := w.verify(t, w.Token(map[string]any{
		"sub": "s", "aud": []string{"a", "b"}, "appid": "x", "azp": "y", "client_id": "x", "tid": strings.ToUpper(tenant),
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := issuer.Names{Issuer: w.URL, Subject: "s", Audiences: []string{"a", "b"}, AppIDs: []string{"x", "y"}}
	if diff := cmp.Diff(want, got.Names); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
	w.RotateElliptic()
	w.good(t, w.Token(nil))
	key := w.Key()
	key.ID = ""
	w.good(t, w.TokenBy(key, map[string]any{"tid": nil, "aud": "a"}))
}

func TestWhatIsNoTokenOfTheIssuerIsRefused(t *testing.T) {
	w := newWorld(t)
	now, key := w.clock(), w.Key()
	public := &key.Private.(*rsa.PrivateKey).PublicKey
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	stranger := testenv.OIDCKey{ID: "stranger", Alg: jose.RS256, Private: other}
	forger := testenv.OIDCKey{ID: key.ID, Alg: jose.RS256, Private: other}
	good := w.Token(nil)
	head, rest, _ := strings.Cut(good, ".")
	body, signature, _ := strings.Cut(rest, ".")
	at := func(claim string, d time.Duration) map[string]any { return map[string]any{claim: now.Add(d).Unix()} }
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for name, tt := range map[string]struct{ raw, text string }{
		"expired":                        {w.Token(at("exp", -61*time.Second)), "expired since " + now.Add(-61*time.Second).UTC().Format(time.RFC3339)},
		"without expiry":                 {w.Token(map[string]any{"exp": nil}), "no time of expiry"},
		"with an expiry that is none":    {w.Token(map[string]any{"exp": "soon"}), "malformed"},
		"not yet valid":                  {w.Token(at("nbf", 62*time.Second)), "not valid before"},
		"valid in a million years":       {w.Token(map[string]any{"nbf": 1e300}), "not valid before"},
		"with a beginning that is none":  {w.Token(map[string]any{"nbf": "soon"}), "malformed"},
		"of another tenant":              {w.Token(map[string]any{"tid": "0b0b0b0b-0000-4000-8000-000000000002"}), "tenant"},
		"of a tenant that is no text":    {w.Token(map[string]any{"tid": 7}), "tenant"},
		"by an unknown key":              {w.TokenBy(stranger, nil), `names the key "stranger"`},
		"by another key of the same id":  {w.TokenBy(forger, nil), "not signed with a key of its issuer"},
		"with alg none":                  {testenv.UnsignedJWT(t, w.Claims(nil)), `algorithm "none"`},
		"HS256 with the public key":      {testenv.SignJWT(t, jose.HS256, der, key.ID, w.Claims(nil)), `algorithm "HS256"`},
		"HS256 with the public key, PEM": {testenv.SignJWT(t, jose.HS256, pemKey, key.ID, w.Claims(nil)), `algorithm "HS256"`},
		"with a part of another token":   {head + "." + strings.Split(w.Token(map[string]any{"sub": "root"}), ".")[1] + "." + signature, "not signed"},
		"without its signature":          {head + "." + body + ".", "not signed"},
		"cut short":                      {good[:len(good)-10], "not signed"},
		"huge":                           {w.Token(map[string]any{"x": strings.Repeat("x", issuer.MaxToken)}), "larger than 16384 bytes"},
		"no base64":                      {"!.!.!", "header is malformed"},
		"no JSON":                        {head + ".AAAA." + signature, "claims are malformed"},
		"of nobody":                      {w.Token(map[string]any{"iss": nil}), "names no issuer"},
		"of an issuer that is no text":   {w.Token(map[string]any{"iss": 7}), "names no issuer"},
		"of two parts":                   {head + "." + body, "no JWT"},
	} {
		t.Run(name, func(t *testing.T) { w.refused(t, tt.raw, store.CodeUnauthorized, tt.text) })
	}
	w.good(t, good)
	w.good(t, w.Token(at("exp", -59*time.Second)))
	w.good(t, w.Token(at("nbf", 59*time.Second)))
}

func TestAnIssuerIsNotBelievedToBeAnother(t *testing.T) {
	w, evil := newWorld(t), testenv.OIDC(t, "")
	raw := evil.Token(map[string]any{"iss": w.URL})
	if _, err := w.v.Verify(t.Context(), evil.URL, raw); store.CodeOf(err) != store.CodeUnauthorized {
		t.Errorf("a token that names another issuer: %v", err)
	}
	w.refused(t, raw, store.CodeUnauthorized, "not signed")
	// Names of claims are compared letter by letter.
	raw = evil.Token(map[string]any{"ISS": w.URL, "Iss": w.URL, "Sub": "root", "APPID": "root"})
	if token, err := w.v.Verify(t.Context(), evil.URL, raw); err == nil && (token.Subject != "" || len(token.AppIDs) != 0) {
		t.Errorf("the token's claims are %+v", token)
	}
}

func TestAFloodOfForgedTokensReadsTheKeysSeldom(t *testing.T) {
	w := newWorld(t)
	w.good(t, w.Token(nil))
	key := w.Key()
	old := w.Token(nil)
	var wg sync.WaitGroup
	for n := range 100 {
		wg.Go(func() {
			forged := key
			forged.ID = fmt.Sprint("forged", n)
			if _, err := w.verify(t, w.TokenBy(forged, nil)); store.CodeOf(err) == "" {
				t.Error("a forged token is good")
			}
		})
	}
	wg.Wait()
	if documents, keys := w.Reads(); documents != 3 || keys != 3 {
		t.Errorf("the discovery document was read %d times and the keys %d times, want 3", documents, keys)
	}
	w.Rotate()
	fresh := w.Token(nil)
	w.refused(t, fresh, store.CodeUnauthorized, "not signed")
	w.good(t, old) // whatever the flood, who has a known key is served
	w.advance(10 * time.Second)
	w.good(t, fresh)
	w.refused(t, old, store.CodeUnauthorized, "not signed")
	if _, keys := w.Reads(); keys != 4 {
		t.Errorf("the keys were read %d times, want 4", keys)
	}
}

func TestARotationIsSeenAtOnce(t *testing.T) {
	w := newWorld(t)
	before := w.Token(nil)
	w.good(t, before)
	w.Rotate()
	w.good(t, w.Token(nil))
	w.refused(t, before, store.CodeUnauthorized, "not signed") // that key is withdrawn
}

func TestAWithdrawnKeyIsGoodForAnHourAtMost(t *testing.T) {
	w := newWorld(t)
	before := w.Token(map[string]any{"exp": w.clock().Add(100 * time.Hour).Unix()})
	w.good(t, before)
	w.Rotate()
	w.advance(59 * time.Minute)
	w.good(t, before)
	w.advance(time.Minute)
	w.refused(t, before, store.CodeUnauthorized, "not signed")
}

func TestAnIssuerThatDoesNotAnswerIsBusy(t *testing.T) {
	w := newWorld(t)
	w.Stop()
	raw := w.Token(map[string]any{"exp": w.clock().Add(100 * time.Hour).Unix()})
	_, err := w.verify(t, raw)
	if store.CodeOf(err) != store.CodeBusy || store.RetrySeconds(err) != 10 || strings.Contains(err.Error(), "refused") {
		t.Errorf("%v, to be tried again in %d s", err, store.RetrySeconds(err))
	}
	if !strings.Contains(w.log.String(), "connection refused") {
		t.Errorf("the log does not say why: %s", w.log)
	}
	w.Start()
	w.good(t, raw)

	w.Stop()
	w.advance(23 * time.Hour)
	w.good(t, raw) // with the keys that were read
	w.Rotate()
	w.refused(t, w.Token(map[string]any{"exp": w.clock().Add(time.Hour).Unix()}), store.CodeBusy, "cannot be read")
	w.advance(time.Hour)
	w.refused(t, raw, store.CodeBusy, "cannot be read")
}

func TestAnIssuerThatAnswersNonsenseIsBusy(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		set    map[string]any
		text   string
	}{
		"an error":               {status: http.StatusInternalServerError},
		"a redirection":          {status: http.StatusFound},
		"another name":           {set: map[string]any{"issuer": "https://example.com"}, text: `calls itself "https://example.com"`},
		"keys elsewhere":         {set: map[string]any{"jwks_uri": "http://example.com/keys"}},
		"no keys":                {set: map[string]any{"jwks_uri": ""}},
		"keys in a file":         {set: map[string]any{"jwks_uri": "file:///etc/passwd"}},
		"a document without end": {set: map[string]any{"x": strings.Repeat("x", 1<<20)}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Answer(tt.status)
			w.Overwrite(tt.set)
			w.refused(t, w.Token(nil), store.CodeBusy, tt.text)
		})
	}
}

func TestAWeakKeyVerifiesNothing(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	w := newWorld(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	w.Publish(jose.RS256, weak)
	w.refused(t, w.Token(nil), store.CodeBusy, "cannot be read")
}

func TestCheckRefusesWhatIsNoIssuer(t *testing.T) {
	for _, url := range []string{
		"https://sts.windows.net/" + tenant + "/", "https://login.microsoftonline.com/" + tenant + "/v2.0", "https://accounts.example.com",
		"http://127.0.0.1:8080/x", "http://localhost:8080", "http://[::1]:8080",
	} {
		if err := issuer.Check(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{
		"", "accounts.example.com", "http://accounts.example.com", "http://127.0.0.1.example.com", "http://localhost.example.com", "ftp://example.com",
		"https://", "https://user@example.com", "https://example.com?x", "https://example.com#x", "https://exa mple.com", "http://10.0.0.1",
		"https://login.microsoftonline.com/common/v2.0", "https://login.microsoftonline.com/Organizations/v2.0", "https://sts.windows.net/",
	} {
		if issuer.Check(url) == nil {
			t.Errorf("%s is allowed", url)
		}
	}
}
