package main

import (
	"io"
	"os"
)

// isTerminal reports whether what is written to w, or read from it, is seen or
// typed by a person.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, ok = windowWidth(f)
	return ok
}

// terminalWidth is how many characters fit a line of w, if it is a terminal.
func terminalWidth(w io.Writer) (int, bool) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, false
	}
	return windowWidth(f)
}
