package gormstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/provost-scim/provost/store"
)

// mailColumns are read by [scanMail].
const mailColumns = `mail.id, mail.public_id, mail.org_id, mail.directory_id, mail.kind, mail.recipient, mail.resource, mail.dedupe_key, mail.data,
	mail.state, mail.attempts, mail.next_attempt_at, mail.owner, mail.fence, mail.last_error, mail.created_at, mail.sent_at`

func scanMail(r scanner) (m store.Mail, err error) {
	var data string
	err = r.Scan(&m.Key, &m.ID, &m.Org, &m.Directory, &m.Kind, &m.Recipient, &m.Resource, &m.Dedupe, &data,
		&m.State, &m.Attempts, scanTime(&m.NextAttemptAt), &m.Owner, &m.Fence, &m.LastError, scanTime(&m.CreatedAt), scanTime(&m.SentAt))
	m.Data = []byte(data)
	return m, err
}

// Mails lists the mails about a record.
func (r *reader) Mails(ctx context.Context, org store.Key, resource store.ID) ([]store.Mail, error) {
	list, err := collect(ctx, r.session, scanMail,
		"SELECT "+mailColumns+" FROM mail WHERE mail.resource = ? AND mail.org_id = ? ORDER BY mail.id LIMIT ?", string(resource), org, maxPage)
	if err != nil {
		return nil, fmt.Errorf("list mails: %w", err)
	}
	return list, nil
}

// MailCounts counts all mails by state.
func (r *reader) MailCounts(ctx context.Context) (map[store.MailState]int, error) {
	counts := make(map[store.MailState]int, len(store.MailStates))
	err := r.each(ctx, func(row scanner) error {
		var state store.MailState
		var n int
		err := row.Scan(&state, &n)
		counts[state] = n
		return err
	}, "SELECT state, count(*) FROM mail GROUP BY state")
	if err != nil {
		return nil, fmt.Errorf("count mails: %w", err)
	}
	return counts, nil
}

// OldestMail looks at the end of an index.
func (r *reader) OldestMail(ctx context.Context) (oldest time.Time, err error) {
	if err := r.row(ctx, "SELECT min(created_at) FROM mail WHERE state = 'queued'").Scan(scanTime(&oldest)); err != nil {
		return oldest, fmt.Errorf("look for the oldest mail: %w", err)
	}
	return oldest, nil
}

// MailAgenda finds the earliest attempt, kind by kind as the index has it, and the
// first end of a lease.
func (r *reader) MailAgenda(ctx context.Context) (a store.Agenda, err error) {
	for _, kind := range []store.MailKind{store.MailRunHeld, store.MailWelcome} {
		var next time.Time
		err := r.row(ctx, "SELECT min(next_attempt_at) FROM mail WHERE state = 'queued' AND kind = ? AND lease_until IS NULL", string(kind)).Scan(scanTime(&next))
		if err != nil {
			return a, fmt.Errorf("look for the next mail: %w", err)
		}
		if a.Next.IsZero() || !next.IsZero() && next.Before(a.Next) {
			a.Next = next
		}
	}
	a.Held, a.Lapse, err = r.lapse(ctx, "mail")
	return a, err
}

// lapse is how long it takes until the first lease of a table runs out, if there is one.
func (r *reader) lapse(ctx context.Context, table string) (held bool, d time.Duration, err error) {
	left := "min(lease_until) - " + r.e.databaseNow()
	if r.e.postgres {
		left = "CAST(extract(epoch FROM " + left + ") * 1000000 AS bigint)"
	}
	var micros *int64
	if err := r.row(ctx, "SELECT "+left+" FROM "+table+" WHERE lease_until IS NOT NULL").Scan(&micros); err != nil {
		return false, 0, fmt.Errorf("look for leases of a %s: %w", table, err)
	}
	if micros == nil {
		return false, 0, nil
	}
	return true, time.Duration(*micros) * time.Microsecond, nil
}

var mailInsert = []string{
	"public_id", "org_id", "directory_id", "kind", "recipient", "resource", "dedupe_key", "data", "next_attempt_at", "created_at",
}

func mailRow(m *store.Mail) []any {
	id, data := m.ID, string(m.Data)
	if id == "" {
		id = store.NewID(m.CreatedAt)
	}
	if data == "" {
		data = "{}"
	}
	return []any{id, m.Org, m.Directory, string(m.Kind), m.Recipient, string(m.Resource), m.Dedupe, data, m.NextAttemptAt, m.CreatedAt}
}

// mails queues those of a change set, which are new with the records that they are
// about.
func (w *writes) mails(list []store.Mail) {
	rows := make([][]any, len(list))
	for i := range list {
		rows[i] = mailRow(&list[i])
	}
	w.insert("mail", mailInsert, rows)
	w.queued = w.queued || len(list) > 0
}

// QueueMails queues mails that may have been queued before.
func (t *tx) QueueMails(ctx context.Context, mails []store.Mail) error {
	rows := make([][]any, len(mails))
	for i := range mails {
		rows[i] = mailRow(&mails[i])
	}
	if err := t.insertRows(ctx, "mail", mailInsert, rows, " ON CONFLICT (dedupe_key, org_id) DO NOTHING"); err != nil {
		return fmt.Errorf("queue mails: %w", err)
	}
	t.queued = t.queued || len(mails) > 0
	return nil
}

// ClaimMails takes mails that are due. A mail whose row is locked is in good hands.
func (t *tx) ClaimMails(ctx context.Context, owner string, lease time.Duration, now time.Time, limit int) ([]store.Mail, error) {
	list, err := t.takeMails(ctx,
		"owner = ?, fence = fence + 1, lease_until = "+t.e.leaseEnd(), []any{owner, lease.Microseconds()},
		"state = 'queued' AND next_attempt_at <= ? AND (lease_until IS NULL OR lease_until < "+t.e.databaseNow()+") ORDER BY kind, next_attempt_at, id",
		[]any{now}, limit)
	if err != nil {
		return nil, fmt.Errorf("claim mails: %w", err)
	}
	slices.SortFunc(list, func(a, b store.Mail) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), a.NextAttemptAt.Compare(b.NextAttemptAt), cmp.Compare(a.Key, b.Key))
	})
	return list, nil
}

// takeMails changes mails that nobody else is just changing, and returns them as they
// are then.
func (t *tx) takeMails(ctx context.Context, set string, setArgs []any, where string, whereArgs []any, limit int) ([]store.Mail, error) {
	lock := ""
	if t.e.postgres {
		lock = " FOR UPDATE SKIP LOCKED"
	}
	args := append(append(append([]any{}, whereArgs...), bounded(limit)), setArgs...)
	return collect(ctx, t.session, scanMail,
		"WITH taken AS MATERIALIZED (SELECT id FROM mail WHERE "+where+" LIMIT ?"+lock+
			") UPDATE mail SET "+set+" FROM taken WHERE mail.id = taken.id RETURNING "+mailColumns, args...)
}

// RenewMails puts off the end of leases.
func (t *tx) RenewMails(ctx context.Context, owner string, lease time.Duration) error {
	_, err := t.exec(ctx, "UPDATE mail SET lease_until = "+t.e.leaseEnd()+" WHERE lease_until IS NOT NULL AND owner = ?", lease.Microseconds(), owner)
	if err != nil {
		return fmt.Errorf("renew the leases of mails: %w", err)
	}
	return nil
}

// ReleaseMails gives back what is only claimed.
func (t *tx) ReleaseMails(ctx context.Context, owner string) error {
	_, err := t.exec(ctx, "UPDATE mail SET owner = '', lease_until = NULL WHERE lease_until IS NOT NULL AND owner = ? AND state = 'queued'", owner)
	if err != nil {
		return fmt.Errorf("give mails back: %w", err)
	}
	return nil
}

// BeginMail marks a mail as being handed over.
func (t *tx) BeginMail(ctx context.Context, m *store.Mail, lease time.Duration) error {
	n, err := t.exec(ctx, "UPDATE mail SET state = 'sending', lease_until = "+t.e.leaseEnd()+
		" WHERE id = ? AND fence = ? AND state = 'queued' AND owner <> ''", lease.Microseconds(), m.Key, m.Fence)
	return changedMail(m, n, err)
}

// SaveMail writes what became of a mail and ends the lease.
func (t *tx) SaveMail(ctx context.Context, m *store.Mail) error {
	n, err := t.exec(ctx, `UPDATE mail SET state = ?, attempts = ?, next_attempt_at = ?, last_error = ?, sent_at = ?, owner = '', lease_until = NULL
		WHERE id = ? AND fence = ? AND (owner <> '' OR state = 'uncertain')`,
		string(m.State), m.Attempts, m.NextAttemptAt, m.LastError, m.SentAt, m.Key, m.Fence)
	return changedMail(m, n, err)
}

func changedMail(m *store.Mail, n int64, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("save mail %s: %w", m.ID, err)
	case n == 0:
		return store.Errorf(store.CodeStale, "mail %s is in the hands of another worker, or is gone", m.ID)
	}
	return nil
}

// LapseMails finds mails whose worker died while it handed them over.
func (t *tx) LapseMails(ctx context.Context, limit int) ([]store.Mail, error) {
	list, err := t.takeMails(ctx, "state = 'uncertain', owner = '', lease_until = NULL", nil,
		"state = 'sending' AND lease_until < "+t.e.databaseNow()+" ORDER BY id", nil, limit)
	if err != nil {
		return nil, fmt.Errorf("look for mails whose worker died: %w", err)
	}
	return list, nil
}

// ExpireMails gives up mails that are too old.
func (t *tx) ExpireMails(ctx context.Context, before time.Time, limit int) ([]store.Mail, error) {
	list, err := t.takeMails(ctx, "state = 'failed', owner = '', lease_until = NULL", nil,
		"state = 'queued' AND created_at < ? AND (lease_until IS NULL OR lease_until < "+t.e.databaseNow()+") ORDER BY created_at", []any{before}, limit)
	if err != nil {
		return nil, fmt.Errorf("give mails up: %w", err)
	}
	return list, nil
}

// PurgeMails deletes mails that are done. A mail without an end stays, whatever its age.
func (t *tx) PurgeMails(ctx context.Context, before time.Time, limit int) ([]store.Mail, error) {
	lock := ""
	if t.e.postgres {
		lock = " FOR UPDATE SKIP LOCKED"
	}
	list, err := collect(ctx, t.session, scanMail, "SELECT "+mailColumns+
		" FROM mail WHERE created_at < ? AND state IN ('sent', 'failed', 'uncertain') ORDER BY id LIMIT ?"+lock, before, bounded(limit))
	if err == nil && len(list) > 0 {
		keys := make([]store.Key, len(list))
		for i := range list {
			keys[i] = list[i].Key
		}
		f, arg := t.keys(keys)
		_, err = t.exec(ctx, "DELETE FROM mail WHERE id IN (SELECT v FROM "+f+" AS k)", arg)
	}
	if err != nil {
		return nil, fmt.Errorf("purge mails: %w", err)
	}
	return list, nil
}
