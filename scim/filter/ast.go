// Package filter reads the filters of RFC 7644 §3.4.2.2 and the PATCH paths of §3.5.2 into syntax trees.
//
// The usual path: [Parse] a filter, or [ParsePath] a PATCH path, then switch on the nodes: [And], [Or], [Not],
// [Compare], [Present], [ValuePath]. Names stay as they were written; schema.ResourceType.Lookup makes them canonical.
// String prints a tree in canonical form, which parses to the same tree as long as it stays within the bounds.
//
// More is accepted than the RFC says, because clients send it: operators, and, or, not, true, false and null in any case, a bare
// word as a string (externalId eq jyoung), and a sub-attribute after brackets (emails[type eq "work"].value eq "x"), which
// means that one element satisfies both. Input is bounded in length, depth and number of terms, so no filter is expensive to read.
//
// It never evaluates a filter and knows no schema.
package filter

import (
	"strconv"
	"strings"
)

// Op is a comparison operator of RFC 7644 §3.4.2.2, in lower case.
type Op string

// The comparison operators. "pr" is the node Present.
const (
	Equal          Op = "eq"
	NotEqual       Op = "ne"
	Contains       Op = "co"
	StartsWith     Op = "sw"
	EndsWith       Op = "ew"
	GreaterThan    Op = "gt"
	GreaterOrEqual Op = "ge"
	LessThan       Op = "lt"
	LessOrEqual    Op = "le"
)

// Expr is a node of a filter: And, Or, Not, Compare, Present or ValuePath, never a pointer to one.
type Expr interface {
	String() string
	write(b *strings.Builder, parent precedence)
}

// And holds if every term does. It has two terms or more, none of which is an And.
type And struct{ Terms []Expr }

// Or holds if any term does. It has two terms or more, none of which is an Or.
type Or struct{ Terms []Expr }

// Not holds if its term does not.
type Not struct{ Term Expr }

// Compare compares an attribute with a value, which is a string, bool, int64, float64, or nil for null.
type Compare struct {
	Attr  AttrPath
	Op    Op
	Value any
	// Word is how a number was written, where that is not how String writes its value:
	// 1e5, 1.50 and 12345678901234567890 may be meant as texts.
	Word string
}

// Present holds if the attribute has a value that is not empty.
type Present struct{ Attr AttrPath }

// ValuePath holds if one element of a multi-valued attribute satisfies the filter, whose names are sub-attributes.
type ValuePath struct {
	Attr   AttrPath
	Filter Expr
}

// AttrPath names an attribute as the client wrote it (RFC 7644 §3.10).
type AttrPath struct {
	URN  string // without the last colon; empty if none was written
	Name string
	Sub  string // empty if none was written
}

// Path is the target of a PATCH operation (RFC 7644 §3.5.2). Attr.Sub is the sub-attribute, whether or not a filter
// stands between it and the name: members[value eq "7"].display.
type Path struct {
	Attr   AttrPath
	Filter Expr // nil if the path has no brackets
}

type precedence int

const (
	lowest precedence = iota
	inOr
	inAnd
)

func (e And) String() string       { return print(e) }
func (e Or) String() string        { return print(e) }
func (e Not) String() string       { return print(e) }
func (e Compare) String() string   { return print(e) }
func (e Present) String() string   { return print(e) }
func (e ValuePath) String() string { return print(e) }

func print(e Expr) string {
	var b strings.Builder
	e.write(&b, lowest)
	return b.String()
}

func (e And) write(b *strings.Builder, _ precedence) { join(b, e.Terms, " and ", inAnd) }

func (e Or) write(b *strings.Builder, parent precedence) {
	if parent == inAnd {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	join(b, e.Terms, " or ", inOr)
}

func join(b *strings.Builder, terms []Expr, word string, p precedence) {
	for i, term := range terms {
		if i > 0 {
			b.WriteString(word)
		}
		term.write(b, p)
	}
}

func (e Not) write(b *strings.Builder, _ precedence) {
	b.WriteString("not (")
	e.Term.write(b, lowest)
	b.WriteByte(')')
}

func (e Compare) write(b *strings.Builder, _ precedence) {
	b.WriteString(e.Attr.String())
	b.WriteByte(' ')
	b.WriteString(string(e.Op))
	b.WriteByte(' ')
	if e.Word != "" {
		b.WriteString(e.Word)
		return
	}
	writeValue(b, e.Value)
}

// Text is the value as it was written, without quotation marks: what it is as a text.
func (e Compare) Text() string {
	if s, ok := e.Value.(string); ok {
		return s
	}
	if e.Word != "" {
		return e.Word
	}
	var b strings.Builder
	writeValue(&b, e.Value)
	return b.String()
}

func (e Present) write(b *strings.Builder, _ precedence) {
	b.WriteString(e.Attr.String())
	b.WriteString(" pr")
}

func (e ValuePath) write(b *strings.Builder, _ precedence) {
	b.WriteString(e.Attr.String())
	b.WriteByte('[')
	e.Filter.write(b, lowest)
	b.WriteByte(']')
}

// String writes the path as it was: "urn:…:User:manager.value".
func (p AttrPath) String() string {
	s := p.Name
	if p.URN != "" {
		s = p.URN + ":" + s
	}
	if p.Sub != "" {
		s += "." + p.Sub
	}
	return s
}

// String writes the path canonically: `emails[type eq "work"].value`.
func (p Path) String() string {
	if p.Filter == nil {
		return p.Attr.String()
	}
	s := AttrPath{URN: p.Attr.URN, Name: p.Attr.Name}.String() + "[" + p.Filter.String() + "]"
	if p.Attr.Sub != "" {
		s += "." + p.Attr.Sub
	}
	return s
}

func writeValue(b *strings.Builder, value any) {
	switch v := value.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		s := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0" // or it would be read back as an integer
		}
		b.WriteString(s)
	case string:
		writeString(b, v)
	}
}

// writeString writes a JSON string; only what JSON demands is escaped.
func writeString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20:
			const hex = "0123456789abcdef"
			b.WriteString(`\u00`)
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&0xf])
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}
