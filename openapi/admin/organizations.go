package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// ListOrganizations lists a page of all of them to a token of the whole instance, and
// its own to another.
func (s *Server) ListOrganizations(ctx context.Context, req openapi.ListOrganizationsRequestObject) (openapi.ListOrganizationsResponseObject, error) {
	after, err := placeName(cursorOrgs, req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	q := store.OrganizationQuery{Only: auth.PrincipalOf(ctx).Org, After: after, Limit: limitOf(req.Params.Limit)}
	var out openapi.OrganizationList
	err = s.Store.View(ctx, func(r store.Reader) error {
		page, err := r.OrganizationPage(ctx, q)
		if err != nil {
			return err
		}
		out.NextCursor = nextByName(cursorOrgs, &page, func(o *store.Organization) string { return store.Fold(o.Name) })
		out.Items, err = s.renderOrganizations(ctx, r, page.Items)
		return err
	})
	return openapi.ListOrganizations200JSONResponse(out), err
}

// CreateOrganization creates one.
func (s *Server) CreateOrganization(ctx context.Context, req openapi.CreateOrganizationRequestObject) (openapi.CreateOrganizationResponseObject, error) {
	name, err := checkName(req.Body.Name)
	if err != nil {
		return nil, err
	}
	now := s.now()
	o := store.Organization{ID: store.NewID(now), Name: name, CreatedAt: now}
	err = s.Store.Update(ctx, func(tx store.Tx) error {
		o.Key = 0
		if err := tx.CreateOrganization(ctx, &o); err != nil {
			return err
		}
		return s.log(ctx, tx, change{
			org: o.Key, typ: store.EventOrgCreated, kind: "Organization", id: o.ID,
			after: map[string]string{"id": string(o.ID), "name": o.Name},
		})
	})
	return openapi.CreateOrganization201JSONResponse{ID: string(o.ID), Name: o.Name, CreatedAt: o.CreatedAt, Settings: renderOrganizationSettings(&o.Settings)}, err
}

// GetOrganization returns one.
func (s *Server) GetOrganization(ctx context.Context, req openapi.GetOrganizationRequestObject) (openapi.GetOrganizationResponseObject, error) {
	o, err := s.organization(ctx, req.Organization)
	if err != nil {
		return nil, err
	}
	var out openapi.Organization
	err = s.Store.View(ctx, func(r store.Reader) error {
		out, err = s.renderOrganization(ctx, r, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	tag := entityTag(o.Revision, &out)
	if isKnown(req.Params.IfNoneMatch, tag) {
		return openapi.GetOrganization304Response{Headers: openapi.GetOrganization304ResponseHeaders{ETag: tag}}, nil
	}
	return openapi.GetOrganization200JSONResponse{Body: out, Headers: openapi.GetOrganization200ResponseHeaders{ETag: tag}}, nil
}

// renderOrganizations also finds out which are ready for single sign-on.
func (s *Server) renderOrganizations(ctx context.Context, r store.Reader, list []store.Organization) ([]openapi.Organization, error) {
	keys := make([]store.Key, len(list))
	for i := range list {
		keys[i] = list[i].Key
	}
	ready, err := r.Ready(ctx, keys)
	if err != nil {
		return nil, err
	}
	out := make([]openapi.Organization, len(list))
	for i := range list {
		o := &list[i]
		out[i] = openapi.Organization{
			ID: string(o.ID), Name: o.Name, CreatedAt: o.CreatedAt, SsoReady: ready[o.Key],
			Settings: renderOrganizationSettings(&o.Settings), Warnings: s.organizationWarnings(&o.Settings),
		}
	}
	return out, nil
}

func (s *Server) renderOrganization(ctx context.Context, r store.Reader, o *store.Organization) (openapi.Organization, error) {
	list, err := s.renderOrganizations(ctx, r, []store.Organization{*o})
	if err != nil {
		return openapi.Organization{}, err
	}
	return list[0], nil
}

// checkName bounds the name of an organization or a directory: it stands in paths
// beside ids, so it must not look like one.
func checkName(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", invalid("name", "", "name must not be blank")
	case len(name) > 255 || len(store.Fold(name)) > 255:
		return "", invalid("name", "", "name is longer than 255 bytes")
	case store.ValidID(strings.ToLower(name)):
		return "", invalid("name", "choose a name that people can tell apart", "name must not have the form of an id")
	case strings.ContainsFunc(name, unicode.IsControl):
		return "", invalid("name", "", "name must not contain control characters")
	}
	return name, nil
}

// change is what an event of this interface tells.
type change struct {
	org, directory store.Key
	typ, kind      string
	id             store.ID
	before, after  any
}

// log appends the event of a change to the transaction that makes it.
func (s *Server) log(ctx context.Context, tx store.Tx, c change) error {
	data := map[string]any{}
	if c.before != nil {
		data["before"] = c.before
	}
	if c.after != nil {
		data["after"] = c.after
	}
	return s.append(ctx, tx, c, data)
}

// append appends an event with such data.
func (s *Server) append(ctx context.Context, tx store.Tx, c change, data map[string]any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("describe the change: %w", err)
	}
	now := s.now()
	return tx.Append(ctx, []store.Event{{
		ID: store.NewID(now), Org: c.org, Directory: c.directory, Type: c.typ, Version: store.EventVersion,
		Kind: c.kind, Resource: c.id, Cause: causeOf(ctx, "REST"), Data: text, Time: now,
	}})
}
