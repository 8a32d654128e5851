package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/provost-scim/provost/store"
)

// maxPage bounds every list that a caller limits.
const maxPage = 10_000

func bounded(limit int) int {
	if limit <= 0 || limit > maxPage {
		return maxPage
	}
	return limit
}

// wantsWorker reports whether a run is in a worker's hands or waits for one, rather
// than for a person or for nothing.
func wantsWorker(r *store.Run) bool {
	switch r.State {
	case store.RunPlanned:
		return r.Phase != store.PhaseReady
	case store.RunRunning:
		return true
	}
	return false
}

// runs is a query of runs with the names of their directories.
func (r *reader) runs(ctx context.Context) *gorm.DB {
	return r.orm(ctx).Select("run.*, directory.name AS directory_name").
		Joins("JOIN directory ON directory.id = run.directory_id")
}

func takeRun(q *gorm.DB, ref string) (*store.Run, error) {
	var row runRow
	if err := q.Take(&row).Error; err != nil {
		return nil, notFound(err, "run", ref)
	}
	r := row.record()
	return &r, nil
}

// Run finds a run by ID.
func (r *reader) Run(ctx context.Context, org store.Key, ref store.ID) (*store.Run, error) {
	if !store.ValidID(string(ref)) {
		return nil, store.Errorf(store.CodeNotFound, "run %q does not exist", ref)
	}
	return takeRun(r.runs(ctx).Where("run.org_id = ? AND run.public_id = ?", org, ref), string(ref))
}

// RunByKey finds a run by its key.
func (r *reader) RunByKey(ctx context.Context, key store.Key) (*store.Run, error) {
	return takeRun(r.runs(ctx).Where("run.id = ?", key), fmt.Sprint(key))
}

// Runs lists runs, the newest first.
func (r *reader) Runs(ctx context.Context, q store.RunQuery) ([]store.Run, error) {
	list := r.runs(ctx).Where("run.org_id = ?", q.Org).Order("run.id DESC").Limit(bounded(q.Limit))
	if q.Directory != nil {
		list = list.Where("run.directory_id = ?", *q.Directory)
	}
	if q.Before != 0 {
		list = list.Where("run.id < ?", q.Before)
	}
	if q.State != "" {
		list = list.Where("run.state = ?", q.State)
	}
	if !q.From.IsZero() {
		list = list.Where("run.created_at >= ?", r.e.moment(q.From))
	}
	if !q.Until.IsZero() {
		list = list.Where("run.created_at < ?", r.e.moment(q.Until))
	}
	if q.Complete {
		list = list.Where("NOT run.incremental AND run.selection IS NULL")
	}
	var rows []runRow
	if err := list.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return records(rows), nil
}

// Due lists the directories that a schedule may pull. A plan that nobody ran is no
// run.
func (r *reader) Due(ctx context.Context, only store.Key) ([]store.Due, error) {
	var rows []struct {
		Directory directoryRow `gorm:"embedded"`
		LastRun   moment
	}
	err := r.orm(ctx).Model(&directoryRow{}).
		Select(`directory.*, (SELECT coalesce(run.started_at, run.created_at) FROM run
			WHERE run.directory_id = directory.id AND (run.apply OR run.approved) AND run.selection IS NULL ORDER BY run.id DESC LIMIT 1) AS last_run`).
		Where("kind = ? AND (id = ? OR ? = 0)", store.DirectoryLDAP, only, only).Order("id").Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list directories to pull: %w", err)
	}
	out := make([]store.Due, len(rows))
	for i, row := range rows {
		out[i] = store.Due{Directory: row.Directory.record(), LastRun: row.LastRun.Time}
	}
	return out, nil
}

// DirectoryStates asks for all directories at once.
func (r *reader) DirectoryStates(ctx context.Context) ([]store.DirectoryState, error) {
	states, err := collect(ctx, r.session, func(row scanner) (d store.DirectoryState, err error) {
		return d, row.Scan(&d.Organization, &d.Directory, &d.Kind, scanTime(&d.SyncedAt), &d.Held)
	}, `SELECT organization.name, directory.name, directory.kind, directory.synced_at,
			(SELECT count(*) FROM run WHERE run.directory_id = directory.id AND run.state = 'held')
		FROM directory JOIN organization ON organization.id = directory.org_id
		ORDER BY directory.id LIMIT ?`, maxPage)
	if err != nil {
		return nil, fmt.Errorf("ask how directories stand: %w", err)
	}
	return states, nil
}

// CreateRun writes a run, unless another one of the directory is active.
func (t *tx) CreateRun(ctx context.Context, r *store.Run) error {
	row := newRunRow(r)
	if err := t.orm(ctx).Create(row).Error; err != nil {
		if activeRun(err) {
			return anotherRun(err)
		}
		return fmt.Errorf("create a run: %w", err)
	}
	r.Key = row.ID
	return nil
}

func activeRun(err error) bool { return violates(err, "run", "run_active", "directory_id") }

func anotherRun(err error) *store.Error {
	return &store.Error{
		Code: store.CodeConflict, Message: "another run of this directory is going on", Hint: "wait until it has ended", Err: err,
	}
}

// databaseNow is the database's clock, by which leases run out: the clocks of workers
// differ.
func (e *engine) databaseNow() string {
	if e.postgres {
		return "clock_timestamp()"
	}
	return "CAST(unixepoch('subsec') * 1000000 AS integer)"
}

// leaseEnd is when a lease that begins now ends; its argument is in microseconds.
func (e *engine) leaseEnd() string {
	if e.postgres {
		return "clock_timestamp() + CAST(? AS bigint) * interval '1 microsecond'"
	}
	return e.databaseNow() + " + ?"
}

// ClaimRun takes the oldest run that nobody has. A run whose row is locked is in good
// hands, whatever its lease says.
func (t *tx) ClaimRun(ctx context.Context, owner string, lease time.Duration) (*store.Run, error) {
	lock := ""
	if t.e.postgres {
		lock = " FOR UPDATE SKIP LOCKED"
	}
	key, err := find(ctx, t.session, value[store.Key],
		"UPDATE run SET owner = ?, fence = fence + 1, lease_until = "+t.e.leaseEnd()+
			" WHERE id = (SELECT id FROM run WHERE active AND (lease_until IS NULL OR lease_until < "+t.e.databaseNow()+
			") ORDER BY id LIMIT 1"+lock+") RETURNING id",
		owner, lease.Microseconds())
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("claim a run: %w", err)
	}
	return t.RunByKey(ctx, key)
}

// RenewLease puts off the end of a lease.
func (t *tx) RenewLease(ctx context.Context, l store.Lease, lease time.Duration) error {
	n, err := t.exec(ctx, "UPDATE run SET lease_until = "+t.e.leaseEnd()+" WHERE id = ? AND fence = ? AND active AND owner <> ''",
		lease.Microseconds(), l.Run, l.Fence)
	if err != nil {
		return fmt.Errorf("renew the lease of run %d: %w", l.Run, err)
	}
	if n == 0 {
		return leaseLost(l)
	}
	return nil
}

func leaseLost(l store.Lease) *store.Error {
	return store.Errorf(store.CodeStale, "run %d was taken over by another worker, or has ended", l.Run)
}

// HoldRun locks a run that the lease holds. Its transaction does not wait for the log
// unless it ends the run's work: what waits later brings all of this to disk too, and a
// run that a crash of the database sets back goes on from where the log ended. Nor are
// its statements compiled, which would take longer than running them.
func (t *tx) HoldRun(ctx context.Context, l store.Lease) (*store.Run, error) {
	list := []statement{{
		query: "UPDATE run SET writes = writes + 1 WHERE id = ? AND fence = ? AND owner <> ''", args: []any{l.Run, l.Fence}, want: -1,
	}}
	if t.e.postgres {
		list = append(list, statement{query: "SELECT set_config('synchronous_commit', 'off', true), set_config('jit', 'off', true)", want: -1})
		t.hasty = true
	}
	if err := t.batch(ctx, list); err != nil {
		return nil, fmt.Errorf("take hold of run %d: %w", l.Run, err)
	}
	r, err := t.RunByKey(ctx, l.Run)
	if store.CodeOf(err) == store.CodeNotFound {
		return nil, leaseLost(l) // deleted with its directory
	}
	if err != nil {
		return nil, err
	}
	if r.Fence != l.Fence || r.Owner == "" {
		return nil, leaseLost(l)
	}
	return r, nil
}

// waitForLog lets the commit wait until the log is on disk, whatever HoldRun has said.
func (t *tx) waitForLog(ctx context.Context) error {
	if !t.e.postgres {
		return nil
	}
	if _, err := t.exec(ctx, "SET LOCAL synchronous_commit TO DEFAULT"); err != nil {
		return fmt.Errorf("let the commit wait for the log: %w", err)
	}
	t.hasty = false
	return nil
}

// LockRun locks a run that waits for a person; one in a worker's hands is
// [store.CodeConflict].
func (t *tx) LockRun(ctx context.Context, org store.Key, id store.ID) (*store.Run, error) {
	if !store.ValidID(string(id)) {
		return nil, store.Errorf(store.CodeNotFound, "run %q does not exist", id)
	}
	r, err := takeRun(t.lockedRuns(ctx).Where("run.org_id = ? AND run.public_id = ?", org, id), string(id))
	if err != nil {
		return nil, err
	}
	if wantsWorker(r) {
		return nil, &store.Error{
			Code: store.CodeConflict, Message: fmt.Sprintf("run %q is being worked on", id), Hint: "wait until it is planned, held or finished",
		}
	}
	return r, nil
}

func (t *tx) lockedRuns(ctx context.Context) *gorm.DB {
	return t.runs(ctx).Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate, Table: clause.Table{Name: "run"}})
}

// SaveRun writes a run that HoldRun or LockRun has locked. The lease stays as it is,
// or ends when no worker is wanted any more; a decision that starts a run while
// another of the directory is active is [store.CodeConflict].
func (t *tx) SaveRun(ctx context.Context, r *store.Run) error {
	row := newRunRow(r)
	done := t.orm(ctx).Model(row).Select("*").Omit("id", "public_id", "org_id", "directory_id", "created_at").
		Where("fence = ?", r.Fence).Updates(row)
	if activeRun(done.Error) {
		return anotherRun(done.Error)
	}
	if done.Error != nil {
		return fmt.Errorf("save run %q: %w", r.ID, done.Error)
	}
	if done.RowsAffected == 0 {
		return leaseLost(store.Lease{Run: r.Key, Fence: r.Fence})
	}
	t.moved = append(t.moved, r.ID)
	if row.Active {
		return nil
	}
	if err := t.waitForLog(ctx); err != nil {
		return err
	}
	r.Owner, r.LeaseUntil = "", time.Time{}
	if _, err := t.exec(ctx, "UPDATE run SET owner = '', lease_until = NULL WHERE id = ?", r.Key); err != nil {
		return fmt.Errorf("end the lease of run %q: %w", r.ID, err)
	}
	return nil
}

// LastRun finds the run that succeeded last. Runs of a directory end in the order of
// their keys, but for plans that were run late: so it goes by the time of the end.
func (r *reader) LastRun(ctx context.Context, directory store.Key) (last *store.Run, full time.Time, err error) {
	succeeded := func() *gorm.DB {
		return r.runs(ctx).Where("run.directory_id = ? AND run.state = ? AND run.selection IS NULL", directory, store.RunSucceeded).Order("run.finished_at DESC, run.id DESC")
	}
	last, err = takeRun(succeeded(), "last")
	if store.CodeOf(err) == store.CodeNotFound {
		return nil, full, nil
	}
	if err != nil {
		return nil, full, err
	}
	if !last.Incremental {
		return last, last.FinishedAt, nil
	}
	whole, err := takeRun(succeeded().Where("NOT run.incremental"), "last full")
	if store.CodeOf(err) == store.CodeNotFound {
		return last, full, nil
	}
	if err != nil {
		return nil, full, err
	}
	return last, whole.FinishedAt, nil
}

// ResolveStaged closes what the run has looked at and not seen.
func (t *tx) ResolveStaged(ctx context.Context, directory, run store.Key, rules []string, now time.Time) error {
	f, list := t.texts(rules)
	_, err := t.exec(ctx, `UPDATE finding SET resolved_at = ?
		WHERE directory_id = ? AND resolved_at IS NULL AND rule IN (SELECT v FROM `+f+` AS k) AND (run_id IS NULL OR run_id <> ?)
			AND record IN (SELECT stage.external_id FROM stage WHERE stage.run_id = ? AND stage.external_id <> '')`,
		now, directory, list, run, run)
	if err != nil {
		return fmt.Errorf("resolve findings of what was read: %w", err)
	}
	return nil
}

// PurgeRuns deletes old runs, with what is left of their stages.
func (t *tx) PurgeRuns(ctx context.Context, before time.Time, limit int) (int, error) {
	lock := ""
	if t.e.postgres {
		lock = " FOR UPDATE SKIP LOCKED"
	}
	n, err := t.exec(ctx, `DELETE FROM run WHERE id IN (SELECT r.id FROM run AS r
		WHERE r.finished_at < ? AND r.state IN ('succeeded', 'failed', 'discarded')
			AND r.id <> coalesce((SELECT l.id FROM run AS l WHERE l.directory_id = r.directory_id AND (l.apply OR l.approved) AND l.selection IS NULL ORDER BY l.id DESC LIMIT 1), 0)
			AND r.id <> coalesce((SELECT l.id FROM run AS l WHERE l.directory_id = r.directory_id AND l.state = 'succeeded' AND l.selection IS NULL ORDER BY l.finished_at DESC, l.id DESC LIMIT 1), 0)
			AND r.id <> coalesce((SELECT l.id FROM run AS l WHERE l.directory_id = r.directory_id AND l.state = 'succeeded' AND NOT l.incremental AND l.selection IS NULL ORDER BY l.finished_at DESC, l.id DESC LIMIT 1), 0)
		ORDER BY r.id LIMIT ?`+lock+`)`, before, bounded(limit))
	if err != nil {
		return 0, fmt.Errorf("purge runs: %w", err)
	}
	return int(n), nil
}

// ResolveFindings closes what the run has not seen.
func (t *tx) ResolveFindings(ctx context.Context, directory, run store.Key, rules []string, now time.Time) error {
	f, list := t.texts(rules)
	_, err := t.exec(ctx, `UPDATE finding SET resolved_at = ?
		WHERE directory_id = ? AND resolved_at IS NULL AND rule IN (SELECT v FROM `+f+` AS k) AND (run_id IS NULL OR run_id <> ?)`,
		now, directory, list, run)
	if err != nil {
		return fmt.Errorf("resolve findings: %w", err)
	}
	return nil
}
