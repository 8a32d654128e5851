package admin

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// ListUserGrants lists what a user holds, itself and by its groups.
func (s *Server) ListUserGrants(ctx context.Context, req openapi.ListUserGrantsRequestObject) (openapi.ListUserGrantsResponseObject, error) {
	out, err := s.grants(ctx, req.Params.Cursor, req.Params.Limit, func(r store.Reader) (store.Edge, error) {
		u, err := r.User(ctx, orgOf(ctx), req.User)
		if err != nil {
			return store.Edge{}, err
		}
		return store.Edge{Kind: store.KindUser, Key: u.Key}, nil
	})
	return openapi.ListUserGrants200JSONResponse(out), err
}

// ListGroupGrants lists what a group holds.
func (s *Server) ListGroupGrants(ctx context.Context, req openapi.ListGroupGrantsRequestObject) (openapi.ListGroupGrantsResponseObject, error) {
	out, err := s.grants(ctx, req.Params.Cursor, req.Params.Limit, func(r store.Reader) (store.Edge, error) {
		g, err := r.Group(ctx, orgOf(ctx), req.Group)
		if err != nil {
			return store.Edge{}, err
		}
		return store.Edge{Kind: store.KindGroup, Key: g.Key}, nil
	})
	return openapi.ListGroupGrants200JSONResponse(out), err
}

func (s *Server) grants(ctx context.Context, at *string, limit *int, find func(store.Reader) (store.Edge, error)) (out openapi.GrantList, err error) {
	after, err := grantPlace(at)
	if err != nil {
		return out, err
	}
	err = s.Store.View(ctx, func(r store.Reader) error {
		record, err := find(r)
		if err != nil {
			return err
		}
		page, err := r.Grants(ctx, store.GrantQuery{Org: orgOf(ctx), Record: record, After: after, Limit: limitOf(limit)})
		out = openapi.GrantList{Items: make([]openapi.Grant, len(page.Items))}
		for i := range page.Items {
			out.Items[i] = renderGrant(&page.Items[i])
		}
		if n := len(page.Items); page.More && n > 0 {
			last := &page.Items[n-1]
			out.NextCursor = grantCursor(store.GrantPlace{Entitlement: last.Entitlement.Key, Via: last.Via})
		}
		return err
	})
	return out, err
}

func renderGrant(g *store.Grant) openapi.Grant {
	out := openapi.Grant{
		ID: string(g.Entitlement.ID), Kind: openapi.EntitlementKind(g.Entitlement.Kind), Name: g.Entitlement.Name,
		GrantedAt: g.GrantedAt, SuspendedAt: optional(g.SuspendedAt),
	}
	if g.Via != 0 {
		out.Via = &openapi.GrantVia{ID: string(g.ViaID), DisplayName: g.ViaName}
	}
	return out
}

// grantCursor is where a list of grants goes on.
func grantCursor(p store.GrantPlace) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s%d.%d", cursorGrants, p.Entitlement, p.Via))
}

func grantPlace(given *string) (p store.GrantPlace, err error) {
	if given == nil || *given == "" {
		return p, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(*given)
	if err == nil {
		entitlement, via, _ := strings.Cut(strings.TrimPrefix(string(text), cursorGrants), ".")
		e, badEntitlement := strconv.ParseInt(entitlement, 10, 64)
		v, badVia := strconv.ParseInt(via, 10, 64)
		p = store.GrantPlace{Entitlement: store.Key(e), Via: store.Key(v)}
		if badEntitlement == nil && badVia == nil && grantCursor(p) == *given {
			return p, nil
		}
	}
	return store.GrantPlace{}, notOfThisList()
}

// GrantToUser grants a role or a licence.
func (s *Server) GrantToUser(ctx context.Context, req openapi.GrantToUserRequestObject) (openapi.GrantToUserResponseObject, error) {
	_, _, err := s.Reconciler.Grant(ctx, orgOf(ctx), req.Entitlement, reconcile.Holder{Kind: store.KindUser, Ref: req.User}, causeOf(ctx, "REST"))
	return openapi.GrantToUser204Response{}, err
}

// RevokeFromUser takes a role or a licence.
func (s *Server) RevokeFromUser(ctx context.Context, req openapi.RevokeFromUserRequestObject) (openapi.RevokeFromUserResponseObject, error) {
	_, _, err := s.Reconciler.Revoke(ctx, orgOf(ctx), req.Entitlement, reconcile.Holder{Kind: store.KindUser, Ref: req.User}, causeOf(ctx, "REST"))
	return openapi.RevokeFromUser204Response{}, err
}

// GrantToGroup grants a role or access to a product.
func (s *Server) GrantToGroup(ctx context.Context, req openapi.GrantToGroupRequestObject) (openapi.GrantToGroupResponseObject, error) {
	_, _, err := s.Reconciler.Grant(ctx, orgOf(ctx), req.Entitlement, reconcile.Holder{Kind: store.KindGroup, Ref: req.Group}, causeOf(ctx, "REST"))
	return openapi.GrantToGroup204Response{}, err
}

// RevokeFromGroup takes a role or access to a product.
func (s *Server) RevokeFromGroup(ctx context.Context, req openapi.RevokeFromGroupRequestObject) (openapi.RevokeFromGroupResponseObject, error) {
	_, _, err := s.Reconciler.Revoke(ctx, orgOf(ctx), req.Entitlement, reconcile.Holder{Kind: store.KindGroup, Ref: req.Group}, causeOf(ctx, "REST"))
	return openapi.RevokeFromGroup204Response{}, err
}

// GetBillable counts the billable users (rule 9).
func (s *Server) GetBillable(ctx context.Context, _ openapi.GetBillableRequestObject) (openapi.GetBillableResponseObject, error) {
	out := openapi.GetBillable200JSONResponse{}
	err := s.Store.View(ctx, func(r store.Reader) error {
		b, err := r.Billable(ctx, orgOf(ctx))
		if err != nil {
			return err
		}
		out.Users, out.Products = b.Users, make([]openapi.ProductUsers, len(b.Products))
		for i := range b.Products {
			p := &b.Products[i]
			out.Products[i] = openapi.ProductUsers{ID: string(p.Product.ID), Name: p.Product.Name, Users: p.Users}
		}
		return nil
	})
	return out, err
}
