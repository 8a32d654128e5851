package gormstore

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// knownColumns are what is known of a user r or a group r.
var knownColumns = map[store.Kind]string{
	store.KindUser:  "r.id, r.external_id, r.hash, r.stated, r.out_of_scope",
	store.KindGroup: "r.id, r.external_id, r.hash, true, r.out_of_scope",
}

// Known streams a directory's live users and then its groups, each by key. Nothing
// else may run on the reader until it returns.
func (r *reader) Known(ctx context.Context, directory store.Key, each func(store.Known) error) error {
	for _, kind := range []store.Kind{store.KindUser, store.KindGroup} {
		err := r.eachKnown(ctx, kind, each, "SELECT "+knownColumns[kind]+" FROM "+tableOf(kind)+
			" AS r WHERE r.directory_id = ? AND r.deleted_at IS NULL ORDER BY r.id", directory)
		if err != nil {
			return fmt.Errorf("read what is known of directory %d: %w", directory, err)
		}
	}
	return nil
}

func (r *reader) eachKnown(ctx context.Context, kind store.Kind, each func(store.Known) error, query string, args ...any) error {
	return r.each(ctx, func(row scanner) error {
		k := store.Known{Kind: kind}
		if err := row.Scan(&k.Key, &k.ExternalID, &k.Hash, &k.Active, &k.OutOfScope); err != nil {
			return err
		}
		return each(k)
	}, query, args...)
}

// Stock counts a directory's live records. How many there are is kept; only those that
// do not count are looked at, which have indexes of their own.
func (r *reader) Stock(ctx context.Context, directory store.Key) (s store.Stock, err error) {
	const kept = "(SELECT CAST(coalesce(sum(t.n), 0) AS bigint) FROM tally t WHERE t.directory_id = ? AND t.kind = ?)"
	var idle int
	err = r.row(ctx, "SELECT "+kept+", "+kept+`, i.idle, i.out, (SELECT count(*) FROM groups WHERE directory_id = ? AND deleted_at IS NULL AND out_of_scope)
		FROM (SELECT count(*) AS idle, count(CASE WHEN out_of_scope THEN 1 END) AS out
			FROM users WHERE directory_id = ? AND deleted_at IS NULL AND (NOT stated OR out_of_scope)) AS i`,
		directory, string(store.KindUser), directory, string(store.KindGroup), directory, directory,
	).Scan(&s.Users, &s.Groups, &idle, &s.UsersOut, &s.GroupsOut)
	if err != nil {
		return s, fmt.Errorf("count the records of directory %d: %w", directory, err)
	}
	s.ActiveUsers = s.Users - idle
	return s, nil
}

// KnownAs streams the live users and then the groups with some stable ids.
func (r *reader) KnownAs(ctx context.Context, directory store.Key, ids []string, each func(store.Known) error) error {
	among, list := r.amongTexts(ids, "text")
	for _, kind := range []store.Kind{store.KindUser, store.KindGroup} {
		err := r.eachKnown(ctx, kind, each, "SELECT "+knownColumns[kind]+" FROM "+tableOf(kind)+
			" AS r WHERE r.external_id"+among+" AND r.external_id <> '' AND r.directory_id = ? AND r.deleted_at IS NULL", list, directory)
		if err != nil {
			return fmt.Errorf("read what is known of %d records of directory %d: %w", len(ids), directory, err)
		}
	}
	return nil
}

// KnownIn streams the live members of some groups: a record once for each group.
func (r *reader) KnownIn(ctx context.Context, directory store.Key, groups []string, each func(store.Known) error) error {
	among, list := r.amongTexts(groups, "text")
	parents := " JOIN groups AS g ON g.id = e.%s WHERE g.external_id" + among +
		" AND g.external_id <> '' AND g.directory_id = ? AND g.deleted_at IS NULL AND r.directory_id = ? AND r.deleted_at IS NULL"
	for _, part := range []struct {
		kind store.Kind
		from string
	}{
		{store.KindUser, " FROM member AS e JOIN users AS r ON r.id = e.user_id" + fmt.Sprintf(parents, "group_id")},
		{store.KindGroup, " FROM nest AS e JOIN groups AS r ON r.id = e.child_id" + fmt.Sprintf(parents, "parent_id")},
	} {
		columns := "r.id, r.external_id, r.hash, true, r.out_of_scope"
		if err := r.eachKnown(ctx, part.kind, each, "SELECT "+columns+part.from, list, directory, directory); err != nil {
			return fmt.Errorf("read what is known of the members of %d groups: %w", len(groups), err)
		}
	}
	return nil
}

// Naming finds groups by their members, and users by their managers.
func (r *reader) Naming(ctx context.Context, directory store.Key, ids []string) ([]string, error) {
	among, list := r.amongTexts(ids, "text")
	const group = " AND %s.external_id <> '' AND %s.directory_id = ? AND g.directory_id = ? AND g.external_id <> '' AND g.deleted_at IS NULL"
	found, err := collect(ctx, r.session, value[string],
		`SELECT g.external_id FROM users AS r JOIN member AS e ON e.user_id = r.id JOIN groups AS g ON g.id = e.group_id
			WHERE r.external_id`+among+fmt.Sprintf(group, "r", "r")+`
		UNION SELECT g.external_id FROM groups AS r JOIN nest AS e ON e.child_id = r.id JOIN groups AS g ON g.id = e.parent_id
			WHERE r.external_id`+among+fmt.Sprintf(group, "r", "r")+`
		UNION SELECT g.external_id FROM pending_member AS e JOIN groups AS g ON g.id = e.group_id
			WHERE e.external_id`+among+` AND g.directory_id = ? AND g.external_id <> '' AND g.deleted_at IS NULL
		UNION SELECT u.external_id FROM users AS u
			WHERE u.manager`+among+` AND u.manager <> '' AND u.directory_id = ? AND u.external_id <> '' AND u.deleted_at IS NULL
		ORDER BY 1`,
		list, directory, directory, list, directory, directory, list, directory, list, directory)
	if err != nil {
		return nil, fmt.Errorf("find who names %d records: %w", len(ids), err)
	}
	return found, nil
}
