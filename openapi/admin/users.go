package admin

import (
	"context"
	"strings"
	"time"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// ListUsers lists a page of users, present or deleted, that match every filter given.
func (s *Server) ListUsers(ctx context.Context, req openapi.ListUsersRequestObject) (openapi.ListUsersResponseObject, error) {
	p := req.Params
	after, err := place(cursorUsers, p.Cursor)
	if err != nil {
		return nil, err
	}
	var filter store.And
	equal(&filter, "userName", p.UserName)
	equal(&filter, "emails.value", p.Email)
	equal(&filter, "externalId", p.ExternalID)
	equal(&filter, "displayName", p.DisplayName)
	equal(&filter, "userType", p.UserType)
	equal(&filter, enterprise+"department", p.Department)
	equal(&filter, enterprise+"employeeNumber", p.EmployeeNumber)
	equal(&filter, "published", p.Active)
	equal(&filter, "enabled", p.Enabled)
	equal(&filter, "outOfScope", p.OutOfScope)
	if p.Domain != nil {
		name, err := s.NormalizeDomain(*p.Domain)
		if err != nil {
			return nil, invalid("domain", "such as example.com", "domain: %q is no name of a domain", *p.Domain)
		}
		equal(&filter, "domain", &name)
	}
	since(&filter, p.ModifiedSince)
	var out openapi.UserList
	err = s.Store.View(ctx, func(r store.Reader) error {
		q := store.Query{Org: orgOf(ctx), After: store.Position{Key: store.Key(after)}, Limit: limitOf(p.Limit), Deleted: deref(p.Deleted)}
		if len(filter) > 0 {
			q.Filter = filter
		}
		var err error
		if q.Directory, err = ownerFilter(ctx, r, p.Directory); err != nil {
			return err
		}
		page, err := r.Users(ctx, q)
		if err != nil {
			return err
		}
		if out.Items, err = renderUsers(ctx, r, page.Items); err != nil {
			return err
		}
		if n := len(page.Items); page.More && n > 0 {
			out.NextCursor = cursor(cursorUsers, int64(page.Items[n-1].Key))
		}
		return nil
	})
	return openapi.ListUsers200JSONResponse(out), err
}

// enterprise begins the paths of SCIM's enterprise extension.
const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:"

// equal adds to a filter that a field has a value, if one is asked for.
func equal[T any](filter *store.And, field store.Field, value *T) {
	if value != nil {
		*filter = append(*filter, store.Compare{Field: field, Op: store.Eq, Value: *value})
	}
}

// since adds to a filter that a record was changed then or later.
func since(filter *store.And, at *time.Time) {
	if at != nil {
		*filter = append(*filter, store.Compare{Field: "meta.lastModified", Op: store.AtLeast, Value: *at})
	}
}

// CreateUser states a new internal user.
func (s *Server) CreateUser(ctx context.Context, req openapi.CreateUserRequestObject) (openapi.CreateUserResponseObject, error) {
	if deref(req.Body.UserName) == "" {
		return nil, invalid("user_name", "", "user_name is required")
	}
	st := store.UserStatement{ExternalID: deref(req.Body.ExternalID), Enabled: req.Body.Enabled}
	if err := amend(&st.Attributes, req.Body); err != nil {
		return nil, err
	}
	done, err := s.Reconciler.Reconcile(ctx, store.Statement{
		Org: orgOf(ctx), Origin: store.OriginAdmin, Cause: causeOf(ctx, "REST"), Users: []store.UserStatement{st},
	})
	if err != nil {
		return nil, err
	}
	out, err := s.user(ctx, done)
	return openapi.CreateUser201JSONResponse(out), err
}

// GetUser returns a user with the groups of which it is a published member.
func (s *Server) GetUser(ctx context.Context, req openapi.GetUserRequestObject) (openapi.GetUserResponseObject, error) {
	var out openapi.User
	err := s.Store.View(ctx, func(r store.Reader) error {
		u, err := r.User(ctx, orgOf(ctx), req.User)
		if err != nil {
			return err
		}
		list, err := renderUsers(ctx, r, []store.User{*u})
		if err != nil {
			return err
		}
		out = list[0]
		in, err := r.Memberships(ctx, u.Org, nil, []store.Key{u.Key})
		groups := make([]openapi.Membership, len(in))
		for i := range in {
			groups[i] = openapi.Membership{ID: string(in[i].Group), DisplayName: in[i].DisplayName, Direct: in[i].Direct}
		}
		out.Groups = &groups
		return err
	})
	if err != nil {
		return nil, err
	}
	tag := entityTag(out.Version, &out)
	if isKnown(req.Params.IfNoneMatch, tag) {
		return openapi.GetUser304Response{Headers: openapi.GetUser304ResponseHeaders{ETag: tag}}, nil
	}
	return openapi.GetUser200JSONResponse{Body: out, Headers: openapi.GetUser200ResponseHeaders{ETag: tag}}, nil
}

// UpdateUser restates a user with what is given. Of one that a directory owns, the
// administrator's switch is all that can be.
func (s *Server) UpdateUser(ctx context.Context, req openapi.UpdateUserRequestObject) (openapi.UpdateUserResponseObject, error) {
	u, err := s.findUser(ctx, req.User)
	if err != nil {
		return nil, err
	}
	if only := (openapi.UserInput{Enabled: req.Body.Enabled}); u.Directory != 0 && *req.Body != only {
		return nil, s.owned(ctx, u.Directory, given(req.Body, "enabled"), "User "+string(u.ID), "of a user that a directory owns only enabled can be changed here")
	}
	key := store.RecordKey{ID: u.ID}
	done, err := s.Reconciler.Revise(ctx, reconcile.Revision{
		Org: u.Org, Directory: u.Directory, Users: []store.RecordKey{key},
		State: func(have *store.Snapshot) (store.Statement, error) {
			cur := have.Users[key]
			if cur == nil {
				return store.Statement{}, noLonger("User", u.ID)
			}
			if err := matches(req.Params.IfMatch, cur.Version); err != nil {
				return store.Statement{}, err
			}
			st := store.UserStatement{Record: key, ExternalID: cur.ExternalID, Attributes: cur.Attributes, Enabled: req.Body.Enabled}
			if req.Body.ExternalID != nil {
				st.ExternalID = *req.Body.ExternalID
			}
			if err := amend(&st.Attributes, req.Body); err != nil {
				return store.Statement{}, err
			}
			return store.Statement{
				Org: u.Org, Directory: u.Directory, Origin: store.OriginAdmin, Cause: causeOf(ctx, "REST"), Users: []store.UserStatement{st},
			}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	out, err := s.user(ctx, done)
	if err != nil {
		return nil, err
	}
	return openapi.UpdateUser200JSONResponse{
		Body: out, Headers: openapi.UpdateUser200ResponseHeaders{ETag: entityTag(out.Version, &out)},
	}, nil
}

// DeleteUser states that an internal user is gone.
func (s *Server) DeleteUser(ctx context.Context, req openapi.DeleteUserRequestObject) (openapi.DeleteUserResponseObject, error) {
	u, err := s.findUser(ctx, req.User)
	if err != nil {
		return nil, err
	}
	if u.Directory != 0 {
		return nil, s.owned(ctx, u.Directory, "user", "User "+string(u.ID), "delete the user there, or switch it off with enabled")
	}
	key := store.RecordKey{ID: u.ID}
	_, err = s.Reconciler.Revise(ctx, reconcile.Revision{
		Org: u.Org, Users: []store.RecordKey{key},
		State: func(have *store.Snapshot) (store.Statement, error) {
			cur := have.Users[key]
			if cur == nil {
				return store.Statement{}, noLonger("User", u.ID)
			}
			return store.Statement{
				Org: u.Org, Origin: store.OriginAdmin, Cause: causeOf(ctx, "REST"),
				Users: []store.UserStatement{{Record: key, Presence: store.Gone}},
			}, matches(req.Params.IfMatch, cur.Version)
		},
	})
	return openapi.DeleteUser204Response{}, err
}

// noLonger refuses what was deleted while the request was on its way.
func noLonger(kind string, id store.ID) error {
	return &store.Error{Code: store.CodeNotFound, Message: "the " + strings.ToLower(kind) + " no longer exists", Resource: kind + " " + string(id)}
}

func (s *Server) findUser(ctx context.Context, ref string) (u *store.User, err error) {
	err = s.Store.View(ctx, func(r store.Reader) error {
		u, err = r.User(ctx, orgOf(ctx), ref)
		return err
	})
	return u, err
}

// user renders the one user of an outcome.
func (s *Server) user(ctx context.Context, done *reconcile.Outcome) (out openapi.User, err error) {
	err = s.Store.View(ctx, func(r store.Reader) error {
		list, err := renderUsers(ctx, r, done.Users[:1])
		if err == nil {
			out = list[0]
		}
		return err
	})
	return out, err
}

// renderUsers renders users with the names of their owners and the ids of their
// managers.
func renderUsers(ctx context.Context, r store.Reader, users []store.User) ([]openapi.User, error) {
	owners, err := ownersOf(ctx, r, orgOf(ctx))
	if err != nil {
		return nil, err
	}
	managers, err := managersOf(ctx, r, owners, users)
	if err != nil {
		return nil, err
	}
	out := make([]openapi.User, len(users))
	for i := range users {
		u, o := &users[i], &out[i]
		*o = openapi.User{
			ID: string(u.ID), Type: string(store.KindUser), ExternalID: u.ExternalID, Internal: u.Directory == 0,
			Active: u.Active(), Enabled: u.Enabled, OutOfScope: u.OutOfScope,
			Version: u.Version, CreatedAt: u.CreatedAt, ModifiedAt: u.ModifiedAt, DeletedAt: whenDeleted(u.DeletedAt),
		}
		o.Directory, o.DirectoryID = owners.name(u.Directory)
		renderAttributes(o, &u.Attributes)
		if id, ok := managers[managerKey{u.Directory, managerOf(u)}]; ok {
			o.Enterprise.Manager.Value = string(id)
		}
	}
	return out, nil
}

// managerKey is a manager as a directory that is pulled states it: by stable id.
type managerKey struct {
	directory store.Key
	stable    string
}

func managerOf(u *store.User) string {
	if e := u.Attributes.Enterprise; e != nil && e.Manager != nil {
		return e.Manager.Value
	}
	return ""
}

// managersOf finds the ids of the managers of pulled users. A push states the id
// itself.
func managersOf(ctx context.Context, r store.Reader, owners owners, users []store.User) (map[managerKey]store.ID, error) {
	refs := map[store.Key][]store.MemberRef{}
	seen := map[managerKey]bool{}
	for i := range users {
		u := &users[i]
		d, k := owners[u.Directory], managerKey{u.Directory, managerOf(u)}
		if d != nil && d.Kind == store.DirectoryLDAP && k.stable != "" && !seen[k] {
			seen[k] = true
			refs[u.Directory] = append(refs[u.Directory], store.MemberRef{ExternalID: k.stable})
		}
	}
	found := map[managerKey]store.ID{}
	for directory, list := range refs {
		edges, err := r.Resolve(ctx, orgOf(ctx), directory, list)
		if err != nil {
			return nil, err
		}
		var keys []store.Key
		for _, e := range edges {
			if e.Kind == store.KindUser {
				keys = append(keys, e.Key)
			}
		}
		ids, err := r.IDs(ctx, orgOf(ctx), store.KindUser, keys)
		if err != nil {
			return nil, err
		}
		for ref, e := range edges {
			if id, ok := ids[e.Key]; ok && e.Kind == store.KindUser {
				found[managerKey{directory, ref.ExternalID}] = id
			}
		}
	}
	return found, nil
}
