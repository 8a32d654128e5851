package admin

import (
	"context"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// ListScopeEntries lists a page of what imports have put in a directory's scope.
func (s *Server) ListScopeEntries(ctx context.Context, req openapi.ListScopeEntriesRequestObject) (openapi.ListScopeEntriesResponseObject, error) {
	after, err := place(cursorScope, req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	out := openapi.ScopeEntryList{Items: []openapi.ScopeEntry{}}
	limit := limitOf(req.Params.Limit)
	err = s.Store.View(ctx, func(r store.Reader) error {
		d, err := r.Directory(ctx, orgOf(ctx), req.Directory)
		if err != nil {
			return err
		}
		list, err := r.ScopeEntries(ctx, store.ScopeQuery{Org: d.Org, Directory: d.Key, After: store.Key(after), Limit: limit + 1})
		if err != nil {
			return err
		}
		list, more := cut(list, limit)
		out.Items = out.Items[:0]
		for _, e := range list {
			out.Items = append(out.Items, openapi.ScopeEntry{Type: string(e.Kind), ExternalID: e.ExternalID, Name: e.Name, JoinedAt: e.JoinedAt})
		}
		if more {
			out.NextCursor = cursor(cursorScope, int64(list[limit-1].Key))
		}
		return nil
	})
	return openapi.ListScopeEntries200JSONResponse(out), err
}

// DeleteScopeEntry takes a user or a group out of a directory's scope.
func (s *Server) DeleteScopeEntry(ctx context.Context, req openapi.DeleteScopeEntryRequestObject) (openapi.DeleteScopeEntryResponseObject, error) {
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		d, err := tx.Directory(ctx, orgOf(ctx), req.Directory)
		if err != nil {
			return err
		}
		gone, err := tx.LeaveScope(ctx, d.Org, d.Key, req.Entry, s.now())
		if err != nil {
			return err
		}
		return s.log(ctx, tx, change{
			org: d.Org, directory: d.Key, typ: store.EventDirectoryUpdated, kind: "Directory", id: d.ID,
			before: map[string]any{"scope_entries": []store.ScopeEntry{*gone}},
		})
	})
	return openapi.DeleteScopeEntry204Response{}, err
}
