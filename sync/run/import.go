package run

import (
	"context"

	"github.com/provost-scim/provost/store"
)

// newUsers says how a run makes the users that it creates; nil if the directory's
// settings say so. A role that has been deleted since the run began is left out.
func newUsers(ctx context.Context, r store.Reader, run *store.Run) (*store.NewUsers, error) {
	if run.Selection == nil || run.Selection.Import == nil {
		return nil, nil
	}
	as := run.Selection.Import
	n := &store.NewUsers{Enabled: as.Enabled}
	if as.Roles == nil {
		return n, nil
	}
	roles, err := r.Roles(ctx, run.Org, as.Roles)
	if err != nil {
		return nil, err
	}
	n.Roles = append([]store.Entitlement{}, roles...) // none is not the default
	return n, nil
}
