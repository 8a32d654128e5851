package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/provost-scim/provost/store"
)

// OIDCBindings lists the bindings of a directory, newest first.
func (r *reader) OIDCBindings(ctx context.Context, org, directory store.Key) ([]store.OIDCBinding, error) {
	var rows []oidcBindingRow
	if err := r.orm(ctx).Where("org_id = ? AND directory_id = ?", org, directory).Order("id DESC").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the bindings of directory %d: %w", directory, err)
	}
	return records(rows), nil
}

// OIDCBinding finds a binding of a directory by ID.
func (r *reader) OIDCBinding(ctx context.Context, org, directory store.Key, id store.ID) (*store.OIDCBinding, error) {
	if !store.ValidID(string(id)) {
		return nil, store.Errorf(store.CodeNotFound, "binding %q does not exist", id)
	}
	var row oidcBindingRow
	if err := r.orm(ctx).Where("public_id = ? AND org_id = ? AND directory_id = ?", id, org, directory).Take(&row).Error; err != nil {
		return nil, notFound(err, "binding", string(id))
	}
	b := row.record()
	return &b, nil
}

// OIDCBindingsOf finds the bindings that a token fits, those that name both its
// subject and its app first. The unique key finds each of the few that may be.
func (r *reader) OIDCBindingsOf(ctx context.Context, c store.OIDCClaims) (fit []store.OIDCBinding, known bool, err error) {
	if err := r.row(ctx, "SELECT EXISTS (SELECT 1 FROM oidc_binding WHERE issuer = ?)", c.Issuer).Scan(&known); err != nil {
		return nil, false, fmt.Errorf("look for the issuer %q: %w", c.Issuer, err)
	}
	if !known || len(c.Audiences) == 0 {
		return nil, known, nil
	}
	var rows []oidcBindingRow
	err = r.orm(ctx).
		Where("issuer = ? AND audience IN ?", c.Issuer, c.Audiences).
		Where("subject IN ?", []string{c.Subject, ""}).
		Where("app_id IN ?", append([]string{""}, c.AppIDs...)).
		Order("CASE WHEN subject = '' OR app_id = '' THEN 1 ELSE 0 END, id").
		Find(&rows).Error
	if err != nil {
		return nil, false, fmt.Errorf("find the bindings of a token of %q: %w", c.Issuer, err)
	}
	return records(rows), true, nil
}

// CreateOIDCBinding writes a binding that no token can share with a binding of
// another directory: where issuer and audience are equal, the two must name
// different subjects or different apps.
func (t *tx) CreateOIDCBinding(ctx context.Context, b *store.OIDCBinding) error {
	var org store.Key
	var name string
	var same bool
	err := t.row(ctx, `SELECT b.org_id, d.name, b.subject = ? AND b.app_id = ?
		FROM oidc_binding AS b JOIN directory AS d ON d.id = b.directory_id AND d.org_id = b.org_id
		WHERE b.issuer = ? AND b.audience = ?
			AND (b.directory_id <> ? OR b.subject = ? AND b.app_id = ?)
			AND (b.subject = ? OR b.subject = '' OR CAST(? AS text) = '')
			AND (b.app_id = ? OR b.app_id = '' OR CAST(? AS text) = '')
		ORDER BY b.org_id <> ?, b.id LIMIT 1`,
		b.Subject, b.AppID, b.Issuer, b.Audience, b.Directory, b.Subject, b.AppID, b.Subject, b.Subject, b.AppID, b.AppID, b.Org).
		Scan(&org, &name, &same)
	switch {
	case err == nil:
		return boundAlready(b, org, name, same)
	case !errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("look for bindings like %q: %w", b.Name, err)
	}
	row := newOIDCBindingRow(b)
	if err := t.orm(ctx).Create(row).Error; err != nil {
		return fmt.Errorf("create binding %q: %w", b.Name, err) // a race is run again, and then found above
	}
	b.Key = row.ID
	return nil
}

func boundAlready(b *store.OIDCBinding, org store.Key, directory string, same bool) *store.Error {
	where := "a directory of another organization"
	e := &store.Error{Code: store.CodeConflict}
	if org == b.Org {
		where = fmt.Sprintf("directory %q", directory)
		e.Resource = "directory " + directory
	}
	if same {
		e.Message = "this issuer, audience, subject and app id are bound to " + where + " already"
		return e
	}
	e.Message = "a token could fit this binding and one of " + where
	var other []string
	if b.Subject == "" {
		other = append(other, "the subject")
	}
	if b.AppID == "" {
		other = append(other, "the app id")
	}
	e.Hint = "bindings of one issuer and audience must differ in the subject or the app id; name " + strings.Join(append(other, "another audience"), " or ")
	return e
}

// DeleteOIDCBinding deletes a binding of the directory.
func (t *tx) DeleteOIDCBinding(ctx context.Context, org, directory store.Key, id store.ID) error {
	absent := store.Errorf(store.CodeNotFound, "binding %q does not exist", id)
	if !store.ValidID(string(id)) {
		return absent
	}
	n, err := t.exec(ctx, "DELETE FROM oidc_binding WHERE public_id = ? AND org_id = ? AND directory_id = ?", id, org, directory)
	if err != nil {
		return fmt.Errorf("delete binding %q: %w", id, err)
	}
	if n == 0 {
		return absent
	}
	return nil
}

// TouchOIDCBinding writes the last use, at most once a minute.
func (t *tx) TouchOIDCBinding(ctx context.Context, key store.Key, now time.Time) error {
	_, err := t.exec(ctx, "UPDATE oidc_binding SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ?)",
		now, key, now.Add(-touchEvery))
	if err != nil {
		return fmt.Errorf("write the last use of binding %d: %w", key, err)
	}
	return nil
}

// oidcBindingRow is a row of the table oidc_binding.
type oidcBindingRow struct {
	ID          store.Key `gorm:"primaryKey"`
	PublicID    store.ID
	OrgID       store.Key
	DirectoryID store.Key
	Name        string
	Issuer      string
	Audience    string
	Subject     string
	AppID       string
	CreatedAt   moment `gorm:"autoCreateTime:false"`
	LastUsedAt  moment
}

// TableName is gorm's.
func (oidcBindingRow) TableName() string { return "oidc_binding" }

func newOIDCBindingRow(b *store.OIDCBinding) *oidcBindingRow {
	return &oidcBindingRow{
		ID: b.Key, PublicID: b.ID, OrgID: b.Org, DirectoryID: b.Directory, Name: b.Name, Issuer: b.Issuer, Audience: b.Audience,
		Subject: b.Subject, AppID: b.AppID, CreatedAt: moment{b.CreatedAt}, LastUsedAt: moment{b.LastUsedAt},
	}
}

func (r oidcBindingRow) record() store.OIDCBinding {
	return store.OIDCBinding{
		Key: r.ID, ID: r.PublicID, Org: r.OrgID, Directory: r.DirectoryID, Name: r.Name, Issuer: r.Issuer, Audience: r.Audience,
		Subject: r.Subject, AppID: r.AppID, CreatedAt: r.CreatedAt.Time, LastUsedAt: r.LastUsedAt.Time,
	}
}
