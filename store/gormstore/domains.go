package gormstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/provost-scim/provost/store"
)

// Domains lists an organization's domains by name.
func (r *reader) Domains(ctx context.Context, org store.Key) ([]store.Domain, error) {
	var rows []domainRow
	if err := r.orm(ctx).Where("org_id = ?", org).Order("name").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	return records(rows), nil
}

// Domain finds a domain by name or ID.
func (r *reader) Domain(ctx context.Context, org store.Key, ref string) (*store.Domain, error) {
	column, arg := byNameOrID("name", strings.TrimSuffix(ref, "."))
	var row domainRow
	if err := r.orm(ctx).Where("org_id = ? AND "+column+" = ?", org, arg).Take(&row).Error; err != nil {
		return nil, notFound(err, "domain", ref)
	}
	d := row.record()
	return &d, nil
}

// DomainsToCheck lists domains whose check is due, the longest due first: those that
// DNS has verified once and that have not failed since. A domain that an owner
// vouched for has no record in DNS to look for.
func (r *reader) DomainsToCheck(ctx context.Context, before time.Time, limit int) ([]store.Domain, error) {
	var rows []domainRow
	err := r.orm(ctx).
		Where("state IN ? AND verified_at IS NOT NULL AND NOT vouched", []store.DomainState{store.DomainPending, store.DomainVerified}).
		Where("coalesce(checked_at, verified_at) < ?", r.e.moment(before)).
		Order("coalesce(checked_at, verified_at), id").Limit(bounded(limit)).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list domains to check: %w", err)
	}
	return records(rows), nil
}

// SaveDomain creates a domain with the key 0, and otherwise writes all of it but its
// name.
func (t *tx) SaveDomain(ctx context.Context, d *store.Domain) error {
	row := newDomainRow(d)
	var err error
	if d.Key == 0 {
		err = t.orm(ctx).Create(row).Error
	} else {
		done := t.orm(ctx).Model(row).Where("org_id = ?", d.Org).
			Select("state", "challenge", "vouched", "failures", "last_error", "verified_at", "checked_at").
			Updates(row)
		err = done.Error
		if err == nil && done.RowsAffected == 0 {
			return store.Errorf(store.CodeNotFound, "domain %q does not exist", d.Name)
		}
	}
	switch {
	case violates(err, "domain", "domain_verified", "name") && d.State == store.DomainVerified:
		return &store.Error{
			Code: store.CodeUniqueness, Message: fmt.Sprintf("domain %q is verified by another organization", d.Name),
			Hint: "a domain can be verified by one organization only", Field: "name", Err: err,
		}
	case uniqueViolation(err):
		return taken(err, "domain", d.Name)
	case err != nil:
		return fmt.Errorf("save domain %q: %w", d.Name, err)
	}
	d.Key = row.ID
	return nil
}

// DeleteDomain removes a domain.
func (t *tx) DeleteDomain(ctx context.Context, org, domain store.Key) error {
	n, err := t.exec(ctx, "DELETE FROM domain WHERE org_id = ? AND id = ?", org, domain)
	if err != nil {
		return fmt.Errorf("delete domain %d: %w", domain, err)
	}
	if n == 0 {
		return store.Errorf(store.CodeNotFound, "domain %d does not exist", domain)
	}
	return nil
}
