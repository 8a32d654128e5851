package scim

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/provost-scim/provost/scim/dialect"
	"github.com/provost-scim/provost/scim/patch"
	"github.com/provost-scim/provost/scim/schema"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// userBody is what a client may state of a user, in canonical form.
type userBody struct {
	ID         store.ID `json:"id,omitempty"`
	ExternalID string   `json:"externalId,omitempty"`
	Active     *bool    `json:"active,omitempty"`
	store.Attributes
}

// decodeUser turns the canonical form, as scim/dialect and scim/patch hand it over,
// into a statement.
func decodeUser(canonical map[string]any) (store.UserStatement, error) {
	b, err := json.Marshal(canonical)
	if err != nil {
		return store.UserStatement{}, fmt.Errorf("encode the canonical user: %w", err)
	}
	var body userBody
	if err := json.Unmarshal(b, &body); err != nil {
		return store.UserStatement{}, fmt.Errorf("decode the canonical user: %w", err)
	}
	return store.UserStatement{ExternalID: body.ExternalID, Active: body.Active, Attributes: body.Attributes}, nil
}

// createUser is POST /Users (RFC 7644 section 3.3).
func (s *Server) createUser(c *call) error {
	p, err := c.project(schema.Users)
	if err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	canonical, err := dialect.User(body)
	if err != nil {
		return err
	}
	statement, err := decodeUser(canonical)
	if err != nil {
		return err
	}
	out, err := s.Reconciler.Reconcile(c.ctx(), c.state(statement))
	if err != nil {
		return err
	}
	restored := out.Results[0].Outcome == store.Restored
	return s.answerUser(c, p, http.StatusCreated, &out.Users[0], restored)
}

// getUser is GET /Users/{id}.
func (s *Server) getUser(c *call) error {
	p, err := c.project(schema.Users)
	if err != nil {
		return err
	}
	id, err := c.id(store.KindUser)
	if err != nil {
		return err
	}
	var page store.Page[store.User]
	err = s.Store.View(c.ctx(), func(r store.Reader) (err error) {
		page, err = r.Users(c.ctx(), store.Query{
			Org: c.caller.Org, Directory: &c.caller.Directory, Limit: 1, Groups: p.wants("groups"),
			Filter: store.Compare{Field: "id", Op: store.Eq, Value: string(id)},
		})
		return err
	})
	if err != nil {
		return err
	}
	if len(page.Items) == 0 {
		return notFound(store.KindUser, string(id))
	}
	u := &page.Items[0]
	return c.showUser(p, http.StatusOK, u, page.Memberships[u.Key])
}

// replaceUser is PUT /Users/{id} (RFC 7644 section 3.5.1): what the body leaves out
// is cleared, except active.
func (s *Server) replaceUser(c *call) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	canonical, err := dialect.User(body)
	if err != nil {
		return err
	}
	statement, err := decodeUser(canonical)
	if err != nil {
		return err
	}
	return s.reviseUser(c, func(*store.User) (store.UserStatement, error) { return statement, nil })
}

// patchUser is PATCH /Users/{id} (RFC 7644 section 3.5.2), on the user as it is
// under the transaction's lock.
func (s *Server) patchUser(c *call) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	ops, err := dialect.Patch(body)
	if err != nil {
		return err
	}
	return s.reviseUser(c, func(u *store.User) (store.UserStatement, error) { return patchedUser(u, ops) })
}

// patchedUser states what operations make of a user.
func patchedUser(u *store.User, ops []patch.Operation) (store.UserStatement, error) {
	b, err := json.Marshal(userBody{ID: u.ID, ExternalID: u.ExternalID, Active: &u.Stated, Attributes: u.Attributes})
	if err != nil {
		return store.UserStatement{}, err
	}
	var resource map[string]any
	if err := json.Unmarshal(b, &resource); err != nil {
		return store.UserStatement{}, err
	}
	after, _, err := patch.User(resource, ops)
	if err != nil {
		return store.UserStatement{}, err
	}
	return decodeUser(after)
}

// reviseUser changes a user to what next makes of it, and answers with it.
func (s *Server) reviseUser(c *call, next func(*store.User) (store.UserStatement, error)) error {
	p, err := c.project(schema.Users)
	if err != nil {
		return err
	}
	id, err := c.id(store.KindUser)
	if err != nil {
		return err
	}
	key := store.RecordKey{ID: id}
	out, err := s.Reconciler.Revise(c.ctx(), reconcile.Revision{
		Org: c.caller.Org, Directory: c.caller.Directory, Users: []store.RecordKey{key},
		State: func(have *store.Snapshot) (store.Statement, error) {
			u := have.Users[key]
			if u == nil {
				return store.Statement{}, notFound(store.KindUser, string(id))
			}
			if err := c.precondition(u.Version); err != nil {
				return store.Statement{}, err
			}
			statement, err := next(u)
			if err != nil {
				return store.Statement{}, err
			}
			statement.Record = key
			return c.state(statement), nil
		},
	})
	if err != nil {
		return err
	}
	return s.answerUser(c, p, http.StatusOK, &out.Users[0], true)
}

// deleteUser is DELETE /Users/{id} (RFC 7644 section 3.6): a soft delete.
func (s *Server) deleteUser(c *call) error {
	id, err := c.id(store.KindUser)
	if err != nil {
		return err
	}
	key := store.RecordKey{ID: id}
	_, err = s.Reconciler.Revise(c.ctx(), reconcile.Revision{
		Org: c.caller.Org, Directory: c.caller.Directory, Users: []store.RecordKey{key},
		State: func(have *store.Snapshot) (store.Statement, error) {
			u := have.Users[key]
			if u == nil {
				return store.Statement{}, notFound(store.KindUser, string(id))
			}
			if err := c.precondition(u.Version); err != nil {
				return store.Statement{}, err
			}
			return c.state(store.UserStatement{Record: key, Presence: store.Gone}), nil
		},
	})
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// answerUser answers with a user. A new one is in no group, so its groups need not
// be read.
func (s *Server) answerUser(c *call, p *projection, status int, u *store.User, groups bool) error {
	var memberships []store.Membership
	if groups && p.wants("groups") {
		err := s.Store.View(c.ctx(), func(r store.Reader) (err error) {
			memberships, err = r.Memberships(c.ctx(), c.caller.Org, &c.caller.Directory, []store.Key{u.Key})
			return err
		})
		if err != nil {
			return err
		}
	}
	return c.showUser(p, status, u, memberships)
}

func (c *call) showUser(p *projection, status int, u *store.User, memberships []store.Membership) error {
	body, err := p.apply(c.renderUser(u, memberships))
	if err != nil {
		return err
	}
	return c.resource(status, c.location("/Users/", u.ID), u.Version, body)
}

// state makes a statement of the caller's directory.
func (c *call) state(users ...store.UserStatement) store.Statement {
	return store.Statement{
		Org: c.caller.Org, Directory: c.caller.Directory, Origin: store.OriginPush, Cause: c.cause, Users: users,
	}
}
