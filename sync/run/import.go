package run

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// maxCopied bounds how many grants of another user an import copies.
const maxCopied = 100

// copyGrants puts the roles and licences that a user holds itself into what an import
// gives.
func (e *Engine) copyGrants(ctx context.Context, tx store.Tx, org store.Key, as *store.Import) error {
	u, err := tx.User(ctx, org, as.Like)
	if err != nil {
		if store.CodeOf(err) == store.CodeNotFound {
			missing := store.Errorf(store.CodeInvalid, "like: there is no user %q", as.Like)
			missing.Field, missing.Hint = "like", "name a user of the organization by user name or id"
			return missing
		}
		return err
	}
	as.Like, as.Roles, as.Licences = u.Attributes.UserName, []string{}, nil
	grants, err := tx.Grants(ctx, store.GrantQuery{Org: org, Record: store.Edge{Kind: store.KindUser, Key: u.Key}, Limit: maxCopied + 1})
	if err != nil {
		return fmt.Errorf("read what %s holds: %w", as.Like, err)
	}
	if grants.More || len(grants.Items) > maxCopied {
		many := store.Errorf(store.CodeInvalid, "like: %s holds more than %d roles, licences and what its groups give", as.Like, maxCopied)
		many.Field = "like"
		return many
	}
	for i := range grants.Items {
		switch g := &grants.Items[i]; {
		case g.Via != 0: // it is the group's
		case g.Entitlement.Kind == store.EntitlementRole:
			as.Roles = append(as.Roles, g.Entitlement.Name)
		case g.Entitlement.Kind == store.EntitlementLicence:
			as.Licences = append(as.Licences, g.Entitlement.ID)
		}
	}
	return nil
}

// newUsers says how a run makes the users that it creates; nil if the directory's
// settings say so. What has been deleted since the run began is left out.
func newUsers(ctx context.Context, r store.Reader, run *store.Run) (*store.NewUsers, error) {
	if run.Selection == nil || run.Selection.Import == nil {
		return nil, nil
	}
	as := run.Selection.Import
	n := &store.NewUsers{Enabled: as.Enabled}
	licences, err := licencesOf(ctx, r, run)
	if err != nil {
		return nil, err
	}
	n.Licences = licences
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

func licencesOf(ctx context.Context, r store.Reader, run *store.Run) (list []store.Entitlement, err error) {
	for _, id := range run.Selection.Import.Licences {
		licence, err := r.Entitlement(ctx, run.Org, string(id))
		if store.CodeOf(err) == store.CodeNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, *licence)
	}
	return list, nil
}

// seated fails an import that would create more users than there are seats for: nobody
// of it is imported, rather than some without. It returns what the run would do if it had
// to find that out.
func (w *worker) seated(ctx context.Context, run *store.Run) (*store.RunCounts, error) {
	if run.Selection == nil || run.Selection.Import == nil || len(run.Selection.Import.Licences) == 0 {
		return nil, nil
	}
	counts, err := w.preview(ctx, run)
	if err != nil {
		return nil, fmt.Errorf("plan the import: %w", err)
	}
	return &counts, w.e.store.View(ctx, func(v store.Reader) error {
		licences, err := licencesOf(ctx, v, run)
		if err != nil {
			return err
		}
		for i := range licences {
			l := &licences[i]
			if l.Seats == nil || l.Taken+counts.Users.Created <= *l.Seats {
				continue
			}
			e := store.Errorf(store.CodeConflict, "the import creates %d users, and %s has %d free seats of %d: nothing has been changed",
				counts.Users.Created, l.Ref(), max(*l.Seats-l.Taken, 0), *l.Seats)
			e.Hint = "import fewer, give the licence more seats, or name roles instead of a user to be like"
			return e
		}
		return nil
	})
}

// joinScope puts what an import has found outside of the scope in it, when the run
// begins to apply.
func (e *Engine) joinScope(ctx context.Context, tx store.Tx, run *store.Run, cause store.Cause) ([]store.Event, error) {
	if run.Selection == nil || run.Selection.Import == nil || len(run.Plan) == 0 {
		return nil, nil
	}
	var summary PlanSummary
	if err := json.Unmarshal(run.Plan, &summary); err != nil {
		return nil, fmt.Errorf("read the plan of run %s: %w", run.ID, err)
	}
	if len(summary.Joins) == 0 {
		return nil, nil
	}
	now := e.now()
	if err := tx.JoinScope(ctx, run.Org, run.Directory, summary.Joins, now); err != nil {
		return nil, err
	}
	d, err := tx.DirectoryByKey(ctx, run.Directory)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(map[string]any{"after": map[string]any{"scope_entries": summary.Joins}})
	if err != nil {
		return nil, fmt.Errorf("tell who joined the scope: %w", err)
	}
	cause.Run = run.ID
	return []store.Event{{
		Org: run.Org, Directory: run.Directory, Type: store.EventDirectoryUpdated, Version: store.EventVersion,
		Kind: "Directory", Resource: d.ID, Cause: cause, Data: data, Time: now,
	}}, nil
}
