package gormstore

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// Members lists a group's live members, users before groups, each by key. Effective
// ones are users that the group publishes.
func (r *reader) Members(ctx context.Context, q store.MemberQuery) (store.Page[store.Member], error) {
	var out store.Page[store.Member]
	limit := q.Limit
	if q.After.Kind != store.KindGroup {
		list, err := r.memberUsers(ctx, q, limit)
		if err != nil {
			return out, fmt.Errorf("list members: %w", err)
		}
		out.Items = list
	}
	if !q.Effective && (limit == 0 || len(out.Items) <= limit) {
		rest := 0
		if limit > 0 {
			rest = limit - len(out.Items)
		}
		list, err := r.memberGroups(ctx, q, rest, limit > 0)
		if err != nil {
			return out, fmt.Errorf("list members: %w", err)
		}
		out.Items = append(out.Items, list...)
	}
	if limit > 0 && len(out.Items) > limit {
		out.Items, out.More = out.Items[:limit], true
	}
	return out, nil
}

// memberUsers lists one more than limit, to tell whether there are more.
func (r *reader) memberUsers(ctx context.Context, q store.MemberQuery, limit int) ([]store.Member, error) {
	after := store.Key(0)
	if q.After.Kind == store.KindUser {
		after = q.After.Key
	}
	query := `SELECT u.id, u.public_id, coalesce(u.directory_id, 0), u.user_name, u.attributes, true
		FROM member m JOIN users u ON u.org_id = m.org_id AND u.id = m.user_id
		WHERE m.group_id = ? AND m.org_id = ? AND m.user_id > ? AND u.deleted_at IS NULL ORDER BY m.user_id`
	if q.Effective {
		query = `SELECT u.id, u.public_id, coalesce(u.directory_id, 0), u.user_name, u.attributes,
				EXISTS (SELECT 1 FROM member m WHERE m.group_id = e.group_id AND m.user_id = e.user_id)
			FROM effective e JOIN users u ON u.id = e.user_id
			WHERE e.group_id = ? AND u.org_id = ? AND e.user_id > ? AND e.published AND u.deleted_at IS NULL ORDER BY e.user_id`
	}
	args := []any{q.Group, q.Org, after}
	if limit > 0 {
		query += " LIMIT ?"
		args = append(args, limit+1)
	}
	return collect(ctx, r.session, func(row scanner) (store.Member, error) {
		m := store.Member{Kind: store.KindUser}
		var shown struct {
			DisplayName string `json:"displayName"`
		}
		err := row.Scan(&m.Key, &m.ID, &m.Directory, &m.UserName, scanJSON(&shown), &m.Direct)
		m.DisplayName = shown.DisplayName
		return m, err
	}, query, args...)
}

func (r *reader) memberGroups(ctx context.Context, q store.MemberQuery, rest int, limited bool) ([]store.Member, error) {
	after := store.Key(0)
	if q.After.Kind == store.KindGroup {
		after = q.After.Key
	}
	query := `SELECT g.id, g.public_id, coalesce(g.directory_id, 0), g.display_name FROM nest n JOIN groups g ON g.org_id = n.org_id AND g.id = n.child_id
		WHERE n.parent_id = ? AND n.org_id = ? AND n.child_id > ? AND g.deleted_at IS NULL ORDER BY n.child_id`
	args := []any{q.Group, q.Org, after}
	if limited {
		query += " LIMIT ?"
		args = append(args, rest+1)
	}
	return collect(ctx, r.session, func(row scanner) (store.Member, error) {
		m := store.Member{Kind: store.KindGroup, Direct: true}
		err := row.Scan(&m.Key, &m.ID, &m.Directory, &m.DisplayName)
		return m, err
	}, query, args...)
}

// MembersOf lists the stated live members of several groups, of each as Members does.
func (r *reader) MembersOf(ctx context.Context, org store.Key, groups []store.Key) (map[store.Key][]store.Member, error) {
	out := make(map[store.Key][]store.Member, len(groups))
	if len(groups) == 0 {
		return out, nil
	}
	f, arg := r.keys(groups)
	users := ask{
		what: "list members of groups",
		query: `SELECT m.group_id, u.id, u.public_id, coalesce(u.directory_id, 0), u.user_name, u.attributes
			FROM member m JOIN users u ON u.org_id = m.org_id AND u.id = m.user_id
			WHERE m.group_id IN (SELECT v FROM ` + f + ` AS k) AND m.org_id = ? AND u.deleted_at IS NULL ORDER BY m.group_id, m.user_id`,
		args: []any{arg, org},
		each: func(row scanner) error {
			var group store.Key
			m := store.Member{Kind: store.KindUser, Direct: true}
			var shown struct {
				DisplayName string `json:"displayName"`
			}
			err := row.Scan(&group, &m.Key, &m.ID, &m.Directory, &m.UserName, scanJSON(&shown))
			m.DisplayName = shown.DisplayName
			out[group] = append(out[group], m)
			return err
		},
	}
	nested := ask{
		what: "list groups in groups",
		query: `SELECT n.parent_id, g.id, g.public_id, coalesce(g.directory_id, 0), g.display_name
			FROM nest n JOIN groups g ON g.org_id = n.org_id AND g.id = n.child_id
			WHERE n.parent_id IN (SELECT v FROM ` + f + ` AS k) AND n.org_id = ? AND g.deleted_at IS NULL ORDER BY n.parent_id, n.child_id`,
		args: []any{arg, org},
		each: func(row scanner) error {
			var group store.Key
			m := store.Member{Kind: store.KindGroup, Direct: true}
			err := row.Scan(&group, &m.Key, &m.ID, &m.Directory, &m.DisplayName)
			out[group] = append(out[group], m)
			return err
		},
	}
	if err := r.read(ctx, users, nested); err != nil {
		return nil, err
	}
	return out, nil
}

// NestedCounts counts the groups in each of several groups.
func (r *reader) NestedCounts(ctx context.Context, org store.Key, groups []store.Key) (map[store.Key]int, error) {
	out := map[store.Key]int{}
	if len(groups) == 0 {
		return out, nil
	}
	f, arg := r.keys(groups)
	err := r.each(ctx, func(row scanner) error {
		var group store.Key
		var n int
		err := row.Scan(&group, &n)
		out[group] = n
		return err
	}, "SELECT n.parent_id, count(*) FROM nest n WHERE n.parent_id IN (SELECT v FROM "+f+" AS k) AND n.org_id = ? GROUP BY n.parent_id", arg, org)
	if err != nil {
		return nil, fmt.Errorf("count groups in groups: %w", err)
	}
	return out, nil
}

// MemberCount counts a group's stated live members, users and groups, up to limit. A
// group without nested groups has as many as it has effective members, at least, so
// that a large one need not be counted.
func (r *reader) MemberCount(ctx context.Context, org, group store.Key, limit int) (n int, err error) {
	err = r.row(ctx, `SELECT CASE
		WHEN (SELECT g.effective_count >= ? AND NOT g.stale FROM groups g WHERE g.org_id = ? AND g.id = ?)
			AND NOT EXISTS (SELECT 1 FROM nest n WHERE n.parent_id = ?) THEN CAST(? AS bigint)
		ELSE (SELECT count(*) FROM (
			SELECT 1 FROM member m JOIN users u ON u.org_id = m.org_id AND u.id = m.user_id
				WHERE m.group_id = ? AND m.org_id = ? AND u.deleted_at IS NULL
			UNION ALL SELECT 1 FROM nest n JOIN groups g ON g.org_id = n.org_id AND g.id = n.child_id
				WHERE n.parent_id = ? AND n.org_id = ? AND g.deleted_at IS NULL
			LIMIT ?) AS few) END`,
		limit, org, group, group, limit, group, org, group, org, limit).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count members: %w", err)
	}
	return n, nil
}

// Memberships lists the groups in which users are published members, by user and
// then group.
func (r *reader) Memberships(ctx context.Context, org store.Key, directory *store.Key, users []store.Key) ([]store.Membership, error) {
	if len(users) == 0 {
		return nil, nil
	}
	f, arg := r.keys(users)
	of, args := "", []any{org, arg}
	if directory != nil {
		owner, owns := owned("g.directory_id", *directory)
		of, args = " AND "+owner, append(args, owns...)
	}
	list, err := collect(ctx, r.session, func(row scanner) (m store.Membership, err error) {
		err = row.Scan(&m.User, &m.Group, &m.DisplayName, &m.Direct)
		return m, err
	}, `SELECT e.user_id, g.public_id, g.display_name,
			EXISTS (SELECT 1 FROM member m WHERE m.group_id = e.group_id AND m.user_id = e.user_id)
		FROM effective e JOIN groups g ON g.org_id = ? AND g.id = e.group_id
		WHERE e.user_id IN (SELECT v FROM `+f+` AS k) AND e.published AND g.deleted_at IS NULL`+of+`
		ORDER BY e.user_id, e.group_id`, args...)
	if err != nil {
		return nil, fmt.Errorf("list memberships: %w", err)
	}
	return list, nil
}

// Resolve finds which references are live records of the directory (0: internal).
func (r *reader) Resolve(ctx context.Context, org, directory store.Key, refs []store.MemberRef) (map[store.MemberRef]store.Edge, error) {
	found := make(map[store.MemberRef]store.Edge, len(refs))
	if err := r.read(ctx, r.resolve(org, directory, true, refs, found, nil)...); err != nil {
		return nil, err
	}
	if err := r.read(ctx, r.resolveGroups(org, directory, true, refs, found, nil)...); err != nil {
		return nil, err
	}
	return found, nil
}

// resolve makes the queries that find live users by public id and by stable id;
// [session.resolveGroups] makes those that come after it. Unless ofOne, records of
// every directory are found by id; none is found by stable id then, which means
// nothing without its directory. Soft-deleted users go to former, by id, unless it
// is nil.
func (s *session) resolve(org, directory store.Key, ofOne bool, refs []store.MemberRef, found, former map[store.MemberRef]store.Edge) []ask {
	return s.resolveKind(store.KindUser, org, directory, ofOne, refs, found, former)
}

// resolveGroups makes the queries that find live groups, of what [session.resolve] has
// not found: members are mostly users, and a stable id that both a user and a group
// have is the user's.
func (s *session) resolveGroups(org, directory store.Key, ofOne bool, refs []store.MemberRef, found, former map[store.MemberRef]store.Edge) []ask {
	if len(found)+len(former) >= len(refs) { // all of them, each once
		return nil
	}
	rest := make([]store.MemberRef, 0, len(refs)-min(len(found), len(refs)))
	for _, ref := range refs {
		_, known := found[ref]
		if _, was := former[ref]; !known && !was {
			rest = append(rest, ref)
		}
	}
	return s.resolveKind(store.KindGroup, org, directory, ofOne, rest, found, nil)
}

func (s *session) resolveKind(kind store.Kind, org, directory store.Key, ofOne bool, refs []store.MemberRef, found, former map[store.MemberRef]store.Edge) []ask {
	var ids, external []string
	for _, ref := range refs {
		switch {
		case ref.ID != "":
			if store.ValidID(string(ref.ID)) {
				ids = append(ids, string(ref.ID))
			}
		case ref.ExternalID != "":
			external = append(external, ref.ExternalID)
		}
	}
	owner, ownerArgs := "true", []any(nil)
	if ofOne {
		owner, ownerArgs = owned("r.directory_id", directory)
	}
	var out []ask
	if len(ids) > 0 {
		among, arg := s.amongIDs(ids)
		out = append(out, ask{
			what:  "resolve members",
			query: "SELECT r.id, r.public_id, r.deleted_at IS NOT NULL FROM " + tableOf(kind) + " r WHERE r.public_id" + among + " AND r.org_id = ? AND " + owner,
			args:  append([]any{arg, org}, ownerArgs...),
			each: func(row scanner) error {
				var key store.Key
				var id store.ID
				var deleted bool
				err := row.Scan(&key, &id, &deleted)
				edge := store.Edge{Kind: kind, Key: key}
				s.publicID(edge, id)
				switch {
				case !deleted:
					found[store.MemberRef{ID: id}] = edge
				case former != nil:
					former[store.MemberRef{ID: id}] = edge
				}
				return err
			},
		})
	}
	if len(external) > 0 && ofOne {
		out = append(out, s.resolveStable(kind, org, owner, ownerArgs, external, found))
	}
	return out
}

// resolveStable finds records by stable id; of several with one it takes the first.
func (s *session) resolveStable(kind store.Kind, org store.Key, owner string, ownerArgs []any, external []string, found map[store.MemberRef]store.Edge) ask {
	among, arg := s.amongTexts(external, "text")
	return ask{
		what: "resolve members",
		query: "SELECT r.id, r.public_id, r.external_id FROM " + tableOf(kind) + " r WHERE r.external_id" + among + " AND r.external_id <> '' AND " + owner +
			" AND r.org_id = ? AND r.deleted_at IS NULL",
		args: append(append([]any{arg}, ownerArgs...), org),
		each: func(row scanner) error {
			var id store.ID
			var ref store.MemberRef
			edge := store.Edge{Kind: kind}
			err := row.Scan(&edge.Key, &id, &ref.ExternalID)
			s.publicID(edge, id)
			if was, known := found[ref]; !known || edge.Key < was.Key {
				found[ref] = edge
			}
			return err
		},
	}
}
