package gormstore

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/provost-scim/provost/store"
)

// where is the condition of all records of a query.
func (c *compiler) where(q store.Query) (string, error) {
	a := c.of.alias + "."
	// The planner knows nothing of new tables and thinks as much of an index that
	// begins with the organization or the directory as of that of a name. A plus sign
	// keeps it from the former.
	org, directory := a+"org_id", a+"directory_id"
	switch c.of.selective(q.Filter) {
	case byColumn:
		org, directory = "+"+org, "+coalesce("+directory+", 0)"
	case byElement:
		directory = "+coalesce(" + directory + ", 0)"
	}
	where := org + " = ? AND " + a + "deleted_at IS NULL"
	if q.Deleted {
		where = org + " = ? AND " + a + "deleted_at IS NOT NULL"
	}
	c.arg(q.Org)
	switch {
	case q.Directory == nil:
	case directory == a+"directory_id":
		owner, args := owned(directory, *q.Directory)
		where += " AND " + owner
		c.arg(args...)
	default:
		where += " AND " + directory + " = ?"
		c.arg(*q.Directory)
	}
	if q.Filter == nil {
		return where, nil
	}
	condition, err := c.condition(q.Filter)
	return where + " AND " + condition, err
}

// selectivity says by which index the few records are found for which a condition can
// hold at all, if there is one.
type selectivity int

const (
	broad     selectivity = iota
	byElement             // of elements or members, and the record by its key
	byColumn
)

func (r *recordFields) selective(c store.Condition) selectivity {
	switch c := c.(type) {
	case store.Compare:
		if c.Op != store.Eq {
			return broad
		}
		switch c.Field {
		case "id", r.name, "externalId", "meta.location":
			return byColumn
		case "emails", "emails.value", "members", "members.value", "members.$ref":
			return byElement
		}
	case store.Element:
		if c.Attr == "emails" || c.Attr == "members" {
			return r.selective(c.Of)
		}
	case store.And:
		best := broad
		for _, part := range c {
			best = max(best, r.selective(part))
		}
		return best
	case store.Or:
		worst := byColumn
		for _, part := range c {
			worst = min(worst, r.selective(part))
		}
		if len(c) > 0 {
			return worst
		}
	}
	return broad
}

// unique reports whether a condition holds for at most one live record of a directory:
// it gives the id, or the name that an index keeps from being taken twice.
func (r *recordFields) unique(c store.Condition) bool {
	switch c := c.(type) {
	case store.Compare:
		return c.Op == store.Eq && (c.Field == "id" || c.Field == r.name)
	case store.And:
		return slices.ContainsFunc(c, r.unique)
	}
	return false
}

// compiler turns a condition into SQL that is never null, so that NOT is exact.
type compiler struct {
	s         *session
	of        *recordFields
	beside    *recordFields // of the other records of a list of both; a field that only they have is without a value here
	org       store.Key
	directory *store.Key // whose records are seen; nil: all
	base      string     // of locations
	args      []any
	within    store.Field // the attribute before the brackets of a valuePath
	element   bool        // the element at hand is a row e of user_value
	link      *link       // what the element is, if it is another record
}

func (c *compiler) arg(v ...any) { c.args = append(c.args, v...) }

func (c *compiler) condition(of store.Condition) (string, error) {
	switch of := of.(type) {
	case store.And:
		return c.join(of, " AND ", "true")
	case store.Or:
		return c.join(of, " OR ", "false")
	case store.Not:
		inner, err := c.condition(of.Of)
		return "NOT (" + inner + ")", err
	case store.Compare:
		if of.Op == store.Ne {
			of.Op = store.Eq
			return c.condition(store.Not{Of: of})
		}
		f, err := c.field(of.Field)
		if err != nil {
			return "", err
		}
		return f.compare(c, of)
	case store.Has:
		f, err := c.field(of.Field)
		if err != nil {
			return "", err
		}
		return f.has(c)
	case store.Element:
		return c.elements(of)
	}
	return "", store.Errorf(store.CodeFilter, "the filter has a condition of an unknown kind %T", of)
}

func (c *compiler) join(parts []store.Condition, word, none string) (string, error) {
	if len(parts) == 0 {
		return none, nil
	}
	out := make([]string, len(parts))
	for i, p := range parts {
		var err error
		if out[i], err = c.condition(p); err != nil {
			return "", err
		}
	}
	return "(" + strings.Join(out, word) + ")", nil
}

func (c *compiler) field(name store.Field) (field, error) {
	if f, ok := c.of.fields[name]; ok {
		if c.within == "" || strings.HasPrefix(string(name), string(c.within)+".") || name == c.within {
			return f, nil
		}
		return nil, store.Errorf(store.CodeFilter, "a condition in %s[…] is about %s", c.within, name)
	}
	if c.foreign(name) {
		return absent{}, nil
	}
	return nil, &store.Error{Code: store.CodeFilter, Message: fmt.Sprintf("%s cannot be used in a filter of %s", name, c.of.table), Field: string(name)}
}

// elements is a valuePath: one element of the attribute satisfies all of it.
func (c *compiler) elements(e store.Element) (string, error) {
	if c.within != "" {
		return "", store.Errorf(store.CodeFilter, "%s[…] cannot stand within %s[…]", e.Attr, c.within)
	}
	if c.foreign(e.Attr) {
		return "false", nil
	}
	if c.of.links[e.Attr] == nil && !c.of.elements[e.Attr] {
		return c.only(e)
	}
	c.within = e.Attr
	defer func() { c.within, c.element = "", false }()
	if c.of.links[e.Attr] != nil {
		return c.linked(e.Attr, c.of.selective(e) != broad, func(l *link) (string, error) {
			c.link = l
			defer func() { c.link = nil }()
			return c.condition(e.Of)
		})
	}
	c.element = true
	c.arg(string(e.Attr), c.org)
	inner, err := c.condition(e.Of)
	if err != nil {
		return "", err
	}
	anchor := ""
	if e.Attr != "addresses" {
		anchor = " AND e.sub = 'value'"
	}
	return c.among("u.id", "e.user_id", "user_value e WHERE e.attr = ? AND e.org_id = ?"+anchor+" AND ("+inner+")"), nil
}

// only is a valuePath of an attribute with one value, which has to be there.
func (c *compiler) only(e store.Element) (string, error) {
	f, ok := c.of.fields[e.Attr].(complexOf)
	if !ok {
		return "", &store.Error{Code: store.CodeFilter, Message: fmt.Sprintf("%s has no elements to look into", e.Attr), Field: string(e.Attr)}
	}
	there, err := f.has(c)
	if err != nil {
		return "", err
	}
	c.within = e.Attr
	defer func() { c.within = "" }()
	inner, err := c.condition(e.Of)
	return "(" + there + " AND " + inner + ")", err
}

// expression is a text in SQL, with the arguments of its placeholders.
type expression struct {
	sql  string
	args []any
}

// text is the SQL of comparing an expression that is empty where the attribute is
// absent. Ranges and positions are bytewise on both engines, where LIKE is not.
func (c *compiler) text(e expression, op store.CompareOp, v string) (string, error) {
	switch op {
	case store.Eq:
		return c.with(e, v) + " = ?", nil
	case store.Greater, store.AtLeast, store.Less, store.AtMost:
		return "(" + c.with(e, v) + order[op] + "? AND " + c.with(e) + " <> '')", nil
	case store.Contains, store.StartsWith, store.EndsWith:
		if v == "" {
			return c.with(e) + " <> ''", nil
		}
	}
	switch op {
	case store.Contains:
		if c.s.e.postgres {
			return "strpos(" + c.with(e, v) + ", ?) > 0", nil
		}
		return "instr(" + c.with(e, v) + ", ?) > 0", nil
	case store.StartsWith:
		if end := successor(v); end != "" {
			return "(" + c.with(e, v) + " >= ? AND " + c.with(e, end) + " < ?)", nil
		}
		return c.with(e, v) + " >= ?", nil
	case store.EndsWith:
		return "substr(" + c.with(e) + ", length(" + c.with(e, utf8.RuneCountInString(v), v) + ") - CAST(? AS integer) + 1) = ?", nil
	}
	return "", unknownOp(op)
}

// with adds the arguments of an expression, and those that come after it, in the order
// in which they are written.
func (c *compiler) with(e expression, after ...any) string {
	c.arg(e.args...)
	c.arg(after...)
	return e.sql
}

var order = map[store.CompareOp]string{
	store.Greater: " > ", store.AtLeast: " >= ", store.Less: " < ", store.AtMost: " <= ", store.Eq: " = ",
}

func unknownOp(op store.CompareOp) error {
	return store.Errorf(store.CodeFilter, "the operator %s cannot be used here", op)
}

// successor is the least text that is greater than every text with the prefix, or ""
// if there is none. UTF-8 sorts like its characters.
func successor(prefix string) string {
	for prefix != "" {
		r, n := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-n]
		switch {
		case r == 0xD7FF: // surrogates are no characters
			return prefix + "\uE000"
		case r < utf8.MaxRune:
			return prefix + string(r+1)
		}
	}
	return ""
}
