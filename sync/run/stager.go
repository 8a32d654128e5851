package run

import (
	"context"

	"github.com/provost-scim/provost/store"
)

// One batch ends with the row that brings it to this weight or to so many bytes of
// bodies, if not to the rows that the options allow.
const (
	maxBatchWeight = 20_000
	maxBatchBytes  = 8 << 20
)

// bytesOfRef is how long a body weighs as much as one member reference. Windows are
// divided by weight, so that weighing bodies bounds the bytes of a window too.
const bytesOfRef = 1 << 10

// stager appends rows to the stage in batches, each in a transaction of its own,
// while the directory is being read.
type stager struct {
	w      *worker
	rows   []store.Staged
	weight int
	bytes  int  // of bodies
	begun  bool // rows were handed over
	out    chan []store.Staged
	done   chan struct{}
	err    error // why the writing ended; valid when done is closed
}

// newStager starts the goroutine that writes; close ends it and waits for it.
func (w *worker) newStager(ctx context.Context) *stager {
	s := &stager{w: w, out: make(chan []store.Staged, 1), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for rows := range s.out {
			if s.err = s.write(ctx, rows); s.err != nil {
				return
			}
		}
	}()
	return s
}

func (s *stager) write(ctx context.Context, rows []store.Staged) error {
	err := s.w.update(ctx, func(tx store.Tx, run *store.Run) error {
		return tx.AppendStage(ctx, run.Key, rows)
	})
	if err == nil {
		s.w.staged.Add(int64(len(rows)))
	}
	return err
}

// add stages a row. Its error is that of an earlier batch.
func (s *stager) add(row store.Staged) error {
	row.Weight = max(row.Weight, 1, len(row.Body)/bytesOfRef)
	s.rows = append(s.rows, row)
	s.weight += row.Weight
	s.bytes += len(row.Body)
	if len(s.rows) >= s.w.e.opt.BatchRows || s.weight >= maxBatchWeight || s.bytes >= maxBatchBytes {
		return s.flush()
	}
	return nil
}

// users are the users among the rows that wait to be written, by stable id.
func (s *stager) users() map[string]*store.Staged {
	found := make(map[string]*store.Staged, len(s.rows))
	for i := range s.rows {
		if row := &s.rows[i]; row.Kind == store.KindUser && row.Presence == store.Present {
			found[row.ExternalID] = row
		}
	}
	return found
}

func (s *stager) flush() error {
	if len(s.rows) == 0 {
		return nil
	}
	s.begun = true
	select {
	case s.out <- s.rows:
		s.rows, s.weight, s.bytes = make([]store.Staged, 0, len(s.rows)), 0, 0
		return nil
	case <-s.done:
		return s.err
	}
}

// close writes what is left and ends the goroutine.
func (s *stager) close() error {
	err := s.flush()
	close(s.out)
	<-s.done
	if s.err != nil {
		return s.err
	}
	return err
}

// atOnce is up to how many rows, if there are no others, one transaction stages, seals and
// judges.
const atOnce = 300

// leave ends the goroutine and returns the rows, if they are few and none has been
// handed over: whoever seals the stage writes them.
func (s *stager) leave() (rows []store.Staged, ok bool) {
	if s.begun || len(s.rows) > atOnce {
		return nil, false
	}
	s.abandon()
	return s.rows, true
}

// abandon ends the goroutine without writing what has not been handed over.
func (s *stager) abandon() {
	close(s.out)
	<-s.done
}
