package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/provost-scim/provost/openapi"
)

// syncCommand is `provost sync`.
type syncCommand struct {
	Plan    syncPlan    `cmd:"" help:"Read the directory and show what a run would change; changes nothing."`
	Run     syncRun     `cmd:"" help:"Synchronize a directory."`
	Status  syncStatus  `cmd:"" help:"Show the latest run of a directory, or one run." example:"status corp"`
	History syncHistory `cmd:"" help:"List the runs of a directory, newest first." example:"history corp --limit 5"`
	Approve syncApprove `cmd:"" help:"Approve a held run." example:"approve corp --wait"`
	Discard syncDiscard `cmd:"" help:"Discard a plan or a held run." example:"discard corp"`
}

// syncOne is the argument of the commands about one directory's runs.
type syncOne struct {
	remote
	Name string `arg:"" help:"The name of the directory."`
}

type syncStatus struct {
	syncOne
	ID   string `name:"run" placeholder:"ID" help:"This run, instead of the latest."`
	Wait bool   `help:"Wait until the run has ended or waits for a person."`
}

// Run shows a run. Its exit code is that of the run: 0, 2 if it is held, 3 if it
// failed.
func (c *syncStatus) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	id := c.ID
	if id == "" {
		one := 1
		runs, err := answer((*openapi.ListRunsResponse).GetJSON200)(api.ListRunsWithResponse(s.ctx, c.Name, &openapi.ListRunsParams{Limit: &one}))
		if err != nil {
			return err
		}
		if len(runs.Items) == 0 {
			return failed("start one with `provost sync run "+c.Name+"`", "directory %s has no run yet", c.Name)
		}
		id = runs.Items[0].ID
	}
	var run *openapi.Run
	if c.Wait {
		run, err = watch(s, &c.remote, id)
	} else {
		run, err = getRun(s.ctx, api, id)
	}
	if err != nil {
		return err
	}
	return finish(s, &c.remote, api, run)
}

type syncHistory struct {
	syncOne
	Limit int `default:"20" help:"At most so many; 0 lists all."`
}

// Run lists runs.
func (c *syncHistory) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	return list(s, &c.remote, []column[openapi.Run]{
		{title: "CREATED", value: func(r *openapi.Run) string { return at(r.CreatedAt) }},
		{title: "STATE", value: func(r *openapi.Run) string { return string(r.State) }},
		{title: "USERS", value: func(r *openapi.Run) string { return brief(r.Counts.Users) }, shrink: true},
		{title: "GROUPS", value: func(r *openapi.Run) string { return brief(r.Counts.Groups) }, shrink: true},
		{title: "ERROR", value: func(r *openapi.Run) string { return r.Error }, shrink: true},
		{title: "ID", value: func(r *openapi.Run) string { return r.ID }},
	}, func(r *openapi.Run) string { return r.ID }, func(each func(*openapi.Run) error) error {
		return pages(c.Limit, func(cursor *string, size int) ([]openapi.Run, string, error) {
			page, err := answer((*openapi.ListRunsResponse).GetJSON200)(
				api.ListRunsWithResponse(s.ctx, c.Name, &openapi.ListRunsParams{Cursor: cursor, Limit: &size}))
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextCursor, nil
		}, each)
	})
}

// runOne are the arguments of the commands that decide on a run.
type runOne struct {
	remote
	ID string `arg:"" name:"run" help:"The id of the run, or the name of a directory whose latest run it is."`
}

// run finds the run that is meant.
func (c *runOne) run(s *session, api *openapi.ClientWithResponses) (string, error) {
	one := 1
	runs, err := answer((*openapi.ListRunsResponse).GetJSON200)(api.ListRunsWithResponse(s.ctx, c.ID, &openapi.ListRunsParams{Limit: &one}))
	var r *refusal
	switch {
	case errors.As(err, &r) && r.kind == "not_found":
		return c.ID, nil
	case err != nil:
		return "", err
	case len(runs.Items) == 0:
		return "", failed("", "directory %s has no run yet", c.ID)
	}
	return runs.Items[0].ID, nil
}

type syncApprove struct {
	runOne
	Wait bool `help:"Wait until the run has ended."`
}

// Run approves the run.
func (c *syncApprove) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	id, err := c.run(s, api)
	if err != nil {
		return err
	}
	held, err := getRun(s.ctx, api, id)
	if err != nil {
		return err
	}
	run, err := answer((*openapi.ApproveRunResponse).GetJSON202)(
		api.ApproveRunWithResponse(s.ctx, id, nil, openapi.ApprovalInput{StageHash: held.StageHash}))
	if err != nil {
		return err
	}
	return started(s, &c.remote, api, run, c.Wait)
}

type syncDiscard struct{ runOne }

// Run discards the plan or the run.
func (c *syncDiscard) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	id, err := c.run(s, api)
	if err != nil {
		return err
	}
	run, err := answer((*openapi.DiscardRunResponse).GetJSON200)(api.DiscardRunWithResponse(s.ctx, id, nil))
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.stdout, run)
	}
	said(s, &c.remote, "run %s is discarded", run.ID)
	return nil
}

func getRun(ctx context.Context, api *openapi.ClientWithResponses, id string) (*openapi.Run, error) {
	return answer((*openapi.GetRunResponse).GetJSON200)(api.GetRunWithResponse(ctx, id, nil))
}

// finish prints a run and makes its state the exit code.
func finish(s *session, r *remote, api *openapi.ClientWithResponses, run *openapi.Run) error {
	if r.JSON {
		findings := []openapi.Finding{}
		err := runFindings(s, api, run.ID, 0, func(f *openapi.Finding) error {
			findings = append(findings, *f)
			return nil
		})
		if err != nil {
			return err
		}
		run.Findings = &findings
		if err := writeJSON(s.stdout, run); err != nil {
			return err
		}
	} else if !r.Quiet {
		if err := showRun(s, api, run); err != nil {
			return err
		}
	}
	switch run.State {
	case openapi.RunStateHeld:
		f := &failure{code: exitHeld}
		if !r.JSON {
			f.message = "run " + run.ID + " is held: " + run.HoldReason
			f.hint = "`provost sync approve " + run.ID + "` applies it, `provost sync discard " + run.ID + "` drops it"
		}
		return f
	case openapi.RunStateFailed:
		f := &failure{code: exitFailed}
		if !r.JSON {
			f.message = "run " + run.ID + " failed: " + run.Error
		}
		return f
	default:
		return nil
	}
}

// selectedOf names what a run synchronizes, if not the whole directory.
func selectedOf(run *openapi.Run) string {
	if run.Selected == nil {
		return ""
	}
	var names []string
	for _, user := range run.Selected.Users {
		names = append(names, "user "+user)
	}
	for _, group := range run.Selected.Groups {
		names = append(names, "group "+group)
	}
	return strings.Join(names, ", ")
}

// readOf says how much of its directory a run has read.
func readOf(run *openapi.Run) string {
	switch {
	case run.Incremental:
		return "only what has changed"
	case run.FullBecause != "":
		return "everything, because " + run.FullBecause
	case run.Selected != nil && run.Phase != openapi.RunPhaseQueued && run.Phase != openapi.RunPhaseRead:
		return "only what is named, and what that needs"
	}
	return ""
}

// driftOf says what a full run found that the incremental runs before it had missed.
func driftOf(d *openapi.RunDrift) string {
	switch {
	case d == nil:
		return ""
	case d.Unknown != "":
		return "unknown, because " + d.Unknown
	case d.Users+d.Groups == 0:
		return "none: the incremental runs before missed nothing"
	}
	text := fmt.Sprintf("users %d, groups %d, which the incremental runs before had missed", d.Users, d.Groups)
	var names []string
	for _, r := range value(d.Records) {
		if len(names) == showDrift {
			names = append(names, "…")
			break
		}
		names = append(names, fmt.Sprintf("%s %s (%s)", strings.ToLower(r.Type), plain(r.Name), strings.ReplaceAll(string(r.Outcome), "_", " ")))
	}
	return text + ": " + strings.Join(names, ", ")
}

// showDrift is how many records of a drift are named to a person.
const showDrift = 10

// showFindings is the most findings shown to a person after a run.
const showFindings = 20

// showRun prints a run with its first findings, and of a held one what it would do: a
// person is to decide on that.
func showRun(s *session, api *openapi.ClientWithResponses, run *openapi.Run) error {
	unsure := ""
	counts, err := countsOf(run)
	if err != nil {
		return err
	}
	if run.Phase == openapi.RunPhaseReady {
		unsure = " (if it is applied)"
	}
	pairs := [][2]string{
		{"run", run.ID},
		{"directory", run.Directory},
		{"state", string(run.State)},
		{"phase", string(run.Phase)},
		{"only", selectedOf(run)},
		{"read", readOf(run)},
		{"users", tally(counts.Users) + unsure},
		{"groups", tally(counts.Groups) + unsure},
		{"drift", driftOf(run.Drift)},
		{"held because", run.HoldReason},
		{"approved by", run.ApprovedBy},
		{"discarded by", run.DiscardedBy},
		{"started", when(run.StartedAt)},
		{"finished", when(run.FinishedAt)},
	}
	if run.StartedAt != nil && run.FinishedAt != nil {
		pairs = append(pairs, [2]string{"took", run.FinishedAt.Sub(*run.StartedAt).Round(time.Millisecond).String()})
	}
	if err := details(s.stdout, pairs); err != nil {
		return err
	}
	n := 0
	err = runFindings(s, api, run.ID, showFindings+1, func(f *openapi.Finding) error {
		n++
		if n > showFindings {
			fmt.Fprintf(s.stdout, "  … and more: provost finding list --run %s\n", run.ID)
			return nil
		}
		if n == 1 {
			fmt.Fprintln(s.stdout, "findings")
		}
		line := "  " + plain(f.Rule) + ": " + plain(f.Sentence)
		if f.DN != "" {
			line += " (" + plain(f.DN) + ")"
		}
		fmt.Fprintln(s.stdout, line)
		return nil
	})
	if err != nil || run.State != openapi.RunStateHeld {
		return err
	}
	return showDifference(s, api, run, changesOf(counts))
}

// countsOf is what a run has done with its records, or, while it waits for a person,
// what it would do.
func countsOf(run *openapi.Run) (openapi.RunCounts, error) {
	if run.Phase != openapi.RunPhaseReady || len(run.Plan) == 0 {
		return run.Counts, nil
	}
	var summary planSummary
	if err := json.Unmarshal(run.Plan, &summary); err != nil {
		return run.Counts, fmt.Errorf("read the plan of run %s: %w", run.ID, err)
	}
	if summary.Counts == nil {
		return run.Counts, nil
	}
	return *summary.Counts, nil
}

// words are the ten counts in the order in which people read them.
func words(c openapi.Counts) []struct {
	n    int
	word string
} {
	return []struct {
		n    int
		word string
	}{
		{c.Created, "created"}, {c.Modified, "modified"}, {c.Deactivated, "deactivated"}, {c.Deleted, "deleted"},
		{c.Duplicated, "duplicated"}, {c.Refused, "refused"}, {c.Claimed, "claimed"}, {c.Restored, "restored"},
		{c.OutOfScope, "out of scope"}, {c.Unchanged, "unchanged"},
	}
}

// tally says the counts that are not zero in words.
func tally(c openapi.Counts) string {
	var said []string
	for _, w := range words(c) {
		if w.n != 0 {
			said = append(said, strconv.Itoa(w.n)+" "+w.word)
		}
	}
	if len(said) == 0 {
		return "nothing"
	}
	return strings.Join(said, ", ")
}

// brief is tally without what did not change.
func brief(c openapi.Counts) string {
	c.Unchanged = 0
	if text := tally(c); text != "nothing" {
		return text
	}
	return "-"
}
