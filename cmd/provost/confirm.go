package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// confirmFlag is of every command that destroys something, or cuts somebody off.
type confirmFlag struct {
	Yes bool `short:"y" help:"Do it without asking."`
}

// sure asks a person whether to go on. Without a terminal there is nobody to ask, and
// --yes must say so.
func (f *confirmFlag) sure(s *session, format string, args ...any) (bool, error) {
	if f.Yes {
		return true, nil
	}
	what := fmt.Sprintf(format, args...)
	if !isTerminal(s.stdin) || !isTerminal(s.stderr) {
		return false, misused("give --yes to do it without being asked", "this would %s, and there is no terminal to ask at", what)
	}
	fmt.Fprintf(s.stderr, "This will %s.\n", plain(what))
	sure, err := ask(s, "Go on?")
	if err == nil && !sure {
		fmt.Fprintln(s.stderr, "nothing was changed")
	}
	return sure, err
}

// ask puts a question to the person at the terminal. Anything but yes is no.
func ask(s *session, question string) (bool, error) {
	fmt.Fprint(s.stderr, question+" [y/N] ")
	line, err := bufio.NewReader(io.LimitReader(s.stdin, 1024)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, nil
	default:
		return false, nil
	}
}
