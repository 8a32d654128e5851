package auth_test

import (
	"testing"
	"time"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/store"
)

func TestWhoComesAgainAfterTheTimeThatItIsToldIsAdmitted(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		perSecond float64
		burst     int
		admitted  int // at once
		seconds   int // until the next
	}{
		{50, 100, 100, 1}, {50, 0, 50, 1}, {1, 1, 1, 1}, {0.4, 2, 2, 3}, {0.4, 0, 1, 3}, {2.5, 0, 3, 1}, {0.01, 1, 1, 100},
	} {
		var limits auth.Limits
		p := &auth.Principal{Directory: 1, RateLimit: store.RateLimit{PerSecond: tt.perSecond, Burst: tt.burst}}
		for n := range tt.admitted {
			if err := limits.Admit(p, now); err != nil {
				t.Errorf("%+v: request %d: %v", tt, n, err)
			}
		}
		err := limits.Admit(p, now)
		if store.CodeOf(err) != store.CodeTooMany || store.RetrySeconds(err) != tt.seconds {
			t.Errorf("%+v: one more: %v, to come again in %d s", tt, err, store.RetrySeconds(err))
		}
		if err := limits.Admit(&auth.Principal{Directory: 2, RateLimit: p.RateLimit}, now); err != nil {
			t.Errorf("%+v: another directory: %v", tt, err)
		}
		if tt.seconds > 1 {
			if limits.Admit(p, now.Add(time.Duration(tt.seconds-1)*time.Second)) == nil {
				t.Errorf("%+v: admitted a second before its time", tt)
			}
		}
		if err := limits.Admit(p, now.Add(time.Duration(tt.seconds)*time.Second)); err != nil {
			t.Errorf("%+v: after the time: %v", tt, err)
		}
	}
}

func TestALimitThatChangesHoldsAtOnceAndNoneIsNone(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var limits auth.Limits
	admitted := func(perSecond float64, burst, of int) (n int) {
		for range of {
			if limits.Admit(&auth.Principal{Directory: 1, RateLimit: store.RateLimit{PerSecond: perSecond, Burst: burst}}, now) == nil {
				n++
			}
		}
		return n
	}
	for _, step := range []struct {
		perSecond float64
		burst     int
		want      int // of 1000
	}{{0, 0, 1000}, {10, 10, 10}, {10, 1, 0}, {0, 5, 1000}, {10, 3, 3}} {
		if n := admitted(step.perSecond, step.burst, 1000); n != step.want {
			t.Errorf("%+v: %d admitted", step, n)
		}
	}
	now = now.Add(time.Second)
	if n := admitted(100, 50, 1000); n != 3 {
		t.Errorf("a wider limit gives the past no more than the old one: %d admitted", n)
	}
}
