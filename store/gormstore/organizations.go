package gormstore

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

const organizationColumns = "id, public_id, name, settings, revision, created_at"

func scanOrganization(r scanner) (o store.Organization, err error) {
	err = r.Scan(&o.Key, &o.ID, &o.Name, scanJSON(&o.Settings), &o.Revision, scanTime(&o.CreatedAt))
	return o, err
}

// Organization finds an organization by name or ID.
func (r *reader) Organization(ctx context.Context, ref string) (*store.Organization, error) {
	column, arg := byNameOrID("name_folded", ref)
	o, err := find(ctx, r.session, scanOrganization,
		"SELECT "+organizationColumns+" FROM organization WHERE "+column+" = ?", arg)
	if err != nil {
		return nil, notFound(err, "organization", ref)
	}
	return &o, nil
}

// OrganizationByKey finds an organization by its key.
func (r *reader) OrganizationByKey(ctx context.Context, key store.Key) (*store.Organization, error) {
	o, err := find(ctx, r.session, scanOrganization,
		"SELECT "+organizationColumns+" FROM organization WHERE id = ?", key)
	if err != nil {
		return nil, notFound(err, "organization", fmt.Sprint(key))
	}
	return &o, nil
}

// CreateOrganization writes an organization and the rows that its members lock.
func (t *tx) CreateOrganization(ctx context.Context, o *store.Organization) error {
	settings, err := jsonText(o.Settings)
	if err != nil {
		return fmt.Errorf("create organization %q: %w", o.Name, err)
	}
	o.Revision = 1
	err = t.row(ctx, "INSERT INTO organization (public_id, name, name_folded, settings, revision, created_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
		o.ID, o.Name, store.Fold(o.Name), settings, o.Revision, o.CreatedAt).Scan(&o.Key)
	if uniqueViolation(err) {
		return taken(err, "organization", o.Name)
	}
	if err != nil {
		return fmt.Errorf("create organization %q: %w", o.Name, err)
	}
	if _, err := t.exec(ctx, "INSERT INTO org_graph (org_id) VALUES (?)", o.Key); err != nil {
		return fmt.Errorf("create organization %q: %w", o.Name, err)
	}
	if _, err := t.exec(ctx, "INSERT INTO event_head (org_id) VALUES (?)", o.Key); err != nil {
		return fmt.Errorf("create organization %q: %w", o.Name, err)
	}
	return nil
}

// UpdateOrganization writes an organization's settings, unless somebody else has since
// they were read.
func (t *tx) UpdateOrganization(ctx context.Context, o *store.Organization) error {
	settings, err := jsonText(o.Settings)
	if err != nil {
		return fmt.Errorf("save organization %q: %w", o.Name, err)
	}
	n, err := t.exec(ctx, "UPDATE organization SET settings = ?, revision = revision + 1 WHERE id = ? AND revision = ?", settings, o.Key, o.Revision)
	if err != nil {
		return fmt.Errorf("save organization %q: %w", o.Name, err)
	}
	if n == 0 {
		return &store.Error{
			Code: store.CodeStale, Message: fmt.Sprintf("organization %q was changed by someone else", o.Name),
			Hint: "read it again and repeat the change",
		}
	}
	o.Revision++
	return nil
}

// byNameOrID says which column a reference of a person is compared with.
func byNameOrID(nameColumn, ref string) (column string, arg any) {
	if store.ValidID(ref) {
		return "public_id", ref
	}
	return nameColumn, store.Fold(ref)
}

func taken(err error, what, name string) *store.Error {
	return &store.Error{
		Code: store.CodeUniqueness, Message: fmt.Sprintf("%s %q exists already", what, name), Hint: "choose another name", Field: "name", Err: err,
	}
}
