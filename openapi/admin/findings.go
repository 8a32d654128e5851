package admin

import (
	"context"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// ListFindings lists a page of an organization's findings.
func (s *Server) ListFindings(ctx context.Context, req openapi.ListFindingsRequestObject) (openapi.ListFindingsResponseObject, error) {
	p := req.Params
	var out openapi.FindingList
	err := s.Store.View(ctx, func(r store.Reader) error {
		q := chosen(p.State, p.Rule, p.Type, p.Record)
		q.Org = orgOf(ctx)
		if p.Directory != nil {
			d, err := r.Directory(ctx, q.Org, *p.Directory)
			if err != nil {
				return err
			}
			q.Directory = &d.Key
		}
		var err error
		out, err = findings(ctx, r, q, p.Cursor, p.Limit)
		return err
	})
	return openapi.ListFindings200JSONResponse(out), err
}

// ListDirectoryFindings lists a page of a directory's findings.
func (s *Server) ListDirectoryFindings(ctx context.Context, req openapi.ListDirectoryFindingsRequestObject) (openapi.ListDirectoryFindingsResponseObject, error) {
	p := req.Params
	var out openapi.FindingList
	err := s.Store.View(ctx, func(r store.Reader) error {
		d, err := r.Directory(ctx, orgOf(ctx), req.Directory)
		if err != nil {
			return err
		}
		q := chosen(p.State, p.Rule, p.Type, p.Record)
		q.Org, q.Directory = d.Org, &d.Key
		out, err = findings(ctx, r, q, p.Cursor, p.Limit)
		return err
	})
	return openapi.ListDirectoryFindings200JSONResponse(out), err
}

// ListRunFindings lists a page of the findings that a run was the last to see. What is
// resolved asks nothing of anybody, such as the guard's after approval.
func (s *Server) ListRunFindings(ctx context.Context, req openapi.ListRunFindingsRequestObject) (openapi.ListRunFindingsResponseObject, error) {
	p := req.Params
	var out openapi.FindingList
	err := s.Store.View(ctx, func(r store.Reader) error {
		run, err := r.Run(ctx, orgOf(ctx), store.ID(req.Run))
		if err != nil {
			return err
		}
		q := chosen(p.State, p.Rule, p.Type, p.Record)
		q.Org, q.Directory, q.Run = run.Org, &run.Directory, run.Key
		out, err = findings(ctx, r, q, p.Cursor, p.Limit)
		return err
	})
	return openapi.ListRunFindings200JSONResponse(out), err
}

// chosen is a query of findings with what the client narrows it to.
func chosen(state, rule, kind, record *string) store.FindingQuery {
	q := store.FindingQuery{
		Open: deref(state) == "" || deref(state) == "open", Resolved: deref(state) == "resolved",
		Kind: store.Kind(deref(kind)), Record: deref(record),
	}
	if rule != nil {
		q.Rules = []string{*rule}
	}
	return q
}

func findings(ctx context.Context, r store.Reader, q store.FindingQuery, after *string, limit *int) (openapi.FindingList, error) {
	var out openapi.FindingList
	from, err := place(cursorFindings, after)
	if err != nil {
		return out, err
	}
	size := limitOf(limit)
	q.After, q.Limit = store.Key(from), size+1
	found, err := r.Findings(ctx, q)
	if err != nil {
		return out, err
	}
	found, more := cut(found, size)
	if more {
		out.NextCursor = cursor(cursorFindings, int64(found[size-1].Key))
	}
	out.Items, err = renderFindings(ctx, r, found)
	return out, err
}

func renderFindings(ctx context.Context, r store.Reader, found []store.Finding) ([]openapi.Finding, error) {
	owners, err := ownersOf(ctx, r, orgOf(ctx))
	if err != nil {
		return nil, err
	}
	out := make([]openapi.Finding, len(found))
	for i := range found {
		f := &found[i]
		out[i] = openapi.Finding{
			ID: string(f.ID), Rule: f.Rule, Type: string(f.Kind), Record: f.Record, Name: f.Name, DN: f.DN,
			Sentence: f.Sentence, Run: string(f.RunID),
			OpenedAt: f.OpenedAt, SeenAt: f.SeenAt, ResolvedAt: optional(f.ResolvedAt),
		}
		out[i].Directory, _ = owners.name(f.Directory)
	}
	return out, nil
}
