package gormstore

import "github.com/provost-scim/provost/store"

// Attributes with several values are rows of user_value. Outside of brackets a
// condition on them holds if it holds for any element; within, it is about the element
// at hand, which is the row e.

// valueOf is a text in user_value.
type valueOf struct {
	attr, sub string
	fold      bool
}

func (f valueOf) compare(c *compiler, of store.Compare) (string, error) {
	v, err := textValue(of)
	if err != nil {
		return "", err
	}
	return f.match(c, func(row string) (string, error) {
		column, want := row+".text", v
		if f.fold {
			column, want = row+".folded", store.Fold(v)
		}
		if of.Op != store.Eq {
			return c.text(expression{sql: column}, of.Op, want)
		}
		c.arg(foldKey(store.Fold(v)), want) // by the index
		return "(" + row + ".fold_key = ? AND " + column + " = ?)", nil
	})
}

func (f valueOf) has(c *compiler) (string, error) {
	return f.match(c, func(row string) (string, error) { return row + ".folded <> ''", nil })
}

// match is the SQL of a row that satisfies a condition.
func (f valueOf) match(c *compiler, condition func(row string) (string, error)) (string, error) {
	if c.element && f.sub == "value" {
		return condition("e")
	}
	c.arg(f.attr, f.sub, c.org)
	inner, err := condition("v")
	if err != nil {
		return "", err
	}
	rows := "user_value v WHERE v.attr = ? AND v.sub = ? AND v.org_id = ? AND " + inner
	if c.element {
		return "EXISTS (SELECT 1 FROM " + rows + " AND v.user_id = e.user_id AND v.ord = e.ord)", nil
	}
	return c.among("u.id", "v.user_id", rows), nil
}

// attribute is a multi-valued attribute as a whole: it is compared by its value and
// present if it has an element.
type attribute struct{ valueOf }

func (f attribute) has(c *compiler) (string, error) {
	return elementOf(c, f.attr, func(string) (string, error) { return "true", nil })
}

// typeOf is the type of an element.
type typeOf struct{ attr string }

func (f typeOf) compare(c *compiler, of store.Compare) (string, error) {
	v, err := textValue(of)
	if err != nil {
		return "", err
	}
	return elementOf(c, f.attr, func(row string) (string, error) {
		return c.text(expression{sql: row + ".type_folded"}, of.Op, store.Fold(v))
	})
}

func (f typeOf) has(c *compiler) (string, error) {
	return elementOf(c, f.attr, func(row string) (string, error) { return row + ".type_folded <> ''", nil })
}

// primaryOf says whether an element is the primary one. An element that does not say
// so is not (RFC 7643 section 2.4).
type primaryOf struct{ attr string }

func (f primaryOf) compare(c *compiler, of store.Compare) (string, error) {
	return elementOf(c, f.attr, func(row string) (string, error) { return boolean(row+".is_primary", of) })
}

func (f primaryOf) has(c *compiler) (string, error) {
	return elementOf(c, f.attr, func(row string) (string, error) { return row + ".is_primary", nil })
}

// elementOf is the SQL of what every row of an element repeats.
func elementOf(c *compiler, attr string, condition func(row string) (string, error)) (string, error) {
	if c.element {
		return condition("e")
	}
	c.arg(attr, c.org)
	inner, err := condition("v")
	return c.among("u.id", "v.user_id", "user_value v WHERE v.attr = ? AND v.org_id = ? AND "+inner), err
}

// among is the condition that a key is among the values of a column of some rows, a
// FROM clause with its WHERE. PostgreSQL finds the best way in either direction for
// EXISTS, also where it is negated; SQLite goes from the rows to the key only for IN.
func (c *compiler) among(key, column, rows string) string {
	if c.s.e.postgres {
		return "EXISTS (SELECT 1 FROM " + rows + " AND " + column + " = " + key + ")"
	}
	return key + " IN (SELECT " + column + " FROM " + rows + ")"
}
