package gormstore

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/provost-scim/provost/store"
)

// pageOf reads a page of rows, and one row more to see whether there is a next.
func pageOf[R interface{ record() T }, T any](what string, q *gorm.DB, limit int) (page store.Page[T], err error) {
	var rows []R
	limit = bounded(limit)
	if err := q.Limit(limit + 1).Find(&rows).Error; err != nil {
		return page, fmt.Errorf("list %s: %w", what, err)
	}
	page.Items = records[R, T](rows)
	cutPage(&page, limit)
	return page, nil
}

// OrganizationPage lists organizations by name.
func (r *reader) OrganizationPage(ctx context.Context, q store.OrganizationQuery) (page store.Page[store.Organization], err error) {
	where, args := "name_folded > ?", []any{q.After}
	if q.Only != 0 {
		where, args = where+" AND id = ?", append(args, q.Only)
	}
	q.Limit = bounded(q.Limit)
	page.Items, err = collect(ctx, r.session, scanOrganization,
		"SELECT "+organizationColumns+" FROM organization WHERE "+where+" ORDER BY name_folded LIMIT ?", append(args, q.Limit+1)...)
	if err != nil {
		return page, fmt.Errorf("list organizations: %w", err)
	}
	cutPage(&page, q.Limit)
	return page, nil
}

// DirectoryPage lists an organization's directories by name.
func (r *reader) DirectoryPage(ctx context.Context, q store.DirectoryQuery) (store.Page[store.Directory], error) {
	list := r.orm(ctx).Where("org_id = ? AND name_folded > ?", q.Org, q.After).Order("name_folded")
	if q.Kind != "" {
		list = list.Where("kind = ?", q.Kind)
	}
	return pageOf[directoryRow]("directories", list, q.Limit)
}

// DomainPage lists an organization's domains by name.
func (r *reader) DomainPage(ctx context.Context, q store.DomainQuery) (store.Page[store.Domain], error) {
	list := r.orm(ctx).Where("org_id = ? AND name > ?", q.Org, q.After).Order("name")
	if q.State != "" {
		list = list.Where("state = ?", q.State)
	}
	return pageOf[domainRow]("domains", list, q.Limit)
}

// TokenPage lists tokens, newest first.
func (r *reader) TokenPage(ctx context.Context, q store.TokenQuery) (store.Page[store.Token], error) {
	list := r.orm(ctx).Order("id DESC")
	if q.Org == 0 {
		list = list.Where("org_id IS NULL")
	} else {
		list = list.Where("org_id = ?", q.Org)
	}
	if q.Directory == 0 {
		list = list.Where("directory_id IS NULL")
	} else {
		list = list.Where("directory_id = ?", q.Directory)
	}
	if q.Role != "" {
		list = list.Where("role = ?", q.Role)
	}
	if q.Usable != nil {
		usable := "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)"
		if !*q.Usable {
			usable = "NOT (" + usable + ")"
		}
		list = list.Where(usable, r.e.moment(q.Now))
	}
	if q.Before != 0 {
		list = list.Where("id < ?", q.Before)
	}
	return pageOf[tokenRow]("tokens", list, q.Limit)
}

// OIDCBindingPage lists the bindings of a directory, newest first.
func (r *reader) OIDCBindingPage(ctx context.Context, q store.OIDCBindingQuery) (store.Page[store.OIDCBinding], error) {
	list := r.orm(ctx).Where("org_id = ? AND directory_id = ?", q.Org, q.Directory).Order("id DESC")
	if q.Before != 0 {
		list = list.Where("id < ?", q.Before)
	}
	return pageOf[oidcBindingRow]("bindings", list, q.Limit)
}

// Ready looks for one directory and one domain of each.
func (r *reader) Ready(ctx context.Context, orgs []store.Key) (map[store.Key]bool, error) {
	among, list := r.among(keys64(orgs))
	ready, err := collect(ctx, r.session, value[store.Key], `SELECT o.id FROM organization o WHERE o.id`+among+`
		AND EXISTS (SELECT 1 FROM directory d WHERE d.org_id = o.id AND d.synced_at IS NOT NULL)
		AND EXISTS (SELECT 1 FROM domain m WHERE m.org_id = o.id AND m.state = 'verified')`, list)
	if err != nil {
		return nil, fmt.Errorf("see which organizations are ready: %w", err)
	}
	out := make(map[store.Key]bool, len(ready))
	for _, key := range ready {
		out[key] = true
	}
	return out, nil
}

// DomainsInUse groups a directory's users.
func (r *reader) DomainsInUse(ctx context.Context, org, directory store.Key, limit int) ([]store.DomainUse, error) {
	owner, args := owned("u.directory_id", directory)
	list, err := collect(ctx, r.session, func(row scanner) (d store.DomainUse, err error) {
		err = row.Scan(&d.Name, &d.Users)
		return d, err
	}, `SELECT u.domain, count(*) FROM users u WHERE u.org_id = ? AND `+owner+` AND u.deleted_at IS NULL AND u.domain <> ''
		GROUP BY u.domain ORDER BY u.domain LIMIT ?`, append(append([]any{org}, args...), bounded(limit))...)
	if err != nil {
		return nil, fmt.Errorf("count users by domain: %w", err)
	}
	return list, nil
}
