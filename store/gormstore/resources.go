package gormstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/provost-scim/provost/store"
)

// Resources lists users and groups as one list: in the order of keys the users and then
// the groups, each as a list of its own; in another order by their keys first, which
// the database brings into it.
func (r *reader) Resources(ctx context.Context, q store.Query) (store.Page[store.Resource], error) {
	var out store.Page[store.Resource]
	m := mixed{reader: r, q: q}
	var err error
	if m.users, err = m.lister(userRecords, groupRecords); err != nil {
		return out, err
	}
	if m.groups, err = m.lister(groupRecords, userRecords); err != nil {
		return out, err
	}
	if q.Limit > 0 {
		if q.Sort == nil {
			out, err = m.inTurn(ctx)
		} else {
			out, err = m.sorted(ctx)
		}
	}
	if err == nil && q.Count {
		out.Total, err = m.count(ctx)
	}
	if err == nil && q.Groups {
		var users []store.Key
		for _, item := range out.Items {
			if item.User != nil {
				users = append(users, item.User.Key)
			}
		}
		out.Memberships, err = r.membershipsOf(ctx, q.Org, q.Directory, users)
	}
	return out, err
}

// mixed is a list of users and groups on its way.
type mixed struct {
	*reader
	q             store.Query
	users, groups *lister
	lengths       [2]int // of the users and of the groups, plus one; 0: not counted yet
}

func (m *mixed) lister(of, beside *recordFields) (*lister, error) {
	return newLister(compiler{s: m.session, of: of, beside: beside, org: m.q.Org, directory: m.q.Directory, base: m.q.Base}, m.q)
}

// length counts the users or the groups of the list, once.
func (m *mixed) length(ctx context.Context, l *lister) (int, error) {
	n := &m.lengths[kindNo(l.of.kind)]
	if *n == 0 {
		count, err := l.count(ctx)
		if err != nil {
			return 0, err
		}
		*n = count + 1
	}
	return *n - 1, nil
}

func (m *mixed) count(ctx context.Context) (int, error) {
	users, err := m.length(ctx, m.users)
	if err != nil {
		return 0, err
	}
	groups, err := m.length(ctx, m.groups)
	return users + groups, err
}

// inTurn reads a page in the order of keys: of users as long as there are any, and the
// rest of groups. A page before a place is read the other way round.
func (m *mixed) inTurn(ctx context.Context) (out store.Page[store.Resource], err error) {
	first, second, place := m.users, m.groups, m.q.After
	back := m.q.Before != (store.Position{})
	if back {
		first, second, place = m.groups, m.users, m.q.Before
	}
	rest := m.q.Offset
	if place == (store.Position{}) || place.Kind == first.of.kind {
		if err := m.append(ctx, &out, first, m.q.Offset, m.q.Limit+1); err != nil {
			return out, err
		}
		if rest > 0 && len(out.Items) == 0 {
			length, err := m.length(ctx, first)
			if err != nil {
				return out, err
			}
			rest -= length
		} else {
			rest = 0
		}
		second.q.After, second.q.Before = store.Position{}, store.Position{}
		if back {
			second.q.Before = theEnd
		}
	}
	if left := m.q.Limit + 1 - len(out.Items); left > 0 {
		if err := m.append(ctx, &out, second, rest, left); err != nil {
			return out, err
		}
	}
	cut(&out, m.q)
	return out, nil
}

// theEnd is a place after every record in the order of keys.
var theEnd = store.Position{Key: 1<<63 - 1}

// append reads at most limit records of one kind and appends them in the order in
// which they were read.
func (m *mixed) append(ctx context.Context, out *store.Page[store.Resource], of *lister, offset, limit int) error {
	l := *of
	l.q.Offset, l.q.Limit = offset, limit-1 // one more is read
	length := -1
	if offset >= farOffset {
		var err error
		if length, err = m.length(ctx, of); err != nil {
			return err
		}
	}
	columns := userColumns
	if l.of.kind == store.KindGroup {
		columns = groupColumns
	}
	query, args, err := l.list(columns, length)
	if err != nil {
		return err
	}
	err = l.s.each(ctx, func(r scanner) error {
		p := placed{scanner: r, at: store.Position{Kind: l.of.kind}}
		item, err := scanResource(l.of.kind, &p)
		out.Items, out.Positions = append(out.Items, item), append(out.Positions, p.at)
		return err
	}, query, args...)
	if err != nil {
		return fmt.Errorf("list %s: %w", l.of.table, err)
	}
	return nil
}

func scanResource(kind store.Kind, r scanner) (store.Resource, error) {
	if kind == store.KindGroup {
		g, err := scanGroup(r)
		return store.Resource{Group: &g}, err
	}
	u, err := scanUser(r)
	return store.Resource{User: &u}, err
}

// sorted reads a page in the order of a field: the keys, and then what they stand for.
func (m *mixed) sorted(ctx context.Context) (out store.Page[store.Resource], err error) {
	by := ordering{alias: "r", descending: m.q.Sort.Descending, mixed: true, rank: m.users.by.rank}
	if by.rank.foreign {
		by.rank = m.groups.by.rank
	}
	var args []any
	var kinds [2]string
	for i, l := range []*lister{m.users, m.groups} {
		expr := l.by.rank.expr
		switch {
		case by.rank.number:
			expr = "CAST(" + expr + " AS bigint)"
		case m.e.postgres:
			expr = "CAST(" + expr + ` AS text) COLLATE "C"`
		}
		kinds[i] = fmt.Sprintf("SELECT %d AS kind_no, %s.id AS id, %s AS sorted_by FROM %s %s WHERE %s", i, l.of.alias, expr, l.of.table, l.of.alias, l.where)
		args = append(append(args, l.by.rank.args...), l.args...)
	}
	optional := *by.rank
	optional.required = optional.required && !m.users.by.rank.foreign && !m.groups.by.rank.foreign
	by.rank = &optional
	beyond, places, err := by.beyond(m.q)
	if err != nil {
		return out, err
	}
	keys, err := collect(ctx, m.session, func(r scanner) (p store.Position, err error) {
		var no int
		err = r.Scan(&no, &p.Key, scanPlace(&p.Value))
		p.Kind = []store.Kind{store.KindUser, store.KindGroup}[no]
		return p, err
	}, "SELECT r.kind_no, r.id, r.sorted_by FROM ("+kinds[0]+" UNION ALL "+kinds[1]+") AS r WHERE "+beyond+" ORDER BY "+by.columns(m.q)+" LIMIT ? OFFSET ?",
		append(append(args, places...), m.q.Limit+1, max(m.q.Offset, 0))...)
	if err != nil {
		return out, fmt.Errorf("list users and groups: %w", err)
	}
	page := store.Page[store.Position]{Items: keys, Positions: slices.Clone(keys)}
	cut(&page, m.q)
	return m.load(ctx, page)
}

// load reads the records of a page by their keys. One that has gone since is left out.
func (m *mixed) load(ctx context.Context, page store.Page[store.Position]) (out store.Page[store.Resource], err error) {
	keys := map[store.Kind][]store.Key{}
	for _, p := range page.Items {
		keys[p.Kind] = append(keys[p.Kind], p.Key)
	}
	users, err := byKey(ctx, m.session, userRecords, userColumns, m.q.Org, keys[store.KindUser], scanUser, func(u *store.User) store.Key { return u.Key })
	if err != nil {
		return out, err
	}
	groups, err := byKey(ctx, m.session, groupRecords, groupColumns, m.q.Org, keys[store.KindGroup], scanGroup, func(g *store.Group) store.Key { return g.Key })
	if err != nil {
		return out, err
	}
	out.More = page.More
	for _, p := range page.Items {
		r := store.Resource{User: users[p.Key]}
		if p.Kind == store.KindGroup {
			r = store.Resource{Group: groups[p.Key]}
		}
		if r != (store.Resource{}) {
			out.Items, out.Positions = append(out.Items, r), append(out.Positions, p)
		}
	}
	return out, nil
}

// byKey reads records of one kind by their keys.
func byKey[T any](ctx context.Context, s *session, of *recordFields, columns string, org store.Key, keys []store.Key, scan func(scanner) (T, error), key func(*T) store.Key) (map[store.Key]*T, error) {
	if len(keys) == 0 {
		return nil, nil //nolint:nilnil // nothing was asked for
	}
	in, arg := s.among(keys64(keys))
	list, err := collect(ctx, s, scan, "SELECT "+columns+" FROM "+of.table+" "+of.alias+" WHERE "+of.alias+".org_id = ? AND "+of.alias+".id"+in, org, arg)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", of.table, err)
	}
	out := make(map[store.Key]*T, len(list))
	for i := range list {
		out[key(&list[i])] = &list[i]
	}
	return out, nil
}

// foreign reports whether only the other records of the list have an attribute.
func (c *compiler) foreign(name store.Field) bool {
	return c.beside != nil && !c.of.has(name) && c.beside.has(name)
}

func (r *recordFields) has(name store.Field) bool {
	return r.fields[name] != nil || r.elements[name] || len(r.links[name]) > 0 || len(r.below(string(name)+".")) > 0
}

// absent is an attribute that records do not have: only ne and not hold for it.
type absent struct{}

func (absent) compare(*compiler, store.Compare) (string, error) {
	return "false", nil
}

func (absent) has(*compiler) (string, error) { return "false", nil }

func (absent) rank(*compiler) *rank { return &rank{expr: "NULL", foreign: true} }
