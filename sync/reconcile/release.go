package reconcile

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// releaseAtOnce is how many records one transaction of [Reconciler.Release] changes.
const releaseAtOnce = 500

// Release makes everything that a directory owns internal (rule 1): users and
// groups keep ids, memberships and the administrator's switch, and lose the stable
// id by which the directory knew them. Nobody gains anything by it: a user who was
// inactive stays so, now by the switch that an administrator can turn, and a group
// that had left the scope loses its members. It goes in steps, each of its own transaction, and may
// be called again after an interruption.
func (r *Reconciler) Release(ctx context.Context, org, directory store.Key, cause store.Cause) error {
	for more := true; more; {
		err := r.store.Update(ctx, func(tx store.Tx) (err error) {
			more, err = r.releaseSome(ctx, tx, org, directory, cause)
			return err
		})
		if err != nil {
			return fmt.Errorf("make the records of the directory internal: %w", err)
		}
	}
	return nil
}

func (r *Reconciler) releaseSome(ctx context.Context, tx store.Tx, org, directory store.Key, cause store.Cause) (more bool, err error) {
	q := store.Query{Org: org, Directory: &directory, Limit: releaseAtOnce}
	users, err := tx.Users(ctx, q)
	if err != nil {
		return false, err
	}
	groups, err := tx.Groups(ctx, q)
	if err != nil {
		return false, err
	}
	if len(users.Items)+len(groups.Items) == 0 {
		return false, nil
	}
	scope := store.Scope{Org: org, Directory: directory}
	for i := range users.Items {
		scope.Users = append(scope.Users, store.RecordKey{ID: users.Items[i].ID})
	}
	for i := range groups.Items {
		scope.Groups = append(scope.Groups, store.GroupScope{
			Record: store.RecordKey{ID: groups.Items[i].ID}, AllEdges: groups.Items[i].OutOfScope,
		})
	}
	have, err := tx.Load(ctx, scope) // as they are under the locks
	if err != nil {
		return false, err
	}
	want := store.Statement{Org: org, Directory: directory, Origin: store.OriginAdmin, Cause: cause}
	p := newPlanner(have, &want, r.policy())
	p.cs.RestoreAccess, p.cs.UnassignLicences = false, false
	for _, key := range scope.Users {
		if u := have.Users[key]; u != nil {
			p.releaseUser(u)
		}
	}
	for i := range scope.Groups {
		if g := have.Groups[scope.Groups[i].Record]; g != nil {
			p.releaseGroup(g)
		}
	}
	if _, err := tx.Apply(ctx, &p.cs); err != nil {
		return false, err
	}
	return true, nil
}

func (p *planner) releaseUser(cur *store.User) {
	after := *cur
	after.Directory, after.ExternalID, after.Hash = 0, "", nil
	after.Enabled = cur.Active() // there is no directory any more that could bring it back
	after.Stated, after.OutOfScope = true, false
	p.update(cur, &after, store.EventUserUpdated)
}

func (p *planner) releaseGroup(cur *store.Group) {
	after := *cur
	after.Directory, after.ExternalID, after.Hash, after.OutOfScope = 0, "", nil, false
	after.Version++
	after.ModifiedAt = p.cs.Now
	name := store.Fold(cur.DisplayName)
	c := store.GroupChange{Op: store.OpUpdate, Before: cur, After: after, Release: name, Claim: name}
	if cur.OutOfScope { // it published nobody
		for edge := range p.have.Edges[cur.Key] {
			c.Remove = append(c.Remove, edge)
		}
		sortEdges(c.Remove)
	}
	p.cs.Groups = append(p.cs.Groups, c)
	p.event(store.EventGroupUpdated, store.KindGroup, cur.ID, groupDocument(cur), groupDocument(&after))
}
