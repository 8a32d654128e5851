package main

import (
	"github.com/provost-scim/provost/openapi"
)

// userFields are what an administrator says of an internal user.
type userFields struct {
	GivenName   string   `help:"The given name."`
	FamilyName  string   `help:"The family name."`
	DisplayName string   `help:"The name to show."`
	Email       []string `sep:"none" placeholder:"ADDRESS" help:"An email address; the first is the primary one."`
	Title       string   `help:"The title."`
	Department  string   `help:"The department."`
	ExternalID  string   `name:"external-id" help:"An id of your own."`
}

// input says of a user what is given. Of the parts of a name and of the enterprise
// extension, those that are not given stay as they were.
func (f *userFields) input(was *openapi.User) openapi.UserInput {
	in := openapi.UserInput{DisplayName: none(f.DisplayName), Title: none(f.Title), ExternalID: none(f.ExternalID)}
	if f.GivenName != "" || f.FamilyName != "" {
		name := value(was.Name)
		if f.GivenName != "" {
			name.GivenName = f.GivenName
		}
		if f.FamilyName != "" {
			name.FamilyName = f.FamilyName
		}
		in.Name = &name
	}
	if f.Department != "" {
		enterprise := value(was.Enterprise)
		enterprise.Department = f.Department
		in.Enterprise = &enterprise
	}
	if len(f.Email) > 0 {
		emails := make(openapi.Values, len(f.Email))
		for i, e := range f.Email {
			emails[i] = openapi.Value{Value: e, Type: "work", Primary: i == 0}
		}
		in.Emails = &emails
	}
	return in
}

type userCreate struct {
	remote
	UserName string `arg:"" help:"The user name."`
	userFields
	Disabled bool `help:"Create it with the administrator's switch off."`
}

// Run creates the user.
func (c *userCreate) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	enabled := !c.Disabled
	in := c.input(&openapi.User{})
	in.UserName, in.Enabled = &c.UserName, &enabled
	u, err := answer((*openapi.CreateUserResponse).GetJSON201)(api.CreateUserWithResponse(s.ctx, nil, in))
	if err != nil {
		return err
	}
	return showUser(s, &c.remote, u)
}

type userSet struct {
	userOne
	NewUserName string `placeholder:"NAME" help:"Rename the user."`
	userFields
}

// Run changes the user.
func (c *userSet) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	was, err := answer((*openapi.GetUserResponse).GetJSON200)(api.GetUserWithResponse(s.ctx, c.User, nil))
	if err != nil {
		return err
	}
	in := c.input(was)
	in.UserName = none(c.NewUserName)
	if in == (openapi.UserInput{}) {
		return misused("run `provost user set --help`", "nothing to change was given")
	}
	u, err := answer((*openapi.UpdateUserResponse).GetJSON200)(api.UpdateUserWithResponse(s.ctx, was.ID, nil, in))
	if err != nil {
		return err
	}
	return showUser(s, &c.remote, u)
}

type userDelete struct {
	userOne
	confirmFlag
}

// Run deletes the user.
func (c *userDelete) Run(s *session) error {
	if sure, err := c.sure(s, "delete the user %s", c.User); err != nil || !sure {
		return err
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	if err := done(api.DeleteUserWithResponse(s.ctx, c.User, nil)); err != nil {
		return err
	}
	said(s, &c.remote, "user %s is deleted; `provost user restore` brings it back", c.User)
	return nil
}
