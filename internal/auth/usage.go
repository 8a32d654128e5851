package auth

import (
	"context"
	"sync"
	"time"

	"github.com/provost-scim/provost/store"
)

// touchEvery is how exact the last use of a token or a binding is.
const touchEvery = time.Minute

// used is what a request used: a token of ours, or a binding of an issuer's tokens.
type used struct {
	binding bool
	key     store.Key
}

// usage collects what was used and has to be written. A request only notes it;
// [Authenticator.Run] writes.
type usage struct {
	mu      sync.Mutex
	noted   map[used]time.Time // when each use was last noted
	pending map[used]time.Time // to be written
	wake    chan struct{}
}

func newUsage() *usage {
	return &usage{noted: map[used]time.Time{}, pending: map[used]time.Time{}, wake: make(chan struct{}, 1)}
}

// maxNoted bounds what is remembered; beyond it a token may be touched more often.
const maxNoted = 100_000

// note takes down a use, unless one of the last minute is known to be written.
func (u *usage) note(what used, written, now time.Time) {
	if now.Sub(written) < touchEvery {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if last, ok := u.noted[what]; ok && now.Sub(last) < touchEvery {
		return
	}
	if len(u.noted) >= maxNoted {
		clear(u.noted)
	}
	u.noted[what], u.pending[what] = now, now
	select {
	case u.wake <- struct{}{}:
	default: // it is awake
	}
}

func (u *usage) take() map[used]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.pending
	u.pending = map[used]time.Time{}
	return p
}

// Run records the last use of tokens and bindings until the context ends. A use that cannot be
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

func (a *Authenticator) touch(ctx context.Context, uses map[used]time.Time) error {
	for what, at := range uses { // one short transaction each: none waits for another's row
		err := a.store.Update(ctx, func(tx store.Tx) error {
			if what.binding {
				return tx.TouchOIDCBinding(ctx, what.key, at)
			}
			return tx.TouchToken(ctx, what.key, at)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
