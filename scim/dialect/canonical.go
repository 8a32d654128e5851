package dialect

import (
	"maps"
	"slices"

	"github.com/elimity-com/scim/errors"

	"github.com/provost-scim/provost/scim/schema"
)

// canonical keeps of a body what a client may write, in canonical form. Names are taken in byte order: of two
// spellings the later wins, and "name.givenName" adds to what "name" gave.
func canonical(t *schema.ResourceType, body map[string]any) (map[string]any, error) {
	if err := checkSchemas(t, lookup(body, "schemas")); err != nil {
		return nil, err
	}
	resource := make(map[string]any, len(body))
	if err := collect(t, resource, "", body); err != nil {
		return nil, err
	}
	for name, value := range resource {
		if list, ok := value.([]any); ok {
			if list = withContent(list); len(list) == 0 {
				delete(resource, name)
			} else {
				resource[name] = list
			}
		}
	}
	return resource, nil
}

// collect resolves the names of an object and puts the values where they belong. In is the schema that names without a URN
// belong to; empty for any.
func collect(t *schema.ResourceType, resource map[string]any, in string, object map[string]any) error {
	for _, name := range sortedNames(object) {
		urn, attribute, sub := schema.Split(name)
		if in != "" && urn == "" {
			urn = in
		}
		p, ok := t.Lookup(urn, attribute, sub)
		if !ok || object[name] == nil {
			continue
		}
		var err error
		if p.Attribute != nil {
			err = put(t, resource, p, object[name])
		} else if in == "" {
			nested, isObject := object[name].(map[string]any)
			if !isObject {
				return fail(errors.ScimTypeInvalidValue, "%s must be an object", p.Schema)
			}
			err = collect(t, resource, p.Schema, nested)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func put(t *schema.ResourceType, resource map[string]any, p schema.Path, value any) error {
	a := p.Attribute
	if a.Mutability == schema.ReadOnly || a.Mutability == schema.WriteOnly || p.Sub != nil && a.MultiValued {
		return nil
	}
	if p.Sub != nil {
		value = map[string]any{p.Sub.Name: value}
	}
	normal, err := a.Normalize(value)
	if err != nil || normal == nil {
		return err
	}
	in := resource
	if a.Schema != "" && a.Schema != t.Core {
		extension, ok := resource[a.Schema].(map[string]any)
		if !ok {
			extension = map[string]any{}
			resource[a.Schema] = extension
		}
		in = extension
	}
	if have, ok := in[a.Name].(map[string]any); ok && p.Sub != nil {
		maps.Copy(have, normal.(map[string]any))
		return nil
	}
	in[a.Name] = normal
	return nil
}

// withContent drops elements that are only labels: {"type":"work"} is an email without an address.
func withContent(list []any) []any {
	return slices.DeleteFunc(list, func(e any) bool {
		object, ok := e.(map[string]any)
		for name := range object {
			if name != "type" && name != "primary" {
				return false
			}
		}
		return ok
	})
}

// checkSchemas accepts what names at least one schema of the type, among any others. Clients that leave it out are forgiven.
func checkSchemas(t *schema.ResourceType, value any) error {
	if value == nil {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		return fail(errors.ScimTypeInvalidValue, "schemas must be a list of strings")
	}
	known := len(list) == 0
	for _, item := range list {
		urn, ok := item.(string)
		if !ok {
			return fail(errors.ScimTypeInvalidValue, "schemas must be a list of strings")
		}
		if _, ok := t.Schema(urn); ok {
			known = true
		}
	}
	if !known {
		return fail(errors.ScimTypeInvalidSyntax, "schemas names no schema of a %s; %s is needed", t.Name, t.Core)
	}
	return nil
}
