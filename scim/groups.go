package scim

import (
	"net/http"

	"github.com/provost-scim/provost/scim/dialect"
	"github.com/provost-scim/provost/scim/filter"
	"github.com/provost-scim/provost/scim/patch"
	"github.com/provost-scim/provost/scim/schema"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// patchMembers is the most members that the answer to a PATCH of a group holds unasked;
// of a larger group it is 204, so that adding one member costs the same in any group.
// Who sends attributes gets them (RFC 7644 section 3.5.2).
const patchMembers = 1000

// createGroup is POST /Groups.
func (s *Server) createGroup(c *call) error {
	p, err := c.project(schema.Groups)
	if err != nil {
		return err
	}
	statement, err := c.groupBody()
	if err != nil {
		return err
	}
	statement.Members.Mode = store.MembersReplace
	out, err := s.Reconciler.Reconcile(c.ctx(), c.stateGroup(statement))
	if err != nil {
		return err
	}
	return s.answerGroup(c, p, http.StatusCreated, &out.Groups[0], len(statement.Members.Add) > 0)
}

// groupBody reads the body of a POST or PUT. Without members it says nothing of them.
func (c *call) groupBody() (store.GroupStatement, error) {
	body, err := c.body()
	if err != nil {
		return store.GroupStatement{}, err
	}
	g, err := dialect.Group(body)
	if err != nil {
		return store.GroupStatement{}, err
	}
	return groupStatement(&g), nil
}

func groupStatement(g *dialect.GroupBody) store.GroupStatement {
	statement := store.GroupStatement{ExternalID: &g.ExternalID, DisplayName: &g.DisplayName, Description: &g.Description}
	if g.Members != nil {
		statement.Members.Mode = store.MembersReplace
		statement.Members.Add = references(g.Members)
	}
	return statement
}

func references(members []patch.Member) []store.MemberRef {
	refs := make([]store.MemberRef, len(members))
	for i, m := range members {
		refs[i] = store.MemberRef{ID: store.ID(m.Value)}
	}
	return refs
}

// getGroup is GET /Groups/{id}.
func (s *Server) getGroup(c *call) error {
	p, err := c.project(schema.Groups)
	if err != nil {
		return err
	}
	id, err := c.id(store.KindGroup)
	if err != nil {
		return err
	}
	var g *store.Group
	err = s.Store.View(c.ctx(), func(r store.Reader) error {
		page, err := r.Groups(c.ctx(), store.Query{
			Org: c.caller.Org, Directory: &c.caller.Directory, Limit: 1,
			Filter: store.Compare{Field: "id", Op: store.Eq, Value: string(id)},
		})
		if err != nil {
			return err
		}
		if len(page.Items) == 0 {
			return notFound(store.KindGroup, string(id))
		}
		g = &page.Items[0]
		return nil
	})
	if err != nil {
		return err
	}
	return s.answerGroup(c, p, http.StatusOK, g, true)
}

// replaceGroup is PUT /Groups/{id}. A body without members leaves them as they are:
// a client that read the group without its members must not empty it by writing it
// back. An empty list empties it.
func (s *Server) replaceGroup(c *call) error {
	statement, err := c.groupBody()
	if err != nil {
		return err
	}
	return s.changeGroup(c, statement, func(p *projection, g *store.Group) error {
		return s.answerGroup(c, p, http.StatusOK, g, true)
	})
}

// patchGroup is PATCH /Groups/{id}. The members that it does not name are neither
// read nor written.
func (s *Server) patchGroup(c *call) error {
	id, err := c.id(store.KindGroup)
	if err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	ops, err := dialect.Patch(body)
	if err != nil {
		return err
	}
	statement, err := patchedGroup(string(id), ops, s.memberSelector(c, id))
	if err != nil {
		return err
	}
	return s.changeGroup(c, statement, func(p *projection, g *store.Group) error {
		if !p.wants("members") || p.chosen {
			return s.answerGroup(c, p, http.StatusOK, g, true)
		}
		list, more, err := s.fewMembers(c, g)
		if err != nil {
			return err
		}
		if more {
			c.Response().Header().Set("ETag", etag(g.Version))
			return c.NoContent(http.StatusNoContent)
		}
		return s.sendGroup(c, p, http.StatusOK, g, list)
	})
}

// fewMembers reads a group's members, or reports that they are more than
// [patchMembers]. Where so many users are effective they are only counted first;
// groups in the group need not have any.
func (s *Server) fewMembers(c *call, g *store.Group) (list []store.Member, more bool, err error) {
	err = s.Store.View(c.ctx(), func(r store.Reader) error {
		if g.EffectiveCount > patchMembers {
			n, err := r.MemberCount(c.ctx(), c.caller.Org, g.Key, patchMembers+1)
			if more = n > patchMembers; more || err != nil {
				return err
			}
		}
		page, err := r.Members(c.ctx(), store.MemberQuery{Org: c.caller.Org, Group: g.Key, Limit: patchMembers})
		list, more = page.Items, page.More
		return err
	})
	return list, more, err
}

// selectedMembers is how many members one filter of a PATCH may remove.
const selectedMembers = 100_000

// memberSelector finds the members of a group that a filter of a PATCH removes. The
// members are those before the change; what is added beside it is not removed.
func (s *Server) memberSelector(c *call, group store.ID) patch.Selector {
	return func(f filter.Expr, apart bool, among []string) ([]string, error) {
		of, err := memberCondition(f)
		if err != nil {
			return nil, err
		}
		q := store.MemberSelection{Org: c.caller.Org, Directory: c.caller.Directory, Group: group, Apart: apart, Of: of, Base: c.base, Limit: selectedMembers + 1}
		for _, id := range among {
			q.Also = append(q.Also, store.ID(id))
		}
		var found []string
		err = s.Store.View(c.ctx(), func(r store.Reader) error {
			ids, err := r.SelectMembers(c.ctx(), q)
			found = found[:0]
			for _, id := range ids {
				found = append(found, string(id))
			}
			return err
		})
		if len(found) > selectedMembers {
			return nil, store.Errorf(store.CodeFilter, "members[%s] finds more than %d members; remove fewer at a time", f, selectedMembers)
		}
		return found, err
	}
}

// patchedGroup states what operations change of the group with the given id.
func patchedGroup(id string, ops []patch.Operation, find patch.Selector) (store.GroupStatement, error) {
	change, err := patch.Group(id, ops, find)
	if err != nil {
		return store.GroupStatement{}, err
	}
	statement := store.GroupStatement{
		ExternalID: change.ExternalID, DisplayName: change.DisplayName, Description: change.Description,
		Members: store.MemberStatement{Add: references(change.Members.Add)},
	}
	if change.Members.Replace {
		statement.Members.Mode = store.MembersReplace
	}
	for _, id := range change.Members.Remove {
		statement.Members.Remove = append(statement.Members.Remove, store.MemberRef{ID: store.ID(id)})
	}
	return statement, nil
}

// changeGroup states a group that exists and answers with it.
func (s *Server) changeGroup(c *call, statement store.GroupStatement, answer func(*projection, *store.Group) error) error {
	p, err := c.project(schema.Groups)
	if err != nil {
		return err
	}
	id, err := c.id(store.KindGroup)
	if err != nil {
		return err
	}
	statement.Record = store.RecordKey{ID: id}
	out, err := s.stateExisting(c, statement)
	if err != nil {
		return err
	}
	return answer(p, &out.Groups[0])
}

// stateExisting makes a statement about a group, on the conditions that the client
// sent.
func (s *Server) stateExisting(c *call, statement store.GroupStatement) (*reconcile.Outcome, error) {
	want := c.stateGroup(statement)
	if !c.conditional() {
		return s.Reconciler.Reconcile(c.ctx(), want)
	}
	return s.Reconciler.Revise(c.ctx(), reconcile.Revision{
		Org: c.caller.Org, Directory: c.caller.Directory, Groups: []store.RecordKey{statement.Record},
		State: func(have *store.Snapshot) (store.Statement, error) {
			g := have.Groups[statement.Record]
			if g == nil {
				return store.Statement{}, notFound(store.KindGroup, string(statement.Record.ID))
			}
			return want, c.precondition(g.Version)
		},
	})
}

// deleteGroup is DELETE /Groups/{id}: a soft delete that takes the group's edges.
func (s *Server) deleteGroup(c *call) error {
	id, err := c.id(store.KindGroup)
	if err != nil {
		return err
	}
	out, err := s.stateExisting(c, store.GroupStatement{Record: store.RecordKey{ID: id}, Presence: store.Gone})
	if err != nil {
		return err
	}
	if out.Results[0].Key == 0 {
		return notFound(store.KindGroup, string(id))
	}
	return c.NoContent(http.StatusNoContent)
}

// answerGroup answers with a group; members are read only if they are wanted.
func (s *Server) answerGroup(c *call, p *projection, status int, g *store.Group, members bool) error {
	var list []store.Member
	if members && p.wants("members") {
		err := s.Store.View(c.ctx(), func(r store.Reader) error {
			page, err := r.Members(c.ctx(), store.MemberQuery{Org: c.caller.Org, Group: g.Key})
			list = page.Items
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.sendGroup(c, p, status, g, list)
}

func (s *Server) sendGroup(c *call, p *projection, status int, g *store.Group, members []store.Member) error {
	body, err := p.apply(c.renderGroup(g, members))
	if err != nil {
		return err
	}
	return c.resource(status, c.location("/Groups/", g.ID), g.Version, body)
}

func (c *call) stateGroup(g store.GroupStatement) store.Statement {
	s := c.state()
	s.Groups = []store.GroupStatement{g}
	return s
}
