package main

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/provost-scim/provost/store"
)

// A plain evaluator of filters (RFC 7644 section 3.4.2.2), over resources as the
// server shows them and attributes as /Schemas describes them. It knows nothing of how
// the server finds what it answers.

// oracle is a node of a filter.
type oracle interface {
	holds(in any) bool // in is a resource or, between brackets, an element
	write(b *strings.Builder)
}

// asked is an attribute as a filter names it.
type asked struct {
	written string
	is      characteristics
	within  bool // it is a sub-attribute of the element at hand
}

type (
	allOf   []oracle
	anyOf   []oracle
	notOf   struct{ of oracle }
	isThere struct{ asked }
	matched struct { // an element satisfies the filter
		asked
		of oracle
	}
	compared struct {
		asked
		op      string // in lower case
		value   any    // string, bool, json.Number, time.Time, nil
		written string // operator and value as they are written
	}
)

func (all allOf) holds(in any) bool {
	return !slices.ContainsFunc(all, func(o oracle) bool { return !o.holds(in) })
}

func (some anyOf) holds(in any) bool {
	return slices.ContainsFunc(some, func(o oracle) bool { return o.holds(in) })
}

func (n notOf) holds(in any) bool { return !n.of.holds(in) }

func (p isThere) holds(in any) bool {
	return slices.ContainsFunc(p.values(in, p.is), func(v any) bool { return !empty(v) })
}

func (m matched) holds(in any) bool {
	return slices.ContainsFunc(m.values(in, m.is), m.of.holds)
}

func (c compared) holds(in any) bool {
	if c.op == "ne" {
		c.op = "eq"
		return !c.holds(in)
	}
	if c.value == nil {
		return !isThere{c.asked}.holds(in)
	}
	leaf, values := c.is, c.values(in, c.is)
	if c.is.Type == "complex" {
		for _, sub := range c.is.SubAttributes {
			if sub.Name == "value" {
				leaf = sub
			}
		}
		for i := range values {
			values[i] = member(values[i], "value")
		}
	}
	if c.value == "" && c.op == "eq" {
		return !slices.ContainsFunc(values, func(v any) bool { return !empty(v) })
	}
	return slices.ContainsFunc(values, func(v any) bool { return compares(leaf, v, c.op, c.value) })
}

// values are what a resource or an element has for an attribute: of a multi-valued one
// all elements, of a sub-attribute one value, which may be nil, for each element.
func (a asked) values(in any, is characteristics) []any {
	if a.within {
		return []any{member(in, is.Name)}
	}
	if is.schema == enterprise || is.schema == provostGroup {
		in = member(in, is.schema)
	}
	name, sub, nested := strings.Cut(strings.TrimPrefix(is.path, is.schema+":"), ".")
	values, isList := member(in, name).([]any)
	if v := member(in, name); !isList && v != nil {
		values = []any{v}
	}
	values = slices.Clone(values)
	if nested {
		for i := range values {
			values[i] = member(values[i], sub)
		}
	}
	return values
}

func member(of any, name string) any {
	object, _ := of.(map[string]any)
	return object[name]
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func compares(is characteristics, have any, op string, want any) bool {
	switch is.Type {
	case "boolean":
		flag, _ := have.(bool) // what is not said to be primary is not
		return flag == want
	case "integer":
		h, _ := new(big.Float).SetString(string(have.(json.Number)))
		w, _ := new(big.Float).SetString(string(want.(json.Number)))
		return inOrder(h.Cmp(w), op)
	case "dateTime":
		at, err := time.Parse(time.RFC3339Nano, have.(string))
		if err != nil {
			panic(err)
		}
		return inOrder(at.Compare(want.(time.Time)), op)
	}
	h, _ := have.(string)
	w := want.(string)
	if h == "" {
		return false
	}
	if !is.CaseExact {
		h, w = store.Fold(h), store.Fold(w)
	}
	switch op {
	case "co":
		return strings.Contains(h, w)
	case "sw":
		return strings.HasPrefix(h, w)
	case "ew":
		return strings.HasSuffix(h, w)
	}
	return inOrder(strings.Compare(h, w), op)
}

func inOrder(c int, op string) bool {
	switch op {
	case "eq":
		return c == 0
	case "gt":
		return c > 0
	case "ge":
		return c >= 0
	case "lt":
		return c < 0
	case "le":
		return c <= 0
	}
	panic(fmt.Sprintf("the operator %s has no order", op))
}

func (all allOf) write(b *strings.Builder)  { join(b, all, " and ") }
func (some anyOf) write(b *strings.Builder) { join(b, some, " or ") }

func join(b *strings.Builder, terms []oracle, word string) {
	for i, term := range terms {
		if i > 0 {
			b.WriteString(word)
		}
		_, atomic := term.(compared)
		if _, isOr := term.(anyOf); isOr || !atomic && i%2 == 1 {
			b.WriteByte('(')
			term.write(b)
			b.WriteByte(')')
		} else {
			term.write(b)
		}
	}
}

func (n notOf) write(b *strings.Builder) {
	b.WriteString("not (")
	n.of.write(b)
	b.WriteByte(')')
}

func (p isThere) write(b *strings.Builder) { b.WriteString(p.written + " pr") }

func (m matched) write(b *strings.Builder) {
	b.WriteString(m.asked.written + "[")
	m.of.write(b)
	b.WriteByte(']')
}

func (c compared) write(b *strings.Builder) { b.WriteString(c.asked.written + " " + c.written) }

func written(o oracle) string {
	var b strings.Builder
	o.write(&b)
	return b.String()
}
