package run

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/provost-scim/provost/store"
)

// minChanges is how many entries a run may always look at without reading everything;
// of a large directory it may be a tenth.
const minChanges = 1_000

// follow reads what has changed since a cookie, and stages what differs. If that will
// not do, why says for what reason; then nothing is staged.
//
// What the source tells is a hint where to look, no more: each entry that it names
// is read as a full read would read it, and one that is not found is looked up. Whom
// a change of one entry concerns besides is found by the names in the directory and
// by the edges that are stored.
func (r *reading) follow(ctx context.Context, cookie []byte) (why string, err error) {
	g, why, err := r.since(ctx, cookie)
	if err != nil || why != "" {
		return why, err
	}
	defer g.f.Close()
	if err := r.is(ctx, true, ""); err != nil {
		return "", err
	}
	r.lookup = g.f.Lookup
	r.stager = r.w.newStager(ctx)
	if err := g.stage(ctx); err != nil {
		r.stager.abandon()
		return "", err
	}
	r.cookie = g.f.Cookie()
	return "", nil
}

// since finds out whom what has changed since a cookie concerns. The caller closes what
// is followed; if that will not do, there is nothing to close.
func (r *reading) since(ctx context.Context, cookie []byte) (g *gathering, why string, err error) {
	g = &gathering{r: r, known: map[string]store.Known{}, entries: map[string]*store.Entry{}, looked: map[string]bool{}, told: map[string]bool{}}
	if err := g.count(ctx); err != nil {
		return nil, "", err
	}
	g.f, why, err = r.source.Follow(ctx, cookie, g.limit)
	if err != nil {
		return nil, "", sourceError{err}
	}
	if why != "" {
		return nil, why, nil
	}
	why, err = g.gather(ctx)
	if err == nil && why == "" {
		why = g.outOfReach()
	}
	if err == nil && why == "" {
		why, err = g.unexplained(ctx)
	}
	if err != nil || why != "" {
		g.f.Close()
		return nil, why, err
	}
	return g, "", nil
}

// gathering collects what a run must look at before it stages anything.
type gathering struct {
	r       *reading
	f       Following
	limit   int
	stock   store.Stock
	told    map[string]bool         // ids that the source told of
	looked  map[string]bool         // ids that were looked at
	known   map[string]store.Known  // by id, of those
	entries map[string]*store.Entry // by id, of those
}

func (g *gathering) count(ctx context.Context) error {
	err := g.r.w.e.store.View(ctx, func(v store.Reader) (err error) {
		g.stock, err = v.Stock(ctx, g.r.directory.Key)
		return err
	})
	g.limit = max(minChanges, (g.stock.Users+g.stock.Groups)/10)
	return err
}

// gather looks at what has changed, then at what that concerns, and so on.
func (g *gathering) gather(ctx context.Context) (why string, err error) {
	next, err := g.begin(ctx)
	if err != nil {
		return "", err
	}
	for len(next) > 0 {
		next = slices.DeleteFunc(next, func(id string) bool { return g.looked[id] })
		for _, id := range next {
			g.looked[id] = true
		}
		if len(g.looked) > g.limit {
			return fmt.Sprintf("what has changed concerns more than %d entries", g.limit), nil
		}
		if err := g.look(ctx, next); err != nil {
			return "", err
		}
		if next, err = g.concerned(ctx, next); err != nil {
			return "", err
		}
	}
	return "", nil
}

// againRules are the rules whose findings may end although the entry does not change.
var againRules = []string{store.RuleDuplicate, store.RuleStateKept, store.RuleUnknownMember}

// begin returns what the source tells of, what is stored and missing, and what was
// not applied whole for reasons that may have gone.
func (g *gathering) begin(ctx context.Context) (ids []string, err error) {
	for _, id := range g.f.Changed() {
		g.told[id] = true
	}
	err = g.r.w.e.store.View(ctx, func(v store.Reader) error {
		if g.f.Listed() {
			err := v.Known(ctx, g.r.directory.Key, func(k store.Known) error {
				if k.ExternalID != "" && g.f.Missing(k.ExternalID) {
					g.told[k.ExternalID] = true
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		ids = slices.Collect(maps.Keys(g.told))
		for q := (store.FindingQuery{Org: g.r.directory.Org, Directory: &g.r.directory.Key, Open: true, Rules: againRules}); ; {
			list, err := v.Findings(ctx, q)
			if err != nil || len(list) == 0 {
				return err
			}
			for i := range list {
				ids = append(ids, list[i].Record)
			}
			if q.After = list[len(list)-1].Key; len(ids) > 2*g.limit {
				return nil // too many in any case
			}
		}
	})
	slices.Sort(ids)
	return slices.Compact(ids), err
}

// look reads what is stored and what the directory has of some records.
func (g *gathering) look(ctx context.Context, ids []string) error {
	err := g.r.w.e.store.View(ctx, func(v store.Reader) error {
		return v.KnownAs(ctx, g.r.directory.Key, ids, func(k store.Known) error {
			g.known[k.ExternalID] = k
			return nil
		})
	})
	if err != nil {
		return err
	}
	entries, err := g.f.Read(ctx, ids)
	if err != nil {
		return sourceError{err}
	}
	for i := range entries {
		if e := &entries[i]; e.ExternalID != "" {
			g.entries[e.ExternalID] = e
		}
	}
	return nil
}

// concerned finds who names the records whose names have changed, and who named them.
func (g *gathering) concerned(ctx context.Context, ids []string) (next []string, err error) {
	var moved, away, dns, names, sids []string
	for _, id := range ids {
		if !g.moved(id) {
			continue
		}
		moved = append(moved, id)
		if _, stored := g.known[id]; stored && g.entries[id] == nil {
			away = append(away, id)
		}
		if e := g.entries[id]; e != nil {
			dns = append(dns, e.DN)
			if e.Attributes.UserName != "" {
				names = append(names, e.Attributes.UserName)
			}
			if e.PrimaryGroup != "" {
				sids = append(sids, e.PrimaryGroup)
			}
		}
	}
	if len(moved) == 0 {
		return nil, nil
	}
	if len(away) > 0 {
		// Groups may name whoever left the scope, by the DN that it has now.
		elsewhere, err := g.f.Lookup(ctx, away)
		if err != nil {
			return nil, sourceError{err}
		}
		dns = slices.AppendSeq(dns, maps.Values(elsewhere))
	}
	err = g.r.w.e.store.View(ctx, func(v store.Reader) error {
		next, err = v.Naming(ctx, g.r.directory.Key, moved)
		return err
	})
	if err != nil {
		return nil, err
	}
	more, err := g.f.Naming(ctx, dns, names, sids)
	if err != nil {
		return nil, sourceError{err}
	}
	next = append(next, more...)
	slices.Sort(next)
	return slices.Compact(next), nil
}

// moved reports whether groups and users may name an entry in another way than when
// it was last applied: because it came, went, or has other names.
func (g *gathering) moved(id string) bool {
	e, k := g.entries[id], g.known[id]
	var h sourceHash
	if len(k.Hash) != len(h) || k.OutOfScope {
		return g.told[id]
	}
	if e == nil {
		return true
	}
	copy(h[:], k.Hash)
	place := h.place()
	return !slices.Equal(g.r.hash.placeOf(e), place[:])
}

// outOfReach says why a change cannot be followed that may move the bounds of a
// scope: who is in it is known only when all groups have been read.
func (g *gathering) outOfReach() (why string) {
	if len(g.r.ldap.ScopeGroups) == 0 {
		return ""
	}
	for id := range g.looked {
		e, k := g.entries[id], g.known[id]
		switch {
		case e != nil && e.Kind == store.KindGroup, k.Key != 0 && k.Kind == store.KindGroup:
			return "a group has changed, and groups choose the scope"
		case e != nil && (k.Key == 0 || k.OutOfScope):
			return "a user came, and groups choose the scope"
		}
	}
	return ""
}

// stage stages what differs, in the order of a full read.
func (g *gathering) stage(ctx context.Context) error {
	r := g.r
	r.losses = losses{users: g.stock.Users, activeUsers: g.stock.ActiveUsers, groups: g.stock.Groups}
	r.counts.Users.Unchanged = g.stock.Users - g.stock.UsersOut
	r.counts.Groups.Unchanged = g.stock.Groups - g.stock.GroupsOut
	r.index = newIndex(len(g.looked), len(g.looked))
	r.graph = newGraph(r.w.e.opt.DNHash, len(g.looked))
	for _, id := range slices.Sorted(maps.Keys(g.known)) {
		k := g.known[id]
		r.index.add(&k)
		switch { // it is counted for what becomes of it
		case k.OutOfScope:
		case k.Kind == store.KindUser:
			r.counts.Users.Unchanged--
		default:
			r.counts.Groups.Unchanged--
		}
	}
	entries := slices.SortedFunc(maps.Values(g.entries), func(a, b *store.Entry) int {
		if a.Kind != b.Kind {
			return cmp.Compare(kindOrder[a.Kind], kindOrder[b.Kind])
		}
		return cmp.Compare(a.ExternalID, b.ExternalID)
	})
	users := slices.IndexFunc(entries, func(e *store.Entry) bool { return e.Kind == store.KindUser })
	if users < 0 {
		users = len(entries)
	}
	for _, e := range entries[:users] {
		if err := r.entry(e); err != nil {
			return err
		}
	}
	r.scope = r.graph.everything()
	for _, e := range entries[users:] {
		if err := r.entry(e); err != nil {
			return err
		}
	}
	if err := g.resolve(ctx, entries); err != nil {
		return err
	}
	if err := r.stageMissing(ctx); err != nil {
		return err
	}
	if err := r.stageGroups(); err != nil {
		return err
	}
	if err := r.stageManagers(ctx); err != nil {
		return err
	}
	return g.stageAbsent()
}

// kindOrder is the order in which entries are read.
var kindOrder = map[store.Kind]int{store.KindGroup: 0, store.KindUser: 1}

// stageAbsent lets findings end of entries that were never made records.
func (g *gathering) stageAbsent() error {
	for _, id := range slices.Sorted(maps.Keys(g.looked)) {
		if _, known := g.known[id]; known || g.entries[id] != nil {
			continue
		}
		row := store.Staged{Phase: store.StageGone, Kind: store.KindUser, ExternalID: id, Presence: Absent, Weight: 1}
		if err := g.r.stager.add(row); err != nil {
			return err
		}
	}
	return nil
}
