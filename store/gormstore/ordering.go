package gormstore

import "github.com/provost-scim/provost/store"

// ordering is the order of the rows of a table with the columns id, if it has a rank
// sorted_by, and if it is one of users and groups kind_no.
type ordering struct {
	alias      string
	rank       *rank // nil: by key alone
	descending bool
	mixed      bool
}

// columns is the order in which a page is read: backwards before a place.
func (o ordering) columns(q store.Query) string {
	back := q.Before != (store.Position{})
	way := map[bool]string{false: "", true: " DESC"}
	out := o.alias + ".id" + way[back]
	if o.mixed {
		out = o.alias + ".kind_no" + way[back] + ", " + out
	}
	if o.rank == nil {
		return out
	}
	down := o.descending != back
	by := o.alias + ".sorted_by" + way[down]
	if !o.rank.required { // what PostgreSQL does anyhow
		by += map[bool]string{false: " NULLS LAST", true: " NULLS FIRST"}[down]
	}
	return by + ", " + out
}

// beyond is the condition of what comes after, or before, the place of a query.
func (o ordering) beyond(q store.Query) (condition string, args []any, err error) {
	at, back := q.After, false
	if q.Before != (store.Position{}) {
		at, back = q.Before, true
	}
	if at == (store.Position{}) {
		return "true", nil, nil
	}
	word := map[bool]string{false: " > ", true: " < "}
	tie, ties := o.alias+".id"+word[back]+"?", []any{at.Key}
	if o.mixed {
		tie, ties = "("+o.alias+".kind_no, "+o.alias+".id)"+word[back]+"(CAST(? AS integer), CAST(? AS bigint))", []any{kindNo(at.Kind), at.Key}
	}
	if o.rank == nil {
		return tie, ties, nil
	}
	value := o.alias + ".sorted_by"
	down := o.descending != back // towards lesser values, which begins with those that have none
	if at.Value == nil && !o.rank.required {
		if down {
			return "(" + value + " IS NOT NULL OR " + tie + ")", ties, nil
		}
		return "(" + value + " IS NULL AND " + tie + ")", ties, nil
	}
	switch at.Value.(type) {
	case string:
		err = o.mistyped(o.rank.number)
	case int64:
		err = o.mistyped(!o.rank.number)
	default:
		err = o.mistyped(true)
	}
	if err != nil {
		return "", nil, err
	}
	condition = "(" + value + map[bool]string{false: " >= ?", true: " <= ?"}[down] + " AND (" + value + word[down] + "? OR " + tie + "))"
	if !down && !o.rank.required {
		condition = "(" + condition + " OR " + value + " IS NULL)"
	}
	return condition, append([]any{at.Value, at.Value}, ties...), nil
}

func (o ordering) mistyped(wrong bool) error {
	if wrong {
		return store.Errorf(store.CodeInvalid, "the cursor is of a list in another order")
	}
	return nil
}

// kindNo is the place of a kind in a list of both.
func kindNo(k store.Kind) int {
	if k == store.KindGroup {
		return 1
	}
	return 0
}
