package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker (-X main.version=v1.2.3).
var version string

// versionText is the version, or what the go command wrote into the binary.
func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// versionCommand is `provost version`.
type versionCommand struct{}

// Run prints the version.
func (*versionCommand) Run(s *session) error {
	_, err := fmt.Fprintf(s.stdout, "provost %s %s %s/%s\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
