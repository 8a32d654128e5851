package testenv

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Suffix is the naming context of every directory that Slapd starts.
const Suffix = "dc=corp,dc=test"

const (
	bindDN        = "cn=sync,ou=svc," + Suffix
	bindPassword  = "sync-secret"
	adminDN       = "cn=admin," + Suffix
	adminPassword = "admin-secret"
)

// SlapdOptions says what the server holds and how strict it is.
type SlapdOptions struct {
	// LDIF is a file to load. It must contain what WriteSkeleton writes.
	LDIF string
	// Write writes the LDIF to load instead, for example a company's
	// WriteLDIF. With neither, the server has the skeleton only.
	Write func(io.Writer) error
	// SizeLimit is how many entries a search of the service account may
	// return, paged or not, before the server answers sizeLimitExceeded; 0 is
	// no limit. Everyone else is limited to 500.
	SizeLimit int
	// RequireTLS refuses passwords on a plain connection, until StartTLS.
	RequireTLS bool
	// CertificateTime is how long the server's certificate is valid from now; negative
	// for one that has expired, and 0 for 90 days.
	CertificateTime time.Duration
	// Config is added to the database section of slapd.conf, a directive a line.
	Config []string
}

// LDAPServer is one running OpenLDAP server with the overlays memberof, refint
// and syncprov.
type LDAPServer struct {
	URL    string // ldap://127.0.0.1:PORT, which also takes StartTLS
	TLSURL string // ldaps://127.0.0.1:PORT
	CAFile string // PEM; signs the certificate of 127.0.0.1 and localhost

	Suffix        string // dc=corp,dc=test
	BindDN        string // the service account: reads everything but passwords
	Password      string
	AdminDN       string // the rootdn: writes everything, without limits
	AdminPassword string

	t       testing.TB
	dir     string
	account account
	process *process // nil while stopped
}

// Slapd starts an OpenLDAP server for the test and stops it at its end. It
// takes about 0.2 seconds, and a second more for every 20,000 entries.
func Slapd(t testing.TB, options SlapdOptions) *LDAPServer {
	t.Helper()
	binary, ok := findProgram("slapd", "/usr/sbin", "/usr/libexec", "/usr/local/libexec")
	if !ok {
		missing(t, "slapd (OpenLDAP)", "slapd")
	}
	server := &LDAPServer{
		Suffix: Suffix, BindDN: bindDN, Password: bindPassword, AdminDN: adminDN, AdminPassword: adminPassword, t: t,
	}
	if err := server.prepare(binary, options); err != nil {
		t.Fatalf("prepare slapd: %v", err)
	}
	const attempts = 3
	for attempt := 1; ; attempt++ {
		err := server.listen()
		if err == nil {
			return server
		}
		if attempt == attempts || !errors.Is(err, errEnded) {
			t.Fatalf("start slapd: %v", err)
		}
	}
}

// Stop stops the server and keeps its data. Stopping twice is no error.
func (s *LDAPServer) Stop() {
	s.t.Helper()
	if s.process == nil {
		return
	}
	err := s.process.stop(syscall.SIGTERM)
	s.process = nil
	if err != nil {
		s.t.Errorf("stop slapd: %v", err)
	}
}

// Restart stops the server if it runs, and starts it with its data on the same
// ports. What it kept in memory is gone, the session log of syncrepl included.
func (s *LDAPServer) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.start(); err != nil {
		s.t.Fatalf("restart slapd: %v", err)
	}
}

// Admin returns a connection that may change everything, closed when the test
// ends.
func (s *LDAPServer) Admin(t testing.TB) *ldap.Conn {
	t.Helper()
	conn, err := ldap.DialURL(s.socketURL())
	if err != nil {
		t.Fatalf("connect to slapd: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the test may have stopped the server
	conn.SetTimeout(startTimeout)
	if err := conn.Bind(s.AdminDN, s.AdminPassword); err != nil {
		t.Fatalf("bind as %s: %v", s.AdminDN, err)
	}
	return conn
}

// prepare makes the server's directory, certificates and configuration, and
// loads the data.
func (s *LDAPServer) prepare(binary string, options SlapdOptions) (err error) {
	if s.account, err = serverAccount(); err != nil {
		return err
	}
	if s.dir, err = s.account.dir("provost-slapd-"); err != nil {
		return err
	}
	s.t.Cleanup(func() {
		s.Stop()
		if err := os.RemoveAll(s.dir); err != nil {
			s.t.Errorf("remove the files of slapd: %v", err)
		}
	})
	s.CAFile = filepath.Join(s.dir, caCertificateFile)
	config, err := slapdConfig(s.dir, options)
	if err != nil {
		return err
	}
	// AppArmor profiles confine slapd by its path, to the system's own
	// directories; a copy in ours is not confined.
	err = errors.Join(
		os.Mkdir(filepath.Join(s.dir, "db"), 0o755),
		os.WriteFile(s.configFile(), config, 0o600),
		writeCertificates(s.dir, cmp.Or(options.CertificateTime, certificateTime)),
		copyProgram(s.binary(), binary),
		s.account.own(s.dir),
	)
	if err != nil {
		return err
	}
	return s.load(options)
}

// load feeds the LDIF to slapadd. Its quick mode (-q) is needed at size.
func (s *LDAPServer) load(options SlapdOptions) error {
	write := options.Write
	switch {
	case options.LDIF != "" && options.Write != nil:
		return errors.New("SlapdOptions: give LDIF or Write, not both")
	case options.LDIF != "":
		write = func(w io.Writer) error {
			file, err := os.Open(options.LDIF)
			if err != nil {
				return err
			}
			defer file.Close()
			_, err = io.Copy(w, file)
			return err
		}
	case options.Write == nil:
		write = WriteSkeleton
	}
	// The child may not be allowed to read the file, so it gets the content.
	cmd := s.account.command(s.dir, s.binary(), "-T", "add", "-q", "-f", s.configFile(), "-b", Suffix)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	input, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("slapadd: %w", err)
	}
	writeErr := errors.Join(write(input), input.Close())
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("slapadd: %w\n%s", err, tail(output.Bytes()))
	}
	if writeErr != nil {
		return fmt.Errorf("write the LDIF: %w", writeErr)
	}
	return nil
}

// listen chooses ports and starts the server on them.
func (s *LDAPServer) listen() error {
	port, err := freePort()
	if err != nil {
		return err
	}
	tlsPort, err := freePort()
	if err != nil {
		return err
	}
	s.URL, s.TLSURL = fmt.Sprintf("ldap://127.0.0.1:%d", port), fmt.Sprintf("ldaps://127.0.0.1:%d", tlsPort)
	return s.start()
}

// start runs the server until it answers on its unix socket, which lies in its
// own directory and is opened last: then the ports are its own, too.
func (s *LDAPServer) start() error {
	socket := "ldapi://" + strings.ReplaceAll(s.socket(), "/", "%2F")
	process, err := s.account.start(s.dir, s.binary(), "-f", s.configFile(), "-h", s.URL+" "+s.TLSURL+" "+socket, "-d", "0")
	if err != nil {
		return err
	}
	err = process.ready(func(context.Context) error {
		conn, err := ldap.DialURL(s.socketURL())
		if err != nil {
			return err
		}
		conn.SetTimeout(5 * time.Second)
		_, err = conn.Search(&ldap.SearchRequest{
			Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)", Attributes: []string{"namingContexts"},
		})
		return errors.Join(err, conn.Close())
	})
	if err != nil {
		return errors.Join(err, process.stop(os.Kill))
	}
	s.process = process
	return nil
}

func (s *LDAPServer) binary() string     { return filepath.Join(s.dir, "slapd") }
func (s *LDAPServer) configFile() string { return filepath.Join(s.dir, "slapd.conf") }
func (s *LDAPServer) socket() string     { return filepath.Join(s.dir, "ldapi") }
func (s *LDAPServer) socketURL() string  { return "ldapi://" + s.socket() }

// findProgram looks in PATH and then in the directories.
func findProgram(name string, dirs ...string) (string, bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	for _, dir := range dirs {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, true
		}
	}
	return "", false
}

// copyProgram lets nobody fork meanwhile: a child that inherits the open file
// for a moment would make starting the copy fail with "text file busy".
func copyProgram(to, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(to, content, 0o755)
}
