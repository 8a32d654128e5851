package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/provost-scim/provost/store"
)

// Reach says to which addresses webhooks may go. It is judged on the address that is
// being connected to, so that no name, whatever it resolves to and when, goes around
// it; redirects are not followed at all. No proxy is used: it would connect for us.
type Reach struct {
	// Allow are networks that may be reached whatever they are, also without TLS.
	Allow []netip.Prefix
	// PublicOnly refuses the private networks (RFC 1918, RFC 4193, RFC 6598), which
	// otherwise may be reached: applications of those who run this are there.
	PublicOnly bool
	Resolver   *net.Resolver  // nil: the system's
	Roots      *x509.CertPool // to trust instead of the system's; nil: these
}

// prefixes parses networks that are written here.
func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

var (
	// never are networks in which no endpoint is: this host, its link, where clouds
	// answer for their machines (metadata), many receivers, and what is reserved.
	never = prefixes("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "224.0.0.0/4", "240.0.0.0/4", "100.100.100.200/32",
		"::/128", "::1/128", "fe80::/10", "fec0::/10", "ff00::/8", "fd00:ec2::254/128", "fd20:ce::254/128", "2001::/32")
	private = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
	// carriers are networks whose addresses stand for one of IPv4, which begins at a
	// byte.
	carriers = []struct {
		net netip.Prefix
		at  int
	}{
		{netip.MustParsePrefix("::/96"), 12}, {netip.MustParsePrefix("64:ff9b::/96"), 12}, {netip.MustParsePrefix("64:ff9b:1::/48"), 12},
		{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, {netip.MustParsePrefix("2002::/16"), 2},
	}
)

func among(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// check refuses an address. plain: without TLS.
func (r *Reach) check(a netip.Addr, plain bool) error {
	a = a.Unmap().WithZone("")
	if among(r.Allow, a) {
		return nil
	}
	inner := a
	for _, c := range carriers {
		if b := a.As16(); a.Is6() && c.net.Contains(a) {
			inner = netip.AddrFrom4([4]byte(b[c.at : c.at+4]))
		}
	}
	switch {
	case among(never, a) || among(never, inner):
		return fmt.Errorf("the address %s is of this host, of its link or reserved; serve --webhook-allow %s would allow it", a, netip.PrefixFrom(a, a.BitLen()))
	case r.PublicOnly && (among(private, a) || among(private, inner)):
		return fmt.Errorf("the address %s is private, and this server reaches only public ones (serve --webhook-public-only)", a)
	case plain:
		return fmt.Errorf("plain http goes only to networks that serve --webhook-allow names, and %s is in none", a)
	}
	return nil
}

// maxURL is the most bytes of an endpoint's URL.
const maxURL = 2048

// CheckURL refuses URLs to which nothing could ever be sent. What a name resolves to is
// judged when it is connected to.
func (r *Reach) CheckURL(text string) error {
	bad := func(hint, format string, args ...any) error {
		return &store.Error{Code: store.CodeInvalid, Field: "url", Message: fmt.Sprintf(format, args...), Hint: hint}
	}
	u, err := url.Parse(text)
	switch {
	case len(text) > maxURL:
		return bad("", "the URL has more than %d bytes", maxURL)
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return bad("such as https://app.example.com/hooks", "the URL cannot be used")
	case u.Scheme != "https" && (u.Scheme != "http" || len(r.Allow) == 0):
		return bad("use https; plain http is for networks that serve --webhook-allow names", "the URL must begin with https://")
	case u.User != nil:
		return bad("the signature says who sends", "the URL must not have a user or a password")
	case u.Port() != "" && !validPort(u.Port()):
		return bad("ports are 1 to 65535", "the URL has the port %s, which there is not", u.Port())
	case u.Fragment != "":
		return bad("", "the URL must not have a fragment")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := r.check(a, u.Scheme == "http"); err != nil {
			return bad("", "%s", err)
		}
	}
	return nil
}

func validPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

const (
	dialTime  = 10 * time.Second
	replyTime = 20 * time.Second // of a whole request
	idleTime  = 30 * time.Second
)

// client makes requests that reach what they may and follow no redirect.
func (r *Reach) client(perHost int) *http.Client {
	transport := func(plain bool) *http.Transport {
		return &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				dialer := net.Dialer{Timeout: dialTime, Resolver: r.Resolver, Control: func(_, address string, _ syscall.RawConn) error {
					to, err := netip.ParseAddrPort(address)
					if err != nil {
						return fmt.Errorf("the address %s cannot be judged: %w", address, err)
					}
					return r.check(to.Addr(), plain)
				}}
				return dialer.DialContext(ctx, network, address)
			},
			TLSClientConfig:        &tls.Config{RootCAs: r.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    dialTime,
			ResponseHeaderTimeout:  replyTime,
			MaxResponseHeaderBytes: 32 << 10,
			MaxIdleConns:           100,
			MaxIdleConnsPerHost:    perHost,
			MaxConnsPerHost:        4 * perHost,
			IdleConnTimeout:        idleTime,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
		}
	}
	return &http.Client{
		Transport:     schemes{"https": transport(false), "http": transport(true)},
		Timeout:       replyTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// schemes has a way to go for each scheme.
type schemes map[string]*http.Transport

// RoundTrip goes the way of the scheme.
func (s schemes) RoundTrip(r *http.Request) (*http.Response, error) {
	t, ok := s[r.URL.Scheme]
	if !ok {
		return nil, errors.New("the scheme must be https")
	}
	return t.RoundTrip(r)
}

// CloseIdleConnections closes those of all ways.
func (s schemes) CloseIdleConnections() {
	for _, t := range s {
		t.CloseIdleConnections()
	}
}
