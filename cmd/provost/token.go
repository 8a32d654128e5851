package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/provost-scim/provost/openapi"
)

// tokenCommand is `provost token`.
type tokenCommand struct {
	Create tokenCreate `cmd:"" help:"Create a token and print only it."`
	List   tokenList   `cmd:"" help:"List tokens; their secrets are never shown again." example:"list --directory entra"`
	Revoke tokenRevoke `cmd:"" help:"Revoke a token." example:"revoke 01a205b2-e199-73fc-971e-d9327b92b0c7"`
}

type tokenCreate struct {
	remote
	Directory string `placeholder:"NAME" help:"The directory for which a SCIM client will speak; without it the token is an administrator's."`
	Role      string `enum:"owner,admin,auditor" default:"admin" help:"What an administrator with the token may do: owner, admin or auditor."`
	Instance  bool   `help:"Make an administrator's token good for every organization."`
	Name      string `default:"token" help:"What to recognise the token by."`
	Expires   string `aliases:"expires-in" placeholder:"WHEN" help:"When it ends: a span such as 90d or 12h, or a date such as 2030-01-31; never, if not given."`
}

// Help shows how it is used.
func (*tokenCreate) Help() string {
	return "The token is shown this once and stored only as a hash.\n\nExamples:\n\n" +
		"    provost token create --directory entra --expires-in 365d\n" +
		"    provost token create --role auditor --name reports --expires 90d"
}

// Run creates the token and prints its secret.
func (c *tokenCreate) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	expires, err := expiry(c.Expires, time.Now())
	if err != nil {
		return err
	}
	var made *openapi.NewToken
	if c.Directory != "" {
		made, err = answer((*openapi.CreateDirectoryTokenResponse).GetJSON201)(api.CreateDirectoryTokenWithResponse(s.ctx, c.Directory, nil,
			openapi.DirectoryTokenInput{Name: &c.Name, ExpiresAt: expires}))
	} else {
		made, err = answer((*openapi.CreateTokenResponse).GetJSON201)(api.CreateTokenWithResponse(s.ctx, nil,
			openapi.TokenInput{Name: c.Name, Role: openapi.AdminRole(c.Role), Instance: c.Instance, ExpiresAt: expires}))
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.stdout, made)
	}
	_, err = fmt.Fprintln(s.stdout, made.Secret)
	return err
}

// expiry reads the end of a token: a span from now in days or as Go writes it, a
// date, or a time of RFC 3339. Nothing given is nil: never.
func expiry(text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	end := time.Time{}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 36500 {
			end = now.AddDate(0, 0, n)
		}
	} else if span, err := time.ParseDuration(text); err == nil {
		end = now.Add(span)
	} else if day, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		end = day
	} else if moment, err := time.Parse(time.RFC3339, text); err == nil {
		end = moment
	}
	if end.IsZero() {
		return nil, misused("give a span such as 90d or 12h, or a date such as 2030-01-31", "expires %q is neither a span nor a date", text)
	}
	if !end.After(now) {
		return nil, misused("give a time to come", "expires %q is past", text)
	}
	return &end, nil
}

type tokenList struct {
	remote
	Directory string `placeholder:"NAME" help:"The tokens of this directory; without it those of administrators."`
	Instance  bool   `help:"The administrators' tokens that are good for every organization."`
}

// Run lists tokens.
func (c *tokenList) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	read := func(cursor *string, size int) (*openapi.TokenList, error) {
		if c.Directory != "" {
			return answer((*openapi.ListDirectoryTokensResponse).GetJSON200)(
				api.ListDirectoryTokensWithResponse(s.ctx, c.Directory, &openapi.ListDirectoryTokensParams{Cursor: cursor, Limit: &size}))
		}
		return answer((*openapi.ListTokensResponse).GetJSON200)(
			api.ListTokensWithResponse(s.ctx, &openapi.ListTokensParams{Instance: &c.Instance, Cursor: cursor, Limit: &size}))
	}
	return list(s, &c.remote, []column[openapi.Token]{
		{title: "NAME", value: func(t *openapi.Token) string { return t.Name }, shrink: true},
		{title: "ROLE", value: func(t *openapi.Token) string { return string(t.Role) }},
		{title: "BEGINS", value: func(t *openapi.Token) string { return t.Prefix }},
		{title: "STATE", value: tokenState},
		{title: "LAST USED", value: func(t *openapi.Token) string { return when(t.LastUsedAt) }},
		{title: "EXPIRES", value: func(t *openapi.Token) string { return when(t.ExpiresAt) }},
		{title: "ID", value: func(t *openapi.Token) string { return t.ID }},
	}, func(t *openapi.Token) string { return t.ID }, func(each func(*openapi.Token) error) error {
		return pages(0, func(cursor *string, size int) ([]openapi.Token, string, error) {
			page, err := read(cursor, size)
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextCursor, nil
		}, each)
	})
}

func tokenState(t *openapi.Token) string {
	switch {
	case t.RevokedAt != nil:
		return "revoked"
	case t.ExpiresAt != nil && !t.ExpiresAt.After(time.Now()):
		return "expired"
	default:
		return "good"
	}
}

type tokenRevoke struct {
	remote
	confirmFlag
	ID        string `arg:"" name:"id" help:"The id of the token."`
	Directory string `placeholder:"NAME" help:"The directory whose token it is; looked for, if not given."`
	Instance  bool   `help:"It is good for every organization."`
}

// Run revokes the token.
func (c *tokenRevoke) Run(s *session) error {
	if sure, err := c.sure(s, "revoke the token %s for ever; whoever uses it is refused", c.ID); err != nil || !sure {
		return err
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	if c.Directory != "" {
		err = done(api.RevokeDirectoryTokenWithResponse(s.ctx, c.Directory, c.ID, nil))
	} else {
		err = done(api.RevokeTokenWithResponse(s.ctx, c.ID, &openapi.RevokeTokenParams{Instance: &c.Instance}))
		var r *refusal
		if errors.As(err, &r) && r.kind == "forbidden" && !c.Instance {
			err = c.ofDirectory(s, api, err)
		}
	}
	if err != nil {
		return err
	}
	said(s, &c.remote, "token %s is revoked", c.ID)
	return nil
}

// ofDirectory revokes the token if it is that of a directory, for which one need not
// be an owner; else it returns refused.
func (c *tokenRevoke) ofDirectory(s *session, api *openapi.ClientWithResponses, refused error) error {
	var none *refusal
	revoked := false
	err := pages(0, func(cursor *string, size int) ([]openapi.Directory, string, error) {
		page, err := answer((*openapi.ListDirectoriesResponse).GetJSON200)(api.ListDirectoriesWithResponse(s.ctx, &openapi.ListDirectoriesParams{Cursor: cursor, Limit: &size}))
		if err != nil {
			return nil, "", err
		}
		return page.Items, page.NextCursor, nil
	}, func(d *openapi.Directory) error {
		if revoked {
			return nil
		}
		err := done(api.RevokeDirectoryTokenWithResponse(s.ctx, d.ID, c.ID, nil))
		if errors.As(err, &none) && none.kind == "not_found" {
			return nil
		}
		revoked = err == nil
		return err
	})
	if err == nil && !revoked {
		return refused
	}
	return err
}
