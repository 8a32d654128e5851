package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/provost-scim/provost/openapi"
)

// directoryFlags are the settings of a directory, the same for create and set. A
// flag that is not given keeps the present value, or the default of a new
// directory.
type directoryFlags struct {
	DomainPolicy     string   `placeholder:"POLICY" group:"rules" help:"Whose users are let in: of all verified domains (verified, the default), of those that --domain names (selected), or all (off)."`
	Domain           []string `placeholder:"NAME" group:"rules" help:"A verified domain, for the domain policy selected."`
	OnMatch          string   `placeholder:"WHAT" group:"rules" help:"What becomes of a stated user that equals an internal one: duplicate (the default) or claim."`
	ExternalUserType []string `placeholder:"TYPE" group:"rules" help:"A userType whose users are external and so exempt from the domain policy; by default Guest and External."`
	EnableNewUsers   *bool    `negatable:"" group:"rules" help:"Whether new users are enabled; yes by default."`
	DefaultRole      []string `sep:"none" placeholder:"NAME" group:"rules" help:"A role that new users get; may be given several times. An empty one alone means none."`
	UnassignLicences *bool    `negatable:"" group:"rules" help:"Whether users that become inactive or are deleted lose their licences; no by default."`
	EmailNewUsers    *bool    `negatable:"" group:"rules" help:"Whether a new user that is active is sent a welcome mail; no by default."`
	ReplicateState   *bool    `negatable:"" group:"rules" help:"Whether what is gone or disabled in LDAP becomes so here; yes by default."`
	Guard            []string `sep:"none" placeholder:"CLASS=COUNT/PERCENT%" group:"rules" help:"A run that takes more than so many AND more than such a part of a class away is held: users-deactivated, users-deleted, groups-deleted, members-removed (of one group), or all. By default all=20/10%."`
	RateLimit        string   `placeholder:"N[/BURST]" group:"rules" help:"How many SCIM requests a second its clients may send, and how many at once after a pause; each replica counts its own. 0, the default, is no limit."`

	URL              []string          `name:"url" variable:"DIRECTORY_URL" sep:"none" placeholder:"URL" group:"ldap" help:"An LDAP server, ldaps://HOST:PORT or ldap://HOST:PORT; several are tried in order."`
	Preset           string            `placeholder:"NAME" group:"ldap" help:"What kind of server it is: openldap or active_directory."`
	BaseDN           []string          `name:"base-dn" sep:"none" placeholder:"DN" group:"ldap" help:"Where to search; several are searched one after the other."`
	BindDN           string            `name:"bind-dn" placeholder:"DN" group:"ldap" help:"Who to bind as."`
	BindPasswordFile string            `placeholder:"FILE" group:"ldap" help:"The file with the bind password; - reads it from the standard input."`
	CAFile           string            `name:"ca-file" placeholder:"FILE" group:"ldap" help:"Certificates in PEM to trust instead of the system's."`
	StartTLS         *bool             `name:"start-tls" negatable:"" group:"ldap" help:"Turn an ldap:// connection into TLS before the bind."`
	AllowPlaintext   *bool             `negatable:"" group:"ldap" help:"Allow ldap:// without StartTLS: everyone on the way can read the password."`
	Scope            string            `placeholder:"all" group:"ldap" help:"Pull everything (all, the default); for groups use --scope-group."`
	ScopeGroup       []string          `sep:"none" placeholder:"NAME" group:"ldap" help:"Pull only this group, its users, and the groups nested in it."`
	Schedule         string            `placeholder:"WHEN" group:"ldap" help:"off, interval=4h (the default), or daily=02:30[,every=2][,zone=Europe/Zurich]."`
	Incremental      *bool             `negatable:"" group:"ldap" help:"Whether to read only what has changed since the last run, where the server can tell; yes by default."`
	FullEvery        time.Duration     `placeholder:"SPAN" group:"ldap" help:"How long incremental runs may follow each other before everything is read; by default 24h."`
	UserFilter       string            `placeholder:"FILTER" group:"ldap" help:"Which entries are users, instead of the preset's filter."`
	GroupFilter      string            `placeholder:"FILTER" group:"ldap" help:"Which entries are groups, instead of the preset's filter."`
	Attribute        map[string]string `placeholder:"SCIM=LDAP" group:"ldap" help:"Read a SCIM attribute from this LDAP attribute instead of the preset's."`
	PageSize         *int              `placeholder:"N" group:"ldap" help:"Entries in one page of a search; by default 1000."`
	Timeout          time.Duration     `placeholder:"SPAN" group:"ldap" help:"How long one request to the server may take; by default 60s."`
}

// settings makes the document that the flags describe, nil if none was given, and
// reads the bind password, nil if no file was named.
func (f *directoryFlags) settings(s *session) (*openapi.DirectorySettings, *string, error) {
	var d openapi.DirectorySettings
	given := false
	if f.DomainPolicy != "" {
		if err := oneOf("--domain-policy", f.DomainPolicy, "verified", "selected", "off"); err != nil {
			return nil, nil, err
		}
		d.DomainPolicy, given = chosen(openapi.DirectorySettingsDomainPolicy(f.DomainPolicy))
	}
	if f.Domain != nil {
		d.Domains, given = chosen(f.Domain)
	}
	if f.OnMatch != "" {
		if err := oneOf("--on-match", f.OnMatch, "duplicate", "claim"); err != nil {
			return nil, nil, err
		}
		d.OnMatch, given = chosen(openapi.DirectorySettingsOnMatch(f.OnMatch))
	}
	if f.ExternalUserType != nil {
		d.External, given = chosen(openapi.External{UserTypes: &f.ExternalUserType})
	}
	if f.Guard != nil {
		guard, err := parseGuard(f.Guard)
		if err != nil {
			return nil, nil, err
		}
		d.Guard, given = guard, true
	}
	if f.RateLimit != "" {
		limit, err := parseRateLimit(f.RateLimit)
		if err != nil {
			return nil, nil, err
		}
		d.RateLimit, given = limit, true
	}
	if f.DefaultRole != nil {
		roles := f.DefaultRole
		if len(roles) == 1 && roles[0] == "" {
			roles = []string{}
		}
		d.DefaultRoles, given = chosen(roles)
	}
	d.EnableNewUsers, d.EmailNewUsers, d.ReplicateState, d.UnassignLicences = f.EnableNewUsers, f.EmailNewUsers, f.ReplicateState, f.UnassignLicences
	given = given || f.EnableNewUsers != nil || f.EmailNewUsers != nil || f.ReplicateState != nil || f.UnassignLicences != nil

	ldap, err := f.ldap()
	if err != nil {
		return nil, nil, err
	}
	if ldap != nil {
		d.Ldap, given = ldap, true
	}
	password, err := f.password(s)
	if err != nil {
		return nil, nil, err
	}
	if !given {
		return nil, password, nil
	}
	return &d, password, nil
}

// chosen points to a setting that was given.
func chosen[T any](v T) (*T, bool) { return &v, true }

// ldap makes the part that only a directory of kind ldap has; nil if none of it
// was given.
func (f *directoryFlags) ldap() (*openapi.LDAPSettings, error) {
	var l openapi.LDAPSettings
	given := false
	if f.URL != nil {
		l.URLs, given = chosen(f.URL)
	}
	if f.Preset != "" {
		if err := oneOf("--preset", f.Preset, "openldap", "active_directory"); err != nil {
			return nil, err
		}
		l.Preset, given = chosen(openapi.LDAPSettingsPreset(f.Preset))
	}
	if f.BaseDN != nil {
		l.BaseDNS, given = chosen(f.BaseDN)
	}
	if f.CAFile != "" {
		pem, err := readBounded(f.CAFile, 256<<10)
		if err != nil {
			return nil, fmt.Errorf("read --ca-file: %w", err)
		}
		l.CA, given = chosen(string(pem))
	}
	switch {
	case f.Scope != "" && f.Scope != "all":
		return nil, misused("choose groups with --scope-group NAME", "--scope %q is not all", f.Scope)
	case f.Scope == "all" && f.ScopeGroup != nil:
		return nil, misused("give one of the two", "--scope all and --scope-group contradict each other")
	case f.Scope == "all":
		l.ScopeGroups, given = chosen([]string{})
	case f.ScopeGroup != nil:
		l.ScopeGroups, given = chosen(f.ScopeGroup)
	}
	if f.Schedule != "" {
		schedule, err := parseSchedule(f.Schedule)
		if err != nil {
			return nil, err
		}
		l.Schedule, given = schedule, true
	}
	if f.Attribute != nil {
		l.Attributes, given = chosen(f.Attribute)
	}
	if f.Timeout != 0 {
		if f.Timeout < time.Second {
			return nil, misused("such as --timeout 60s", "--timeout %s is less than a second", f.Timeout)
		}
		l.TimeoutSeconds, given = chosen(int(f.Timeout / time.Second))
	}
	if f.FullEvery != 0 {
		if f.FullEvery < time.Hour || f.FullEvery%time.Hour != 0 {
			return nil, misused("such as --full-every 24h", "--full-every %s is not a number of hours", f.FullEvery)
		}
		l.FullEveryHours, given = chosen(int(f.FullEvery / time.Hour))
	}
	for _, text := range []struct {
		to    **string
		value string
	}{{&l.BindDN, f.BindDN}, {&l.UserFilter, f.UserFilter}, {&l.GroupFilter, f.GroupFilter}} {
		if text.value != "" {
			*text.to, given = chosen(text.value)
		}
	}
	l.StartTLS, l.AllowPlaintext, l.PageSize, l.Incremental = f.StartTLS, f.AllowPlaintext, f.PageSize, f.Incremental
	if !given && f.StartTLS == nil && f.AllowPlaintext == nil && f.PageSize == nil && f.Incremental == nil {
		return nil, nil
	}
	return &l, nil
}

// password reads the bind password, without the line break that editors add.
func (f *directoryFlags) password(s *session) (*string, error) {
	if f.BindPasswordFile == "" {
		return nil, nil
	}
	const most = 4096
	var b []byte
	var err error
	if f.BindPasswordFile == "-" {
		b, err = io.ReadAll(io.LimitReader(s.stdin, most+2))
	} else {
		b, err = readBounded(f.BindPasswordFile, most+2)
	}
	if err != nil {
		return nil, fmt.Errorf("read --bind-password-file: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if password == "" || len(password) > most {
		return nil, failed(fmt.Sprintf("write a password of 1 to %d bytes into it", most), "--bind-password-file %s holds no usable password", f.BindPasswordFile)
	}
	return &password, nil
}

// readBounded reads a file of at most so many bytes.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return b, nil
}

// oneOf refuses a flag's value that is none of those allowed.
func oneOf(flag, got string, allowed ...string) error {
	if slices.Contains(allowed, got) {
		return nil
	}
	return misused("give one of "+strings.Join(allowed, ", "), "%s %q is unknown", flag, got)
}
