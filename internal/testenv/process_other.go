//go:build !linux

package testenv

import "syscall"

// dieWithParent has no counterpart here: a server outlives a killed test binary.
func dieWithParent(*syscall.SysProcAttr) {}
