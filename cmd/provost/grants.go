package main

import (
	"strconv"

	"github.com/provost-scim/provost/openapi"
)

type userGrants struct {
	userOne
	Limit int `placeholder:"N" help:"At most so many; all, if not given."`
}

// Help shows how it is used.
func (*userGrants) Help() string {
	return "What the user holds itself, and what its groups give it.\n\nExample:\n\n    provost user grants ann@example.com"
}

// Run lists what the user holds.
func (c *userGrants) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	return listGrants(s, &c.remote, c.Limit, func(cursor *string, size int) (*openapi.GrantList, error) {
		params := openapi.ListUserGrantsParams{Cursor: cursor, Limit: &size}
		return answer((*openapi.ListUserGrantsResponse).GetJSON200)(api.ListUserGrantsWithResponse(s.ctx, c.User, &params))
	})
}

type groupGrants struct {
	groupOne
	Limit int `placeholder:"N" help:"At most so many; all, if not given."`
}

// Run lists what the group holds.
func (c *groupGrants) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	return listGrants(s, &c.remote, c.Limit, func(cursor *string, size int) (*openapi.GrantList, error) {
		params := openapi.ListGroupGrantsParams{Cursor: cursor, Limit: &size}
		return answer((*openapi.ListGroupGrantsResponse).GetJSON200)(api.ListGroupGrantsWithResponse(s.ctx, c.Group, &params))
	})
}

func listGrants(s *session, r *remote, limit int, page func(cursor *string, size int) (*openapi.GrantList, error)) error {
	return list(s, r, []column[openapi.Grant]{
		{title: "KIND", value: func(g *openapi.Grant) string { return string(g.Kind) }},
		{title: "NAME", value: func(g *openapi.Grant) string { return g.Name }, shrink: true},
		{title: "BY GROUP", value: func(g *openapi.Grant) string {
			if g.Via == nil {
				return ""
			}
			return g.Via.DisplayName
		}, shrink: true},
		{title: "SINCE", value: func(g *openapi.Grant) string { return at(g.GrantedAt) }},
		{title: "SUSPENDED", value: func(g *openapi.Grant) string { return when(g.SuspendedAt) }},
	}, func(g *openapi.Grant) string { return g.ID }, func(each func(*openapi.Grant) error) error {
		return pages(limit, func(cursor *string, size int) ([]openapi.Grant, string, error) {
			p, err := page(cursor, size)
			if err != nil {
				return nil, "", err
			}
			return p.Items, p.NextCursor, nil
		}, each)
	})
}

// billableCommand is `provost billable`.
type billableCommand struct{ remote }

// Run counts the billable users.
func (c *billableCommand) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	b, err := answer((*openapi.GetBillableResponse).GetJSON200)(api.GetBillableWithResponse(s.ctx, nil))
	if err != nil {
		return err
	}
	return record(s, &c.remote, b, strconv.Itoa(b.Users), func() [][2]string {
		pairs := [][2]string{{"billable users", strconv.Itoa(b.Users)}}
		for i := range b.Products {
			pairs = append(pairs, [2]string{b.Products[i].Name, strconv.Itoa(b.Products[i].Users)})
		}
		return pairs
	})
}
