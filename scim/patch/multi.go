package patch

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/elimity-com/scim/errors"

	"github.com/provost-scim/provost/scim/filter"
	"github.com/provost-scim/provost/scim/schema"
)

// applyMulti applies a step to a multi-valued attribute.
func (u *userPatch) applyMulti(s step) error {
	list, _ := u.get(s.to.Attribute).([]any)
	err := u.spend(len(list), s)
	switch {
	case err != nil:
	case s.path.Filter != nil || s.to.Sub != nil:
		list, err = u.selected(list, s)
	case s.op == Remove && s.value == nil:
		list = nil
	case s.op == Remove:
		list, err = without(list, s.to.Attribute, s.value)
	default:
		list, err = with(list, s)
	}
	if err != nil {
		return err
	}
	if len(list) > schema.MaxValues {
		return fail(errors.ScimTypeInvalidValue, "%s would have %d values; at most %d are allowed", s.to, len(list), schema.MaxValues)
	}
	if len(list) == 0 {
		u.set(s.to.Attribute, nil)
		return nil
	}
	u.set(s.to.Attribute, list)
	return nil
}

// spend counts the comparisons that a step costs on a list of n elements, and refuses what exceeds the bound.
func (u *userPatch) spend(n int, s step) error {
	given, _ := s.value.([]any)
	u.spent += n * (1 + len(given) + comparisons(s.path.Filter))
	if u.spent > MaxComparisons {
		return fail(errors.ScimTypeTooMany, "the operations on %s are too many for its %d values; send fewer in one request", s.to, n)
	}
	return nil
}

func comparisons(e filter.Expr) int {
	var terms []filter.Expr
	switch e := e.(type) {
	case nil:
		return 0
	case filter.And:
		terms = e.Terms
	case filter.Or:
		terms = e.Terms
	case filter.Not:
		return comparisons(e.Term)
	default:
		return 1
	}
	n := 0
	for _, term := range terms {
		n += comparisons(term)
	}
	return n
}

// with adds values to a list, or replaces it. A value that is there already (the same value and type) is not added twice
// but takes over what else was said about it.
func with(list []any, s step) ([]any, error) {
	a := s.to.Attribute
	if s.value == nil && s.op == Add {
		return list, nil
	}
	normal, err := a.Normalize(s.value)
	if err != nil {
		return nil, err
	}
	given, _ := normal.([]any)
	if s.op == Replace {
		return given, nil
	}
	for _, element := range given {
		object := element.(map[string]any)
		i := slices.IndexFunc(list, func(e any) bool { return sameValue(e, object) })
		if i >= 0 {
			maps.Copy(list[i].(map[string]any), object)
		} else {
			i, list = len(list), append(list, element)
		}
		if object["primary"] == true {
			onlyPrimary(list, i)
		}
	}
	return list, nil
}

// sameValue compares by value and type where there is a value, and else by everything.
func sameValue(element any, object map[string]any) bool {
	have, ok := element.(map[string]any)
	if !ok {
		return false
	}
	if value, ok := object["value"]; ok {
		return have["value"] == value && have["type"] == object["type"]
	}
	return reflect.DeepEqual(have, object)
}

// onlyPrimary clears the primary of every element but one (RFC 7644 §3.5.2).
func onlyPrimary(list []any, but int) {
	for i, e := range list {
		if object, ok := e.(map[string]any); ok && i != but && object["primary"] == true {
			object["primary"] = false
		}
	}
}

// without removes the values that a client listed: those with the same value, or, where it gave none, with all the parts it gave.
func without(list []any, a *schema.Attribute, value any) ([]any, error) {
	given, err := a.Elements(value)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(e any) bool {
		have, _ := e.(map[string]any)
		return slices.ContainsFunc(given, func(g any) bool { return covers(have, g.(map[string]any)) })
	}), nil
}

func covers(have, given map[string]any) bool {
	if value, ok := given["value"]; ok {
		return have["value"] == value && (given["type"] == nil || have["type"] == given["type"])
	}
	for name, part := range given {
		if have[name] != part {
			return false
		}
	}
	return true
}

// selected applies a step to the elements that a filter selects, or to all of them if the path is emails.value.
func (u *userPatch) selected(list []any, s step) ([]any, error) {
	a := s.to.Attribute
	var hits []int
	for i, e := range list {
		object, ok := e.(map[string]any)
		if !ok {
			continue
		}
		hit, err := u.folds.matches(a, s.path.Filter, object)
		if err != nil {
			return nil, err
		}
		if hit {
			hits = append(hits, i)
		}
	}
	if s.op == Replace && s.value == nil {
		s.op = Remove // null is no value (RFC 7643 §2.5)
	}
	if s.op == Remove {
		return removeSelected(list, hits, s), nil
	}
	if s.value == nil {
		return list, nil
	}
	given, ok := s.value.(map[string]any)
	if s.to.Sub != nil {
		given, ok = map[string]any{s.to.Sub.Name: s.value}, true
	} else if one, isList := s.value.([]any); isList && len(one) == 1 {
		given, ok = one[0].(map[string]any)
	}
	if !ok {
		return nil, fail(errors.ScimTypeInvalidValue, "%s[…] needs an object as value", s.to)
	}
	elements, err := a.Elements(given)
	if err != nil {
		return nil, err
	}
	normal := map[string]any{}
	if len(elements) == 1 {
		normal = elements[0].(map[string]any)
	}
	if len(hits) == 0 {
		if len(normal) == 0 {
			return list, nil // nothing to take away from nothing
		}
		return create(list, normal, s)
	}
	return writeSelected(list, hits, given, normal, s)
}

func removeSelected(list []any, hits []int, s step) []any {
	if s.to.Sub == nil {
		kept := list[:0]
		for i, e := range list {
			if _, hit := slices.BinarySearch(hits, i); !hit {
				kept = append(kept, e)
			}
		}
		return kept
	}
	for _, i := range hits {
		delete(list[i].(map[string]any), s.to.Sub.Name)
	}
	return list
}

// writeSelected merges into the selected elements, or, for a replace of whole elements, puts the new one in their place,
// with the parts that the filter asked for (type) if the value does not mention them.
func writeSelected(list []any, hits []int, given, normal map[string]any, s step) ([]any, error) {
	if normal["primary"] == true && len(hits) > 1 {
		return nil, fail(errors.ScimTypeInvalidValue, "%s: %d values are selected, and at most one may be primary", s.to, len(hits))
	}
	whole := s.op == Replace && s.to.Sub == nil
	for _, i := range hits {
		object := list[i].(map[string]any)
		if whole {
			clear(object)
			if parts, ok := implied(s.to.Attribute, s.path.Filter); ok {
				maps.Copy(object, parts)
			}
		}
		mergeInto(object, s.to.Attribute, given, normal)
	}
	if normal["primary"] == true {
		onlyPrimary(list, hits[0])
	}
	if whole && len(hits) > 1 {
		// All of them are equal now, and one is enough.
		for _, i := range slices.Backward(hits[1:]) {
			list = slices.Delete(list, i, i+1)
		}
	}
	return list, nil
}

// create makes the element that a path describes but does not find: [type eq "work"] makes one of that type. The RFC
// would have noTarget; Entra takes that for a failure and never sends the value otherwise. A filter that does not
// describe an element, or asks for a value that is not there, is noTarget.
func create(list []any, normal map[string]any, s step) ([]any, error) {
	parts, ok := implied(s.to.Attribute, s.path.Filter)
	if _, byValue := parts["value"]; !ok || byValue {
		return nil, fail(errors.ScimTypeNoTarget, "no element of %s matches the filter of the path", s.to.Attribute.Path())
	}
	maps.Copy(parts, normal)
	list = append(list, parts)
	if parts["primary"] == true {
		onlyPrimary(list, len(list)-1)
	}
	return list, nil
}

// implied gives the parts that an element must have to satisfy the filter, if it is only equalities joined by and.
func implied(a *schema.Attribute, e filter.Expr) (map[string]any, bool) {
	parts := map[string]any{}
	terms := []filter.Expr{e}
	switch and := e.(type) {
	case nil:
		return parts, true
	case filter.And:
		terms = and.Terms
	}
	for _, term := range terms {
		c, ok := term.(filter.Compare)
		if !ok || c.Op != filter.Equal {
			return nil, false
		}
		sub, err := subAttribute(a, c.Attr)
		if err != nil {
			return nil, false
		}
		value, err := sub.Normalize(operand(sub, c))
		if err != nil || value == nil {
			return nil, false
		}
		parts[sub.Name] = value
	}
	return parts, true
}

// operand is the value of a comparison, for a text as it was written: [value eq 7].
func operand(sub *schema.Attribute, c filter.Compare) any {
	switch c.Value.(type) {
	case int64, float64:
		if sub.Type != schema.Integer && sub.Type != schema.Decimal {
			return c.Text()
		}
	case bool:
		if sub.Type != schema.Boolean {
			return c.Text()
		}
	}
	return c.Value
}

// labels are the parts that say what an element is for; without any other part it has no content.
func labels(name string) bool { return name == "type" || name == "primary" }

func withContent(list []any) []any {
	return slices.DeleteFunc(list, func(e any) bool {
		object, ok := e.(map[string]any)
		if !ok {
			return false
		}
		for name, part := range object {
			if !labels(name) && part != nil && !strings.HasPrefix(name, "$") {
				return false
			}
		}
		return true
	})
}
