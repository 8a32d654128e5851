package testenv_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/provost-scim/provost/internal/testenv"
)

func TestADNSServerAnswersWhatWasSet(t *testing.T) {
	long := strings.Repeat("x", 600)
	many := slices.Repeat([]string{strings.Repeat("y", 200)}, 30) // needs TCP
	server := testenv.DNS(t)
	server.SetTXT("_challenge.corp.test", "one", `with "quotes" and \`)
	server.SetTXT("Long.Corp.Test.", long)
	server.SetTXT("many.corp.test", many...)
	server.SetTXT("empty.corp.test")
	server.SetTXT("gone.corp.test", "value")
	server.Remove("GONE.corp.test")

	for _, tt := range []struct {
		name     string
		question string
		want     []string
		notFound bool
	}{
		{name: "each value is a record", question: "_challenge.corp.test.", want: []string{"one", `with "quotes" and \`}},
		{name: "a long value comes in parts, and names ignore case", question: "long.corp.test.", want: []string{long}},
		{name: "an answer too large for UDP comes over TCP", question: "many.corp.test.", want: many},
		{name: "a name without records has none", question: "empty.corp.test.", notFound: true},
		{name: "a name never set does not exist", question: "nobody.corp.test.", notFound: true},
		{name: "a name removed does not exist", question: "gone.corp.test.", notFound: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := server.Resolver().LookupTXT(t.Context(), tt.question)
			var failure *net.DNSError
			switch {
			case tt.notFound && (!errors.As(err, &failure) || !failure.IsNotFound):
				t.Fatalf("error %v, want not found", err)
			case !tt.notFound && err != nil:
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("TXT (-want +got):\n%s", diff)
			}
		})
	}
}

func TestADNSServerFailsWhenToldAndRecovers(t *testing.T) {
	server := testenv.DNS(t)
	server.SetTXT("corp.test", "value")
	lookup := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := server.Resolver().LookupTXT(ctx, "corp.test.")
		return err
	}
	var failure *net.DNSError

	server.Fail(dns.RcodeServerFailure)
	if err := lookup(); !errors.As(err, &failure) || failure.IsNotFound || !failure.IsTemporary {
		t.Errorf("while failing: %v, want a temporary error", err)
	}
	server.Fail(dns.RcodeSuccess)
	server.Silence(true)
	before := server.Questions()
	if err := lookup(); !errors.As(err, &failure) || !failure.IsTimeout {
		t.Errorf("while silent: %v, want a time-out", err)
	}
	if server.Questions() == before {
		t.Error("the silent server was not asked")
	}
	server.Silence(false)
	if err := lookup(); err != nil {
		t.Errorf("after recovering: %v", err)
	}
}
