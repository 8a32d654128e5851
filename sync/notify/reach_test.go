package notify_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/notify"
)

func TestURLsToWhichNothingMayBeSentAreRefused(t *testing.T) {
	ten := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32")}
	for _, tt := range []struct {
		url    string
		allow  []netip.Prefix
		public bool
		why    string // "": it may
	}{
		{url: "https://app.example.com/hooks?token=1"},
		{url: "https://192.0.2.1:8443/"},
		{url: "https://10.1.2.3/"},
		{url: "https://10.1.2.3/", public: true, why: "private"},
		{url: "https://[fd12::1]/", public: true, why: "private"},
		{url: "https://100.64.0.1/", public: true, why: "private"},
		{url: "http://app.example.com/", why: "https"},
		{url: "http://10.1.2.3/", allow: ten},
		{url: "http://app.example.com/", allow: ten}, // judged when it is resolved
		{url: "http://192.0.2.1/", allow: ten, why: "plain http"},
		{url: "https://127.0.0.1/", allow: ten},
		{url: "https://127.0.0.2/", allow: ten, why: "127.0.0.2"},
		{url: "https://127.0.0.1:9000/", why: "127.0.0.1"},
		{url: "https://[::1]/", why: "::1"},
		{url: "https://[::ffff:127.0.0.1]/", why: "127.0.0.1"},
		{url: "https://[::127.0.0.1]/", why: "of this host"},
		{url: "https://[64:ff9b::7f00:1]/", why: "of this host"},
		{url: "https://[2002:7f00:1::]/", why: "of this host"},
		{url: "https://[::ffff:0:127.0.0.1]/", why: "of this host"},
		{url: "https://app.example.com:0/", why: "port 0"},
		{url: "https://app.example.com:65536/", why: "port 65536"},
		{url: "https://app.example.com:65535/"},
		{url: "https://[2002:a00:1::]/", public: true, why: "private"},
		{url: "https://169.254.169.254/latest/meta-data", why: "169.254.169.254"},
		{url: "https://[fd00:ec2::254]/", why: "fd00:ec2::254"},
		{url: "https://[fe80::1%25eth0]/", why: "of this host"},
		{url: "https://0.0.0.0/", why: "of this host"},
		{url: "https://[::]/", why: "of this host"},
		{url: "https://224.0.0.1/", why: "of this host"},
		{url: "https://255.255.255.255/", why: "of this host"},
		{url: "https://user:secret@app.example.com/", why: "user or a password"},
		{url: "https://app.example.com/#x", why: "fragment"},
		{url: "ftp://app.example.com/", allow: ten, why: "https"},
		{url: "https:app.example.com", why: "cannot be used"},
		{url: "https://", why: "cannot be used"},
		{url: "app.example.com", why: "cannot be used"},
		{url: "https://app.example.com/" + strings.Repeat("a", 2048), why: "2048 bytes"},
	} {
		r := notify.Reach{Allow: tt.allow, PublicOnly: tt.public}
		err := r.CheckURL(tt.url)
		switch {
		case tt.why == "" && err != nil:
			t.Errorf("%s is refused: %v", tt.url, err)
		case tt.why != "" && (store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), tt.why)):
			t.Errorf("%s: %v, want it refused for %q", tt.url, err, tt.why)
		}
	}
}

// ping sends one message to a URL and says what became of it.
func ping(t *testing.T, url string, reach notify.Reach) store.Attempt {
	t.Helper()
	as := func(b []byte, _ store.ID) ([]byte, error) { return b, nil }
	hooks := notify.NewWebhooks(nil, notify.WebhookOptions{Reach: reach, Seal: as, Open: as})
	a, err := hooks.Ping(t.Context(), &store.Webhook{URL: url, Secret: []byte("key")})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestNothingIsSentToAForbiddenAddressByNameOrByRedirect(t *testing.T) {
	reached := 0
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	defer inner.Close()
	_, port, err := net.SplitHostPort(inner.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}

	dns := testenv.DNS(t)
	dns.SetA("app.example.com", "127.0.0.1")
	elsewhere := []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}
	for name, url := range map[string]string{"a name": "http://app.example.com:" + port, "the name of this host": "http://localhost:" + port} {
		reach := notify.Reach{Allow: elsewhere}
		if name == "a name" {
			reach.Resolver = dns.Resolver()
		}
		if a := ping(t, url, reach); a.Status != 0 || !strings.Contains(a.Error, "is of this host") {
			t.Errorf("by %s: %+v", name, a)
		}
	}

	listener, err := net.Listen("tcp", "127.0.0.9:0")
	if err != nil {
		t.Skipf("this host has no 127.0.0.9: %v", err)
	}
	outer := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.RedirectHandler(inner.URL, http.StatusTemporaryRedirect)}}
	outer.Start()
	defer outer.Close()
	if a := ping(t, outer.URL, notify.Reach{Allow: elsewhere}); a.Status != http.StatusTemporaryRedirect || !strings.Contains(a.Error, "redirects") || a.Ended() {
		t.Errorf("a redirect is %+v", a)
	}
	// What it says where it may go does not help either: plain http to a host that is not named.
	if a := ping(t, inner.URL, notify.Reach{Allow: elsewhere}); a.Status != 0 {
		t.Errorf("directly: %+v", a)
	}
	if reached != 0 {
		t.Errorf("the forbidden server was reached %d times", reached)
	}
	if a := ping(t, inner.URL, notify.Reach{Allow: loopback}); !a.Ended() || reached != 1 {
		t.Errorf("where it may go: %+v", a)
	}
}

func TestANameThatChangesItsAddressBetweenQuestionsIsJudgedWhereItIsDialled(t *testing.T) {
	reached := map[string]int{}
	serve := func(address string) (port string) {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Skipf("this host has no %s: %v", address, err)
		}
		s := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached[address]++ })}}
		s.Start()
		t.Cleanup(s.Close)
		_, port, err = net.SplitHostPort(listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	port := serve("127.0.0.9:0")
	forbidden := "127.0.0.1:" + port
	serve(forbidden)
	url := "http://app.example.com:" + port
	dns := testenv.DNS(t)
	reach := notify.Reach{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}, Resolver: dns.Resolver()}

	// Whoever asked once to judge and again to connect would be sent elsewhere.
	dns.SetA("app.example.com", "127.0.0.9", "127.0.0.1")
	if err := reach.CheckURL(url); err != nil {
		t.Errorf("the URL is refused: %v", err)
	}
	if a := ping(t, url, reach); !a.Ended() || reached["127.0.0.9:0"] != 1 {
		t.Errorf("at the first answer: %+v", a)
	}
	if a := ping(t, url, reach); a.Status != 0 || !strings.Contains(a.Error, "127.0.0.1 is of this host") {
		t.Errorf("at the second answer: %+v", a)
	}
	// The other way about, nothing is remembered either.
	dns.SetA("app.example.com", "127.0.0.1", "127.0.0.9")
	if a := ping(t, url, reach); a.Status != 0 {
		t.Errorf("back at the first answer: %+v", a)
	}
	if a := ping(t, url, reach); !a.Ended() || reached["127.0.0.9:0"] != 2 {
		t.Errorf("and at the second: %+v", a)
	}
	if n := reached[forbidden]; n != 0 {
		t.Errorf("the forbidden server was reached %d times", n)
	}
}

func TestAnAnswerWithoutEndIsNotReadToItsEnd(t *testing.T) {
	ended := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}))
	defer s.Close()
	a := ping(t, s.URL, notify.Reach{Allow: loopback})
	if !a.Ended() || len(a.Response) > 1024 {
		t.Errorf("status %d with %d bytes of it", a.Status, len(a.Response))
	}
	<-ended
}
