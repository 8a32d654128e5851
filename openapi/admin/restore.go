package admin

import (
	"context"
	"time"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// RestoreUser undoes the soft deletion of a user, whoever owns it (rule 7).
func (s *Server) RestoreUser(ctx context.Context, req openapi.RestoreUserRequestObject) (openapi.RestoreUserResponseObject, error) {
	u, err := s.Reconciler.RestoreUser(ctx, orgOf(ctx), req.User, causeOf(ctx, "REST"))
	if err != nil {
		return nil, err
	}
	var out openapi.RestoreUser200JSONResponse
	err = s.Store.View(ctx, func(r store.Reader) error {
		list, err := renderUsers(ctx, r, []store.User{*u})
		if err == nil {
			out = openapi.RestoreUser200JSONResponse(list[0])
		}
		return err
	})
	return out, err
}

// RestoreGroup undoes the soft deletion of a group, whoever owns it (rule 7).
func (s *Server) RestoreGroup(ctx context.Context, req openapi.RestoreGroupRequestObject) (openapi.RestoreGroupResponseObject, error) {
	g, err := s.Reconciler.RestoreGroup(ctx, orgOf(ctx), req.Group, causeOf(ctx, "REST"))
	if err != nil {
		return nil, err
	}
	var out openapi.RestoreGroup200JSONResponse
	err = s.Store.View(ctx, func(r store.Reader) error {
		list, err := renderGroups(ctx, r, []store.Group{*g})
		if err == nil {
			out = openapi.RestoreGroup200JSONResponse(list[0])
		}
		return err
	})
	return out, err
}

// whenDeleted is a record's deleted_at: nil if it is not deleted.
func whenDeleted(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}
