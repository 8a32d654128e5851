package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// DefaultCap is the most users that a group publishes unless configured (rule 5).
const DefaultCap = 10_000

// Options configure a [Reconciler].
type Options struct {
	Cap   int              // rule 5; 0 means [DefaultCap]
	Clock func() time.Time // nil means time.Now
}

// Reconciler makes statements true.
type Reconciler struct {
	store store.Store
	cap   int
	clock func() time.Time
	lanes lanes
}

// New returns a reconciler that writes to s.
func New(s store.Store, o Options) *Reconciler {
	if o.Cap <= 0 {
		o.Cap = DefaultCap
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Reconciler{store: s, cap: o.Cap, clock: o.Clock}
}

// Cap is the most users that a group publishes (rule 5).
func (r *Reconciler) Cap() int { return r.cap }

// Outcome is what became of a statement.
type Outcome struct {
	Results []store.Result // one for each stated record: users, then groups
	Users   []store.User   // as they are now, by the statement's order; zero where there is none
	Groups  []store.Group
	Effects *store.Effects
	Changed bool // something was written
}

// Reconcile makes a statement true in a transaction of its own. A push or an
// administrator's statement is all or nothing: the first refusal is returned as a
// [store.Error] and nothing is written. Pushes of one new user each that arrive at
// the same time may share a transaction.
func (r *Reconciler) Reconcile(ctx context.Context, want store.Statement) (*Outcome, error) {
	if createsOne(&want) {
		return r.create(ctx, want)
	}
	return r.reconcile(ctx, want)
}

func (r *Reconciler) reconcile(ctx context.Context, want store.Statement) (*Outcome, error) {
	return r.reconcileThen(ctx, want, func() {})
}

// reconcileThen calls written when all is written and to be committed, each time that
// the transaction is run.
func (r *Reconciler) reconcileThen(ctx context.Context, want store.Statement, written func()) (*Outcome, error) {
	var out *Outcome
	err := r.store.Update(ctx, func(tx store.Tx) error {
		var err error
		out, err = r.ReconcileTx(ctx, tx, want)
		if err == nil {
			written()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Revision is a statement that depends on records as they are.
type Revision struct {
	Org       store.Key
	Directory store.Key
	Users     []store.RecordKey
	Groups    []store.RecordKey
	Members   map[store.RecordKey][]store.MemberRef // of a group: references to resolve
	// State makes the statement from the named records, which stay locked until it
	// has been applied. It may be called more than once. A statement without users
	// and groups changes nothing.
	State func(have *store.Snapshot) (store.Statement, error)
	// Accept, if it is set, sees the results of the plan before anything is written.
	// Its error ends the revision, and nothing is kept.
	Accept func(results []store.Result) error
	// Ordered means that the records were stated one after the other: if what becomes
	// of them depends on that, the revision ends with [ErrTight].
	Ordered bool
}

// Revise loads and locks the records, lets State make a statement of them, and
// makes it true, all in one transaction.
func (r *Reconciler) Revise(ctx context.Context, v Revision) (*Outcome, error) {
	var out *Outcome
	err := r.store.Update(ctx, func(tx store.Tx) error {
		scope := store.Scope{Org: v.Org, Directory: v.Directory, Users: v.Users}
		for _, g := range v.Groups {
			scope.Groups = append(scope.Groups, store.GroupScope{Record: g, Refs: v.Members[g]})
		}
		have, err := tx.Load(ctx, scope)
		if err != nil {
			return err
		}
		want, err := v.State(have)
		if err != nil {
			return err
		}
		if !needsMore(have, &want) {
			out, err = r.finish(ctx, tx, have, want, &v)
			return err
		}
		out, err = r.revise(ctx, tx, want, &v)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ReconcileTx is Reconcile inside a transaction that the caller commits. In a
// pull a refusal is a result and a finding; otherwise it is the error, and the
// caller must roll back.
func (r *Reconciler) ReconcileTx(ctx context.Context, tx store.Tx, want store.Statement) (*Outcome, error) {
	return r.revise(ctx, tx, want, &Revision{})
}

func (r *Reconciler) revise(ctx context.Context, tx store.Tx, want store.Statement, v *Revision) (*Outcome, error) {
	if err := r.nameNew(ctx, tx, &want); err != nil {
		return nil, err
	}
	have, err := load(ctx, tx, &want, false)
	if err != nil {
		return nil, err
	}
	if err := loadClaimable(ctx, tx, &want, have); err != nil {
		return nil, err
	}
	return r.finish(ctx, tx, have, want, v)
}

// PublishTx brings stale effective membership up to date, one step of about
// p.Rows rows, and opens and resolves the findings of rule 5 that come of it.
func (r *Reconciler) PublishTx(ctx context.Context, tx store.Tx, p store.Publication, run store.Key) (*store.Effects, bool, error) {
	p.Cap, p.Now = r.cap, r.clock()
	effects, more, err := tx.Publish(ctx, p)
	if err != nil {
		return nil, false, fmt.Errorf("publish effective membership: %w", err)
	}
	if err := r.markOverCap(ctx, tx, p.Org, p.Cause, run, effects); err != nil {
		return nil, false, err
	}
	return effects, more, nil
}

func (r *Reconciler) policy() Policy { return Policy{Now: r.clock(), Cap: r.cap} }

// finish plans, applies and judges.
func (r *Reconciler) finish(ctx context.Context, tx store.Tx, have *store.Snapshot, want store.Statement, v *Revision) (*Outcome, error) {
	if want.Directory != 0 && have.Directory == nil {
		return nil, store.Errorf(store.CodeNotFound, "the directory no longer exists")
	}
	cs := Plan(have, want, r.policy())
	if want.Origin != store.OriginPull {
		if err := refusal(&cs, want.Apart); err != nil {
			return nil, err
		}
	}
	if v.Accept != nil {
		if err := v.Accept(cs.Results); err != nil {
			return nil, err
		}
	}
	out := outcomeOf(have, &want, &cs)
	out.Effects = &store.Effects{}
	if cs.Empty() && !cs.Synced {
		return out, nil
	}
	effects, err := tx.Apply(ctx, &cs)
	if err != nil {
		return nil, err
	}
	if want.Origin != store.OriginPull {
		if err := judge(&cs, effects); err != nil {
			return nil, err
		}
		if v.Ordered && tight(&cs, effects) {
			return nil, ErrTight
		}
	}
	if err := r.markOverCap(ctx, tx, want.Org, want.Cause, want.Run, effects); err != nil {
		return nil, err
	}
	out.Effects = effects
	out.Changed = !cs.Empty()
	for i := range out.Groups {
		if e := effects.Effect(out.Groups[i].Key); e.ID != "" {
			out.Groups[i].EffectiveCount, out.Groups[i].OverCap = e.After, e.Over
		}
		if version, ok := effects.Versions[out.Groups[i].Key]; ok {
			out.Groups[i].Version, out.Groups[i].ModifiedAt = version, cs.Now
		}
	}
	return out, nil
}

// nameNew gives every record that may have to be created its keys.
func (r *Reconciler) nameNew(ctx context.Context, tx store.Tx, want *store.Statement) error {
	now := r.clock()
	users, groups := 0, 0
	for i := range want.Users {
		if want.Users[i].Presence == store.Present && want.Users[i].Record.ID == "" {
			users++
		}
	}
	for i := range want.Groups {
		if want.Groups[i].Presence == store.Present && want.Groups[i].Record.ID == "" {
			groups++
		}
	}
	if users > 0 {
		keys, err := tx.Keys(ctx, store.KindUser, users)
		if err != nil {
			return err
		}
		for i := range want.Users {
			if s := &want.Users[i]; s.Presence == store.Present && s.Record.ID == "" {
				s.NewKey, keys = keys[0], keys[1:]
				if s.NewID == "" {
					s.NewID = store.NewID(now)
				}
			}
		}
	}
	if groups > 0 {
		keys, err := tx.Keys(ctx, store.KindGroup, groups)
		if err != nil {
			return err
		}
		for i := range want.Groups {
			if s := &want.Groups[i]; s.Presence == store.Present && s.Record.ID == "" {
				s.NewKey, keys = keys[0], keys[1:]
				if s.NewID == "" {
					s.NewID = store.NewID(now)
				}
			}
		}
	}
	return nil
}

// loadClaimable loads the internal users that statements may claim (rule 2), in
// one query.
func loadClaimable(ctx context.Context, tx store.Tx, want *store.Statement, have *store.Snapshot) error {
	if have.Directory == nil || have.Directory.Settings.OnMatch != store.MatchClaim {
		return nil
	}
	var ids store.Or
	seen := map[store.ID]bool{}
	for _, o := range have.Owners {
		if o.Directory == 0 && o.ID != "" && !seen[o.ID] {
			seen[o.ID] = true
			ids = append(ids, store.Compare{Field: "id", Op: store.Eq, Value: string(o.ID)})
		}
	}
	if len(ids) == 0 {
		return nil
	}
	internal := store.Key(0)
	page, err := tx.Users(ctx, store.Query{Org: want.Org, Directory: &internal, Filter: ids, Limit: len(ids)})
	if err != nil {
		return fmt.Errorf("load the internal users to claim: %w", err)
	}
	for i := range page.Items {
		u := &page.Items[i]
		if have.Users == nil {
			have.Users = map[store.RecordKey]*store.User{}
		}
		have.Users[claimKey(u.ID)] = u
	}
	return nil
}

// claimKey is where a snapshot holds an internal user that may be claimed: under
// its id alone, which no statement of the directory can name.
func claimKey(id store.ID) store.RecordKey { return store.RecordKey{ID: "claim:" + id} }

// needsMore reports whether a statement reaches beyond the records that were
// loaded for it: to names, members, or records that may return.
func needsMore(have *store.Snapshot, want *store.Statement) bool {
	if len(want.Groups) > 0 {
		return true
	}
	for i := range want.Users {
		s := &want.Users[i]
		u := have.Users[s.Record]
		if u == nil {
			return true
		}
		if s.Presence != store.Present {
			continue
		}
		if store.Fold(u.Attributes.UserName) != store.Fold(s.Attributes.UserName) ||
			len(missing(s.Attributes.IdentityKeys(), u.Attributes.IdentityKeys())) > 0 {
			return true
		}
	}
	return false
}
