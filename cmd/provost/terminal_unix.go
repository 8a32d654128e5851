//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// windowWidth asks a terminal for its width; false if f is none. One that does not
// know is taken for 80 characters wide.
func windowWidth(f *os.File) (int, bool) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, false
	}
	if size.Col == 0 {
		return 80, true
	}
	return int(size.Col), true
}
