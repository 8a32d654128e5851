package schema

import (
	"strings"

	elimity "github.com/elimity-com/scim/schema"
)

// ResourceType is a kind of resource (RFC 7643 §6) and the resolver of attribute names for it.
type ResourceType struct {
	Name        string // "User", "Group"
	Description string
	Endpoint    string       // "/Users", "/Groups"
	Core        string       // URN of the core schema
	Extensions  []string     // URNs of the extensions, none of which is required
	Attributes  []*Attribute // the common ones, then those of the core schema, in order

	names      map[string]*Attribute            // common and core, by folded name
	urns       map[string]string                // folded URN → URN
	extension  map[string]map[string]*Attribute // URN of an extension → folded name → attribute
	extensions map[string][]*Attribute
}

// Users and Groups are the resource types this server has. They are read-only.
var (
	Users  = newResourceType("User", "A person of the organization", User(), EnterpriseUser())
	Groups = newResourceType("Group", "A group of users and of other groups", Group(), ProvostGroup())
)

func newResourceType(name, description string, core elimity.Schema, extensions ...elimity.Schema) *ResourceType {
	t := &ResourceType{
		Name:        name,
		Description: description,
		Endpoint:    "/" + name + "s",
		Core:        core.ID,
		Attributes:  append(attributesOf("", commonAttributes(), nil), attributesOf(core.ID, core.Attributes, nil)...),
		urns:        map[string]string{fold(core.ID): core.ID},
		extension:   map[string]map[string]*Attribute{},
		extensions:  map[string][]*Attribute{},
	}
	t.names = byName(t.Attributes)
	for _, e := range extensions {
		t.Extensions = append(t.Extensions, e.ID)
		t.urns[fold(e.ID)] = e.ID
		t.extensions[e.ID] = attributesOf(e.ID, e.Attributes, nil)
		t.extension[e.ID] = byName(t.extensions[e.ID])
	}
	return t
}

// commonAttributes are those of RFC 7643 §3.1, with "schemas" always returned and set by the server.
func commonAttributes() []elimity.CoreAttribute {
	common := elimity.CommonAttributes()
	for i, a := range common {
		if a.Name() == "schemas" {
			common[i] = a.WithMutability(elimity.AttributeMutabilityReadOnly()).WithReturned(elimity.AttributeReturnedAlways())
		}
	}
	return common
}

// Extension lists the attributes of an extension in order; none if the type does not have it.
func (t *ResourceType) Extension(urn string) []*Attribute { return t.extensions[urn] }

// Schema finds one of the type's schemas by its URN in any case, and gives the canonical URN.
func (t *ResourceType) Schema(urn string) (string, bool) {
	canonical, ok := t.urns[fold(urn)]
	return canonical, ok
}

// Path is an attribute path that was found in the schemas.
type Path struct {
	Schema    string     // URN of the schema; empty for a common attribute
	Attribute *Attribute // nil if the path names a schema as a whole
	Sub       *Attribute // nil if it names no sub-attribute
}

// Leaf is the attribute or sub-attribute that the path ends at; nil if it names a schema as a whole.
func (p Path) Leaf() *Attribute {
	if p.Sub != nil {
		return p.Sub
	}
	return p.Attribute
}

// Value is the path that a comparison with a plain value means: of a complex attribute, its "value" where it has one
// (RFC 7644 §3.4.2.2: `emails co "example.com"`).
func (p Path) Value() Path {
	if p.Attribute != nil && p.Sub == nil {
		p.Sub = p.Attribute.sub["value"]
	}
	return p
}

// String writes the path canonically: "userName", "name.givenName", "urn:…:User:manager.value".
func (p Path) String() string {
	if p.Attribute == nil {
		return p.Schema
	}
	return p.Leaf().Path()
}

// Resolve finds an attribute path as a client wrote it (RFC 7644 §3.10): an optional schema URN, a name, an optional
// sub-attribute, all in any case. Without a URN the core schema goes first, then the extensions, because Entra writes a
// bare "manager". False means that the type has no such attribute.
func (t *ResourceType) Resolve(path string) (Path, bool) { return t.Lookup(Split(path)) }

// Lookup is Resolve for a path in its parts, such as filter.AttrPath has them.
func (t *ResourceType) Lookup(urn, name, sub string) (Path, bool) {
	if urn == "" {
		if a, ok := t.names[fold(name)]; ok {
			return withSub(a, sub)
		}
		for _, e := range t.Extensions {
			if a, ok := t.extension[e][fold(name)]; ok {
				return withSub(a, sub)
			}
		}
		return Path{}, false
	}
	if canonical, ok := t.Schema(urn); ok {
		return t.in(canonical, name, sub)
	}
	// A URN ends in a name itself: "urn:…:2.0:User" reads as name User of "urn:…:2.0". Some clients also write "urn:…:User.manager".
	canonical, ok := t.Schema(urn + ":" + name)
	if !ok {
		return Path{}, false
	}
	if sub == "" {
		return Path{Schema: canonical}, true
	}
	return t.in(canonical, sub, "")
}

func (t *ResourceType) in(urn, name, sub string) (Path, bool) {
	names := t.extension[urn]
	if urn == t.Core {
		names = t.names
	}
	a, ok := names[fold(name)]
	if !ok {
		return Path{}, false
	}
	return withSub(a, sub)
}

func withSub(a *Attribute, name string) (Path, bool) {
	p := Path{Schema: a.Schema, Attribute: a}
	if name == "" {
		return p, true
	}
	var ok bool
	p.Sub, ok = a.SubAttribute(name)
	return p, ok
}

// Split takes an attribute path apart without looking its names up: what stands before the last colon is the URN, what
// follows the first dot after it is the sub-attribute.
func Split(path string) (urn, name, sub string) {
	if i := strings.LastIndexByte(path, ':'); i >= 0 {
		urn, path = path[:i], path[i+1:]
	}
	name, sub, _ = strings.Cut(path, ".")
	return urn, name, sub
}
