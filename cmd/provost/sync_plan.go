package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

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

// planSummary is what this command reads of [openapi.Run.Plan].
type planSummary struct {
	Users  int                `json:"users"`
	Groups int                `json:"groups"`
	Counts *openapi.RunCounts `json:"counts"`
	Guard  []struct {
		Class string `json:"class"`
		Taken int    `json:"taken"`
		Of    int    `json:"of"`
		Over  bool   `json:"over"`
	} `json:"guard"`
	Domains []struct {
		Name  string `json:"name"`
		Users int    `json:"users"`
		State string `json:"state"`
	} `json:"domains"`
	UsersWithoutAddress int `json:"users_without_address"`
	OverCap             []struct {
		Name           string `json:"name"`
		EffectiveUsers int    `json:"effective_users"`
	} `json:"over_cap"`
}

// How many staged records, domains and groups over the cap a person is shown.
const (
	showItems = 50
	showNames = 10
)

func showPlan(s *session, api *openapi.ClientWithResponses, run *openapi.Run) error {
	var summary planSummary
	if len(run.Plan) > 0 {
		if err := json.Unmarshal(run.Plan, &summary); err != nil {
			return fmt.Errorf("read the plan's summary: %w", err)
		}
	}
	if err := details(s.stdout, summary.pairs(run)); err != nil {
		return err
	}
	var rows [][]string
	more := false
	err := runItems(s, api, run.ID, showItems+1, func(item *openapi.RunItem) error {
		if len(rows) == showItems {
			more = true
			return nil
		}
		name := cmp.Or(item.UserName, item.DisplayName, item.ExternalID)
		rows = append(rows, []string{string(item.Change), item.Type, plain(name), plain(item.DN)})
		return nil
	})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(s.stdout, "nothing would change")
		return err
	}
	fmt.Fprintln(s.stdout)
	if err := writeTable(s.stdout, []string{"STATED", "TYPE", "NAME", "ENTRY"}, []bool{false, false, true, true}, rows); err != nil {
		return err
	}
	if more {
		_, err = fmt.Fprintln(s.stdout, "… and more: `provost sync plan --json` lists all")
	}
	return err
}

// pairs are the summary in words.
func (p *planSummary) pairs(run *openapi.Run) [][2]string {
	pairs := [][2]string{
		{"plan", run.ID},
		{"directory", run.Directory},
		{"read", fmt.Sprintf("%d users and %d groups in scope", p.Users, p.Groups)},
	}
	if p.Counts != nil {
		pairs = append(pairs, [2]string{"users", tally(p.Counts.Users)}, [2]string{"groups", tally(p.Counts.Groups)})
	}
	for i, d := range p.Domains {
		if i == showNames {
			pairs = append(pairs, [2]string{"domains", fmt.Sprintf("%d more", len(p.Domains)-i)})
			break
		}
		pairs = append(pairs, [2]string{"domain", fmt.Sprintf("%s: %d users, %s", d.Name, d.Users, cmp.Or(d.State, "not claimed"))})
	}
	if p.UsersWithoutAddress > 0 {
		pairs = append(pairs, [2]string{"without address", fmt.Sprintf("%d users", p.UsersWithoutAddress)})
	}
	for i, g := range p.OverCap {
		if i == showNames {
			pairs = append(pairs, [2]string{"over the cap", fmt.Sprintf("%d more groups", len(p.OverCap)-i)})
			break
		}
		pairs = append(pairs, [2]string{"over the cap", fmt.Sprintf("%s: %d effective users", g.Name, g.EffectiveUsers)})
	}
	for _, g := range p.Guard {
		if g.Over {
			pairs = append(pairs, [2]string{"takes much away", fmt.Sprintf("%s: %d of %d; a run without review would be held", strings.ReplaceAll(g.Class, "_", " "), g.Taken, g.Of)})
		}
	}
	return pairs
}
