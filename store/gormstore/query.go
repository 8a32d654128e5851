package gormstore

import (
	"fmt"
	"strings"
	"time"
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
		case "id", "userName", "externalId":
			return byColumn
		case "displayName": // a name only of groups
			if r.table == "groups" {
				return byColumn
			}
		case "emails", "emails.value", "members", "members.value":
			return byElement
		}
	case store.Element:
		if c.Attr == "emails" {
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

// compiler turns a condition into SQL that is never null, so that NOT is exact.
type compiler struct {
	s       *session
	of      *recordFields
	beside  *recordFields // of the other records of a list of both; a field that only they have is without a value here
	org     store.Key
	args    []any
	element store.Field // the attribute whose element is looked at, in a valuePath
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
		if c.element == "" || strings.HasPrefix(string(name), string(c.element)+".") || name == c.element {
			return f, nil
		}
		return nil, store.Errorf(store.CodeFilter, "a condition in %s[…] is about %s", c.element, name)
	}
	if c.foreign(name) {
		return absent{}, nil
	}
	return nil, &store.Error{Code: store.CodeFilter, Message: fmt.Sprintf("%s cannot be used in a filter of %s", name, c.of.table), Field: string(name)}
}

// elements is a valuePath: one element of the attribute satisfies all of it.
func (c *compiler) elements(e store.Element) (string, error) {
	if c.element != "" {
		return "", store.Errorf(store.CodeFilter, "%s[…] cannot stand within %s[…]", e.Attr, c.element)
	}
	if c.foreign(e.Attr) {
		return "false", nil
	}
	if c.of.linked[e.Attr] {
		if one, ok := e.Of.(store.Compare); ok {
			return c.condition(one)
		}
		return "", store.Errorf(store.CodeFilter, "%s[…] takes one condition, on its value", e.Attr)
	}
	if !c.of.elements[e.Attr] && len(c.of.below(e.Attr)) > 0 { // one value: the brackets only shorten paths
		return c.condition(e.Of)
	}
	if !c.of.elements[e.Attr] {
		return "", &store.Error{Code: store.CodeFilter, Message: fmt.Sprintf("%s has no elements to look into", e.Attr), Field: string(e.Attr)}
	}
	c.element = e.Attr
	defer func() { c.element = "" }()
	c.arg(string(e.Attr), c.org)
	inner, err := c.condition(e.Of)
	if err != nil {
		return "", err
	}
	anchor := ""
	if e.Attr != "addresses" {
		anchor = " AND e.sub = 'value'"
	}
	return "u.id IN (SELECT e.user_id FROM user_value e WHERE e.attr = ? AND e.org_id = ?" + anchor + " AND (" + inner + "))", nil
}

// text is the SQL of comparing an expression that is empty where the attribute is
// absent. Ranges and positions are bytewise on both engines, where LIKE is not.
func (c *compiler) text(expr string, op store.CompareOp, v string) (string, error) {
	switch op {
	case store.Eq:
		c.arg(v)
		return expr + " = ?", nil
	case store.Ne:
		c.arg(v)
		return expr + " <> ?", nil
	case store.Greater, store.AtLeast, store.Less, store.AtMost:
		c.arg(v)
		return "(" + expr + order[op] + "? AND " + expr + " <> '')", nil
	case store.Contains, store.StartsWith, store.EndsWith:
		if v == "" {
			return expr + " <> ''", nil
		}
	}
	switch op {
	case store.Contains:
		c.arg(v)
		if c.s.e.postgres {
			return "strpos(" + expr + ", ?) > 0", nil
		}
		return "instr(" + expr + ", ?) > 0", nil
	case store.StartsWith:
		c.arg(v)
		if end := successor(v); end != "" {
			c.arg(end)
			return "(" + expr + " >= ? AND " + expr + " < ?)", nil
		}
		return expr + " >= ?", nil
	case store.EndsWith:
		c.arg(utf8.RuneCountInString(v), v)
		return "substr(" + expr + ", length(" + expr + ") - CAST(? AS integer) + 1) = ?", nil
	}
	return "", unknownOp(op)
}

var order = map[store.CompareOp]string{
	store.Greater: " > ", store.AtLeast: " >= ", store.Less: " < ", store.AtMost: " <= ", store.Eq: " = ", store.Ne: " <> ",
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

// moment is the SQL of comparing a time.
func (c *compiler) moment(expr string, op store.CompareOp, v any) (string, error) {
	at, ok := v.(time.Time)
	if text, isText := v.(string); isText {
		var err error
		at, err = time.Parse(time.RFC3339Nano, text)
		ok = err == nil
	}
	if !ok {
		return "", store.Errorf(store.CodeFilter, "%v is not a date and time (RFC 3339)", v)
	}
	word, known := order[op]
	if !known {
		return "", unknownOp(op)
	}
	c.arg(at)
	return expr + word + "?", nil
}

// boolean is the SQL of comparing a flag, which is false where the attribute is absent.
func (c *compiler) boolean(expr string, op store.CompareOp, v any) (string, error) {
	want, ok := v.(bool)
	if !ok {
		return "", store.Errorf(store.CodeFilter, "%v is neither true nor false", v)
	}
	switch op {
	case store.Eq:
	case store.Ne:
		want = !want
	default:
		return "", unknownOp(op)
	}
	if want {
		return "(" + expr + ")", nil
	}
	return "NOT (" + expr + ")", nil
}
