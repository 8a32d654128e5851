package gormstore

import (
	"fmt"

	"github.com/provost-scim/provost/store"
)

// sortable is a field by which records can be ordered.
type sortable interface {
	// order is an expression that is null where there is no value.
	order(*compiler) string
}

// sort is the SQL of an order.
func (c *compiler) sort(by *store.Sort) (string, error) {
	f, ok := c.of.fields[by.Field].(sortable)
	if !ok {
		return "", &store.Error{
			Code: store.CodeInvalid, Field: "sortBy",
			Message: fmt.Sprintf("%s cannot be sorted by %s; name an attribute with one value, or a sub-attribute", c.of.table, by.Field),
		}
	}
	if by.Descending {
		return f.order(c) + " DESC NULLS FIRST", nil
	}
	return f.order(c) + " ASC NULLS LAST", nil
}

func (f folded) order(*compiler) string { return "nullif(" + f.column + ", '')" }

func (f exact) order(*compiler) string { return "nullif(" + f.column + ", '')" }

func (f identifier) order(*compiler) string { return f.column }

func (f flag) order(*compiler) string { return "(" + f.expr + ")" }

func (f moments) order(*compiler) string { return f.column }

func (f number) order(*compiler) string { return f.column }

func (description) order(c *compiler) string {
	if c.s.e.postgres {
		return `nullif(g.description, '') COLLATE "C"`
	}
	return "nullif(g.description, '')"
}

func (f valueOf) order(c *compiler) string {
	column := "v.folded"
	if !f.fold {
		column = "v.text"
	}
	return c.first("nullif("+column+", '')", f.attr, " AND v.sub = ?", f.sub)
}

func (f typeOf) order(c *compiler) string { return c.first("nullif(v.type_folded, '')", f.attr, "") }

func (f primaryOf) order(c *compiler) string { return c.first("v.is_primary", f.attr, "") }

// first is an expression of the primary element of a multi-valued attribute, or else
// of the first.
func (c *compiler) first(expr, attr, condition string, args ...any) string {
	c.arg(attr, c.org)
	c.arg(args...)
	return "(SELECT " + expr + " FROM user_value v WHERE v.user_id = u.id AND v.attr = ? AND v.org_id = ?" + condition +
		" ORDER BY v.is_primary DESC, v.ord, v.sub LIMIT 1)"
}
