package run

import (
	"context"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// Next returns when a directory is due after its last run. It is zero when it
// never is: the schedule is off, or nobody has started a first run yet, with which
// a schedule begins.
//
// A daily schedule is due at its time of day EveryDays days after the last run's.
// Where clocks are put forward over that time, it is due as long after midnight as
// on other days; where they are put back over it, at the first of the two.
func Next(s store.Schedule, last time.Time) (time.Time, error) {
	switch s.Kind {
	case "", "off":
		return time.Time{}, nil
	case "interval":
		if s.IntervalMins <= 0 {
			return time.Time{}, invalidSchedule("interval_minutes", "interval_minutes is %d; it must be at least 1", s.IntervalMins)
		}
		if last.IsZero() {
			return time.Time{}, nil
		}
		return last.Add(time.Duration(s.IntervalMins) * time.Minute), nil
	case "daily":
		return nextDaily(s, last)
	}
	return time.Time{}, invalidSchedule("kind", "the schedule's kind %q is none of off, interval and daily", s.Kind)
}

func nextDaily(s store.Schedule, last time.Time) (time.Time, error) {
	at, err := time.Parse("15:04", s.At)
	if err != nil {
		return time.Time{}, invalidSchedule("at", "at %q is not a time of day such as 02:30", s.At)
	}
	zone, err := time.LoadLocation(s.Zone)
	if err != nil {
		return time.Time{}, invalidSchedule("zone", "zone %q is not a known time zone such as Europe/Zurich", s.Zone)
	}
	if s.EveryDays < 0 {
		return time.Time{}, invalidSchedule("every_days", "every_days is %d; it must be at least 1", s.EveryDays)
	}
	if last.IsZero() {
		return time.Time{}, nil
	}
	year, month, day := last.In(zone).Date()
	if !timeOfDay(year, month, day, at, zone).After(last) {
		day++
	}
	return timeOfDay(year, month, day+max(s.EveryDays, 1)-1, at, zone), nil
}

// timeOfDay is the moment at which clocks in a zone show a time of a day.
// time.Date does not say which it takes when there are two such moments, or none.
func timeOfDay(year int, month time.Month, day int, at time.Time, zone *time.Location) time.Time {
	asUTC := time.Date(year, month, day, at.Hour(), at.Minute(), 0, 0, time.UTC)
	moment := func(near time.Time) time.Time {
		_, offset := near.In(zone).Zone()
		return asUTC.Add(-time.Duration(offset) * time.Second)
	}
	before, after := moment(asUTC.Add(-26*time.Hour)), moment(asUTC.Add(26*time.Hour))
	shows := func(t time.Time) bool {
		t = t.In(zone)
		return t.Hour() == at.Hour() && t.Minute() == at.Minute()
	}
	if !shows(before) && shows(after) || shows(after) && after.Before(before) {
		return after
	}
	return before
}

func invalidSchedule(field, format string, args ...any) *store.Error {
	e := store.Errorf(store.CodeInvalid, format, args...)
	e.Field = "schedule." + field
	return e
}

// scheduler is the kind of the actor of a run that nobody started.
const scheduler = "schedule"

// schedule starts a run of every directory that is due, and returns when the next
// one will be; zero if none will.
func (e *Engine) schedule(ctx context.Context) (next time.Time, err error) {
	var all []store.Due
	err = e.store.View(ctx, func(r store.Reader) error {
		all, err = r.Due(ctx, 0)
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("list the directories with a schedule: %w", err)
	}
	now := e.now()
	for i := range all {
		at := e.due(ctx, &all[i])
		switch {
		case at.IsZero():
		case at.After(now):
			if next.IsZero() || at.Before(next) {
				next = at
			}
		default:
			if err := e.startScheduled(ctx, &all[i].Directory); err != nil {
				e.complain(ctx, "start the scheduled run of directory "+all[i].Directory.Name, err)
			}
		}
	}
	return next, nil
}

func (e *Engine) due(ctx context.Context, d *store.Due) time.Time {
	if d.Directory.Settings.LDAP == nil {
		return time.Time{}
	}
	at, err := Next(d.Directory.Settings.LDAP.Schedule, d.LastRun)
	if err != nil {
		e.complain(ctx, "read the schedule of directory "+d.Directory.Name, err)
		return time.Time{}
	}
	return at
}

// startScheduled starts a run if the directory is still due: another process may
// have been faster. It waits its turn while a plan is being made.
func (e *Engine) startScheduled(ctx context.Context, d *store.Directory) error {
	err := e.store.Update(ctx, func(tx store.Tx) error {
		all, err := tx.Due(ctx, d.Key)
		if err != nil || len(all) == 0 {
			return err
		}
		if at := e.due(ctx, &all[0]); at.IsZero() || at.After(e.now()) {
			return nil
		}
		cause := store.Cause{Actor: store.Actor{Kind: scheduler}, Reason: "schedule"}
		_, err = e.create(ctx, tx, &all[0].Directory, how{apply: true}, cause)
		return err
	})
	switch {
	case err == nil:
		e.wake()
	case store.CodeOf(err) == store.CodeConflict:
		return nil
	}
	return err
}
