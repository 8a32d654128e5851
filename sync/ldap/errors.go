package ldap

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

// serverError tells a result other than success of what was being done.
func serverError(doing string, r result) *store.Error {
	e := &store.Error{Code: store.CodeBusy, Message: fmt.Sprintf("the LDAP server refused to %s: %s", doing, resultText(r))}
	switch r.code {
	case ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultAdminLimitExceeded:
		e.Hint = "lift the server's limits for the bind DN, those of paged searches too (OpenLDAP: limits size.prtotal=unlimited)"
	case ldap.LDAPResultTimeLimitExceeded:
		e.Hint = "lower page_size, raise timeout_seconds, or lift the server's time limit for the bind DN"
	case ldap.LDAPResultReferral:
		e.Hint = "referrals are not followed: give the URL of the server that holds the entries (" + clip(r.referral) + ")"
	case ldap.LDAPResultNoSuchObject:
		e.Code, e.Field = store.CodeInvalid, "base_dns"
		e.Hint = "check the base DN, and that the bind DN may read it"
	case ldap.LDAPResultInsufficientAccessRights:
		e.Code, e.Field = store.CodeInvalid, "bind_dn"
		e.Hint = "give the bind DN the right to read there"
	case ldap.LDAPResultUnavailableCriticalExtension:
		e.Code = store.CodeInvalid
		e.Hint = "the server must support paged results (RFC 2696)"
	case ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultStrongAuthRequired:
		e.Code, e.Field = store.CodeInvalid, "urls"
		e.Hint = "the server wants encryption: use ldaps://, or ldap:// with start_tls"
	}
	return e
}

func resultText(r result) string {
	name := ldap.LDAPResultCodeMap[uint16(r.code)]
	if name == "" {
		name = "unknown result"
	}
	text := fmt.Sprintf("%s (%d)", name, r.code)
	if r.diagnostic != "" {
		text += ", " + clip(r.diagnostic)
	}
	return text
}

// clip makes a server's own words fit for a message.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
	if runes := []rune(s); len(runes) > 300 {
		return string(runes[:300]) + "…"
	}
	return s
}

func quoteDN(name string) string {
	if name == "" {
		return "the root"
	}
	return `"` + clip(name) + `"`
}

// adReasons are the sub-codes of result 49 that Active Directory puts into its
// diagnostic message as "data 52e" (they are Windows system error codes).
var adReasons = map[string]string{
	"525": "there is no such user",
	"52e": "the password is wrong, or there is no such user",
	"530": "the account may not sign in at this time",
	"531": "the account may not sign in from this machine",
	"532": "the password has expired",
	"533": "the account is disabled",
	"568": "the account is in too many groups",
	"701": "the account has expired",
	"773": "the password must be changed before it can be used",
	"775": "the account is locked out",
}

// bindError explains why a bind was refused.
func bindError(bindDN string, r result) *store.Error {
	if r.code != ldap.LDAPResultInvalidCredentials {
		e := serverError("bind as "+quoteDN(bindDN), r)
		switch r.code {
		case ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultStrongAuthRequired:
		case ldap.LDAPResultBusy, ldap.LDAPResultUnavailable:
			e.Hint = "try again later"
		default:
			e.Code, e.Field = store.CodeInvalid, "bind_dn"
			e.Hint = "check the bind DN; Active Directory also takes user@domain"
		}
		return e
	}
	e := &store.Error{Code: store.CodeInvalid, Field: "bind_password",
		Message: fmt.Sprintf("the LDAP server refused the credentials of %s", quoteDN(bindDN)),
		Hint:    "check the bind DN and the bind password"}
	if _, after, ok := strings.Cut(r.diagnostic, "data "); ok {
		code, _, _ := strings.Cut(after, ",")
		code = strings.ToLower(strings.TrimSpace(code))
		if reason, ok := adReasons[code]; ok {
			e.Message += fmt.Sprintf(": %s (Active Directory code %s)", reason, code)
			switch code {
			case "533", "701", "775":
				e.Hint = "enable or unlock the service account in Active Directory"
			case "532", "773":
				e.Hint = "set a new password for the service account, and let it never expire"
			}
		}
	}
	return e
}

// tlsError explains why no encrypted connection came about.
func tlsError(address string, err error) error {
	e := &store.Error{Code: store.CodeInvalid, Field: "ca", Err: err}
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &authority):
		e.Message = fmt.Sprintf("the certificate of %s is not signed by a trusted authority", address)
		e.Hint = "give the PEM certificate of the authority that signed it with the CA option (ca, --ca-file)"
	case errors.As(err, &host):
		e.Field = "urls"
		e.Message = fmt.Sprintf("the certificate of %s is for another name", address)
		e.Hint = "use a name that the certificate has in the URL"
	case errors.As(err, &invalid):
		e.Message = fmt.Sprintf("the certificate of %s is not valid", address)
		e.Hint = "renew the server's certificate, and check the clocks"
	case errors.As(err, &record), errors.Is(err, io.EOF):
		e.Field = "urls"
		e.Message = fmt.Sprintf("%s does not speak TLS at this port", address)
		e.Hint = "use the port of ldaps (636 as a rule), or ldap:// with start_tls"
	default:
		return unreachable(address, err)
	}
	return e
}

// unreachable tells that there was no connection to talk over.
func unreachable(address string, err error) error {
	var e *store.Error
	if errors.As(err, &e) {
		return err
	}
	e = &store.Error{Code: store.CodeBusy, Field: "urls", Err: err,
		Message: fmt.Sprintf("the LDAP server %s cannot be reached", address),
		Hint:    "check the URL, the firewall, and that the server runs"}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		e.Message = fmt.Sprintf("the name of the LDAP server %s is not known", address)
		e.Hint = "check the host name in the URL, and the resolver"
	}
	return e
}
