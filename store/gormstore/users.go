package gormstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/provost-scim/provost/store"
)

// userColumns are read by [scanUser], from a table called u.
const userColumns = `u.id, u.public_id, u.org_id, u.directory_id, u.external_id, u.attributes,
	u.stated, u.enabled, u.out_of_scope, u.version, u.hash, u.created_at, u.modified_at, u.deleted_at`

func scanUser(r scanner) (u store.User, err error) {
	err = scanUserWith(r, &u, scanJSON(&u.Attributes))
	return u, err
}

// scanUserText is scanUser for [store.Query.Text].
func scanUserText(r scanner) (u store.User, err error) {
	err = scanUserWith(r, &u, &u.Text)
	return u, err
}

// scanUserWith scans a user, and the attributes into what is given for them.
func scanUserWith(r scanner, u *store.User, attributes any) error {
	return r.Scan((*int64)(&u.Key), &u.ID, (*int64)(&u.Org), scanKey(&u.Directory), &u.ExternalID, attributes,
		&u.Stated, &u.Enabled, &u.OutOfScope, &u.Version, &u.Hash,
		scanTime(&u.CreatedAt), scanTime(&u.ModifiedAt), scanTime(&u.DeletedAt))
}

// User finds a live user by ID, or by userName if only one of the organization has it.
func (r *reader) User(ctx context.Context, org store.Key, ref string) (*store.User, error) {
	where, arg := "u.public_id = ?", any(ref)
	if !store.ValidID(ref) {
		where, arg = "u.user_name_folded = ?", store.Fold(ref)
	}
	list, err := collect(ctx, r.session, scanUser,
		"SELECT "+userColumns+" FROM users u WHERE "+where+" AND u.org_id = ? AND u.deleted_at IS NULL ORDER BY u.id LIMIT 2", arg, org)
	if err != nil {
		return nil, fmt.Errorf("read user %q: %w", ref, err)
	}
	switch len(list) {
	case 0:
		return nil, store.Errorf(store.CodeNotFound, "user %q does not exist", ref)
	case 1:
		return &list[0], nil
	}
	return nil, &store.Error{
		Code: store.CodeConflict, Message: fmt.Sprintf("several users are called %q", ref), Hint: "name the user by id",
	}
}

// Users lists live users. With their groups they are one query on PostgreSQL if a name
// finds them: the look-up of a user by a client, which is nearly all that some send.
func (r *reader) Users(ctx context.Context, q store.Query) (store.Page[store.User], error) {
	columns, scanPlain := userColumns, scanUser
	if q.Text {
		scanPlain = scanUserText
	}
	scan := scanPlain
	var memberships map[store.Key][]store.Membership
	named := q.Groups && r.e.postgres && userRecords.selective(q.Filter) != broad
	if named {
		memberships = map[store.Key][]store.Membership{}
		columns += ", " + groupsOfUser(q.Directory != nil)
		scan = func(row scanner) (store.User, error) {
			var groups []groupOfUser
			u, err := scanPlain(trailed{row, scanJSON(&groups)})
			for _, g := range groups {
				memberships[u.Key] = append(memberships[u.Key], store.Membership{User: u.Key, Group: g.ID, DisplayName: g.DisplayName, Direct: g.Direct})
			}
			return u, err
		}
	}
	out, err := page(ctx, r.session, userRecords, q, columns, scan)
	if err == nil && q.Groups && !named {
		keys := make([]store.Key, len(out.Items))
		for i := range out.Items {
			keys[i] = out.Items[i].Key
		}
		memberships, err = r.membershipsOf(ctx, q.Org, q.Directory, keys)
	}
	out.Memberships = memberships
	return out, err
}

// groupsOfUser is the column that Memberships reads of one user, from a table called u:
// all groups, or those of the user's own directory.
func groupsOfUser(own bool) string {
	of := ""
	if own {
		of = " AND g.directory_id IS NOT DISTINCT FROM u.directory_id"
	}
	return `array_to_json(ARRAY(SELECT json_build_object('id', g.public_id, 'displayName', g.display_name,
			'direct', EXISTS (SELECT 1 FROM member m WHERE m.group_id = e.group_id AND m.user_id = e.user_id))
		FROM effective e JOIN groups g ON g.org_id = u.org_id AND g.id = e.group_id
		WHERE e.user_id = u.id AND e.published AND g.deleted_at IS NULL` + of + ` ORDER BY e.group_id))`
}

type groupOfUser struct {
	ID          store.ID `json:"id"`
	DisplayName string   `json:"displayName"`
	Direct      bool     `json:"direct"`
}

// trailed scans a row with a further column at its end.
type trailed struct {
	scanner
	last any
}

func (t trailed) Scan(dest ...any) error { return t.scanner.Scan(append(dest, t.last)...) }

// membershipsOf is Memberships by user.
func (r *reader) membershipsOf(ctx context.Context, org store.Key, directory *store.Key, users []store.Key) (map[store.Key][]store.Membership, error) {
	list, err := r.Memberships(ctx, org, directory, users)
	out := map[store.Key][]store.Membership{}
	for _, m := range list {
		out[m.User] = append(out[m.User], m)
	}
	return out, err
}

// IDs returns the public ids of live records of one kind.
func (r *reader) IDs(ctx context.Context, org store.Key, kind store.Kind, keys []store.Key) (map[store.Key]store.ID, error) {
	out := make(map[store.Key]store.ID, len(keys))
	if len(keys) == 0 {
		return out, nil
	}
	f, arg := r.keys(keys)
	err := r.each(ctx, func(row scanner) error {
		var k store.Key
		var id store.ID
		err := row.Scan(&k, &id)
		out[k] = id
		return err
	}, "SELECT t.id, t.public_id FROM "+tableOf(kind)+" t WHERE t.org_id = ? AND t.id IN (SELECT v FROM "+f+" AS k) AND t.deleted_at IS NULL", org, arg)
	if err != nil {
		return nil, fmt.Errorf("read the ids of %s: %w", tableOf(kind), err)
	}
	return out, nil
}

// CountRecords counts a directory's live users, its active ones, and its groups.
func (r *reader) CountRecords(ctx context.Context, org, directory store.Key) (users, active, groups int, err error) {
	owner, args := owned("directory_id", directory)
	args = append([]any{org}, args...)
	all := append(append([]any{}, args...), args...)
	err = r.row(ctx, `SELECT count(*), count(CASE WHEN stated AND enabled AND NOT out_of_scope THEN 1 END),
		(SELECT count(*) FROM groups WHERE org_id = ? AND `+owner+` AND deleted_at IS NULL)
		FROM users WHERE org_id = ? AND `+owner+` AND deleted_at IS NULL`, all...).Scan(&users, &active, &groups)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("count records: %w", err)
	}
	return users, active, groups, nil
}

func tableOf(kind store.Kind) string {
	if kind == store.KindGroup {
		return "groups"
	}
	return "users"
}

// owned is the condition that a nullable column directory_id names a directory, or
// none for 0.
func owned(column string, directory store.Key) (condition string, args []any) {
	if directory == 0 {
		return column + " IS NULL", nil
	}
	return column + " = ?", []any{directory}
}

// insertColumns are those of a new user, in the order of userRow.
var insertColumns = []string{
	"org_id", "id", "public_id", "created_at",
	"directory_id", "external_id", "user_name", "user_name_folded", "display_name_folded", "given_name_folded",
	"family_name_folded", "title_folded", "user_type_folded", "department_folded", "employee_number_folded", "manager", "domain",
	"attributes", "stated", "enabled", "out_of_scope", "version", "hash", "modified_at", "deleted_at",
}

// fixedColumns says how many of insertColumns never change.
const fixedColumns = 4

func userRow(u *store.User) ([]any, error) {
	a := &u.Attributes
	text, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode user %s: %w", u.ID, err)
	}
	var given, family, department, number, manager string
	if a.Name != nil {
		given, family = a.Name.GivenName, a.Name.FamilyName
	}
	if e := a.Enterprise; e != nil {
		department, number = e.Department, e.EmployeeNumber
		if e.Manager != nil {
			manager = e.Manager.Value
		}
	}
	return []any{
		u.Org, u.Key, u.ID, u.CreatedAt,
		nullKey(u.Directory), u.ExternalID, a.UserName, store.Fold(a.UserName), store.Fold(a.DisplayName), store.Fold(given),
		store.Fold(family), store.Fold(a.Title), store.Fold(a.UserType), store.Fold(department), store.Fold(number), manager, store.DomainOf(a.DecidingAddress()),
		string(text), u.Stated, u.Enabled, u.OutOfScope, u.Version, u.Hash, u.ModifiedAt, u.DeletedAt,
	}, nil
}

// users makes the statements that write the users of a change set: those that leave
// before those that take their names.
func (w *writes) users(c *store.ChangeSet) error {
	var gone, kept []statement
	var created []*store.User
	var updated []*store.UserChange
	var values [][]any
	var revalue []store.Key
	for i := range c.Users {
		u := &c.Users[i]
		switch u.Op {
		case store.OpCreate:
			created = append(created, &u.After)
			values = append(values, valueRows(&u.After)...)
		case store.OpUpdate, store.OpRestore:
			updated = append(updated, u)
			if !sameValues(&u.Before.Attributes, &u.After.Attributes) {
				revalue = append(revalue, u.After.Key)
				values = append(values, valueRows(&u.After)...)
			}
		case store.OpDelete:
			gone = append(gone, statement{
				query: "UPDATE users SET deleted_at = ?, modified_at = ?, version = ? WHERE org_id = ? AND id = ? AND version = ? AND deleted_at IS NULL",
				args:  []any{u.After.DeletedAt, u.After.ModifiedAt, u.After.Version, c.Org, u.After.Key, u.Before.Version},
				want:  1,
			})
		case store.OpMark:
			kept = append(kept, mark("users", c.Org, u.After.Key, u.After.Hash))
		case store.OpForget:
			gone = append(gone, forget("users", c.Org, u.After.Key))
		default:
			return fmt.Errorf("user %s: the operation %q is unknown", u.After.ID, u.Op)
		}
	}
	updates, err := w.updateUsers(c.Org, updated)
	if err != nil {
		return err
	}
	w.add(gone...)
	w.add(w.park("users", "user_name_folded", c.Org, userNames(c))...)
	w.add(updates...)
	w.add(kept...)
	if len(revalue) > 0 {
		f, arg := w.keys(revalue)
		w.add(statement{
			query: "DELETE FROM user_value WHERE org_id = ? AND user_id IN (SELECT v FROM " + f + " AS k)",
			args:  []any{c.Org, arg}, want: -1,
		})
	}
	err = w.insertEach("users", insertColumns, len(created), func(i int) ([]any, error) { return userRow(created[i]) })
	if err != nil {
		return err
	}
	w.insert("user_value", valueColumns, values)
	return nil
}

func mark(table string, org, key store.Key, hash []byte) statement {
	return statement{query: "UPDATE " + table + " SET hash = ? WHERE org_id = ? AND id = ?", args: []any{hash, org, key}, want: 1}
}

func forget(table string, org, key store.Key) statement {
	return statement{
		query: "UPDATE " + table + " SET external_id = '' WHERE org_id = ? AND id = ? AND deleted_at IS NOT NULL",
		args:  []any{org, key}, want: 1,
	}
}

// renamed is one record whose folded name changes, or that comes back with one.
type renamed struct {
	key     store.Key
	was, is string
}

func userNames(c *store.ChangeSet) []renamed {
	var out []renamed
	for i := range c.Users {
		u := &c.Users[i]
		if u.Op == store.OpUpdate || u.Op == store.OpCreate || u.Op == store.OpRestore {
			r := renamed{key: u.After.Key, is: store.Fold(u.After.Attributes.UserName)}
			if u.Op == store.OpUpdate {
				r.was = store.Fold(u.Before.Attributes.UserName)
			}
			if r.was != r.is {
				out = append(out, r)
			}
		}
	}
	return out
}

// park takes names away from records that give them to others of the same change set,
// so that no statement meets a name that a later one would free.
func (w *writes) park(table, column string, org store.Key, list []renamed) []statement {
	taken := make(map[string]bool, len(list))
	for _, r := range list {
		taken[r.is] = true
	}
	var park []store.Key
	for _, r := range list {
		if r.was != "" && taken[r.was] {
			park = append(park, r.key)
		}
	}
	if len(park) == 0 {
		return nil
	}
	f, arg := w.keys(park)
	// No folded name begins with U+0001: it is a control character that no rule admits.
	return []statement{{
		query: "UPDATE " + table + " SET " + column + " = '\x01' || CAST(id AS text) WHERE org_id = ? AND id IN (SELECT v FROM " + f + " AS k)",
		args:  []any{org, arg}, want: int64(len(park)),
	}}
}

// lockNotAvailable reports whether a lock asked for with NOWAIT is held by another.
func lockNotAvailable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "55P03"
}
