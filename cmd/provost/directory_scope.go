package main

import (
	"strings"

	"github.com/provost-scim/provost/openapi"
)

type directoryScope struct {
	directoryOne
	Remove []string `sep:"none" placeholder:"ID" help:"Take this user or group out of the scope, by its stable id; may be repeated."`
}

// Help shows how it is used.
func (*directoryScope) Help() string {
	return `It lists the users and groups that imports have put in the scope of a directory, besides the groups of its settings
(` + "`provost directory set --scope-group`" + `). They are kept by stable id. What is taken out is out of scope at the next run,
unless a group of the scope holds it.

Examples:

    provost directory scope corp
    provost directory scope corp --remove 9b1d6c1e-6f0c-103f-8c1a-0d7f2a3b4c5d`
}

// Run lists the entries, or takes some out.
func (c *directoryScope) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	if len(c.Remove) > 0 {
		for _, id := range c.Remove {
			if err := done(api.DeleteScopeEntryWithResponse(s.ctx, c.Name, id, nil)); err != nil {
				return err
			}
			said(s, &c.remote, "%s is no longer in the scope of %s by an import; see: provost sync plan %s", id, c.Name, c.Name)
		}
		return nil
	}
	return list(s, &c.remote, []column[openapi.ScopeEntry]{
		{title: "TYPE", value: func(e *openapi.ScopeEntry) string { return e.Type }},
		{title: "NAME", value: func(e *openapi.ScopeEntry) string { return e.Name }, shrink: true},
		{title: "JOINED", value: func(e *openapi.ScopeEntry) string { return at(e.JoinedAt) }},
		{title: "EXTERNAL ID", value: func(e *openapi.ScopeEntry) string { return e.ExternalID }},
	}, func(e *openapi.ScopeEntry) string { return e.ExternalID }, func(each func(*openapi.ScopeEntry) error) error {
		return pages(0, func(cursor *string, size int) ([]openapi.ScopeEntry, string, error) {
			page, err := answer((*openapi.ListScopeEntriesResponse).GetJSON200)(
				api.ListScopeEntriesWithResponse(s.ctx, c.Name, &openapi.ListScopeEntriesParams{Cursor: cursor, Limit: &size}))
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextCursor, nil
		}, each)
	})
}

// scopeEntries name the first users and groups that imports have put in the scope of a
// directory, if only a part of it is pulled.
func scopeEntries(s *session, api *openapi.ClientWithResponses, d *openapi.Directory) ([][2]string, error) {
	if l := d.Settings.Ldap; l == nil || len(value(l.ScopeGroups)) == 0 {
		return nil, nil
	}
	limit := showNames
	page, err := answer((*openapi.ListScopeEntriesResponse).GetJSON200)(
		api.ListScopeEntriesWithResponse(s.ctx, d.ID, &openapi.ListScopeEntriesParams{Limit: &limit}))
	if err != nil || len(page.Items) == 0 {
		return nil, err
	}
	names := make([]string, 0, len(page.Items)+1)
	for i := range page.Items {
		names = append(names, strings.ToLower(page.Items[i].Type)+" "+plain(page.Items[i].Name))
	}
	if page.NextCursor != "" {
		names = append(names, "…")
	}
	return [][2]string{{"imported", strings.Join(names, ", ")}}, nil
}
