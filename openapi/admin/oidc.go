package admin

import (
	"context"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// ListOIDCBindings lists a page of by which tokens of OpenID Connect issuers clients push to a
// directory.
func (s *Server) ListOIDCBindings(ctx context.Context, req openapi.ListOIDCBindingsRequestObject) (openapi.ListOIDCBindingsResponseObject, error) {
	before, err := place(cursorBindings, req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	var out openapi.OIDCBindingList
	err = s.Store.View(ctx, func(r store.Reader) error {
		d, err := r.Directory(ctx, orgOf(ctx), req.Directory)
		if err != nil {
			return err
		}
		page, err := r.OIDCBindingPage(ctx, store.OIDCBindingQuery{Org: d.Org, Directory: d.Key, Before: store.Key(before), Limit: limitOf(req.Params.Limit)})
		out.Items = make([]openapi.OIDCBinding, len(page.Items))
		for i := range page.Items {
			out.Items[i] = renderBinding(&page.Items[i])
		}
		if n := len(page.Items); page.More && n > 0 {
			out.NextCursor = cursor(cursorBindings, int64(page.Items[n-1].Key))
		}
		return err
	})
	return openapi.ListOIDCBindings200JSONResponse(out), err
}

// CreateOIDCBinding makes a binding for a directory that is pushed.
func (s *Server) CreateOIDCBinding(ctx context.Context, req openapi.CreateOIDCBindingRequestObject) (openapi.CreateOIDCBindingResponseObject, error) {
	var b store.OIDCBinding
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		d, err := pushed(ctx, tx, req.Directory)
		if err != nil {
			return err
		}
		b = store.OIDCBinding{
			Org: d.Org, Directory: d.Key, Name: or(deref(req.Body.Name), "oidc"), Issuer: req.Body.Issuer, Audience: req.Body.Audience,
			Subject: deref(req.Body.Subject), AppID: deref(req.Body.AppID),
		}
		return auth.Bind(ctx, tx, &b, causeOf(ctx, "REST"), s.now())
	})
	return openapi.CreateOIDCBinding201JSONResponse(renderBinding(&b)), err
}

// DeleteOIDCBinding deletes a binding, and at once no token fits it any more.
func (s *Server) DeleteOIDCBinding(ctx context.Context, req openapi.DeleteOIDCBindingRequestObject) (openapi.DeleteOIDCBindingResponseObject, error) {
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		d, err := tx.Directory(ctx, orgOf(ctx), req.Directory)
		if err != nil {
			return err
		}
		b, err := tx.OIDCBinding(ctx, d.Org, d.Key, store.ID(req.Binding))
		if err != nil {
			return err
		}
		return auth.Unbind(ctx, tx, b, causeOf(ctx, "REST"), s.now())
	})
	if err == nil {
		s.Auth.Forget()
	}
	return openapi.DeleteOIDCBinding204Response{}, err
}

// pushed finds a directory to which clients push.
func pushed(ctx context.Context, r store.Reader, ref string) (*store.Directory, error) {
	d, err := r.Directory(ctx, orgOf(ctx), ref)
	if err != nil {
		return nil, err
	}
	if d.Kind != store.DirectorySCIM {
		return nil, &store.Error{Code: store.CodeConflict, Resource: "directory " + d.Name,
			Message: "a directory of kind " + string(d.Kind) + " is read by us; nobody pushes to it"}
	}
	return d, nil
}

func renderBinding(b *store.OIDCBinding) openapi.OIDCBinding {
	return openapi.OIDCBinding{
		ID: string(b.ID), Name: b.Name, Issuer: b.Issuer, Audience: b.Audience, Subject: b.Subject, AppID: b.AppID,
		CreatedAt: b.CreatedAt, LastUsedAt: optional(b.LastUsedAt),
	}
}
