package run

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/provost-scim/provost/store"
)

// ScopeGroup is one group that the settings of a directory choose.
type ScopeGroup struct {
	Chosen     string `json:"chosen"` // the name in the settings
	Name       string `json:"name"`   // its name when it was read
	ExternalID string `json:"external_id"`
}

// ScopeChange is how what the settings choose differs from the last complete run that
// was applied.
type ScopeChange struct {
	Was     string       `json:"was"` // all or groups
	Is      string       `json:"is"`
	Added   []ScopeGroup `json:"added,omitempty"`
	Dropped []ScopeGroup `json:"dropped,omitempty"`
}

// wish is what the settings choose; without names that is everything.
type wish struct {
	names []string
	// kept are the groups that the names chose at the last complete run: groups are
	// chosen by name and kept by stable id. By folded name.
	kept map[string][]string
	// also are the nodes of users and groups that imports have put in scope.
	also map[int32]bool
}

// wished reads what a run has to put in scope.
func (r *reading) wished(ctx context.Context) error {
	r.wish = wish{names: r.ldap.ScopeGroups}
	err := r.w.e.store.View(ctx, func(v store.Reader) error {
		runs, err := v.Runs(ctx, store.RunQuery{
			Org: r.directory.Org, Directory: &r.directory.Key, State: store.RunSucceeded, Complete: true, Limit: 1,
		})
		if err != nil {
			return err
		}
		if len(runs) > 0 && len(runs[0].Plan) > 0 {
			r.last = &PlanSummary{}
			if err := json.Unmarshal(runs[0].Plan, r.last); err != nil {
				return err
			}
		}
		if len(r.wish.names) == 0 {
			return nil
		}
		r.wish.also = map[int32]bool{}
		for q := (store.ScopeQuery{Org: r.directory.Org, Directory: r.directory.Key}); ; {
			list, err := v.ScopeEntries(ctx, q)
			if err != nil || len(list) == 0 {
				return err
			}
			for i := range list {
				r.wish.also[r.index.at(list[i].Kind, list[i].ExternalID)] = true
			}
			q.After = list[len(list)-1].Key
		}
	})
	if err != nil || r.last == nil {
		return err
	}
	r.wish.kept = map[string][]string{}
	for _, g := range r.last.Scope {
		name := store.Fold(g.Chosen)
		r.wish.kept[name] = append(r.wish.kept[name], g.ExternalID)
	}
	return nil
}

// choose puts the groups of the given names and all below them in scope; no names
// mean everything. A name that stands for no group is an error: a group that cannot be
// found must not look like one that was emptied.
func (g *graph) choose(by wish, x *index) (*scope, error) {
	if len(by.names) == 0 {
		return g.everything(), nil
	}
	byName := make(map[string][]int32, len(g.groups))
	for i := range g.groups {
		folded := store.Fold(g.groups[i].name)
		byName[folded] = append(byName[folded], int32(i))
	}
	s := &scope{dns: map[int32]bool{}, names: map[int32]bool{}}
	var queue []int32
	for _, name := range by.names {
		folded := store.Fold(name)
		var found []int32
		for _, id := range by.kept[folded] {
			if node := x.groups.find(id); node != none {
				if i, was := g.byNode[node]; was {
					found = append(found, i)
				}
			}
		}
		if len(found) == 0 {
			found = byName[folded]
		}
		if len(found) == 0 {
			return nil, noScopeGroup(name)
		}
		for _, i := range found {
			if node := g.groups[i].node; node != none {
				s.chosen = append(s.chosen, ScopeGroup{Chosen: name, Name: g.groups[i].name, ExternalID: x.node(node).id})
			}
		}
		queue = append(queue, found...)
	}
	s.nodes = by.also
	for node := range by.also {
		if i, isGroup := g.byNode[node]; isGroup {
			queue = append(queue, i)
		}
	}
	g.spread(s, queue)
	return s, nil
}

func noScopeGroup(name string) error {
	e := store.Errorf(store.CodeInvalid, "the scope group %q was not found in the directory", name)
	e.Field, e.Hint = "scope_groups", "check its name, the base DNs and the group filter; nothing has been changed"
	return e
}

// joinGroups puts groups in scope that an import names, with all below them.
func (r *reading) joinGroups() {
	if !r.only.imports() || r.scope.all {
		return
	}
	var queue []int32
	for i := range r.graph.groups {
		g := &r.graph.groups[i]
		if g.within || g.node == none {
			continue
		}
		if id := r.index.node(g.node).id; r.only.means(store.KindGroup, g.name, id, g.dnKey, g.node) {
			r.joins = append(r.joins, store.ScopeEntry{Kind: store.KindGroup, ExternalID: id, Name: g.name})
			queue = append(queue, int32(i))
		}
	}
	r.graph.spread(r.scope, queue)
}

// joinUser does the same for a user outside of the scope, and reports whether it did.
func (r *reading) joinUser(e *store.Entry, node int32) bool {
	if !r.only.imports() || node == none || !r.only.means(store.KindUser, e.Attributes.UserName, e.ExternalID, r.graph.intern(e.DN), node) {
		return false
	}
	r.joins = append(r.joins, store.ScopeEntry{Kind: store.KindUser, ExternalID: e.ExternalID, Name: strings.Clone(e.Attributes.UserName)})
	return true
}

// spread puts groups and all below them in scope.
func (g *graph) spread(s *scope, queue []int32) {
	for len(queue) > 0 {
		group := &g.groups[queue[len(queue)-1]]
		queue = queue[:len(queue)-1]
		if group.within {
			continue
		}
		group.within = true
		for _, dn := range group.members {
			s.dns[dn] = true
			if nested, ok := g.groupAt(dn); ok {
				queue = append(queue, nested)
			}
		}
		for _, name := range group.uids {
			s.names[name] = true
		}
	}
}

// scopeChange compares what is chosen with the last complete run; nil if it is the same
// or there was none.
func (r *reading) scopeChange() *ScopeChange {
	if r.last == nil {
		return nil
	}
	word := func(chosen []ScopeGroup) string {
		if len(chosen) == 0 {
			return "all"
		}
		return "groups"
	}
	was, is := r.last.Scope, r.scope.chosen
	c := &ScopeChange{Was: word(was), Is: word(is), Added: without(is, was), Dropped: without(was, is)}
	if len(c.Added)+len(c.Dropped) == 0 {
		return nil
	}
	return c
}

// without are those of a, by name, that are not in b.
func without(a, b []ScopeGroup) []ScopeGroup {
	have := make(map[string]bool, len(b))
	for _, g := range b {
		have[g.ExternalID] = true
	}
	var list []ScopeGroup
	for _, g := range a {
		if !have[g.ExternalID] {
			list = append(list, g)
			have[g.ExternalID] = true
		}
	}
	slices.SortFunc(list, func(a, b ScopeGroup) int { return strings.Compare(store.Fold(a.Name), store.Fold(b.Name)) })
	return list
}
