package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

func (e *env) event(resource store.ID, data string) store.Event {
	return store.Event{
		ID: store.NewID(e.now), Org: e.org, Type: store.EventUserUpdated, Version: store.EventVersion, Kind: "User", Resource: resource,
		Cause: store.Cause{Actor: store.Actor{Kind: "person", Name: "Ann"}, Reason: "test"}, Data: json.RawMessage(data), Time: e.now,
	}
}

func (e *env) events(q store.EventQuery) []store.Event {
	e.Helper()
	return got(e, func(r store.Reader) ([]store.Event, error) { return r.Events(e.Context(), q) })
}

var events = map[string]func(*env){
	"events are read back as they were written, in order, after a cursor": func(e *env) {
		d := e.directory("alpha", store.DirectorySCIM)
		var want []store.Event
		for i := range 60 { // enough to be copied in bulk
			v := e.event(store.NewID(e.now), fmt.Sprintf(`{"n": %d}`, i))
			v.Directory = d.Key
			want = append(want, v)
		}
		e.update(func(t store.Tx) error { return t.Append(e.Context(), want) })
		have := e.events(store.EventQuery{Org: e.org})
		for i := range min(len(have), len(want)) {
			want[i].Cursor = have[i].Cursor
			if i > 0 && have[i].Cursor <= have[i-1].Cursor {
				e.Fatalf("cursor %d follows %d", have[i].Cursor, have[i-1].Cursor)
			}
		}
		if diff := cmp.Diff(want, have); diff != "" {
			e.Fatalf("events (-want +got):\n%s", diff)
		}
		page := e.events(store.EventQuery{Org: e.org, After: have[9].Cursor, Limit: 5})
		if diff := cmp.Diff(want[10:15], page); diff != "" {
			e.Errorf("page (-want +got):\n%s", diff)
		}
	},
	"events are filtered by kind and resource and belong to one organization": func(e *env) {
		other := e.organization("other")
		a, b := e.event(store.NewID(e.now), "{}"), e.event(store.NewID(e.now), "{}")
		b.Kind = "Group"
		c := e.event(a.Resource, "{}")
		c.Org = other
		e.update(func(t store.Tx) error { return t.Append(e.Context(), []store.Event{a, b, c}) })
		for name, tt := range map[string]struct {
			q    store.EventQuery
			want []store.ID
		}{
			"kind":     {store.EventQuery{Org: e.org, Kind: "Group"}, []store.ID{b.ID}},
			"resource": {store.EventQuery{Org: e.org, Resource: a.Resource}, []store.ID{a.ID}},
			"other":    {store.EventQuery{Org: other}, []store.ID{c.ID}},
		} {
			var have []store.ID
			for _, v := range e.events(tt.q) {
				have = append(have, v.ID)
			}
			if diff := cmp.Diff(tt.want, have); diff != "" {
				e.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	},
	"events are filtered by type, actor and time, up to a cursor": func(e *env) {
		at := func(typ string, actor store.Actor, minute int) store.Event {
			v := e.event(store.NewID(e.now), "{}")
			v.Type, v.Cause.Actor, v.Time = typ, actor, e.now.Add(time.Duration(minute)*time.Minute)
			return v
		}
		ann, bob := store.Actor{Kind: "token", ID: "id-of-ann", Name: "Änn"}, store.Actor{Kind: "person", ID: "b", Name: "bob@corp.test"}
		all := []store.Event{
			at("user.created", ann, 0), at("user.handed_over", bob, 1), at("users.created", bob, 2),
			at("token.created", ann, 3), at("user", bob, 4), at("domain.added", store.Actor{Kind: "system"}, 5),
		}
		e.update(func(t store.Tx) error { return t.Append(e.Context(), all) })
		listed := e.events(store.EventQuery{Org: e.org})
		if len(listed) != len(all) {
			e.Fatalf("%d events, want %d", len(listed), len(all))
		}
		for name, tt := range map[string]struct {
			q    store.EventQuery
			want []int
		}{
			"type":            {store.EventQuery{Types: []string{"token.created"}}, []int{3}},
			"pattern":         {store.EventQuery{Types: []string{"user.*"}}, []int{0, 1}},
			"several":         {store.EventQuery{Types: []string{"domain.*", "user.created"}}, []int{0, 5}},
			"actor's id":      {store.EventQuery{Actor: "id-of-ann"}, []int{0, 3}},
			"actor's name":    {store.EventQuery{Actor: "ÄNN"}, []int{0, 3}},
			"actor and type":  {store.EventQuery{Actor: "b", Types: []string{"user.*"}}, []int{1}},
			"since":           {store.EventQuery{Since: e.now.Add(4 * time.Minute)}, []int{4, 5}},
			"until":           {store.EventQuery{Until: e.now.Add(time.Minute)}, []int{0}},
			"since and until": {store.EventQuery{Since: e.now.Add(time.Minute), Until: e.now.Add(3 * time.Minute)}, []int{1, 2}},
			"up to":           {store.EventQuery{UpTo: listed[2].Cursor}, []int{0, 1, 2}},
			"after and up to": {store.EventQuery{After: listed[0].Cursor, UpTo: listed[1].Cursor}, []int{1}},
			"nobody":          {store.EventQuery{Actor: "nobody"}, nil},
		} {
			tt.q.Org = e.org
			var want, have []store.ID
			for _, i := range tt.want {
				want = append(want, all[i].ID)
			}
			for _, v := range e.events(tt.q) {
				have = append(have, v.ID)
			}
			if diff := cmp.Diff(want, have); diff != "" {
				e.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	},
	"the end of the log is a cursor after all that was committed": func(e *env) {
		for range 3 {
			e.update(func(t store.Tx) error { return t.Append(e.Context(), []store.Event{e.event(store.NewID(e.now), "{}")}) })
			last := got(e, func(r store.Reader) (int64, error) { return r.LastEvent(e.Context(), e.org) })
			if list := e.events(store.EventQuery{Org: e.org}); list[len(list)-1].Cursor != last {
				e.Errorf("the log ends at %d and the last event is at %d", last, list[len(list)-1].Cursor)
			}
		}
	},
	"rule 11: a transaction reads its own events, and they vanish with it": func(e *env) {
		e.refused(store.CodeForbidden, func(t store.Tx) error {
			if err := t.Append(e.Context(), []store.Event{e.event(store.NewID(e.now), "{}")}); err != nil {
				return err
			}
			list, err := t.Events(e.Context(), store.EventQuery{Org: e.org})
			if len(list) != 1 {
				e.Errorf("%d events inside, want 1", len(list))
			}
			if err != nil {
				return err
			}
			return store.Errorf(store.CodeForbidden, "no")
		})
		if list := e.events(store.EventQuery{Org: e.org}); len(list) != 0 {
			e.Errorf("events after the rollback: %v", list)
		}
	},
	"readers beside many writers miss nothing, see nothing twice, and each resource in its order": func(e *env) {
		const writers, each, readers = 16, 25, 4
		done := make(chan struct{})
		failed := make(chan error, writers+readers)
		resources := make([]store.ID, writers/2) // two writers share one, under its lock
		locks := make([]sync.Mutex, len(resources))
		versions := make([]int, len(resources))
		for i := range resources {
			resources[i] = store.NewID(e.now)
		}
		var writing, reading sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				n := w % len(resources)
				for range each {
					// What rows' locks are in real transactions: held until the commit.
					locks[n].Lock()
					versions[n]++
					v := e.event(resources[n], fmt.Sprint(versions[n]))
					err := e.s.Update(e.Context(), func(t store.Tx) error { return t.Append(e.Context(), []store.Event{v}) })
					locks[n].Unlock()
					if err != nil {
						failed <- fmt.Errorf("writer %d: %w", w, err)
						return
					}
				}
			})
		}
		orders := make([][]store.ID, readers)
		for r := range readers {
			reading.Go(func() {
				var err error
				if orders[r], err = follow(e, writers*each, done); err != nil {
					failed <- fmt.Errorf("reader %d: %w", r, err)
				}
			})
		}
		writing.Wait()
		close(done)
		reading.Wait()
		close(failed)
		for err := range failed {
			e.Error(err)
		}
		for r := 1; r < readers; r++ {
			if diff := cmp.Diff(orders[0], orders[r]); diff != "" {
				e.Errorf("reader %d saw another order than reader 0:\n%s", r, diff)
			}
		}
	},
}

// follow reads with a cursor, beside the writers and then to the end, and checks what
// it sees.
func follow(e *env, want int, done <-chan struct{}) (order []store.ID, err error) {
	var cursor int64
	seen := map[store.ID]bool{}
	last := map[store.ID]int{}
	deadline, cancel := context.WithTimeout(e.Context(), time.Minute)
	defer cancel()
	for finished := false; ; {
		select {
		case <-done:
			finished = true
		default:
		}
		var page []store.Event
		err := e.s.View(deadline, func(r store.Reader) (err error) {
			page, err = r.Events(deadline, store.EventQuery{Org: e.org, After: cursor, Limit: 7})
			return err
		})
		if err != nil {
			return order, err
		}
		for _, v := range page {
			var version int
			if err := json.Unmarshal(v.Data, &version); err != nil {
				return order, err
			}
			switch {
			case v.Cursor <= cursor:
				return order, fmt.Errorf("cursor %d follows %d", v.Cursor, cursor)
			case seen[v.ID]:
				return order, fmt.Errorf("event %s came twice", v.ID)
			case version != last[v.Resource]+1:
				return order, fmt.Errorf("version %d of %s follows %d", version, v.Resource, last[v.Resource])
			}
			cursor, seen[v.ID], last[v.Resource] = v.Cursor, true, version
			order = append(order, v.ID)
		}
		if finished && len(page) == 0 {
			if len(order) != want {
				return order, fmt.Errorf("%d events, want %d", len(order), want)
			}
			return order, nil
		}
	}
}
