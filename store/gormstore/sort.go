package gormstore

import (
	"fmt"
	"strings"

	"github.com/provost-scim/provost/store"
)

// sortable is a field by which records can be ordered.
type sortable interface{ rank(c *compiler) *rank }

// rank is what a field orders records by.
type rank struct {
	expr     string // a text or an integer; null where there is no value
	args     []any
	number   bool // it is an integer
	required bool // it is never null
	foreign  bool // only the other records of the list have the field
}

// rank is the SQL of an order.
func (c *compiler) rank(by *store.Sort) (*rank, error) {
	if f, ok := c.of.fields[by.Field].(sortable); ok {
		return f.rank(c), nil
	}
	if _, ok := c.of.fields[by.Field]; !ok && c.foreign(by.Field) {
		return absent{}.rank(c), nil
	}
	return nil, &store.Error{
		Code: store.CodeInvalid, Field: "sortBy",
		Message: fmt.Sprintf("%s cannot be sorted by %s; name an attribute with one value, or a sub-attribute", c.of.table, by.Field),
	}
}

// textRank orders by a text, or none where it is empty.
func textRank(column string) *rank {
	return &rank{expr: fmt.Sprintf("nullif(substr(%s, 1, %d), '')", column, store.SortedText)}
}

func (f folded) rank(*compiler) *rank {
	if f.column == "u.user_name_folded" || f.column == "g.display_name_folded" { // indexes serve their order
		return &rank{expr: f.column, required: true}
	}
	return textRank(f.column)
}

func (f exact) rank(*compiler) *rank { return textRank(f.column) }

func (f identifier) rank(c *compiler) *rank {
	return &rank{expr: c.idText(f.column), required: true}
}

func (f flag) rank(*compiler) *rank {
	return &rank{expr: "CASE WHEN " + f.expr + " THEN 1 ELSE 0 END", number: true, required: true}
}

func (f moments) rank(c *compiler) *rank {
	if c.s.e.postgres {
		return &rank{expr: "CAST(extract(epoch FROM " + f.column + ") * 1000000 AS bigint)", number: true, required: true}
	}
	return &rank{expr: f.column, number: true, required: true}
}

func (f number) rank(*compiler) *rank { return &rank{expr: f.column, number: true, required: true} }

func (f computed) rank(c *compiler) *rank { return textRank(c.bytewise(f.expr)) }

func (f location) rank(c *compiler) *rank {
	if f.stated {
		return &rank{expr: "CASE WHEN " + c.isID(f.column) + " THEN " + f.column + " END"}
	}
	path := c.bytewise("('" + string(f.kind) + "s/' || " + c.idText(f.column) + ")")
	if f.owner == "" || c.directory == nil {
		return &rank{expr: path, required: true}
	}
	return &rank{expr: "CASE WHEN coalesce(" + f.owner + ", 0) = ? THEN " + path + " END", args: []any{*c.directory}}
}

// rank is by the first of the values that is there. That of an attribute is always, and
// that of a link needs no arguments.
func (f oneOf) rank(c *compiler) *rank {
	var when []string
	for _, v := range f.values {
		condition, err := v.condition(c)
		if err != nil {
			break // the conditions are our own
		}
		when = append(when, "WHEN "+condition+" THEN '"+v.value+"'")
		if condition == "true" {
			break
		}
	}
	return textRank(c.bytewise("(CASE " + strings.Join(when, " ") + " END)"))
}

// rank is by the first of the linked records, in the order in which readers see them.
func (f linked) rank(c *compiler) *rank {
	sub := f.sub
	if sub == "" {
		sub = "value"
	}
	out := &rank{}
	var firsts []string
	for _, l := range c.of.links[f.attr] {
		of := l.fields[sub].(sortable).rank(c)
		rows, args := c.linkedRows(l)
		firsts = append(firsts, "(SELECT "+of.expr+" FROM "+rows+" AND "+l.column+" = "+l.key+" ORDER BY "+l.order+" LIMIT 1)")
		out.args = append(append(out.args, of.args...), args...)
	}
	out.expr = firsts[0]
	if len(firsts) > 1 {
		out.expr = "coalesce(" + strings.Join(firsts, ", ") + ")"
	}
	return out
}

func (f valueOf) rank(c *compiler) *rank {
	column := "v.folded"
	if !f.fold {
		column = "v.text"
	}
	return c.first(textRank(column), f.attr, " AND v.sub = ?", f.sub)
}

func (f typeOf) rank(c *compiler) *rank { return c.first(textRank("v.type_folded"), f.attr, "") }

func (f primaryOf) rank(c *compiler) *rank {
	return c.first(&rank{expr: "CASE WHEN v.is_primary THEN 1 ELSE 0 END", number: true}, f.attr, "")
}

// first is the rank of the primary element of a multi-valued attribute, or else of the
// first.
func (c *compiler) first(of *rank, attr, condition string, args ...any) *rank {
	of.args = append([]any{attr, c.org}, args...)
	of.expr = "(SELECT " + of.expr + " FROM user_value v WHERE v.user_id = u.id AND v.attr = ? AND v.org_id = ?" + condition +
		" ORDER BY v.is_primary DESC, v.ord, v.sub LIMIT 1)"
	return of
}
