//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
)

// openTerminal returns the two ends of a terminal that is so many characters wide:
// that of the person, and that of the program.
func openTerminal(t *testing.T, columns uint16) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		testenv.Cannot(t, fmt.Sprintf("no terminal can be opened here: %v\nhint: where /dev/ptmx can be opened, `make test` runs it", err))
	}
	t.Cleanup(func() {
		if err := person.Close(); err != nil {
			t.Error(err)
		}
	})
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 25, Col: columns}); err != nil {
		t.Fatal(err)
	}
	return person, program
}

// typing runs a command on a terminal while a person types, and returns what the
// person sees.
func (p *provostServer) typing(t *testing.T, columns uint16, typed string, args ...string) (seen string, code int) {
	t.Helper()
	person, program := openTerminal(t, columns)
	if _, err := io.WriteString(person, typed); err != nil {
		t.Fatal(err)
	}
	read := make(chan []byte, 1)
	go func() {
		b, err := io.ReadAll(person)
		if err != nil && !errors.Is(err, syscall.EIO) { // EIO: the program's end is closed
			b = append(b, err.Error()...)
		}
		read <- b
	}()
	code = realMain(t.Context(), args, program, program, program, func(name string) (string, bool) {
		value, ok := map[string]string{"PROVOST_URL": p.url, "PROVOST_TOKEN": p.token}[name]
		return value, ok
	})
	if err := program.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(<-read), "\r\n", "\n"), code
}

func TestAPersonIsShownThePlanAndAsked(t *testing.T) {
	t.Parallel()
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 20, Groups: 2})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF})
	p := startProvost(t)
	corpDirectory(t, p, server)
	p.must(t, "directory", "set", "corp", "--domain-policy", "off")

	seen, code := p.typing(t, 100, "n\n", "sync", "run", "corp")
	for _, want := range []string{"20 users and 2 groups in scope", "20 created", "corp.test: 20 users, not claimed", "u000000", "Apply this plan? [y/N]", "nothing was changed"} {
		if !strings.Contains(seen, want) {
			t.Errorf("a person who says no does not see %q:\n%s", want, seen)
		}
	}
	if code != 0 {
		t.Errorf("no is exit code %d", code)
	}
	if users := decode[[]openapi.User](t, p.must(t, "user", "list", "--json")); len(users) != 0 {
		t.Errorf("no made %d users", len(users))
	}

	seen, code = p.typing(t, 100, "y\n", "sync", "run", "corp")
	if code != 0 || !strings.Contains(seen, "succeeded") {
		t.Errorf("yes is exit code %d:\n%s", code, seen)
	}
	if users := decode[[]openapi.User](t, p.must(t, "user", "list", "--json")); len(users) != 20 {
		t.Errorf("yes made %d users", len(users))
	}
}

func TestAPersonIsAskedBeforeSomethingIsDestroyed(t *testing.T) {
	t.Parallel()
	p := startProvost(t)
	p.must(t, "user", "create", "ada@example.com")
	seen, code := p.typing(t, 100, "\n", "user", "delete", "ada@example.com")
	if code != 0 || !strings.Contains(seen, "This will delete the user ada@example.com.\nGo on? [y/N]") || !strings.Contains(seen, "nothing was changed") {
		t.Errorf("exit code %d:\n%s", code, seen)
	}
	p.must(t, "user", "show", "ada@example.com")
	if seen, code := p.typing(t, 100, "y\n", "user", "delete", "ada@example.com"); code != 0 || !strings.Contains(seen, "is deleted") {
		t.Errorf("exit code %d:\n%s", code, seen)
	}
	if _, _, code := p.run(t, "user", "show", "ada@example.com"); code != exitError {
		t.Errorf("the user is still there")
	}
}

func TestAListFitsTheTerminal(t *testing.T) {
	t.Parallel()
	p := startProvost(t)
	p.must(t, "user", "create", "somebody.with.a.very.long.name.indeed.that.goes.on.and.on@a.long.example.com", "--given-name", strings.Repeat("Ada", 20))
	seen, code := p.typing(t, 90, "", "user", "list")
	if code != 0 || !strings.Contains(seen, "…") {
		t.Errorf("exit code %d, nothing is cut:\n%s", code, seen)
	}
	for line := range strings.Lines(seen) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 90 {
			t.Errorf("a line has %d characters: %s", n, line)
		}
	}
	if seen, _ := p.typing(t, 90, "", "user", "list", "--json"); strings.Contains(seen, "…") {
		t.Errorf("JSON is cut:\n%s", seen)
	}
}
