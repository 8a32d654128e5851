package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/provost-scim/provost/openapi"
)

// column is one column of a table for people.
type column[T any] struct {
	title  string
	value  func(*T) string
	shrink bool // may be cut to fit the terminal
}

// list prints a list as a table, as a JSON array, or as ids. all hands every item
// to its argument; JSON is written as it comes, so a long list needs no memory.
func list[T any](s *session, r *remote, columns []column[T], id func(*T) string, all func(each func(*T) error) error) error {
	switch {
	case r.JSON:
		return writeArray(s.stdout, all)
	case r.Quiet:
		return all(func(item *T) error {
			_, err := fmt.Fprintln(s.stdout, plain(id(item)))
			return err
		})
	}
	var rows [][]string
	err := all(func(item *T) error {
		row := make([]string, len(columns))
		for i, c := range columns {
			row[i] = plain(c.value(item))
		}
		rows = append(rows, row)
		return nil
	})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		fmt.Fprintln(s.stderr, "none")
		return nil
	}
	titles, shrink := make([]string, len(columns)), make([]bool, len(columns))
	for i, c := range columns {
		titles[i], shrink[i] = c.title, c.shrink
	}
	return writeTable(s.stdout, titles, shrink, rows)
}

// writeArray writes a JSON array, one item a line.
func writeArray[T any](w io.Writer, all func(each func(*T) error) error) error {
	open := "["
	err := all(func(item *T) error {
		b, err := json.Marshal(item)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n%s", open, b)
		open = ","
		return err
	})
	if err != nil {
		return err
	}
	if open == "[" {
		_, err = fmt.Fprintln(w, "[]")
	} else {
		_, err = fmt.Fprint(w, "\n]\n")
	}
	return err
}

// writeJSON writes one document, indented.
func writeJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}

// writeTable aligns rows under titles, as wide as the terminal if w is one.
func writeTable(w io.Writer, titles []string, shrink []bool, rows [][]string) error {
	columns, ok := terminalWidth(w)
	if !ok {
		columns = math.MaxInt
	}
	_, err := io.WriteString(w, tableText(titles, shrink, rows, columns))
	return err
}

// tableText is a table at most so many columns wide. Columns that may shrink are cut, the
// widest first, until a row fits a line; if none does then, the last column, which is an
// id that nobody could use if it was cut, has a line of its own.
func tableText(titles []string, shrink []bool, rows [][]string, columns int) string {
	widths := make([]int, len(titles))
	for i, t := range titles {
		widths[i] = utf8.RuneCountInString(t)
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	last := len(widths) - 1
	apart := !fit(slices.Clone(widths), shrink, columns) && last > 0
	if apart {
		fit(widths[:last], shrink, columns)
	} else {
		fit(widths, shrink, columns)
	}
	var b strings.Builder
	line := func(cells []string) {
		text := ""
		for i, cell := range cells {
			switch {
			case i == last && apart:
				text = strings.TrimRight(text, " ") + "\n  "
			case i > 0:
				text += "  "
			}
			cell = cut(cell, widths[i])
			if text += cell; i < last {
				text += strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			}
		}
		b.WriteString(text + "\n")
	}
	line(titles)
	for _, row := range rows {
		line(row)
	}
	return b.String()
}

// narrowest is what a column is never cut below.
const narrowest = 8

// fit takes from the widest column that may shrink until the table is at most so
// many columns wide, or nothing can shrink further, and reports whether it is.
func fit(widths []int, shrink []bool, columns int) bool {
	total := 2 * (len(widths) - 1)
	for _, n := range widths {
		total += n
	}
	for ; total > columns; total-- {
		widest := -1
		for i, n := range widths {
			if shrink[i] && n > narrowest && (widest < 0 || n > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return false
		}
		widths[widest]--
	}
	return true
}

// cut shortens a text to n characters, the last of them an ellipsis.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:max(n-1, 0)]) + "…"
}

// plain makes text from a directory safe to show: a control character could
// rewrite the terminal it is printed on.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// details prints one record as names and values, without those that are empty.
func details(w io.Writer, pairs [][2]string) error {
	width := 0
	for _, p := range pairs {
		if p[1] != "" {
			width = max(width, len(p[0]))
		}
	}
	for _, p := range pairs {
		if p[1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", width, p[0], plain(p[1])); err != nil {
			return err
		}
	}
	return nil
}

// record prints one record that was asked for or made: JSON, its id, or details.
func record(s *session, r *remote, v any, id string, pairs func() [][2]string) error {
	switch {
	case r.JSON:
		return writeJSON(s.stdout, v)
	case r.Quiet:
		_, err := fmt.Fprintln(s.stdout, id)
		return err
	default:
		return details(s.stdout, pairs())
	}
}

// said tells a person what was done, unless programs or quiet were asked for.
func said(s *session, r *remote, format string, args ...any) {
	if !r.JSON && !r.Quiet {
		fmt.Fprintf(s.stderr, format+"\n", args...)
	}
}

// warn tells a person what of the settings has no effect, whatever is printed.
func warn(s *session, warnings *openapi.Warnings) {
	for _, w := range value(warnings) {
		fmt.Fprintf(s.stderr, "warning: %s\n", w)
	}
}

// at shows a time for people, in their own zone.
func at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// when is at for a time that may be absent.
func when(t *time.Time) string {
	if t == nil {
		return ""
	}
	return at(*t)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
