package run_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/run"
)

// scales is a store that weighs what is appended to a stage.
type scales struct {
	store.Store
	mu      sync.Mutex
	batches []int // bytes of bodies
}

func (s *scales) Update(ctx context.Context, fn func(store.Tx) error) error {
	return s.Store.Update(ctx, func(tx store.Tx) error { return fn(scalesTx{tx, s}) })
}

type scalesTx struct {
	store.Tx
	scales *scales
}

func (t scalesTx) AppendStage(ctx context.Context, run store.Key, rows []store.Staged) error {
	t.scales.mu.Lock()
	t.scales.batches = append(t.scales.batches, bodies(rows))
	t.scales.mu.Unlock()
	return t.Tx.AppendStage(ctx, run, rows)
}

func bodies(rows []store.Staged) (bytes int) {
	for i := range rows {
		bytes += len(rows[i].Body)
	}
	return bytes
}

func TestLongEntriesMakeBatchesAndWindowsShorter(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		const groups, long = 60, 300 << 10 // some 18 MiB
		for i := range groups {
			g := group(fmt.Sprintf("g-%02d", i), fmt.Sprintf("group %02d", i))
			g.Description = strings.Repeat("x", long)
			w.fake.groups = append(w.fake.groups, g)
		}
		weighed := &scales{Store: w.store}
		e, _ := w.engine(weighed, func(o *run.Options) { o.BatchRows, o.WindowRecords, o.WindowRefs = 0, 0, 0 }) // the defaults
		plan := w.rest(e.Plan(t.Context(), w.org, "corp", person))
		if plan.State != store.RunPlanned {
			t.Fatalf("the plan is %s: %s", plan.State, plan.Error)
		}
		weighed.mu.Lock()
		defer weighed.mu.Unlock()
		if len(weighed.batches) != 3 {
			t.Errorf("%d batches, want 3 of at most about 8 MiB", len(weighed.batches))
		}
		for i, bytes := range weighed.batches {
			if bytes > 8<<20+2*long {
				t.Errorf("batch %d has %d bytes, want at most one row more than 8 MiB", i, bytes)
			}
		}
		if plan.Windows != 2 {
			t.Errorf("%d windows, want 2 of at most about 10 MiB", plan.Windows)
		}
		w.view(func(v store.Reader) error {
			for i := range plan.Windows {
				rows, err := v.StagedWindow(t.Context(), plan.Key, i)
				if err != nil {
					return err
				}
				if bytes := bodies(rows); bytes == 0 || bytes > 11<<20 {
					t.Errorf("window %d has %d bytes", i, bytes)
				}
			}
			return nil
		})
	})
}
