package patch

import (
	"strings"

	"github.com/elimity-com/scim/errors"

	"github.com/provost-scim/provost/scim/filter"
	"github.com/provost-scim/provost/scim/schema"
	"github.com/provost-scim/provost/store"
)

// folds remembers the folds of the texts that one request compares: 200 terms of each of 1,000 operations may be about
// the same long value.
type folds map[string]string

func (f folds) of(text string) string {
	folded, ok := f[text]
	if !ok {
		folded = store.Fold(text)
		f[text] = folded
	}
	return folded
}

// matches evaluates the filter of a path against one element of a multi-valued attribute (RFC 7644 §3.4.2.2).
// No filter matches everything. A name that is no sub-attribute is invalidFilter. Texts are compared as those of a list's
// filter are.
func (f folds) matches(a *schema.Attribute, e filter.Expr, element map[string]any) (bool, error) {
	switch e := e.(type) {
	case nil:
		return true, nil
	case filter.And:
		for _, term := range e.Terms {
			if hit, err := f.matches(a, term, element); !hit || err != nil {
				return false, err
			}
		}
		return true, nil
	case filter.Or:
		for _, term := range e.Terms {
			if hit, err := f.matches(a, term, element); hit || err != nil {
				return hit, err
			}
		}
		return false, nil
	case filter.Not:
		hit, err := f.matches(a, e.Term, element)
		return !hit, err
	case filter.Present:
		sub, err := subAttribute(a, e.Attr)
		if err != nil {
			return false, err
		}
		return element[sub.Name] != nil, nil
	case filter.Compare:
		sub, err := subAttribute(a, e.Attr)
		if err != nil {
			return false, err
		}
		return f.compare(sub, e.Op, element[sub.Name], operand(sub, e))
	default:
		return false, fail(errors.ScimTypeInvalidFilter, "%s[…] cannot hold %s", a.Path(), e)
	}
}

func subAttribute(a *schema.Attribute, path filter.AttrPath) (*schema.Attribute, error) {
	sub, ok := a.SubAttribute(path.Name)
	if !ok || path.URN != "" || path.Sub != "" {
		return nil, fail(errors.ScimTypeInvalidFilter, "%s has no sub-attribute %q", a.Path(), path)
	}
	return sub, nil
}

// compare compares as the type of the sub-attribute demands. An absent value equals only null, and differs from all else.
func (f folds) compare(sub *schema.Attribute, op filter.Op, have, want any) (bool, error) {
	if sub.Type == schema.Boolean {
		normal, err := sub.Normalize(want)
		if err != nil || op != filter.Equal && op != filter.NotEqual {
			return false, fail(errors.ScimTypeInvalidFilter, "%s can only be eq or ne to true or false", sub.Path())
		}
		return (have == normal) == (op == filter.Equal), nil
	}
	if have == nil || want == nil {
		return (have == want) == (op == filter.Equal) && (op == filter.Equal || op == filter.NotEqual), nil
	}
	h, ok1 := have.(string)
	w, ok2 := want.(string)
	if !ok1 || !ok2 {
		return false, fail(errors.ScimTypeInvalidFilter, "%s must be compared with a string", sub.Path())
	}
	if !sub.CaseExact {
		h, w = f.of(h), f.of(w)
	}
	switch op {
	case filter.Equal:
		return h == w, nil
	case filter.NotEqual:
		return h != w, nil
	case filter.Contains:
		return strings.Contains(h, w), nil
	case filter.StartsWith:
		return strings.HasPrefix(h, w), nil
	case filter.EndsWith:
		return strings.HasSuffix(h, w), nil
	case filter.GreaterThan:
		return h > w, nil
	case filter.GreaterOrEqual:
		return h >= w, nil
	case filter.LessThan:
		return h < w, nil
	default:
		return h <= w, nil
	}
}
