package reconcile

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// RestoreUser undoes a soft deletion by an administrator's decision (rule 7): the
// user is again what it was, in the groups that it was in. ref is its id. It is
// [store.CodeNotFound] if no soft-deleted user has it, and [store.CodeUniqueness]
// while another user has its userName or one of its addresses. A directory that is
// pulled and still does not have the user takes it away again.
func (r *Reconciler) RestoreUser(ctx context.Context, org store.Key, ref string, cause store.Cause) (*store.User, error) {
	var out *store.User
	err := r.store.Update(ctx, func(tx store.Tx) error {
		gone, err := departedUser(ctx, tx, org, ref)
		if err != nil {
			return err
		}
		keys := gone.Attributes.IdentityKeys()
		have, err := tx.Load(ctx, store.Scope{
			Org: org, Directory: gone.Directory, Departed: true,
			Users: []store.RecordKey{{ID: gone.ID}}, UserNames: []string{store.Fold(gone.Attributes.UserName)}, UserKeys: keys,
		})
		if err != nil {
			return err
		}
		var back *store.User // as it is under the locks
		for _, u := range have.Departed {
			if u.ID == gone.ID && u.Version == gone.Version {
				back = u
			}
		}
		if back == nil {
			return noDeparted(store.KindUser, ref)
		}
		if holder := have.NameHolders[store.Fold(back.Attributes.UserName)]; holder != nil {
			return nameTaken(store.KindUser, "userName", back.Attributes.UserName, holder.Attributes.UserName, holder.ID)
		}
		for _, k := range keys {
			if o, ok := have.Owners[k]; ok && o.Directory != back.Directory {
				return nameTaken(store.KindUser, "userName", k, o.Name, o.ID)
			}
		}
		p := newPlanner(have, &store.Statement{Org: org, Directory: back.Directory, Origin: store.OriginAdmin, Cause: cause}, r.policy())
		out = p.restoreAsItWas(back)
		_, err = r.apply(ctx, tx, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// RestoreGroup undoes a soft deletion by an administrator's decision, as
// [Reconciler.RestoreUser] does. The group has no members: they went with it (rule
// 4), but for those that a directory states by stable id and that waited for it.
func (r *Reconciler) RestoreGroup(ctx context.Context, org store.Key, ref string, cause store.Cause) (*store.Group, error) {
	var out *store.Group
	err := r.store.Update(ctx, func(tx store.Tx) error {
		gone, err := departedGroup(ctx, tx, org, ref)
		if err != nil {
			return err
		}
		name := store.Fold(gone.DisplayName)
		have, err := tx.Load(ctx, store.Scope{
			Org: org, Directory: gone.Directory, Departed: true,
			Groups: []store.GroupScope{{Record: store.RecordKey{ID: gone.ID}}}, GroupKeys: []string{name},
		})
		if err != nil {
			return err
		}
		var back *store.Group
		for _, g := range have.DepartedGroups {
			if g.ID == gone.ID && g.Version == gone.Version {
				back = g
			}
		}
		if back == nil {
			return noDeparted(store.KindGroup, ref)
		}
		if holder := have.GroupNameHolders[name]; holder != nil {
			return nameTaken(store.KindGroup, "displayName", back.DisplayName, holder.DisplayName, holder.ID)
		}
		if o, ok := have.GroupOwners[name]; ok && o.Directory != back.Directory {
			return nameTaken(store.KindGroup, "displayName", back.DisplayName, o.Name, o.ID)
		}
		p := newPlanner(have, &store.Statement{Org: org, Directory: back.Directory, Origin: store.OriginAdmin, Cause: cause}, r.policy())
		out = p.restoreGroupAsItWas(back)
		effects, err := r.apply(ctx, tx, p)
		if err != nil {
			return err
		}
		e := effects.Effect(out.Key)
		out.EffectiveCount, out.OverCap = e.After, e.Over
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// apply writes what was planned. Groups above a restored user that go over the cap
// are marked (rule 5); the restore succeeds.
func (r *Reconciler) apply(ctx context.Context, tx store.Tx, p *planner) (*store.Effects, error) {
	effects, err := tx.Apply(ctx, &p.cs)
	if err != nil {
		return nil, err
	}
	return effects, r.markOverCap(ctx, tx, p.want.Org, p.want.Cause, 0, effects)
}

// restoreAsItWas plans the return of a user with its own state. Without a directory
// there is nothing that could make it active again but the switch, as in a release.
func (p *planner) restoreAsItWas(back *store.User) *store.User {
	after := *back
	after.DeletedAt, after.ModifiedAt, after.Hash = store.User{}.DeletedAt, p.cs.Now, nil
	after.Version++
	if after.Directory == 0 {
		after.Enabled = after.Enabled && after.Stated && !after.OutOfScope
		after.Stated, after.OutOfScope = true, false
	}
	p.cs.Users = append(p.cs.Users, store.UserChange{
		Op: store.OpRestore, Before: back, After: after, Claim: after.Attributes.IdentityKeys(),
	})
	p.event(store.EventUserRestored, store.KindUser, after.ID, nil, userDocument(&after))
	return &after
}

func (p *planner) restoreGroupAsItWas(back *store.Group) *store.Group {
	after := *back
	after.DeletedAt, after.ModifiedAt, after.Hash = store.Group{}.DeletedAt, p.cs.Now, nil
	after.Version++
	if after.Directory == 0 {
		after.OutOfScope = false
	}
	p.cs.Groups = append(p.cs.Groups, store.GroupChange{
		Op: store.OpRestore, Before: back, After: after, Claim: store.Fold(after.DisplayName),
	})
	p.event(store.EventGroupRestored, store.KindGroup, after.ID, nil, groupDocument(&after))
	return &after
}

func departedUser(ctx context.Context, tx store.Tx, org store.Key, ref string) (*store.User, error) {
	if !store.ValidID(ref) {
		return nil, noDeparted(store.KindUser, ref)
	}
	page, err := tx.Users(ctx, departedQuery(org, ref))
	if err != nil {
		return nil, err
	}
	if len(page.Items) == 0 {
		return nil, noDeparted(store.KindUser, ref)
	}
	return &page.Items[0], nil
}

func departedGroup(ctx context.Context, tx store.Tx, org store.Key, ref string) (*store.Group, error) {
	if !store.ValidID(ref) {
		return nil, noDeparted(store.KindGroup, ref)
	}
	page, err := tx.Groups(ctx, departedQuery(org, ref))
	if err != nil {
		return nil, err
	}
	if len(page.Items) == 0 {
		return nil, noDeparted(store.KindGroup, ref)
	}
	return &page.Items[0], nil
}

func departedQuery(org store.Key, ref string) store.Query {
	return store.Query{Org: org, Deleted: true, Limit: 1, Filter: store.Compare{Field: "id", Op: store.Eq, Value: ref}}
}

func noDeparted(kind store.Kind, ref string) error {
	noun := nounOf(kind)
	return &store.Error{
		Code: store.CodeNotFound, Message: fmt.Sprintf("no deleted %s has the id %q", noun, ref),
		Hint: "list the deleted ones for their ids; after the retention they are gone for good",
	}
}

func nameTaken(kind store.Kind, field, value, holder string, id store.ID) error {
	noun := nounOf(kind)
	return &store.Error{
		Code: store.CodeUniqueness, Field: field, Resource: string(kind) + " " + string(id), Rule: store.RuleDuplicate,
		Message: fmt.Sprintf("%s belongs to the %s %s (%s) now", value, noun, holder, id),
		Hint:    "rename or delete that " + noun + " first",
	}
}

func nounOf(kind store.Kind) string {
	if kind == store.KindGroup {
		return "group"
	}
	return "user"
}
