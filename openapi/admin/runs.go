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
	p := req.Params
	q := store.RunQuery{Org: orgOf(ctx), State: store.RunState(deref(p.State)), From: deref(p.CreatedSince), Until: deref(p.CreatedBefore)}
	out, err := s.runs(ctx, q, &req.Directory, p.Cursor, p.Limit)
	return openapi.ListRuns200JSONResponse(out), err
}

// ListAllRuns lists a page of the runs of all directories, newest first.
func (s *Server) ListAllRuns(ctx context.Context, req openapi.ListAllRunsRequestObject) (openapi.ListAllRunsResponseObject, error) {
	p := req.Params
	q := store.RunQuery{Org: orgOf(ctx), State: store.RunState(deref(p.State)), From: deref(p.CreatedSince), Until: deref(p.CreatedBefore)}
	out, err := s.runs(ctx, q, nil, p.Cursor, p.Limit)
	return openapi.ListAllRuns200JSONResponse(out), err
}

func (s *Server) runs(ctx context.Context, q store.RunQuery, directory, after *string, limit *int) (out openapi.RunList, err error) {
	before, err := place(cursorRuns, after)
	if err != nil {
		return out, err
	}
	size := limitOf(limit)
	q.Before, q.Limit = store.Key(before), size+1
	err = s.Store.View(ctx, func(r store.Reader) error {
		if directory != nil {
			d, err := r.Directory(ctx, q.Org, *directory)
			if err != nil {
				return err
			}
			q.Directory = &d.Key
		}
		runs, err := r.Runs(ctx, q)
		if err != nil {
			return err
		}
		runs, more := cut(runs, size)
		out.Items = make([]openapi.Run, len(runs))
		for i := range runs {
			out.Items[i] = renderRun(&runs[i])
		}
		if more {
			out.NextCursor = cursor(cursorRuns, int64(runs[size-1].Key))
		}
		return nil
	})
	return out, err
}

// GetRun returns a run; a held one says why. A client that asked for server-sent events
// is sent it each time that it has moved.
func (s *Server) GetRun(ctx context.Context, req openapi.GetRunRequestObject) (openapi.GetRunResponseObject, error) {
	id, findings := store.ID(req.Run), deref(req.Params.Findings)
	if !requestOf(ctx).stream {
		out, _, err := s.run(ctx, id, func(*store.Run) bool { return findings })
		return openapi.GetRun200JSONResponse(out), err
	}
	if _, _, err := s.run(ctx, id, func(*store.Run) bool { return false }); err != nil {
		return nil, err
	}
	if err := s.openStream(); err != nil {
		return nil, err
	}
	return &runStream{flow: flow{s: s, ctx: ctx}, id: id, findings: findings}, nil
}

// run reads a run, with its first findings if they are wanted.
func (s *Server) run(ctx context.Context, id store.ID, findings func(*store.Run) bool) (out openapi.Run, run *store.Run, err error) {
	err = s.Store.View(ctx, func(r store.Reader) error {
		if run, err = r.Run(ctx, orgOf(ctx), id); err != nil {
			return err
		}
		out = renderRun(run)
		held, wanted := run.State == store.RunHeld, findings(run)
		if !held && !wanted {
			return nil
		}
		found, err := r.Findings(ctx, store.FindingQuery{Org: run.Org, Directory: &run.Directory, Run: run.Key, Open: true, Limit: runFindings})
		if err != nil {
			return err
		}
		if held {
			out.HoldReason = holdReason(found)
		}
		if wanted {
			list, err := renderFindings(ctx, r, found)
			if err != nil {
				return err
			}
			out.Findings = &list
		}
		return nil
	})
	return out, run, err
}

// holdReason is what the guard said (rule 6).
func holdReason(found []store.Finding) string {
	var said []string
	for i := range found {
		if r := found[i].Rule; r == store.RuleGuard || r == store.RuleVanished || r == store.RuleHidden {
			said = append(said, found[i].Sentence)
		}
	}
	return strings.Join(said, "; ")
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
	} else {
		out.Drift = renderDrift(run.Drift)
	}
	if only := run.Selection; only != nil {
		out.Selected = &openapi.RunSelection{Users: only.Users, Groups: only.Groups}
	}
	for _, p := range run.Phases {
		out.Phases = append(out.Phases, openapi.PhaseTime{Phase: openapi.RunPhase(p.Phase), Start: p.Start, Seconds: p.Seconds})
	}
	return out
}

func renderDrift(d *store.Drift) *openapi.RunDrift {
	if d == nil {
		return nil
	}
	out := &openapi.RunDrift{Users: d.Users, Groups: d.Groups, Unknown: d.Unknown}
	if len(d.Records) > 0 {
		records := make([]openapi.RunDriftRecord, len(d.Records))
		for i, r := range d.Records {
			records[i] = openapi.RunDriftRecord{
				Type: string(r.Kind), ID: string(r.ID), ExternalID: r.ExternalID, Name: r.Name, Outcome: openapi.Outcome(r.Outcome),
			}
		}
		out.Records = &records
	}
	return out
}

func renderCause(c store.Cause) *openapi.Cause {
	return &openapi.Cause{Actor: openapi.Actor(c.Actor), Reason: c.Reason, Run: string(c.Run), Request: c.Request, Address: c.Address}
}
