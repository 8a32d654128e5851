package run

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// Plan asks for a plan of a directory, given by name or id: it is read and staged,
// and nothing changes. An older plan of the directory is discarded.
func (e *Engine) Plan(ctx context.Context, org store.Key, directory string, cause store.Cause) (*store.Run, error) {
	return e.begin(ctx, org, directory, how{}, cause)
}

// Start starts a run of a directory. With the id of a plan it applies that plan,
// which approves it (rule 6); a plan that no longer fits is [store.CodeStale].
// Without, the directory is read anew, all of it if full is set, and its waiting plans and held runs are
// discarded. While another run of the directory goes on it is
// [store.CodeConflict].
func (e *Engine) Start(ctx context.Context, org store.Key, directory string, plan store.ID, full bool, cause store.Cause) (*store.Run, error) {
	if plan == "" {
		return e.begin(ctx, org, directory, how{apply: true, full: full}, cause)
	}
	return e.decide(ctx, org, plan, func(tx store.Tx, run *store.Run) error {
		d, err := tx.Directory(ctx, org, directory)
		if err != nil {
			return err
		}
		if d.Key != run.Directory {
			return store.Errorf(store.CodeNotFound, "the directory %s has no plan %s", d.Name, plan)
		}
		switch {
		case run.State == store.RunDiscarded && !run.Apply:
			return stale("a later plan or run has replaced it")
		case run.State != store.RunPlanned:
			return conflict(run, "it is not a plan that waits to be run")
		case run.Phase != store.PhaseReady:
			return conflict(run, "the plan is still being made; wait for it")
		}
		return e.approve(ctx, tx, run, cause)
	})
}

// Approve lets a held run go on. stageHash, if given, must be that of the stage
// that the person has looked at.
func (e *Engine) Approve(ctx context.Context, org store.Key, id store.ID, stageHash string, cause store.Cause) (*store.Run, error) {
	return e.decide(ctx, org, id, func(tx store.Tx, run *store.Run) error {
		if run.State != store.RunHeld {
			return conflict(run, "only a held run can be approved")
		}
		if stageHash != "" && stageHash != run.StageHash {
			return stale("it is not what was looked at")
		}
		return e.approve(ctx, tx, run, cause)
	})
}

// Discard ends a held run or a plan without applying it.
func (e *Engine) Discard(ctx context.Context, org store.Key, id store.ID, cause store.Cause) (*store.Run, error) {
	return e.decide(ctx, org, id, func(tx store.Tx, run *store.Run) error {
		if run.State.Finished() || run.Phase != store.PhaseReady {
			return conflict(run, "only a plan or a held run can be discarded")
		}
		event, err := e.discard(ctx, tx, run, cause)
		if err != nil {
			return err
		}
		return tx.Append(ctx, []store.Event{event})
	})
}

// how a run was asked for.
type how struct {
	apply bool // a run, not a plan
	full  bool // reading everything
	only  *store.Selection
}

func (e *Engine) begin(ctx context.Context, org store.Key, directory string, as how, cause store.Cause) (run *store.Run, err error) {
	err = e.store.Update(ctx, func(tx store.Tx) error {
		d, err := tx.Directory(ctx, org, directory)
		if err != nil {
			return err
		}
		if only := as.only; only != nil && only.Import != nil && only.Import.Like != "" {
			if err := e.copyGrants(ctx, tx, org, only.Import); err != nil {
				return err
			}
		}
		run, err = e.create(ctx, tx, d, as, cause)
		return err
	})
	if err != nil {
		return nil, err
	}
	e.wake()
	return run, nil
}

// decide locks a run that waits for a person, lets fn decide on it, and returns it
// as it is then.
func (e *Engine) decide(ctx context.Context, org store.Key, id store.ID, fn func(store.Tx, *store.Run) error) (run *store.Run, err error) {
	err = e.store.Update(ctx, func(tx store.Tx) error {
		if run, err = tx.LockRun(ctx, org, id); err != nil {
			return err
		}
		return fn(tx, run)
	})
	if err != nil {
		return nil, err
	}
	e.wake()
	return run, nil
}

// lookBack bounds how many runs of a directory are looked through for those that
// still wait: each new run discards what waits, so they are among the newest.
const lookBack = 20

// create makes a run that waits for a worker, in place of those that wait for a
// person: a run replaces plans and held runs, a plan replaces plans.
func (e *Engine) create(ctx context.Context, tx store.Tx, d *store.Directory, as how, cause store.Cause) (*store.Run, error) {
	if err := pullable(d); err != nil {
		return nil, err
	}
	recent, err := tx.Runs(ctx, store.RunQuery{Org: d.Org, Directory: &d.Key, Limit: lookBack})
	if err != nil {
		return nil, err
	}
	if err := idle(recent, 0); err != nil {
		return nil, err
	}
	run := &store.Run{
		ID: store.NewID(e.now()), Org: d.Org, Directory: d.Key, DirectoryName: d.Name,
		State: store.RunPlanned, Phase: store.PhaseQueued, Apply: as.apply, Full: as.full, Selection: as.only, Cause: cause, CreatedAt: e.now(),
	}
	if as.apply {
		run.State = store.RunRunning
	}
	enter(run, store.PhaseQueued, run.CreatedAt)
	if err := tx.CreateRun(ctx, run); err != nil {
		return nil, err
	}
	events, err := e.replace(ctx, tx, recent, run, cause)
	if err != nil {
		return nil, err
	}
	if run.Apply && cause.Actor.Kind != scheduler {
		events = append(events, e.event(run, store.EventRunStarted, cause))
	}
	if len(events) > 0 {
		err = tx.Append(ctx, events)
	}
	return run, err
}

// pullable refuses a directory that pushes.
func pullable(d *store.Directory) error {
	if d.Kind != store.DirectoryLDAP || d.Settings.LDAP == nil {
		return store.Errorf(store.CodeInvalid, "directory %s is of kind %s: it pushes to us and cannot be pulled", d.Name, d.Kind)
	}
	return nil
}

// idle is [store.CodeConflict] if one of the runs other than except has a worker or
// waits for one.
func idle(runs []store.Run, except store.Key) error {
	for i := range runs {
		r := &runs[i]
		if r.Key != except && !r.State.Finished() && r.Phase != store.PhaseReady {
			e := store.Errorf(store.CodeConflict, "run %s of the directory %s is still going: one run of a directory at a time", r.ID, r.DirectoryName)
			e.Hint, e.Resource = "wait until it has finished", "run "+string(r.ID)
			return e
		}
	}
	return nil
}

// replace discards what waits for a person and has been overtaken by run.
func (e *Engine) replace(ctx context.Context, tx store.Tx, recent []store.Run, run *store.Run, cause store.Cause) ([]store.Event, error) {
	var events []store.Event
	cause.Reason = "replaced by run " + string(run.ID)
	for i := range recent {
		r := &recent[i]
		if r.Key == run.Key || r.State.Finished() || r.State == store.RunHeld && !run.Apply {
			continue
		}
		old, err := tx.LockRun(ctx, r.Org, r.ID)
		if err != nil {
			return nil, err
		}
		if old.State.Finished() || old.Phase != store.PhaseReady {
			continue
		}
		event, err := e.discard(ctx, tx, old, cause)
		if err != nil {
			return nil, err
		}
		events = append(events, event)
	}
	return events, nil
}

func (e *Engine) discard(ctx context.Context, tx store.Tx, run *store.Run, cause store.Cause) (store.Event, error) {
	held := run.State == store.RunHeld
	run.State, run.FinishedAt, run.DiscardedBy = store.RunDiscarded, e.now(), actorName(cause.Actor)
	run.Counts = store.RunCounts{} // of what would have stayed; it has done nothing
	enter(run, store.PhaseDone, run.FinishedAt)
	if err := tx.ClearStage(ctx, run.Key); err != nil {
		return store.Event{}, err
	}
	if held {
		if err := e.resolveGuard(ctx, tx, run); err != nil {
			return store.Event{}, err
		}
	}
	if err := tx.SaveRun(ctx, run); err != nil {
		return store.Event{}, err
	}
	return e.event(run, store.EventRunDiscarded, cause), nil
}

// approve lets a staged run be applied, unless what it was planned on has changed.
func (e *Engine) approve(ctx context.Context, tx store.Tx, run *store.Run, cause store.Cause) error {
	d, err := tx.DirectoryByKey(ctx, run.Directory)
	if err != nil {
		return err
	}
	policy, err := e.policyHash(ctx, tx, d)
	if err != nil {
		return err
	}
	switch {
	case d.Revision != run.Revision:
		return stale("the directory's settings have changed")
	case policy != run.PolicyHash:
		return stale("the verified domains or the cap have changed")
	}
	recent, err := tx.Runs(ctx, store.RunQuery{Org: run.Org, Directory: &run.Directory, Limit: lookBack})
	if err != nil {
		return err
	}
	if err := idle(recent, run.Key); err != nil {
		return err
	}
	staged := run.CreatedAt
	if n := len(run.Phases); n > 0 {
		staged = run.Phases[n-1].Start
	}
	for i := range recent {
		r := &recent[i]
		if r.Key != run.Key && r.Apply && (r.State == store.RunSucceeded || r.NextWindow > 0) && r.FinishedAt.After(staged) {
			return stale(fmt.Sprintf("run %s has changed the directory's records since", r.ID))
		}
	}
	run.State, run.Apply, run.Approved, run.ApprovedBy = store.RunRunning, true, true, actorName(cause.Actor)
	enter(run, store.PhaseApply, e.now())
	if err := e.resolveGuard(ctx, tx, run); err != nil {
		return err
	}
	events, err := e.replace(ctx, tx, recent, run, cause)
	if err != nil {
		return err
	}
	joined, err := e.joinScope(ctx, tx, run, cause)
	if err != nil {
		return err
	}
	if err := tx.SaveRun(ctx, run); err != nil {
		return err
	}
	return tx.Append(ctx, append(append(events, e.event(run, store.EventRunApproved, cause)), joined...))
}

// resolveGuard closes the findings that the guard opened, which the run itself saw
// last.
func (e *Engine) resolveGuard(ctx context.Context, tx store.Tx, run *store.Run) error {
	return tx.ResolveFindings(ctx, run.Directory, 0, []string{store.RuleGuard, store.RuleVanished, store.RuleHidden}, e.now())
}

func actorName(a store.Actor) string {
	switch {
	case a.Name != "":
		return a.Name
	case a.ID != "":
		return a.ID
	}
	return a.Kind
}

func stale(why string) *store.Error {
	e := store.Errorf(store.CodeStale, "plan is stale: plan again (%s)", why)
	e.Hint = "make a new plan and look at it"
	return e
}

func conflict(run *store.Run, why string) *store.Error {
	e := store.Errorf(store.CodeConflict, "run %s is %s: %s", run.ID, run.State, why)
	e.Resource = "run " + string(run.ID)
	return e
}

// enter ends the run's phase and begins another.
func enter(run *store.Run, phase store.RunPhase, now time.Time) {
	if n := len(run.Phases); n > 0 && run.Phases[n-1].Seconds == 0 {
		run.Phases[n-1].Seconds = max(now.Sub(run.Phases[n-1].Start).Seconds(), 0)
	}
	run.Phase = phase
	if phase != store.PhaseDone {
		run.Phases = append(run.Phases, store.PhaseTime{Phase: phase, Start: now})
	}
}

// runState is a run in an event's data. Fields are only ever added.
type runState struct {
	Directory string          `json:"directory"`
	State     store.RunState  `json:"state"`
	Counts    store.RunCounts `json:"counts"`
	Guard     []GuardClass    `json:"guard,omitempty"`      // of run.held: what is over the threshold
	Vanished  []Vanished      `json:"vanished,omitempty"`   // of run.held: what no entry has any more
	Hidden    []Container     `json:"hidden,omitempty"`     // of run.held: where entries may be out of sight
	Stage     string          `json:"stage_hash,omitempty"` // what a person approves or discards
	Error     string          `json:"error,omitempty"`
	Drift     *store.Drift    `json:"drift,omitempty"` // its counts, without the records
}

func (e *Engine) event(run *store.Run, typ string, cause store.Cause, why ...verdict) store.Event {
	cause.Run = run.ID
	state := runState{Directory: run.DirectoryName, State: run.State, Counts: run.Counts, Stage: run.StageHash, Error: run.Error}
	if d := run.Drift; d != nil && typ == store.EventRunSucceeded {
		state.Drift = &store.Drift{Users: d.Users, Groups: d.Groups, Unknown: d.Unknown}
	}
	for _, v := range why {
		state.Guard, state.Vanished, state.Hidden = v.over, v.vanished, v.hidden
	}
	data, err := json.Marshal(state)
	if err != nil {
		panic(err) // runState is made of plain values
	}
	return store.Event{
		Org: run.Org, Directory: run.Directory, Type: typ, Version: store.EventVersion,
		Kind: "Run", Resource: run.ID, Cause: cause, Data: data, Time: e.now(),
	}
}
