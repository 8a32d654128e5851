package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/provost-scim/provost/store"
)

// watchers are those who watch runs, each with a channel that holds one signal.
type watchers struct {
	mu sync.Mutex
	of map[store.ID]map[chan struct{}]bool
}

// add begins to watch a run; end ends it.
func (w *watchers) add(run store.ID) (moved <-chan struct{}, end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan struct{}, 1)
	if w.of == nil {
		w.of = map[store.ID]map[chan struct{}]bool{}
	}
	if w.of[run] == nil {
		w.of[run] = map[chan struct{}]bool{}
	}
	w.of[run][c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.of[run], c)
		if len(w.of[run]) == 0 {
			delete(w.of, run)
		}
	}
}

// ring signals to those who watch a run, or any run if it is "".
func (w *watchers) ring(run store.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for watched, all := range w.of {
		if run != "" && run != watched {
			continue
		}
		for c := range all {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
}

// RunMoved makes the streams of a run look at it, or of "" those of all runs. It never
// blocks.
func (s *Server) RunMoved(run store.ID) { s.watchers.ring(run) }

// runStream is the answer that follows a run, until that has ended.
type runStream struct {
	flow

	id       store.ID
	findings bool
	sent     string
}

// VisitGetRunResponse writes the stream. It looks at the run when a commit has moved it;
// the beats are looks too, should a signal of another process be lost.
func (f *runStream) VisitGetRunResponse(w http.ResponseWriter) error {
	moved, end := f.s.watchers.add(f.id)
	defer end()
	return f.follow(w, beat, func() <-chan struct{} { return moved }, func() (more, last bool, err error) {
		last, err = f.send()
		return false, last, err
	})
}

// send writes the run if it has moved, and reports whether it has ended.
func (f *runStream) send() (ended bool, err error) {
	out, run, err := f.s.run(f.ctx, f.id, func(r *store.Run) bool { return f.findings && atRest(r) })
	if store.CodeOf(err) == store.CodeNotFound {
		return true, nil // deleted with its directory
	}
	if err != nil {
		return false, err
	}
	name := "run." + string(run.State)
	if !atRest(run) {
		name, out.Plan = "run.progress", nil
	}
	data, err := json.Marshal(out)
	if err != nil {
		return false, fmt.Errorf("write run %s: %w", f.id, err)
	}
	text := fmt.Sprintf("event: %s\ndata: %s\n\n", name, data)
	if text == f.sent {
		return false, f.write(nil)
	}
	f.sent = text
	return run.State.Finished(), f.write([]byte(text))
}

// atRest reports whether a run waits for a person or has ended.
func atRest(r *store.Run) bool { return r.State.Finished() || r.Phase == store.PhaseReady }
