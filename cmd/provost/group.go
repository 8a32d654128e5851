package main

import (
	"strconv"

	"github.com/provost-scim/provost/openapi"
)

// groupCommand is `provost group`.
type groupCommand struct {
	List    groupList    `cmd:"" help:"List groups." example:"list --directory corp"`
	Show    groupShow    `cmd:"" help:"Show a group." example:"show Engineering"`
	Create  groupCreate  `cmd:"" help:"Create an internal group." example:"create Engineering --user ada@example.com --group Testers"`
	Set     groupSet     `cmd:"" help:"Change an internal group; what is not given stays." example:"set Engineering --description 'builds things'"`
	Add     groupAdd     `cmd:"" help:"Add members to an internal group." example:"add Engineering --user ada@example.com"`
	Remove  groupRemove  `cmd:"" help:"Remove members from an internal group." example:"remove Engineering --user ada@example.com"`
	Delete  groupDelete  `cmd:"" help:"Delete an internal group; its members stay." example:"delete Engineering"`
	Members groupMembers `cmd:"" help:"List the members of a group."`
	Restore groupRestore `cmd:"" help:"Restore a deleted group, without members."`
	Grants  groupGrants  `cmd:"" help:"List what a group holds: roles, access to products." example:"grants Engineering"`
}

type groupList struct {
	remote
	Directory   string `placeholder:"NAME" help:"Only groups that this directory owns; internal for those that none owns."`
	DisplayName string `placeholder:"TEXT" help:"Only the group of this name."`
	OutOfScope  bool   `help:"Only groups that left the scope of their directory, and publish nobody for it."`
	Deleted     bool   `help:"The deleted groups that can be restored, instead of the present ones."`
	Limit       int    `placeholder:"N" help:"At most so many; all, if not given."`
}

// Run lists the groups.
func (c *groupList) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	params := openapi.ListGroupsParams{Directory: none(c.Directory), DisplayName: none(c.DisplayName), Deleted: &c.Deleted}
	if c.OutOfScope {
		params.OutOfScope = &c.OutOfScope
	}
	return list(s, &c.remote, []column[openapi.Group]{
		{title: "NAME", value: func(g *openapi.Group) string { return g.DisplayName }, shrink: true},
		{title: "USERS", value: func(g *openapi.Group) string { return strconv.Itoa(g.EffectiveCount) }},
		{title: "STATE", value: publishing},
		{title: "DIRECTORY", value: func(g *openapi.Group) string { return owner(g.Directory) }, shrink: true},
		{title: "ID", value: func(g *openapi.Group) string { return g.ID }},
	}, func(g *openapi.Group) string { return g.ID }, func(each func(*openapi.Group) error) error {
		return pages(c.Limit, func(cursor *string, size int) ([]openapi.Group, string, error) {
			params.Cursor, params.Limit = cursor, &size
			page, err := answer((*openapi.ListGroupsResponse).GetJSON200)(api.ListGroupsWithResponse(s.ctx, &params))
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextCursor, nil
		}, each)
	})
}

// publishing says why a group publishes fewer users than it has.
func publishing(g *openapi.Group) string {
	switch {
	case g.OutOfScope:
		return "out of scope"
	case g.OverCap:
		return "over cap"
	}
	return "ok"
}

// groupOne are the arguments of the commands about one group.
type groupOne struct {
	remote
	Group string `arg:"" help:"The group's id or name."`
}

type groupShow struct{ groupOne }

// Run shows the group.
func (c *groupShow) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	g, err := answer((*openapi.GetGroupResponse).GetJSON200)(api.GetGroupWithResponse(s.ctx, c.Group, nil))
	if err != nil {
		return err
	}
	return showGroup(s, &c.remote, g)
}

type groupRestore struct {
	remote
	ID string `arg:"" name:"id" help:"The deleted group's id, as group list --deleted shows it."`
}

// Help shows how it is used.
func (*groupRestore) Help() string {
	return "The group's members went with it; its directory or an administrator states them again.\n\nExample:\n\n    provost group restore $(provost group list --deleted --display-name Engineering --quiet)"
}

// Run restores the group.
func (c *groupRestore) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	g, err := answer((*openapi.RestoreGroupResponse).GetJSON200)(api.RestoreGroupWithResponse(s.ctx, c.ID, nil))
	if err != nil {
		return err
	}
	return showGroup(s, &c.remote, g)
}

func showGroup(s *session, r *remote, g *openapi.Group) error {
	return record(s, r, g, g.ID, func() [][2]string {
		pairs := [][2]string{
			{"name", g.DisplayName},
			{"id", g.ID},
			{"description", g.Description},
			{"directory", owner(g.Directory)},
			{"external id", g.ExternalID},
			{"effective users", strconv.Itoa(g.EffectiveCount)},
		}
		if g.OverCap {
			pairs = append(pairs, [2]string{"over cap", "yes: no one is added until it fits"})
		}
		if g.OutOfScope {
			pairs = append(pairs, [2]string{"out of scope", "yes: it publishes nobody until it is back in the scope of its directory"})
		}
		return append(pairs, [2]string{"created", at(g.CreatedAt)}, [2]string{"modified", at(g.ModifiedAt)})
	})
}

type groupMembers struct {
	groupOne
	Effective bool `help:"The published users after flattening, instead of the users and groups that are directly in it."`
	Limit     int  `placeholder:"N" help:"At most so many; all, if not given."`
}

// Help shows how it is used.
func (*groupMembers) Help() string {
	return "Example:\n\n    provost group members Engineering --effective --json | jq -r '.[].user_name'"
}

// Run lists the members.
func (c *groupMembers) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	params := openapi.ListMembersParams{Effective: &c.Effective}
	return list(s, &c.remote, []column[openapi.Member]{
		{title: "TYPE", value: func(m *openapi.Member) string { return m.Type }},
		{title: "USER NAME", value: func(m *openapi.Member) string { return m.UserName }, shrink: true},
		{title: "NAME", value: func(m *openapi.Member) string { return m.DisplayName }, shrink: true},
		{title: "ID", value: func(m *openapi.Member) string { return m.ID }},
	}, func(m *openapi.Member) string { return m.ID }, func(each func(*openapi.Member) error) error {
		return pages(c.Limit, func(cursor *string, size int) ([]openapi.Member, string, error) {
			params.Cursor, params.Limit = cursor, &size
			page, err := answer((*openapi.ListMembersResponse).GetJSON200)(api.ListMembersWithResponse(s.ctx, c.Group, &params))
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextCursor, nil
		}, each)
	})
}
