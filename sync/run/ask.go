package run

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/provost-scim/provost/store"
)

// Asker is a [Source] that can be asked for single entries.
type Asker interface {
	// Ask connects. If entries cannot be asked for with answers as good as those of a full
	// read, a is nil and why says for what reason.
	Ask(ctx context.Context) (a Asking, why string, err error)
}

// Asking is a directory as it is now: all its methods ask one server, and show what
// [Source.Entries] would yield. Its entries may share memory.
type Asking interface {
	// Read reads entries by stable id; a text that is none has no entry.
	Read(ctx context.Context, ids []string) ([]store.Entry, error)
	// Identify finds the DNs of the entries with these stable ids.
	Identify(ctx context.Context, ids []string) (map[string]string, error)
	// Bearers finds the stable ids of the entries with these DNs, by the DNs as the
	// directory writes them.
	Bearers(ctx context.Context, dns []string) (map[string]string, error)
	// Anywhere does the same of all entries, whatever scope and filters.
	Anywhere(ctx context.Context, dns []string) (map[string]string, error)
	// Users and Groups read entries by name, as the directory compares names; groups come
	// without members.
	Users(ctx context.Context, userNames []string) ([]store.Entry, error)
	Groups(ctx context.Context, names []string) ([]store.Entry, error)
	// Above reads groups, without members, that have members with these DNs or user names,
	// or have these SIDs.
	Above(ctx context.Context, dns, userNames, sids []string) ([]store.Entry, error)
	// Primary finds, by SID, the stable ids of the users whose primary group it is.
	Primary(ctx context.Context, sids []string) (map[string][]string, error)
	Lookup(ctx context.Context, ids []string) (map[string]string, error) // as [Source.Lookup]
	Close()
}

// ask reads what the run's selection names, and what that needs, by questions, and
// stages what differs. If that will not do, why says for what reason; then nothing is
// staged. It stages what a full read would stage of the same selection.
func (r *reading) ask(ctx context.Context) (why string, err error) {
	asker, ok := r.source.(Asker)
	if !ok {
		return "what to synchronize was named, and the source cannot be asked for single entries", nil
	}
	a, why, err := asker.Ask(ctx)
	if err != nil {
		return "", sourceError{fmt.Errorf("ask the directory: %w", err)}
	}
	if why != "" {
		return why, nil
	}
	defer a.Close()
	t := &target{r: r, a: a, known: map[string]store.Known{}, loaded: map[string]bool{}, kept: map[[16]byte]bool{}, bearers: map[[16]byte]bearer{}, names: map[string]string{}, primary: map[string][]string{}}
	if why, err := t.gather(ctx); err != nil || why != "" {
		return why, err
	}
	if err := r.is(ctx, false, ""); err != nil {
		return "", err
	}
	r.lookup, r.only.absent = a.Lookup, t.absent
	r.stager = r.w.newStager(ctx)
	if err := t.stage(ctx); err != nil {
		r.stager.abandon()
		return "", err
	}
	return "", nil
}

// target collects what a selection needs before anything is staged.
type target struct {
	r     *reading
	a     Asking
	stock store.Stock
	limit int
	asked int // entries that were named by others

	groups, users []store.Entry
	kept          map[[16]byte]bool      // by kind and DN, of those
	known         map[string]store.Known // by id
	loaded        map[string]bool        // ids that were looked for in what is stored
	bearers       map[[16]byte]bearer    // by the key of the DN; without an id if there is none
	names         map[string]string      // ids by folded user name
	primary       map[string][]string    // ids of users by the SID of their primary group
}

// bearer is the entry that has a DN.
type bearer struct {
	dn, id string
	away   bool // it is not among what is read
}

// asked marks an error as one of the source.
func asked[T any](answer T, err error) (T, error) {
	if err != nil {
		err = sourceError{err}
	}
	return answer, err
}

func (t *target) gather(ctx context.Context) (why string, err error) {
	r := t.r
	err = r.w.e.store.View(ctx, func(v store.Reader) (err error) {
		t.stock, err = v.Stock(ctx, r.directory.Key)
		return err
	})
	if err != nil {
		return "", err
	}
	t.limit = max(minChanges, (t.stock.Users+t.stock.Groups)/10)
	r.index, r.graph = newIndex(0, 0), newGraph(r.w.e.opt.DNKey, 0)
	if err := r.wished(ctx); err != nil {
		return "", fmt.Errorf("find what the last run had in scope: %w", err)
	}
	if err := r.selectOnly(ctx); err != nil {
		return "", fmt.Errorf("find what is stored of the named users and groups: %w", err)
	}
	for _, step := range []func(context.Context) (string, error){t.named, t.within, t.members, t.managers, t.unseen} {
		if why, err := step(ctx); err != nil || why != "" {
			return why, err
		}
	}
	return "", nil
}

// named reads the entries that are named by stable id, DN or name, or by their record.
func (t *target) named(ctx context.Context) (why string, err error) {
	var ids, dns []string
	names := map[store.Kind][]string{}
	for _, w := range t.r.only.wanted {
		ids = append(ids, w.name)
		names[w.kind] = append(names[w.kind], w.name)
		if strings.Contains(w.name, "=") {
			dns = append(dns, w.name)
		}
	}
	for node := range t.r.only.nodes {
		ids = append(ids, t.r.index.node(node).id)
	}
	bearers, err := asked(t.a.Bearers(ctx, dns))
	if err != nil {
		return "", err
	}
	for _, id := range bearers {
		ids = append(ids, id)
	}
	groups, err := asked(t.a.Groups(ctx, names[store.KindGroup]))
	if err != nil {
		return "", err
	}
	users, err := asked(t.a.Users(ctx, names[store.KindUser]))
	if err != nil {
		return "", err
	}
	byName := map[string]string{}
	for _, e := range slices.Concat(groups, users) {
		switch {
		case !t.means(&e):
		case e.ExternalID == "":
			t.keep(e)
		default:
			ids, byName[e.ExternalID] = append(ids, e.ExternalID), e.DN
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	entries, err := asked(t.a.Read(ctx, ids))
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if delete(byName, e.ExternalID); t.means(&e) {
			t.keep(e)
		}
	}
	for _, dn := range byName {
		return fmt.Sprintf("the entry %s is found by its name and not by its stable id", dn), nil
	}
	return "", t.know(ctx, ids)
}

// means reports whether an entry is named. What the directory finds by a name may have
// another one: it compares with each attribute that the name can come from.
func (t *target) means(e *store.Entry) bool {
	name, node := e.DisplayName, none
	if e.Kind == store.KindUser {
		name = e.Attributes.UserName
	}
	if e.ExternalID != "" {
		node = t.r.index.at(e.Kind, e.ExternalID)
	}
	return t.r.only.means(e.Kind, name, e.ExternalID, t.r.graph.intern(e.DN), node)
}

// keep keeps an entry once, and reports whether it was new.
func (t *target) keep(e store.Entry) bool {
	key := t.r.w.e.opt.DNKey(string(e.Kind) + " " + e.DN)
	if t.kept[key] {
		return false
	}
	t.kept[key] = true
	if e.Kind == store.KindGroup {
		t.groups = append(t.groups, e)
	} else {
		t.users = append(t.users, e)
	}
	return true
}

// know reads what is stored with stable ids.
func (t *target) know(ctx context.Context, ids []string) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return t.loaded[id] })
	if len(ids) == 0 {
		return nil
	}
	return t.r.w.e.store.View(ctx, func(v store.Reader) error {
		err := v.KnownAs(ctx, t.r.directory.Key, ids, func(k store.Known) error {
			t.known[k.ExternalID] = k
			return nil
		})
		for _, id := range ids {
			t.loaded[id] = true
		}
		return err
	})
}

// members finds the members of the named groups, and reads those that are missing here:
// users, and groups with their members in turn.
func (t *target) members(ctx context.Context) (why string, err error) {
	for next := t.groups; len(next) > 0; {
		ids, err := t.membersOf(ctx, next)
		if err != nil {
			return "", err
		}
		if t.asked > t.limit {
			return fmt.Sprintf("what was named has more than %d members", t.limit), nil
		}
		if err := t.know(ctx, ids); err != nil {
			return "", err
		}
		missing := slices.DeleteFunc(ids, func(id string) bool {
			k, stored := t.known[id]
			return stored && !k.OutOfScope
		})
		entries, err := asked(t.a.Read(ctx, missing))
		if err != nil {
			return "", err
		}
		next = nil
		for _, e := range entries {
			if t.keep(e) && e.Kind == store.KindGroup {
				next = append(next, e)
			}
		}
	}
	return "", nil
}

// membersOf returns the stable ids of the members of groups. When there are too many
// to ask for, it says so by asked alone.
func (t *target) membersOf(ctx context.Context, groups []store.Entry) (ids []string, err error) {
	var dns, names, sids []string
	for i := range groups {
		g := &groups[i]
		dns, names = append(dns, g.MemberDNs...), append(names, g.MemberNames...)
		if g.SID != "" {
			sids = append(sids, g.SID)
		}
	}
	if t.asked += len(dns) + len(names); t.asked > t.limit {
		return nil, nil
	}
	if err := t.bear(ctx, dns); err != nil {
		return nil, err
	}
	for _, dn := range dns {
		if b := t.bearers[t.r.graph.key(dn)]; b.id != "" {
			ids = append(ids, b.id)
		}
	}
	users, err := asked(t.a.Users(ctx, names))
	if err != nil {
		return nil, err
	}
	for i := range users {
		if u := &users[i]; u.ExternalID != "" {
			t.names[store.Fold(u.Attributes.UserName)] = u.ExternalID
		}
	}
	for _, name := range names {
		if id := t.names[store.Fold(name)]; id != "" {
			ids = append(ids, id)
		}
	}
	if len(sids) > 0 {
		primary, err := asked(t.a.Primary(ctx, sids))
		if err != nil {
			return nil, err
		}
		for sid, of := range primary {
			t.primary[sid] = of
			t.asked += len(of)
			ids = append(ids, of...)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// bear finds out which entries bear DNs.
func (t *target) bear(ctx context.Context, dns []string) error {
	dns = slices.DeleteFunc(slices.Clone(dns), func(dn string) bool {
		_, known := t.bearers[t.r.graph.key(dn)]
		return known
	})
	found, err := asked(t.a.Bearers(ctx, dns))
	if err != nil {
		return err
	}
	for _, dn := range dns {
		t.bearers[t.r.graph.key(dn)] = bearer{dn: dn}
	}
	for dn, id := range found {
		t.bearers[t.r.graph.key(dn)] = bearer{dn: dn, id: id}
	}
	dns = slices.DeleteFunc(dns, func(dn string) bool { return t.bearers[t.r.graph.key(dn)].id != "" })
	stored, err := t.r.storedElsewhere(ctx, t.a.Anywhere, dns)
	for dn, k := range stored {
		t.known[k.ExternalID], t.loaded[k.ExternalID] = k, true
		t.bearers[t.r.graph.key(dn)] = bearer{dn: dn, id: k.ExternalID, away: true}
	}
	return err
}

// managers finds the managers of the users that were read.
func (t *target) managers(ctx context.Context) (why string, err error) {
	var dns []string
	for i := range t.users {
		if dn := t.users[i].ManagerDN; dn != "" {
			dns = append(dns, dn)
		}
	}
	return "", t.bear(ctx, dns)
}

// stage stages what differs, in the order of a full read.
func (t *target) stage(ctx context.Context) error {
	r, g := t.r, t.r.graph
	r.losses = losses{users: t.stock.Users, activeUsers: t.stock.ActiveUsers, groups: t.stock.Groups}
	for id := range t.known {
		k := t.known[id]
		r.index.add(&k)
	}
	for i := range t.groups {
		if err := r.entry(&t.groups[i]); err != nil {
			return err
		}
	}
	for _, b := range t.bearers {
		switch i := g.intern(b.dn); {
		case b.away:
			r.elsewhere(b.dn, r.index.either(b.id))
		case b.id != "" && g.bearer[i] == none:
			g.bearer[i] = r.index.either(b.id)
		}
	}
	for name, i := range g.names {
		if id := t.names[name]; id != "" {
			g.named[i] = r.index.either(id)
		}
	}
	t.scope()
	r.only.chooseGroups(r)
	for i := range t.users {
		if err := r.entry(&t.users[i]); err != nil {
			return err
		}
	}
	for sid, ids := range t.primary {
		for _, id := range ids {
			group := &g.groups[g.bySID[sid]]
			group.primary = append(group.primary, r.index.either(id))
		}
	}
	if err := r.identified(); err != nil {
		return err
	}
	if err := r.only.found(); err != nil {
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
	return r.only.believable(ctx, r)
}
