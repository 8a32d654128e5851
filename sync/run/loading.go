package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// loading brings what is stored of a directory into the index while the groups are
// being read. Users are compared with it as they come, so they wait for its end.
type loading struct {
	batches chan []store.Known
	cancel  context.CancelFunc
	err     error // valid when batches is closed
	ended   bool
}

// loadedAtOnce is how many records are handed over together.
const loadedAtOnce = 1_000

// load starts the goroutine that loads; stop ends it and waits for it.
func (r *reading) load(ctx context.Context) error {
	var stock store.Stock
	err := r.w.e.store.View(ctx, func(v store.Reader) (err error) {
		stock, err = v.Stock(ctx, r.directory.Key)
		return err
	})
	if err != nil {
		return err
	}
	r.index = newIndex(stock.Users, stock.Groups)
	r.graph = newGraph(r.w.e.opt.DNKey, stock.Users+stock.Groups)
	ctx, cancel := context.WithCancel(ctx)
	l := &loading{batches: make(chan []store.Known, 4), cancel: cancel}
	r.loading = l
	go func() {
		defer close(l.batches)
		l.err = l.stream(ctx, r.w.e.store, r.directory.Key)
	}()
	return nil
}

func (l *loading) stream(ctx context.Context, s store.Store, directory store.Key) error {
	var batch []store.Known
	send := func() error {
		select {
		case l.batches <- batch:
			batch = make([]store.Known, 0, loadedAtOnce)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := s.View(ctx, func(v store.Reader) error {
		return v.Known(ctx, directory, func(k store.Known) error {
			if batch = append(batch, k); len(batch) < loadedAtOnce {
				return nil
			}
			return send()
		})
	})
	return errors.Join(err, send())
}

// take indexes what has been loaded so far.
func (r *reading) take() {
	for r.loading != nil {
		select {
		case batch, more := <-r.loading.batches:
			if !more {
				return
			}
			r.index.addAll(batch)
		default:
			return
		}
	}
}

// loaded waits until all has been loaded and indexed.
func (r *reading) loaded() error {
	l := r.loading
	if l == nil || l.ended {
		return nil
	}
	for batch := range l.batches {
		r.index.addAll(batch)
	}
	if l.err != nil {
		return fmt.Errorf("load what is stored of the directory: %w", l.err)
	}
	l.ended = true
	r.losses = losses{}
	for i := range r.index.count {
		r.losses.stored(r.index.node(i))
	}
	return nil
}

func (l *loading) stop() {
	l.cancel()
	for range l.batches { // until it is closed
	}
}
