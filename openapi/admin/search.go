package admin

import (
	"context"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// mostHits is how many hits a search shows that asks for no number.
const mostHits = 100

// SearchDirectory asks a live directory and judges what it finds.
func (s *Server) SearchDirectory(ctx context.Context, req openapi.SearchDirectoryRequestObject) (openapi.SearchDirectoryResponseObject, error) {
	limit := mostHits
	if req.Body.Limit != nil {
		limit = *req.Body.Limit
	}
	q := store.DirectorySearch{UserName: req.Body.UserName, GroupName: req.Body.GroupName, Filter: req.Body.Filter}
	result, err := s.Runs.Search(ctx, orgOf(ctx), req.Directory, q, limit)
	if err != nil {
		return nil, err
	}
	out := openapi.SearchResult{Items: make([]openapi.SearchHit, len(result.Hits)), More: result.More}
	for i := range result.Hits {
		out.Items[i] = renderHit(&result.Hits[i])
	}
	return openapi.SearchDirectory200JSONResponse(out), nil
}

func renderHit(h *store.SearchHit) openapi.SearchHit {
	out := openapi.SearchHit{
		Type: string(h.Kind), Status: openapi.SearchStatus(h.Status), Outcome: openapi.Outcome(h.Outcome), Name: h.Name, DisplayName: h.DisplayName,
		ExternalID: h.ExternalID, DN: h.DN, ID: string(h.ID), Reason: h.Reason,
	}
	if w := h.With; w != nil {
		out.With = &openapi.SearchConflict{ID: string(w.ID), Name: w.Name, Directory: w.DirectoryName}
	}
	return out
}
