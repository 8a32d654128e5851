package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// read reads the directory, stages what differs, and decides how the run goes on.
// It always begins anew: what an interrupted read has staged is dropped.
func (w *worker) read(ctx context.Context) (store.RunPhase, error) {
	d, policy, from, err := w.beginRead(ctx)
	if err != nil {
		return "", err
	}
	source, err := w.e.opt.Open(ctx, d)
	if err != nil {
		return "", sourceError{fmt.Errorf("open the directory: %w", err)}
	}
	r := &reading{
		w: w, directory: d, ldap: d.Settings.LDAP, source: source,
		hash:    newHasher(d.Revision, policy, w.e.opt.DNHash),
		domains: newDomainCount(),
		lookup:  source.Lookup,
		says:    says{incremental: from.why == "", because: from.why},
	}
	r.watch()
	if from.why == "" {
		if from.why, err = r.follow(ctx, from.cookie); err != nil {
			return "", err
		}
		from.lost = from.why
	}
	if w.only != nil {
		if from.why, err = r.ask(ctx); err != nil {
			return "", err
		}
	}
	if from.why != "" {
		if err := r.everything(ctx, from.why); err != nil {
			return "", err
		}
	}
	r.amendWaiting()
	if from.why == "" { // else what is drift is marked in the stage
		r.rows, r.few = r.stager.leave()
	}
	if !r.few {
		if err := r.stager.close(); err != nil {
			return "", fmt.Errorf("stage what differs: %w", err)
		}
	}
	if err := r.doubt(ctx); err != nil {
		return "", fmt.Errorf("see whether what is gone was deleted: %w", err)
	}
	if err := r.amend(ctx); err != nil {
		return "", fmt.Errorf("stage managers: %w", err)
	}
	if from.why != "" && from.follows {
		if err := r.findDrift(ctx, &from); err != nil {
			return "", fmt.Errorf("find what incremental runs have missed: %w", err)
		}
	}
	return r.seal(ctx)
}

// everything reads the whole directory.
func (r *reading) everything(ctx context.Context, because string) error {
	if err := r.is(ctx, false, because); err != nil {
		return err
	}
	if err := r.load(ctx); err != nil {
		return fmt.Errorf("load what is stored of the directory: %w", err)
	}
	defer r.loading.stop()
	if err := r.wished(ctx); err != nil {
		return fmt.Errorf("find what the last run had in scope: %w", err)
	}
	if err := r.selectOnly(ctx); err != nil {
		return fmt.Errorf("find what is stored of the named users and groups: %w", err)
	}
	r.stager = r.w.newStager(ctx)
	if err := r.all(ctx); err != nil {
		r.stager.abandon()
		return err
	}
	if r.only == nil { // else the next run goes on from an earlier one
		r.cookie, r.noCookie = r.source.Cookie()
	}
	return nil
}

// is notes whether the run reads everything, and why, if that is not as it began.
func (r *reading) is(ctx context.Context, incremental bool, because string) error {
	r.w.e.opt.Logger.InfoContext(ctx, "run reads", "run", r.w.id, "directory", r.directory.Name, "incremental", incremental, "full_because", because)
	now := says{incremental, because}
	if now == r.says {
		return nil
	}
	r.says = now
	return r.w.update(ctx, func(tx store.Tx, run *store.Run) error {
		run.Incremental, run.FullBecause = incremental, because
		return tx.SaveRun(ctx, run)
	})
}

// beginRead notes with which settings and policy the run reads. A change of them
// while it goes on applies to the next run.
func (w *worker) beginRead(ctx context.Context) (d *store.Directory, policy string, from basis, err error) {
	err = w.update(ctx, func(tx store.Tx, run *store.Run) error {
		if d, err = tx.DirectoryByKey(ctx, run.Directory); err != nil {
			return err
		}
		if d.Settings.LDAP == nil {
			return store.Errorf(store.CodeInvalid, "directory %s has no LDAP settings", d.Name)
		}
		if policy, err = w.e.policyHash(ctx, tx, d); err != nil {
			return err
		}
		if from, err = w.e.basis(ctx, tx, run, d, policy); err != nil {
			return err
		}
		if err := tx.ClearStage(ctx, run.Key); err != nil {
			return err
		}
		now := w.e.now()
		run.Incremental, run.FullBecause, run.Cookie, run.Drift = from.why == "", from.why, nil, nil
		run.Revision, run.PolicyHash = d.Revision, policy
		run.Counts, run.Progress, run.Plan = store.RunCounts{}, store.Progress{}, nil
		run.Windows, run.NextWindow, run.StageHash = 0, 0, ""
		if run.StartedAt.IsZero() {
			run.StartedAt = now
		}
		enter(run, store.PhaseRead, now)
		return tx.SaveRun(ctx, run)
	})
	w.readUsers.Store(0)
	w.readGroups.Store(0)
	w.staged.Store(0)
	return d, policy, from, err
}

// says is what a run says of how it reads.
type says struct {
	incremental bool
	because     string // why everything is read
}

// reading is one read of one directory.
type reading struct {
	w         *worker
	directory *store.Directory
	ldap      *store.LDAP
	source    Source
	lookup    func(ctx context.Context, ids []string) (map[string]string, error)
	says      says
	cookie    []byte // nil: there is none
	noCookie  string // why
	index     *index
	loading   *loading // nil: what is needed was looked up
	graph     *graph
	wish      wish
	last      *PlanSummary       // of the last complete read that was applied; nil if there is none
	scope     *scope             // nil until every group was read
	only      *selection         // nil: everything is staged
	joins     []store.ScopeEntry // outside of the scope, and named by an import
	hash      *hasher
	stager    *stager
	few       bool // rows is the whole stage, which is written when it is sealed
	rows      []store.Staged
	losses    losses
	domains   *domainCount
	presence  presence
	places    *places     // nil: where entries are is not kept
	hidden    []Container // where entries were that may be out of sight
	counts    store.RunCounts
	drift     *store.Drift
	deferred  []deferred
	unread    int    // members stated that were not read
	anonymous [2]int // entries without a stable id, groups and users
	named     [2]int // entries with one
}

// deferred is a user whose manager's entry had not been read before its own.
type deferred struct {
	node    int32
	manager int32 // interned DN
	staged  bool
}

// all reads to the end and stages everything that needs no later knowledge than
// the end.
func (r *reading) all(ctx context.Context) error {
	if err := r.entries(ctx); err != nil {
		return err
	}
	if err := r.chooseScope(); err != nil {
		return err
	}
	if err := r.identified(); err != nil {
		return err
	}
	if err := r.only.found(); err != nil {
		return err
	}
	if err := r.stageMissing(ctx); err != nil { // first: groups may have them as members
		return err
	}
	if err := r.stageGroups(); err != nil {
		return err
	}
	if err := r.stageManagers(ctx); err != nil {
		return err
	}
	return r.only.believable(ctx, r)
}

// entries reads every entry. Any end but [Complete] is an error.
func (r *reading) entries(ctx context.Context) error {
	for entry, err := range r.source.Entries(ctx) {
		switch {
		case errors.Is(err, Complete):
			return ctx.Err()
		case err != nil:
			return sourceError{err}
		}
		if err := r.entry(&entry); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return sourceError{errors.New("the directory's entries ended before all of them were read")}
}

// maxID is the longest stable id, in bytes; those of servers have 36.
const maxID = 512

func (r *reading) entry(e *store.Entry) error {
	r.places.note(e)
	if len(e.ExternalID) > maxID {
		e.Invalid = fmt.Sprintf("the stable id is longer than %d bytes", maxID)
		e.ExternalID = ""
	}
	at := 0
	if e.Kind == store.KindUser {
		at = 1
	}
	node := none
	if e.ExternalID == "" {
		r.anonymous[at]++
		if e.Invalid == "" {
			e.Invalid = "the entry shows no stable id; until it does, nobody is taken for deleted"
		}
	} else {
		r.named[at]++
		node = r.index.at(e.Kind, e.ExternalID)
		if n := r.index.node(node); n.is(read) {
			e.Invalid = "another entry of the same read has the same stable id " + e.ExternalID
			node = none
		} else {
			n.flags |= read
			if e.Invalid != "" {
				n.flags |= invalid
			}
		}
	}
	if e.Kind == store.KindUser {
		r.w.readUsers.Add(1)
		return r.user(e, node)
	}
	r.w.readGroups.Add(1)
	if r.scope != nil {
		return errors.New("the source yields a group after a user")
	}
	r.graph.addGroup(e, node)
	r.take()
	return nil
}

func (r *reading) chooseScope() (err error) {
	if r.scope == nil {
		if err := r.loaded(); err != nil {
			return err
		}
		if r.scope, err = r.graph.choose(r.wish, r.index); err == nil {
			r.joinGroups()
			r.only.chooseGroups(r)
		}
	}
	return err
}

// identified fails a read in which no entry of a kind had a stable id although
// such records are stored: what cannot be recognised must not look deleted.
func (r *reading) identified() error {
	for at, word := range []string{"group", "user"} {
		if r.anonymous[at] > 0 && r.named[at] == 0 && []int{r.losses.groups, r.losses.users}[at] > 0 {
			e := store.Errorf(store.CodeInvalid, "none of the %d %s entries shows its stable id, so none can be recognised", r.anonymous[at], word)
			e.Hint = "let the bind DN read the attribute of externalId; nothing has been changed"
			return e
		}
	}
	return nil
}

// user compares one user's entry with what is stored, and stages it if it differs.
func (r *reading) user(e *store.Entry, node int32) error {
	if err := r.chooseScope(); err != nil {
		return err
	}
	inScope := r.graph.addUser(e, node, r.scope)
	inScope = inScope || r.joinUser(e, node)
	wanted := r.only.wantsUser(r, e, node, inScope)
	if !inScope {
		return nil
	}
	if node != none {
		r.index.node(node).flags |= within
	}
	if !wanted {
		return nil
	}
	if e.Invalid != "" {
		return r.stageInvalid(store.StageUsers, e.Kind, e.ExternalID, e.DN, e.Attributes.UserName, e.Invalid)
	}
	n := r.index.node(node)
	r.domains.add(e.Attributes.DecidingAddress())
	r.presence.user(e)
	manager, wait := "", none
	if e.ManagerDN != "" {
		wait = r.graph.intern(e.ManagerDN)
		if manager = r.manager(wait); manager != "" {
			wait = none
		}
	}
	inactive := e.Active != nil && !*e.Active
	content := r.hash.user(e)
	want := withManager(content[:], manager)
	if wait != none {
		copy(want[contentSize:], n.hash[contentSize:]) // not to be judged before the end
	}
	// A user who is kept active although the directory disables him differs for as
	// long as that is so (rule 7 with replicate_state off).
	same := n.is(known|hashed) && n.hash == want && !n.is(outOfScope) && (!inactive || !n.is(active))
	if wait != none {
		r.deferred = append(r.deferred, deferred{node: node, manager: wait, staged: !same})
	}
	if same {
		r.counts.Users.Unchanged++
		return nil
	}
	if inactive && r.directory.Settings.ReplicateState {
		r.losses.deactivates(n)
	}
	return r.stageUser(n, store.StagedUser{Active: e.Active, Attributes: e.Attributes}, content[:], manager, e.DN)
}
