package gormstore

import (
	"context"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// deliveryColumns are read by [scanDelivery].
const deliveryColumns = `d.id, d.public_id, d.org_id, d.webhook_id, d.cursor, d.event_id, d.type, d.resource, d.state, d.attempts,
	d.next_attempt_at, d.since, d.created_at, d.ended_at, d.tries`

func scanDelivery(r scanner) (d store.Delivery, err error) {
	err = r.Scan(&d.Key, &d.ID, &d.Org, &d.Webhook, &d.Cursor, &d.Event, &d.Type, &d.Resource, &d.State, &d.Attempts,
		scanTime(&d.NextAttemptAt), scanTime(&d.Since), scanTime(&d.CreatedAt), scanTime(&d.EndedAt), scanJSON(&d.Tries))
	return d, err
}

// Deliveries lists what was delivered to an endpoint, and what is to be.
func (r *reader) Deliveries(ctx context.Context, q store.DeliveryQuery) ([]store.Delivery, error) {
	where, args := "d.org_id = ? AND d.webhook_id = ?", []any{q.Org, q.Webhook}
	if q.State != "" {
		where, args = where+" AND d.state = ?", append(args, string(q.State))
	}
	if q.Before != 0 {
		where, args = where+" AND d.cursor < ?", append(args, q.Before)
	}
	list, err := collect(ctx, r.session, scanDelivery,
		"SELECT "+deliveryColumns+" FROM webhook_delivery AS d WHERE "+where+" ORDER BY d.cursor DESC LIMIT ?", append(args, bounded(q.Limit))...)
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return list, nil
}

// Delivery finds one delivery.
func (r *reader) Delivery(ctx context.Context, org, webhook store.Key, id store.ID) (*store.Delivery, error) {
	if !store.ValidID(string(id)) {
		return nil, noDelivery(id)
	}
	d, err := find(ctx, r.session, scanDelivery,
		"SELECT "+deliveryColumns+" FROM webhook_delivery AS d WHERE d.public_id = ? AND d.webhook_id = ? AND d.org_id = ?", id, webhook, org)
	if err != nil {
		return nil, notFound(err, "delivery", string(id))
	}
	return &d, nil
}

func noDelivery(id store.ID) error {
	return store.Errorf(store.CodeNotFound, "delivery %q does not exist", id)
}

// DueDeliveries finds what is to be tried now.
func (r *reader) DueDeliveries(ctx context.Context, webhook store.Key, now time.Time, limit int) ([]store.Delivery, error) {
	list, err := collect(ctx, r.session, scanDelivery, "SELECT "+deliveryColumns+` FROM webhook_delivery AS d
		WHERE d.webhook_id = ? AND d.state = 'pending' AND (SELECT h.next_attempt_at FROM webhook_delivery AS h
			WHERE h.webhook_id = d.webhook_id AND h.resource = d.resource AND h.state = 'pending' ORDER BY h.cursor LIMIT 1) <= ?
		ORDER BY d.cursor LIMIT ?`, webhook, now, bounded(limit))
	if err != nil {
		return nil, fmt.Errorf("look for deliveries that are due: %w", err)
	}
	return list, nil
}

// PendingDeliveries counts, and says what is held.
func (r *reader) PendingDeliveries(ctx context.Context, webhook store.Key, resources []store.ID) (n int, held map[store.ID]bool, err error) {
	if err := r.row(ctx, "SELECT count(*) FROM webhook_delivery WHERE webhook_id = ? AND state = 'pending'", webhook).Scan(&n); err != nil {
		return 0, nil, fmt.Errorf("count pending deliveries: %w", err)
	}
	held = map[store.ID]bool{}
	if n == 0 || len(resources) == 0 {
		return n, held, nil
	}
	texts := make([]string, len(resources))
	for i, id := range resources {
		texts[i] = string(id)
	}
	among, arg := r.amongTexts(texts, "text")
	err = r.each(ctx, func(row scanner) error {
		var id store.ID
		err := row.Scan(&id)
		held[id] = true
		return err
	}, "SELECT DISTINCT resource FROM webhook_delivery WHERE webhook_id = ? AND state = 'pending' AND resource"+among, webhook, arg)
	if err != nil {
		return 0, nil, fmt.Errorf("look which resources are held: %w", err)
	}
	return n, held, nil
}

// EventsAt finds events by their cursors.
func (r *reader) EventsAt(ctx context.Context, org store.Key, cursors []int64) ([]store.Event, error) {
	among, arg := r.among(cursors)
	list, err := collect(ctx, r.session, scanEvent, "SELECT "+eventColumns+" FROM event WHERE org_id = ? AND seq"+among+" ORDER BY seq", org, arg)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return list, nil
}

// Redeliver makes a delivery pending again.
func (t *tx) Redeliver(ctx context.Context, org, webhook store.Key, id store.ID, now time.Time) error {
	if !store.ValidID(string(id)) {
		return noDelivery(id)
	}
	n, err := t.exec(ctx, `UPDATE webhook_delivery SET state = 'pending', next_attempt_at = ?, since = NULL, ended_at = NULL
		WHERE public_id = ? AND webhook_id = ? AND org_id = ?`, now, id, webhook, org)
	if err != nil {
		return fmt.Errorf("redeliver %s: %w", id, err)
	}
	if n == 0 {
		return noDelivery(id)
	}
	return nil
}

// SavePass writes the place of an endpoint and its deliveries, if its worker still has
// it.
func (t *tx) SavePass(ctx context.Context, p *store.Pass) error {
	set, args := "cursor = ?, failing_since = ?, failures = ?, retry_at = ?", []any{p.Cursor, p.FailingSince, p.Failures, p.RetryAt}
	if p.Disable != "" {
		set, args = set+", enabled = ?, disabled_reason = ?, disabled_at = ?, revision = revision + 1", append(args, false, p.Disable, p.Now)
	}
	if p.Release {
		set += ", owner = '', lease_until = NULL"
	}
	n, err := t.exec(ctx, "UPDATE webhook SET "+set+" WHERE id = ? AND fence = ? AND owner <> '' AND enabled AND deleted_at IS NULL",
		append(args, p.Webhook, p.Fence)...)
	if err != nil {
		return fmt.Errorf("save the pass of webhook %d: %w", p.Webhook, err)
	}
	if n == 0 {
		return store.Errorf(store.CodeStale, "webhook %d is in the hands of another worker, or was changed", p.Webhook)
	}
	rows := make([][]any, len(p.Deliveries))
	for i := range p.Deliveries {
		d := &p.Deliveries[i]
		if d.ID == "" {
			d.ID = store.NewID(p.Now)
		}
		tries := d.Tries
		if tries == nil {
			tries = []store.Attempt{}
		}
		text, err := jsonText(tries)
		if err != nil {
			return fmt.Errorf("save a delivery: %w", err)
		}
		rows[i] = []any{
			d.ID, d.Org, p.Webhook, d.Cursor, d.Event, d.Type, string(d.Resource), string(d.State), d.Attempts, d.NextAttemptAt, d.Since,
			d.CreatedAt, d.EndedAt, text,
		}
	}
	// An event is sent again where the place was moved back: its row tells of the last time.
	err = t.insertRows(ctx, "webhook_delivery", []string{
		"public_id", "org_id", "webhook_id", "cursor", "event_id", "type", "resource", "state", "attempts", "next_attempt_at", "since",
		"created_at", "ended_at", "tries",
	}, rows, ` ON CONFLICT (webhook_id, cursor) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,
		next_attempt_at = excluded.next_attempt_at, since = excluded.since, ended_at = excluded.ended_at, tries = excluded.tries`)
	if err == nil && p.Recovered {
		_, err = t.exec(ctx, "UPDATE webhook_delivery SET next_attempt_at = ? WHERE webhook_id = ? AND state = 'pending' AND next_attempt_at > ?", p.Now, p.Webhook, p.Now)
	}
	if err != nil {
		return fmt.Errorf("save deliveries: %w", err)
	}
	return nil
}

// PurgeWebhooks deletes old deliveries, those of deleted endpoints, and these last.
func (t *tx) PurgeWebhooks(ctx context.Context, before time.Time, limit int) (int, error) {
	lock := ""
	if t.e.postgres {
		lock = " FOR UPDATE SKIP LOCKED"
	}
	limit = bounded(limit)
	n, err := t.exec(ctx, `DELETE FROM webhook_delivery WHERE id IN (
		SELECT id FROM webhook_delivery WHERE state <> 'pending' AND created_at < ? LIMIT ?`+lock+")", before, limit)
	if err == nil && n < int64(limit) {
		var more int64
		more, err = t.exec(ctx, `DELETE FROM webhook_delivery WHERE id IN (
			SELECT d.id FROM webhook_delivery AS d JOIN webhook AS w ON w.id = d.webhook_id WHERE w.deleted_at IS NOT NULL LIMIT ?)`, int64(limit)-n)
		n += more
	}
	if err == nil && n < int64(limit) {
		_, err = t.exec(ctx, `DELETE FROM webhook WHERE deleted_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM webhook_delivery AS d WHERE d.webhook_id = webhook.id)`)
	}
	if err != nil {
		return 0, fmt.Errorf("purge webhooks: %w", err)
	}
	return int(n), nil
}
