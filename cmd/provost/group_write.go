package main

import (
	"github.com/provost-scim/provost/openapi"
)

type groupCreate struct {
	remote
	Name        string `arg:"" help:"The name of the group."`
	Description string `placeholder:"TEXT" help:"What it is, for people."`
	memberFlags
}

// memberFlags name users and groups.
type memberFlags struct {
	User   []string `sep:"none" placeholder:"USER" help:"An internal user, by id or user name; may be given several times."`
	Nested []string `name:"group" sep:"none" placeholder:"GROUP" help:"An internal group, by id or name; may be given several times."`
}

// ids finds those who are named.
func (f *memberFlags) ids(s *session, api *openapi.ClientWithResponses) (ids []string, err error) {
	for _, ref := range f.User {
		u, err := answer((*openapi.GetUserResponse).GetJSON200)(api.GetUserWithResponse(s.ctx, ref, nil))
		if err != nil {
			return nil, err
		}
		ids = append(ids, u.ID)
	}
	for _, ref := range f.Nested {
		g, err := answer((*openapi.GetGroupResponse).GetJSON200)(api.GetGroupWithResponse(s.ctx, ref, nil))
		if err != nil {
			return nil, err
		}
		ids = append(ids, g.ID)
	}
	return ids, nil
}

// Run creates the group.
func (c *groupCreate) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	members, err := c.ids(s, api)
	if err != nil {
		return err
	}
	g, err := answer((*openapi.CreateGroupResponse).GetJSON201)(api.CreateGroupWithResponse(s.ctx, nil,
		openapi.GroupInput{DisplayName: c.Name, Description: c.Description, Members: members}))
	if err != nil {
		return err
	}
	return showGroup(s, &c.remote, g)
}

type groupSet struct {
	groupOne
	NewName     string  `placeholder:"NAME" help:"Rename the group."`
	Description *string `placeholder:"TEXT" help:"What it is, for people; empty for nothing."`
}

// Run changes the group.
func (c *groupSet) Run(s *session) error {
	if c.NewName == "" && c.Description == nil {
		return misused("run `provost group set --help`", "nothing to change was given")
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	g, err := answer((*openapi.UpdateGroupResponse).GetJSON200)(api.UpdateGroupWithResponse(s.ctx, c.Group, nil,
		openapi.GroupPatch{DisplayName: none(c.NewName), Description: c.Description}))
	if err != nil {
		return err
	}
	return showGroup(s, &c.remote, g)
}

type groupDelete struct {
	groupOne
	confirmFlag
}

// Run deletes the group.
func (c *groupDelete) Run(s *session) error {
	if sure, err := c.sure(s, "delete the group %s", c.Group); err != nil || !sure {
		return err
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	if err := done(api.DeleteGroupWithResponse(s.ctx, c.Group, nil)); err != nil {
		return err
	}
	said(s, &c.remote, "group %s is deleted; its members stay, and `provost group restore` brings it back without them", c.Group)
	return nil
}

// groupMembership are the arguments of the commands that change who is in a group.
type groupMembership struct {
	remote
	Name string `arg:"" name:"group" help:"The group's id or name."`
	memberFlags
}

func (c *groupMembership) change(s *session, of func(ids []string) openapi.MemberChange) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	ids, err := c.ids(s, api)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return misused("name them with --user or --group", "nobody is named")
	}
	g, err := answer((*openapi.ChangeMembersResponse).GetJSON200)(api.ChangeMembersWithResponse(s.ctx, c.Name, nil, of(ids)))
	if err != nil {
		return err
	}
	return showGroup(s, &c.remote, g)
}

type groupAdd struct{ groupMembership }

// Run adds members. One that is in the group already changes nothing.
func (c *groupAdd) Run(s *session) error {
	return c.change(s, func(ids []string) openapi.MemberChange { return openapi.MemberChange{Add: ids} })
}

type groupRemove struct{ groupMembership }

// Run removes members. One that is not in the group changes nothing.
func (c *groupRemove) Run(s *session) error {
	return c.change(s, func(ids []string) openapi.MemberChange { return openapi.MemberChange{Remove: ids} })
}
