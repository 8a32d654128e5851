package gormstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/provost-scim/provost/store"
)

// farOffset is from which offset on a page is counted from the nearer end of its list.
const farOffset = 1000

// page lists the records of a query.
func page[T any](ctx context.Context, s *session, of *recordFields, q store.Query, columns string, scan func(scanner) (T, error)) (store.Page[T], error) {
	var out store.Page[T]
	l, err := newLister(compiler{s: s, of: of, org: q.Org, directory: q.Directory, base: q.Base}, q)
	if err != nil {
		return out, err
	}
	total := -1
	if q.Count && q.Limit > 0 && q.Offset >= farOffset {
		if total, err = l.count(ctx); err != nil {
			return out, err
		}
	}
	if q.Limit > 0 {
		query, args, err := l.list(columns, total)
		if err != nil {
			return out, err
		}
		if out, err = rows(ctx, l, scan, query, args); err != nil {
			return out, err
		}
	}
	if q.Count && total < 0 {
		if total, err = l.total(ctx, len(out.Items), out.More); err != nil {
			return out, err
		}
	}
	out.Total = max(total, 0)
	return out, nil
}

// rows reads the page that a query of a lister selects.
func rows[T any](ctx context.Context, l *lister, scan func(scanner) (T, error), query string, args []any) (out store.Page[T], err error) {
	err = l.s.each(ctx, func(r scanner) error {
		p := placed{scanner: r, sorted: l.by.rank != nil}
		item, err := scan(&p)
		out.Items = append(out.Items, item)
		out.Positions = append(out.Positions, p.at)
		return err
	}, query, args...)
	if err != nil {
		return out, fmt.Errorf("list %s: %w", l.of.table, err)
	}
	cut(&out, l.q)
	return out, nil
}

// cut takes the record too many from a page, which says that there are more, and puts
// a page that was read backwards in order.
func cut[T any](p *store.Page[T], q store.Query) {
	if len(p.Items) > q.Limit {
		p.Items, p.Positions, p.More = p.Items[:q.Limit], p.Positions[:q.Limit], true
	}
	if q.Before != (store.Position{}) {
		slices.Reverse(p.Items)
		slices.Reverse(p.Positions)
	}
}

// placed scans a row that begins with its key and, in a sorted list, the value that it
// is sorted by.
type placed struct {
	scanner
	sorted bool
	at     store.Position
}

func (p *placed) Scan(dest ...any) error {
	head := []any{&p.at.Key}
	if p.sorted {
		head = append(head, scanPlace(&p.at.Value))
	}
	return p.scanner.Scan(append(head, dest...)...)
}

// lister makes the SQL of one list.
type lister struct {
	compiler
	q     store.Query
	where string // of all of the list; its arguments are the compiler's
	by    ordering
}

func newLister(c compiler, q store.Query) (*lister, error) {
	l := &lister{compiler: c, q: q, by: ordering{alias: c.of.alias}}
	var err error
	if l.where, err = l.compiler.where(q); err != nil || q.Sort == nil {
		return l, err
	}
	l.by.descending = q.Sort.Descending
	l.by.rank, err = l.compiler.rank(q.Sort)
	return l, err
}

// tally is how many live records a directory has.
const tally = "SELECT CAST(coalesce(sum(t.n), 0) AS bigint) AS n FROM tally t WHERE t.directory_id = ? AND t.kind = ? AND t.org_id = ?"

// tallied reports whether the length of the list is kept in the table tally, so that
// nothing has to be counted.
func (l *lister) tallied() bool { return l.q.Filter == nil && l.q.Directory != nil && !l.q.Deleted }

// count counts the whole list.
func (l *lister) count(ctx context.Context) (n int, err error) {
	query, args := "SELECT count(*) FROM "+l.of.table+" "+l.of.alias+" WHERE "+l.where, l.args
	if l.tallied() {
		query, args = tally, []any{*l.q.Directory, string(l.of.kind), l.q.Org}
	}
	if err := l.s.row(ctx, query, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count %s: %w", l.of.table, err)
	}
	return n, nil
}

// total is count after so many records were read at the query's place, which often
// tell it.
func (l *lister) total(ctx context.Context, seen int, more bool) (int, error) {
	cursor := l.q.After != (store.Position{}) || l.q.Before != (store.Position{})
	if l.q.Limit > 0 && !more && !cursor && (l.q.Offset <= 0 || seen > 0) {
		return max(l.q.Offset, 0) + seen, nil
	}
	return l.count(ctx)
}

// one reports whether all of the list is one record at most, which has neither an order
// nor pages.
func (l *lister) one() bool {
	return l.q.Directory != nil && !l.q.Deleted && l.of.unique(l.q.Filter) && l.by.rank == nil &&
		l.q.Offset <= 0 && l.q.After == (store.Position{}) && l.q.Before == (store.Position{})
}

// list is the query of a page and one record more. What an index finds by one name is
// found first and ordered after, however small the limit: on tables that were never
// analysed the planner would else walk a whole directory in the order of keys. A page
// in the further half of a list of which the length is known is counted from its end.
func (l *lister) list(columns string, length int) (query string, args []any, err error) {
	a := l.of.alias
	if l.one() {
		return "SELECT " + a + ".id, " + columns + " FROM " + l.of.table + " " + a + " WHERE " + l.where, l.args, nil
	}
	if length >= 0 && l.q.Offset >= length/2 && l.by.rank == nil && l.tallied() && l.q.After == (store.Position{}) {
		return l.listFromEnd(columns)
	}
	head, found := a+".id, ", a+".*"
	if r := l.by.rank; r != nil {
		head += a + ".sorted_by, "
		found += ", " + r.expr + " AS sorted_by"
		args = append(args, r.args...)
	}
	found = "SELECT " + found + " FROM " + l.of.table + " " + a + " WHERE " + l.where
	args = append(args, l.args...)
	if l.s.e.postgres && l.of.selective(l.q.Filter) != broad {
		found += " OFFSET 0"
	}
	beyond, places, err := l.by.beyond(l.q)
	if err != nil {
		return "", nil, err
	}
	return "SELECT " + head + columns + " FROM (" + found + ") AS " + a + " WHERE " + beyond +
		" ORDER BY " + l.by.columns(l.q) + " LIMIT ? OFFSET ?", append(append(args, places...), l.q.Limit+1, max(l.q.Offset, 0)), nil
}

// listFromEnd is list for a page near the end. The length is read by the same
// statement, so that no change in between can move the page.
func (l *lister) listFromEnd(columns string) (query string, args []any, err error) {
	least, greatest := "min", "max"
	if l.s.e.postgres {
		least, greatest = "least", "greatest"
	}
	length := []any{*l.q.Directory, string(l.of.kind), l.q.Org}
	limit := "(SELECT " + greatest + "(0, " + least + "(CAST(? AS bigint), t.n - CAST(? AS bigint))) FROM (" + tally + ") AS t)"
	offset := "(SELECT " + greatest + "(0, t.n - CAST(? AS bigint)) FROM (" + tally + ") AS t)"
	a := l.of.alias
	query = "SELECT " + a + ".id, " + columns + " FROM (SELECT " + a + ".* FROM " + l.of.table + " " + a + " WHERE " + l.where +
		" ORDER BY " + a + ".id DESC LIMIT " + limit + " OFFSET " + offset + ") AS " + a + " ORDER BY " + a + ".id"
	args = append(slices.Clone(l.args), l.q.Limit+1, l.q.Offset)
	args = append(append(args, length...), l.q.Offset+l.q.Limit+1)
	return query, append(args, length...), nil
}
