// Package patch applies PATCH requests (RFC 7644 §3.5.2).
//
// The usual path for a user: [User] takes the resource as canonical SCIM JSON and the operations, and gives the resource
// after them, and whether anything differs. For a group: [Group] gives a [GroupChange], which says what to change without
// ever needing the present members, so that adding one costs the same in any group. scim/dialect makes both inputs
// out of what clients send.
//
// A request applies as a whole or not at all. Unknown attributes are ignored, a read-only one in a path is refused,
// and elements that [type eq "work"] does not find are made, because Entra relies on it.
// It never modifies its input and never does I/O. Every error is an errors.ScimError with status 400.
package patch

import (
	"fmt"

	"github.com/elimity-com/scim/errors"

	"github.com/provost-scim/provost/scim/filter"
	"github.com/provost-scim/provost/scim/schema"
)

// Bounds of a request.
const (
	MaxOperations     = 20_000 // operations on a group; clients may send one for each member
	MaxUserOperations = 1000   // operations on a user
	MaxComparisons    = 1e6    // of elements of a user with filters and values, over all operations; about 0.1 s
)

// Op is what an operation does.
type Op string

// The operations of RFC 7644 §3.5.2.
const (
	Add     Op = "add"
	Replace Op = "replace"
	Remove  Op = "remove"
)

// Operation is one operation of a PATCH request. Value is decoded JSON: map[string]any, []any, string, bool, nil, and
// numbers as json.Number or float64.
type Operation struct {
	Op    Op
	Path  string // as the client wrote it; empty if it wrote none
	Value any    // nil if there was none, or null
}

// step is one operation on one path: an operation without a path comes apart into one step for each key of its value.
type step struct {
	op    Op
	path  filter.Path
	to    schema.Path // to.Attribute is never nil
	value any
	keyed bool // from a key of a value, where a read-only attribute is ignored rather than refused
}

// steps takes an operation apart and calls do for each of its steps, in an order that depends on nothing but the operation.
func steps(t *schema.ResourceType, o Operation, do func(step) error) error {
	switch o.Op {
	case Add, Replace, Remove:
	default:
		return fail(errors.ScimTypeInvalidSyntax, "op %q is unknown; use add, replace or remove", o.Op)
	}
	if o.Path == "" {
		if o.Op == Remove {
			return fail(errors.ScimTypeNoTarget, "remove needs a path")
		}
		return keys(t, o.Op, "", o.Value, do)
	}
	path, err := filter.ParsePath(o.Path)
	if err != nil {
		return err
	}
	to, ok := t.Lookup(path.Attr.URN, path.Attr.Name, path.Attr.Sub)
	switch {
	case !ok:
		return nil // unknown: ignored
	case to.Attribute != nil:
		return do(step{o.Op, path, to, o.Value, false})
	case path.Filter != nil:
		return fail(errors.ScimTypeInvalidPath, "%s is a schema and takes no filter", to.Schema)
	case o.Op == Remove:
		return removeSchema(t, to.Schema, do)
	default:
		return keys(t, o.Op, to.Schema, o.Value, do)
	}
}

// keys takes an object apart whose keys are paths themselves: "displayName", "name.givenName", "urn:…:User:manager", the URN of
// an extension with an object of its attributes. In is the schema that names without a URN belong to; empty for any.
func keys(t *schema.ResourceType, op Op, in string, value any, do func(step) error) error {
	object, ok := value.(map[string]any)
	if !ok {
		return fail(errors.ScimTypeInvalidValue, "%s without the path of an attribute needs an object as value", op)
	}
	for _, g := range t.Given(object, in, splitPath) {
		if g.Path.Attribute == nil {
			continue // a schema without an object of attributes
		}
		path, err := filter.ParsePath(g.Name)
		if err == nil {
			err = do(step{op, path, g.Path, g.Value, true})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// splitPath takes a PATCH path apart. What is none has no attribute, and so is unknown.
func splitPath(name string) (urn, attribute, sub, selection string) {
	path, err := filter.ParsePath(name)
	if err != nil {
		return "", "", "", ""
	}
	if path.Filter != nil {
		selection = "[" + path.Filter.String() + "]"
	}
	return path.Attr.URN, path.Attr.Name, path.Attr.Sub, selection
}

func removeSchema(t *schema.ResourceType, urn string, do func(step) error) error {
	if urn == t.Core {
		return fail(errors.ScimTypeMutability, "the core attributes cannot be removed as a whole")
	}
	for _, a := range t.Extension(urn) {
		path := filter.Path{Attr: filter.AttrPath{URN: urn, Name: a.Name}}
		if err := do(step{Remove, path, schema.Path{Schema: urn, Attribute: a}, nil, true}); err != nil {
			return err
		}
	}
	return nil
}

// skip reports whether a step has nothing to do, and refuses one on what only the server writes (RFC 7643 §7).
// id is that of the resource, which clients may repeat.
func (s step) skip(id string) (bool, error) {
	a := s.to.Attribute
	if a.Name == "schemas" && a.Schema == "" || a.Mutability == schema.WriteOnly {
		return true, nil // schemas follow from the attributes; a password is accepted and thrown away
	}
	if a.Name == "id" && a.Schema == "" && s.op != Remove {
		if got, ok := s.value.(string); ok && got == id {
			return true, nil
		}
		return false, fail(errors.ScimTypeMutability, "id cannot be changed")
	}
	if a.Mutability == schema.ReadOnly || s.to.Leaf().Mutability == schema.ReadOnly {
		if s.keyed {
			return true, nil
		}
		return false, fail(errors.ScimTypeMutability, "%s is read-only", s.to)
	}
	return s.to.Sub != nil && s.to.Sub.Name == "$ref", nil // computed
}

func tooMany(ops []Operation, limit int) error {
	if len(ops) > limit {
		return fail(errors.ScimTypeInvalidValue, "%d operations; at most %d are allowed in one request", len(ops), limit)
	}
	return nil
}

func fail(t errors.ScimType, format string, args ...any) error {
	return errors.ScimError{Status: 400, ScimType: t, Detail: fmt.Sprintf(format, args...)}
}
