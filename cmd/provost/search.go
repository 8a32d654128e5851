package main

import (
	"fmt"

	"github.com/provost-scim/provost/openapi"
)

// searchCommand is `provost search`.
type searchCommand struct {
	remote
	Name   string `arg:"" help:"The name of the directory."`
	User   string `placeholder:"NAME" xor:"what" required:"" help:"Users of this user name; * stands for any text."`
	Group  string `placeholder:"NAME" xor:"what" required:"" help:"Groups of this name; * stands for any text."`
	Filter string `placeholder:"FILTER" xor:"what" required:"" help:"Users and groups that this LDAP filter finds."`
	Limit  int    `default:"100" help:"At most so many, up to 100."`
}

// Help shows how it is used.
func (*searchCommand) Help() string {
	return `Asks the LDAP server now, and changes nothing. Every hit says what an import would make of it:
new (a record is created), synchronized (it is updated), conflict (another record has its name or
address), refused (a rule does not let it in).

Examples:

    provost search corp --user ann
    provost search corp --user 'a*' --json | jq -r '.[] | select(.status == "new").external_id'
    provost search corp --filter '(&(department=Legal)(title=*))'`
}

// Run searches.
func (c *searchCommand) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	found, err := answer((*openapi.SearchDirectoryResponse).GetJSON200)(api.SearchDirectoryWithResponse(s.ctx, c.Name, nil, openapi.SearchInput{
		UserName: c.User, GroupName: c.Group, Filter: c.Filter, Limit: &c.Limit,
	}))
	if err != nil {
		return err
	}
	err = list(s, &c.remote, []column[openapi.SearchHit]{
		{title: "STATUS", value: func(h *openapi.SearchHit) string { return string(h.Status) }},
		{title: "TYPE", value: func(h *openapi.SearchHit) string { return h.Type }},
		{title: "NAME", value: func(h *openapi.SearchHit) string { return h.Name }, shrink: true},
		{title: "WITH", value: conflictOf, shrink: true},
		{title: "STABLE ID", value: func(h *openapi.SearchHit) string { return h.ExternalID }},
		{title: "DN", value: func(h *openapi.SearchHit) string { return h.DN }, shrink: true},
	}, func(h *openapi.SearchHit) string { return h.ExternalID }, func(each func(*openapi.SearchHit) error) error {
		for i := range found.Items {
			if err := each(&found.Items[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && found.More {
		fmt.Fprintf(s.stderr, "provost: there are more than these %d; ask more narrowly\n", len(found.Items))
	}
	return err
}

// conflictOf says with whom a hit is in conflict, or why it is refused.
func conflictOf(h *openapi.SearchHit) string {
	if h.With == nil {
		return h.Reason
	}
	return h.With.Name + " of " + owner(h.With.Directory)
}
