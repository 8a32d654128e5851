package gormstore

import (
	"cmp"
	"strings"

	"github.com/provost-scim/provost/store"
)

// updateUser writes all that can change of a user whose stored version is the one
// that the change was made of.
func updateUser(c *store.UserChange) (statement, error) {
	row, err := userRow(&c.After)
	if err != nil {
		return statement{}, err
	}
	return statement{
		query: "UPDATE users SET " + strings.Join(insertColumns[fixedColumns:], " = ?, ") + " = ? WHERE org_id = ? AND id = ? AND version = ?",
		args:  append(row[fixedColumns:], c.After.Org, c.After.Key, c.Before.Version),
		want:  1,
	}, nil
}

// updatedTypes are those of the columns that an update writes, on PostgreSQL.
var updatedTypes = map[string]string{
	"directory_id": "bigint", "stated": "boolean", "enabled": "boolean", "out_of_scope": "boolean", "version": "bigint",
	"hash": "bytea", "modified_at": "timestamptz", "deleted_at": "timestamptz",
}

// updateTogether is from how many users on one statement updates all of them.
const updateTogether = 8

// updateUsers is updateUser of many: one statement on PostgreSQL, which has no more to
// do for each of them than to write its row.
func (w *writes) updateUsers(org store.Key, changes []*store.UserChange) (list []statement, err error) {
	if !w.e.postgres || len(changes) < updateTogether {
		list = make([]statement, len(changes))
		for i, c := range changes {
			if list[i], err = updateUser(c); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	columns := insertColumns[fixedColumns:]
	var types, set []string
	for _, column := range columns {
		types, set = append(types, cmp.Or(updatedTypes[column], "text")), append(set, column+" = k."+column)
	}
	rows := make([][]any, len(changes))
	for i, c := range changes {
		row, err := userRow(&c.After)
		if err != nil {
			return nil, err
		}
		rows[i] = append(row[fixedColumns:], c.After.Key, c.Before.Version)
	}
	from, args := w.e.unnest(append(types, "bigint", "bigint"), rows)
	return []statement{{
		query: "UPDATE users AS t SET " + strings.Join(set, ", ") + " FROM " + from + " AS k(" + strings.Join(columns, ", ") +
			", id, was) WHERE t.org_id = ? AND t.id = k.id AND t.version = k.was",
		args: append(args, org), want: int64(len(changes)),
	}}, nil
}
