package scim

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/provost-scim/provost/scim/schema"
	"github.com/provost-scim/provost/store"
)

// projection is which attributes a response holds (RFC 7644 section 3.9).
type projection struct {
	of      *schema.ResourceType
	only    []schema.Path // of "attributes"
	without []schema.Path // of "excludedAttributes"
	chosen  bool          // "attributes" was given, if only with unknown names
}

// maxAttributes bounds how many names a client may list.
const maxAttributes = 200

// project reads attributes and excludedAttributes. Unknown names select nothing.
func (c *call) project(of *schema.ResourceType) (*projection, error) {
	attributes, excluded := strings.Join(c.params["attributes"], ","), strings.Join(c.params["excludedAttributes"], ",")
	if attributes == "" && excluded == "" {
		return &projection{of: of}, nil
	}
	if attributes != "" && excluded != "" {
		return nil, store.Errorf(store.CodeInvalid, "attributes and excludedAttributes exclude each other; send one")
	}
	p := &projection{of: of, chosen: attributes != ""}
	names := strings.Split(attributes+excluded, ",")
	if len(names) > maxAttributes {
		return nil, store.Errorf(store.CodeInvalid, "attributes and excludedAttributes list at most %d names", maxAttributes)
	}
	for _, name := range names {
		path, ok := of.Resolve(strings.TrimSpace(name))
		switch {
		case !ok:
		case path.Attribute == nil && path.Schema == of.Core: // the core attributes have no object of their own
			for _, a := range of.Attributes {
				if a.Schema == of.Core {
					p.name(schema.Path{Schema: a.Schema, Attribute: a})
				}
			}
		default:
			p.name(path)
		}
	}
	return p, nil
}

func (p *projection) name(path schema.Path) {
	if p.chosen {
		p.only = append(p.only, path)
	} else {
		p.without = append(p.without, path)
	}
}

// wants reports whether any part of a top-level attribute is in the response, so
// that what is not wanted need not be read.
func (p *projection) wants(name string) bool {
	for _, path := range p.without {
		if path.Attribute != nil && path.Sub == nil && path.Attribute.Name == name {
			return false
		}
	}
	if !p.chosen {
		return true
	}
	for _, path := range p.only {
		if path.Attribute != nil && path.Attribute.Name == name {
			return true
		}
	}
	return false
}

// whole reports whether everything is in the response.
func (p *projection) whole() bool { return !p.chosen && len(p.without) == 0 }

// apply cuts a rendered resource down to what was asked for.
func (p *projection) apply(resource any) (any, error) {
	if p.whole() {
		return resource, nil
	}
	b, err := json.Marshal(resource)
	if err != nil {
		return nil, err
	}
	var from map[string]any
	if err := json.Unmarshal(b, &from); err != nil {
		return nil, err
	}
	if !p.chosen {
		for _, path := range p.without {
			remove(from, path)
		}
		return prune(from), nil
	}
	to := map[string]any{}
	for _, a := range p.of.Attributes {
		if v, ok := from[a.Name]; ok && a.Returned == schema.Always {
			to[a.Name] = v
		}
	}
	for _, path := range p.only {
		pick(to, from, path)
	}
	return prune(to), nil
}

// prune takes away what cutting left empty: an object without parts, a list without
// elements.
func prune(resource map[string]any) map[string]any {
	for name, v := range resource {
		switch v := v.(type) {
		case map[string]any:
			if len(prune(v)) == 0 {
				delete(resource, name)
			}
		case []any:
			v = slices.DeleteFunc(v, func(e any) bool {
				object, ok := e.(map[string]any)
				return ok && len(object) == 0
			})
			resource[name] = v
			if len(v) == 0 {
				delete(resource, name)
			}
		}
	}
	return resource
}

// container is the object that holds a path's attribute: the resource, or the
// object of an extension.
func container(in map[string]any, path schema.Path) (map[string]any, string) {
	if path.Attribute == nil {
		return in, path.Schema
	}
	if path.Schema != "" && path.Schema != schema.UserURN && path.Schema != schema.GroupURN {
		ext, _ := in[path.Schema].(map[string]any)
		return ext, path.Attribute.Name
	}
	return in, path.Attribute.Name
}

func remove(from map[string]any, path schema.Path) {
	if path.Attribute != nil && (path.Attribute.Returned == schema.Always || path.Sub != nil && path.Sub.Returned == schema.Always) {
		return
	}
	in, name := container(from, path)
	if in == nil {
		return
	}
	if path.Sub == nil {
		delete(in, name)
		return
	}
	each(in[name], func(element map[string]any) { delete(element, path.Sub.Name) })
}

func pick(to, from map[string]any, path schema.Path) {
	src, name := container(from, path)
	if src == nil {
		return
	}
	v, ok := src[name]
	if !ok {
		return
	}
	dst := to
	if path.Attribute != nil && path.Schema != "" && path.Schema != schema.UserURN && path.Schema != schema.GroupURN {
		ext, _ := to[path.Schema].(map[string]any)
		if ext == nil {
			ext = map[string]any{}
			to[path.Schema] = ext
		}
		dst = ext
	}
	if path.Sub == nil {
		dst[name] = v
		return
	}
	dst[name] = merge(dst[name], v, path.Sub.Name)
}

// merge adds one sub-attribute of v, an object or a list of objects, to what was
// picked of it before.
func merge(picked, v any, sub string) any {
	switch v := v.(type) {
	case map[string]any:
		out, _ := picked.(map[string]any)
		if out == nil {
			out = map[string]any{}
		}
		if x, ok := v[sub]; ok {
			out[sub] = x
		}
		return out
	case []any:
		out, _ := picked.([]any)
		if len(out) != len(v) {
			out = make([]any, len(v))
		}
		for i := range v {
			out[i] = merge(out[i], v[i], sub)
		}
		return out
	default:
		return v
	}
}

func each(v any, do func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		do(v)
	case []any:
		for _, x := range v {
			if m, ok := x.(map[string]any); ok {
				do(m)
			}
		}
	}
}
