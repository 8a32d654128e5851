package run_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/run"
)

// faulty is a store that refuses to read one window of a stage.
type faulty struct {
	store.Store
	window int
}

func (f faulty) Update(ctx context.Context, fn func(store.Tx) error) error {
	return f.Store.Update(ctx, func(tx store.Tx) error { return fn(faultyTx{tx, f.window}) })
}

type faultyTx struct {
	store.Tx
	window int
}

func (t faultyTx) StagedWindow(ctx context.Context, run store.Key, window int) ([]store.Staged, error) {
	return t.read(ctx, t.Tx, run, window)
}

func (t faultyTx) read(ctx context.Context, from store.Reader, run store.Key, window int) ([]store.Staged, error) {
	if window == t.window {
		return nil, store.Errorf(store.CodeInvalid, "the window cannot be read")
	}
	return from.StagedWindow(ctx, run, window)
}

func (f faulty) View(ctx context.Context, fn func(store.Reader) error) error {
	return f.Store.View(ctx, func(r store.Reader) error { return fn(faultyReader{r, f.window}) })
}

type faultyReader struct {
	store.Reader
	window int
}

func (r faultyReader) StagedWindow(ctx context.Context, run store.Key, window int) ([]store.Staged, error) {
	return faultyTx{window: r.window}.read(ctx, r.Reader, run, window)
}

func TestARunThatFailsWhileApplyingPublishesWhatItHasApplied(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		e, stop := w.engine(w.store)
		w.fake.users = people(2)
		for i := range w.fake.users {
			w.fake.users[i].Attributes.DisplayName = ""
		}
		for i := range 12 {
			w.fake.groups = append(w.fake.groups, group(fmt.Sprintf("g-%02d", i), fmt.Sprintf("group %02d", i), "u000", "u001"))
		}
		w.pull(e)
		stop()
		w.fake.change(func() { // everybody loses a member
			for i := range w.fake.groups {
				w.fake.groups[i].MemberDNs = w.fake.groups[i].MemberDNs[:1]
			}
		})
		broken, stop := w.engine(faulty{w.store, 1}, func(o *run.Options) { o.PublishRows = 2 })
		failed := w.rest(broken.Start(t.Context(), w.org, "corp", "", false, person))
		stop()
		if failed.State != store.RunFailed || failed.NextWindow != 1 || failed.Windows != 3 || failed.Error != "the window cannot be read" {
			t.Fatalf("the run is %s at window %d of %d: %s", failed.State, failed.NextWindow, failed.Windows, failed.Error)
		}
		state := w.state()
		for i := range 12 {
			name := fmt.Sprintf("group group %02d", i)
			want := fmt.Sprintf("g-%02d [u000 u001] [u000 u001]", i)
			if i < 5 { // the first window
				want = fmt.Sprintf("g-%02d [u000] [u000]", i)
			}
			if diff := cmp.Diff(want, state[name]); diff != "" {
				t.Errorf("%s, stated and published (-want +got):\n%s", name, diff)
			}
		}
		e, _ = w.engine(w.store)
		if next := w.pull(e); next.Counts.Groups != (store.Counts{Modified: 7, Unchanged: 5}) {
			t.Errorf("the next run counts %+v, want the 7 groups that were left", next.Counts.Groups)
		}
	})
}
