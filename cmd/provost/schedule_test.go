package main

import (
	"strings"
	"testing"
	"time"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
)

func TestASchedule(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"off is shown as it is written":                 {"off", "off"},
		"hours are an interval":                         {"interval=4h", "interval=4h"},
		"hours and minutes are an interval":             {"interval=1h30m", "interval=1h30m"},
		"minutes are an interval":                       {"interval=240m", "interval=4h"},
		"a time of day is daily":                        {"daily=02:30", "daily=02:30"},
		"every second day in a zone is daily":           {"daily=02:30,every=2,zone=Europe/Zurich", "daily=02:30,every=2,zone=Europe/Zurich"},
		"a zone may come first":                         {"daily=23:59,zone=UTC,every=7", "daily=23:59,every=7,zone=UTC"},
		"every day is what daily means without every":   {"daily=00:00,every=1", "daily=00:00"},
		"an hour without a leading zero gets one":       {"daily=2:30", "daily=02:30"},
		"a year is the longest interval that is let in": {"interval=8760h", "interval=8760h"},
	} {
		t.Run(name, func(t *testing.T) {
			schedule, err := parseSchedule(c.text)
			if err != nil {
				t.Fatal(err)
			}
			d := openapi.Directory{Settings: openapi.DirectorySettings{Ldap: &openapi.LDAPSettings{Schedule: schedule}}}
			if got := scheduleOf(&d); got != c.want {
				t.Errorf("%s is shown as %s, not as %s", c.text, got, c.want)
			}
		})
	}
}

func TestAScheduleThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "never", "off,every=2", "off=1", "interval", "interval=", "interval=4", "interval=30s", "interval=90s", "interval=-4h",
		"interval=8761h", "interval=4h,every=2", "daily", "daily=25:00", "daily=02:60", "daily=0230", "daily=02:30,every=0",
		"daily=02:30,every=x", "daily=02:30,every=367", "daily=02:30,zone=Mars/Base", "daily=02:30,zone=", "daily=02:30,zone=Local",
		"daily=02:30,at=1",
	} {
		if _, err := parseSchedule(text); err == nil {
			t.Errorf("%q is accepted", text)
		} else if !strings.Contains(err.Error(), "--schedule") {
			t.Errorf("%q is refused without naming the flag: %v", text, err)
		}
	}
}

func TestTheNextRunIsShownOnceAPersonHasStartedTheFirst(t *testing.T) {
	t.Parallel()
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: oddNames})
	p := startProvost(t)
	p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, server, server.TLSURL)...)...)
	p.must(t, "directory", "set", "corp", "--schedule", "daily=02:30,every=2,zone=Europe/Zurich")
	next := func() *time.Time {
		t.Helper()
		one := decode[openapi.Directory](t, p.must(t, "directory", "show", "corp", "--json"))
		return one.NextRunAt
	}
	if at := next(); at != nil {
		t.Errorf("before the first run the next is at %v", at)
	}
	before := time.Now()
	p.mustPull(t)
	zurich, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	at := next()
	if at == nil || at.In(zurich).Format("15:04") != "02:30" || !at.After(before) || at.Sub(before) > 49*time.Hour {
		t.Errorf("after the run of %v the next is at %v", before, at)
	}
	shown := p.must(t, "directory", "show", "corp")
	if !strings.Contains(shown, "next run") {
		t.Errorf("the directory is shown as\n%s", shown)
	}
	set := decode[openapi.Directory](t, p.must(t, "directory", "set", "corp", "--schedule", "interval=2h", "--json"))
	if set.NextRunAt == nil || !set.NextRunAt.After(before) || set.NextRunAt.Sub(before) > 3*time.Hour {
		t.Errorf("the answer to another schedule says that the next run is at %v", set.NextRunAt)
	}
	p.must(t, "directory", "set", "corp", "--schedule", "off")
	if at := next(); at != nil {
		t.Errorf("once the schedule is off the next run is at %v", at)
	}
}
