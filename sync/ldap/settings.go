package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	asn1 "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

// Bounds of settings.
const (
	maxURLs     = 16
	maxBaseDNs  = 100
	maxFilter   = 8192 // bytes
	maxPageSize = 10_000
	maxTimeout  = 3600 // seconds
)

// Options are what tests replace.
type Options struct {
	// Dial opens connections; nil is a [net.Dialer]'s DialContext.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolve finds the addresses of a host, which [Source.Check] shows; nil is
	// [net.DefaultResolver]'s LookupHost.
	Resolve func(ctx context.Context, host string) ([]string, error)
}

// Source is one LDAP directory. It keeps no connection between calls and may be
// used by several goroutines.
type Source struct {
	servers     []server
	startTLS    bool
	tls         *tls.Config // without ServerName
	bindDN      string
	secret      string
	bases       []string
	pageSize    int
	timeout     time.Duration
	users       plan
	groups      plan
	idAttribute string
	binaryID    bool
	marks       bool // full reads note a cookie
	dial        func(ctx context.Context, network, address string) (net.Conn, error)
	resolve     func(ctx context.Context, host string) ([]string, error)

	mu   sync.Mutex
	mark mark // of the last full read
}

type server struct {
	host    string // what its certificate must name
	address string // host:port
	tls     bool
}

// New validates the settings of a directory of kind ldap. secret is the bind
// password. A fault is a [store.Error] of [store.CodeInvalid] whose Field is the
// setting's name.
func New(settings store.LDAP, secret string, options Options) (*Source, error) {
	s := &Source{
		startTLS: settings.StartTLS,
		bindDN:   settings.BindDN,
		secret:   secret,
		bases:    settings.BaseDNs,
		pageSize: settings.PageSize,
		timeout:  time.Duration(settings.TimeoutSeconds) * time.Second,
		marks:    settings.Incremental,
		dial:     options.Dial,
		resolve:  options.Resolve,
	}
	if s.dial == nil {
		s.dial = (&net.Dialer{}).DialContext
	}
	if s.resolve == nil {
		s.resolve = net.DefaultResolver.LookupHost
	}
	for _, step := range []func(store.LDAP) error{
		s.setServers, s.setTLS, s.checkBind, s.checkBases, s.checkLimits, s.setPlans,
	} {
		if err := step(settings); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func invalid(field, hint, format string, args ...any) *store.Error {
	e := store.Errorf(store.CodeInvalid, format, args...)
	e.Field, e.Hint = field, hint
	return e
}

func (s *Source) setServers(settings store.LDAP) error {
	if len(settings.URLs) == 0 || len(settings.URLs) > maxURLs {
		return invalid("urls", "", "urls must have 1 to %d entries, such as ldaps://ldap.example.com", maxURLs)
	}
	for _, text := range settings.URLs {
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" {
			return invalid("urls", "write it as ldaps://HOST or ldaps://HOST:PORT", "urls: %q is not the URL of a server", text)
		}
		if u.Scheme != "ldap" && u.Scheme != "ldaps" {
			return invalid("urls", "use ldaps://, or ldap:// with start_tls", "urls: %q has scheme %q", text, u.Scheme)
		}
		if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
			return invalid("urls", "base DNs, filters and credentials have settings of their own", "urls: %q has more than a scheme, a host and a port", text)
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return invalid("urls", "a port is 1 to 65535", "urls: %q has no usable port", text)
		}
		switch {
		case u.Scheme == "ldaps" && settings.StartTLS:
			return invalid("start_tls", "use ldap:// with start_tls, or ldaps:// without", "start_tls cannot be used with %q, which is encrypted from the start", text)
		case u.Scheme == "ldap" && !settings.StartTLS && !settings.AllowPlaintext:
			return invalid("urls", "use ldaps://, or turn on start_tls; allow_plaintext sends the bind password readable to all in between", "urls: %q is not encrypted", text)
		}
		s.servers = append(s.servers, server{u.Hostname(), net.JoinHostPort(u.Hostname(), port), u.Scheme == "ldaps"})
	}
	return nil
}

func (s *Source) setTLS(settings store.LDAP) error {
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if settings.CA == "" {
		return nil
	}
	s.tls.RootCAs = x509.NewCertPool()
	if !s.tls.RootCAs.AppendCertsFromPEM([]byte(settings.CA)) {
		return invalid("ca", "give the PEM certificate of the authority: it begins with -----BEGIN CERTIFICATE-----", "ca holds no usable certificate")
	}
	return nil
}

func (s *Source) checkBind(settings store.LDAP) error {
	switch {
	case settings.BindDN != "" && s.secret == "":
		return invalid("bind_password", "servers take a bind without a password for an anonymous one", "bind_password must not be empty when bind_dn is given")
	case settings.BindDN == "" && s.secret != "":
		return invalid("bind_dn", "leave both empty to read anonymously", "bind_dn must be given with a bind_password")
	}
	return nil // Active Directory also takes user@domain and DOMAIN\user
}

func (s *Source) checkBases(settings store.LDAP) error {
	if len(settings.BaseDNs) == 0 || len(settings.BaseDNs) > maxBaseDNs {
		return invalid("base_dns", "", "base_dns must have 1 to %d entries, such as dc=example,dc=com", maxBaseDNs)
	}
	parsed := make([]*ldap.DN, len(settings.BaseDNs))
	for i, text := range settings.BaseDNs {
		name, err := ldap.ParseDN(text)
		if err != nil || len(name.RDNs) == 0 {
			return invalid("base_dns", "write it as ou=people,dc=example,dc=com", "base_dns: %q is not a distinguished name", text)
		}
		parsed[i] = name
		for j, other := range parsed[:i] {
			if name.EqualFold(other) || name.AncestorOfFold(other) || other.AncestorOfFold(name) {
				return invalid("base_dns", "keep the outer one only", "base_dns: %q and %q overlap", settings.BaseDNs[j], text)
			}
		}
	}
	return nil
}

func (s *Source) checkLimits(settings store.LDAP) error {
	if settings.PageSize < 1 || settings.PageSize > maxPageSize {
		return invalid("page_size", "servers allow 1000 as a rule", "page_size must be 1 to %d, not %d", maxPageSize, settings.PageSize)
	}
	if settings.TimeoutSeconds < 1 || settings.TimeoutSeconds > maxTimeout {
		return invalid("timeout_seconds", "", "timeout_seconds must be 1 to %d, not %d", maxTimeout, settings.TimeoutSeconds)
	}
	return nil
}

func (s *Source) setPlans(settings store.LDAP) error {
	preset, ok := presets[settings.Preset]
	if !ok {
		return invalid("preset", "use openldap or active_directory", "preset %q is not known", settings.Preset)
	}
	mapping, err := preset.with(settings.Attributes)
	if err != nil {
		return err
	}
	s.users, s.groups = userPlan(mapping), groupPlan(mapping)
	s.idAttribute = mapping["externalId"][0].name
	s.binaryID = strings.EqualFold(s.idAttribute, attrObjectGUID)
	if s.users.filter, err = compileFilter("user_filter", settings.UserFilter, preset.userFilter); err != nil {
		return err
	}
	s.groups.filter, err = compileFilter("group_filter", settings.GroupFilter, preset.groupFilter)
	return err
}

// compileFilter compiles a filter of the settings, or the preset's if there is none.
func compileFilter(field, text, preset string) (*asn1.Packet, error) {
	if text == "" {
		text = preset
	}
	if len(text) > maxFilter {
		return nil, invalid(field, "", "%s is longer than %d bytes", field, maxFilter)
	}
	filter, err := ldap.CompileFilter(text)
	if err != nil {
		e := invalid(field, "write it as in RFC 4515, such as (objectClass=inetOrgPerson)", "%s: %q is not an LDAP filter", field, text)
		e.Err = fmt.Errorf("compile: %w", err)
		return nil, e
	}
	return filter, nil
}
