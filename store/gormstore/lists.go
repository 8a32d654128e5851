package gormstore

import (
	"encoding/json"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/provost-scim/provost/store"
)

// A list of any length is one argument, and a table in SQL: with
// f, list := s.ints(keys) it is written "… FROM "+f+" AS k …", or
// "… IN (SELECT v FROM "+f+" AS k)". PostgreSQL needs the alias.

// ints is a list of integers as a table with the column v.
func (s *session) ints(list []int64) (fragment string, arg any) {
	if s.e.postgres {
		return "(SELECT u.v FROM unnest(CAST(? AS bigint[])) AS u(v))", some(list)
	}
	return "(SELECT value AS v FROM json_each(?))", array(list)
}

// among is the condition that the column before it has one of the values. On a table
// that was never analysed PostgreSQL would make a loop in a loop of a sub-query.
func (s *session) among(list []int64) (condition string, arg any) {
	if s.e.postgres {
		return " = ANY (CAST(? AS bigint[]))", some(list)
	}
	return " IN (SELECT value FROM json_each(?))", array(list)
}

// amongRows is the condition that the column before it is in the one column of a query
// that returns few rows. A recursive query PostgreSQL takes for thousands of rows, for
// which it would read the whole table; an array it takes for ten.
func (s *session) amongRows(query string) string {
	if s.e.postgres {
		return " = ANY (ARRAY(" + query + "))"
	}
	return " IN (" + query + ")"
}

// amongTexts is among for texts, or what PostgreSQL reads from texts: uuid.
func (s *session) amongTexts(list []string, kind string) (condition string, arg any) {
	if s.e.postgres {
		return " = ANY (CAST(? AS " + kind + "[]))", some(list)
	}
	return " IN (SELECT value FROM json_each(?))", array(list)
}

// amongIDs is among for columns public_id. Every id must have the form of one.
func (s *session) amongIDs(ids []string) (condition string, arg any) {
	if !s.e.postgres {
		return " IN (SELECT value FROM json_each(?))", array(ids)
	}
	list := make([]pgtype.UUID, len(ids)) // texts would be encoded one by one, by reflection
	for i, id := range ids {
		if err := list[i].Scan(id); err != nil {
			panic(err) // see above
		}
	}
	return " = ANY (CAST(? AS uuid[]))", list
}

// keys is ints for keys.
func (s *session) keys(list []store.Key) (fragment string, arg any) {
	return s.ints(keys64(list))
}

// texts is a list of strings as a table with the column v.
func (s *session) texts(list []string) (fragment string, arg any) {
	if s.e.postgres {
		return `(SELECT u.v COLLATE "C" AS v FROM unnest(CAST(? AS text[])) AS u(v))`, some(list)
	}
	return "(SELECT value AS v FROM json_each(?))", array(list)
}

// ids is a list of public ids as a table with the column v, comparable with the
// columns public_id. What has not the form of an id is left out.
func (s *session) ids(list []store.ID) (fragment string, arg any) {
	valid := make([]string, 0, len(list))
	for _, id := range list {
		if store.ValidID(string(id)) {
			valid = append(valid, string(id))
		}
	}
	if s.e.postgres {
		return "(SELECT u.v FROM unnest(CAST(? AS uuid[])) AS u(v))", valid
	}
	return "(SELECT value AS v FROM json_each(?))", array(valid)
}

// pairs is two lists of equal length as a table with the columns a and b. It has
// several arguments on PostgreSQL, where arrays are far faster than JSON.
func (s *session) pairs(a, b []int64) (fragment string, args []any) {
	if s.e.postgres {
		return "(SELECT u.a, u.b FROM unnest(CAST(? AS bigint[]), CAST(? AS bigint[])) AS u(a, b))", []any{some(a), some(b)}
	}
	both := make([][2]int64, len(a))
	for i := range a {
		both[i] = [2]int64{a[i], b[i]}
	}
	return "(SELECT json_extract(value, '$[0]') AS a, json_extract(value, '$[1]') AS b FROM json_each(?))", []any{array(both)}
}

// some is the list itself, empty rather than null.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// array is a list of integers or strings as a JSON array. Strings keep every
// character: encoding/json would replace invalid UTF-8, which no text column takes.
func array[T any](list []T) string {
	b, err := json.Marshal(some(list))
	if err != nil {
		panic(err) // integers and strings always can be marshalled
	}
	return string(b)
}
