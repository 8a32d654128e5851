//go:build !unix

package main

import "os"

// windowWidth takes nothing for a terminal where it cannot ask: tables are then
// never cut, and runs never ask.
func windowWidth(*os.File) (int, bool) { return 0, false }
