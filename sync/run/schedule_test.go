package run

import (
	"errors"
	"testing"
	"time"

	"github.com/provost-scim/provost/store"
)

func TestNext(t *testing.T) {
	daily := func(at string, every int, zone string) store.Schedule {
		return store.Schedule{Kind: "daily", At: at, EveryDays: every, Zone: zone}
	}
	const zurich = "Europe/Zurich"
	for _, c := range []struct {
		name     string
		schedule store.Schedule
		last     string // RFC 3339; "" means no run yet
		want     string // "" means never
	}{
		{"a schedule that is off is never due", store.Schedule{Kind: "off"}, "2026-03-01T10:00:00Z", ""},
		{"an interval begins with the first run that a person starts", store.Schedule{Kind: "interval", IntervalMins: 240}, "", ""},
		{"an interval counts from the start of the last run", store.Schedule{Kind: "interval", IntervalMins: 240}, "2026-03-01T10:00:00Z", "2026-03-01T14:00:00Z"},
		{"a daily schedule begins with the first run that a person starts", daily("02:30", 1, zurich), "", ""},
		{"a run earlier on the day leaves the day's time", daily("02:30", 1, zurich), "2026-06-10T01:00:00+02:00", "2026-06-10T02:30:00+02:00"},
		{"a run later on the day leaves the next day's", daily("02:30", 1, zurich), "2026-06-10T15:00:00+02:00", "2026-06-11T02:30:00+02:00"},
		{"a run at exactly the time leaves the next day's", daily("02:30", 1, zurich), "2026-06-10T02:30:00+02:00", "2026-06-11T02:30:00+02:00"},
		{"zero days mean every day", daily("02:30", 0, zurich), "2026-06-10T02:30:01+02:00", "2026-06-11T02:30:00+02:00"},
		{"every other day skips one", daily("02:30", 2, zurich), "2026-06-10T02:30:01+02:00", "2026-06-12T02:30:00+02:00"},
		{"the day is that of the zone", daily("00:15", 1, zurich), "2026-06-10T23:00:00Z", "2026-06-12T00:15:00+02:00"},
		{"an empty zone is UTC", daily("02:30", 1, ""), "2026-06-10T02:00:00Z", "2026-06-10T02:30:00Z"},
		{"months end", daily("02:30", 1, zurich), "2026-06-30T12:00:00+02:00", "2026-07-01T02:30:00+02:00"},
		{"a time that clocks skip is as long after midnight as ever", daily("02:30", 1, zurich), "2026-03-28T12:00:00+01:00", "2026-03-29T03:30:00+02:00"},
		{"the day after clocks were put forward is as ever", daily("02:30", 1, zurich), "2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00"},
		{"a time that clocks show twice is the first of the two", daily("02:30", 1, zurich), "2026-10-24T12:00:00+02:00", "2026-10-25T02:30:00+02:00"},
		{"a time that clocks show twice is due once", daily("02:30", 1, zurich), "2026-10-25T02:30:01+02:00", "2026-10-26T02:30:00+01:00"},
		{"a zone far in the east", daily("01:30", 1, "Pacific/Auckland"), "2026-06-10T00:00:00Z", "2026-06-11T01:30:00+12:00"},
		{"half an hour of daylight saving", daily("02:15", 1, "Australia/Lord_Howe"), "2026-10-03T00:00:00Z", "2026-10-04T02:45:00+11:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var last time.Time
			if c.last != "" {
				last = moment(t, c.last)
			}
			got, err := Next(c.schedule, last)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				if !got.IsZero() {
					t.Errorf("due at %v, want never", got)
				}
				return
			}
			if want := moment(t, c.want); !got.Equal(want) {
				t.Errorf("due at %v, want %v", got, want)
			}
		})
	}
}

func TestNextRefusesAScheduleThatMeansNothing(t *testing.T) {
	for field, s := range map[string]store.Schedule{
		"schedule.kind":             {Kind: "weekly"},
		"schedule.interval_minutes": {Kind: "interval"},
		"schedule.at":               {Kind: "daily", At: "25:00"},
		"schedule.zone":             {Kind: "daily", At: "02:30", Zone: "Europe/Atlantis"},
		"schedule.every_days":       {Kind: "daily", At: "02:30", EveryDays: -1},
	} {
		_, err := Next(s, time.Time{})
		var e *store.Error
		if !errors.As(err, &e) || e.Field != field || e.Code != store.CodeInvalid {
			t.Errorf("%+v gave the error %v, want one about %s", s, err, field)
		}
	}
}

func moment(t *testing.T, s string) time.Time {
	t.Helper()
	m, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
