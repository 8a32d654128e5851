package run

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// within makes sure that what is named is in the scope, which is found by going up from
// it to the groups that choose the scope. Who is seen to be in one of them surely is.
// Who is not may nevertheless be, as in a group that names users by memberUid in other
// letters, and must not lose anything for it: that only a full read can tell.
func (t *target) within(ctx context.Context) (why string, err error) {
	if len(t.r.ldap.ScopeGroups) == 0 {
		return "", nil
	}
	top, err := t.top(ctx)
	if err != nil {
		return "", err
	}
	for _, entries := range [][]store.Entry{t.groups, t.users} {
		for i := range entries {
			e := &entries[i]
			in, err := t.below(ctx, e, top)
			if err != nil {
				return "", err
			}
			if !in {
				return fmt.Sprintf("%s is not seen to be in the scope, and only all groups can tell", e.DN), nil
			}
		}
	}
	return "", nil
}

// top finds the groups that choose the scope, as [graph.choose] does: by the keys of
// their DNs.
func (t *target) top(ctx context.Context) (map[[16]byte]bool, error) {
	wish := &t.r.wish
	var kept, names []string
	for _, name := range wish.names {
		kept = append(kept, wish.kept[store.Fold(name)]...)
	}
	there, err := asked(t.a.Identify(ctx, kept))
	if err != nil {
		return nil, err
	}
	top, chosen := map[[16]byte]bool{}, map[string]bool{}
	for _, name := range wish.names {
		folded := store.Fold(name)
		for _, id := range wish.kept[folded] {
			if dn, ok := there[id]; ok {
				top[t.r.graph.key(dn)], chosen[folded] = true, true
			}
		}
		if !chosen[folded] {
			names = append(names, name)
		}
	}
	groups, err := asked(t.a.Groups(ctx, names))
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[store.Fold(name)] = true
	}
	for i := range groups {
		if folded := store.Fold(groups[i].DisplayName); wanted[folded] {
			top[t.r.graph.key(groups[i].DN)], chosen[folded] = true, true
		}
	}
	for _, name := range names {
		if !chosen[store.Fold(name)] {
			return nil, noScopeGroup(name)
		}
	}
	return top, nil
}

// below reports whether an entry is one of the groups at the top, or below one, or has
// been put in the scope by an import, itself or a group above it.
func (t *target) below(ctx context.Context, e *store.Entry, top map[[16]byte]bool) (bool, error) {
	chosen := func(e *store.Entry) bool {
		return top[t.r.graph.key(e.DN)] || e.ExternalID != "" && t.r.wish.also[t.r.index.at(e.Kind, e.ExternalID)]
	}
	if chosen(e) {
		return true, nil
	}
	dns, names, sids := []string{e.DN}, []string(nil), []string(nil)
	if e.Kind == store.KindUser {
		names = append(names, e.Attributes.UserName)
		if e.PrimaryGroup != "" {
			sids = append(sids, e.PrimaryGroup)
		}
	}
	seen := map[[16]byte]bool{}
	for len(dns) > 0 && len(seen) <= t.limit {
		groups, err := asked(t.a.Above(ctx, dns, names, sids))
		if err != nil {
			return false, err
		}
		dns, names, sids = nil, nil, nil
		for i := range groups {
			g := &groups[i]
			if chosen(g) {
				return true, nil
			}
			if key := t.r.graph.key(g.DN); !seen[key] {
				seen[key] = true
				dns = append(dns, g.DN)
			}
		}
	}
	return false, nil
}

// scope puts all that was read in scope: what is named is, and so is what is below it.
func (t *target) scope() {
	r := t.r
	if len(r.ldap.ScopeGroups) == 0 {
		r.scope = r.graph.everything()
		return
	}
	r.scope = &scope{dns: map[int32]bool{}, names: map[int32]bool{}, nodes: map[int32]bool{}}
	queue := make([]int32, len(r.graph.groups))
	for i := range queue {
		queue[i] = int32(i)
	}
	r.graph.spread(r.scope, queue)
	for i := range t.users {
		e := &t.users[i]
		if e.ExternalID != "" {
			r.scope.nodes[r.index.at(store.KindUser, e.ExternalID)] = true
		}
		r.scope.dns[r.graph.intern(e.DN)] = true
	}
}
