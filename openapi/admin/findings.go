package admin

import (
	"context"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// ListDirectoryFindings lists a page of a directory's open findings.
func (s *Server) ListDirectoryFindings(ctx context.Context, req openapi.ListDirectoryFindingsRequestObject) (openapi.ListDirectoryFindingsResponseObject, error) {
	var out openapi.FindingList
	err := s.Store.View(ctx, func(r store.Reader) error {
		d, err := r.Directory(ctx, orgOf(ctx), req.Directory)
		if err != nil {
			return err
		}
		out, err = findings(ctx, r, store.FindingQuery{Org: d.Org, Directory: &d.Key, Open: true}, req.Params.Cursor, req.Params.Limit)
		return err
	})
	return openapi.ListDirectoryFindings200JSONResponse(out), err
}

// ListRunFindings lists a page of the open findings that a run was the last to see.
// What is resolved asks nothing of anybody, such as the guard's after approval.
func (s *Server) ListRunFindings(ctx context.Context, req openapi.ListRunFindingsRequestObject) (openapi.ListRunFindingsResponseObject, error) {
	var out openapi.FindingList
	err := s.Store.View(ctx, func(r store.Reader) error {
		run, err := r.Run(ctx, orgOf(ctx), store.ID(req.Run))
		if err != nil {
			return err
		}
		out, err = findings(ctx, r, store.FindingQuery{Org: run.Org, Directory: &run.Directory, Run: run.Key, Open: true}, req.Params.Cursor, req.Params.Limit)
		return err
	})
	return openapi.ListRunFindings200JSONResponse(out), err
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
