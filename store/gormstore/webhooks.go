package gormstore

import (
	"context"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// webhookColumns are read by [scanWebhook].
const webhookColumns = `webhook.id, webhook.public_id, webhook.org_id, webhook.name, webhook.url, webhook.types, webhook.enabled,
	webhook.disabled_reason, webhook.disabled_at, webhook.secret, webhook.old_secret, webhook.old_secret_until, webhook.cursor,
	webhook.failing_since, webhook.failures, webhook.retry_at, webhook.revision, webhook.created_at, webhook.updated_at, webhook.fence`

func scanWebhook(r scanner) (w store.Webhook, err error) {
	err = r.Scan(&w.Key, &w.ID, &w.Org, &w.Name, &w.URL, scanJSON(&w.Types), &w.Enabled, &w.DisabledReason, scanTime(&w.DisabledAt),
		&w.Secret, &w.OldSecret, scanTime(&w.OldSecretUntil), &w.Cursor, scanTime(&w.FailingSince), &w.Failures, scanTime(&w.RetryAt),
		&w.Revision, scanTime(&w.CreatedAt), scanTime(&w.UpdatedAt), &w.Fence)
	if len(w.Types) == 0 {
		w.Types = nil
	}
	return w, err
}

// WebhookPage lists a page of the endpoints of an organization.
func (r *reader) WebhookPage(ctx context.Context, q store.WebhookQuery) (p store.Page[store.Webhook], err error) {
	limit := bounded(q.Limit)
	p.Items, err = collect(ctx, r.session, scanWebhook,
		"SELECT "+webhookColumns+" FROM webhook WHERE org_id = ? AND name_folded > ? AND deleted_at IS NULL ORDER BY name_folded LIMIT ?", q.Org, q.After, limit+1)
	if err != nil {
		return p, fmt.Errorf("list webhooks: %w", err)
	}
	if p.More = len(p.Items) > limit; p.More {
		p.Items = p.Items[:limit]
	}
	return p, nil
}

// Webhook finds an endpoint by name or id.
func (r *reader) Webhook(ctx context.Context, org store.Key, ref string) (*store.Webhook, error) {
	column, arg := byNameOrID("name_folded", ref)
	return r.webhook(ctx, ref, "org_id = ? AND "+column+" = ? AND deleted_at IS NULL", org, arg)
}

// WebhookByKey finds an endpoint by its key.
func (r *reader) WebhookByKey(ctx context.Context, key store.Key) (*store.Webhook, error) {
	return r.webhook(ctx, fmt.Sprint(key), "id = ? AND deleted_at IS NULL", key)
}

func (r *reader) webhook(ctx context.Context, ref, where string, args ...any) (*store.Webhook, error) {
	w, err := find(ctx, r.session, scanWebhook, "SELECT "+webhookColumns+" FROM webhook WHERE "+where, args...)
	if err != nil {
		return nil, notFound(err, "webhook", ref)
	}
	return &w, nil
}

// CreateWebhook writes an endpoint at revision 1.
func (t *tx) CreateWebhook(ctx context.Context, w *store.Webhook) error {
	w.Revision = 1
	types, err := jsonText(typesOf(w))
	if err == nil {
		w.Key, err = find(ctx, t.session, value[store.Key], `INSERT INTO webhook
			(public_id, org_id, name, name_folded, url, types, enabled, secret, cursor, revision, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
			w.ID, w.Org, w.Name, store.Fold(w.Name), w.URL, types, w.Enabled, w.Secret, w.Cursor, w.Revision, w.CreatedAt, w.UpdatedAt)
	}
	return savedWebhook(w, 1, err)
}

// typesOf is never null.
func typesOf(w *store.Webhook) []string {
	if w.Types == nil {
		return []string{}
	}
	return w.Types
}

// UpdateWebhook writes what a person may change but the place in the log. A worker that
// has the endpoint goes on, and loses it if it is disabled.
func (t *tx) UpdateWebhook(ctx context.Context, w *store.Webhook) error {
	types, err := jsonText(typesOf(w))
	if err != nil {
		return savedWebhook(w, 0, err)
	}
	taken := ""
	if !w.Enabled {
		taken = ", " + takeFromWorker
	}
	n, err := t.exec(ctx, `UPDATE webhook SET name = ?, name_folded = ?, url = ?, types = ?, enabled = ?, disabled_reason = ?, disabled_at = ?,
		secret = ?, old_secret = ?, old_secret_until = ?, revision = revision + 1, updated_at = ?`+taken+`
		WHERE id = ? AND org_id = ? AND revision = ? AND deleted_at IS NULL`,
		w.Name, store.Fold(w.Name), w.URL, types, w.Enabled, w.DisabledReason, w.DisabledAt, w.Secret, w.OldSecret, w.OldSecretUntil,
		w.UpdatedAt, w.Key, w.Org, w.Revision)
	if err := savedWebhook(w, n, err); err != nil {
		return err
	}
	w.Revision++
	return nil
}

func savedWebhook(w *store.Webhook, n int64, err error) error {
	switch {
	case uniqueViolation(err):
		return taken(err, "webhook", w.Name)
	case err != nil:
		return fmt.Errorf("save webhook %q: %w", w.Name, err)
	case n == 0:
		return &store.Error{Code: store.CodeStale, Message: fmt.Sprintf("webhook %q was changed by someone else", w.Name), Hint: "read it again", Resource: "webhook " + w.Name}
	}
	return nil
}

// takeFromWorker is what makes a worker's next write fail.
const takeFromWorker = "fence = fence + 1, owner = '', lease_until = NULL, retry_at = NULL, failures = 0, failing_since = NULL"

// MoveWebhook moves the place in the log.
func (t *tx) MoveWebhook(ctx context.Context, org, webhook store.Key, cursor int64, now time.Time) error {
	_, err := t.exec(ctx, "UPDATE webhook SET cursor = ?, "+takeFromWorker+" WHERE id = ? AND org_id = ?", cursor, webhook, org)
	if err == nil {
		_, err = t.exec(ctx, `UPDATE webhook_delivery SET state = 'dropped', next_attempt_at = NULL, ended_at = ?
			WHERE webhook_id = ? AND org_id = ? AND state = 'pending'`, now, webhook, org)
	}
	if err != nil {
		return fmt.Errorf("move webhook %d to cursor %d: %w", webhook, cursor, err)
	}
	return nil
}

// EnableWebhook begins again with what is pending.
func (t *tx) EnableWebhook(ctx context.Context, org, webhook store.Key, now time.Time) error {
	_, err := t.exec(ctx, "UPDATE webhook SET "+takeFromWorker+" WHERE id = ? AND org_id = ?", webhook, org)
	if err == nil {
		_, err = t.exec(ctx, "UPDATE webhook_delivery SET next_attempt_at = ?, since = NULL WHERE webhook_id = ? AND org_id = ? AND state = 'pending'", now, webhook, org)
	}
	if err != nil {
		return fmt.Errorf("enable webhook %d: %w", webhook, err)
	}
	return nil
}

// DeleteWebhook hides an endpoint and forgets its secrets. Its deliveries may be many:
// [tx.PurgeWebhooks] deletes them.
func (t *tx) DeleteWebhook(ctx context.Context, org, webhook store.Key, now time.Time) error {
	n, err := t.exec(ctx, "UPDATE webhook SET deleted_at = ?, enabled = ?, secret = ?, old_secret = NULL, "+takeFromWorker+
		" WHERE id = ? AND org_id = ? AND deleted_at IS NULL", now, false, []byte{}, webhook, org)
	if err != nil {
		return fmt.Errorf("delete webhook %d: %w", webhook, err)
	}
	if n == 0 {
		return store.Errorf(store.CodeNotFound, "webhook %d does not exist", webhook)
	}
	return nil
}

// workLeft is the condition that an enabled endpoint, which nobody holds, has something to
// be sent at the time of both arguments.
func (e *engine) workLeft() string {
	unstamped := ""
	if e.postgres {
		unstamped = " OR EXISTS (SELECT 1 FROM event AS e WHERE e.org_id = webhook.org_id AND e.seq IS NULL)"
	}
	return `enabled AND deleted_at IS NULL AND (lease_until IS NULL OR lease_until < ` + e.databaseNow() + `) AND (retry_at IS NULL OR retry_at <= ?)
		AND (EXISTS (SELECT 1 FROM event AS e WHERE e.org_id = webhook.org_id AND e.seq > webhook.cursor)` + unstamped + `
			OR EXISTS (SELECT 1 FROM webhook_delivery AS d WHERE d.webhook_id = webhook.id AND d.state = 'pending' AND d.next_attempt_at <= ? AND ` + firstPending + `))`
}

// firstPending is the condition that no other pending delivery of its resource comes
// before d.
const firstPending = `NOT EXISTS (SELECT 1 FROM webhook_delivery AS h
	WHERE h.webhook_id = d.webhook_id AND h.resource = d.resource AND h.state = 'pending' AND h.cursor < d.cursor)`

// WebhookAgenda looks whether there is something to do, and else when there is.
func (r *reader) WebhookAgenda(ctx context.Context, now time.Time) (a store.Agenda, ready, none bool, err error) {
	enabled := false
	err = r.row(ctx, "SELECT EXISTS (SELECT 1 FROM webhook WHERE enabled AND deleted_at IS NULL)").Scan(&enabled)
	if err == nil && enabled {
		err = r.row(ctx, "SELECT EXISTS (SELECT 1 FROM webhook WHERE "+r.e.workLeft()+")", now, now).Scan(&ready)
	}
	if err == nil && enabled {
		err = r.row(ctx, `SELECT min(CASE WHEN webhook.retry_at > d.next_attempt_at THEN webhook.retry_at ELSE d.next_attempt_at END)
			FROM webhook JOIN webhook_delivery AS d ON d.webhook_id = webhook.id
			WHERE webhook.enabled AND webhook.deleted_at IS NULL AND webhook.lease_until IS NULL AND d.state = 'pending' AND `+firstPending).Scan(scanTime(&a.Next))
	}
	if err == nil {
		a.Held, a.Lapse, err = r.lapse(ctx, "webhook")
	}
	if err != nil {
		return a, false, false, fmt.Errorf("look for webhooks to serve: %w", err)
	}
	return a, ready, !enabled, nil
}

// ClaimWebhooks takes endpoints with something to do, any of them: of more than there is
// room for, each gets its turn.
func (t *tx) ClaimWebhooks(ctx context.Context, owner string, lease time.Duration, now time.Time, limit int) ([]store.Webhook, error) {
	lock := ""
	if t.e.postgres {
		lock = " FOR UPDATE SKIP LOCKED"
	}
	list, err := collect(ctx, t.session, scanWebhook,
		"WITH taken AS MATERIALIZED (SELECT id FROM webhook WHERE "+t.e.workLeft()+" ORDER BY random() LIMIT ?"+lock+
			") UPDATE webhook SET owner = ?, fence = fence + 1, lease_until = "+t.e.leaseEnd()+
			" FROM taken WHERE webhook.id = taken.id RETURNING "+webhookColumns,
		now, now, bounded(limit), owner, lease.Microseconds())
	if err != nil {
		return nil, fmt.Errorf("claim webhooks: %w", err)
	}
	return list, nil
}

// RenewWebhooks puts off the end of leases.
func (t *tx) RenewWebhooks(ctx context.Context, owner string, keys []store.Key, lease time.Duration) error {
	among, arg := t.among(keys64(keys))
	_, err := t.exec(ctx, "UPDATE webhook SET lease_until = "+t.e.leaseEnd()+" WHERE lease_until IS NOT NULL AND owner = ? AND id"+among,
		lease.Microseconds(), owner, arg)
	if err != nil {
		return fmt.Errorf("renew the leases of webhooks: %w", err)
	}
	return nil
}

// ReleaseWebhooks gives back what an owner holds.
func (t *tx) ReleaseWebhooks(ctx context.Context, owner string) error {
	_, err := t.exec(ctx, "UPDATE webhook SET owner = '', lease_until = NULL WHERE lease_until IS NOT NULL AND owner = ?", owner)
	if err != nil {
		return fmt.Errorf("give webhooks back: %w", err)
	}
	return nil
}

// Backlog counts what is not delivered.
func (r *reader) Backlog(ctx context.Context) (b store.Backlog, err error) {
	err = r.row(ctx, "SELECT count(CASE WHEN enabled THEN 1 END), count(CASE WHEN NOT enabled THEN 1 END) FROM webhook WHERE deleted_at IS NULL").
		Scan(&b.Enabled, &b.Disabled)
	var pending, unread time.Time
	if err == nil {
		err = r.row(ctx, `SELECT count(*), min(d.created_at) FROM webhook_delivery AS d JOIN webhook ON webhook.id = d.webhook_id
			WHERE d.state = 'pending' AND webhook.enabled AND webhook.deleted_at IS NULL`).Scan(&b.Pending, scanTime(&pending))
	}
	if err == nil { // what fits none of an endpoint's types is behind its cursor at the next look
		err = r.row(ctx, `SELECT min((SELECT e.time FROM event AS e WHERE e.org_id = webhook.org_id AND e.seq > webhook.cursor ORDER BY e.seq LIMIT 1))
			FROM webhook WHERE enabled AND deleted_at IS NULL`).Scan(scanTime(&unread))
	}
	if err != nil {
		return b, fmt.Errorf("look how far webhooks are behind: %w", err)
	}
	b.Oldest = pending
	if b.Oldest.IsZero() || !unread.IsZero() && unread.Before(b.Oldest) {
		b.Oldest = unread
	}
	return b, nil
}
