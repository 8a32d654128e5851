package gormstore

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// The members that a group shows also change without a statement about the group: a
// member is deleted, whose edge stays for its return, or returns. The group's events
// tell of that, and its version moves, so that nobody who asks for what has changed
// since a version is told that nothing has.

// vanish notes the memberships of users that are deleted as removed.
func (a *applier) vanish(had []pair) {
	for _, p := range had {
		if a.gone[p.user] {
			news := a.newsOf(p.group)
			news.removed = append(news.removed, store.Edge{Kind: store.KindUser, Key: p.user})
		}
	}
}

// appear notes the memberships with which users return as added, before others are
// added to them.
func (a *applier) appear(ctx context.Context) error {
	if len(a.back) == 0 || len(a.touched) == 0 {
		return nil
	}
	var have []pair
	if err := a.read(ctx, a.membersOf(a.back, &have)); err != nil {
		return err
	}
	for _, p := range have {
		news := a.newsOf(p.group)
		news.added = append(news.added, store.Edge{Kind: store.KindUser, Key: p.user})
	}
	return nil
}

// dropNested takes deleted groups out of the groups that they are in, and notes it of
// those that stay.
func (a *applier) dropNested(ctx context.Context, deleted map[store.Key]bool) error {
	f, arg := a.keys(sorted(deleted))
	err := a.each(ctx, func(row scanner) error {
		var parent, child store.Key
		if err := row.Scan(&parent, &child); err != nil {
			return err
		}
		if !deleted[parent] {
			news := a.newsOf(parent)
			news.removed = append(news.removed, store.Edge{Kind: store.KindGroup, Key: child})
		}
		return nil
	}, "DELETE FROM nest WHERE org_id = ? AND child_id IN (SELECT v FROM "+f+" AS k) RETURNING parent_id, child_id", a.c.Org, arg)
	if err != nil {
		return fmt.Errorf("take deleted groups out of others: %w", err)
	}
	return nil
}

// moveVersions moves the versions of the groups whose members have changed and that the
// change set does not write itself, and returns them. The groups are locked.
func (a *applier) moveVersions(ctx context.Context) (map[store.Key]int64, error) {
	groups := map[store.Key]bool{}
	for key := range a.news {
		groups[key] = true
	}
	for i := range a.c.Groups {
		switch g := &a.c.Groups[i]; g.Op {
		case store.OpCreate, store.OpUpdate, store.OpRestore, store.OpDelete:
			delete(groups, g.After.Key)
		}
	}
	if len(groups) == 0 {
		return nil, nil
	}
	versions := make(map[store.Key]int64, len(groups))
	f, arg := a.keys(sorted(groups))
	err := a.each(ctx, func(row scanner) error {
		var key store.Key
		var version int64
		err := row.Scan(&key, &version)
		versions[key] = version
		return err
	}, "UPDATE groups SET version = version + 1, modified_at = ? WHERE org_id = ? AND deleted_at IS NULL AND id IN (SELECT v FROM "+f+
		" AS k) RETURNING id, version", a.c.Now, a.c.Org, arg)
	if err != nil {
		return nil, fmt.Errorf("move the versions of groups: %w", err)
	}
	return versions, nil
}
