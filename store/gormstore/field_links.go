package gormstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/provost-scim/provost/store"
)

// link is one kind of record that the elements of an attribute are.
type link struct {
	table  string // of the linked records, with its alias
	key    string // of the record that has the attribute
	column string // with which it is compared
	rows   string // FROM and WHERE; its one argument is the organization
	owner  string // the column of the directory, where a record of another one can be linked
	order  string // of the elements, as readers see them
	fields map[string]field
}

// The links, of which the last are those that readers see: a user's groups are those
// that publish it, a group's members are those that are stated.
var (
	userGroup = &link{
		table: "groups lg",
		key:   "u.id", column: "ef.user_id", order: "ef.group_id", owner: "lg.directory_id",
		rows: "effective ef JOIN groups lg ON lg.org_id = ? AND lg.id = ef.group_id WHERE ef.published AND lg.deleted_at IS NULL",
		fields: map[string]field{
			"value":   identifier{"lg.public_id"},
			"$ref":    location{kind: store.KindGroup, column: "lg.public_id"},
			"display": folded{"lg.display_name_folded"},
			"type":    oneOf{[]choice{{"direct", statedIn("")}, {"indirect", statedIn("NOT ")}}, true},
		},
	}
	memberUser = &link{
		table: "users lu",
		key:   "g.id", column: "m.group_id", order: "m.user_id",
		rows: "member m JOIN users lu ON lu.org_id = m.org_id AND lu.id = m.user_id WHERE m.org_id = ? AND lu.deleted_at IS NULL",
		fields: map[string]field{
			"value":   identifier{"lu.public_id"},
			"$ref":    location{kind: store.KindUser, column: "lu.public_id", owner: "lu.directory_id"},
			"display": folded{"(CASE WHEN lu.display_name_folded <> '' THEN lu.display_name_folded ELSE lu.user_name_folded END)"},
			"type":    oneOf{[]choice{{string(store.KindUser), always}}, true},
		},
	}
	memberGroup = &link{
		table: "groups lg",
		key:   "g.id", column: "n.parent_id", order: "n.child_id",
		rows: "nest n JOIN groups lg ON lg.org_id = n.org_id AND lg.id = n.child_id WHERE n.org_id = ? AND lg.deleted_at IS NULL",
		fields: map[string]field{
			"value":   identifier{"lg.public_id"},
			"$ref":    location{kind: store.KindGroup, column: "lg.public_id", owner: "lg.directory_id"},
			"display": folded{"lg.display_name_folded"},
			"type":    oneOf{[]choice{{string(store.KindGroup), always}}, true},
		},
	}
)

// statedIn is the condition that a user's membership is stated in the group itself.
func statedIn(not string) func(*compiler) (string, error) {
	return func(*compiler) (string, error) {
		return not + "EXISTS (SELECT 1 FROM member md WHERE md.group_id = ef.group_id AND md.user_id = ef.user_id)", nil
	}
}

// linked is a sub-attribute of linked records, or the attribute as a whole, which is
// compared by its value.
type linked struct {
	attr store.Field
	sub  string
}

func (f linked) compare(c *compiler, of store.Compare) (string, error) {
	sub := f.sub
	if sub == "" {
		sub = "value"
	}
	few := of.Op == store.Eq && (sub == "value" || sub == "$ref")
	return c.linked(f.attr, few, func(l *link) (string, error) { return l.fields[sub].compare(c, of) })
}

func (f linked) has(c *compiler) (string, error) {
	return c.linked(f.attr, false, func(l *link) (string, error) {
		if f.sub == "" {
			return "true", nil
		}
		return l.fields[f.sub].has(c)
	})
}

// linked is the SQL of a linked record that satisfies a condition: of the one at hand,
// or of any. If few can, the records that have them are found from there, of whichever
// kind they are: PostgreSQL would read all records for an OR.
func (c *compiler) linked(attr store.Field, few bool, condition func(*link) (string, error)) (string, error) {
	if c.link != nil {
		return condition(c.link)
	}
	var any, from []string
	key := ""
	for _, l := range c.of.links[attr] {
		args := len(c.args)
		of, owner := c.linkedRows(l)
		c.arg(owner...)
		inner, err := condition(l)
		if err != nil {
			return "", err
		}
		if inner == "false" { // an id that is none, the type of the other kind
			c.args = c.args[:args]
			continue
		}
		rows := of + " AND (" + inner + ")"
		key = l.key
		any = append(any, c.among(l.key, l.column, rows))
		from = append(from, "SELECT "+l.column+" FROM "+rows)
	}
	switch {
	case len(any) == 0:
		return "false", nil
	case few:
		return key + " IN (" + strings.Join(from, " UNION ALL ") + ")", nil
	}
	return "(" + strings.Join(any, " OR ") + ")", nil
}

// linkedRows are the rows of a link that are seen, with their arguments: a user can be
// in an internal group, which does not exist for the client of a directory.
func (c *compiler) linkedRows(l *link) (rows string, args []any) {
	if l.owner == "" || c.directory == nil {
		return l.rows, []any{c.org}
	}
	owner, owns := owned(l.owner, *c.directory)
	return l.rows + " AND " + owner, append([]any{c.org}, owns...)
}

// SelectMembers returns the public ids of what satisfies a condition among a group's
// stated live members, and among further records.
func (r *reader) SelectMembers(ctx context.Context, q store.MemberSelection) ([]store.ID, error) {
	c := compiler{s: r.session, of: groupRecords, org: q.Org, directory: &q.Directory, base: q.Base, within: "members"}
	var parts []string
	owner, directory := owned("g.directory_id", q.Directory)
	for _, l := range groupRecords.links["members"] {
		c.link = l
		id := l.fields["value"].(identifier).column
		if !q.Apart {
			c.arg(q.Org, q.Org, q.Group)
			c.arg(directory...)
			inner, err := c.condition(q.Of)
			if err != nil {
				return nil, err
			}
			parts = append(parts, "SELECT "+id+" FROM "+l.rows+" AND "+l.column+
				" = (SELECT g.id FROM groups g WHERE g.org_id = ? AND g.public_id = ? AND "+owner+" AND g.deleted_at IS NULL) AND ("+inner+")")
		}
		if len(q.Also) > 0 {
			f, list := r.ids(q.Also)
			alias := strings.TrimSuffix(id, "public_id")
			c.arg(q.Org, list)
			c.arg(directory...)
			inner, err := c.condition(q.Of)
			if err != nil {
				return nil, err
			}
			parts = append(parts, "SELECT "+id+" FROM "+l.table+" WHERE "+alias+"org_id = ? AND "+alias+"deleted_at IS NULL AND "+
				id+" IN (SELECT v FROM "+f+" AS k) AND "+strings.Replace(owner, "g.", alias, 1)+" AND ("+inner+")")
		}
	}
	if len(parts) == 0 {
		return nil, nil
	}
	list, err := collect(ctx, r.session, func(row scanner) (id store.ID, err error) {
		err = row.Scan(&id)
		return id, err
	}, strings.Join(parts, " UNION ")+" LIMIT ?", append(c.args, q.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("select members: %w", err)
	}
	return list, nil
}
