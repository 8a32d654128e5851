package patch

import (
	"maps"
	"reflect"
	"strings"

	"github.com/elimity-com/scim/errors"

	"github.com/provost-scim/provost/scim/schema"
)

// User applies operations to a user and gives the user after them, and whether it differs. The resource is canonical
// SCIM JSON as dialect.User makes it, optionally with "id", which a value may then repeat; extensions stand under their URN.
// Other attributes that the server computes (meta, groups) pass through untouched.
//
// The resource passed in is not modified; what did not change is shared with the one returned.
func User(resource map[string]any, ops []Operation) (map[string]any, bool, error) {
	if err := tooMany(ops, MaxUserOperations); err != nil {
		return nil, false, err
	}
	id, _ := resource["id"].(string)
	u := userPatch{id: id, before: resource, after: maps.Clone(resource), own: map[*schema.Attribute]bool{}, folds: folds{}}
	if u.after == nil {
		u.after = map[string]any{}
	}
	for _, o := range ops {
		if err := steps(schema.Users, o, u.apply); err != nil {
			return nil, false, err
		}
	}
	u.prune()
	return u.after, u.changed(), nil
}

// userPatch is a user in the making. Attributes are copied when they are first written.
type userPatch struct {
	id     string
	before map[string]any
	after  map[string]any
	own    map[*schema.Attribute]bool // attributes whose value in after is ours to modify
	spent  int                        // comparisons so far
	folds  folds
}

func (u *userPatch) apply(s step) error {
	if done, err := s.skip(u.id); done || err != nil {
		return err
	}
	u.take(s.to.Attribute)
	switch {
	case s.to.Attribute.MultiValued:
		return u.applyMulti(s)
	case s.path.Filter != nil:
		return fail(errors.ScimTypeInvalidPath, "%s has one value and takes no filter", s.to)
	case s.to.Sub != nil:
		return u.applySub(s)
	case s.op == Remove:
		return u.unassign(s)
	}
	if object, ok := s.value.(map[string]any); ok && s.to.Attribute.Type == schema.Complex {
		return u.merge(s.to.Attribute, object)
	}
	value, err := s.to.Attribute.Normalize(s.value)
	if err != nil {
		return err
	}
	if text, ok := value.(string); value == nil || s.to.Attribute.Required && ok && strings.TrimSpace(text) == "" {
		return u.unassign(s)
	}
	u.set(s.to.Attribute, value)
	return nil
}

// applySub writes one part of a complex attribute: name.givenName.
func (u *userPatch) applySub(s step) error {
	if s.op == Remove {
		s.value = nil
	}
	return u.merge(s.to.Attribute, map[string]any{s.to.Sub.Name: s.value})
}

// merge writes the given parts of a complex attribute and leaves the others, as §3.5.2.1 and §3.5.2.3 say; null removes one.
func (u *userPatch) merge(a *schema.Attribute, parts map[string]any) error {
	normal, err := a.Normalize(parts)
	if err != nil {
		return err
	}
	object, _ := u.get(a).(map[string]any)
	if object == nil {
		object = map[string]any{}
	}
	mergeInto(object, a, parts, normal)
	if len(object) == 0 {
		u.set(a, nil)
		return nil
	}
	u.set(a, object)
	return nil
}

// mergeInto writes the canonical parts into an object and removes those that the client gave without content.
func mergeInto(object map[string]any, a *schema.Attribute, given map[string]any, normal any) {
	parts, _ := normal.(map[string]any)
	before := object["value"]
	for name := range given {
		sub, ok := a.SubAttribute(name)
		if !ok || sub.Mutability == schema.ReadOnly || sub.Name == "$ref" {
			continue
		}
		if _, kept := parts[sub.Name]; !kept {
			delete(object, sub.Name)
		}
	}
	maps.Copy(object, parts)
	if object["value"] != before {
		// What the server had computed from the old value is no longer true.
		delete(object, "$ref")
		for _, sub := range a.Sub {
			if sub.Mutability == schema.ReadOnly {
				delete(object, sub.Name)
			}
		}
	}
}

// unassign removes an attribute, which a required one resists (§3.5.2.2).
func (u *userPatch) unassign(s step) error {
	switch {
	case !s.to.Attribute.Required:
		u.set(s.to.Attribute, nil)
		return nil
	case s.op == Remove:
		return fail(errors.ScimTypeMutability, "%s is required and cannot be removed", s.to)
	default:
		return fail(errors.ScimTypeInvalidValue, "%s is required and must not be blank", s.to)
	}
}

// container is the object that holds the attribute: the resource, or the extension within it. Nil if there is none.
func container(resource map[string]any, a *schema.Attribute) map[string]any {
	if a.Schema == "" || a.Schema == schema.Users.Core {
		return resource
	}
	extension, _ := resource[a.Schema].(map[string]any)
	return extension
}

func (u *userPatch) get(a *schema.Attribute) any { return container(u.after, a)[a.Name] }

// take makes the value of an attribute ours to modify.
func (u *userPatch) take(a *schema.Attribute) {
	if u.own[a] {
		return
	}
	u.own[a] = true
	in := container(u.after, a)
	if in == nil {
		in = map[string]any{}
		u.after[a.Schema] = in
	} else if a.Schema != "" && a.Schema != schema.Users.Core {
		in = maps.Clone(in)
		u.after[a.Schema] = in
	}
	if value, ok := in[a.Name]; ok {
		in[a.Name] = clone(value)
	}
}

func (u *userPatch) set(a *schema.Attribute, value any) {
	in := container(u.after, a)
	if value == nil {
		delete(in, a.Name)
		return
	}
	in[a.Name] = value
}

func clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for name, part := range v {
			c[name] = clone(part)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, element := range v {
			c[i] = clone(element)
		}
		return c
	default:
		return value
	}
}

// prune takes away what the operations left without content. It comes last, because an operation may make
// an element that only a later one fills.
func (u *userPatch) prune() {
	for a := range u.own {
		if list, ok := u.get(a).([]any); ok {
			if list = withContent(list); len(list) == 0 {
				u.set(a, nil)
			} else {
				u.set(a, list)
			}
		}
	}
	for _, urn := range schema.Users.Extensions {
		if extension, ok := u.after[urn].(map[string]any); ok && len(extension) == 0 {
			delete(u.after, urn)
		}
	}
}

func (u *userPatch) changed() bool {
	for a := range u.own {
		if !reflect.DeepEqual(container(u.before, a)[a.Name], container(u.after, a)[a.Name]) {
			return true
		}
	}
	return false
}
