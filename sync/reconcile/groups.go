package reconcile

import (
	"slices"

	"github.com/provost-scim/provost/store"
)

// groupDraft is one stated group on its way to a change.
type groupDraft struct {
	index    int
	s        *store.GroupStatement
	cur      *store.Group
	back     *store.Group // the soft-deleted record that returns
	takes    string       // cur comes from this directory (rule 1)
	claimant *claimant
	orphaned bool // a member that the statement was to create is refused
}

// groups plans every stated group: rules 1, 2, 4 and 7. Rule 5 is judged on the
// effects of applying.
func (p *planner) groups() {
	p.expectGroups()
	drafts := make([]*groupDraft, 0, len(p.want.Groups))
	claimants := make([]*claimant, 0, len(p.want.Groups))
	base := len(p.cs.Results)
	for i := range p.want.Groups {
		s := p.want.Groups[i]
		p.cs.Results = append(p.cs.Results, store.Result{Kind: store.KindGroup, Record: s.Record, Outcome: store.Unchanged})
		d := &groupDraft{index: base + i, s: &s}
		if s.Record != (store.RecordKey{}) {
			d.cur = p.have.Groups[s.Record]
		}
		if p.settleGroup(d) {
			continue
		}
		d.claimant = &claimant{stable: recordName(s.Record, deref(s.ExternalID))}
		if d.cur != nil {
			d.claimant.current = d.cur.Key
			d.claimant.held = store.Fold(d.cur.DisplayName)
			d.claimant.wants = d.claimant.held
		}
		if s.DisplayName != nil {
			d.claimant.wants = store.Fold(*s.DisplayName)
		}
		drafts = append(drafts, d)
		claimants = append(claimants, d.claimant)
	}
	for i := range p.cs.Groups {
		if c := &p.cs.Groups[i]; c.Op == store.OpDelete {
			claimants = append(claimants, &claimant{current: c.Before.Key, held: store.Fold(c.Before.DisplayName), gives: true})
		}
	}
	holders := make(map[string]store.Key, len(p.have.GroupNameHolders))
	for name, g := range p.have.GroupNameHolders {
		holders[name] = g.Key
	}
	contend(claimants, holders)
	p.freshGroups(drafts)
	for _, d := range drafts {
		if d.orphaned {
			p.refuseGroup(d, store.RuleUnknownMember, store.Refused, refusedMember())
			continue
		}
		if d.claimant.rejected {
			e := store.Errorf(store.CodeUniqueness, "the displayName %s belongs to another group of this directory", deref(d.s.DisplayName))
			e.Field = "displayName"
			if d.back != nil {
				delete(p.returned, d.back.Key)
			}
			if g := p.have.GroupNameHolders[store.Fold(deref(d.s.DisplayName))]; g != nil {
				p.cs.Results[d.index].With = p.sibling(g.Key, g.ID, g.DisplayName)
			}
			p.refuseGroup(d, store.RuleDuplicate, store.Duplicated, e)
			continue
		}
		p.writeGroup(d)
	}
}

// firstStated names the first field that a statement says something about.
func firstStated(s *store.GroupStatement) string {
	switch {
	case s.DisplayName != nil:
		return "displayName"
	case s.ExternalID != nil:
		return "externalId"
	case s.Description != nil:
		return "description"
	}
	return "members"
}

// settleGroup deals with statements that end before names are contended for, and
// reports whether it did.
func (p *planner) settleGroup(d *groupDraft) bool {
	if d.s.Presence != store.Present {
		p.groupAway(d)
		return true
	}
	if d.cur == nil && d.s.Record.ID != "" {
		p.refuseGroup(d, store.RuleInvalidEntry, store.Refused,
			&store.Error{Code: store.CodeNotFound, Message: "group " + string(d.s.Record.ID) + " does not exist", Resource: "Group " + string(d.s.Record.ID)})
		return true
	}
	if p.want.Origin == store.OriginAdmin && p.want.Directory != 0 {
		e := store.Errorf(store.CodeOwned, "the group is owned by the directory %s; change it there", p.have.Directory.Name)
		e.Field = firstStated(d.s)
		p.refuseGroup(d, store.RuleInvalidEntry, store.Refused, e)
		return true
	}
	if d.cur == nil && d.s.DisplayName == nil {
		p.refuseGroup(d, store.RuleInvalidEntry, store.Refused, invalid("displayName", "displayName is required"))
		return true
	}
	if d.cur == nil {
		if err := p.gave(store.KindGroup, d.s.Record); err != nil {
			p.refuseGroup(d, store.RuleDuplicate, store.Duplicated, err)
			return true
		}
	}
	if err := checkGroup(d.s); err != nil {
		p.refuseGroup(d, store.RuleInvalidEntry, store.Refused, err)
		return true
	}
	if d.s.DisplayName != nil {
		if o, ok := p.have.GroupOwners[store.Fold(*d.s.DisplayName)]; ok && o.Directory != p.want.Directory && !p.takeGroup(d) {
			owner := "an administrator"
			if o.Directory != 0 {
				owner = "the directory " + o.DirectoryName
			}
			e := store.Errorf(store.CodeUniqueness, "the group %s equals the group %s (%s), which is owned by %s: displayName is unique between directories",
				*d.s.DisplayName, o.Name, o.ID, owner)
			e.Field = "displayName"
			p.cs.Results[d.index].With = &o
			p.refuseGroup(d, store.RuleDuplicate, store.Duplicated, e)
			return true
		}
	}
	if err := p.membersKnown(d); err != nil {
		p.refuseGroup(d, store.RuleUnknownMember, store.Refused, err)
		return true
	}
	if d.cur == nil {
		d.back = p.returningGroup(d.s)
	}
	return false
}

// membersKnown is rule 4 for a push: an unknown member is refused, as is a group
// that names itself.
func (p *planner) membersKnown(d *groupDraft) *store.Error {
	if p.pull() {
		return nil
	}
	for _, ref := range d.s.Members.Add {
		if f := p.fresh[ref.ID]; f != nil {
			switch {
			case f.edge.Kind == store.KindUser && f.refused:
				return refusedMember()
			case ref.ID == d.s.NewID:
				return itself()
			}
			continue
		}
		var group store.Key
		if d.cur != nil {
			group = d.cur.Key
		}
		if err := CheckMember(p.have, group, ref); err != nil {
			return err
		}
	}
	return nil
}

// CheckMember is rule 4 for a push: whether a record may become a member of a group
// (0: a new one).
func CheckMember(have *store.Snapshot, group store.Key, ref store.MemberRef) *store.Error {
	edge, ok := have.Members[ref]
	if !ok {
		e := invalid("members", "the member %s is neither a user nor a group of this directory; create it first", ref.ID)
		e.Rule = store.RuleUnknownMember
		return e
	}
	if edge == (store.Edge{Kind: store.KindGroup, Key: group}) {
		return itself()
	}
	return nil
}

func itself() *store.Error { return invalid("members", "a group cannot be a member of itself") }

// returningGroup finds the soft-deleted group that a stated new group is (rule 7).
func (p *planner) returningGroup(s *store.GroupStatement) *store.Group {
	ext, name := deref(s.ExternalID), store.Fold(deref(s.DisplayName))
	named := func(g *store.Group) bool { return store.Fold(g.DisplayName) == name }
	stable := func(g *store.Group) bool { return ext != "" && g.ExternalID == ext && !p.returned[g.Key] }
	g := theOne(p.have.DepartedGroups, p.have.Held[store.KindGroup][ext], stable, named)
	if g == nil {
		g = firstOf(p.have.DepartedGroups, func(g *store.Group) bool {
			return (ext == "" || g.ExternalID == "") && named(g) && !p.returned[g.Key]
		})
	}
	if g != nil {
		p.returned[g.Key] = true
	}
	return g
}

// groupAway is rule 7 for a group that is gone, or no longer in the scope.
func (p *planner) groupAway(d *groupDraft) {
	r := &p.cs.Results[d.index]
	if d.cur == nil {
		return
	}
	cur := d.cur
	r.Key, r.ID = cur.Key, cur.ID
	after := *cur
	after.ModifiedAt = p.cs.Now
	after.Version++
	after.Hash = nil
	if d.s.Presence == store.Left {
		if cur.OutOfScope {
			return
		}
		after.OutOfScope = true
		p.cs.Groups = append(p.cs.Groups, store.GroupChange{Op: store.OpUpdate, Before: cur, After: after})
		p.event(store.EventGroupUpdated, store.KindGroup, cur.ID, groupDocument(cur), groupDocument(&after))
		r.Outcome = store.LeftScope
		return
	}
	if p.pull() && !p.settings().ReplicateState {
		p.finding(store.RuleStateKept, store.KindGroup, cur.ExternalID, cur.DisplayName,
			"group "+cur.DisplayName+" no longer exists in the directory; it is left as it is because replicate_state is off")
		return
	}
	after.DeletedAt = p.cs.Now
	p.deleting[cur.Key] = true
	p.cs.Groups = append(p.cs.Groups, store.GroupChange{
		Op: store.OpDelete, Before: cur, After: after, Release: store.Fold(cur.DisplayName),
	})
	p.event(store.EventGroupDeleted, store.KindGroup, cur.ID, groupDocument(cur), nil)
	r.Outcome = store.Deleted
}

// writeGroup makes the change of a group that every rule lets through.
func (p *planner) writeGroup(d *groupDraft) {
	r := &p.cs.Results[d.index]
	before := d.cur
	c := store.GroupChange{Before: d.cur}
	switch {
	case d.back != nil:
		before = nil
		c.Op, c.Before, c.After = store.OpRestore, d.back, *d.back
		c.After.DeletedAt = store.Group{}.DeletedAt
		c.After.OutOfScope = false
		c.After.Version++
		r.Outcome = store.Restored
	case d.cur == nil:
		c.Op = store.OpCreate
		c.After = store.Group{
			Key: d.s.NewKey, ID: d.s.NewID, Org: p.want.Org, Directory: p.want.Directory,
			Version: 1, CreatedAt: p.cs.Now,
		}
		r.Outcome = store.Created
	default:
		c.After = *d.cur
		c.After.OutOfScope = false
		c.After.Directory = p.want.Directory
	}
	r.Key, r.ID = c.After.Key, c.After.ID
	p.stateGroup(&c.After, d.s)
	if d.back != nil && c.After.ExternalID == "" { // as of a user
		c.After.ExternalID = d.back.ExternalID
	}
	p.members(&c, d)
	edges := len(c.Add)+len(c.Remove)+len(c.AddPending)+len(c.RemovePending) > 0

	if before != nil {
		changed := before.ExternalID != c.After.ExternalID || before.DisplayName != c.After.DisplayName ||
			before.Description != c.After.Description || before.OutOfScope != c.After.OutOfScope || d.takes != ""
		switch {
		case changed || edges:
			c.Op = store.OpUpdate
			c.After.Version = before.Version + 1
			r.Outcome = store.Modified
			if before.OutOfScope {
				r.Outcome = store.Restored
			}
			switch {
			case d.takes != "":
				r.Outcome = store.Claimed
				p.handOver(store.EventGroupHandedOver, store.KindGroup, c.After.ID, d.takes, groupDocument(before), groupDocument(&c.After))
			case changed:
				p.event(store.EventGroupUpdated, store.KindGroup, c.After.ID, groupDocument(before), groupDocument(&c.After))
			}
		case p.pull() && !slices.Equal(before.Hash, c.After.Hash):
			c.Op = store.OpMark
		default:
			return
		}
	}
	is := store.Fold(c.After.DisplayName)
	if before == nil {
		c.Claim = is
		name := store.EventGroupCreated
		if c.Op == store.OpRestore {
			name = store.EventGroupRestored
		}
		p.event(name, store.KindGroup, c.After.ID, nil, groupDocument(&c.After))
	} else if was := store.Fold(before.DisplayName); was != is || d.takes != "" {
		c.Release, c.Claim = was, is
	}
	p.cs.Groups = append(p.cs.Groups, c)
}

func (p *planner) stateGroup(g *store.Group, s *store.GroupStatement) {
	if s.ExternalID != nil {
		g.ExternalID = *s.ExternalID
	}
	if s.DisplayName != nil {
		g.DisplayName = *s.DisplayName
	}
	if s.Description != nil {
		g.Description = *s.Description
	}
	g.ModifiedAt = p.cs.Now
	g.Hash = nil
	if p.pull() {
		g.Hash = s.Hash
	}
}

// members finds the edges to write: only those that are not there yet, and only
// those to remove that are (rule 4).
func (p *planner) members(c *store.GroupChange, d *groupDraft) {
	m := &d.s.Members
	var have map[store.Edge]bool
	var pending map[string]bool
	if d.cur != nil {
		have, pending = p.have.Edges[d.cur.Key], p.have.Pending[d.cur.Key]
	}
	if d.takes != "" { // they wait for entries of the other directory
		for ext := range pending {
			c.RemovePending = append(c.RemovePending, ext)
		}
		slices.Sort(c.RemovePending)
		pending = nil
	}
	wanted := make(map[store.Edge]bool, len(m.Add))
	waiting := make(map[string]bool)
	for _, ref := range m.Add {
		edge, ok := p.member(ref)
		if !ok && ref.ExternalID != "" {
			edge, ok = p.arrived[ref.ExternalID]
		}
		if ok && edge.Kind == store.KindGroup && p.deleting[edge.Key] {
			ok = false // gone in this very statement, and its edges with it
		}
		switch {
		case ok && edge == store.Edge{Kind: store.KindGroup, Key: c.After.Key}:
			// A group inside itself holds whom it holds: the edge says nothing.
		case ok:
			if !wanted[edge] && !have[edge] {
				c.Add = append(c.Add, edge)
			}
			wanted[edge] = true
		case ref.ExternalID != "":
			if !waiting[ref.ExternalID] && !pending[ref.ExternalID] {
				c.AddPending = append(c.AddPending, ref.ExternalID)
			}
			waiting[ref.ExternalID] = true
		}
	}
	if m.Mode == store.MembersReplace {
		for edge := range have {
			switch {
			case wanted[edge]:
			case p.have.Foreign[edge] && !p.taken[edge]: // of a record that is still to be handed over, its new directory says nothing
				c.After.Hash = nil
			default:
				c.Remove = append(c.Remove, edge)
			}
		}
		for ext := range pending {
			if !waiting[ext] {
				c.RemovePending = append(c.RemovePending, ext)
			}
		}
		sortEdges(c.Remove)
		slices.Sort(c.RemovePending)
		return
	}
	removed := make(map[store.Edge]bool, len(m.Remove))
	for _, ref := range m.Remove {
		edge, ok := p.have.Members[ref]
		if !ok { // of a deleted user the edge is kept, and must not come back with it
			edge, ok = p.have.Former[ref]
		}
		if ok {
			if have[edge] && !wanted[edge] && !removed[edge] {
				c.Remove = append(c.Remove, edge)
				removed[edge] = true
			}
		} else if pending[ref.ExternalID] {
			c.RemovePending = append(c.RemovePending, ref.ExternalID)
		}
	}
}

func sortEdges(edges []store.Edge) {
	slices.SortFunc(edges, func(a, b store.Edge) int {
		if a.Kind != b.Kind {
			if a.Kind == store.KindUser {
				return -1
			}
			return 1
		}
		return int(a.Key - b.Key)
	})
}

func (p *planner) refuseGroup(d *groupDraft, rule string, outcome store.Outcome, err *store.Error) {
	r := &p.cs.Results[d.index]
	r.Outcome, r.Err = outcome, err
	if err.Rule == "" {
		err.Rule = rule
	}
	if d.takes != "" {
		p.stays(store.Edge{Kind: store.KindGroup, Key: d.cur.Key}, deref(d.s.ExternalID))
	}
	if d.cur != nil && d.takes == "" {
		r.Key, r.ID = d.cur.Key, d.cur.ID
	}
	if p.pull() {
		name := deref(d.s.DisplayName)
		p.finding(rule, store.KindGroup, recordName(d.s.Record, deref(d.s.ExternalID)), name, err.Message)
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
