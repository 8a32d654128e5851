package admin

import (
	"context"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// itemWindows is how many windows of a run one page of its items is planned from at
// most, so that a filter that lets few records through takes bounded time.
const itemWindows = 20

// ListRunItems lists a page of what a run would make of its records if it were
// applied now.
func (s *Server) ListRunItems(ctx context.Context, req openapi.ListRunItemsRequestObject) (openapi.ListRunItemsResponseObject, error) {
	at, err := placeOfItem(cursorItems, req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	run, err := s.waiting(ctx, req.Run)
	if err != nil {
		return nil, err
	}
	out := openapi.RunItemList{Items: []openapi.RunItem{}}
	limit := limitOf(req.Params.Limit)
	for end := at.window + itemWindows; at.window < min(end, run.Windows) && len(out.Items) < limit; {
		items, err := s.Runs.PlanItems(ctx, run.Org, run.ID, at.window)
		if err != nil {
			return nil, err
		}
		for ; at.index < len(items) && len(out.Items) < limit; at.index++ {
			if item := &items[at.index]; wanted(item, &req.Params) {
				out.Items = append(out.Items, renderItem(item, at))
			}
		}
		if at.index >= len(items) {
			at = itemPlace{window: at.window + 1}
		}
	}
	if at.window < run.Windows {
		out.NextCursor = at.cursor(cursorItems)
	}
	return openapi.ListRunItems200JSONResponse(out), nil
}

// ListRunMembers lists a page of which members groups would gain and lose if a run were
// applied now.
func (s *Server) ListRunMembers(ctx context.Context, req openapi.ListRunMembersRequestObject) (openapi.ListRunMembersResponseObject, error) {
	at, err := placeOfItem(cursorRunMembers, req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	run, err := s.waiting(ctx, req.Run)
	if err != nil {
		return nil, err
	}
	of, end := -1, run.Windows
	if req.Params.Item != nil {
		item, ok := itemNamed(*req.Params.Item)
		if !ok || item.window >= run.Windows {
			return nil, invalid("item", "pass the item of an entry of the list of items", "the run has no item %q", *req.Params.Item)
		}
		if of, end = item.index, item.window+1; at.window != item.window {
			at = itemPlace{window: item.window}
		}
	}
	out := openapi.RunMemberList{Items: []openapi.RunMember{}}
	limit := limitOf(req.Params.Limit)
	for last := at.window + itemWindows; at.window < min(last, end) && len(out.Items) < limit; {
		members, err := s.Runs.PlanMembers(ctx, run.Org, run.ID, at.window)
		if err != nil {
			return nil, err
		}
		for ; at.index < len(members) && len(out.Items) < limit; at.index++ {
			if m := &members[at.index]; of < 0 || m.Item == of {
				out.Items = append(out.Items, renderRunMember(m))
			}
		}
		if at.index >= len(members) {
			at = itemPlace{window: at.window + 1}
		}
	}
	if at.window < end {
		out.NextCursor = at.cursor(cursorRunMembers)
	}
	return openapi.ListRunMembers200JSONResponse(out), nil
}

// waiting returns a run that tells what it would do.
func (s *Server) waiting(ctx context.Context, id string) (run *store.Run, err error) {
	err = s.Store.View(ctx, func(r store.Reader) error {
		run, err = r.Run(ctx, orgOf(ctx), store.ID(id))
		return err
	})
	if err == nil && run.Phase != store.PhaseReady {
		err = noItems(run)
	}
	return run, err
}

// noItems says why a run does not tell what it would do.
func noItems(run *store.Run) error {
	e := store.Errorf(store.CodeConflict, "run %s is %s, in phase %s: only a plan that is ready and a held run tell what they would do",
		run.ID, run.State, run.Phase)
	e.Resource = "run " + string(run.ID)
	e.Hint = "make a new plan of the directory " + run.DirectoryName
	switch {
	case run.State == store.RunPlanned:
		e.Hint = "wait until the plan is in phase ready"
	case !run.State.Finished() || run.State == store.RunSucceeded:
		e.Hint = "the counts and findings of the run tell what it does"
	}
	return e
}

func wanted(item *store.PlanItem, by *openapi.ListRunItemsParams) bool {
	return (by.Type == nil || store.Kind(*by.Type) == item.Kind) && (by.Outcome == nil || store.Outcome(*by.Outcome) == item.Outcome)
}

func renderItem(item *store.PlanItem, at itemPlace) openapi.RunItem {
	out := openapi.RunItem{
		Type: string(item.Kind), ID: string(item.ID), ExternalID: item.ExternalID, Name: item.Name, DN: item.DN,
		Outcome: openapi.Outcome(item.Outcome), Reason: item.Reason, Item: at.String(),
		MembersAdded: item.Joining, MembersRemoved: item.Leaving,
	}
	for _, c := range item.Changes {
		out.Changes = append(out.Changes, openapi.FieldChange(c))
	}
	return out
}

func renderRunMember(m *store.PlanMember) openapi.RunMember {
	change := openapi.RunMemberChangeRemoved
	if m.Joins {
		change = openapi.RunMemberChangeAdded
	}
	return openapi.RunMember{Change: change, Group: renderName(&m.Group), Member: renderName(&m.Member)}
}

func renderName(n *store.RecordName) openapi.RecordName {
	return openapi.RecordName{Type: string(n.Kind), ID: string(n.ID), ExternalID: n.ExternalID, Name: n.Name}
}
