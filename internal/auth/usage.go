package auth

import (
	"context"
	"sync"
	"time"

	"github.com/provost-scim/provost/store"
)

// touchEvery is how exact the last use of a token is.
const touchEvery = time.Minute

// usage collects the tokens whose last use has to be written. A request only
// notes it; [Authenticator.Run] writes.
type usage struct {
	mu      sync.Mutex
	noted   map[store.Key]time.Time // when each token's use was last noted
	pending map[store.Key]time.Time // to be written
	wake    chan struct{}
}

func newUsage() *usage {
	return &usage{noted: map[store.Key]time.Time{}, pending: map[store.Key]time.Time{}, wake: make(chan struct{}, 1)}
}

// maxNoted bounds what is remembered; beyond it a token may be touched more often.
const maxNoted = 100_000

func (u *usage) note(t *store.Token, now time.Time) {
	if now.Sub(t.LastUsedAt) < touchEvery {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if last, ok := u.noted[t.Key]; ok && now.Sub(last) < touchEvery {
		return
	}
	if len(u.noted) >= maxNoted {
		clear(u.noted)
	}
	u.noted[t.Key], u.pending[t.Key] = now, now
	select {
	case u.wake <- struct{}{}:
	default: // it is awake
	}
}

func (u *usage) take() map[store.Key]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.pending
	u.pending = map[store.Key]time.Time{}
	return p
}

// Run records the last use of tokens until the context ends. A use that cannot be
// written is logged and given up: the next minute has another.
func (a *Authenticator) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.use.wake:
		}
		if err := a.touch(ctx, a.use.take()); err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "the last use of tokens was not recorded", "error", err)
		}
	}
}

func (a *Authenticator) touch(ctx context.Context, used map[store.Key]time.Time) error {
	for key, at := range used { // one short transaction each: none waits for another's row
		if err := a.store.Update(ctx, func(tx store.Tx) error { return tx.TouchToken(ctx, key, at) }); err != nil {
			return err
		}
	}
	return nil
}
