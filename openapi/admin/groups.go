package admin

import (
	"context"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// ListGroups lists a page of groups, present or deleted, that match every filter given.
func (s *Server) ListGroups(ctx context.Context, req openapi.ListGroupsRequestObject) (openapi.ListGroupsResponseObject, error) {
	p := req.Params
	after, err := place(cursorGroups, p.Cursor)
	if err != nil {
		return nil, err
	}
	var filter store.And
	equal(&filter, "displayName", p.DisplayName)
	equal(&filter, "externalId", p.ExternalID)
	equal(&filter, "urn:provost:params:scim:schemas:extension:1.0:Group:overCap", p.OverCap)
	equal(&filter, "outOfScope", p.OutOfScope)
	since(&filter, p.ModifiedSince)
	var out openapi.GroupList
	err = s.Store.View(ctx, func(r store.Reader) error {
		q := store.Query{Org: orgOf(ctx), After: store.Position{Key: store.Key(after)}, Limit: limitOf(p.Limit), Deleted: deref(p.Deleted)}
		if len(filter) > 0 {
			q.Filter = filter
		}
		var err error
		if q.Directory, err = ownerFilter(ctx, r, p.Directory); err != nil {
			return err
		}
		page, err := r.Groups(ctx, q)
		if err != nil {
			return err
		}
		if out.Items, err = renderGroups(ctx, r, page.Items); err != nil {
			return err
		}
		if n := len(page.Items); page.More && n > 0 {
			out.NextCursor = cursor(cursorGroups, int64(page.Items[n-1].Key))
		}
		return nil
	})
	return openapi.ListGroups200JSONResponse(out), err
}

// CreateGroup states a new internal group with its members.
func (s *Server) CreateGroup(ctx context.Context, req openapi.CreateGroupRequestObject) (openapi.CreateGroupResponseObject, error) {
	b := req.Body
	st := store.GroupStatement{
		DisplayName: &b.DisplayName, Description: &b.Description, ExternalID: &b.ExternalID,
		Members: store.MemberStatement{Mode: store.MembersReplace, Add: memberRefs(b.Members)},
	}
	done, err := s.Reconciler.Reconcile(ctx, aboutGroup(ctx, orgOf(ctx), st))
	if err != nil {
		return nil, err
	}
	out, err := s.group(ctx, done)
	return openapi.CreateGroup201JSONResponse(out), err
}

// GetGroup returns a group.
func (s *Server) GetGroup(ctx context.Context, req openapi.GetGroupRequestObject) (openapi.GetGroupResponseObject, error) {
	var out openapi.Group
	err := s.Store.View(ctx, func(r store.Reader) error {
		g, err := r.Group(ctx, orgOf(ctx), req.Group)
		if err != nil {
			return err
		}
		list, err := renderGroups(ctx, r, []store.Group{*g})
		if err == nil {
			out = list[0]
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	tag := entityTag(out.Version, &out)
	if isKnown(req.Params.IfNoneMatch, tag) {
		return openapi.GetGroup304Response{Headers: openapi.GetGroup304ResponseHeaders{ETag: tag}}, nil
	}
	return openapi.GetGroup200JSONResponse{Body: out, Headers: openapi.GetGroup200ResponseHeaders{ETag: tag}}, nil
}

// UpdateGroup restates the attributes of an internal group that are given.
func (s *Server) UpdateGroup(ctx context.Context, req openapi.UpdateGroupRequestObject) (openapi.UpdateGroupResponseObject, error) {
	g, err := s.internalGroup(ctx, req.Group, given(req.Body))
	if err != nil {
		return nil, err
	}
	done, err := s.restate(ctx, g.Org, req.Params.IfMatch, store.GroupStatement{
		Record:      store.RecordKey{ID: g.ID},
		DisplayName: req.Body.DisplayName, Description: req.Body.Description, ExternalID: req.Body.ExternalID,
	})
	if err != nil {
		return nil, err
	}
	out, err := s.group(ctx, done)
	if err != nil {
		return nil, err
	}
	return openapi.UpdateGroup200JSONResponse{
		Body: out, Headers: openapi.UpdateGroup200ResponseHeaders{ETag: entityTag(out.Version, &out)},
	}, nil
}

// DeleteGroup states that an internal group is gone.
func (s *Server) DeleteGroup(ctx context.Context, req openapi.DeleteGroupRequestObject) (openapi.DeleteGroupResponseObject, error) {
	g, err := s.internalGroup(ctx, req.Group, "group")
	if err != nil {
		return nil, err
	}
	_, err = s.restate(ctx, g.Org, req.Params.IfMatch, store.GroupStatement{Record: store.RecordKey{ID: g.ID}, Presence: store.Gone})
	return openapi.DeleteGroup204Response{}, err
}

// ListMembers lists a page of a group's direct or effective members.
func (s *Server) ListMembers(ctx context.Context, req openapi.ListMembersRequestObject) (openapi.ListMembersResponseObject, error) {
	after, err := memberPlace(req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	out := openapi.MemberList{Items: []openapi.Member{}}
	err = s.Store.View(ctx, func(r store.Reader) error {
		g, err := r.Group(ctx, orgOf(ctx), req.Group)
		if err != nil {
			return err
		}
		page, err := r.Members(ctx, store.MemberQuery{
			Org: g.Org, Group: g.Key, Effective: deref(req.Params.Effective), After: after, Limit: limitOf(req.Params.Limit),
		})
		out.Items = out.Items[:0]
		for i := range page.Items {
			m := &page.Items[i]
			out.Items = append(out.Items, openapi.Member{
				ID: string(m.ID), Type: string(m.Kind), UserName: m.UserName, DisplayName: m.DisplayName, Direct: m.Direct,
			})
		}
		if n := len(page.Items); page.More && n > 0 {
			out.NextCursor = memberCursor(&page.Items[n-1])
		}
		return err
	})
	return openapi.ListMembers200JSONResponse(out), err
}

// ChangeMembers adds and removes direct members of an internal group, without
// reading the others.
func (s *Server) ChangeMembers(ctx context.Context, req openapi.ChangeMembersRequestObject) (openapi.ChangeMembersResponseObject, error) {
	g, err := s.internalGroup(ctx, req.Group, given(req.Body))
	if err != nil {
		return nil, err
	}
	add, remove := memberRefs(req.Body.Add), memberRefs(req.Body.Remove)
	adding := make(map[store.MemberRef]bool, len(add))
	for _, m := range add {
		adding[m] = true
	}
	for _, m := range remove {
		if adding[m] {
			return nil, invalid("remove", "", "%s is both in add and in remove", m.ID)
		}
	}
	done, err := s.restate(ctx, g.Org, req.Params.IfMatch, store.GroupStatement{
		Record: store.RecordKey{ID: g.ID}, Members: store.MemberStatement{Add: add, Remove: remove},
	})
	if err != nil {
		return nil, err
	}
	out, err := s.group(ctx, done)
	if err != nil {
		return nil, err
	}
	return openapi.ChangeMembers200JSONResponse{
		Body: out, Headers: openapi.ChangeMembers200ResponseHeaders{ETag: entityTag(out.Version, &out)},
	}, nil
}

// memberRefs names members by id, each once.
func memberRefs(ids []string) []store.MemberRef {
	refs := make([]store.MemberRef, 0, len(ids))
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			refs = append(refs, store.MemberRef{ID: store.ID(id)})
		}
	}
	return refs
}

// aboutGroup states one internal group.
func aboutGroup(ctx context.Context, org store.Key, g store.GroupStatement) store.Statement {
	return store.Statement{Org: org, Origin: store.OriginAdmin, Cause: causeOf(ctx, "REST"), Groups: []store.GroupStatement{g}}
}

// restate states an internal group that exists, if it has the version of the condition.
func (s *Server) restate(ctx context.Context, org store.Key, ifMatch *string, g store.GroupStatement) (*reconcile.Outcome, error) {
	want := aboutGroup(ctx, org, g)
	if ifMatch == nil {
		return s.Reconciler.Reconcile(ctx, want)
	}
	return s.Reconciler.Revise(ctx, reconcile.Revision{
		Org: org, Groups: []store.RecordKey{g.Record},
		State: func(have *store.Snapshot) (store.Statement, error) {
			cur := have.Groups[g.Record]
			if cur == nil {
				return store.Statement{}, noLonger("Group", g.Record.ID)
			}
			return want, matches(ifMatch, cur.Version)
		},
	})
}

// internalGroup finds a group that is to be changed by what field says.
func (s *Server) internalGroup(ctx context.Context, ref, field string) (g *store.Group, err error) {
	err = s.Store.View(ctx, func(r store.Reader) error {
		g, err = r.Group(ctx, orgOf(ctx), ref)
		return err
	})
	if err == nil && g.Directory != 0 {
		err = s.owned(ctx, g.Directory, field, "Group "+string(g.ID), "change the group there")
	}
	return g, err
}

// group renders the one group of an outcome.
func (s *Server) group(ctx context.Context, done *reconcile.Outcome) (out openapi.Group, err error) {
	err = s.Store.View(ctx, func(r store.Reader) error {
		list, err := renderGroups(ctx, r, done.Groups[:1])
		if err == nil {
			out = list[0]
		}
		return err
	})
	return out, err
}

func renderGroups(ctx context.Context, r store.Reader, groups []store.Group) ([]openapi.Group, error) {
	owners, err := ownersOf(ctx, r, orgOf(ctx))
	if err != nil {
		return nil, err
	}
	out := make([]openapi.Group, len(groups))
	for i := range groups {
		g := &groups[i]
		out[i] = openapi.Group{
			ID: string(g.ID), Type: string(store.KindGroup), DisplayName: g.DisplayName, Description: g.Description,
			ExternalID: g.ExternalID, Internal: g.Directory == 0, OutOfScope: g.OutOfScope,
			EffectiveCount: g.EffectiveCount, OverCap: g.OverCap,
			Version: g.Version, CreatedAt: g.CreatedAt, ModifiedAt: g.ModifiedAt, DeletedAt: whenDeleted(g.DeletedAt),
		}
		out[i].Directory, out[i].DirectoryID = owners.name(g.Directory)
	}
	return out, nil
}
