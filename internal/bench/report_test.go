package bench

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"

	_ "embed"
)

// target is what a measurement should reach; the zero value is none.
type target struct {
	atLeast bool
	value   float64
	set     bool
}

func atMost(value float64) target  { return target{value: value, set: true} }
func atLeast(value float64) target { return target{value: value, set: true, atLeast: true} }

// met says whether value reaches the target, or nothing where there is none.
func (t target) met(value float64) string {
	switch {
	case !t.set:
		return ""
	case t.atLeast && value >= t.value, !t.atLeast && value <= t.value:
		return "yes"
	}
	return "**no**"
}

// unit is how a judged value is written.
type unit string

const (
	times   unit = "%.2f"
	percent unit = "%.1f %%"
	mebi    unit = "%.0f MiB"
)

func (t target) in(u unit) string {
	if !t.set {
		return ""
	}
	sign := "≤ "
	if t.atLeast {
		sign = "≥ "
	}
	text := fmt.Sprintf(string(u), t.value)
	if u == times {
		text = fmt.Sprintf("%.1f", t.value)
	}
	return sign + strings.Replace(text, ".0 %", " %", 1)
}

// row is one line of the table.
type row struct {
	measurement string
	engine      string
	provost     string
	floor       string
	value       float64 // what is judged: a ratio, or what unit says
	unit        unit
	target      target
}

func (r row) cells() []string {
	return []string{
		r.measurement, r.engine, r.provost, r.floor,
		fmt.Sprintf(string(r.unit), r.value), r.target.in(r.unit), r.target.met(r.value),
	}
}

// report collects the rows of one run of the test binary.
type report struct {
	rows     []row
	versions map[string]string
}

var results = report{versions: map[string]string{"Go": strings.TrimPrefix(runtime.Version(), "go")}}

func (r *report) add(rows ...row) { r.rows = append(r.rows, rows...) }

var columns = []string{"measurement", "engine", "provost", "floor", "ratio", "target", "met"}

// table writes the rows as Markdown, in columns that a person can read as text.
func (r *report) table() string {
	lines := [][]string{columns}
	for _, row := range r.rows {
		lines = append(lines, row.cells())
	}
	widths := make([]int, len(columns))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var out strings.Builder
	for n, line := range lines {
		for i, cell := range line {
			out.WriteString("| " + cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+1))
		}
		out.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				out.WriteString("|" + strings.Repeat("-", width+2))
			}
			out.WriteString("|\n")
		}
	}
	return out.String()
}

//go:embed report.md.tmpl
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// write writes the page that docs/BENCHMARKS.md is.
func (r *report) write(w io.Writer) error {
	versions := make([]string, 0, len(r.versions))
	for name, version := range r.versions {
		versions = append(versions, name+" "+version)
	}
	slices.Sort(versions)
	return page.Execute(w, map[string]string{
		"Date":     time.Now().UTC().Format(time.DateOnly),
		"Machine":  fmt.Sprintf("%d cores, %s/%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH),
		"Versions": strings.Join(versions, ", "),
		"Table":    r.table(),
	})
}

func (r *report) writeFile(path string) error {
	var content bytes.Buffer
	if err := r.write(&content); err != nil {
		return err
	}
	return os.WriteFile(path, content.Bytes(), 0o644)
}

// median of an odd or even number of values; 0 of none.
func median[T cmp.Ordered](values []T) T {
	if len(values) == 0 {
		var none T
		return none
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// seconds writes a time with two or three digits that matter.
func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1000)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// count writes a number with a comma for each thousand.
func count(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
