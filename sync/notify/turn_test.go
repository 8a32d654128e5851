package notify_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/notify"
)

// A process serves 16 endpoints at a time.
func TestEndpointsThatAlwaysHaveMoreDoNotKeepOthersFromTheirTurn(t *testing.T) {
	const busy, events = 16, 400
	w := &hookWorld{}
	w.sqlite(t)
	person, group := ids(1)[0], ids(1)[0]
	var all sync.WaitGroup // the busy ones have each been asked once
	all.Add(busy)
	proceed, met := make(chan struct{}), map[string]int{}
	var mu sync.Mutex
	r := newReceiver(t, func(m *received, rw http.ResponseWriter) {
		defer rw.WriteHeader(http.StatusNoContent)
		if m.Resource == group {
			return
		}
		mu.Lock()
		met[m.path]++
		first := met[m.path] == 1
		mu.Unlock()
		if first {
			all.Done()
		}
		<-proceed
		w.later(time.Second)
	})
	w.start(func(o *notify.WebhookOptions) { o.Reach.Roots = r.roots() })
	for i := range busy {
		w.hook(fmt.Sprint("busy", i), fmt.Sprint(r.URL, "/", i), "user.*")
	}
	list := make([]store.Event, events)
	for i := range list {
		list[i] = store.Event{Org: w.org, Type: "user.updated", Kind: "User", Resource: person, Time: w.clock(), Data: []byte("{}")}
	}
	w.update(func(tx store.Tx) error { return tx.Append(t.Context(), list) })
	all.Wait()
	w.hook("quiet", r.URL+"/quiet", "group.*")
	w.log("group.updated", group)
	close(proceed)
	w.until("the quiet one is told", func() bool { return len(r.of(group)) > 0 })
	done := map[string]int{}
	for _, m := range r.all() {
		if m.Resource == group {
			break
		}
		if done[m.path]++; done[m.path] == events {
			t.Fatalf("the endpoint %s had all of its events before the quiet one had its turn", m.path)
		}
	}
}
