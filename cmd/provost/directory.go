package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/provost-scim/provost/openapi"
)

// directoryCommand is `provost directory`.
type directoryCommand struct {
	List     directoryList     `cmd:"" help:"List the directories." example:"list"`
	Show     directoryShow     `cmd:"" help:"Show a directory with its settings and counts." example:"show corp"`
	Create   directoryCreate   `cmd:"" help:"Create a directory. Nothing is synchronized yet."`
	Set      directorySet      `cmd:"" help:"Change the settings of a directory; what is not given stays."`
	Scope    directoryScope    `cmd:"" help:"List what imports have put in the scope of a directory, or take it out again."`
	Handover directoryHandover `cmd:"" help:"Let one directory take over the users and groups of another."`
	Delete   directoryDelete   `cmd:"" help:"Delete a directory and revoke its tokens."`
	OIDC     oidcCommand       `cmd:"" name:"oidc" help:"Bindings: which tokens of OpenID Connect issuers speak for a directory."`
}

type directoryList struct{ remote }

// Run lists the directories.
func (c *directoryList) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	return list(s, &c.remote, []column[openapi.Directory]{
		{title: "NAME", value: func(d *openapi.Directory) string { return d.Name }, shrink: true},
		{title: "KIND", value: func(d *openapi.Directory) string { return string(d.Kind) }},
		{title: "DOMAINS", value: func(d *openapi.Directory) string { return string(value(d.Settings.DomainPolicy)) }},
		{title: "SCHEDULE", value: scheduleOf, shrink: true},
		{title: "SYNCED", value: func(d *openapi.Directory) string { return when(d.SyncedAt) }},
		{title: "ID", value: func(d *openapi.Directory) string { return d.ID }},
	}, func(d *openapi.Directory) string { return d.ID }, func(each func(*openapi.Directory) error) error {
		return pages(0, func(cursor *string, size int) ([]openapi.Directory, string, error) {
			page, err := answer((*openapi.ListDirectoriesResponse).GetJSON200)(api.ListDirectoriesWithResponse(s.ctx, &openapi.ListDirectoriesParams{Cursor: cursor, Limit: &size}))
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextCursor, nil
		}, each)
	})
}

// directoryOne is the argument of the commands about one directory.
type directoryOne struct {
	remote
	Name string `arg:"" help:"The name of the directory."`
}

type directoryShow struct{ directoryOne }

// Run shows the directory.
func (c *directoryShow) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	d, err := answer((*openapi.GetDirectoryResponse).GetJSON200)(api.GetDirectoryWithResponse(s.ctx, c.Name, nil))
	if err != nil {
		return err
	}
	also, err := scopeEntries(s, api, d)
	if err != nil {
		return err
	}
	return showDirectory(s, &c.remote, d, also...)
}

type directoryCreate struct {
	directoryOne
	Kind string `required:"" enum:"scim,ldap" help:"How its users come: scim (it pushes to us) or ldap (we poll it)."`
	directoryFlags
}

// Help shows how it is used.
func (*directoryCreate) Help() string {
	return `Examples:

    provost directory create entra --kind scim

    provost directory create corp --kind ldap --preset openldap \
        --url ldaps://ldap1.example.com --url ldaps://ldap2.example.com \
        --base-dn dc=example,dc=com --bind-dn cn=provost,dc=example,dc=com \
        --bind-password-file password.txt --schedule daily=02:30,zone=Europe/Zurich`
}

// Run creates the directory.
func (c *directoryCreate) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	settings, password, err := c.settings(s)
	if err != nil {
		return err
	}
	if c.Kind == "ldap" && len(c.URL) == 0 {
		return misused("such as --url ldaps://ldap.example.com", "a directory of kind ldap needs --url")
	}
	d, err := answer((*openapi.CreateDirectoryResponse).GetJSON201)(api.CreateDirectoryWithResponse(s.ctx, nil, openapi.DirectoryInput{
		Name: c.Name, Kind: openapi.DirectoryKind(c.Kind), Settings: settings, BindPassword: password,
	}))
	if err != nil {
		return err
	}
	if err := showDirectory(s, &c.remote, d); err != nil {
		return err
	}
	if d.Kind == openapi.DirectoryKindScim {
		said(s, &c.remote, "next: provost token create --directory %s", d.Name)
	} else {
		said(s, &c.remote, "next: provost sync plan %s", d.Name)
	}
	return nil
}

type directorySet struct {
	directoryOne
	NewName string `placeholder:"NAME" help:"Rename the directory."`
	directoryFlags
}

// Help shows how it is used.
func (*directorySet) Help() string {
	return `A run that is going finishes with the settings it began with.

Examples:

    provost directory set entra --rate-limit 50/100
    provost directory set corp --schedule interval=30m
    provost directory set corp --scope-group Staff --scope-group Contractors
    provost directory set corp --scope all`
}

// Run changes the directory.
func (c *directorySet) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	settings, password, err := c.settings(s)
	if err != nil {
		return err
	}
	if settings == nil && password == nil && c.NewName == "" {
		return misused("run `provost directory set --help`", "nothing to change was given")
	}
	d, err := answer((*openapi.UpdateDirectoryResponse).GetJSON200)(api.UpdateDirectoryWithResponse(s.ctx, c.Name, nil, openapi.DirectoryPatch{
		Name: none(c.NewName), Settings: settings, BindPassword: password,
	}))
	if err != nil {
		return err
	}
	return showDirectory(s, &c.remote, d)
}

type directoryDelete struct {
	directoryOne
	confirmFlag
	Users string `required:"" enum:"keep,delete" help:"What becomes of its users and groups: keep makes them internal, delete deletes them."`
}

// Help shows how it is used.
func (*directoryDelete) Help() string {
	return "Its runs and tokens go with it.\n\nExample:\n\n    provost directory delete corp --users keep"
}

// Run deletes the directory.
func (c *directoryDelete) Run(s *session) error {
	what := "delete the directory " + c.Name + ", and make its users and groups internal"
	if c.Users == "delete" {
		what = "delete the directory " + c.Name + " with its users and groups"
	}
	if sure, err := c.sure(s, "%s", what); err != nil || !sure {
		return err
	}
	api, err := c.apiWithin(deleteTimeout)
	if err != nil {
		return err
	}
	err = done(api.DeleteDirectoryWithResponse(s.ctx, c.Name, &openapi.DeleteDirectoryParams{Users: openapi.DeleteDirectoryParamsUsers(c.Users)}))
	if err != nil {
		return err
	}
	said(s, &c.remote, "directory %s is deleted", c.Name)
	return nil
}

func showDirectory(s *session, r *remote, d *openapi.Directory, more ...[2]string) error {
	warn(s, d.Warnings)
	return record(s, r, d, d.ID, func() [][2]string {
		pairs := [][2]string{
			{"name", d.Name},
			{"kind", string(d.Kind)},
			{"id", d.ID},
			{"domain policy", string(value(d.Settings.DomainPolicy))},
			{"domains", texts(d.Settings.Domains)},
			{"on match", string(value(d.Settings.OnMatch))},
			{"enable new users", yesNo(value(d.Settings.EnableNewUsers))},
			{"default roles", texts(d.Settings.DefaultRoles)},
			{"unassign licences", yesNo(value(d.Settings.UnassignLicences))},
			{"email new users", yesNo(value(d.Settings.EmailNewUsers))},
		}
		if l := d.Settings.Ldap; l != nil {
			pairs = append(pairs, ldapDetails(d, l)...)
		} else {
			pairs = append(pairs, [2]string{"rate limit", rateLimitOf(d.Settings.RateLimit)})
		}
		pairs = append(pairs, more...)
		if n := d.Counts; n != nil {
			pairs = append(pairs,
				[2]string{"users", fmt.Sprintf("%d, %d of them active", n.Users, n.ActiveUsers)},
				[2]string{"groups", strconv.Itoa(n.Groups)})
		}
		for _, h := range value(d.Handovers) {
			pairs = append(pairs, [2]string{"handover", fmt.Sprintf("from %s to %s since %s: %s and %s have moved",
				h.From, h.To, at(h.StartedAt), many(h.UsersMoved, "user"), many(h.GroupsMoved, "group"))})
		}
		return append(pairs, [2]string{"synced", when(d.SyncedAt)}, [2]string{"created", at(d.CreatedAt)})
	})
}

func ldapDetails(d *openapi.Directory, l *openapi.LDAPSettings) [][2]string {
	scope := texts(l.ScopeGroups)
	if scope == "" {
		scope = "all"
	}
	security := "TLS"
	switch {
	case value(l.StartTLS):
		security = "StartTLS"
	case value(l.AllowPlaintext):
		security = "plain text is allowed"
	}
	pairs := [][2]string{
		{"servers", texts(l.URLs)},
		{"security", security},
		{"preset", string(value(l.Preset))},
		{"base DNs", strings.Join(value(l.BaseDNS), " | ")},
		{"bind DN", value(l.BindDN)},
		{"bind password", map[bool]string{true: "stored", false: "none"}[d.HasSecret]},
		{"user filter", value(l.UserFilter)},
		{"group filter", value(l.GroupFilter)},
		{"scope", scope},
		{"schedule", scheduleOf(d)},
		{"next run", nextRun(d)},
		{"incremental", incrementalOf(l)},
		{"replicate state", yesNo(value(d.Settings.ReplicateState))},
	}
	return append(pairs, guardPairs(d.Settings.Guard)...)
}

// incrementalOf says when only what has changed is read.
func incrementalOf(l *openapi.LDAPSettings) string {
	if !value(l.Incremental) {
		return "no"
	}
	return fmt.Sprintf("where the server can tell what has changed, and everything every %d hours", value(l.FullEveryHours))
}

// value is what p points to, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func texts(list *[]string) string { return strings.Join(value(list), ", ") }

// nextRun is when the schedule starts the next run, or why it starts none.
func nextRun(d *openapi.Directory) string {
	if d.NextRunAt == nil && d.SyncedAt == nil && scheduleOf(d) != "off" {
		return "none: a schedule begins with the first run that a person starts"
	}
	return when(d.NextRunAt)
}
