package gormstore

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/provost-scim/provost/store"
)

// lockUsers locks, by key, the users that the scope names, those that hold a name it
// would take, and those that may return, and sorts them out.
func (l *loader) lockUsers() []ask {
	if len(l.s.Users) == 0 && len(l.s.UserNames) == 0 && len(l.s.TakeUsers) == 0 && (!l.s.Departed || len(l.external) == 0) {
		return nil
	}
	ids := slices.Clone(l.s.TakeUsers)
	for _, r := range l.s.Users {
		if r.ID != "" {
			ids = append(ids, r.ID)
		}
	}
	candidates, args := l.candidateRows("users", "user_name_folded", ids, sorted(l.userNames))
	return []ask{{
		what: "lock the users",
		query: "WITH want(id) AS MATERIALIZED (" + candidates + ") SELECT " + userColumns +
			" FROM users u WHERE u.org_id = ? AND u.id IN (SELECT id FROM want) ORDER BY u.id" + l.locking("u"),
		args: append(args, l.s.Org),
		each: func(row scanner) error {
			u, err := scanUser(row)
			if err == nil {
				l.placeUser(&u)
			}
			return err
		},
	}}
}

func (l *loader) placeUser(u *store.User) {
	if u.Directory != l.s.Directory {
		if l.takes[u.ID] && !u.Deleted() {
			l.snap.Taken[u.ID] = u
		}
		return
	}
	name := store.Fold(u.Attributes.UserName)
	if u.Deleted() {
		if l.s.Departed && (u.ExternalID != "" && l.external[u.ExternalID] || l.userNames[name] || l.records[store.RecordKey{ID: u.ID}]) {
			l.snap.Departed = append(l.snap.Departed, u)
		}
		return
	}
	if l.external[u.ExternalID] {
		l.snap.Held[store.KindUser][u.ExternalID] = true
	}
	for _, r := range []store.RecordKey{{ID: u.ID}, {ExternalID: u.ExternalID}} {
		if l.records[r] && l.snap.Users[r] == nil {
			l.snap.Users[r] = u
		}
	}
	if l.userNames[name] {
		l.snap.NameHolders[name] = u
	}
}

func (l *loader) sortDeparted() {
	slices.SortFunc(l.snap.Departed, func(a, b *store.User) int {
		return cmp.Or(b.DeletedAt.Compare(a.DeletedAt), cmp.Compare(b.Key, a.Key))
	})
	slices.SortFunc(l.snap.DepartedGroups, func(a, b *store.Group) int {
		return cmp.Or(b.DeletedAt.Compare(a.DeletedAt), cmp.Compare(b.Key, a.Key))
	})
}

// surroundings reads the directory, the domains, and who holds the identity keys.
func (l *loader) surroundings() []ask {
	var out []ask
	if l.s.Directory != 0 {
		out = append(out, ask{
			what: "read the directory",
			query: `SELECT id, public_id, org_id, name, kind, CAST(settings AS text), secret, revision, created_at, updated_at, synced_at,
				coalesce((SELECT string_agg(CAST(h.from_id AS text), ',') FROM handover AS h WHERE h.to_id = directory.id), ''),
				EXISTS (SELECT 1 FROM alias AS a WHERE a.directory_id = directory.id)
				FROM directory WHERE org_id = ? AND id = ?`,
			args: []any{l.s.Org, l.s.Directory},
			each: func(row scanner) error {
				d := new(store.Directory)
				l.snap.Directory = d
				var from string
				if err := row.Scan(&d.Key, &d.ID, &d.Org, &d.Name, &d.Kind, scanJSON(&d.Settings), &d.Secret, &d.Revision,
					scanTime(&d.CreatedAt), scanTime(&d.UpdatedAt), scanTime(&d.SyncedAt), &from, &l.snap.GaveAway); err != nil {
					return err
				}
				for key := range strings.SplitSeq(from, ",") {
					if n, err := strconv.ParseInt(key, 10, 64); err == nil {
						l.snap.TakesFrom[store.Key(n)] = true
					}
				}
				return nil
			},
		})
	}
	if len(l.s.UserKeys) > 0 {
		out = append(out, ask{
			what: "read the domains", query: "SELECT name, state FROM domain WHERE org_id = ?", args: []any{l.s.Org},
			each: func(row scanner) error {
				var name string
				var state store.DomainState
				err := row.Scan(&name, &state)
				l.snap.Domains[name] = state
				return err
			},
		}, l.owners(store.KindUser, l.s.UserKeys, l.snap.Owners))
	}
	out = append(out, l.given()...)
	if len(l.s.GroupKeys) > 0 {
		out = append(out, l.owners(store.KindGroup, l.s.GroupKeys, l.snap.GroupOwners))
	}
	return out
}

func (l *loader) owners(kind store.Kind, keys []string, into map[string]store.KeyOwner) ask {
	f, arg := l.texts(sorted(setOf(keys)))
	return ask{
		what: "read who holds names",
		query: "SELECT i.folded, i.directory_id, coalesce(d.name, ''), i.holders FROM " + f + ` AS k
			JOIN identity_key i ON i.folded = k.v AND i.kind = ? AND i.org_id = ?
			LEFT JOIN directory d ON d.org_id = i.org_id AND d.id = i.directory_id`,
		args: []any{arg, string(kind), l.s.Org},
		each: func(row scanner) error {
			var folded string
			var o store.KeyOwner
			err := row.Scan(&folded, &o.Directory, &o.DirectoryName, &o.Holders)
			o.Internal = o.Directory == 0
			into[folded] = o
			return err
		},
	}
}

// holders finds, for each key that another directory holds, a record that holds it:
// the one with the lowest key.
func (l *loader) holders(ctx context.Context) error {
	var asks []ask
	if keys := l.foreign(l.snap.Owners); len(keys) > 0 {
		f, arg := l.texts(keys)
		asks = append(asks, l.holder(l.snap.Owners, "SELECT u.user_name_folded, coalesce(u.directory_id, 0), u.id, u.public_id, u.user_name FROM "+f+
			" AS k JOIN users u ON u.user_name_folded = k.v AND u.org_id = ? WHERE u.deleted_at IS NULL", arg, l.s.Org))
		short := map[string]bool{}
		for _, k := range keys {
			short[foldKey(k)] = true
		}
		f, arg = l.texts(sorted(short))
		asks = append(asks, l.holder(l.snap.Owners, "SELECT v.folded, coalesce(u.directory_id, 0), u.id, u.public_id, u.user_name FROM "+f+
			` AS k JOIN user_value v ON v.fold_key = k.v AND v.attr = 'emails' AND v.org_id = ? AND v.sub = 'value'
			JOIN users u ON u.org_id = v.org_id AND u.id = v.user_id WHERE u.deleted_at IS NULL`, arg, l.s.Org))
	}
	if keys := l.foreign(l.snap.GroupOwners); len(keys) > 0 {
		f, arg := l.texts(keys)
		asks = append(asks, l.holder(l.snap.GroupOwners, "SELECT g.display_name_folded, coalesce(g.directory_id, 0), g.id, g.public_id, g.display_name FROM "+f+
			" AS k JOIN groups g ON g.display_name_folded = k.v AND g.org_id = ? WHERE g.deleted_at IS NULL", arg, l.s.Org))
	}
	return l.read(ctx, asks...)
}

func (l *loader) foreign(owners map[string]store.KeyOwner) []string {
	var keys []string
	for _, k := range sorted(owners) {
		if owners[k].Directory != l.s.Directory {
			keys = append(keys, k)
		}
	}
	return keys
}

func (l *loader) holder(into map[string]store.KeyOwner, query string, args ...any) ask {
	return ask{what: "read who holds names", query: query, args: args, each: func(row scanner) error {
		var folded, name string
		var directory, key store.Key
		var id store.ID
		if err := row.Scan(&folded, &directory, &key, &id, &name); err != nil {
			return err
		}
		o, ok := into[folded]
		if ok && o.Directory == directory && (o.Key == 0 || key < o.Key) {
			o.Key, o.ID, o.Name = key, id, name
			into[folded] = o
		}
		return nil
	}}
}

// defaultRoles reads the roles that new users of the directory get, if the scope may
// create users.
func (l *loader) defaultRoles(ctx context.Context) (err error) {
	d := l.snap.Directory
	if d == nil || len(d.Settings.DefaultRoles) == 0 || len(l.s.UserNames) == 0 {
		return nil
	}
	l.snap.Roles, err = l.roles(ctx, l.s.Org, d.Settings.DefaultRoles)
	return err
}
