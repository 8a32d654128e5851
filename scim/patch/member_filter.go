package patch

import (
	stderrors "errors"
	"slices"
	"strings"

	"github.com/elimity-com/scim/errors"

	"github.com/provost-scim/provost/scim/filter"
)

// removeWhere removes the members that satisfy a filter.
func (g *groupPatch) removeWhere(f filter.Expr) error {
	ids, named := values(nil, f)
	if !named {
		var err error
		if ids, err = g.selected(f); err != nil && !stderrors.Is(err, ErrUndecided) {
			return err
		}
	}
	for _, id := range ids {
		g.members.remove(id)
	}
	return nil
}

// namedMember is the id in the path of an operation `remove members[value eq "…"]`, of which Entra sends thousands in
// one request: written like this, and with an id of letters, digits and hyphens, it says what the parser of paths would.
// It is empty of everything else.
func namedMember(o Operation) string {
	const before, after = `members[value eq "`, `"]`
	id, ok := strings.CutPrefix(o.Path, before)
	if !ok || o.Op != Remove {
		return ""
	}
	if id, ok = strings.CutSuffix(id, after); !ok || len(id) > maxNamed {
		return ""
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		default:
			return ""
		}
	}
	return id
}

// maxNamed is how long an id is, in bytes, of which [namedMember] tells; ours have 36.
const maxNamed = 64

// writeWhere puts other members in the place of those that satisfy a filter, or, for an add, says of them what is so
// anyway: what a member is does not change (RFC 7643 §7).
func (g *groupPatch) writeWhere(s step) error {
	given, err := Members(s.value)
	if err != nil {
		return err
	}
	if len(given) == 0 { // no value is unassigned (RFC 7643 §2.5)
		if s.op == Add {
			return nil
		}
		return g.removeWhere(s.path.Filter)
	}
	ids, err := g.selected(s.path.Filter)
	switch {
	case stderrors.Is(err, ErrUndecided):
	case err != nil:
		return err
	case len(ids) == 0:
		return fail(errors.ScimTypeNoTarget, "no member matches the filter of the path members[%s]", s.path.Filter)
	}
	if s.op == Add {
		for _, id := range ids {
			for _, m := range given {
				if m.Value != id {
					return fail(errors.ScimTypeMutability, "members.value cannot be changed; replace the member")
				}
			}
		}
		return nil
	}
	for _, id := range ids {
		g.members.remove(id)
	}
	for _, m := range given {
		g.members.add(m)
	}
	return nil
}

// selected asks for the members that satisfy a filter, and leaves out those that the request has removed.
func (g *groupPatch) selected(f filter.Expr) ([]string, error) {
	if g.find == nil {
		return nil, fail(errors.ScimTypeInvalidFilter, `members[…] understands here only the removal of value eq "ID", alone or joined by or`)
	}
	if g.found++; g.found > maxSelections {
		return nil, fail(errors.ScimTypeInvalidFilter, "at most %d filters of members are allowed in one request, but for removals by value eq", maxSelections)
	}
	if countTerms(f) > filter.MaxTerms {
		return nil, fail(errors.ScimTypeInvalidFilter, "members[…] has more than %d comparisons", filter.MaxTerms)
	}
	sum := g.members.sum()
	added := make([]string, len(sum.Add))
	for i, m := range sum.Add {
		added[i] = m.Value
	}
	ids, err := g.find(f, sum.Replace, added)
	return slices.DeleteFunc(ids, g.members.lacks), err
}

// values adds the ids of `value eq "a" or value eq "b"`, and reports whether the filter is nothing else.
func values(ids []string, e filter.Expr) ([]string, bool) {
	switch e := e.(type) {
	case filter.Or:
		for _, term := range e.Terms {
			var named bool
			if ids, named = values(ids, term); !named {
				return nil, false
			}
		}
		return ids, true
	case filter.Compare:
		value, ok := e.Value.(string)
		if ok && e.Op == filter.Equal && strings.EqualFold(e.Attr.Name, "value") && e.Attr.URN == "" && e.Attr.Sub == "" {
			if value != "" { // nobody has an empty id
				ids = append(ids, value)
			}
			return ids, true
		}
	}
	return nil, false
}

func countTerms(e filter.Expr) (n int) {
	var terms []filter.Expr
	switch e := e.(type) {
	case filter.And:
		terms = e.Terms
	case filter.Or:
		terms = e.Terms
	case filter.Not:
		return countTerms(e.Term)
	default:
		return 1
	}
	for _, term := range terms {
		n += countTerms(term)
	}
	return n
}
