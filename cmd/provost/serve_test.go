package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store/gormstore"
)

// answered is the answer to one request.
type answered struct {
	StatusCode int
	Header     http.Header
}

// fetch makes one request and returns its answer and the body.
func fetch(t *testing.T, method, url, token, body string) (answered, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{resp.StatusCode, resp.Header}, string(b)
}

func migrateDatabase(dsn string) error { return gormstore.Migrate(context.Background(), dsn) }

func TestTheServerServesEveryInterfaceOnBothEngines(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(*testing.T) []string{
		"SQLite": func(*testing.T) []string { return nil },
		"PostgreSQL": func(t *testing.T) []string {
			return []string{"--database", testenv.Postgres(t).Database(t, migrateDatabase)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := startProvost(t, database(t)...)
			p.must(t, "directory", "create", "entra", "--kind", "scim", "--domain-policy", "off")
			scimToken := p.must(t, "token", "create", "--directory", "entra")
			for path, want := range map[string]struct {
				token  string
				status int
				text   string
			}{
				"/healthz":                       {"", 200, "ok"},
				"/readyz":                        {"", 200, "ok"},
				"/metrics":                       {"", 200, "provost_build_info"},
				"/api/v1/openapi.json":           {"", 200, `"openapi"`},
				"/docs/":                         {"", 200, "<html"},
				"/api/v1/directories":            {p.token, 200, `"entra"`},
				"/api/v1/nothing":                {p.token, 404, "urn:provost:problem:not_found"},
				"/nothing":                       {"", 404, "urn:provost:problem:not_found"},
				"/scim/v2/ServiceProviderConfig": {scimToken, 200, `"patch"`},
				"/scim/v2/Users":                 {scimToken, 200, `"totalResults":0`},
			} {
				resp, body := fetch(t, http.MethodGet, p.url+path, want.token, "")
				if resp.StatusCode != want.status || !strings.Contains(body, want.text) {
					t.Errorf("GET %s is %d with %.300q; want %d with %q", path, resp.StatusCode, body, want.status, want.text)
				}
				if resp.Header.Get(echo.HeaderXRequestID) == "" {
					t.Errorf("GET %s has no request id", path)
				}
			}
		})
	}
}

func TestMetricsCountRequestsByRoute(t *testing.T) {
	t.Parallel()
	p := startProvost(t)
	fetch(t, http.MethodGet, p.url+"/api/v1/users/nobody@example.com", p.token, "")
	fetch(t, http.MethodGet, p.url+"/scim/v2/Users/0190", "", "")
	_, text := fetch(t, http.MethodGet, p.url+"/metrics", "", "")
	for _, want := range []string{
		`provost_http_requests_total{method="GET",route="/api/v1/users/:user",status="404"} 1`,
		`provost_http_requests_total{method="GET",route="/scim/v2/Users/:id",status="401"} 1`,
		"process_open_fds", "go_goroutines", "provost_http_requests_in_flight 0",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if strings.Contains(text, "nobody@example.com") {
		t.Error("/metrics holds what a client wrote into a path")
	}
}

// pending opens a request whose body has not come yet, and returns the connection.
func pending(t *testing.T, url, token, body string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the server may have closed it
	fmt.Fprintf(conn, "POST /scim/v2/Users HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer %s\r\nContent-Type: application/scim+json\r\nContent-Length: %d\r\n\r\n", token, len(body))
	return conn
}

const graceUser = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"grace@example.com"}`

// inFlight waits until so many requests are being served.
func inFlight(t *testing.T, url string, n int) {
	t.Helper()
	want := fmt.Sprintf("provost_http_requests_in_flight %d\n", n)
	until(t, "requests are in flight", func() bool {
		_, text := fetch(t, http.MethodGet, url+"/metrics", "", "")
		return strings.Contains(text, want)
	})
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestBeyondItsLimitTheServerAsksClientsToComeAgain(t *testing.T) {
	t.Parallel()
	p := startProvost(t, "--max-requests", "1")
	p.must(t, "directory", "create", "okta", "--kind", "scim", "--domain-policy", "off")
	secret := p.must(t, "token", "create", "--directory", "okta")
	slow := pending(t, p.url, secret, graceUser)
	inFlight(t, p.url, 1)

	for path, contentType := range map[string]string{"/scim/v2/Users": "application/scim+json", "/api/v1/users": "application/problem+json"} {
		resp, body := fetch(t, http.MethodGet, p.url+path, secret, "")
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.HasPrefix(resp.Header.Get("Content-Type"), contentType) {
			t.Errorf("GET %s is %d %v %s; want 503 with Retry-After as %s", path, resp.StatusCode, resp.Header, body, contentType)
		}
	}
	if resp, _ := fetch(t, http.MethodGet, p.url+"/readyz", "", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("/readyz is %d under pressure", resp.StatusCode)
	}
	fmt.Fprint(slow, graceUser)
	inFlight(t, p.url, 0)
	if resp, body := fetch(t, http.MethodGet, p.url+"/scim/v2/Users", secret, ""); resp.StatusCode != http.StatusOK || !strings.Contains(body, "grace@example.com") {
		t.Errorf("after the pressure, GET is %d %s", resp.StatusCode, body)
	}
}

func TestStoppingFinishesRequestsAndEndsStreams(t *testing.T) {
	t.Parallel()
	p := startProvost(t)
	p.must(t, "directory", "create", "okta", "--kind", "scim", "--domain-policy", "off")
	secret := p.must(t, "token", "create", "--directory", "okta")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Accept", "text/event-stream")
	stream, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()

	slow := pending(t, p.url, secret, graceUser)
	inFlight(t, p.url, 1)
	stopped := make(chan error, 1)
	go func() { stopped <- p.stop() }()
	until(t, "no new connection is taken", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			return true
		}
		return conn.Close() != nil
	})
	fmt.Fprint(slow, graceUser)
	answer, err := io.ReadAll(slow)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 201 ")) {
		t.Errorf("the request that was being served got %.200s", answer)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, stream.Body); err != nil {
		t.Errorf("the stream was cut, not ended: %v", err)
	}
}

func TestTheDemonstrationWorksAsPastedAndAgain(t *testing.T) {
	testenv.Needs(t, "sh", "dash")
	testenv.Needs(t, "curl", "curl")
	t.Chdir(t.TempDir())
	var tokens []string
	for start := range 2 {
		out, stderr := newLines(), newLines()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan int, 1)
		go func() {
			ended <- realMain(ctx, []string{"serve", "--demo", "--listen", "127.0.0.1:0"}, strings.NewReader(""), out, stderr, noEnvironment)
		}()
		select {
		case <-stderr.listening:
		case code := <-ended:
			t.Fatalf("start %d: exit code %d\n%s", start, code, stderr)
		}
		commands := regexp.MustCompile(`(?m)^curl .*$`).FindAllString(out.String(), -1)
		if len(commands) != 3 {
			t.Fatalf("%d curl commands are printed, want 3:\n%s", len(commands), out.String())
		}
		for i, want := range []string{`"userName":"ada`, `"totalResults":1`, `"title":"Countess"`} {
			answer, err := exec.CommandContext(ctx, "sh", "-c", commands[i]).CombinedOutput()
			if err != nil || !strings.Contains(string(answer), want) {
				t.Errorf("start %d: %s\nprints %s (%v), without %s", start, commands[i], answer, err, want)
			}
		}
		token := regexp.MustCompile(`(?m)^  token +(\S+)$`).FindStringSubmatch(out.String())
		if token == nil || !strings.Contains(out.String(), "domain policy off") || !strings.Contains(out.String(), "admin token create") {
			t.Errorf("start %d prints neither token, policy nor how to go on:\n%s", start, out.String())
		}
		url := regexp.MustCompile(`(?m)^  SCIM endpoint +(\S+)$`).FindStringSubmatch(out.String())
		for _, old := range tokens {
			if resp, _ := fetch(t, http.MethodGet, url[1]+"/Users", old, ""); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("the token of an earlier start still gets %d", resp.StatusCode)
			}
		}
		tokens = append(tokens, token[1])
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("start %d: exit code %d\n%s", start, code, stderr)
		}
	}
}

func TestTheCertificateIsReadAgainWhenItChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	writeCertificate(t, cert, key, 1)
	p := startProvost(t, "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(p.url, "https://") {
		t.Fatalf("it listens on %s", p.url)
	}
	shown := func() string {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := shown()
	if err := os.WriteFile(cert, []byte("half a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := shown(); got != before {
		t.Error("a broken file took the certificate away")
	}
	writeCertificate(t, cert, key, 2)
	until(t, "the new certificate is shown", func() bool { return shown() != before })
}

// writeCertificate writes a self-signed certificate with the serial number.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		keyFile: {Type: "PRIVATE KEY", Bytes: private}, certFile: {Type: "CERTIFICATE", Bytes: cert},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheHeadersOfProxiesAreSpelledAsRequestsHaveThem(t *testing.T) {
	t.Parallel()
	for _, h := range forwardedHeaders {
		if want := http.CanonicalHeaderKey(h); h != want {
			t.Errorf("%s would never be found; want %s", h, want)
		}
	}
}

func TestForwardedHeadersCountOnlyFromATrustedProxy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trusted []netip.Prefix
		client  string
		base    string
	}{
		"nobody is trusted":       {nil, "127.0.0.1", "http://inner"},
		"another is trusted":      {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "127.0.0.1", "http://inner"},
		"the connection's proxy":  {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "192.0.2.7", "https://outer.example.com"},
		"a chain of two proxies ": {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24")}, "198.51.100.1", "https://outer.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			e := echo.New()
			e.IPExtractor = ipExtractor(c.trusted)
			e.Pre(forwarded(c.trusted))
			var client, base string
			e.GET("/", func(c echo.Context) error {
				client, base = c.RealIP(), c.Scheme()+"://"+c.Request().Host
				return nil
			})
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: e, ReadHeaderTimeout: time.Second}
			served := make(chan error, 1)
			go func() { served <- server.Serve(listener) }()
			defer func() {
				if err := errors.Join(server.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
			}()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String(), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = "inner"
			req.Header.Set("X-Forwarded-For", "198.51.100.1, 192.0.2.7")
			req.Header.Set("X-Forwarded-Proto", "https")
			req.Header.Set("X-Forwarded-Host", "outer.example.com")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if client != c.client || base != c.base {
				t.Errorf("the client is %s at %s; want %s at %s", client, base, c.client, c.base)
			}
		})
	}
}

func TestFlagsThatContradictEachOtherAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"a certificate without its key":       {[]string{"--tls-cert", "x"}, "--tls-cert and --tls-key"},
		"a cap of nobody":                     {[]string{"--cap", "0"}, "--cap"},
		"a resolver without a port":           {[]string{"--dns-resolver", "127.0.0.1"}, "--dns-resolver"},
		"a public URL that is none":           {[]string{"--public-url", "example.com"}, "--public-url"},
		"a proxy that is no range":            {[]string{"--trusted-proxy", "everyone"}, "--trusted-proxy"},
		"a level that does not exist":         {[]string{"--log-level", "loud"}, "--log-level"},
		"a lease that ends before it began":   {[]string{"--lease", "1ms"}, "--lease"},
		"windows of less than nothing":        {[]string{"--window-records", "-1"}, "--window-records"},
		"no time to stop":                     {[]string{"--shutdown-within", "0s"}, "--shutdown-within"},
		"fewer than one request at a time":    {[]string{"--max-requests", "0"}, "--max-requests"},
		"a flag that there is not":            {[]string{"--fast"}, "--fast"},
		"an argument, of which it takes none": {[]string{"now"}, "now"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			code := realMain(t.Context(), append([]string{"serve"}, c.args...), strings.NewReader(""), io.Discard, &stderr, noEnvironment)
			if code != exitUsage || !strings.Contains(stderr.String(), c.says) || !strings.Contains(stderr.String(), "hint: ") {
				t.Errorf("exit code %d with %q; want %d naming %s, with a hint", code, stderr.String(), exitUsage, c.says)
			}
		})
	}
}

func TestAPortThatIsTakenIsAnErrorWithAHint(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, err = bootProvost(t.TempDir(), "--listen", listener.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "address already in use") || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("it says %v", err)
	}
}

// decode reads JSON that a command has printed.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}
