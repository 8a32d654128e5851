package scim

import (
	"strings"
	"time"

	"github.com/provost-scim/provost/scim/filter"
	"github.com/provost-scim/provost/scim/schema"
	"github.com/provost-scim/provost/store"
)

// condition turns a filter into the store's conditions: names become canonical
// paths, values the type of their attribute. What a filter cannot mean is
// invalidFilter (RFC 7644 section 3.4.2.2).
// On several resource types an attribute is that of the first that has it.
func condition(types []*schema.ResourceType, e filter.Expr) (store.Condition, error) {
	return translator{of: types}.translate(e)
}

// memberCondition is condition for a filter between the brackets of members[…].
func memberCondition(e filter.Expr) (store.Condition, error) {
	path, _ := schema.Groups.Resolve("members")
	return translator{[]*schema.ResourceType{schema.Groups}, path.Attribute}.translate(e)
}

// translator translates one filter. Inside a valuePath names are sub-attributes of
// the attribute before the brackets.
type translator struct {
	of     []*schema.ResourceType
	within *schema.Attribute
}

func (t translator) translate(e filter.Expr) (store.Condition, error) {
	switch e := e.(type) {
	case filter.And:
		terms, err := t.all(e.Terms)
		return store.And(terms), err
	case filter.Or:
		terms, err := t.all(e.Terms)
		return store.Or(terms), err
	case filter.Not:
		of, err := t.translate(e.Term)
		return store.Not{Of: of}, err
	case filter.Present:
		path, err := t.path(e.Attr)
		if err != nil {
			return nil, err
		}
		return store.Has{Field: store.Field(path.String())}, nil
	case filter.ValuePath:
		path, err := t.path(e.Attr)
		if err != nil {
			return nil, err
		}
		if t.within != nil || path.Attribute.Type != schema.Complex || path.Sub != nil {
			return nil, store.Errorf(store.CodeFilter, "%s takes no brackets", e.Attr)
		}
		of, err := translator{t.of, path.Attribute}.translate(e.Filter)
		return store.Element{Attr: store.Field(path.String()), Of: of}, err
	case filter.Compare:
		return t.compare(e)
	default:
		return nil, store.Errorf(store.CodeFilter, "the filter is not understood")
	}
}

func (t translator) all(terms []filter.Expr) ([]store.Condition, error) {
	out := make([]store.Condition, len(terms))
	for i, term := range terms {
		var err error
		if out[i], err = t.translate(term); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (t translator) path(a filter.AttrPath) (schema.Path, error) {
	if t.within != nil {
		sub, ok := t.within.SubAttribute(a.Name)
		if !ok || a.URN != "" || a.Sub != "" {
			return schema.Path{}, store.Errorf(store.CodeFilter, "%s has no sub-attribute %s", t.within.Name, a)
		}
		return schema.Path{Schema: t.within.Schema, Attribute: t.within, Sub: sub}, nil
	}
	path, ok := lookup(t.of, a.URN, a.Name, a.Sub)
	if !ok || path.Attribute == nil {
		return schema.Path{}, store.Errorf(store.CodeFilter, "a %s has no attribute %s", names(t.of), a)
	}
	return path, nil
}

func (t translator) compare(e filter.Compare) (store.Condition, error) {
	path, err := t.path(e.Attr)
	if err != nil {
		return nil, err
	}
	equality := e.Op == filter.Equal || e.Op == filter.NotEqual
	var value any
	if e.Value != nil {
		leaf := path.Value()
		if value, err = typed(leaf.Leaf(), e); err != nil {
			return nil, err
		}
		if value != "" || !equality {
			return store.Compare{Field: store.Field(leaf.String()), Op: store.CompareOp(e.Op), Value: value}, nil
		}
		path = leaf
	}
	// What is null or an empty text is unassigned (RFC 7643 section 2.5).
	there := store.Has{Field: store.Field(path.String())}
	switch e.Op {
	case filter.Equal:
		return store.Not{Of: there}, nil
	case filter.NotEqual:
		return there, nil
	}
	return nil, store.Errorf(store.CodeFilter, "%s cannot be compared with null by %s", e.Attr, e.Op)
}

// typed gives a filter's value the type of its attribute, and refuses operators that
// the type does not have (RFC 7644 section 3.4.2.2, table 3).
func typed(a *schema.Attribute, e filter.Compare) (any, error) {
	wrong := func(want string) error {
		return store.Errorf(store.CodeFilter, "%s is compared with %s", e.Attr, want)
	}
	equality := e.Op == filter.Equal || e.Op == filter.NotEqual
	textual := e.Op == filter.Contains || e.Op == filter.StartsWith || e.Op == filter.EndsWith
	switch a.Type {
	case schema.Complex:
		return nil, store.Errorf(store.CodeFilter, "%s is complex; name one of its sub-attributes", e.Attr)
	case schema.Boolean:
		if !equality {
			return nil, store.Errorf(store.CodeFilter, "%s is true or false; compare it with eq or ne", e.Attr)
		}
		switch v := e.Value.(type) {
		case bool:
			return v, nil
		case string:
			if strings.EqualFold(v, "true") || strings.EqualFold(v, "false") {
				return strings.EqualFold(v, "true"), nil
			}
		}
		return nil, wrong("true or false")
	case schema.DateTime:
		s, _ := e.Value.(string)
		when, ok := parseTime(s)
		if !ok {
			return nil, wrong(`a time such as "2026-01-31T08:00:00Z"`)
		}
		if textual {
			return nil, store.Errorf(store.CodeFilter, "%s is a time; compare it with eq, ne, gt, ge, lt or le", e.Attr)
		}
		return when, nil
	case schema.Integer, schema.Decimal:
		switch e.Value.(type) {
		case int64, float64:
			if textual {
				return nil, store.Errorf(store.CodeFilter, "%s is a number; compare it with eq, ne, gt, ge, lt or le", e.Attr)
			}
			return e.Value, nil
		}
		return nil, wrong("a number")
	case schema.Binary:
		if !equality && !textual {
			return nil, store.Errorf(store.CodeFilter, "%s is binary and has no order; compare it with eq or ne", e.Attr)
		}
	}
	// Some leave out the quotation marks of a text (externalId eq 701984).
	return e.Text(), nil
}

// parseTime reads an xsd:dateTime (RFC 7643 section 2.3.5); without a zone it is UTC.
func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} { // both read fractions of a second
		if when, err := time.Parse(layout, s); err == nil {
			return when, true
		}
	}
	return time.Time{}, false
}
