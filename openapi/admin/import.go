package admin

import (
	"context"
	"slices"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// ImportEntries starts a run of chosen users and groups.
func (s *Server) ImportEntries(ctx context.Context, req openapi.ImportEntriesRequestObject) (openapi.ImportEntriesResponseObject, error) {
	as := &store.Import{Enabled: req.Body.Enabled}
	if as.Like = req.Body.Like; as.Like != "" && req.Body.Roles != nil {
		return nil, &store.Error{Code: store.CodeInvalid, Field: "like", Message: "like cannot be given with roles: it says which roles"}
	}
	if req.Body.Roles != nil {
		as.Roles = *req.Body.Roles
		if err := s.rolesExist(ctx, as.Roles); err != nil {
			return nil, err
		}
	}
	only := store.Selection{Users: req.Body.Users, Groups: req.Body.Groups, Import: as}
	run, err := s.Runs.StartSelected(ctx, orgOf(ctx), req.Directory, only, causeOf(ctx, "import"))
	if err != nil {
		return nil, err
	}
	return openapi.ImportEntries202JSONResponse(renderRun(run)), nil
}

// rolesExist refuses names of roles that the organization does not have.
func (s *Server) rolesExist(ctx context.Context, names []string) error {
	return s.Store.View(ctx, func(r store.Reader) error {
		have, err := r.Roles(ctx, orgOf(ctx), names)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !slices.ContainsFunc(have, func(e store.Entitlement) bool { return store.Fold(e.Name) == store.Fold(name) }) {
				return &store.Error{Code: store.CodeInvalid, Field: "roles", Message: "roles: there is no role " + name, Hint: "`provost role list` shows them"}
			}
		}
		return nil
	})
}
