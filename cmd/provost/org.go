package main

import (
	"github.com/provost-scim/provost/openapi"
)

// orgCommand is `provost org`.
type orgCommand struct {
	List   orgList   `cmd:"" help:"List the organizations that the token may see."`
	Create orgCreate `cmd:"" help:"Create an organization; needs an owner's token of the whole instance."`
}

type orgList struct{ remote }

// Run lists the organizations.
func (c *orgList) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	orgs, err := answer((*openapi.ListOrganizationsResponse).GetJSON200)(api.ListOrganizationsWithResponse(s.ctx))
	if err != nil {
		return err
	}
	return list(s, &c.remote, []column[openapi.Organization]{
		{title: "NAME", value: func(o *openapi.Organization) string { return o.Name }, shrink: true},
		{title: "SSO READY", value: func(o *openapi.Organization) string { return yesNo(o.SsoReady) }},
		{title: "CREATED", value: func(o *openapi.Organization) string { return at(o.CreatedAt) }},
		{title: "ID", value: func(o *openapi.Organization) string { return o.ID }},
	}, func(o *openapi.Organization) string { return o.ID }, whole(orgs.Items))
}

// whole hands on the items of a list that comes in one piece.
func whole[T any](items []T) func(func(*T) error) error {
	return func(each func(*T) error) error {
		for i := range items {
			if err := each(&items[i]); err != nil {
				return err
			}
		}
		return nil
	}
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
		api.CreateOrganizationWithResponse(s.ctx, openapi.OrganizationInput{Name: c.Name}))
	if err != nil {
		return err
	}
	return record(s, &c.remote, o, o.ID, func() [][2]string {
		return [][2]string{{"name", o.Name}, {"id", o.ID}}
	})
}
