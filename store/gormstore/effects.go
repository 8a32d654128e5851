package gormstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/provost-scim/provost/store"
)

func replacePairs(query, fragment string) string {
	return strings.Replace(query, "{pairs}", fragment, 1)
}

// membersChanged is the data of [store.EventMembersChanged].
type membersChanged struct {
	Added   []store.ID `json:"added"`
	Removed []store.ID `json:"removed"`
}

// effectiveChanged is the data of [store.EventEffectiveChanged].
type effectiveChanged struct {
	membersChanged
	Count   int  `json:"count"`
	OverCap bool `json:"over_cap"`
}

// finishEffects tells of what became of effective membership, and appends the events
// of a change set, those of direct members and of grants, and those of effective members.
func (t *tx) finishEffects(ctx context.Context, c *store.ChangeSet, shifts []*shift, direct []store.Event) (*store.Effects, error) {
	out := &store.Effects{}
	events := slices.Concat(c.Events, direct)
	slices.SortFunc(shifts, func(a, b *shift) int { return int(a.effect.Key - b.effect.Key) })
	for _, s := range shifts {
		e := &s.effect
		e.Published, e.Ceased = len(s.published), len(s.ceased)
		if e.Before == e.After && e.WasOver == e.Over && e.Published+e.Ceased == 0 {
			continue
		}
		out.Groups = append(out.Groups, *e)
		err := chunked(s.published, s.ceased, func(m membersChanged) error {
			data, err := json.Marshal(effectiveChanged{m, e.After, e.Over})
			events = append(events, groupEvent(c, store.EventEffectiveChanged, e.ID, e.Directory, data))
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("tell of effective members: %w", err)
		}
	}
	out.Events = len(events)
	if len(events) == 0 {
		return out, nil
	}
	return out, t.Append(ctx, events)
}

func groupEvent(c *store.ChangeSet, kind string, id store.ID, directory store.Key, data json.RawMessage) store.Event {
	at := c.Now
	if at.IsZero() {
		at = time.Now()
	}
	return store.Event{
		ID: store.NewID(at), Org: c.Org, Directory: directory, Type: kind, Version: store.EventVersion,
		Kind: string(store.KindGroup), Resource: id, Cause: c.Cause, Data: data, Time: at,
	}
}

// chunked hands out ids in the order of their text, each once, [store.EventIDs] at a
// time, and at least once.
func chunked(added, removed []store.ID, each func(membersChanged) error) error {
	slices.Sort(added)
	slices.Sort(removed)
	added, removed = slices.Compact(added), slices.Compact(removed)
	for first := true; first || len(added)+len(removed) > 0; first = false {
		n := min(len(added), store.EventIDs)
		m := min(len(removed), store.EventIDs-n)
		part := membersChanged{Added: some(added[:n]), Removed: some(removed[:m])}
		added, removed = added[n:], removed[m:]
		if err := each(part); err != nil {
			return err
		}
	}
	return nil
}

// directEvents tells of the direct members that came and went.
func (a *applier) directEvents(ctx context.Context) ([]store.Event, error) {
	if a.struck != nil {
		return a.struckEvents()
	}
	if len(a.news) == 0 {
		return nil, nil
	}
	ids, err := a.newsIDs(ctx)
	if err != nil {
		return nil, err
	}
	public := func(edges []store.Edge) []store.ID {
		out := make([]store.ID, len(edges))
		for i, e := range edges {
			out[i] = ids[e]
		}
		return out
	}
	var events []store.Event
	for _, key := range sorted(a.news) {
		group := a.groups[key]
		err := chunked(public(a.news[key].added), public(a.news[key].removed), func(m membersChanged) error {
			data, err := json.Marshal(m)
			events = append(events, groupEvent(a.c, store.EventMembersChanged, group.ID, group.Directory, data))
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("tell of members: %w", err)
		}
	}
	return events, nil
}

// newsIDs finds the public ids of the members that came and went, and those of groups
// whose pending members came alive, which the change set does not hold. It reads those
// that neither the change set nor the look for members has shown.
func (a *applier) newsIDs(ctx context.Context) (map[store.Edge]store.ID, error) {
	users, groups := map[store.Key]bool{}, map[store.Key]bool{}
	for key, n := range a.news {
		if a.groups[key] == nil {
			groups[key] = true
		}
		for _, e := range slices.Concat(n.added, n.removed) {
			if e.Kind == store.KindUser {
				users[e.Key] = true
			} else {
				groups[e.Key] = true
			}
		}
	}
	ids := make(map[store.Edge]store.ID, len(users)+len(groups))
	for kind, keys := range map[store.Kind]map[store.Key]bool{store.KindUser: users, store.KindGroup: groups} {
		for key := range keys {
			e := store.Edge{Kind: kind, Key: key}
			if id, known := a.publicIDs[e]; known && (kind == store.KindUser || a.groups[key] != nil) {
				ids[e] = id
				delete(keys, key)
			}
		}
	}
	var asks []ask
	look := func(kind store.Kind, keys map[store.Key]bool) {
		if len(keys) == 0 {
			return
		}
		f, arg := a.keys(sorted(keys))
		asks = append(asks, ask{
			what:  "read the ids of members",
			query: "SELECT t.id, t.public_id, t.directory_id FROM " + tableOf(kind) + " t WHERE t.org_id = ? AND t.id IN (SELECT v FROM " + f + " AS k)",
			args:  []any{a.c.Org, arg},
			each: func(row scanner) error {
				var key, directory store.Key
				var id store.ID
				err := row.Scan(&key, &id, scanKey(&directory))
				ids[store.Edge{Kind: kind, Key: key}] = id
				if kind == store.KindGroup && a.groups[key] == nil {
					a.groups[key] = &store.Group{Key: key, ID: id, Directory: directory}
				}
				return err
			},
		})
	}
	look(store.KindUser, users)
	look(store.KindGroup, groups)
	return ids, a.read(ctx, asks...)
}
