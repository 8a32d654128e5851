package admin

import (
	"context"
	"time"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// ListDirectoryTokens lists a page of the tokens with which clients push to a directory.
func (s *Server) ListDirectoryTokens(ctx context.Context, req openapi.ListDirectoryTokensRequestObject) (openapi.ListDirectoryTokensResponseObject, error) {
	var out openapi.TokenList
	err := s.Store.View(ctx, func(r store.Reader) error {
		d, err := r.Directory(ctx, orgOf(ctx), req.Directory)
		if err != nil {
			return err
		}
		out, err = s.tokens(ctx, r, store.TokenQuery{Org: d.Org, Directory: d.Key, Usable: req.Params.Usable}, req.Params.Cursor, req.Params.Limit)
		return err
	})
	return openapi.ListDirectoryTokens200JSONResponse(out), err
}

func (s *Server) tokens(ctx context.Context, r store.Reader, q store.TokenQuery, after *string, limit *int) (out openapi.TokenList, err error) {
	before, err := place(cursorTokens, after)
	if err != nil {
		return out, err
	}
	q.Before, q.Limit, q.Now = store.Key(before), limitOf(limit), s.now()
	page, err := r.TokenPage(ctx, q)
	out.Items = make([]openapi.Token, len(page.Items))
	for i := range page.Items {
		out.Items[i] = renderToken(&page.Items[i])
	}
	if n := len(page.Items); page.More && n > 0 {
		out.NextCursor = cursor(cursorTokens, int64(page.Items[n-1].Key))
	}
	return out, err
}

// CreateDirectoryToken makes a token for a directory that is pushed.
func (s *Server) CreateDirectoryToken(ctx context.Context, req openapi.CreateDirectoryTokenRequestObject) (openapi.CreateDirectoryTokenResponseObject, error) {
	t := store.Token{
		Org: orgOf(ctx), Role: store.RoleDirectory,
		Name: or(deref(req.Body.Name), "token"), ExpiresAt: deref(req.Body.ExpiresAt),
	}
	out, err := s.issue(ctx, &t, func(tx store.Tx) error {
		d, err := pushed(ctx, tx, req.Directory)
		if err != nil {
			return err
		}
		t.Directory = d.Key
		return nil
	})
	return openapi.CreateDirectoryToken201JSONResponse(out), err
}

// RevokeDirectoryToken ends a token; one that is revoked already stays so.
func (s *Server) RevokeDirectoryToken(ctx context.Context, req openapi.RevokeDirectoryTokenRequestObject) (openapi.RevokeDirectoryTokenResponseObject, error) {
	err := s.revokeFound(ctx, func(tx store.Tx) (*store.Token, error) {
		d, err := tx.Directory(ctx, orgOf(ctx), req.Directory)
		if err != nil {
			return nil, err
		}
		t, err := tx.Token(ctx, d.Org, store.ID(req.Token))
		if err == nil && t.Directory != d.Key {
			err = store.Errorf(store.CodeNotFound, "token %q is not one of this directory", req.Token)
		}
		return t, err
	})
	return openapi.RevokeDirectoryToken204Response{}, err
}

// ListTokens lists a page of the tokens of administrators.
func (s *Server) ListTokens(ctx context.Context, req openapi.ListTokensRequestObject) (openapi.ListTokensResponseObject, error) {
	var out openapi.TokenList
	org, err := tokenScope(ctx, deref(req.Params.Instance))
	if err != nil {
		return nil, err
	}
	err = s.Store.View(ctx, func(r store.Reader) error {
		q := store.TokenQuery{Org: org, Role: store.TokenRole(deref(req.Params.Role)), Usable: req.Params.Usable}
		out, err = s.tokens(ctx, r, q, req.Params.Cursor, req.Params.Limit)
		return err
	})
	return openapi.ListTokens200JSONResponse(out), err
}

// CreateToken makes a token for an administrator.
func (s *Server) CreateToken(ctx context.Context, req openapi.CreateTokenRequestObject) (openapi.CreateTokenResponseObject, error) {
	org, err := tokenScope(ctx, req.Body.Instance)
	if err != nil {
		return nil, err
	}
	t := store.Token{Org: org, Name: req.Body.Name, Role: store.TokenRole(req.Body.Role), ExpiresAt: deref(req.Body.ExpiresAt)}
	out, err := s.issue(ctx, &t, func(store.Tx) error { return nil })
	return openapi.CreateToken201JSONResponse(out), err
}

// RevokeToken ends a token, of an administrator or of any directory: ids are unique.
func (s *Server) RevokeToken(ctx context.Context, req openapi.RevokeTokenRequestObject) (openapi.RevokeTokenResponseObject, error) {
	org, err := tokenScope(ctx, deref(req.Params.Instance))
	if err != nil {
		return nil, err
	}
	err = s.revokeFound(ctx, func(tx store.Tx) (*store.Token, error) { return tx.Token(ctx, org, store.ID(req.Token)) })
	return openapi.RevokeToken204Response{}, err
}

// tokenScope is whose tokens are meant: the instance's, for which only its own
// tokens will do, or the organization's.
func tokenScope(ctx context.Context, instance bool) (store.Key, error) {
	if !instance {
		return orgOf(ctx), nil
	}
	if auth.PrincipalOf(ctx).Org != 0 {
		return 0, &store.Error{Code: store.CodeForbidden, Field: "instance", Message: "this needs a token of the whole instance"}
	}
	return 0, nil
}

// issue stores a token; prepare completes it and may refuse.
func (s *Server) issue(ctx context.Context, t *store.Token, prepare func(store.Tx) error) (openapi.NewToken, error) {
	var out openapi.NewToken
	t.ExpiresAt = t.ExpiresAt.UTC().Truncate(time.Microsecond)
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		if err := prepare(tx); err != nil {
			return err
		}
		secret, err := auth.Issue(ctx, tx, t, causeOf(ctx, "REST"), s.now())
		out = openapi.NewToken{Token: renderToken(t), Secret: secret}
		return err
	})
	return out, err
}

// revokeFound ends the token that find returns.
func (s *Server) revokeFound(ctx context.Context, find func(store.Tx) (*store.Token, error)) error {
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		t, err := find(tx)
		if err != nil {
			return err
		}
		return s.revoke(ctx, tx, t)
	})
	if err == nil {
		s.Auth.Forget()
	}
	return err
}

func (s *Server) revoke(ctx context.Context, tx store.Tx, t *store.Token) error {
	return auth.Revoke(ctx, tx, t, causeOf(ctx, "REST"), s.now())
}

func renderToken(t *store.Token) openapi.Token {
	return openapi.Token{
		ID: string(t.ID), Name: t.Name, Role: openapi.TokenRole(t.Role), Instance: t.Org == 0, Prefix: t.Prefix,
		CreatedAt: t.CreatedAt, ExpiresAt: optional(t.ExpiresAt), LastUsedAt: optional(t.LastUsedAt), RevokedAt: optional(t.RevokedAt),
	}
}
