package gormstore

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// Known streams a directory's live users and then its groups, each by key. Nothing
// else may run on the reader until it returns.
func (r *reader) Known(ctx context.Context, directory store.Key, each func(store.Known) error) error {
	for _, part := range []struct {
		kind  store.Kind
		query string
	}{
		{store.KindUser, `SELECT id, external_id, hash, stated, out_of_scope, 0
			FROM users WHERE directory_id = ? AND deleted_at IS NULL ORDER BY id`},
		{store.KindGroup, `SELECT id, external_id, hash, true, out_of_scope,
			(SELECT count(*) FROM member WHERE member.group_id = g.id) + (SELECT count(*) FROM nest WHERE nest.parent_id = g.id)
			FROM groups AS g WHERE directory_id = ? AND deleted_at IS NULL ORDER BY id`},
	} {
		err := r.each(ctx, func(row scanner) error {
			k := store.Known{Kind: part.kind}
			if err := row.Scan(&k.Key, &k.ExternalID, &k.Hash, &k.Active, &k.OutOfScope, &k.Count); err != nil {
				return err
			}
			return each(k)
		}, part.query, directory)
		if err != nil {
			return fmt.Errorf("read what is known of directory %d: %w", directory, err)
		}
	}
	return nil
}
