package gormstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// redacted is the data of an event that told of a user who was purged.
const redacted = `{"redacted":true}`

// departed is one soft-deleted record to be deleted for good.
type departed struct {
	key, org, directory store.Key
	id                  store.ID
}

// Purge deletes users and groups that were soft-deleted before a time. Their edges
// and values go with their rows; none of them counts for effective membership any
// more, so nothing else follows.
func (t *tx) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	var events []store.Event
	now := t.e.now()
	left := bounded(limit)
	for _, kind := range []store.Kind{store.KindGroup, store.KindUser} { // the order of locks
		list, err := t.purge(ctx, kind, before, left)
		if err != nil {
			return 0, err
		}
		left -= len(list)
		for _, d := range list {
			typ := store.EventUserPurged
			if kind == store.KindGroup {
				typ = store.EventGroupPurged
			}
			events = append(events, store.Event{
				Org: d.org, Directory: d.directory, Type: typ, Kind: string(kind), Resource: d.id, Data: json.RawMessage("{}"), Time: now,
				Cause: store.Cause{Actor: store.Actor{Kind: "system"}, Reason: "retention"},
			})
		}
		if left == 0 {
			break
		}
	}
	if len(events) == 0 {
		return 0, nil
	}
	return len(events), t.Append(ctx, events)
}

func (t *tx) purge(ctx context.Context, kind store.Kind, before time.Time, limit int) ([]departed, error) {
	table := tableOf(kind)
	lock := ""
	if t.e.postgres { // one that is just being restored is not waited for
		lock = " FOR UPDATE SKIP LOCKED"
	}
	list, err := collect(ctx, t.session, func(r scanner) (d departed, err error) {
		err = r.Scan(&d.key, &d.org, scanKey(&d.directory), &d.id)
		return d, err
	}, "SELECT id, org_id, directory_id, public_id FROM "+table+" WHERE deleted_at IS NOT NULL AND deleted_at < ? ORDER BY id LIMIT ?"+lock, before, limit)
	if err != nil {
		return nil, fmt.Errorf("look for %s to purge: %w", table, err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	keys := make([]store.Key, len(list))
	ids := make([]string, len(list))
	for i, d := range list {
		keys[i], ids[i] = d.key, string(d.id)
	}
	f, arg := t.keys(keys)
	in := " IN (SELECT v FROM " + f + " AS k)"
	column := "user_id"
	if kind == store.KindGroup {
		column = "group_id"
	}
	if kind == store.KindUser {
		if err := t.purgeGrants(ctx, list); err != nil {
			return nil, err
		}
	}
	w := &writes{tx: t, what: "purge " + table}
	w.add(
		statement{query: "DELETE FROM effective WHERE " + column + in, args: []any{arg}, want: -1},
		statement{query: "DELETE FROM " + table + " WHERE id" + in, args: []any{arg}, want: int64(len(list))},
	)
	if kind == store.KindUser { // events of groups hold ids only, and the group's own name
		f, arg := t.texts(ids)
		w.add(statement{
			query: "DELETE FROM mail WHERE resource IN (SELECT v FROM " + f + " AS k)",
			args:  []any{arg}, want: -1,
		}, statement{ // an endpoint may have answered with what it was sent
			query: "UPDATE webhook_delivery SET tries = '[]' WHERE state <> 'pending' AND resource IN (SELECT v FROM " + f + " AS k)",
			args:  []any{arg}, want: -1,
		}, statement{
			query: "UPDATE event SET data = ? WHERE kind = ? AND resource IN (SELECT v FROM " + f + " AS k)",
			args:  []any{redacted, string(kind), arg}, want: -1,
		})
	}
	return list, w.flush(ctx)
}

// purgeGrants takes what purged users were still granted, so that licences return to
// their pools. Other grants would go with their rows.
func (t *tx) purgeGrants(ctx context.Context, users []departed) error {
	of := map[store.Key][]store.Key{}
	for _, u := range users {
		of[u.org] = append(of[u.org], u.key)
	}
	for _, org := range sorted(of) {
		f, arg := t.keys(of[org])
		list, err := collect(ctx, t.session, func(row scanner) (g grantOf, err error) {
			err = row.Scan(&g.entitlement)
			return g, err
		}, "DELETE FROM user_grant WHERE org_id = ? AND user_id IN (SELECT v FROM "+f+" AS k) RETURNING entitlement_id", org, arg)
		if err != nil {
			return fmt.Errorf("take the grants of purged users: %w", err)
		}
		if len(list) == 0 {
			continue
		}
		if err := t.seatsBack(ctx, org, list); err != nil {
			return err
		}
	}
	return nil
}
