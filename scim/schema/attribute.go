package schema

import (
	"strings"

	elimity "github.com/elimity-com/scim/schema"
)

// Type is the data type of an attribute (RFC 7643 §2.3).
type Type string

// The data types of RFC 7643 §2.3.
const (
	String    Type = "string"
	Boolean   Type = "boolean"
	Binary    Type = "binary"
	Decimal   Type = "decimal"
	Integer   Type = "integer"
	DateTime  Type = "dateTime"
	Reference Type = "reference"
	Complex   Type = "complex"
)

// Mutability says whether a client may write an attribute (RFC 7643 §7).
type Mutability string

// The mutabilities of RFC 7643 §7.
const (
	ReadOnly  Mutability = "readOnly"
	ReadWrite Mutability = "readWrite"
	Immutable Mutability = "immutable"
	WriteOnly Mutability = "writeOnly"
)

// Returned says when an attribute is part of a response (RFC 7643 §7).
type Returned string

// The values of "returned" of RFC 7643 §7.
const (
	Always  Returned = "always"
	Never   Returned = "never"
	Default Returned = "default"
	Request Returned = "request"
)

// Attribute is one attribute or sub-attribute with its characteristics (RFC 7643 §2.2).
// Attributes are shared by all callers: read them, never change them.
type Attribute struct {
	Schema      string     // URN of its schema; empty for the common attributes schemas, id, externalId, meta
	Name        string     // in canonical case
	Parent      *Attribute // the complex attribute it is a part of; nil at the top
	Type        Type
	MultiValued bool
	Required    bool
	CaseExact   bool
	Mutability  Mutability
	Returned    Returned
	Unique      bool         // uniqueness is "server"
	Sub         []*Attribute // of a complex attribute, in the order of the schema

	sub map[string]*Attribute // by folded name
}

// SubAttribute finds a sub-attribute by its name in any case.
func (a *Attribute) SubAttribute(name string) (*Attribute, bool) {
	sub, ok := a.sub[fold(name)]
	return sub, ok
}

// Path is where the attribute stands, written canonically: "emails.value", "urn:…:User:manager".
func (a *Attribute) Path() string {
	if a.Parent != nil {
		return a.Parent.Path() + "." + a.Name
	}
	if isCore(a.Schema) {
		return a.Name
	}
	return a.Schema + ":" + a.Name
}

// isCore reports whether attributes of the schema stand at the top of a resource, not under the URN of an extension.
func isCore(urn string) bool { return urn == "" || urn == UserURN || urn == GroupURN }

func attributesOf(urn string, from []elimity.CoreAttribute, parent *Attribute) []*Attribute {
	attributes := make([]*Attribute, 0, len(from))
	for _, f := range from {
		a := &Attribute{
			Schema:      urn,
			Name:        f.Name(),
			Parent:      parent,
			Type:        Type(f.AttributeType()),
			MultiValued: f.MultiValued(),
			Required:    f.Required(),
			CaseExact:   f.CaseExact(),
			Mutability:  Mutability(f.Mutability()),
			Returned:    Returned(f.Returned()),
			Unique:      f.Uniqueness() == "server",
		}
		a.Sub = attributesOf(urn, f.SubAttributes(), a)
		a.sub = byName(a.Sub)
		attributes = append(attributes, a)
	}
	return attributes
}

func byName(attributes []*Attribute) map[string]*Attribute {
	m := make(map[string]*Attribute, len(attributes))
	for _, a := range attributes {
		m[fold(a.Name)] = a
	}
	return m
}

// fold makes names comparable. Attribute names and URNs are ASCII (RFC 7643 §2.1), so only ASCII letters fold:
// a Kelvin sign never matches a k.
func fold(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return strings.Map(func(r rune) rune {
				if 'A' <= r && r <= 'Z' {
					return r + ('a' - 'A')
				}
				return r
			}, s)
		}
	}
	return s
}
