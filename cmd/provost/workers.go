package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// worker is something that runs beside the requests until its context ends.
type worker struct {
	name string
	run  func(context.Context) error
}

// workers are the running ones.
type workers struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	broken chan error // the first that ended by itself
}

// startWorkers starts them. They do not end with ctx but with stop, after the
// requests that they serve.
func startWorkers(ctx context.Context, all []worker) *workers {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &workers{cancel: cancel, broken: make(chan error, len(all))}
	for _, one := range all {
		w.wg.Go(func() {
			err := guarded(ctx, one)
			if ctx.Err() == nil {
				w.broken <- fmt.Errorf("worker %s ended: %w", one.name, err)
			}
		})
	}
	return w
}

// guarded turns a panic into an error, so that the server stops in order.
func guarded(ctx context.Context, one worker) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return one.run(ctx)
}

func (w *workers) stop() { w.cancel() }

// wait reports whether all workers ended before the context did.
func (w *workers) wait(ctx context.Context) bool {
	ended := make(chan struct{})
	go func() {
		w.wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return true
	case <-ctx.Done():
		return false
	}
}
