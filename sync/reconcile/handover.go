package reconcile

import (
	"context"

	"github.com/provost-scim/provost/store"
)

// load locks and loads what a statement is about. Of a directory that takes part in a
// handover (rule 1) it does so again, with what the first look showed to be needed; the
// locks that this takes out of order are rare, and a deadlock is tried again.
func load(ctx context.Context, tx store.Tx, want *store.Statement, unlocked bool) (*store.Snapshot, error) {
	scope := scopeOf(want)
	scope.Unlocked = unlocked
	have, err := tx.Load(ctx, scope)
	if err != nil || len(have.TakesFrom) == 0 && !have.GaveAway {
		return have, err
	}
	scope.Handover = true
	for i := range want.Users {
		s := &want.Users[i]
		if o, ok := taking(have, s.Attributes.IdentityKeys(), have.Owners); ok && s.Presence == store.Present && have.Users[s.Record] == nil {
			scope.TakeUsers = append(scope.TakeUsers, o.ID)
		}
	}
	for i := range want.Groups {
		s := &want.Groups[i]
		if s.DisplayName == nil || s.Presence != store.Present || have.Groups[s.Record] != nil {
			continue
		}
		if o, ok := taking(have, []string{store.Fold(*s.DisplayName)}, have.GroupOwners); ok {
			// All its edges, because those that wait for entries of the other directory go.
			scope.Groups[i].Take, scope.Groups[i].AllEdges = o.ID, true
		}
	}
	return tx.Load(ctx, scope)
}

// taking finds the one record of directories that hand over which has any of the names
// that a statement states. If two have, or a name is shared, there is none.
func taking(have *store.Snapshot, keys []string, owners map[string]store.KeyOwner) (first store.KeyOwner, ok bool) {
	for _, k := range keys {
		o, held := owners[k]
		if !held || o.Directory != 0 && have.Directory != nil && o.Directory == have.Directory.Key {
			continue
		}
		if !have.TakesFrom[o.Directory] || o.Holders != 1 || o.ID == "" || ok && o.Key != first.Key {
			return store.KeyOwner{}, false
		}
		first, ok = o, true
	}
	return first, ok
}

// take makes the user of another directory that the statement names the draft's
// current record.
func (p *planner) take(d *draft) bool {
	o, ok := taking(p.have, d.s.Attributes.IdentityKeys(), p.have.Owners)
	if !ok || d.cur != nil {
		return false
	}
	u := p.have.Taken[o.ID]
	if u == nil || p.taken[store.Edge{Kind: store.KindUser, Key: u.Key}] || !p.have.TakesFrom[u.Directory] {
		return false
	}
	p.comes(store.Edge{Kind: store.KindUser, Key: u.Key}, d.s.ExternalID)
	d.cur, d.takes = u, o.DirectoryName
	return true
}

func (p *planner) takeGroup(d *groupDraft) bool {
	o, ok := taking(p.have, []string{store.Fold(*d.s.DisplayName)}, p.have.GroupOwners)
	if !ok || d.cur != nil {
		return false
	}
	g := p.have.TakenGroups[o.ID]
	if g == nil || p.taken[store.Edge{Kind: store.KindGroup, Key: g.Key}] || !p.have.TakesFrom[g.Directory] {
		return false
	}
	p.comes(store.Edge{Kind: store.KindGroup, Key: g.Key}, deref(d.s.ExternalID))
	d.cur, d.takes = g, o.DirectoryName
	return true
}

// comes keeps a record that is taken over, and the name by which members of groups in
// the same statement mean it.
func (p *planner) comes(record store.Edge, externalID string) {
	p.taken[record] = true
	if externalID != "" {
		p.arrived[externalID] = record
	}
}

// stays undoes comes for a record that is refused.
func (p *planner) stays(record store.Edge, externalID string) {
	delete(p.taken, record)
	if p.arrived[externalID] == record {
		delete(p.arrived, externalID)
	}
}

// gave refuses what a directory still states of a record that it has handed over.
func (p *planner) gave(kind store.Kind, r store.RecordKey) *store.Error {
	o, ok := p.have.Given[kind][r.ExternalID]
	if !ok || r.ExternalID == "" {
		return nil
	}
	owner := "an administrator"
	if !o.Internal {
		owner = "the directory " + o.DirectoryName
	}
	e := store.Errorf(store.CodeUniqueness, "the %s %s (%s) was handed over and is owned by %s: what this directory says of it is not applied",
		nounOf(kind), o.Name, o.ID, owner)
	e.Rule, e.Field = store.RuleDuplicate, "externalId"
	return e
}

// handOver logs that a record has come from another directory.
func (p *planner) handOver(typ string, kind store.Kind, id store.ID, from string, before, after any) {
	data := handed{From: from, To: p.have.Directory.Name, Before: encode(before), After: encode(after)}
	data.Before, data.After = differences(data.Before, data.After)
	p.log(typ, kind, id, data)
}
