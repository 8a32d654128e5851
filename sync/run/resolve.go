package run

import (
	"context"
	"maps"
	"slices"

	"github.com/provost-scim/provost/store"
)

// resolve finds what the names in the entries that were read mean, as far as they
// name others: by what is stored of the members that groups had, else by asking the
// directory. Names of its own entries the graph knows already.
func (g *gathering) resolve(ctx context.Context, entries []*store.Entry) error {
	if err := g.resolveStored(ctx, entries); err != nil {
		return err
	}
	if err := g.resolveDNs(ctx, entries); err != nil {
		return err
	}
	if err := g.resolveUserNames(ctx, entries); err != nil {
		return err
	}
	return g.resolvePrimary(ctx)
}

// resolveStored takes the members that are stored of groups by the DNs that they had
// when they were applied. Had one got another DN since, it would have been looked at.
func (g *gathering) resolveStored(ctx context.Context, entries []*store.Entry) error {
	var groups []string
	for _, e := range entries {
		if e.Kind == store.KindGroup {
			groups = append(groups, e.ExternalID)
		}
	}
	if len(groups) == 0 {
		return nil
	}
	graph := g.r.graph
	return g.r.w.e.store.View(ctx, func(v store.Reader) error {
		return v.KnownIn(ctx, g.r.directory.Key, groups, func(k store.Known) error {
			var h sourceHash
			if len(k.Hash) != len(h) || k.OutOfScope || k.ExternalID == "" || g.looked[k.ExternalID] {
				return nil
			}
			copy(h[:], k.Hash)
			if i := graph.dns.find(h.dn()); i != none && graph.bearer[i] == none {
				graph.bearer[i] = g.r.index.either(k.ExternalID)
			}
			return nil
		})
	})
}

// resolveDNs asks the directory who bears the DNs of members and managers that are
// not known.
func (g *gathering) resolveDNs(ctx context.Context, entries []*store.Entry) error {
	graph := g.r.graph
	unknown := map[int32]string{}
	add := func(dn string) {
		if i := graph.intern(dn); graph.bearer[i] == none {
			unknown[i] = dn
		}
	}
	for _, e := range entries {
		for _, dn := range e.MemberDNs {
			add(dn)
		}
		if e.ManagerDN != "" {
			add(e.ManagerDN)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	names := make([]string, 0, len(unknown))
	for _, dn := range unknown {
		names = append(names, dn)
	}
	found, err := g.f.Bearers(ctx, names)
	if err != nil {
		return sourceError{err}
	}
	for dn, id := range found {
		if i := graph.dns.find(graph.key(dn)); i != none && graph.bearer[i] == none {
			graph.bearer[i] = g.r.index.either(id)
		}
	}
	maps.DeleteFunc(unknown, func(i int32, _ string) bool { return graph.bearer[i] != none })
	stored, err := g.r.storedElsewhere(ctx, g.f.Anywhere, slices.Collect(maps.Values(unknown)))
	for dn, k := range stored {
		g.r.elsewhere(dn, g.r.index.at(k.Kind, k.ExternalID))
	}
	return err
}

// storedElsewhere finds the records that bear DNs which nothing that is read bears: they
// have left the scope. anywhere asks the directory.
func (r *reading) storedElsewhere(ctx context.Context, anywhere func(context.Context, []string) (map[string]string, error), dns []string) (map[string]store.Known, error) {
	if len(dns) == 0 {
		return nil, nil
	}
	found, err := asked(anywhere(ctx, dns))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	names := make(map[string]string, len(found))
	for dn, id := range found {
		names[id] = dn
	}
	stored := map[string]store.Known{}
	err = r.w.e.store.View(ctx, func(v store.Reader) error {
		return v.KnownAs(ctx, r.directory.Key, slices.Collect(maps.Keys(names)), func(k store.Known) error {
			stored[names[k.ExternalID]] = k
			return nil
		})
	})
	return stored, err
}

// resolveUserNames does the same for the values of memberUid.
func (g *gathering) resolveUserNames(ctx context.Context, entries []*store.Entry) error {
	graph := g.r.graph
	var names []string
	for _, e := range entries {
		for _, name := range e.MemberNames {
			if graph.named[graph.names[store.Fold(name)]] == none {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	users, err := g.f.Users(ctx, names)
	if err != nil {
		return sourceError{err}
	}
	for i := range users {
		u := &users[i]
		at, named := graph.names[store.Fold(u.Attributes.UserName)]
		if named && u.ExternalID != "" && graph.named[at] == none {
			graph.named[at] = g.r.index.either(u.ExternalID)
		}
	}
	return nil
}

// resolvePrimary finds the members that no group lists: those whose primary group it is.
func (g *gathering) resolvePrimary(ctx context.Context) error {
	graph := g.r.graph
	if len(graph.bySID) == 0 {
		return nil
	}
	found, err := g.f.Primary(ctx, slices.Collect(maps.Keys(graph.bySID)))
	if err != nil {
		return sourceError{err}
	}
	for sid, ids := range found {
		group := &graph.groups[graph.bySID[sid]]
		in := make(map[int32]bool, len(group.primary))
		for _, node := range group.primary { // whose entries were read
			in[node] = true
		}
		for _, id := range ids {
			if node := g.r.index.either(id); !in[node] {
				group.primary = append(group.primary, node)
			}
		}
	}
	return nil
}
