package gormstore

import (
	"fmt"
	"strings"
	"time"

	"github.com/provost-scim/provost/store"
)

func textValue(c store.Compare) (string, error) {
	if v, ok := c.Value.(string); ok {
		return v, nil
	}
	return "", &store.Error{Code: store.CodeFilter, Message: fmt.Sprintf("%s is compared with text, not with %v", c.Field, c.Value), Field: string(c.Field)}
}

// folded is a column, or an expression of columns, that holds the fold of a text.
type folded struct{ column string }

func (f folded) compare(c *compiler, of store.Compare) (string, error) {
	v, err := textValue(of)
	if err != nil {
		return "", err
	}
	return c.text(expression{sql: f.column}, of.Op, store.Fold(v))
}

func (f folded) has(*compiler) (string, error) { return f.column + " <> ''", nil }

// exact is a column whose text is compared as it is.
type exact struct{ column string }

func (f exact) compare(c *compiler, of store.Compare) (string, error) {
	v, err := textValue(of)
	if err != nil {
		return "", err
	}
	return c.text(expression{sql: f.column}, of.Op, v)
}

func (f exact) has(*compiler) (string, error) { return f.column + " <> ''", nil }

// sparse is a column whose index leaves out the records that have no value.
type sparse struct{ exact }

func (f sparse) compare(c *compiler, of store.Compare) (string, error) {
	condition, err := f.exact.compare(c, of)
	if err == nil && of.Op == store.Eq {
		condition = "(" + condition + " AND " + f.column + " <> '')"
	}
	return condition, err
}

// computed is an expression of a text that is compared as it is, but has not the
// collation of a column that is.
type computed struct{ expr string }

func (f computed) compare(c *compiler, of store.Compare) (string, error) {
	return exact{c.bytewise(f.expr)}.compare(c, of)
}

func (f computed) has(*compiler) (string, error) { return f.expr + " <> ''", nil }

// bytewise gives a text the order of key columns.
func (c *compiler) bytewise(expr string) string {
	if c.s.e.postgres {
		return expr + ` COLLATE "C"`
	}
	return expr
}

// identifier is a column with a public id.
type identifier struct{ column string }

func (f identifier) compare(c *compiler, of store.Compare) (string, error) {
	v, err := textValue(of)
	if err != nil {
		return "", err
	}
	if of.Op == store.Eq {
		return c.sameID(f.column, v), nil
	}
	return c.text(expression{sql: c.idText(f.column)}, of.Op, v)
}

func (f identifier) has(*compiler) (string, error) { return "true", nil }

// sameID is the SQL of a public id being a text.
func (c *compiler) sameID(column, v string) string {
	if !store.ValidID(v) {
		return "false"
	}
	c.arg(v)
	return column + " = ?"
}

// idText is a public id as a text.
func (c *compiler) idText(column string) string {
	if c.s.e.postgres {
		return "CAST(" + column + ` AS text) COLLATE "C"`
	}
	return column
}

// location is the URL of a record, beneath the Base of the query, by a column with its
// public id.
type location struct {
	kind   store.Kind
	column string
	stated bool   // a text, which may be no public id; then there is no location
	owner  string // the column of the directory, where it may be another one than the query's; then there is none either
}

func (f location) compare(c *compiler, of store.Compare) (string, error) {
	v, err := textValue(of)
	if err != nil {
		return "", err
	}
	base := c.base + "/" + string(f.kind) + "s/"
	if of.Op == store.Eq {
		id, _ := strings.CutPrefix(v, base)
		if base+id != v || !store.ValidID(id) {
			return "false", nil
		}
		return f.served(c) + c.sameID(f.column, id), nil
	}
	id, valid := f.column, f.served(c)
	if f.stated {
		valid += c.isID(f.column) + " AND "
	} else {
		id = c.idText(f.column)
	}
	text, err := c.text(expression{sql: "(CAST(? AS text) || " + id + ")", args: []any{base}}, of.Op, v)
	return "(" + valid + text + ")", err
}

func (f location) has(c *compiler) (string, error) {
	if f.stated {
		return c.isID(f.column), nil
	}
	return f.served(c) + "true", nil
}

// served is the SQL, and an AND, of the record being one that the query's directory can
// read.
func (f location) served(c *compiler) string {
	if f.owner == "" || c.directory == nil {
		return ""
	}
	c.arg(*c.directory)
	return "coalesce(" + f.owner + ", 0) = ? AND "
}

// isID is the SQL of [store.ValidID] of a column with a text.
func (c *compiler) isID(column string) string {
	if c.s.e.postgres {
		return column + ` ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$'`
	}
	const hex = "[0-9a-f]"
	four := strings.Repeat(hex, 4)
	return column + " GLOB '" + four + four + "-" + four + "-" + four + "-" + four + "-" + four + four + four + "'"
}

// flag is a boolean expression.
type flag struct{ expr string }

func (f flag) compare(c *compiler, of store.Compare) (string, error) { return boolean(f.expr, of) }

func (f flag) has(*compiler) (string, error) { return "true", nil }

// boolean is the SQL of comparing a flag, which is false where the attribute is absent.
func boolean(expr string, of store.Compare) (string, error) {
	want, ok := of.Value.(bool)
	if !ok {
		return "", store.Errorf(store.CodeFilter, "%s is compared with true or false, not with %v", of.Field, of.Value)
	}
	switch {
	case of.Op != store.Eq:
		return "", unknownOp(of.Op)
	case want:
		return "(" + expr + ")", nil
	}
	return "NOT (" + expr + ")", nil
}

// moments is a column with a time.
type moments struct{ column string }

func (f moments) compare(c *compiler, of store.Compare) (string, error) {
	at, ok := of.Value.(time.Time)
	if text, isText := of.Value.(string); isText {
		var err error
		at, err = time.Parse(time.RFC3339Nano, text)
		ok = err == nil
	}
	if !ok {
		return "", store.Errorf(store.CodeFilter, "%s is compared with a date and time (RFC 3339), not with %v", of.Field, of.Value)
	}
	op := of.Op
	if _, known := order[op]; !known {
		return "", unknownOp(op)
	}
	// Between two microseconds, which are what is stored, no record can be.
	if !at.Equal(at.Truncate(time.Microsecond)) {
		switch op {
		case store.Eq:
			return "false", nil
		case store.AtLeast:
			op = store.Greater
		case store.Less:
			op = store.AtMost
		}
	}
	c.arg(at)
	return f.column + order[op] + "?", nil
}

func (f moments) has(*compiler) (string, error) { return "true", nil }

// number is a column with an integer.
type number struct{ column string }

func (f number) compare(c *compiler, of store.Compare) (string, error) {
	word, known := order[of.Op]
	if !known {
		return "", unknownOp(of.Op)
	}
	switch v := of.Value.(type) {
	case int64, int:
		c.arg(v)
		return f.column + word + "CAST(? AS bigint)", nil
	case float64:
		c.arg(v)
		return f.column + word + "CAST(? AS double precision)", nil
	}
	return "", store.Errorf(store.CodeFilter, "%s is compared with a number, not with %v", of.Field, of.Value)
}

func (f number) has(*compiler) (string, error) { return "true", nil }

// oneOf is an attribute whose values are known beforehand. Each is there on a
// condition, and at least one always.
type oneOf struct {
	values []choice
	fold   bool
}

type choice struct {
	value     string
	condition func(*compiler) (string, error)
}

func always(*compiler) (string, error) { return "true", nil }

// anyOf is the condition that one of the fields has a value.
func anyOf(fields []field) func(*compiler) (string, error) { return complexOf{fields}.has }

func (f oneOf) compare(c *compiler, of store.Compare) (string, error) {
	want, err := textValue(of)
	if err != nil {
		return "", err
	}
	var hold []string
	for _, v := range f.values {
		have := v.value
		if f.fold {
			have, want = store.Fold(have), store.Fold(want)
		}
		ok, err := holds(have, of.Op, want)
		if err != nil {
			return "", err
		}
		if ok {
			condition, err := v.condition(c)
			if err != nil {
				return "", err
			}
			hold = append(hold, condition)
		}
	}
	if len(hold) == 0 {
		return "false", nil
	}
	return "(" + strings.Join(hold, " OR ") + ")", nil
}

func (oneOf) has(*compiler) (string, error) { return "true", nil }

// holds compares two texts as [compiler.text] does in SQL.
func holds(have string, op store.CompareOp, want string) (bool, error) {
	switch op {
	case store.Eq:
		return have == want, nil
	case store.Contains:
		return strings.Contains(have, want), nil
	case store.StartsWith:
		return strings.HasPrefix(have, want), nil
	case store.EndsWith:
		return strings.HasSuffix(have, want), nil
	case store.Greater:
		return have > want, nil
	case store.AtLeast:
		return have >= want, nil
	case store.Less:
		return have < want, nil
	case store.AtMost:
		return have <= want, nil
	}
	return false, unknownOp(op)
}

// complexOf is an attribute with sub-attributes and one value.
type complexOf struct{ parts []field }

func (f complexOf) compare(_ *compiler, of store.Compare) (string, error) {
	return "", &store.Error{Code: store.CodeFilter, Message: fmt.Sprintf("%s is compared by its sub-attributes", of.Field), Field: string(of.Field)}
}

func (f complexOf) has(c *compiler) (string, error) {
	parts := make([]string, len(f.parts))
	for i, p := range f.parts {
		var err error
		if parts[i], err = p.has(c); err != nil {
			return "", err
		}
	}
	return "(" + strings.Join(parts, " OR ") + ")", nil
}
