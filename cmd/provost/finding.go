package main

import (
	"cmp"

	"github.com/provost-scim/provost/openapi"
)

// findingCommand is `provost finding`.
type findingCommand struct {
	List findingList `cmd:"" help:"List findings." example:"list --directory corp"`
}

type findingList struct {
	remote
	Directory string `placeholder:"NAME" xor:"of" help:"The open findings of this directory; without it those of the organization."`
	RunID     string `name:"run" placeholder:"ID" xor:"of" help:"The findings that this run saw."`
	Limit     int    `placeholder:"N" help:"At most so many; all, if not given."`
}

// Run lists findings.
func (c *findingList) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	columns := []column[openapi.Finding]{
		{title: "RULE", value: func(f *openapi.Finding) string { return f.Rule }},
		{title: "DIRECTORY", value: func(f *openapi.Finding) string { return f.Directory }, shrink: true},
		{title: "RECORD", value: func(f *openapi.Finding) string { return cmp.Or(f.Name, f.Record) }, shrink: true},
		{title: "DN", value: func(f *openapi.Finding) string { return f.DN }, shrink: true},
		{title: "SINCE", value: func(f *openapi.Finding) string { return at(f.OpenedAt) }},
		{title: "WHAT", value: func(f *openapi.Finding) string { return f.Sentence }, shrink: true},
	}
	id := func(f *openapi.Finding) string { return f.ID }
	if c.RunID != "" {
		return list(s, &c.remote, columns, id, func(each func(*openapi.Finding) error) error {
			return runFindings(s, api, c.RunID, c.Limit, each)
		})
	}
	return list(s, &c.remote, columns, id, func(each func(*openapi.Finding) error) error {
		return pages(c.Limit, func(cursor *string, size int) ([]openapi.Finding, string, error) {
			page, err := answer((*openapi.ListFindingsResponse).GetJSON200)(
				api.ListFindingsWithResponse(s.ctx, &openapi.ListFindingsParams{Directory: none(c.Directory), Cursor: cursor, Limit: &size}))
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextCursor, nil
		}, each)
	})
}

// runFindings reads the findings that a run saw.
func runFindings(s *session, api *openapi.ClientWithResponses, run string, limit int, each func(*openapi.Finding) error) error {
	return pages(limit, func(cursor *string, size int) ([]openapi.Finding, string, error) {
		page, err := answer((*openapi.ListRunFindingsResponse).GetJSON200)(
			api.ListRunFindingsWithResponse(s.ctx, run, &openapi.ListRunFindingsParams{Cursor: cursor, Limit: &size}))
		if err != nil {
			return nil, "", err
		}
		return page.Items, page.NextCursor, nil
	}, each)
}
