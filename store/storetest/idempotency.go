package storetest

import (
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

func (e *env) claimKey(k *store.IdempotencyKey) (earlier *store.IdempotencyKey) {
	e.Helper()
	e.update(func(t store.Tx) (err error) {
		earlier, err = t.ClaimIdempotencyKey(e.Context(), k)
		return err
	})
	return earlier
}

func (e *env) idempotencyKey(name string) *store.IdempotencyKey {
	return &store.IdempotencyKey{Org: e.org, Hash: []byte(name), Request: []byte("request"), CreatedAt: e.now}
}

var idempotency = map[string]func(*env){
	"a key is claimed once, in its organization, until it is given up": func(e *env) {
		k := e.idempotencyKey("a")
		if earlier := e.claimKey(k); earlier != nil {
			e.Errorf("a new key is there already: %+v", earlier)
		}
		again := *k
		again.Request = []byte("another")
		if diff := cmp.Diff(k, e.claimKey(&again)); diff != "" {
			e.Errorf("the key that was there (-want +got):\n%s", diff)
		}
		elsewhere := *k
		elsewhere.Org = e.organization("other")
		if earlier := e.claimKey(&elsewhere); earlier != nil {
			e.Errorf("another organization finds %+v", earlier)
		}
		e.update(func(t store.Tx) error { return t.ReleaseIdempotencyKey(e.Context(), k) })
		if earlier := e.claimKey(&again); earlier != nil {
			e.Errorf("a key that was given up is there: %+v", earlier)
		}
	},
	"an answer is kept with its header and its bytes, and not given up": func(e *env) {
		k := e.idempotencyKey("a")
		e.claimKey(k)
		k.Status, k.Header, k.Body = 201, map[string][]string{"Etag": {`"1"`}}, []byte("{\"a\":\"\xc3\xa9\"}\n")
		e.update(func(t store.Tx) error { return t.AnswerIdempotencyKey(e.Context(), k) })
		e.update(func(t store.Tx) error { return t.ReleaseIdempotencyKey(e.Context(), k) })
		if diff := cmp.Diff(k, e.claimKey(e.idempotencyKey("a"))); diff != "" {
			e.Errorf("the answer (-want +got):\n%s", diff)
		}
		e.refused(store.CodeNotFound, func(t store.Tx) error { return t.AnswerIdempotencyKey(e.Context(), k) })
		e.refused(store.CodeNotFound, func(t store.Tx) error { return t.AnswerIdempotencyKey(e.Context(), e.idempotencyKey("b")) })
	},
	"of many who claim a key at one moment one gets it": func(e *env) {
		const callers = 8
		var got int
		var mu sync.Mutex
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				var earlier *store.IdempotencyKey
				err := e.s.Update(e.Context(), func(t store.Tx) (err error) {
					earlier, err = t.ClaimIdempotencyKey(e.Context(), e.idempotencyKey("a"))
					return err
				})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					e.Errorf("claim: %v", err)
				case earlier == nil:
					got++
				}
			})
		}
		all.Wait()
		if got != 1 {
			e.Errorf("%d of %d got the key", got, callers)
		}
	},
	"old keys are purged, a few at a time": func(e *env) {
		for i, name := range []string{"a", "b", "c", "new"} {
			k := e.idempotencyKey(name)
			if name != "new" {
				k.CreatedAt = e.now.Add(-25*time.Hour + time.Duration(i)*time.Second)
			}
			e.claimKey(k)
		}
		for _, want := range []int{2, 1, 0} {
			e.update(func(t store.Tx) error {
				n, err := t.PurgeIdempotencyKeys(e.Context(), e.now.Add(-24*time.Hour), 2)
				if n != want {
					e.Errorf("purged %d, want %d", n, want)
				}
				return err
			})
		}
		if e.claimKey(e.idempotencyKey("new")) == nil {
			e.Error("the new key is gone")
		}
		if earlier := e.claimKey(e.idempotencyKey("a")); earlier != nil {
			e.Errorf("an old key is there: %+v", earlier)
		}
	},
}
