package admin

import (
	"context"
	"strings"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// runFindings is how many findings an answer about one run carries.
const runFindings = 1000

// CreatePlan begins a plan.
func (s *Server) CreatePlan(ctx context.Context, req openapi.CreatePlanRequestObject) (openapi.CreatePlanResponseObject, error) {
	run, err := s.Runs.Plan(ctx, orgOf(ctx), req.Directory, causeOf(ctx, "plan"))
	if err != nil {
		return nil, err
	}
	return openapi.CreatePlan202JSONResponse(renderRun(run)), nil
}

// StartRun begins a run, or applies a plan.
func (s *Server) StartRun(ctx context.Context, req openapi.StartRunRequestObject) (openapi.StartRunResponseObject, error) {
	var plan store.ID
	full := false
	if req.Body != nil {
		plan, full = store.ID(req.Body.Plan), req.Body.Full
	}
	var run *store.Run
	var err error
	if req.Body != nil && len(req.Body.Users)+len(req.Body.Groups) > 0 {
		if plan != "" {
			return nil, &store.Error{Code: store.CodeInvalid, Field: "plan", Message: "plan cannot be given with users or groups: a plan is run as it is"}
		}
		only := store.Selection{Users: req.Body.Users, Groups: req.Body.Groups}
		run, err = s.Runs.StartSelected(ctx, orgOf(ctx), req.Directory, only, causeOf(ctx, "sync run of a selection"))
	} else {
		run, err = s.Runs.Start(ctx, orgOf(ctx), req.Directory, plan, full, causeOf(ctx, "sync run"))
	}
	if err != nil {
		return nil, err
	}
	return openapi.StartRun202JSONResponse(renderRun(run)), nil
}

// ApproveRun lets a held run go on.
func (s *Server) ApproveRun(ctx context.Context, req openapi.ApproveRunRequestObject) (openapi.ApproveRunResponseObject, error) {
	seen := ""
	if req.Body != nil {
		seen = req.Body.StageHash
	}
	run, err := s.Runs.Approve(ctx, orgOf(ctx), store.ID(req.Run), seen, causeOf(ctx, "approved"))
	if err != nil {
		return nil, err
	}
	return openapi.ApproveRun202JSONResponse(renderRun(run)), nil
}

// DiscardRun ends a plan or a held run.
func (s *Server) DiscardRun(ctx context.Context, req openapi.DiscardRunRequestObject) (openapi.DiscardRunResponseObject, error) {
	run, err := s.Runs.Discard(ctx, orgOf(ctx), store.ID(req.Run), causeOf(ctx, "discarded"))
	if err != nil {
		return nil, err
	}
	return openapi.DiscardRun200JSONResponse(renderRun(run)), nil
}

// ListRuns lists a page of a directory's runs, newest first.
func (s *Server) ListRuns(ctx context.Context, req openapi.ListRunsRequestObject) (openapi.ListRunsResponseObject, error) {
	before, err := place(cursorRuns, req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	out := openapi.RunList{Items: []openapi.Run{}}
	limit := limitOf(req.Params.Limit)
	err = s.Store.View(ctx, func(r store.Reader) error {
		d, err := r.Directory(ctx, orgOf(ctx), req.Directory)
		if err != nil {
			return err
		}
		runs, err := r.Runs(ctx, store.RunQuery{Org: d.Org, Directory: &d.Key, Before: store.Key(before), Limit: limit + 1})
		if err != nil {
			return err
		}
		runs, more := cut(runs, limit)
		out.Items = out.Items[:0]
		for i := range runs {
			out.Items = append(out.Items, renderRun(&runs[i]))
		}
		if more {
			out.NextCursor = cursor(cursorRuns, int64(runs[limit-1].Key))
		}
		return nil
	})
	return openapi.ListRuns200JSONResponse(out), err
}

// GetRun returns a run; a held one says why.
func (s *Server) GetRun(ctx context.Context, req openapi.GetRunRequestObject) (openapi.GetRunResponseObject, error) {
	var out openapi.Run
	err := s.Store.View(ctx, func(r store.Reader) error {
		run, err := r.Run(ctx, orgOf(ctx), store.ID(req.Run))
		if err != nil {
			return err
		}
		out = renderRun(run)
		held := run.State == store.RunHeld
		if !held && !deref(req.Params.Findings) {
			return nil
		}
		found, err := r.Findings(ctx, store.FindingQuery{Org: run.Org, Directory: &run.Directory, Run: run.Key, Open: true, Limit: runFindings})
		if err != nil {
			return err
		}
		if held {
			out.HoldReason = holdReason(found)
		}
		if deref(req.Params.Findings) {
			list, err := renderFindings(ctx, r, found)
			if err != nil {
				return err
			}
			out.Findings = &list
		}
		return nil
	})
	return openapi.GetRun200JSONResponse(out), err
}

// holdReason is what the guard said (rule 6).
func holdReason(found []store.Finding) string {
	var said []string
	for i := range found {
		if r := found[i].Rule; r == store.RuleGuard || r == store.RuleVanished {
			said = append(said, found[i].Sentence)
		}
	}
	return strings.Join(said, "; ")
}

// itemWindows is how many windows of a run one page of its items is planned from at
// most, so that a filter that lets few records through takes bounded time.
const itemWindows = 20

// ListRunItems lists a page of what a run would make of its records if it were
// applied now.
func (s *Server) ListRunItems(ctx context.Context, req openapi.ListRunItemsRequestObject) (openapi.ListRunItemsResponseObject, error) {
	at, err := placeOfItem(req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	var run *store.Run
	err = s.Store.View(ctx, func(r store.Reader) error {
		run, err = r.Run(ctx, orgOf(ctx), store.ID(req.Run))
		return err
	})
	if err != nil {
		return nil, err
	}
	if run.Phase != store.PhaseReady {
		return nil, noItems(run)
	}
	out := openapi.RunItemList{Items: []openapi.RunItem{}}
	limit := limitOf(req.Params.Limit)
	for end := at.window + itemWindows; at.window < min(end, run.Windows) && len(out.Items) < limit; {
		items, err := s.Runs.PlanItems(ctx, run.Org, run.ID, at.window)
		if err != nil {
			return nil, err
		}
		for ; at.index < len(items) && len(out.Items) < limit; at.index++ {
			if item := &items[at.index]; wanted(item, &req.Params) {
				out.Items = append(out.Items, renderItem(item))
			}
		}
		if at.index >= len(items) {
			at = itemPlace{window: at.window + 1}
		}
	}
	if at.window < run.Windows {
		out.NextCursor = at.cursor()
	}
	return openapi.ListRunItems200JSONResponse(out), nil
}

// noItems says why a run does not tell what it would do.
func noItems(run *store.Run) error {
	e := store.Errorf(store.CodeConflict, "run %s is %s, in phase %s: only a plan that is ready and a held run tell what they would do",
		run.ID, run.State, run.Phase)
	e.Resource = "run " + string(run.ID)
	e.Hint = "make a new plan of the directory " + run.DirectoryName
	switch {
	case run.State == store.RunPlanned:
		e.Hint = "wait until the plan is in phase ready"
	case !run.State.Finished() || run.State == store.RunSucceeded:
		e.Hint = "the counts and findings of the run tell what it does"
	}
	return e
}

func wanted(item *store.PlanItem, by *openapi.ListRunItemsParams) bool {
	return (by.Type == nil || store.Kind(*by.Type) == item.Kind) && (by.Outcome == nil || store.Outcome(*by.Outcome) == item.Outcome)
}

func renderItem(item *store.PlanItem) openapi.RunItem {
	return openapi.RunItem{
		Type: string(item.Kind), ID: string(item.ID), ExternalID: item.ExternalID, Name: item.Name, DN: item.DN,
		Outcome: openapi.Outcome(item.Outcome), Reason: item.Reason,
	}
}

func renderRun(run *store.Run) openapi.Run {
	out := openapi.Run{
		ID: string(run.ID), Directory: run.DirectoryName,
		State: openapi.RunState(run.State), Phase: openapi.RunPhase(run.Phase), Apply: run.Apply,
		Incremental: run.Incremental, FullBecause: run.FullBecause, ApprovedBy: run.ApprovedBy, DiscardedBy: run.DiscardedBy, Error: run.Error,
		Counts:   openapi.RunCounts{Users: openapi.Counts(run.Counts.Users), Groups: openapi.Counts(run.Counts.Groups)},
		Progress: openapi.RunProgress(run.Progress), Phases: []openapi.PhaseTime{}, Plan: run.Plan,
		Cause:     renderCause(run.Cause),
		CreatedAt: run.CreatedAt, StartedAt: optional(run.StartedAt), FinishedAt: optional(run.FinishedAt),
	}
	if run.Phase == store.PhaseReady {
		out.StageHash = run.StageHash
	}
	if only := run.Selection; only != nil {
		out.Selected = &openapi.RunSelection{Users: only.Users, Groups: only.Groups}
	}
	for _, p := range run.Phases {
		out.Phases = append(out.Phases, openapi.PhaseTime{Phase: openapi.RunPhase(p.Phase), Start: p.Start, Seconds: p.Seconds})
	}
	return out
}

func renderCause(c store.Cause) *openapi.Cause {
	return &openapi.Cause{Actor: openapi.Actor(c.Actor), Reason: c.Reason, Run: string(c.Run), Request: c.Request, Address: c.Address}
}
