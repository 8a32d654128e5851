package dialect

import (
	"maps"
	"slices"

	"github.com/elimity-com/scim/errors"

	"github.com/provost-scim/provost/scim/schema"
)

// canonical keeps of a body what a client may write, in canonical form; "name.givenName" adds to what "name" gave.
func canonical(t *schema.ResourceType, body map[string]any) (map[string]any, error) {
	given, err := statements(t, body)
	if err != nil {
		return nil, err
	}
	return assemble(t, given)
}

// statements are what a body says of attributes.
func statements(t *schema.ResourceType, body map[string]any) ([]schema.Given, error) {
	if err := checkSchemas(t, lookup(body, "schemas")); err != nil {
		return nil, err
	}
	return t.Given(body, "", func(name string) (urn, attribute, sub, selection string) {
		urn, attribute, sub = schema.Split(name)
		return urn, attribute, sub, ""
	}), nil
}

// assemble puts values where they belong. What is null is not there (RFC 7643 §2.5).
func assemble(t *schema.ResourceType, given []schema.Given) (map[string]any, error) {
	resource := make(map[string]any, len(given))
	for _, g := range given {
		switch {
		case g.Value == nil:
		case g.Path.Attribute == nil:
			return nil, fail(errors.ScimTypeInvalidValue, "%s must be an object", g.Path.Schema)
		default:
			if err := put(t, resource, g.Path, g.Value); err != nil {
				return nil, err
			}
		}
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
