package admin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/openapi/admin"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
)

// moved is one event of the stream of a run.
type moved struct {
	event string
	run   openapi.Run
}

// nextMove reads the next event of a stream; false: it has ended.
func nextMove(t *testing.T, lines <-chan string) (m moved, ok bool) {
	t.Helper()
	limit := time.After(10 * time.Second) // less than a beat: only a signal is in time
	for {
		select {
		case line, open := <-lines:
			if !open {
				return m, false
			}
			if name, found := strings.CutPrefix(line, "event: "); found {
				m.event = name
			}
			if data, found := strings.CutPrefix(line, "data: "); found {
				if err := json.Unmarshal([]byte(data), &m.run); err != nil {
					t.Fatal(err)
				}
				return m, true
			}
		case <-limit:
			t.Fatal("the stream does not move")
		}
	}
}

// queued makes a directory with a run that waits for a worker, and lets one claim it.
func (w *world) queued() (id store.ID, save func(func(*store.Run))) {
	w.t.Helper()
	ctx, now := w.t.Context(), time.Now().UTC().Truncate(time.Microsecond)
	d := &store.Directory{ID: store.NewID(now), Org: w.org, Name: "corp", Kind: store.DirectoryLDAP, Settings: store.DefaultSettings(store.DirectoryLDAP), CreatedAt: now, UpdatedAt: now}
	var lease store.Lease
	w.update(func(tx store.Tx) error {
		if err := tx.CreateDirectory(ctx, d); err != nil {
			return err
		}
		id = store.NewID(now)
		return tx.CreateRun(ctx, &store.Run{
			ID: id, Org: w.org, Directory: d.Key, State: store.RunRunning, Phase: store.PhaseQueued, Apply: true, CreatedAt: now,
		})
	})
	w.update(func(tx store.Tx) error {
		run, err := tx.ClaimRun(ctx, "worker", time.Hour)
		lease = store.Lease{Run: run.Key, Fence: run.Fence}
		return err
	})
	return id, func(change func(*store.Run)) {
		w.t.Helper()
		w.update(func(tx store.Tx) error {
			run, err := tx.HoldRun(ctx, lease)
			if err != nil {
				return err
			}
			change(run)
			return tx.SaveRun(ctx, run)
		})
	}
}

func TestTheStreamOfARunTellsEachMoveAndEndsWithIt(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		id, save := w.queued()
		w.runIsFollowed(t, id, save, w)
	})
}

func TestTheStreamOfARunTellsWhatAnotherReplicaWorks(t *testing.T) {
	dsn := testenv.Postgres(t).Database(t, migrate)
	w := newWorldOn(t, dsn)
	id, save := w.queued()

	replica := *w
	heard := make(chan struct{}, 1)
	s, err := gormstore.Open(t.Context(), dsn, gormstore.Options{RunMoved: func(run store.ID) {
		replica.server.RunMoved(run)
		select {
		case heard <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	o := w.server.Options
	o.Store = s
	if replica.server, err = admin.New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var listener sync.WaitGroup
	listener.Go(func() { s.Listen(ctx) })
	t.Cleanup(func() {
		cancel()
		listener.Wait()
		_ = s.Close()
	})
	<-heard // it listens
	w.runIsFollowed(t, id, save, &replica)
}

// runIsFollowed works a run and sees it move at a server.
func (w *world) runIsFollowed(t *testing.T, id store.ID, save func(func(*store.Run)), at *world) {
	t.Helper()
	lines, stop := at.follow(w.auditor, "/runs/"+string(id)+"?findings=true")
	defer stop()
	step := func(want string, phase openapi.RunPhase) openapi.Run {
		t.Helper()
		m, ok := nextMove(t, lines)
		if !ok || m.event != want || m.run.ID != string(id) || m.run.Phase != phase {
			t.Fatalf("the stream tells %s in phase %s (open: %t), want %s in phase %s", m.event, m.run.Phase, ok, want, phase)
		}
		return m.run
	}
	step("run.progress", openapi.RunPhaseQueued)

	save(func(r *store.Run) { r.Phase, r.Progress.ReadUsers = store.PhaseRead, 17 })
	if got := step("run.progress", openapi.RunPhaseRead).Progress.ReadUsers; got != 17 {
		t.Errorf("%d users are read, want 17", got)
	}
	plan := json.RawMessage(`{"users":17}`)
	save(func(r *store.Run) { r.State, r.Phase, r.Plan = store.RunHeld, store.PhaseReady, plan })
	held := step("run.held", openapi.RunPhaseReady)
	if string(held.Plan) != string(plan) || held.Findings == nil {
		t.Errorf("held, it has the plan %s and findings %v", held.Plan, held.Findings)
	}

	// A person decides; the stream has gone on.
	w.update(func(tx store.Tx) error {
		r, err := tx.LockRun(t.Context(), w.org, id)
		if err != nil {
			return err
		}
		r.State, r.Phase = store.RunRunning, store.PhaseApply
		return tx.SaveRun(t.Context(), r)
	})
	if got := step("run.progress", openapi.RunPhaseApply); got.Plan != nil || got.Findings != nil {
		t.Errorf("while it applies, it has the plan %s and findings %v", got.Plan, got.Findings)
	}
	w.update(func(tx store.Tx) error {
		r, err := tx.ClaimRun(t.Context(), "worker", time.Hour)
		if err != nil {
			return err
		}
		r.State, r.Phase = store.RunSucceeded, store.PhaseDone
		return tx.SaveRun(t.Context(), r)
	})
	last := step("run.succeeded", openapi.RunPhaseDone)
	if m, open := nextMove(t, lines); open {
		t.Errorf("after its end the stream tells %s", m.event)
	}
	got := ask[openapi.Run](at, w.auditor, http.MethodGet, "/runs/"+string(id)+"?findings=true", nil, http.StatusOK)
	if diff := cmp.Diff(got, last); diff != "" {
		t.Errorf("what the stream told last is not what GET answers (-GET +stream):\n%s", diff)
	}
}

func TestTheStreamOfARunThatHasEndedOrIsNotThereEndsAtOnce(t *testing.T) {
	w := newWorld(t)
	id, save := w.queued()
	save(func(r *store.Run) { r.State, r.Phase, r.Error = store.RunFailed, store.PhaseDone, "no answer" })
	lines, stop := w.follow(w.auditor, "/runs/"+string(id))
	defer stop()
	if m, ok := nextMove(t, lines); !ok || m.event != "run.failed" || m.run.Error != "no answer" {
		t.Errorf("the stream tells %+v", m)
	}
	if m, open := nextMove(t, lines); open {
		t.Errorf("then it tells %+v", m)
	}
	for token, status := range map[string]int{w.auditor: http.StatusNotFound, w.stranger: http.StatusNotFound, w.directory: http.StatusForbidden} {
		path := "/runs/" + string(store.NewID(time.Now()))
		if token == w.stranger {
			path = "/runs/" + string(id)
		}
		if a := w.call(token, http.MethodGet, path, nil, "Accept", "text/event-stream"); a.status != status {
			t.Errorf("%s answers %d %s, want %d", path, a.status, a.body, status)
		}
	}
}

func TestTheStreamOfARunEndsWhenItsDirectoryIsDeleted(t *testing.T) {
	w := newWorld(t)
	id, save := w.queued()
	lines, stop := w.follow(w.auditor, "/runs/"+string(id))
	defer stop()
	nextMove(t, lines)
	save(func(r *store.Run) { r.State, r.Phase = store.RunHeld, store.PhaseReady })
	nextMove(t, lines)
	if a := w.call(w.owner, http.MethodDelete, "/directories/corp?users=delete", nil); a.status != http.StatusNoContent {
		t.Fatalf("deleting the directory answers %d %s", a.status, a.body)
	}
	w.server.RunMoved(id) // in place of the next beat
	if m, open := nextMove(t, lines); open {
		t.Errorf("it tells %+v", m)
	}
}

func TestOnlyWhatCanBeFollowedIsAStream(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		method, path, accept string
		want                 bool
	}{
		{"GET", "/events", "text/event-stream", true},
		{"GET", "/runs/x", "application/json, text/event-stream;q=0.9", true},
		{"GET", "/runs/x", "application/json", false},
		{"GET", "/runs/x/items", "text/event-stream", false},
		{"GET", "/runs", "text/event-stream", false},
		{"POST", "/runs/x", "text/event-stream", false},
	} {
		r := httptest.NewRequest(tt.method, admin.Base+tt.path, nil)
		r.Header.Set("Accept", tt.accept)
		if got := w.server.IsStream(r); got != tt.want {
			t.Errorf("%s %s, %s: %t", tt.method, tt.path, tt.accept, got)
		}
	}
}
