package domain_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/domain"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestVerify(t *testing.T) {
	const record, token = "_provost-challenge.corp.test", "tok"
	many := make([]string, 9)
	for i := range many {
		many[i] = strings.Repeat(string(rune('a'+i)), 200)
	}
	for _, c := range []struct {
		name  string
		setup func(*testenv.DNSServer)
		code  store.Code // "" if it is verified
		text  string
	}{
		{name: "succeeds with the record", setup: func(s *testenv.DNSServer) { s.SetTXT(record, "provost-verification=tok") }},
		{name: "succeeds among other records", setup: func(s *testenv.DNSServer) { s.SetTXT(record, "v=spf1 -all", "provost-verification=tok") }},
		{name: "succeeds although quotes were typed in", setup: func(s *testenv.DNSServer) { s.SetTXT(record, `"provost-verification=tok"`) }},
		{name: "says that the name does not exist", setup: func(*testenv.DNSServer) {}, code: store.CodeConflict, text: record + " has no TXT record"},
		{name: "says that the name has no text", setup: func(s *testenv.DNSServer) { s.SetTXT(record) }, code: store.CodeConflict, text: record + " has no TXT record"},
		{name: "says what was found instead", setup: func(s *testenv.DNSServer) { s.SetTXT(record, "provost-verification=other") }, code: store.CodeConflict, text: `"provost-verification=other"`},
		{name: "says only some of what was found", setup: func(s *testenv.DNSServer) { s.SetTXT(record, many...) }, code: store.CodeConflict, text: "and 4 more"},
		{name: "does not take a token for one that it is a part of", setup: func(s *testenv.DNSServer) { s.SetTXT(record, "provost-verification=tokk") }, code: store.CodeConflict, text: "tokk"},
		{name: "does not look at the domain itself", setup: func(s *testenv.DNSServer) { s.SetTXT("corp.test", "provost-verification=tok") }, code: store.CodeConflict, text: "has no TXT record"},
		{name: "says that DNS failed", setup: func(s *testenv.DNSServer) { s.Fail(dns.RcodeServerFailure) }, code: store.CodeBusy, text: "did not answer"},
		{name: "says that DNS is silent", setup: func(s *testenv.DNSServer) { s.Silence(true) }, code: store.CodeBusy, text: "did not answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := testenv.DNS(t)
			c.setup(server)
			err := domain.Verifier{Resolver: server.Resolver(), Timeout: time.Second}.Verify(t.Context(), "corp.test", token)
			if c.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *store.Error
			if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Message, c.text) {
				t.Fatalf("got %v, want %s with %q", err, c.code, c.text)
			}
			if c.code == store.CodeConflict && (!strings.Contains(e.Hint, record) || !strings.Contains(e.Hint, "provost-verification=tok")) {
				t.Errorf("the hint %q does not say what to publish", e.Hint)
			}
			if len(e.Message) > 1000 {
				t.Errorf("the message has %d bytes", len(e.Message))
			}
		})
	}
	t.Run("ends with its context", func(t *testing.T) {
		server := testenv.DNS(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := (domain.Verifier{Resolver: server.Resolver()}).Verify(ctx, "corp.test", token); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
