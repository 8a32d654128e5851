package gormstore

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// HandoverPage lists those that a directory takes part in.
func (r *reader) HandoverPage(ctx context.Context, q store.HandoverQuery) (page store.Page[store.Handover], err error) {
	q.Limit = bounded(q.Limit)
	moved := func(table, column string) string {
		return "(SELECT count(*) FROM alias AS a JOIN " + table + " AS r ON r.org_id = a.org_id AND r.id = a." + column +
			" WHERE a.directory_id = h.from_id AND r.directory_id = h.to_id AND r.deleted_at IS NULL)"
	}
	page.Items, err = collect(ctx, r.session, func(row scanner) (store.Handover, error) {
		h := store.Handover{Org: q.Org}
		err := row.Scan(&h.From, &h.To, &h.FromName, &h.ToName, scanTime(&h.StartedAt), &h.StartedBy, &h.UsersMoved, &h.GroupsMoved)
		return h, err
	}, "SELECT h.from_id, h.to_id, f.name, t.name, h.started_at, h.started_by, "+moved("users", "user_id")+", "+moved("groups", "group_id")+
		` FROM handover AS h JOIN directory AS f ON f.org_id = h.org_id AND f.id = h.from_id JOIN directory AS t ON t.org_id = h.org_id AND t.id = h.to_id
		WHERE h.org_id = ? AND (h.to_id = ? OR h.from_id = ?) AND (t.name_folded, f.name_folded) > (?, ?)
		ORDER BY t.name_folded, f.name_folded LIMIT ?`, q.Org, q.Directory, q.Directory, q.AfterTo, q.AfterFrom, q.Limit+1)
	if err != nil {
		return page, fmt.Errorf("list handovers: %w", err)
	}
	cutPage(&page, q.Limit)
	return page, nil
}

// StartHandover writes a handover.
func (t *tx) StartHandover(ctx context.Context, h *store.Handover) error {
	var back bool
	if err := t.row(ctx, "SELECT EXISTS (SELECT 1 FROM handover WHERE org_id = ? AND to_id = ? AND from_id = ?)", h.Org, h.From, h.To).Scan(&back); err != nil {
		return fmt.Errorf("start a handover: %w", err)
	}
	if back {
		return &store.Error{Code: store.CodeConflict, Message: "the handover the other way round is going on", Hint: "end that one first"}
	}
	_, err := t.exec(ctx, "INSERT INTO handover (org_id, to_id, from_id, started_at, started_by) VALUES (?, ?, ?, ?, ?)",
		h.Org, h.To, h.From, h.StartedAt, h.StartedBy)
	if uniqueViolation(err) {
		return &store.Error{Code: store.CodeConflict, Message: "this handover is going on already", Err: err}
	}
	if err != nil {
		return fmt.Errorf("start a handover: %w", err)
	}
	return nil
}

// EndHandover removes a handover; what it moved stays known by the old names.
func (t *tx) EndHandover(ctx context.Context, org, from, to store.Key) error {
	n, err := t.exec(ctx, "DELETE FROM handover WHERE org_id = ? AND to_id = ? AND from_id = ?", org, to, from)
	if err != nil {
		return fmt.Errorf("end a handover: %w", err)
	}
	if n == 0 {
		return store.Errorf(store.CodeNotFound, "no such handover is going on")
	}
	return nil
}

// aliases makes the statements by which a directory keeps knowing what it hands over,
// and forgets those of records that come back to it.
func (w *writes) aliases(c *store.ChangeSet) {
	move := func(column string, key, from, to store.Key, external string) {
		if from == to || from == 0 || to == 0 {
			return
		}
		w.add(
			statement{query: "DELETE FROM alias WHERE " + column + " = ? AND directory_id IN (?, ?)", args: []any{key, from, to}, want: -1},
			statement{
				query: "INSERT INTO alias (org_id, directory_id, external_id, " + column + ") VALUES (?, ?, ?, ?)",
				args:  []any{c.Org, from, external, key}, want: 1,
			})
	}
	for i := range c.Users {
		if u := &c.Users[i]; u.Op == store.OpUpdate {
			move("user_id", u.After.Key, u.Before.Directory, u.After.Directory, u.Before.ExternalID)
		}
	}
	for i := range c.Groups {
		if g := &c.Groups[i]; g.Op == store.OpUpdate {
			move("group_id", g.After.Key, g.Before.Directory, g.After.Directory, g.Before.ExternalID)
		}
	}
}

// handedMembers resolves the references that name records which the directory has
// handed over: by their public ids, and by the stable ids under which it knows them.
func (l *loader) handedMembers(ctx context.Context) error {
	if !l.s.Handover {
		return nil
	}
	var ids, external []string
	for _, g := range l.s.Groups {
		for _, ref := range g.Refs {
			if _, known := l.snap.Members[ref]; known {
				continue
			}
			if ref.ExternalID != "" {
				external = append(external, ref.ExternalID)
			} else if store.ValidID(string(ref.ID)) {
				ids = append(ids, string(ref.ID))
			}
		}
	}
	if len(ids)+len(external) == 0 {
		return nil
	}
	var asks []ask
	add := func(kind store.Kind, column, where string, arg any, ref func(store.ID, string) store.MemberRef) {
		asks = append(asks, ask{
			what: "resolve members that were handed over",
			query: "SELECT r.id, r.public_id, a.external_id FROM alias AS a JOIN " + tableOf(kind) + " AS r ON r.org_id = a.org_id AND r.id = a." + column +
				" WHERE a.directory_id = ? AND a.org_id = ? AND r.deleted_at IS NULL AND " + where,
			args: []any{l.s.Directory, l.s.Org, arg},
			each: func(row scanner) error {
				var id store.ID
				var name string
				edge := store.Edge{Kind: kind}
				if err := row.Scan(&edge.Key, &id, &name); err != nil {
					return err
				}
				if _, known := l.snap.Members[ref(id, name)]; !known {
					l.publicID(edge, id)
					l.snap.Members[ref(id, name)] = edge
				}
				return nil
			},
		})
	}
	for kind, column := range aliasColumns {
		if len(external) > 0 {
			f, arg := l.texts(external)
			add(kind, column, "a.external_id <> '' AND a.external_id IN (SELECT v FROM "+f+" AS k)", arg,
				func(_ store.ID, name string) store.MemberRef { return store.MemberRef{ExternalID: name} })
		}
		if len(ids) > 0 {
			among, arg := l.amongTexts(ids, "uuid")
			add(kind, column, "r.public_id"+among, arg, func(id store.ID, _ string) store.MemberRef { return store.MemberRef{ID: id} })
		}
	}
	return l.read(ctx, asks...)
}

// aliasColumns are where an alias keeps the record.
var aliasColumns = map[store.Kind]string{store.KindUser: "user_id", store.KindGroup: "group_id"}

// given finds the records of a scope that the directory has handed over.
func (l *loader) given() []ask {
	if !l.s.Handover {
		return nil
	}
	wanted := map[store.Kind][]string{}
	for _, r := range l.s.Users {
		if r.ExternalID != "" {
			wanted[store.KindUser] = append(wanted[store.KindUser], r.ExternalID)
		}
	}
	for _, g := range l.s.Groups {
		if g.Record.ExternalID != "" {
			wanted[store.KindGroup] = append(wanted[store.KindGroup], g.Record.ExternalID)
		}
	}
	names := map[store.Kind]string{store.KindUser: "user_name", store.KindGroup: "display_name"}
	var asks []ask
	for kind, list := range wanted {
		l.snap.Given[kind] = map[string]store.KeyOwner{}
		f, arg := l.texts(list)
		asks = append(asks, ask{
			what: "look for records that were handed over",
			query: "SELECT a.external_id, coalesce(d.id, 0), coalesce(d.name, ''), r.id, r.public_id, r." + names[kind] + " FROM alias AS a JOIN " + tableOf(kind) +
				" AS r ON r.org_id = a.org_id AND r.id = a." + aliasColumns[kind] + ` LEFT JOIN directory AS d ON d.org_id = r.org_id AND d.id = r.directory_id
				WHERE a.directory_id = ? AND a.org_id = ? AND r.deleted_at IS NULL AND a.external_id IN (SELECT v FROM ` + f + " AS k)",
			args: []any{l.s.Directory, l.s.Org, arg},
			each: func(row scanner) error {
				var external string
				o := store.KeyOwner{Holders: 1}
				err := row.Scan(&external, &o.Directory, &o.DirectoryName, &o.Key, &o.ID, &o.Name)
				o.Internal = o.Directory == 0
				l.snap.Given[kind][external] = o
				return err
			},
		})
	}
	return asks
}

// foreignMembers finds the members of groups that are loaded whole which belong to
// directories whose records this one takes over.
func (l *loader) foreignMembers(whole []store.Key) []ask {
	if !l.s.Handover || len(whole) == 0 {
		return nil
	}
	f, arg := l.keys(whole)
	var asks []ask
	for kind, join := range map[store.Kind]string{
		store.KindUser:  "SELECT DISTINCT r.id FROM member AS m JOIN users AS r ON r.org_id = m.org_id AND r.id = m.user_id WHERE m.org_id = ? AND m.group_id",
		store.KindGroup: "SELECT DISTINCT r.id FROM nest AS m JOIN groups AS r ON r.org_id = m.org_id AND r.id = m.child_id WHERE m.org_id = ? AND m.parent_id",
	} {
		asks = append(asks, ask{
			what:  "look for members of other directories",
			query: join + " IN (SELECT v FROM " + f + " AS k) AND r.directory_id IN (SELECT from_id FROM handover WHERE to_id = ?)",
			args:  []any{l.s.Org, arg, l.s.Directory},
			each: func(row scanner) error {
				k, err := value[store.Key](row)
				l.snap.Foreign[store.Edge{Kind: kind, Key: k}] = true
				return err
			},
		})
	}
	return asks
}
