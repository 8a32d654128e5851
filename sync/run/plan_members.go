package run

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/provost-scim/provost/store"
)

// PlanMembers tells which direct members groups would gain and lose by one window of a
// plan or a held run, as [Engine.PlanItems] does of its records. Groups that the window
// states come first, each with all its changes; they are followed by those of other
// groups to which a record of the window comes, because they have awaited it, or which
// lose it because it is deleted. The members of a group that is deleted are not listed.
func (e *Engine) PlanMembers(ctx context.Context, org store.Key, id store.ID, number int) (list []store.PlanMember, err error) {
	err = e.waiting(ctx, org, id, number, func(tx store.Tx, run *store.Run, of *planned) error {
		if list, err = of.members(ctx, tx, run); err != nil {
			return err
		}
		more, err := of.elsewhere(ctx, tx, run)
		list = append(list, more...)
		return err
	})
	return list, err
}

// records are those of the window that decide on members.
func (of *planned) records() []store.PlanRecord {
	var list []store.PlanRecord
	for at := range of.out.Results {
		r := &of.out.Results[at]
		if of.out.Arrives[at] || r.Kind == store.KindGroup && decides(r.Outcome) {
			list = append(list, store.PlanRecord{
				Kind: r.Kind, ExternalID: of.row(at).ExternalID, Name: of.name(at), Arrives: of.out.Arrives[at], Record: of.out.Taken[at],
			})
		}
	}
	return list
}

// decides reports whether a group's row says who is in it, or that nobody is.
func decides(o store.Outcome) bool {
	switch o {
	case store.Refused, store.Duplicated, store.LeftScope:
		return false
	}
	return true
}

// members are the changes of the groups that the window states, group by group, those
// who join first, by name.
func (of *planned) members(ctx context.Context, tx store.Tx, run *store.Run) ([]store.PlanMember, error) {
	var awaited []string
	var edges []store.Edge
	for i := range of.out.Members {
		m := &of.out.Members[i]
		awaited = append(awaited, m.Awaited...)
		edges = append(append(edges, m.Add...), m.Remove...)
	}
	if len(awaited)+len(edges) == 0 {
		return nil, nil
	}
	arrive, err := tx.PlanRecords(ctx, run.Key, awaited)
	if err != nil {
		return nil, err
	}
	coming := make(map[string][]store.PlanRecord, len(arrive))
	for _, r := range arrive {
		if r.Arrives {
			coming[r.ExternalID] = append(coming[r.ExternalID], r)
		}
	}
	names, err := tx.RecordNames(ctx, run.Org, edges)
	if err != nil {
		return nil, err
	}
	var list []store.PlanMember
	for i := range of.out.Members {
		m := &of.out.Members[i]
		from := len(list)
		add := func(joins bool, member store.RecordName) {
			list = append(list, store.PlanMember{Item: len(of.users) + i, Group: of.groupName(i), Member: member, Joins: joins})
		}
		for _, e := range m.Add {
			if name, live := names[e]; live {
				add(true, name)
			}
		}
		for _, id := range m.Awaited {
			for _, r := range coming[id] {
				if r.Record == 0 || !m.Has[store.Edge{Kind: r.Kind, Key: r.Record}] {
					add(true, store.RecordName{Kind: r.Kind, ExternalID: r.ExternalID, Name: r.Name})
				}
			}
		}
		for _, e := range m.Remove {
			if name, live := names[e]; live {
				add(false, name)
			}
		}
		slices.SortFunc(list[from:], byMember)
	}
	return list, nil
}

func (of *planned) groupName(i int) store.RecordName {
	at := len(of.users) + i
	name := store.RecordName{Kind: store.KindGroup, ExternalID: of.groups[i].ExternalID, Name: of.name(at)}
	if r := &of.out.Results[at]; r.Key > 0 {
		name.ID = r.ID
	}
	return name
}

// byMember orders the changes of one group.
func byMember(a, b store.PlanMember) int {
	if a.Joins != b.Joins {
		if a.Joins {
			return -1
		}
		return 1
	}
	return cmp.Or(strings.Compare(store.Fold(a.Member.Name), store.Fold(b.Member.Name)),
		strings.Compare(string(a.Member.Kind), string(b.Member.Kind)), strings.Compare(a.Member.ExternalID, b.Member.ExternalID))
}

// elsewhere are the changes of groups whose members the run does not state: nobody has
// to touch a group that has a member already which comes alive, or is deleted.
func (of *planned) elsewhere(ctx context.Context, tx store.Tx, run *store.Run) ([]store.PlanMember, error) {
	q := store.BelongingQuery{Org: run.Org, Directory: run.Directory, Members: slices.Clone(of.out.Back)}
	arrives := map[string][]int{}
	byKey := map[store.Edge]int{}
	for at := range of.out.Results {
		r := &of.out.Results[at]
		record := store.Edge{Kind: r.Kind, Key: r.Key}
		switch {
		case of.out.Arrives[at]:
			id := of.row(at).ExternalID
			q.Awaited = append(q.Awaited, id)
			arrives[id] = append(arrives[id], at)
			byKey[record] = at
		case r.Outcome == store.Deleted:
			q.Members = append(q.Members, record)
			byKey[record] = at
		}
	}
	if len(q.Awaited)+len(q.Members) == 0 {
		return nil, nil
	}
	found, err := tx.Belongings(ctx, q)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	groups := make([]string, 0, len(found))
	for _, b := range found {
		groups = append(groups, b.Group.ExternalID)
	}
	slices.Sort(groups)
	staged, err := tx.PlanRecords(ctx, run.Key, slices.Compact(groups))
	if err != nil {
		return nil, err
	}
	decided := make(map[string]bool, len(staged))
	for _, r := range staged {
		decided[r.ExternalID] = decided[r.ExternalID] || r.Kind == store.KindGroup
	}
	var list []store.PlanMember
	for _, b := range found {
		if decided[b.Group.ExternalID] {
			continue
		}
		members := arrives[b.Awaited]
		if b.Member.Key != 0 {
			members = []int{byKey[b.Member]}
		}
		for _, at := range members {
			list = append(list, store.PlanMember{Item: -1, Group: b.Group, Member: of.recordName(at), Joins: of.out.Arrives[at]})
		}
	}
	slices.SortStableFunc(list, func(a, b store.PlanMember) int {
		return cmp.Or(strings.Compare(a.Group.ExternalID, b.Group.ExternalID), byMember(a, b))
	})
	return list, nil
}

func (of *planned) recordName(at int) store.RecordName {
	r := &of.out.Results[at]
	name := store.RecordName{Kind: r.Kind, ExternalID: of.row(at).ExternalID, Name: of.name(at)}
	if r.Key > 0 && r.Outcome != store.Created {
		name.ID = r.ID
	}
	return name
}
