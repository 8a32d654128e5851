package gormstore

import (
	"context"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// Directories lists an organization's directories by name.
func (r *reader) Directories(ctx context.Context, org store.Key) ([]store.Directory, error) {
	var rows []directoryRow
	if err := r.orm(ctx).Where("org_id = ?", org).Order("name_folded").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list directories: %w", err)
	}
	return records(rows), nil
}

// Directory finds a directory by name or ID.
func (r *reader) Directory(ctx context.Context, org store.Key, ref string) (*store.Directory, error) {
	column, arg := byNameOrID("name_folded", ref)
	return r.directory(ctx, ref, "org_id = ? AND "+column+" = ?", org, arg)
}

// DirectoryByKey finds a directory by its key.
func (r *reader) DirectoryByKey(ctx context.Context, key store.Key) (*store.Directory, error) {
	return r.directory(ctx, fmt.Sprint(key), "id = ?", key)
}

func (r *reader) directory(ctx context.Context, ref, where string, args ...any) (*store.Directory, error) {
	var row directoryRow
	if err := r.orm(ctx).Where(where, args...).Take(&row).Error; err != nil {
		return nil, notFound(err, "directory", ref)
	}
	d := row.record()
	return &d, nil
}

// CreateDirectory writes a directory at revision 1.
func (t *tx) CreateDirectory(ctx context.Context, d *store.Directory) error {
	d.Revision = 1
	row := newDirectoryRow(d)
	if err := t.orm(ctx).Create(row).Error; err != nil {
		if uniqueViolation(err) {
			return taken(err, "directory", d.Name)
		}
		return fmt.Errorf("create directory %q: %w", d.Name, err)
	}
	d.Key = row.ID
	return nil
}

// UpdateDirectory writes all but the kind and the time of creation, if the revision
// is the stored one, and raises it.
func (t *tx) UpdateDirectory(ctx context.Context, d *store.Directory) error {
	row := newDirectoryRow(d)
	row.Revision++
	done := t.orm(ctx).Model(row).
		Select("name", "name_folded", "settings", "secret", "revision", "updated_at").
		Where("org_id = ? AND revision = ?", d.Org, d.Revision).
		Updates(row)
	if uniqueViolation(done.Error) {
		return taken(done.Error, "directory", d.Name)
	}
	if done.Error != nil {
		return fmt.Errorf("update directory %q: %w", d.Name, done.Error)
	}
	if done.RowsAffected == 0 {
		return &store.Error{
			Code: store.CodeStale, Message: fmt.Sprintf("directory %q was changed by someone else", d.Name),
			Hint: "read it again and repeat the change",
		}
	}
	d.Revision = row.Revision
	return nil
}

// DeleteDirectory removes a directory with its runs and revokes its tokens. Live
// users or groups are [store.CodeConflict]; the soft-deleted ones become internal
// and forget their stable ids, which mean nothing without the directory.
func (t *tx) DeleteDirectory(ctx context.Context, org, directory store.Key, now time.Time) error {
	if t.e.postgres { // who is just creating a record holds the row, and is waited for
		if _, err := t.exec(ctx, "SELECT 1 FROM directory WHERE org_id = ? AND id = ? FOR UPDATE", org, directory); err != nil {
			return fmt.Errorf("delete directory: %w", err)
		}
	}
	for _, table := range []string{"users", "groups"} {
		var live bool
		err := t.row(ctx, "SELECT EXISTS (SELECT 1 FROM "+table+" WHERE directory_id = ? AND deleted_at IS NULL)", directory).Scan(&live)
		if err != nil {
			return fmt.Errorf("delete directory: look for %s: %w", table, err)
		}
		if live {
			return &store.Error{
				Code: store.CodeConflict, Message: "the directory still owns " + table, Hint: "keep or delete them first",
			}
		}
		_, err = t.exec(ctx, "UPDATE "+table+" SET directory_id = NULL, external_id = '' WHERE org_id = ? AND directory_id = ?", org, directory)
		if err != nil {
			return fmt.Errorf("delete directory: give up %s: %w", table, err)
		}
	}
	for _, cleanup := range []struct {
		query string
		args  []any
	}{
		{"UPDATE token SET revoked_at = ? WHERE directory_id = ? AND org_id = ? AND revoked_at IS NULL", []any{now, directory, org}},
		{"UPDATE finding SET resolved_at = ? WHERE directory_id = ? AND org_id = ? AND resolved_at IS NULL", []any{now, directory, org}},
	} {
		if _, err := t.exec(ctx, cleanup.query, cleanup.args...); err != nil {
			return fmt.Errorf("delete directory: %w", err)
		}
	}
	n, err := t.exec(ctx, "DELETE FROM directory WHERE org_id = ? AND id = ?", org, directory)
	if err != nil {
		return fmt.Errorf("delete directory: %w", err)
	}
	if n == 0 {
		return store.Errorf(store.CodeNotFound, "directory %d does not exist", directory)
	}
	return nil
}
