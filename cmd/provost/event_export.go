package main

import (
	"io"
	"net/http"

	"github.com/provost-scim/provost/openapi"
)

type eventExport struct{ eventFlags }

// Help shows how it is used.
func (*eventExport) Help() string {
	return `The log is the audit trail: who changed what, when, from where, and what it was before. An export that breaks off ends with an error; what was printed is complete up to its last line, and --after its cursor goes on.

Examples:

    provost event export --since 2026-01-01 --until 2026-02-01 > january.jsonl
    provost event export --type 'token.*' --type 'domain.*' --since 90d
    provost event export --actor ann@example.com --resource-type Directory`
}

// Run copies the export as it comes.
func (c *eventExport) Run(s *session) error {
	api, err := c.apiWithin(0) // it takes as long as the log is
	if err != nil {
		return err
	}
	r, err := api.ExportEvents(s.ctx, &openapi.ExportEventsParams{
		After: &c.After, ResourceType: none(c.ResourceType), ResourceID: none(c.ResourceID),
		Type: c.types(), Actor: none(c.Actor), Since: c.since, Until: c.until,
	})
	if err != nil {
		return unreachable(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return done(openapi.ParseExportEventsResponse(r))
	}
	if _, err := io.Copy(s.stdout, r.Body); err != nil {
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		return failed("--after the cursor of the last whole line goes on", "the export broke off: %v", err)
	}
	return nil
}
