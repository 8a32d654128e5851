package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/provost-scim/provost/store"
)

// How long a check may take. A directory whose servers are all silent would
// otherwise cost its whole time-out for each.
const (
	checkTime   = 25 * time.Second // all of it
	requestTime = 8 * time.Second  // one request; less if the directory's own time-out is
	countTime   = 6 * time.Second  // counting the entries of one kind
)

// expiresSoon is how long before its end a certificate is warned of.
const expiresSoon = 14 * 24 * time.Hour

// checkup is a check under way.
type checkup struct {
	s       *Source
	timeout time.Duration
	steps   []store.CheckStep
	refused bool // a server has refused the credentials: no other is asked
}

// Check tries the settings step by step against the live servers, and says of each
// step what was found and what to mend: each server is resolved, connected to,
// encrypted and bound to; on the first that lets us in every base DN is looked at,
// pages are asked for, users and groups are counted and a sample of them is mapped,
// an entry is looked up by its stable id, and the way to read only changes is tried.
// It changes nothing there, and takes at most about 25 seconds.
func (s *Source) Check(ctx context.Context) []store.CheckStep {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	k := &checkup{s: s, timeout: min(s.timeout, requestTime)}
	var bound *conn
	for _, server := range s.servers {
		c := k.server(ctx, server)
		switch {
		case c == nil:
		case bound == nil:
			bound = c
		default:
			c.close()
		}
	}
	if bound == nil {
		for _, name := range []string{"base_dn", "paging", "users", "groups", "attributes", "lookup", "incremental"} {
			k.skip(name, "", "no server lets us in")
		}
		return k.steps
	}
	defer bound.close()
	k.read(ctx, bound)
	return k.steps
}

// server tries one server, and returns a bound connection to it or nil.
func (k *checkup) server(ctx context.Context, server server) *conn {
	var c *conn
	ok := k.try(ctx, "resolve", server.host, func(ctx context.Context) (string, error) {
		return k.s.resolveHost(ctx, server)
	}) && k.try(ctx, "connect", server.address, func(ctx context.Context) (detail string, err error) {
		if c, err = k.s.reach(ctx, server, k.timeout); err != nil {
			return "", err
		}
		return "connected to " + c.net.RemoteAddr().String(), nil
	})
	if !ok {
		k.skip("tls", server.address, "there is no connection")
		k.skip("bind", server.address, "there is no connection")
		return nil
	}
	if !k.encrypt(ctx, c, server) {
		k.skip("bind", server.address, "the connection is not encrypted")
		c.close()
		return nil
	}
	if k.refused {
		k.skip("bind", server.address, "another server has refused the credentials, and each attempt could lock the account")
		c.close()
		return nil
	}
	ok = k.try(ctx, "bind", server.address, func(ctx context.Context) (string, error) {
		err := k.s.authenticate(ctx, c)
		var e *store.Error
		k.refused = errors.As(err, &e) && e.Field == "bind_password"
		if k.s.bindDN == "" {
			return "reads anonymously: no bind DN is set", err
		}
		return "bound as " + k.s.bindDN, err
	})
	if !ok {
		c.close()
		return nil
	}
	return c
}

// resolveHost looks the server's name up.
func (s *Source) resolveHost(ctx context.Context, server server) (string, error) {
	if net.ParseIP(server.host) != nil {
		return "it is an address", nil
	}
	addresses, err := s.resolve(ctx, server.host)
	if err != nil {
		return "", unreachable(server.address, err)
	}
	return strings.Join(addresses, ", "), nil
}

// encrypt takes the step from a connection to an encrypted one, if the settings ask
// for it.
func (k *checkup) encrypt(ctx context.Context, c *conn, server server) bool {
	if !server.tls && !k.s.startTLS {
		k.add(store.CheckStep{Name: "tls", Target: server.address, Status: store.CheckWarning, Field: "allow_plaintext",
			Detail: "the connection is not encrypted: whoever is in between can read the bind password and all that is sent",
			Hint:   "use ldaps://, or ldap:// with start_tls"})
		return true
	}
	ok := k.try(ctx, "tls", server.address, func(ctx context.Context) (string, error) {
		err := k.s.encrypt(ctx, c, server)
		var refused *tls.CertificateVerificationError
		if errors.As(err, &refused) && len(refused.UnverifiedCertificates) > 0 {
			var e *store.Error
			if errors.As(err, &e) {
				e.Message += " (" + describe(refused.UnverifiedCertificates[0]) + ")"
			}
		}
		if err != nil {
			return "", err
		}
		return describeTLS(c), nil
	})
	if ok {
		k.warnOfExpiry(c)
	}
	return ok
}

func describeTLS(c *conn) string {
	encrypted, ok := c.net.(*tls.Conn)
	if !ok {
		return ""
	}
	state := encrypted.ConnectionState()
	return tls.VersionName(state.Version) + ", " + describe(state.PeerCertificates[0])
}

// describe says of a certificate what a person needs to find the fault.
func describe(c *x509.Certificate) string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = []string{"no name"}
	}
	return clip(fmt.Sprintf("certificate for %s, issued by %s, valid until %s",
		strings.Join(names, ", "), c.Issuer.String(), c.NotAfter.UTC().Format(time.DateOnly)))
}

// warnOfExpiry makes the last step a warning if a certificate of the verified chain
// ends soon.
func (k *checkup) warnOfExpiry(c *conn) {
	encrypted, ok := c.net.(*tls.Conn)
	if !ok {
		return
	}
	step := &k.steps[len(k.steps)-1]
	for _, chain := range encrypted.ConnectionState().VerifiedChains {
		for _, certificate := range chain {
			if left := time.Until(certificate.NotAfter); left < expiresSoon {
				step.Status = store.CheckWarning
				step.Detail += fmt.Sprintf("; the certificate of %s expires in %d days", clip(certificate.Subject.String()), int(left.Hours()/24))
				step.Hint = "renew it: no run succeeds after its end"
				return
			}
		}
	}
}

// try takes one step and notes how it ended.
func (k *checkup) try(ctx context.Context, name, target string, do func(context.Context) (detail string, err error)) bool {
	if ctx.Err() != nil {
		k.skip(name, target, "the check has taken too long")
		return false
	}
	started := time.Now()
	step := store.CheckStep{Name: name, Target: target, Status: store.CheckOK}
	limited, cancel := context.WithTimeout(ctx, 2*k.timeout)
	defer cancel()
	var err error
	step.Detail, err = do(limited)
	step.Seconds = time.Since(started).Seconds()
	if err != nil {
		explain(&step, err)
	}
	k.steps = append(k.steps, step)
	return err == nil
}

// explain tells what went wrong and what to do. The cause is for whoever runs the
// directory, so it is told, too.
func explain(step *store.CheckStep, err error) {
	step.Status, step.Detail = store.CheckFailed, clip(err.Error())
	var e *store.Error
	if !errors.As(err, &e) {
		return
	}
	step.Detail, step.Field, step.Hint = e.Message, e.Field, e.Hint
	if e.Err != nil {
		step.Detail += ": " + clip(e.Err.Error())
	}
}

func (k *checkup) add(step store.CheckStep) { k.steps = append(k.steps, step) }

func (k *checkup) skip(name, target, why string) {
	k.add(store.CheckStep{Name: name, Target: target, Status: store.CheckSkipped, Detail: why})
}
