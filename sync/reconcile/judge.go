package reconcile

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// judge is rule 5 for a push: it is refused if the addressed group ends over the
// cap and above its previous count.
func judge(cs *store.ChangeSet, effects *store.Effects) error {
	for i := range cs.Groups {
		g := &cs.Groups[i]
		e := effects.Effect(g.After.Key)
		if e.After > cs.Cap && e.After > e.Before {
			err := store.Errorf(store.CodeInvalid, "the group %s would have %d effective members, up from %d; a group holds at most %d",
				g.After.DisplayName, e.After, e.Before, cs.Cap)
			err.Field, err.Rule, err.Resource = "members", store.RuleOverCap, "Group "+string(g.After.ID)
			return err
		}
	}
	return nil
}

// markOverCap opens a finding for each group that went over the cap, and resolves
// it for each that fits again.
func (r *Reconciler) markOverCap(ctx context.Context, tx store.Tx, org store.Key, cause store.Cause, run store.Key, effects *store.Effects) error {
	now := r.clock()
	cs := store.ChangeSet{Org: org, Cause: cause, Now: now, Cap: r.cap}
	for _, g := range effects.Groups {
		key := store.FindingKey{Directory: g.Directory, Rule: store.RuleOverCap, Kind: store.KindGroup, Record: string(g.ID)}
		switch {
		case g.Over:
			cs.Findings = append(cs.Findings, store.Finding{
				FindingKey: key, Org: org, Run: run, Name: g.DisplayName, OpenedAt: now, SeenAt: now,
				Sentence: fmt.Sprintf("the group %s has %d effective members, over the cap of %d: it takes removals but publishes no further user until it fits",
					g.DisplayName, g.After, r.cap),
			})
		case g.WasOver:
			cs.Resolved = append(cs.Resolved, key)
		}
	}
	if cs.Empty() {
		return nil
	}
	if _, err := tx.Apply(ctx, &cs); err != nil {
		return fmt.Errorf("write findings of groups over the cap: %w", err)
	}
	return nil
}
