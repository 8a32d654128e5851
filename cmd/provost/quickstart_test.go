package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
)

// consoleLine is a command of a page, with what it says that is printed.
type consoleLine struct{ command, output string }

// consoleOf reads the blocks of a page that show a console: lines after "$ " are typed,
// with those that a backslash joins, and the others are printed.
func consoleOf(t *testing.T, path string) (lines []consoleLine) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	inside, joined := false, false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		command, typed := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case joined:
			lines[len(lines)-1].command += "\n" + line
			joined = strings.HasSuffix(line, `\`)
		case typed:
			lines = append(lines, consoleLine{command: command})
			joined = strings.HasSuffix(line, `\`)
		default:
			lines[len(lines)-1].output += line + "\n"
		}
	}
	return lines
}

func TestTheQuickStartWorksAsPasted(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"bash", "curl", "jq"} {
		testenv.Needs(t, program, program)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	lines := consoleOf(t, "../../docs/quickstart.md")
	if len(lines) < 20 {
		t.Fatalf("the page has %d commands", len(lines))
	}
	const mark = "----- command %d\n"
	var script strings.Builder
	script.WriteString("set -eo pipefail -m\nexec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n")
	for i, line := range lines {
		fmt.Fprintf(&script, "printf -- '"+strings.ReplaceAll(mark, "\n", `\n`)+"'\n%s\n", i, strings.ReplaceAll(line.command, "127.0.0.1:8080", address))
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script.String())
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PROVOST_LISTEN="+address, "PROVOST_DRAIN_WITHIN=0s")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rest := string(out)
	for i, line := range lines {
		_, after, ok := strings.Cut(rest, fmt.Sprintf(mark, i))
		if !ok {
			t.Fatalf("command %d was not reached:\n%s", i, out)
		}
		printed, _, _ := strings.Cut(after, "----- command ")
		if line.output != "" && printed != line.output {
			t.Errorf("%s\nprints\n%swant\n%s", line.command, printed, line.output)
		}
		rest = after
	}
}
