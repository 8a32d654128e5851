package gormstore

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// groupColumns are read by [scanGroup], from a table called g.
const groupColumns = `g.id, g.public_id, g.org_id, g.directory_id, g.external_id, g.display_name, g.description,
	g.out_of_scope, g.effective_count, g.over_cap, g.version, g.hash, g.created_at, g.modified_at, g.deleted_at`

func scanGroup(r scanner) (g store.Group, err error) {
	err = r.Scan(&g.Key, &g.ID, &g.Org, scanKey(&g.Directory), &g.ExternalID, &g.DisplayName, &g.Description,
		&g.OutOfScope, &g.EffectiveCount, &g.OverCap, &g.Version, &g.Hash,
		scanTime(&g.CreatedAt), scanTime(&g.ModifiedAt), scanTime(&g.DeletedAt))
	return g, err
}

// Group finds a live group by ID, or by displayName if only one of the organization
// has it.
func (r *reader) Group(ctx context.Context, org store.Key, ref string) (*store.Group, error) {
	where, arg := "g.public_id = ?", any(ref)
	if !store.ValidID(ref) {
		where, arg = "g.display_name_folded = ?", store.Fold(ref)
	}
	list, err := collect(ctx, r.session, scanGroup,
		"SELECT "+groupColumns+" FROM groups g WHERE "+where+" AND g.org_id = ? AND g.deleted_at IS NULL ORDER BY g.id LIMIT 2", arg, org)
	if err != nil {
		return nil, fmt.Errorf("read group %q: %w", ref, err)
	}
	switch len(list) {
	case 0:
		return nil, store.Errorf(store.CodeNotFound, "group %q does not exist", ref)
	case 1:
		return &list[0], nil
	}
	return nil, &store.Error{
		Code: store.CodeConflict, Message: fmt.Sprintf("several groups are called %q", ref), Hint: "name the group by id",
	}
}

// Groups lists live groups.
func (r *reader) Groups(ctx context.Context, q store.Query) (store.Page[store.Group], error) {
	return page(ctx, r.session, groupRecords, q, groupColumns, scanGroup)
}

var groupInsertColumns = []string{
	"org_id", "id", "public_id", "directory_id", "external_id", "display_name", "display_name_folded", "description",
	"out_of_scope", "version", "hash", "created_at", "modified_at", "stale",
}

// groupRow is a new group; it is stale if its members are to be published later.
func groupRow(g *store.Group, stale bool) []any {
	return []any{
		g.Org, g.Key, g.ID, nullKey(g.Directory), g.ExternalID, g.DisplayName, store.Fold(g.DisplayName), g.Description,
		g.OutOfScope, g.Version, g.Hash, g.CreatedAt, g.ModifiedAt, stale,
	}
}

func updateGroup(c *store.GroupChange) statement {
	g := &c.After
	return statement{
		query: `UPDATE groups SET directory_id = ?, external_id = ?, display_name = ?, display_name_folded = ?, description = ?,
			out_of_scope = ?, version = ?, hash = ?, modified_at = ?, deleted_at = ? WHERE org_id = ? AND id = ? AND version = ?`,
		args: []any{
			nullKey(g.Directory), g.ExternalID, g.DisplayName, store.Fold(g.DisplayName), g.Description,
			g.OutOfScope, g.Version, g.Hash, g.ModifiedAt, g.DeletedAt, g.Org, g.Key, c.Before.Version,
		},
		want: 1,
	}
}

// groups makes the statements that write a change set's groups, without their edges.
func (w *writes) groups(c *store.ChangeSet) error {
	var gone, kept []statement
	var rows [][]any
	for i := range c.Groups {
		g := &c.Groups[i]
		switch g.Op {
		case "":
		case store.OpCreate:
			rows = append(rows, groupRow(&g.After, c.Deferred))
		case store.OpUpdate, store.OpRestore:
			kept = append(kept, updateGroup(g))
		case store.OpDelete:
			gone = append(gone, statement{
				query: "UPDATE groups SET deleted_at = ?, modified_at = ?, version = ?, hash = ? WHERE org_id = ? AND id = ? AND version = ? AND deleted_at IS NULL",
				args:  []any{g.After.DeletedAt, g.After.ModifiedAt, g.After.Version, g.After.Hash, c.Org, g.After.Key, g.Before.Version},
				want:  1,
			})
		case store.OpMark:
			kept = append(kept, mark("groups", c.Org, g.After.Key, g.After.Hash))
		case store.OpForget:
			gone = append(gone, forget("groups", c.Org, g.After.Key))
		default:
			return fmt.Errorf("group %s: the operation %q is unknown", g.After.ID, g.Op)
		}
	}
	w.add(gone...)
	w.add(w.park("groups", "display_name_folded", c.Org, groupNames(c))...)
	w.add(kept...)
	w.insert("groups", groupInsertColumns, rows)
	return nil
}

func groupNames(c *store.ChangeSet) []renamed {
	var out []renamed
	for i := range c.Groups {
		g := &c.Groups[i]
		if g.Op == store.OpUpdate || g.Op == store.OpCreate || g.Op == store.OpRestore {
			r := renamed{key: g.After.Key, is: store.Fold(g.After.DisplayName)}
			if g.Op == store.OpUpdate {
				r.was = store.Fold(g.Before.DisplayName)
			}
			if r.was != r.is {
				out = append(out, r)
			}
		}
	}
	return out
}
