package admin

import (
	"context"
	"strings"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// ListEntitlements lists a page of roles, licences and products.
func (s *Server) ListEntitlements(ctx context.Context, req openapi.ListEntitlementsRequestObject) (openapi.ListEntitlementsResponseObject, error) {
	after, err := place(cursorEntitlements, req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	q := store.EntitlementQuery{Org: orgOf(ctx), Kind: store.EntitlementKind(deref(req.Params.Kind)), After: store.Key(after), Limit: limitOf(req.Params.Limit)}
	out := openapi.ListEntitlements200JSONResponse{}
	err = s.Store.View(ctx, func(r store.Reader) error {
		page, err := r.Entitlements(ctx, q)
		out.Items, out.NextCursor = make([]openapi.Entitlement, len(page.Items)), ""
		for i := range page.Items {
			out.Items[i] = renderEntitlement(&page.Items[i])
		}
		if n := len(page.Items); page.More && n > 0 {
			out.NextCursor = cursor(cursorEntitlements, int64(page.Items[n-1].Key))
		}
		return err
	})
	return out, err
}

// CreateEntitlement creates a role, a licence or a product.
func (s *Server) CreateEntitlement(ctx context.Context, req openapi.CreateEntitlementRequestObject) (openapi.CreateEntitlementResponseObject, error) {
	name, err := checkName(req.Body.Name)
	if err != nil {
		return nil, err
	}
	now := s.now()
	e := store.Entitlement{
		ID: store.NewID(now), Org: orgOf(ctx), Kind: store.EntitlementKind(req.Body.Kind), Name: name,
		Description: strings.TrimSpace(deref(req.Body.Description)), Seats: req.Body.Seats, CreatedAt: now, UpdatedAt: now,
	}
	if err := checkSeats(&e); err != nil {
		return nil, err
	}
	err = s.Store.Update(ctx, func(tx store.Tx) error {
		e.Key = 0
		if err := tx.CreateEntitlement(ctx, &e); err != nil {
			return err
		}
		return s.logEntitlement(ctx, tx, store.EventEntitlementCreated, nil, &e)
	})
	if err != nil {
		return nil, err
	}
	return openapi.CreateEntitlement201JSONResponse(renderEntitlement(&e)), nil
}

func checkSeats(e *store.Entitlement) error {
	if e.Seats != nil && e.Kind != store.EntitlementLicence {
		return invalid("seats", "", "only a licence has seats; this is a %s", e.Kind)
	}
	return nil
}

// GetEntitlement returns one.
func (s *Server) GetEntitlement(ctx context.Context, req openapi.GetEntitlementRequestObject) (openapi.GetEntitlementResponseObject, error) {
	e, err := s.entitlement(ctx, req.Entitlement)
	if err != nil {
		return nil, err
	}
	out := renderEntitlement(e)
	tag := entityTag(e.Revision, &out)
	if isKnown(req.Params.IfNoneMatch, tag) {
		return openapi.GetEntitlement304Response{Headers: openapi.GetEntitlement304ResponseHeaders{ETag: tag}}, nil
	}
	return openapi.GetEntitlement200JSONResponse{Body: out, Headers: openapi.GetEntitlement200ResponseHeaders{ETag: tag}}, nil
}

// UpdateEntitlement changes what is given. A change that changes nothing writes
// nothing.
func (s *Server) UpdateEntitlement(ctx context.Context, req openapi.UpdateEntitlementRequestObject) (openapi.UpdateEntitlementResponseObject, error) {
	var after store.Entitlement
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		before, err := tx.Entitlement(ctx, orgOf(ctx), req.Entitlement)
		if err != nil {
			return err
		}
		if err := matches(req.Params.IfMatch, before.Revision); err != nil {
			return err
		}
		after = *before
		if v := req.Body.Description; v != nil {
			after.Description = strings.TrimSpace(*v)
		}
		if v := req.Body.Seats; v != nil {
			after.Seats = v
			if *v == 0 {
				after.Seats = nil
			}
		}
		if err := checkSeats(&after); err != nil {
			return err
		}
		if after.Description == before.Description && sameSeats(before.Seats, after.Seats) {
			return nil
		}
		after.UpdatedAt = s.now()
		if err := tx.UpdateEntitlement(ctx, &after); err != nil {
			return err
		}
		return s.logEntitlement(ctx, tx, store.EventEntitlementUpdated, before, &after)
	})
	if err != nil {
		return nil, raced(req.Params.IfMatch, err)
	}
	out := renderEntitlement(&after)
	return openapi.UpdateEntitlement200JSONResponse{
		Body: out, Headers: openapi.UpdateEntitlement200ResponseHeaders{ETag: entityTag(after.Revision, &out)},
	}, nil
}

func sameSeats(a, b *int) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// DeleteEntitlement takes it from everyone and deletes it.
func (s *Server) DeleteEntitlement(ctx context.Context, req openapi.DeleteEntitlementRequestObject) (openapi.DeleteEntitlementResponseObject, error) {
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		e, err := tx.Entitlement(ctx, orgOf(ctx), req.Entitlement)
		if err != nil {
			return err
		}
		if err := matches(req.Params.IfMatch, e.Revision); err != nil {
			return err
		}
		if e.Kind == store.EntitlementRole {
			if err := notDefault(ctx, tx, e); err != nil {
				return err
			}
		}
		if err := tx.DeleteEntitlement(ctx, e.Org, e.Key); err != nil {
			return err
		}
		return s.logEntitlement(ctx, tx, store.EventEntitlementDeleted, e, nil)
	})
	return openapi.DeleteEntitlement204Response{}, err
}

// notDefault refuses to delete a role that a directory gives to new users.
func notDefault(ctx context.Context, r store.Reader, role *store.Entitlement) error {
	all, err := r.Directories(ctx, role.Org)
	if err != nil {
		return err
	}
	for i := range all {
		for _, name := range all[i].Settings.DefaultRoles {
			if store.Fold(name) == store.Fold(role.Name) {
				return &store.Error{
					Code: store.CodeConflict, Resource: role.Ref(), Message: "the directory " + all[i].Name + " gives " + role.Ref() + " to new users",
					Hint: "take it out of the directory's default_roles first",
				}
			}
		}
	}
	return nil
}

// ListHolders lists who holds an entitlement itself.
func (s *Server) ListHolders(ctx context.Context, req openapi.ListHoldersRequestObject) (openapi.ListHoldersResponseObject, error) {
	after, err := memberPlace(req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	out := openapi.ListHolders200JSONResponse{}
	err = s.Store.View(ctx, func(r store.Reader) error {
		e, err := r.Entitlement(ctx, orgOf(ctx), req.Entitlement)
		if err != nil {
			return err
		}
		page, err := r.Holders(ctx, store.HolderQuery{Org: e.Org, Entitlement: e.Key, After: after, Limit: limitOf(req.Params.Limit)})
		out.Items, out.NextCursor = make([]openapi.Holder, len(page.Items)), ""
		for i := range page.Items {
			h := &page.Items[i]
			out.Items[i] = openapi.Holder{
				ID: string(h.ID), Type: string(h.Kind), UserName: h.UserName, DisplayName: h.DisplayName,
				GrantedAt: h.GrantedAt, SuspendedAt: optional(h.SuspendedAt),
			}
		}
		if n := len(page.Items); page.More && n > 0 {
			out.NextCursor = memberCursor(&page.Items[n-1].Member)
		}
		return err
	})
	return out, err
}

func (s *Server) entitlement(ctx context.Context, ref string) (e *store.Entitlement, err error) {
	err = s.Store.View(ctx, func(r store.Reader) error {
		e, err = r.Entitlement(ctx, orgOf(ctx), ref)
		return err
	})
	return e, err
}

func (s *Server) logEntitlement(ctx context.Context, tx store.Tx, typ string, before, after *store.Entitlement) error {
	c := change{typ: typ, kind: "Entitlement"}
	for _, e := range []*store.Entitlement{before, after} {
		if e != nil {
			c.org, c.id = e.Org, e.ID
		}
	}
	if before != nil {
		c.before = describeEntitlement(before)
	}
	if after != nil {
		c.after = describeEntitlement(after)
	}
	return s.log(ctx, tx, c)
}

func describeEntitlement(e *store.Entitlement) any {
	d := map[string]any{"kind": e.Kind, "name": e.Name, "description": e.Description}
	if e.Seats != nil {
		d["seats"] = *e.Seats
	}
	return d
}

func renderEntitlement(e *store.Entitlement) openapi.Entitlement {
	out := openapi.Entitlement{
		ID: string(e.ID), Kind: openapi.EntitlementKind(e.Kind), Name: e.Name, Description: e.Description,
		Seats: e.Seats, Revision: e.Revision, CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt,
	}
	if e.Kind == store.EntitlementLicence {
		out.Taken = &e.Taken
	}
	return out
}
