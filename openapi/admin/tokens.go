package admin

import (
	"context"
	"time"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// ListDirectoryTokens lists the tokens with which clients push to a directory.
func (s *Server) ListDirectoryTokens(ctx context.Context, req openapi.ListDirectoryTokensRequestObject) (openapi.ListDirectoryTokensResponseObject, error) {
	var out openapi.TokenList
	err := s.Store.View(ctx, func(r store.Reader) error {
		d, err := r.Directory(ctx, orgOf(ctx), req.Directory)
		if err != nil {
			return err
		}
		tokens, err := r.Tokens(ctx, d.Org, &d.Key)
		out = renderTokens(tokens)
		return err
	})
	return openapi.ListDirectoryTokens200JSONResponse(out), err
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
	err := s.revokeFrom(ctx, req.Token, func(tx store.Tx) ([]store.Token, error) {
		d, err := tx.Directory(ctx, orgOf(ctx), req.Directory)
		if err != nil {
			return nil, err
		}
		return tx.Tokens(ctx, d.Org, &d.Key)
	})
	return openapi.RevokeDirectoryToken204Response{}, err
}

// ListTokens lists the tokens of administrators.
func (s *Server) ListTokens(ctx context.Context, req openapi.ListTokensRequestObject) (openapi.ListTokensResponseObject, error) {
	var out openapi.TokenList
	org, err := tokenScope(ctx, deref(req.Params.Instance))
	if err != nil {
		return nil, err
	}
	err = s.Store.View(ctx, func(r store.Reader) error {
		tokens, err := adminTokens(ctx, r, org)
		out = renderTokens(tokens)
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
	err = s.revokeFrom(ctx, req.Token, func(tx store.Tx) ([]store.Token, error) { return tx.Tokens(ctx, org, nil) })
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

func adminTokens(ctx context.Context, r store.Reader, org store.Key) ([]store.Token, error) {
	all, err := r.Tokens(ctx, org, nil)
	own := all[:0]
	for i := range all {
		if all[i].Role != store.RoleDirectory {
			own = append(own, all[i])
		}
	}
	return own, err
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

// revokeFrom ends the token with the id among those that find returns.
func (s *Server) revokeFrom(ctx context.Context, id string, find func(store.Tx) ([]store.Token, error)) error {
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		tokens, err := find(tx)
		if err != nil {
			return err
		}
		for i := range tokens {
			if string(tokens[i].ID) == id {
				return s.revoke(ctx, tx, &tokens[i])
			}
		}
		return &store.Error{Code: store.CodeNotFound, Message: "there is no token with this id here", Resource: "token " + id}
	})
	if err == nil {
		s.Auth.Forget()
	}
	return err
}

func (s *Server) revoke(ctx context.Context, tx store.Tx, t *store.Token) error {
	return auth.Revoke(ctx, tx, t, causeOf(ctx, "REST"), s.now())
}

func renderTokens(tokens []store.Token) openapi.TokenList {
	out := openapi.TokenList{Items: make([]openapi.Token, len(tokens))}
	for i := range tokens {
		out.Items[i] = renderToken(&tokens[i])
	}
	return out
}

func renderToken(t *store.Token) openapi.Token {
	return openapi.Token{
		ID: string(t.ID), Name: t.Name, Role: openapi.TokenRole(t.Role), Instance: t.Org == 0, Prefix: t.Prefix,
		CreatedAt: t.CreatedAt, ExpiresAt: optional(t.ExpiresAt), LastUsedAt: optional(t.LastUsedAt), RevokedAt: optional(t.RevokedAt),
	}
}
