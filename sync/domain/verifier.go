package domain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/provost-scim/provost/store"
)

// Bounds of a verification.
const (
	defaultTimeout = 10 * time.Second
	maxShown       = 5   // records that an error shows
	maxShownLength = 100 // bytes of each
)

// Verifier asks DNS. The zero value asks the system's resolver.
type Verifier struct {
	Resolver *net.Resolver // nil: the system's
	Timeout  time.Duration // of one verification; 0: 10 s
}

// Verify looks for the challenge of a normalized domain. It fails with
// [store.CodeConflict] if DNS answers without it, saying what was found and what to
// publish, and with [store.CodeBusy] if DNS does not answer.
func (v Verifier) Verify(ctx context.Context, name, token string) error {
	resolver, timeout := v.Resolver, v.Timeout
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	asking, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	record, want := RecordName(name), RecordValue(token)
	// The final dot keeps the resolver from trying its search list.
	found, err := resolver.LookupTXT(asking, record+".")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	hint := fmt.Sprintf("publish a TXT record %s with the value %s; changes of DNS may take an hour to be seen", record, want)
	var failure *net.DNSError
	switch {
	case err == nil:
	case errors.As(err, &failure) && failure.IsNotFound:
		found = nil
	default:
		return &store.Error{Code: store.CodeBusy, Err: err, Field: "name",
			Message: fmt.Sprintf("DNS did not answer the question for TXT records of %s", record),
			Hint:    "check the name servers of the domain and the resolver, then try again"}
	}
	for _, text := range found {
		if strings.Trim(strings.TrimSpace(text), `"`) == want {
			return nil
		}
	}
	message := fmt.Sprintf("%s has no TXT record", record)
	if len(found) > 0 {
		message = fmt.Sprintf("the TXT records of %s are %s", record, show(found))
	}
	return &store.Error{Code: store.CodeConflict, Field: "name", Message: message, Hint: hint}
}

// show quotes what DNS said, no more than fits into a message.
func show(found []string) string {
	var parts []string
	for i, text := range found {
		if i == maxShown {
			parts = append(parts, fmt.Sprintf("and %d more", len(found)-i))
			break
		}
		if len(text) > maxShownLength {
			text = strings.ToValidUTF8(text[:maxShownLength], "") + "…"
		}
		parts = append(parts, fmt.Sprintf("%q", text))
	}
	return strings.Join(parts, ", ")
}
