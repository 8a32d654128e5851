package reconcile

import "github.com/provost-scim/provost/store"

// outcomeOf gathers what became of a statement: its results, and each stated
// record as it is after the change set.
func outcomeOf(have *store.Snapshot, want *store.Statement, cs *store.ChangeSet) *Outcome {
	out := &Outcome{
		Results: cs.Results,
		Users:   make([]store.User, len(want.Users)),
		Groups:  make([]store.Group, len(want.Groups)),
	}
	users := make(map[store.Key]*store.User, len(cs.Users))
	for i := range cs.Users {
		users[cs.Users[i].After.Key] = &cs.Users[i].After
	}
	groups := make(map[store.Key]*store.Group, len(cs.Groups))
	for i := range cs.Groups {
		groups[cs.Groups[i].After.Key] = &cs.Groups[i].After
	}
	for i := range want.Users {
		r := &cs.Results[i]
		if u := users[r.Key]; u != nil && r.Key != 0 {
			out.Users[i] = *u
		} else if u := have.Users[want.Users[i].Record]; u != nil {
			out.Users[i] = *u
		}
	}
	for i := range want.Groups {
		r := &cs.Results[len(want.Users)+i]
		if g := groups[r.Key]; g != nil && r.Key != 0 {
			out.Groups[i] = *g
		} else if g := have.Groups[want.Groups[i].Record]; g != nil {
			out.Groups[i] = *g
		}
	}
	return out
}
