package testenv

import "syscall"

// dieWithParent makes the kernel kill a server whose test binary was killed,
// for example by the time limit of go test.
func dieWithParent(attributes *syscall.SysProcAttr) {
	attributes.Pdeathsig = syscall.SIGKILL
}
