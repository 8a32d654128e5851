package gormstore

import (
	"strings"

	"github.com/provost-scim/provost/store"
)

// link is one kind of record that the elements of an attribute are.
type link struct {
	key    string // of the record that has the attribute
	column string // with which it is compared
	rows   string // FROM and WHERE; its one argument is the organization
	order  string // of the elements, as readers see them
	fields map[string]field
}

// The links, of which the last are those that readers see: a user's groups are those
// that publish it, a group's members are those that are stated.
var (
	userGroup = &link{
		key: "u.id", column: "ef.user_id", order: "ef.group_id",
		rows: "effective ef JOIN groups lg ON lg.org_id = ? AND lg.id = ef.group_id WHERE ef.published AND lg.deleted_at IS NULL",
		fields: map[string]field{
			"value":   identifier{"lg.public_id"},
			"$ref":    location{kind: store.KindGroup, column: "lg.public_id"},
			"display": folded{"lg.display_name_folded"},
			"type":    oneOf{[]choice{{"direct", statedIn("")}, {"indirect", statedIn("NOT ")}}, true},
		},
	}
	memberUser = &link{
		key: "g.id", column: "m.group_id", order: "m.user_id",
		rows: "member m JOIN users lu ON lu.org_id = m.org_id AND lu.id = m.user_id WHERE m.org_id = ? AND lu.deleted_at IS NULL",
		fields: map[string]field{
			"value":   identifier{"lu.public_id"},
			"$ref":    location{kind: store.KindUser, column: "lu.public_id"},
			"display": folded{"(CASE WHEN lu.display_name_folded <> '' THEN lu.display_name_folded ELSE lu.user_name_folded END)"},
			"type":    oneOf{[]choice{{string(store.KindUser), always}}, true},
		},
	}
	memberGroup = &link{
		key: "g.id", column: "n.parent_id", order: "n.child_id",
		rows: "nest n JOIN groups lg ON lg.org_id = n.org_id AND lg.id = n.child_id WHERE n.org_id = ? AND lg.deleted_at IS NULL",
		fields: map[string]field{
			"value":   identifier{"lg.public_id"},
			"$ref":    location{kind: store.KindGroup, column: "lg.public_id"},
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
		c.arg(c.org)
		inner, err := condition(l)
		if err != nil {
			return "", err
		}
		if inner == "false" { // an id that is none, the type of the other kind
			c.args = c.args[:args]
			continue
		}
		rows := l.rows + " AND (" + inner + ")"
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
