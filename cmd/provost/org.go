package main

import (
	"cmp"
	"fmt"

	"github.com/provost-scim/provost/openapi"
)

// orgCommand is `provost org`.
type orgCommand struct {
	List   orgList   `cmd:"" help:"List the organizations that the token may see." example:"list"`
	Create orgCreate `cmd:"" help:"Create an organization; needs an owner's token of the whole instance."`
	Show   orgShow   `cmd:"" help:"Show an organization with its settings." example:"show default"`
	Set    orgSet    `cmd:"" help:"Change the settings of an organization: its mails."`
}

type orgList struct{ remote }

// Run lists the organizations.
func (c *orgList) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	return list(s, &c.remote, []column[openapi.Organization]{
		{title: "NAME", value: func(o *openapi.Organization) string { return o.Name }, shrink: true},
		{title: "SSO READY", value: func(o *openapi.Organization) string { return yesNo(o.SsoReady) }},
		{title: "CREATED", value: func(o *openapi.Organization) string { return at(o.CreatedAt) }},
		{title: "ID", value: func(o *openapi.Organization) string { return o.ID }},
	}, func(o *openapi.Organization) string { return o.ID }, func(each func(*openapi.Organization) error) error {
		return pages(0, func(cursor *string, size int) ([]openapi.Organization, string, error) {
			page, err := answer((*openapi.ListOrganizationsResponse).GetJSON200)(api.ListOrganizationsWithResponse(s.ctx, &openapi.ListOrganizationsParams{Cursor: cursor, Limit: &size}))
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextCursor, nil
		}, each)
	})
}

type orgCreate struct {
	remote
	Name string `arg:"" help:"The name of the new organization."`
}

// Help shows how it is used.
func (*orgCreate) Help() string { return "Example:\n\n    provost org create acme" }

// Run creates the organization.
func (c *orgCreate) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	o, err := answer((*openapi.CreateOrganizationResponse).GetJSON201)(
		api.CreateOrganizationWithResponse(s.ctx, nil, openapi.OrganizationInput{Name: c.Name}))
	if err != nil {
		return err
	}
	return record(s, &c.remote, o, o.ID, func() [][2]string {
		return [][2]string{{"name", o.Name}, {"id", o.ID}}
	})
}

// orgOne are the arguments of the commands about one organization.
type orgOne struct {
	remote
	Name string `arg:"" help:"The name or id of the organization."`
}

type orgShow struct{ orgOne }

// Run shows the organization.
func (c *orgShow) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	o, err := answer((*openapi.GetOrganizationResponse).GetJSON200)(api.GetOrganizationWithResponse(s.ctx, c.Name, nil))
	if err != nil {
		return err
	}
	return showOrganization(s, &c.remote, o)
}

type orgSet struct {
	orgOne
	NotifyEmail     []string `sep:"none" placeholder:"ADDRESS" help:"Who is told by mail of held runs, instead of those before; empty for nobody."`
	WelcomeSubject  *string  `placeholder:"TEMPLATE" help:"The subject of the welcome mail; empty for the default."`
	WelcomeTextFile string   `placeholder:"FILE" help:"The file with the text of the welcome mail; an empty file for the default."`
	SignInURL       *string  `name:"sign-in-url" placeholder:"URL" help:"Where new users sign in, which the welcome mail tells; empty for none."`
}

// Help shows how it is used.
func (*orgSet) Help() string {
	return `The templates of the welcome mail may use {{.Name}}, {{.UserName}}, {{.Organization}} and {{.SignInURL}}, and {{if .SignInURL}}…{{else}}…{{end}}.

Examples:

    provost org set default --notify-email it@example.com --notify-email ann@example.com
    provost org set default --sign-in-url https://login.example.com --welcome-text-file welcome.txt
    provost org set default --notify-email ""`
}

// Run changes the organization.
func (c *orgSet) Run(s *session) error {
	settings := openapi.OrganizationSettings{WelcomeSubject: c.WelcomeSubject, SignInURL: c.SignInURL}
	if c.NotifyEmail != nil {
		list := []string{}
		for _, address := range c.NotifyEmail {
			if address != "" {
				list = append(list, address)
			}
		}
		settings.NotifyEmails = &list
	}
	if c.WelcomeTextFile != "" {
		const most = 10_000
		text, err := readBounded(c.WelcomeTextFile, most)
		if err != nil {
			return fmt.Errorf("read --welcome-text-file: %w", err)
		}
		settings.WelcomeText = new(string)
		*settings.WelcomeText = string(text)
	}
	if settings == (openapi.OrganizationSettings{}) {
		return misused("run `provost org set --help`", "nothing to change was given")
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	o, err := answer((*openapi.UpdateOrganizationResponse).GetJSON200)(
		api.UpdateOrganizationWithResponse(s.ctx, c.Name, nil, openapi.OrganizationPatch{Settings: &settings}))
	if err != nil {
		return err
	}
	return showOrganization(s, &c.remote, o)
}

func showOrganization(s *session, r *remote, o *openapi.Organization) error {
	warn(s, o.Warnings)
	return record(s, r, o, o.ID, func() [][2]string {
		text := "default"
		if n := len(value(o.Settings.WelcomeText)); n > 0 {
			text = fmt.Sprintf("%d bytes", n)
		}
		return [][2]string{
			{"name", o.Name},
			{"id", o.ID},
			{"sso ready", yesNo(o.SsoReady)},
			{"notify", texts(o.Settings.NotifyEmails)},
			{"welcome subject", cmp.Or(value(o.Settings.WelcomeSubject), "default")},
			{"welcome text", text},
			{"sign-in URL", value(o.Settings.SignInURL)},
			{"created", at(o.CreatedAt)},
		}
	})
}
