// Package testenv starts the real servers that tests talk to: PostgreSQL,
// OpenLDAP, a Samba Active Directory domain controller, a DNS server, a mail server, an OpenID
// Connect issuer, and a proxy that cuts connections. Everything runs privately: on free loopback ports or
// addresses, in temporary directories, as an unprivileged user unless it is Samba,
// and is gone when the test binary ends.
//
// The usual path has two parts. A package that starts servers hands its tests
// to Main:
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
//
// and a test asks for what it needs:
//
//	dsn := testenv.Postgres(t).Database(t, migrate)
//	dir := testenv.Slapd(t, testenv.SlapdOptions{LDIF: "corp.ldif"})
//	dc := testenv.Samba(t, testenv.SambaOptions{Write: people})
//
// PostgreSQL is started once for each test binary, at the first call, and
// every test gets a database of its own, cloned from a migrated template; domain
// controllers are copies of one that was provisioned once. Other servers belong to
// the test that started them.
//
// Where a program is not installed the test is skipped and says which package
// to install; with CI set in the environment the test fails instead, because
// in CI nothing may be skipped. The package never uses a system service, never
// listens on anything but 127.0.0.0/8, and is never imported by the program.
package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
)

// Runner is what Main and Wrap run: *testing.M, or something around it.
type Runner interface{ Run() int }

// Main runs the tests, stops every server that they started, and exits with
// the code of the tests.
func Main(m Runner) { os.Exit(Wrap(m).Run()) }

// Wrap returns a Runner that runs m and then stops every shared server. It is
// for a TestMain that hands its tests on, to testscript or goleak:
//
//	testscript.Main(testenv.Wrap(m), commands)
func Wrap(m Runner) Runner { return wrapped{m} }

type wrapped struct{ inner Runner }

func (w wrapped) Run() (code int) {
	shared.open()
	defer func() {
		if err := shared.close(); err != nil {
			fmt.Fprintln(os.Stderr, "testenv:", err)
			code = max(code, 1)
		}
	}()
	return w.inner.Run()
}

// shared holds what lives as long as the test binary.
var shared registry

// registry remembers how to stop the servers that outlive a test.
type registry struct {
	mu    sync.Mutex
	main  bool // tests run below Main or Wrap, so close will be called
	stops []func() error
}

func (r *registry) open() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.main = true
}

// onClose keeps stop for the end of the test binary. It refuses when nothing
// would ever call it, because a forgotten server outlives its tests.
func (r *registry) onClose(stop func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.main {
		return fmt.Errorf("nothing would stop this server: add func TestMain(m *testing.M) { testenv.Main(m) } to the package")
	}
	r.stops = append(r.stops, stop)
	return nil
}

func (r *registry) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var first error
	for _, stop := range slices.Backward(r.stops) {
		if err := stop(); err != nil && first == nil {
			first = err
		}
	}
	r.stops, r.main = nil, false
	return first
}

// Needs ends a test that uses a program which is not installed, as [Cannot] does.
func Needs(t testing.TB, program, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		missing(t, program, debianPackage)
	}
}

// missing ends a test whose server is not installed.
func missing(t testing.TB, program, debianPackage string) {
	t.Helper()
	Cannot(t, missingMessage(program, debianPackage))
}

// Cannot ends a test that cannot run here: a failure in CI, elsewhere a skip that
// says why, and by its hint what runs the test.
func Cannot(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func missingMessage(program, debianPackage string) string {
	return fmt.Sprintf("%s is not installed (Debian package %s)\nhint: `make test` as root installs it and runs the test; or `apt-get install --no-install-recommends %s`, then `make test`",
		program, debianPackage, debianPackage)
}
