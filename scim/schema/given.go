package schema

import (
	"maps"
	"slices"
)

// Given is an attribute as an object of a client states it.
type Given struct {
	Name  string // as the client wrote it
	Path  Path
	Value any // as it was decoded; nil for null
}

// Splitter takes a name of an object apart: into an attribute path as [Split] does, and what selects elements of it, such
// as `[type eq "work"]`, which only PATCH has. Without an attribute it is the name of none.
type Splitter func(name string) (urn, attribute, sub, selection string)

// Given finds the attributes that an object of a client states, each once, in an order in which what is whole goes before
// its parts: "name" before "name.givenName". Unknown names are left out. Of a schema's URN the attributes beneath it are
// given, or, if no object is there, the value itself with the path of the schema. In is the schema that names
// without a URN belong to; empty for any.
//
// Names have no case (RFC 7643 §2.1), so one attribute may be stated twice. The canonical spelling wins: that of the schema,
// in the place where the schema has it. Of others the last in byte order wins.
func (t *ResourceType) Given(object map[string]any, in string, split Splitter) []Given {
	found := make(map[string]candidate, len(object))
	t.find(found, object, in, true, split)
	out := make([]Given, 0, len(found))
	for _, key := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[key].Given)
	}
	return out
}

// candidate is a statement of an attribute to which no better one has been found.
type candidate struct {
	Given
	canonical bool
}

// find adds to found, by canonical path, what the object states. Canonical says that its place is.
func (t *ResourceType) find(found map[string]candidate, object map[string]any, in string, canonical bool, split Splitter) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		urn, attribute, sub, selection := split(name)
		within := in != "" && urn == ""
		if within {
			urn = in
		}
		p, ok := t.Lookup(urn, attribute, sub)
		if !ok {
			continue
		}
		written := name
		if within && in != t.Core {
			written = in + ":" + name
		}
		c := candidate{Given{name, p, object[name]}, canonical && written == p.String()+selection}
		if nested, isObject := c.Value.(map[string]any); isObject && p.Attribute == nil {
			if in == "" {
				// Core attributes stand at the top, without their URN.
				t.find(found, nested, p.Schema, c.canonical && p.Schema != t.Core, split)
			}
			continue
		}
		key := p.String() + selection
		if have, twice := found[key]; !twice || c.canonical || !have.canonical {
			found[key] = c
		}
	}
}
