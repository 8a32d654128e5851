package reconcile

import (
	"errors"

	"github.com/provost-scim/provost/store"
)

// ErrTight ends a revision whose records come so close to the cap of a group (rule 5)
// that what becomes of them depends on their order. Nothing was written; state fewer
// of them at a time.
var ErrTight = errors.New("the records of the statement meet at the cap of a group")

// fresh is a record that a statement creates, as others of the same statement name
// it. One that returns (rule 7) keeps its own id and key.
type fresh struct {
	edge    store.Edge
	id      store.ID
	refused bool
}

// refusal is the error of a statement that is all or nothing. Of records that stand
// apart only the accepted ones say that the directory was synced.
func refusal(cs *store.ChangeSet, apart bool) error {
	accepted := false
	for i := range cs.Results {
		err := cs.Results[i].Err
		if err != nil && !apart {
			return err
		}
		accepted = accepted || err == nil
	}
	cs.Synced = cs.Synced && accepted
	return nil
}

// freshUsers finds which of the users that the statement creates are accepted, under
// which id, and gives it to those whose manager they are. A user whose manager is
// refused is refused.
func (p *planner) freshUsers(drafts []*draft) {
	if !p.want.Apart {
		return
	}
	p.fresh = make(map[store.ID]*fresh, len(p.want.Users))
	for i := range p.want.Users {
		if id := p.want.Users[i].NewID; id != "" {
			p.fresh[id] = &fresh{edge: store.Edge{Kind: store.KindUser}, refused: true}
		}
	}
	for _, d := range drafts {
		f := p.fresh[d.s.NewID]
		if f == nil || p.cs.Results[d.index].Err != nil {
			continue
		}
		f.refused = false
		switch {
		case d.back != nil:
			f.id, f.edge.Key = d.back.ID, d.back.Key
		case d.cur != nil: // a claim
			f.id, f.edge.Key = d.cur.ID, d.cur.Key
		default:
			f.id, f.edge.Key = d.s.NewID, d.s.NewKey
		}
	}
	for again := true; again; {
		again = false
		for _, d := range drafts {
			m := p.fresh[managerOf(&d.s.Attributes)]
			if m == nil || !m.refused || p.cs.Results[d.index].Err != nil {
				continue
			}
			e := store.Errorf(store.CodeConflict, "the manager was to be created by the same request and is refused")
			e.Field = "manager"
			p.refuseUser(d, store.RuleInvalidEntry, store.Refused, e)
			if f := p.fresh[d.s.NewID]; f != nil {
				f.refused, again = true, true
			}
		}
	}
	for _, d := range drafts {
		if m := p.fresh[managerOf(&d.s.Attributes)]; m != nil && !m.refused {
			enterprise := *d.s.Attributes.Enterprise // a copy: planning changes no statement
			manager := *enterprise.Manager
			manager.Value = string(m.id)
			enterprise.Manager = &manager
			d.s.Attributes.Enterprise = &enterprise
		}
	}
}

func managerOf(a *store.Attributes) store.ID {
	if a.Enterprise == nil || a.Enterprise.Manager == nil {
		return ""
	}
	return store.ID(a.Enterprise.Manager.Value)
}

// expectGroups makes the groups that the statement creates known to those that hold
// them, until [planner.freshGroups] finds which of them are accepted.
func (p *planner) expectGroups() {
	if !p.want.Apart {
		return
	}
	if p.fresh == nil {
		p.fresh = make(map[store.ID]*fresh, len(p.want.Groups))
	}
	for i := range p.want.Groups {
		if id := p.want.Groups[i].NewID; id != "" {
			p.fresh[id] = &fresh{edge: store.Edge{Kind: store.KindGroup}, refused: true}
		}
	}
}

// freshGroups marks the groups that hold a refused one, and those that hold them.
func (p *planner) freshGroups(drafts []*groupDraft) {
	if !p.want.Apart {
		return
	}
	for _, d := range drafts {
		if f := p.fresh[d.s.NewID]; f != nil && !d.claimant.rejected {
			f.refused, f.edge.Key = false, d.s.NewKey
			switch {
			case d.back != nil:
				f.edge.Key = d.back.Key
			case d.cur != nil: // taken over
				f.edge.Key = d.cur.Key
			}
		}
	}
	for again := true; again; {
		again = false
		for _, d := range drafts {
			if d.orphaned || d.claimant.rejected || !p.holdsRefused(d) {
				continue
			}
			d.orphaned = true
			if d.back != nil {
				delete(p.returned, d.back.Key)
			}
			if f := p.fresh[d.s.NewID]; f != nil {
				f.refused, again = true, true
			}
		}
	}
}

func (p *planner) holdsRefused(d *groupDraft) bool {
	for _, ref := range d.s.Members.Add {
		if f := p.fresh[ref.ID]; f != nil && f.refused {
			return true
		}
	}
	return false
}

func refusedMember() *store.Error {
	e := store.Errorf(store.CodeConflict, "a member was to be created by the same request and is refused")
	e.Field = "members"
	return e
}

// member is what a reference to a member means: a record that is stored, or one that
// the statement creates.
func (p *planner) member(ref store.MemberRef) (store.Edge, bool) {
	if f := p.fresh[ref.ID]; f != nil {
		return f.edge, !f.refused
	}
	edge, ok := p.have.Members[ref]
	return edge, ok
}

// nestsNew reports whether a group holds one that the statement creates.
func nestsNew(want *store.Statement) bool {
	if !want.Apart {
		return false
	}
	groups := map[store.ID]bool{}
	for i := range want.Groups {
		if id := want.Groups[i].NewID; id != "" {
			groups[id] = true
		}
	}
	if len(groups) == 0 {
		return false
	}
	for i := range want.Groups {
		for _, ref := range want.Groups[i].Members.Add {
			if groups[ref.ID] {
				return true
			}
		}
	}
	return false
}

// tight reports whether the order of the records could have decided which of them
// meet the cap, or whom a group above them publishes: a group comes to be over it, or
// some records take effective members away and others add some, to a group that would
// have been over it before the first were taken.
func tight(cs *store.ChangeSet, effects *store.Effects) bool {
	takes, adds, nests := false, 0, false
	for i := range cs.Users {
		switch cs.Users[i].Op {
		case store.OpDelete:
			takes = true
		case store.OpRestore: // it may be in any group
			adds++
		}
	}
	for i := range cs.Groups {
		g := &cs.Groups[i]
		takes = takes || g.Op == store.OpDelete || len(g.Remove) > 0
		adds += len(g.Add)
		for _, e := range g.Add {
			nests = nests || e.Kind == store.KindGroup
		}
	}
	for _, e := range effects.Groups {
		if e.Over && !e.WasOver || takes && (nests || adds > 0 && e.Before+adds > cs.Cap) {
			return true
		}
	}
	return false
}
