package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/provost-scim/provost/openapi"
)

// patience is how long a server that does not answer, because it restarts, has to come back.
const patience = time.Minute

// watch follows a run until it has come to rest, and shows its progress on a terminal.
// The server tells of each move; a stream that ends before is opened again.
func watch(s *session, r *remote, id string) (*openapi.Run, error) {
	api, err := r.apiWithin(0)
	if err != nil {
		return nil, err
	}
	bar := newProgress(s, r)
	defer bar.clear()
	var last *openapi.Run
	var silent again
	for {
		err := followRun(s.ctx, api, id, func(run *openapi.Run) bool {
			silent.answered()
			last = run
			bar.show(run)
			return atRest(run)
		})
		switch {
		case last != nil && atRest(last):
			return last, nil
		case s.ctx.Err() != nil || err == nil:
		case silent.gaveUp(err, patience):
			return nil, err
		case silent.first():
			bar.clear()
			fmt.Fprintf(s.stderr, "provost: %v; waiting up to %g seconds for the server to come back\n", err, patience.Seconds())
		}
		if !silent.pause(s.ctx) {
			return nil, failed("the run goes on in the server; see `provost sync status`", "interrupted while waiting for run %s", id)
		}
	}
}

// followRun reads the stream of a run, until stop or the server ends it. While the server
// has no place for another stream, it looks once.
func followRun(ctx context.Context, api *openapi.ClientWithResponses, id string, stop func(*openapi.Run) bool) error {
	err := follow(ctx, func(ctx context.Context) (*http.Response, error) { return api.GetRun(ctx, id, nil, asStream) }, openapi.ParseGetRunResponse,
		func(data []byte) (bool, error) {
			var run openapi.Run
			if err := json.Unmarshal(data, &run); err != nil {
				return false, fmt.Errorf("read run %s: %w", id, err)
			}
			return stop(&run), nil
		})
	var busy *refusal
	if errors.As(err, &busy) && busy.kind == "busy" {
		var run *openapi.Run
		if run, err = getRun(ctx, api, id); err == nil {
			stop(run)
		}
	}
	return err
}

// atRest reports whether a run waits for a person, as a plan or because it is held, or has
// ended.
func atRest(r *openapi.Run) bool {
	switch r.State {
	case openapi.RunStateHeld, openapi.RunStateSucceeded, openapi.RunStateFailed, openapi.RunStateDiscarded:
		return true
	default:
		return r.Phase == openapi.RunPhaseReady
	}
}
