package auth

import (
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/provost-scim/provost/store"
)

// Limits keep the clients of each directory to its rate limit, in this process. The
// zero value is ready.
type Limits struct {
	mu sync.Mutex
	of map[store.Key]*rate.Limiter
}

// Admit takes one request into account. One too many is [store.CodeTooMany] with the
// time after which it would not have been.
func (l *Limits) Admit(p *Principal, now time.Time) error {
	wait := l.take(p.Directory, p.RateLimit, now)
	if wait <= 0 {
		return nil
	}
	return &store.Error{Code: store.CodeTooMany, RetryAfter: wait,
		Message: fmt.Sprintf("the directory's clients send more than %g requests a second", p.RateLimit.PerSecond)}
}

func (l *Limits) take(directory store.Key, want store.RateLimit, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.of[directory]
	if want.PerSecond <= 0 {
		delete(l.of, directory)
		return 0
	}
	perSecond, burst := rate.Limit(want.PerSecond), want.Burst
	if burst == 0 {
		burst = int(math.Ceil(want.PerSecond))
	}
	switch {
	case limiter == nil:
		limiter = rate.NewLimiter(perSecond, burst)
		if l.of == nil {
			l.of = map[store.Key]*rate.Limiter{}
		}
		l.of[directory] = limiter
	case limiter.Limit() != perSecond || limiter.Burst() != burst:
		limiter.SetLimitAt(now, perSecond)
		limiter.SetBurstAt(now, burst)
	}
	r := limiter.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}
