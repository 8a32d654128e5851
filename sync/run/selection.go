package run

import (
	"context"
	"strings"

	"github.com/provost-scim/provost/store"
)

// Bounds of a selection.
const (
	maxSelected = 100  // users and groups together
	maxSelector = 1024 // bytes of a name
)

// StartSelected starts a run of the named users and groups only: each is named by
// name, DN, stable id, or the id of its record. A group brings its members that are
// missing, and groups in it that are missing with theirs; nothing is said of anybody
// else. A name that neither the directory nor the store knows makes the run fail.
func (e *Engine) StartSelected(ctx context.Context, org store.Key, directory string, only store.Selection, cause store.Cause) (*store.Run, error) {
	if n := len(only.Users) + len(only.Groups); n == 0 || n > maxSelected {
		return nil, store.Errorf(store.CodeInvalid, "a run of a selection names 1 to %d users and groups, not %d", maxSelected, n)
	}
	for field, names := range map[string][]string{"users": only.Users, "groups": only.Groups} {
		for _, name := range names {
			if strings.TrimSpace(name) == "" || len(name) > maxSelector || strings.IndexByte(name, 0) >= 0 {
				err := store.Errorf(store.CodeInvalid, "%s: a name has 1 to %d bytes and no NUL", field, maxSelector)
				err.Field = field
				return nil, err
			}
		}
	}
	return e.begin(ctx, org, directory, how{apply: true, only: &only}, cause)
}

// selection is what a run may say something of. A nil selection is everything.
type selection struct {
	joins   bool // what is outside of the scope joins it
	wanted  []*wanted
	byName  map[store.Kind]map[string]*wanted // by folded name or stable id
	byDN    map[store.Kind]map[int32]*wanted  // by interned DN
	nodes   map[int32]bool                    // that are named
	groups  map[int32]bool                    // by index in the graph: named, or missing below
	members scope                             // of those groups

	// absent tells how much of what is stored was not found, where so many that are named
	// were not.
	absent func(ctx context.Context, kind store.Kind, taken int) (absence, error)
}

// wanted is one name of a selection.
type wanted struct {
	kind    store.Kind
	name    string
	stored  bool // the directory has such a record
	inScope bool // such an entry was read in scope
	outside bool // or not in scope
}

// selectOnly prepares the selection of the run, if it has one: it finds the records
// that are meant.
func (r *reading) selectOnly(ctx context.Context) error {
	if r.w.only == nil {
		return nil
	}
	s := &selection{
		byName: map[store.Kind]map[string]*wanted{store.KindUser: {}, store.KindGroup: {}},
		byDN:   map[store.Kind]map[int32]*wanted{store.KindUser: {}, store.KindGroup: {}},
		joins:  r.w.only.Import != nil, nodes: map[int32]bool{}, groups: map[int32]bool{},
		members: scope{dns: map[int32]bool{}, names: map[int32]bool{}}, absent: r.absent,
	}
	for kind, names := range map[store.Kind][]string{store.KindUser: r.w.only.Users, store.KindGroup: r.w.only.Groups} {
		for _, name := range names {
			if s.byName[kind][store.Fold(name)] != nil {
				continue
			}
			w := &wanted{kind: kind, name: name}
			s.wanted = append(s.wanted, w)
			s.byName[kind][store.Fold(name)] = w
			if strings.Contains(name, "=") {
				s.byDN[kind][r.graph.intern(name)] = w
			}
		}
	}
	r.only = s
	return r.w.e.store.View(ctx, func(v store.Reader) error { return s.stored(ctx, v, r) })
}

// stored finds the directory's records of the names, in a query for each kind.
func (s *selection) stored(ctx context.Context, v store.Reader, r *reading) error {
	q := func(kind store.Kind, name store.Field) store.Query {
		var any store.Or
		for text := range s.byName[kind] {
			for _, field := range []store.Field{"id", "externalId", name} {
				any = append(any, store.Compare{Field: field, Op: store.Eq, Value: text})
			}
		}
		return store.Query{Org: r.directory.Org, Directory: &r.directory.Key, Filter: any, Limit: 3 * maxSelected}
	}
	note := func(kind store.Kind, id store.ID, external, name string) {
		if external == "" {
			return
		}
		for _, text := range []string{string(id), external, name} {
			if w := s.byName[kind][store.Fold(text)]; w != nil {
				w.stored = true
				s.nodes[r.index.at(kind, external)] = true
			}
		}
	}
	if len(s.byName[store.KindUser]) > 0 {
		page, err := v.Users(ctx, q(store.KindUser, "userName"))
		if err != nil {
			return err
		}
		for i := range page.Items {
			u := &page.Items[i]
			note(store.KindUser, u.ID, u.ExternalID, u.Attributes.UserName)
		}
	}
	if len(s.byName[store.KindGroup]) > 0 {
		page, err := v.Groups(ctx, q(store.KindGroup, "displayName"))
		if err != nil {
			return err
		}
		for i := range page.Items {
			g := &page.Items[i]
			note(store.KindGroup, g.ID, g.ExternalID, g.DisplayName)
		}
	}
	return nil
}

// imports reports whether what is named joins the scope.
func (s *selection) imports() bool { return s != nil && s.joins }

// means reports whether an entry is named, by itself or by its record.
func (s *selection) means(kind store.Kind, name, id string, dn, node int32) bool {
	return s.nodes[node] || s.byName[kind][store.Fold(name)] != nil || s.byName[kind][store.Fold(id)] != nil || s.byDN[kind][dn] != nil
}

// named reports whether an entry is named, by itself or by its record.
func (s *selection) named(kind store.Kind, name, id string, dn, node int32, inScope bool) bool {
	found := node != none && s.nodes[node]
	for _, w := range []*wanted{s.byName[kind][store.Fold(name)], s.byName[kind][store.Fold(id)], s.byDN[kind][dn]} {
		if w == nil {
			continue
		}
		found = true
		if inScope {
			w.inScope = true
		} else {
			w.outside = true
		}
	}
	if found && node != none {
		s.nodes[node] = true
	}
	return found
}

// wantsUser reports whether a user is to be staged: because it is named, or because a
// group that is needs it.
func (s *selection) wantsUser(r *reading, e *store.Entry, node int32, inScope bool) bool {
	if s == nil {
		return true
	}
	dn := r.graph.intern(e.DN)
	if s.named(store.KindUser, e.Attributes.UserName, e.ExternalID, dn, node, inScope) {
		return true
	}
	if node == none || !r.index.node(node).missing() {
		return false
	}
	if s.members.dns[dn] {
		return true
	}
	if i, ok := r.graph.names[store.Fold(e.Attributes.UserName)]; ok && s.members.names[i] {
		return true
	}
	i, ok := r.graph.bySID[e.PrimaryGroup]
	return ok && e.PrimaryGroup != "" && s.groups[i]
}

// missing reports whether no live record in scope is stored of a node.
func (n *node) missing() bool { return !n.is(known) || n.is(outOfScope) }

// chooseGroups finds the groups to stage, when all have been read.
func (s *selection) chooseGroups(r *reading) {
	if s == nil {
		return
	}
	var queue []int32
	for i := range r.graph.groups {
		g := &r.graph.groups[i]
		id := ""
		if g.node != none {
			id = r.index.node(g.node).id
		}
		if s.named(store.KindGroup, g.name, id, g.dnKey, g.node, g.within) && g.within {
			queue = append(queue, int32(i))
		}
	}
	for len(queue) > 0 {
		i := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if s.groups[i] {
			continue
		}
		s.groups[i] = true
		for _, dn := range r.graph.groups[i].members {
			s.members.dns[dn] = true
			if nested, ok := r.graph.groupAt(dn); ok && r.index.node(r.graph.groups[nested].node).missing() {
				queue = append(queue, nested)
			}
		}
		for _, name := range r.graph.groups[i].uids {
			s.members.names[name] = true
		}
	}
}

// wantsGroup reports whether a group, by its index in the graph, is to be staged.
func (s *selection) wantsGroup(i int32) bool { return s == nil || s.groups[i] }

// hasGroups reports whether any group may be staged.
func (s *selection) hasGroups() bool { return s == nil || len(s.groups) > 0 }

// names reports whether a node is named, so that it may be said to be gone.
func (s *selection) names(node int32) bool { return s == nil || s.nodes[node] }

// found fails a run that was asked for what there is not.
func (s *selection) found() error {
	if s == nil {
		return nil
	}
	for _, w := range s.wanted {
		word := "user"
		if w.kind == store.KindGroup {
			word = "group"
		}
		switch {
		case w.inScope || w.stored:
		case w.outside:
			e := store.Errorf(store.CodeInvalid, "the %s %q is outside the scope of the directory", word, w.name)
			e.Hint = "add a group that it is in to the scope; nothing has been changed"
			return e
		default:
			e := store.Errorf(store.CodeInvalid, "the directory has no %s %q, and none is stored", word, w.name)
			e.Hint = "look for it with `provost search`; nothing has been changed"
			return e
		}
	}
	return nil
}
