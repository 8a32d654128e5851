package bench

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/provost-scim/provost/internal/testenv"
)

var (
	scale  = flag.Float64("provost.scale", 1, "fraction of the full size; below 1 no report is written")
	output = flag.String("provost.report", "", "file to write the report to, if every benchmark ran at full size")
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(pullsVariable); spec != "" {
		if err := runPulls(context.Background(), spec); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	testenv.Main(reporting{m})
}

// reporting runs the benchmarks and then shows what they found.
type reporting struct{ inner testenv.Runner }

func (r reporting) Run() int {
	flag.Parse()
	code := r.inner.Run()
	if program.dir != "" {
		if err := os.RemoveAll(program.dir); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}
	if len(results.rows) == 0 {
		return code
	}
	fmt.Fprintf(os.Stdout, "\n%s\n", results.table())
	if *output == "" || code != 0 {
		return code
	}
	if *scale != 1 || flag.Lookup("test.bench").Value.String() != "." {
		fmt.Fprintf(os.Stdout, "%s is as it was: not everything was measured at full size\n", *output)
		return code
	}
	if err := results.writeFile(*output); err != nil {
		fmt.Fprintln(os.Stderr, "bench: write the report:", err)
		return 1
	}
	return code
}

// scaled is n at the chosen scale, but at least least.
func scaled(n, least int) int { return max(least, int(float64(n)**scale)) }

// scaledTime is d at the chosen scale, but at least a fifth of a second.
func scaledTime(d time.Duration) time.Duration {
	return max(200*time.Millisecond, time.Duration(float64(d)**scale))
}

// program is the provost binary that all benchmarks run.
var program struct {
	once sync.Once
	dir  string
	path string
	err  error
}

const buildTimeout = 5 * time.Minute // from an empty build cache

// binary builds the program once and returns its path.
func binary(b *testing.B) string {
	b.Helper()
	program.once.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "provost-bench-"); program.err != nil { //nolint:usetesting // it outlives the benchmark that builds it
			return
		}
		program.path = filepath.Join(program.dir, "provost")
		ctx, cancel := context.WithTimeout(b.Context(), buildTimeout)
		defer cancel()
		build := exec.CommandContext(ctx, "go", "build", "-o", program.path, "../../cmd/provost")
		build.WaitDelay = time.Second // a compiler that it leaves behind may hold its output open
		if output, err := build.CombinedOutput(); err != nil {
			program.err = fmt.Errorf("go build: %w\n%s", err, output)
		}
	})
	if program.err != nil {
		b.Fatal(program.err)
	}
	return program.path
}

// engine is a database that a benchmark runs on.
type engine struct {
	name string
	// database makes an empty one and returns its DSN for Provost.
	database func(b *testing.B) string
	postgres bool
}

var engines = []engine{
	{name: "PostgreSQL", postgres: true, database: func(b *testing.B) string {
		return testenv.PostgresDurable(b).Database(b, nil)
	}},
	{name: "SQLite", database: func(b *testing.B) string {
		return "sqlite:" + filepath.Join(b.TempDir(), "provost.db")
	}},
}
