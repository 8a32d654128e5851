package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/provost-scim/provost/openapi"
)

const scheduleHint = "give off, interval=4h, or daily=02:30[,every=2][,zone=Europe/Zurich]"

// parseSchedule reads a schedule as the command line writes it (product page,
// "Interfaces"): off | interval=4h | daily=02:30[,every=2][,zone=Europe/Zurich].
func parseSchedule(text string) (*openapi.Schedule, error) {
	first, rest, _ := strings.Cut(text, ",")
	kind, value, _ := strings.Cut(first, "=")
	wrong := func(format string, args ...any) (*openapi.Schedule, error) {
		return nil, misused(scheduleHint, "--schedule %q: %s", text, fmt.Sprintf(format, args...))
	}
	k := openapi.ScheduleKind(kind)
	schedule := &openapi.Schedule{Kind: &k}
	switch kind {
	case "off":
		if value != "" || rest != "" {
			return wrong("off takes nothing else")
		}
	case "interval":
		span, err := time.ParseDuration(value)
		if err != nil || span < time.Minute || span > 365*24*time.Hour || span%time.Minute != 0 {
			return wrong("interval %q is not a number of hours and minutes, at least 1m", value)
		}
		if rest != "" {
			return wrong("interval takes nothing else")
		}
		minutes := int(span / time.Minute)
		schedule.IntervalMinutes = &minutes
	case "daily":
		clock, err := time.Parse("15:04", value)
		if err != nil {
			return wrong("daily %q is not a time of day such as 02:30", value)
		}
		text := clock.Format("15:04")
		schedule.At = &text
		if err := dailyOptions(schedule, rest); err != nil {
			return wrong("%s", err)
		}
	default:
		return wrong("%q is no kind of schedule", kind)
	}
	return schedule, nil
}

// dailyOptions reads what may follow daily=TIME.
func dailyOptions(schedule *openapi.Schedule, rest string) error {
	for rest != "" {
		var option string
		option, rest, _ = strings.Cut(rest, ",")
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "every":
			days, err := strconv.Atoi(value)
			if err != nil || days < 1 || days > 366 {
				return fmt.Errorf("every %q is not a number of days from 1 to 366", value)
			}
			schedule.EveryDays = &days
		case "zone":
			if _, err := time.LoadLocation(value); err != nil || value == "" || value == "Local" {
				return fmt.Errorf("zone %q is not the name of a time zone", value)
			}
			schedule.Zone = &value
		default:
			return fmt.Errorf("%q is unknown", option)
		}
	}
	return nil
}

// scheduleOf shows a directory's schedule as the command line writes it.
func scheduleOf(d *openapi.Directory) string {
	if d.Settings.Ldap == nil || d.Settings.Ldap.Schedule == nil {
		return ""
	}
	s := d.Settings.Ldap.Schedule
	switch value(s.Kind) {
	case openapi.ScheduleKindInterval:
		span := strings.TrimSuffix((time.Duration(value(s.IntervalMinutes)) * time.Minute).String(), "0s")
		if strings.HasSuffix(span, "h0m") {
			span = strings.TrimSuffix(span, "0m")
		}
		return "interval=" + span
	case openapi.ScheduleKindDaily:
		text := "daily=" + value(s.At)
		if n := value(s.EveryDays); n > 1 {
			text += ",every=" + strconv.Itoa(n)
		}
		if zone := value(s.Zone); zone != "" {
			text += ",zone=" + zone
		}
		return text
	default:
		return string(value(s.Kind))
	}
}
