package main

import (
	"fmt"

	"github.com/provost-scim/provost/openapi"
)

type syncPlan struct{ syncOne }

// Help shows how it is used.
func (*syncPlan) Help() string {
	return `With --json the plan is one document: the run with its summary, and every staged record as "items".

Example:

    provost sync plan corp
    provost sync run corp --plan ID`
}

// plannedRun is what --json prints: the run, and what is staged.
type plannedRun struct {
	*openapi.Run
	Items []openapi.RunItem `json:"items"`
}

// Run makes a plan and shows it. One that could not be made is a failed run.
func (c *syncPlan) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	run, err := plan(s, &c.remote, api, c.Name)
	if err != nil {
		return err
	}
	switch {
	case run.State == openapi.RunStateFailed:
		return finish(s, &c.remote, api, run)
	case c.JSON:
		doc := plannedRun{Run: run, Items: []openapi.RunItem{}}
		err := runItems(s, api, run.ID, 0, func(item *openapi.RunItem) error {
			doc.Items = append(doc.Items, *item)
			return nil
		})
		if err != nil {
			return err
		}
		return writeJSON(s.stdout, doc)
	case c.Quiet:
		_, err := fmt.Fprintln(s.stdout, run.ID)
		return err
	}
	if err := showPlan(s, api, run); err != nil {
		return err
	}
	said(s, &c.remote, "next: provost sync run %s --plan %s", c.Name, run.ID)
	return nil
}

// plan starts a plan and waits until it can be looked at or has failed.
func plan(s *session, r *remote, api *openapi.ClientWithResponses, directory string) (*openapi.Run, error) {
	run, err := answer((*openapi.CreatePlanResponse).GetJSON202)(api.CreatePlanWithResponse(s.ctx, directory, nil))
	if err != nil {
		return nil, err
	}
	return watch(s, r, api, run.ID, func(r *openapi.Run) bool {
		return atRest(r) || r.Phase == openapi.RunPhaseReady
	})
}

// runItems reads what is staged for a run.
func runItems(s *session, api *openapi.ClientWithResponses, run string, limit int, each func(*openapi.RunItem) error) error {
	return pages(limit, func(cursor *string, size int) ([]openapi.RunItem, string, error) {
		page, err := answer((*openapi.ListRunItemsResponse).GetJSON200)(
			api.ListRunItemsWithResponse(s.ctx, run, &openapi.ListRunItemsParams{Cursor: cursor, Limit: &size}))
		if err != nil {
			return nil, "", err
		}
		return page.Items, page.NextCursor, nil
	}, each)
}

// showItems is the most staged records shown to a person.
const showItems = 50

func showPlan(s *session, api *openapi.ClientWithResponses, run *openapi.Run) error {
	var rows [][]string
	more := 0
	err := runItems(s, api, run.ID, 0, func(item *openapi.RunItem) error {
		if len(rows) == showItems {
			more++
			return nil
		}
		name := item.UserName
		if name == "" {
			name = item.DisplayName
		}
		if name == "" {
			name = item.ExternalID
		}
		rows = append(rows, []string{string(item.Change), item.Type, plain(name), plain(item.DN)})
		return nil
	})
	if err != nil {
		return err
	}
	if err := details(s.stdout, [][2]string{{"plan", run.ID}, {"directory", run.Directory}, {"would be held", run.HoldReason}}); err != nil {
		return err
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(s.stdout, "nothing would change")
		return err
	}
	if err := writeTable(s.stdout, []string{"CHANGE", "TYPE", "NAME", "ENTRY"}, []bool{false, false, true, true}, rows); err != nil {
		return err
	}
	if more > 0 {
		_, err = fmt.Fprintf(s.stdout, "… and %d more\n", more)
	}
	return err
}
