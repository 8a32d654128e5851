package gormstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/provost-scim/provost/store"
)

// departedOfOneName bounds how many soft-deleted records of one name are looked at:
// the newest.
const departedOfOneName = 8

// Load locks what a scope names and loads it. What decides which locks are needed is
// looked up first; then, in one round trip, the organization's graph, the groups and
// everything above those whose members may change, and the users are locked in this
// order and read as they then are.
//
// What other transactions may still change are names: they are claimed by Apply,
// which fails with [store.CodeStale] if a plan was made of names that have moved.
func (t *tx) Load(ctx context.Context, s store.Scope) (*store.Snapshot, error) {
	l := newLoader(t, s)
	if err := l.probe(ctx); err != nil {
		return nil, err
	}
	asks := l.planOnce()
	if l.concernsGroups() {
		asks = append(asks, l.lockGraph()...)
		asks = append(asks, l.lockGroups()...)
		asks = append(asks, l.edges()...)
	}
	asks = append(asks, l.lockUsers()...)
	asks = append(asks, l.surroundings()...)
	if err := t.read(ctx, asks...); err != nil {
		return nil, err
	}
	if err := l.holders(ctx); err != nil {
		return nil, err
	}
	if err := l.defaultRoles(ctx); err != nil {
		return nil, err
	}
	l.sortDeparted()
	return l.snap, nil
}

// loader is one Load on its way.
type loader struct {
	*tx
	s    store.Scope
	snap *store.Snapshot

	candidates []store.Key         // groups that are addressed, hold a name, or may return
	changing   []store.Key         // those of them whose members may change
	exclusive  bool                // nesting may change
	early      map[store.Edge]bool // edges of the only group, if they were read with the references
	groupKeys  map[store.Key][]int // the scope's groups by key
	records    map[store.RecordKey]bool
	takes      map[store.ID]bool // records of other directories that may be taken over
	userNames  map[string]bool
	groupNames map[string]bool
	external   map[string]bool // stable ids of records that may return
}

func newLoader(t *tx, s store.Scope) *loader {
	l := &loader{
		tx: t, s: s,
		snap: &store.Snapshot{
			Domains: map[string]store.DomainState{}, Users: map[store.RecordKey]*store.User{},
			NameHolders: map[string]*store.User{}, Owners: map[string]store.KeyOwner{},
			Groups: map[store.RecordKey]*store.Group{}, GroupNameHolders: map[string]*store.Group{}, GroupOwners: map[string]store.KeyOwner{},
			Members: map[store.MemberRef]store.Edge{}, Former: map[store.MemberRef]store.Edge{}, Edges: map[store.Key]map[store.Edge]bool{}, Pending: map[store.Key]map[string]bool{},
			TakesFrom: map[store.Key]bool{}, Taken: map[store.ID]*store.User{}, TakenGroups: map[store.ID]*store.Group{},
			Given: map[store.Kind]map[string]store.KeyOwner{}, Foreign: map[store.Edge]bool{},
			Held: map[store.Kind]map[string]bool{store.KindUser: {}, store.KindGroup: {}},
		},
		groupKeys: map[store.Key][]int{}, records: map[store.RecordKey]bool{},
		takes: map[store.ID]bool{}, userNames: setOf(s.UserNames), groupNames: setOf(s.GroupKeys), external: setOf(s.External),
	}
	for _, r := range s.Users {
		l.records[r] = true
		if r.ExternalID != "" {
			l.external[r.ExternalID] = true
		}
	}
	for _, g := range s.Groups {
		if g.Record.ExternalID != "" {
			l.external[g.Record.ExternalID] = true
		}
		if g.Take != "" {
			l.takes[g.Take] = true
		}
	}
	for _, id := range s.TakeUsers {
		l.takes[id] = true
	}
	return l
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, v := range list {
		if v != "" {
			set[v] = true
		}
	}
	return set
}

func sorted[K cmp.Ordered, V any](set map[K]V) []K {
	list := make([]K, 0, len(set))
	for v := range set {
		list = append(list, v)
	}
	slices.Sort(list)
	return list
}

func (l *loader) concernsGroups() bool { return len(l.s.Groups)+len(l.s.GroupKeys) > 0 }

// probe looks, without locks, for the groups of the scope and for what its references
// name, because that decides which lock of the graph is needed.
func (l *loader) probe(ctx context.Context) error {
	if !l.concernsGroups() {
		return nil
	}
	l.exclusive = l.s.Nests
	var refs []store.MemberRef
	byRecord := map[store.RecordKey][]int{}
	for i, g := range l.s.Groups {
		refs = append(refs, g.Refs...)
		l.exclusive = l.exclusive || g.Deletes
		if g.Record != (store.RecordKey{}) {
			byRecord[g.Record] = append(byRecord[g.Record], i)
		}
		if g.Take != "" {
			byRecord[store.RecordKey{ID: g.Take}] = append(byRecord[store.RecordKey{ID: g.Take}], i)
		}
	}
	asks := l.resolve(l.s.Org, l.s.Directory, l.s.Directory != 0, refs, l.snap.Members, l.snap.Former)
	if group := l.struckGroup(); group != "" {
		asks = []ask{l.resolveMembers(group, refs)}
	}
	query, args := l.candidateRows("groups", "display_name_folded", groupRecordIDs(l.s.Groups), sorted(l.groupNames))
	asks = append(asks, ask{
		what:  "look for groups",
		query: "SELECT g.id, g.public_id, g.external_id, g.out_of_scope, g.deleted_at FROM groups g WHERE g.org_id = ? AND g.id IN (" + query + ") ORDER BY g.id",
		args:  append([]any{l.s.Org}, args...),
		each: func(row scanner) error {
			var g store.Group
			if err := row.Scan(&g.Key, &g.ID, &g.ExternalID, &g.OutOfScope, scanTime(&g.DeletedAt)); err != nil {
				return err
			}
			l.candidates = append(l.candidates, g.Key)
			if g.Deleted() { // its return brings its nesting back
				l.exclusive = true
				l.changing = append(l.changing, g.Key)
				return nil
			}
			places := byRecord[store.RecordKey{ID: g.ID}]
			if g.ExternalID != "" {
				places = append(slices.Clone(places), byRecord[store.RecordKey{ExternalID: g.ExternalID}]...)
			}
			l.groupKeys[g.Key] = places
			changes := g.OutOfScope && len(places) > 0
			l.exclusive = l.exclusive || changes
			for _, i := range places {
				scope := &l.s.Groups[i]
				changes = changes || scope.Deletes || scope.AllEdges || len(scope.Refs) > 0
			}
			if changes {
				l.changing = append(l.changing, g.Key)
			}
			return nil
		},
	})
	if err := l.read(ctx, append(l.planForMany(), asks...)...); err != nil {
		return err
	}
	if err := l.read(ctx, l.resolveGroups(l.s.Org, l.s.Directory, l.s.Directory != 0, refs, l.snap.Members, l.snap.Former)...); err != nil {
		return err
	}
	if err := l.handedMembers(ctx); err != nil {
		return err
	}
	for _, edge := range l.snap.Members {
		l.exclusive = l.exclusive || edge.Kind == store.KindGroup
	}
	if l.exclusive || !l.replaces() {
		return nil
	}
	return l.probeNesting(ctx)
}

// replaces reports whether a whole set of members is replaced, by which a nested
// group may be removed that no reference names.
func (l *loader) replaces() bool {
	return slices.ContainsFunc(l.s.Groups, func(g store.GroupScope) bool { return g.AllEdges })
}

func (l *loader) probeNesting(ctx context.Context) error {
	f, arg := l.keys(l.changing)
	return l.read(ctx, ask{
		what:  "look for nested groups",
		query: "SELECT n.child_id FROM nest n WHERE n.org_id = ? AND n.parent_id IN (SELECT v FROM " + f + " AS k) LIMIT 1",
		args:  []any{l.s.Org, arg},
		each:  func(scanner) error { l.exclusive = true; return nil },
	})
}

func groupRecordIDs(groups []store.GroupScope) []store.ID {
	var ids []store.ID
	for _, g := range groups {
		if g.Record.ID != "" {
			ids = append(ids, g.Record.ID)
		}
		if g.Take != "" {
			ids = append(ids, g.Take)
		}
	}
	return ids
}

// candidateRows is the query of the keys of a table's rows that a scope is about: by
// public id, by stable id, the holders of names, and those that may return by name.
func (l *loader) candidateRows(table, nameColumn string, ids []store.ID, names []string) (query string, args []any) {
	union := func(q string, a ...any) {
		if query != "" {
			query += " UNION "
		}
		query += q
		args = append(args, a...)
	}
	owner, ownerArgs := owned("r.directory_id", l.s.Directory)
	if len(ids) > 0 {
		f, arg := l.ids(ids)
		union("SELECT r.id FROM "+f+" AS k JOIN "+table+" r ON r.public_id = k.v WHERE r.org_id = ?", arg, l.s.Org)
	}
	if len(l.external) > 0 {
		f, arg := l.texts(sorted(l.external))
		union("SELECT r.id FROM "+f+" AS k JOIN "+table+" r ON r.external_id = k.v AND r.external_id <> '' AND "+owner+" WHERE r.org_id = ?",
			append(append([]any{arg}, ownerArgs...), l.s.Org)...)
	}
	if len(names) > 0 {
		f, arg := l.texts(names)
		union("SELECT r.id FROM "+f+" AS k JOIN "+table+" r ON r."+nameColumn+" = k.v AND coalesce(r.directory_id, 0) = ? AND r.org_id = ? WHERE r.deleted_at IS NULL",
			arg, l.s.Directory, l.s.Org)
		if l.s.Departed {
			union("SELECT d.id FROM (SELECT r.id, row_number() OVER (PARTITION BY r."+nameColumn+" ORDER BY r.deleted_at DESC, r.id DESC) AS place FROM "+
				f+" AS k JOIN "+table+" r ON r."+nameColumn+" = k.v AND "+owner+" WHERE r.org_id = ? AND r.deleted_at IS NOT NULL) AS d WHERE d.place <= ?",
				append(append([]any{arg}, ownerArgs...), l.s.Org, departedOfOneName)...)
		}
	}
	if query == "" {
		query = "SELECT r.id FROM " + table + " r WHERE false"
	}
	return query, args
}

func (l *loader) placeGroup(g *store.Group) {
	if g.Directory != l.s.Directory {
		if l.takes[g.ID] && !g.Deleted() {
			l.snap.TakenGroups[g.ID] = g
		}
		return
	}
	name := store.Fold(g.DisplayName)
	if g.Deleted() {
		if l.s.Departed && (g.ExternalID != "" && l.external[g.ExternalID] || l.groupNames[name] || slices.Contains(groupRecordIDs(l.s.Groups), g.ID)) {
			l.snap.DepartedGroups = append(l.snap.DepartedGroups, g)
		}
		return
	}
	if l.external[g.ExternalID] {
		l.snap.Held[store.KindGroup][g.ExternalID] = true
	}
	for _, i := range l.groupKeys[g.Key] {
		if r := l.s.Groups[i].Record; l.snap.Groups[r] == nil {
			l.snap.Groups[r] = g
		}
	}
	if l.groupNames[name] {
		l.snap.GroupNameHolders[name] = g
	}
}

// struckGroup is the group from which the scope does nothing but remove many members
// that it names by id. Whether they are members is read with who they are, before the
// group is locked: who is put in meanwhile was put in after the removal, and of who is
// taken out meanwhile nothing is left to delete. Users that the directory has handed over
// are found in another way.
func (l *loader) struckGroup() store.ID {
	if len(l.s.Groups) != 1 || !l.s.Groups[0].Removes || l.s.Handover || len(l.s.Groups[0].Refs) < many {
		return ""
	}
	return l.s.Groups[0].Record.ID
}

// resolveMembers is [session.resolve] of users by id that tells also whether they are
// members of a group.
func (l *loader) resolveMembers(group store.ID, refs []store.MemberRef) ask {
	ids := make([]string, 0, len(refs))
	for _, ref := range refs {
		if store.ValidID(string(ref.ID)) {
			ids = append(ids, string(ref.ID))
		}
	}
	l.early = make(map[store.Edge]bool, len(ids))
	l.snap.Members = make(map[store.MemberRef]store.Edge, len(ids))
	if l.publicIDs == nil {
		l.publicIDs = make(map[store.Edge]store.ID, len(ids))
	}
	among, arg := l.amongIDs(ids)
	owner, ownerArgs := owned("r.directory_id", l.s.Directory)
	a := ask{
		what: "resolve members",
		query: `SELECT r.id, r.public_id, r.deleted_at IS NOT NULL AS gone, m.user_id IS NOT NULL AS member FROM users r
			LEFT JOIN member m ON m.group_id = (SELECT g.id FROM groups g WHERE g.public_id = ? AND g.org_id = ?) AND m.user_id = r.id
			WHERE r.public_id` + among + " AND r.org_id = ? AND " + owner,
		args: append([]any{group, l.s.Org, arg, l.s.Org}, ownerArgs...),
		each: func(row scanner) error {
			var key store.Key
			var id store.ID
			var gone, member bool
			err := row.Scan(&key, &id, &gone, &member)
			l.resolvedMember(key, id, gone, member)
			return err
		},
	}
	if l.e.postgres { // most of the time went into reading rows
		a.query = "SELECT array_agg(k.id), string_agg(uuid_send(k.public_id), ''), k.gone, k.member FROM (" + a.query + ") AS k GROUP BY k.gone, k.member"
		a.each = func(row scanner) error {
			var keys []int64
			var ids []byte
			var gone, member bool
			if err := row.Scan(&keys, &ids, &gone, &member); err != nil {
				return err
			}
			for i, key := range keys {
				id := pgtype.UUID{Bytes: [16]byte(ids[16*i:]), Valid: true}
				l.resolvedMember(store.Key(key), store.ID(id.String()), gone, member)
			}
			return nil
		}
	}
	return a
}

func (l *loader) resolvedMember(key store.Key, id store.ID, gone, member bool) {
	edge, ref := store.Edge{Kind: store.KindUser, Key: key}, store.MemberRef{ID: id}
	l.publicID(edge, id)
	if gone {
		l.snap.Former[ref] = edge
	} else {
		l.snap.Members[ref] = edge
	}
	if member {
		l.early[edge] = true
	}
}

func (l *loader) edge(group store.Key, edge store.Edge) {
	if l.snap.Edges[group] == nil {
		l.snap.Edges[group] = map[store.Edge]bool{}
	}
	l.snap.Edges[group][edge] = true
}

// edges reads which edges of the groups exist: all of them, or those to what the
// references name.
func (l *loader) edges() []ask {
	var whole, partly []store.Key
	var parents, users, outer, groups []int64
	var waiting []string
	for _, key := range sorted(l.groupKeys) {
		places := l.groupKeys[key]
		if slices.ContainsFunc(places, func(i int) bool { return l.s.Groups[i].AllEdges }) {
			whole = append(whole, key)
			continue
		}
		if l.early != nil && len(places) > 0 { // the only group
			if l.snap.Edges[key] = l.early; len(l.early) == len(l.s.Groups[0].Refs) {
				continue
			}
		}
		for _, i := range places {
			for _, ref := range l.s.Groups[i].Refs {
				edge, known := l.snap.Members[ref]
				if !known {
					edge, known = l.snap.Former[ref]
				}
				switch {
				case known && edge.Kind == store.KindUser && l.early != nil: // read already
				case known && edge.Kind == store.KindUser:
					parents, users = append(parents, int64(key)), append(users, int64(edge.Key))
				case known:
					outer, groups = append(outer, int64(key)), append(groups, int64(edge.Key))
				case ref.ExternalID != "":
					waiting, partly = append(waiting, ref.ExternalID), append(partly, key)
				}
			}
		}
	}
	var out []ask
	add := func(what string, kind store.Kind, query string, args ...any) {
		out = append(out, ask{what: what, query: query, args: args, each: func(row scanner) error {
			var group, member store.Key
			err := row.Scan(&group, &member)
			l.edge(group, store.Edge{Kind: kind, Key: member})
			return err
		}})
	}
	pending := func(query string, args ...any) {
		out = append(out, ask{what: "read pending members", query: query, args: args, each: func(row scanner) error {
			var group store.Key
			var external string
			err := row.Scan(&group, &external)
			if l.snap.Pending[group] == nil {
				l.snap.Pending[group] = map[string]bool{}
			}
			l.snap.Pending[group][external] = true
			return err
		}})
	}
	switch {
	case len(users) == 0:
	case parents[0] == parents[len(parents)-1]: // of one group; they come sorted
		among, arg := l.among(users)
		add("read members", store.KindUser, "SELECT m.group_id, m.user_id FROM member m WHERE m.group_id = ? AND m.user_id"+among+" AND m.org_id = ?",
			parents[0], arg, l.s.Org)
	default:
		f, args := l.pairs(parents, users)
		add("read members", store.KindUser, "SELECT m.group_id, m.user_id FROM "+f+
			" AS k JOIN member m ON m.group_id = k.a AND m.user_id = k.b WHERE m.org_id = ?", append(args, l.s.Org)...)
	}
	if len(groups) > 0 {
		f, args := l.pairs(outer, groups)
		add("read nested groups", store.KindGroup, "SELECT n.parent_id, n.child_id FROM "+f+
			" AS k JOIN nest n ON n.parent_id = k.a AND n.child_id = k.b WHERE n.org_id = ?", append(args, l.s.Org)...)
	}
	if len(whole) > 0 {
		f, arg := l.keys(whole)
		in := " IN (SELECT v FROM " + f + " AS k)"
		add("read members", store.KindUser, "SELECT m.group_id, m.user_id FROM member m WHERE m.org_id = ? AND m.group_id"+in, l.s.Org, arg)
		add("read nested groups", store.KindGroup, "SELECT n.parent_id, n.child_id FROM nest n WHERE n.org_id = ? AND n.parent_id"+in, l.s.Org, arg)
		pending("SELECT p.group_id, p.external_id FROM pending_member p WHERE p.org_id = ? AND p.group_id"+in, l.s.Org, arg)
	}
	out = append(out, l.foreignMembers(whole)...)
	if len(waiting) > 0 {
		f, arg := l.keys(slices.Compact(partly))
		w, list := l.texts(waiting)
		pending("SELECT p.group_id, p.external_id FROM pending_member p WHERE p.org_id = ? AND p.group_id IN (SELECT v FROM "+f+
			" AS k) AND p.external_id IN (SELECT v FROM "+w+" AS e)", l.s.Org, arg, list)
	}
	return out
}
