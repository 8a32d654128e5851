package main

import (
	"github.com/provost-scim/provost/openapi"
)

// oidcCommand is `provost directory oidc`.
type oidcCommand struct {
	Add    oidcAdd    `cmd:"" help:"Let tokens of an OpenID Connect issuer speak for a directory."`
	List   oidcList   `cmd:"" help:"List the bindings of a directory." example:"list entra"`
	Remove oidcRemove `cmd:"" help:"Remove a binding; tokens that fitted it are refused." example:"remove entra 01a205b2-e199-73fc-971e-d9327b92b0c7"`
}

type oidcAdd struct {
	directoryOne
	Issuer   string `required:"" placeholder:"URL" help:"The issuer, letter by letter as its tokens name it in iss."`
	Audience string `required:"" placeholder:"TEXT" help:"The audience: one of aud."`
	Subject  string `placeholder:"TEXT" help:"The subject: sub. One of --subject and --app-id is needed; with both a token must have both."`
	AppID    string `name:"app-id" placeholder:"TEXT" help:"The client: appid, azp or client_id."`
	Label    string `placeholder:"TEXT" default:"oidc" help:"What events call the client."`
}

// Help shows how it is used.
func (*oidcAdd) Help() string {
	return `A client that has no secret then sends a token that it got from the issuer. This binds Microsoft Entra ID, where TENANT is the id of the tenant and APP that of the application which provisions (docs/entra.md says how to find it).

Example:

    provost directory oidc add entra --issuer https://sts.windows.net/TENANT/ \
        --audience 8adf8e6e-67b2-4cf2-a259-e3dc5476c621 --app-id APP`
}

// Run makes the binding.
func (c *oidcAdd) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	if c.Subject == "" && c.AppID == "" {
		return misused("an issuer gives tokens with this audience to others too", "one of --subject and --app-id is needed")
	}
	b, err := answer((*openapi.CreateOIDCBindingResponse).GetJSON201)(api.CreateOIDCBindingWithResponse(s.ctx, c.Name, nil, openapi.OIDCBindingInput{
		Name: &c.Label, Issuer: c.Issuer, Audience: c.Audience, Subject: none(c.Subject), AppID: none(c.AppID),
	}))
	if err != nil {
		return err
	}
	return record(s, &c.remote, b, b.ID, func() [][2]string {
		return [][2]string{
			{"name", b.Name}, {"id", b.ID}, {"issuer", b.Issuer}, {"audience", b.Audience},
			{"subject", orAny(b.Subject)}, {"app id", orAny(b.AppID)},
		}
	})
}

func orAny(text string) string {
	if text == "" {
		return "any"
	}
	return text
}

type oidcList struct{ directoryOne }

// Run lists the bindings.
func (c *oidcList) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	return list(s, &c.remote, []column[openapi.OIDCBinding]{
		{title: "NAME", value: func(b *openapi.OIDCBinding) string { return b.Name }, shrink: true},
		{title: "ISSUER", value: func(b *openapi.OIDCBinding) string { return b.Issuer }, shrink: true},
		{title: "AUDIENCE", value: func(b *openapi.OIDCBinding) string { return b.Audience }, shrink: true},
		{title: "SUBJECT", value: func(b *openapi.OIDCBinding) string { return orAny(b.Subject) }, shrink: true},
		{title: "APP ID", value: func(b *openapi.OIDCBinding) string { return orAny(b.AppID) }, shrink: true},
		{title: "LAST USED", value: func(b *openapi.OIDCBinding) string { return when(b.LastUsedAt) }},
		{title: "ID", value: func(b *openapi.OIDCBinding) string { return b.ID }},
	}, func(b *openapi.OIDCBinding) string { return b.ID }, func(each func(*openapi.OIDCBinding) error) error {
		return pages(0, func(cursor *string, size int) ([]openapi.OIDCBinding, string, error) {
			page, err := answer((*openapi.ListOIDCBindingsResponse).GetJSON200)(api.ListOIDCBindingsWithResponse(s.ctx, c.Name, &openapi.ListOIDCBindingsParams{Cursor: cursor, Limit: &size}))
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextCursor, nil
		}, each)
	})
}

type oidcRemove struct {
	directoryOne
	confirmFlag
	ID string `arg:"" name:"id" help:"The id of the binding."`
}

// Run removes the binding.
func (c *oidcRemove) Run(s *session) error {
	if sure, err := c.sure(s, "refuse the tokens that fit binding %s of directory %s", c.ID, c.Name); err != nil || !sure {
		return err
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	if err := done(api.DeleteOIDCBindingWithResponse(s.ctx, c.Name, c.ID, nil)); err != nil {
		return err
	}
	said(s, &c.remote, "binding %s of directory %s is removed", c.ID, c.Name)
	return nil
}
