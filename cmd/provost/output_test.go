package main

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestATableFitsTheTerminal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		widths  []int
		shrink  []bool
		columns int
		want    []int
	}{
		"a narrow table stays":                           {[]int{10, 10}, []bool{true, true}, 80, []int{10, 10}},
		"the widest column shrinks":                      {[]int{60, 20, 4}, []bool{true, true, false}, 60, []int{32, 20, 4}},
		"two wide columns shrink alike":                  {[]int{60, 60}, []bool{true, true}, 62, []int{30, 30}},
		"a column that may not shrink stays":             {[]int{36, 50}, []bool{false, true}, 60, []int{36, 22}},
		"nothing shrinks below what can be read":         {[]int{36, 50}, []bool{false, true}, 20, []int{36, 8}},
		"a table that fits exactly stays":                {[]int{36, 42}, []bool{false, true}, 80, []int{36, 42}},
		"a table that is one too wide loses one":         {[]int{36, 43}, []bool{false, true}, 80, []int{36, 42}},
		"a table without columns that shrink stays wide": {[]int{36, 43}, []bool{false, false}, 40, []int{36, 43}},
	} {
		t.Run(name, func(t *testing.T) {
			fit(c.widths, c.shrink, c.columns)
			if diff := cmp.Diff(c.want, c.widths); diff != "" {
				t.Errorf("widths (-want +got):\n%s", diff)
			}
		})
	}
}

func TestATableThatCannotShrinkEnoughHasItsIDsOnLinesOfTheirOwn(t *testing.T) {
	t.Parallel()
	rows := [][]string{{"all our people", "2026-11-29 22:08:52", "01a2295a-384f-7d74-8e00-3bdb44374465"}}
	for columns, want := range map[int]string{
		73: "NAME            SYNCED               ID\nall our people  2026-11-29 22:08:52  01a2295a-384f-7d74-8e00-3bdb44374465\n",
		70: "NAME         SYNCED               ID\nall our pe…  2026-11-29 22:08:52  01a2295a-384f-7d74-8e00-3bdb44374465\n",
		60: "NAME            SYNCED\n  ID\nall our people  2026-11-29 22:08:52\n  01a2295a-384f-7d74-8e00-3bdb44374465\n",
		30: "NAME       SYNCED\n  ID\nall our …  2026-11-29 22:08:52\n  01a2295a-384f-7d74-8e00-3bdb44374465\n",
	} {
		got := tableText([]string{"NAME", "SYNCED", "ID"}, []bool{true, false, false}, rows, columns)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("on %d columns (-want +got):\n%s", columns, diff)
		}
	}
}

func TestTextOfADirectoryCannotMoveTheCursor(t *testing.T) {
	t.Parallel()
	if got, want := plain("a\x1b[2Jb\r\nc\u009bd"), "a\uFFFD[2Jb\uFFFD\uFFFDc\uFFFDd"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestATableIsAlignedByCharacters(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	err := writeTable(&b, []string{"NAME", "N"}, []bool{true, false}, [][]string{{"Zoë", "1"}, {"Ångström", "22"}})
	if err != nil {
		t.Fatal(err)
	}
	want := "NAME      N\nZoë       1\nÅngström  22\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestALongListIsReadPageByPage(t *testing.T) {
	t.Parallel()
	items := make([]int, 2*pageSize+1)
	for i := range items {
		items[i] = i
	}
	read := func(limit int) (got []int, asked []int) {
		start := 0
		err := pages(limit, func(cursor *string, size int) ([]int, string, error) {
			if (cursor == nil) != (start == 0) {
				t.Errorf("page at %d is asked for with cursor %v", start, cursor)
			}
			asked = append(asked, size)
			end := min(start+size, len(items))
			page := items[start:end]
			start = end
			if start == len(items) {
				return page, "", nil
			}
			return page, "next", nil
		}, func(i *int) error {
			got = append(got, *i)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got, asked
	}
	all, asked := read(0)
	if diff := cmp.Diff(items, all); diff != "" {
		t.Errorf("without a limit (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{pageSize, pageSize, pageSize}, asked); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	some, asked := read(pageSize + 5)
	if diff := cmp.Diff(items[:pageSize+5], some); diff != "" {
		t.Errorf("with a limit (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{pageSize, 5}, asked); diff != "" {
		t.Errorf("pages with a limit (-want +got):\n%s", diff)
	}
}

func TestAnExpiryIsASpanOrADate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"90d":                  now.AddDate(0, 0, 90),
		"12h":                  now.Add(12 * time.Hour),
		"1h30m":                now.Add(90 * time.Minute),
		"2030-01-31T10:00:00Z": time.Date(2030, 1, 31, 10, 0, 0, 0, time.UTC),
		"2030-01-31":           time.Date(2030, 1, 31, 0, 0, 0, 0, time.Local),
	} {
		got, err := expiry(text, now)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if !got.Equal(want) {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"soon", "-1h", "0d", "-3d", "2020-01-01", "2020-01-01T00:00:00Z", "d", "99999999d"} {
		_, err := expiry(text, now)
		var f *failure
		if !errors.As(err, &f) || f.code != exitUsage || f.hint == "" {
			t.Errorf("%q gives %v, not a usage error with a hint", text, err)
		}
	}
	if got, err := expiry("", now); got != nil || err != nil {
		t.Errorf("no text gives %v, %v; want never", got, err)
	}
}
