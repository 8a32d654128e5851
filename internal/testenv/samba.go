package testenv

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// DomainSuffix is the naming context of every domain that Samba starts.
const DomainSuffix = "DC=ad,DC=corp,DC=test"

// The names and accounts of that domain.
const (
	domainName       = "ad.corp.test"
	domainShort      = "ADCORP"
	domainHost       = "dc1"
	domainAdmin      = "Administrator"
	domainPassword   = "Admin-secret.1"
	domainReader     = "svc-provost"
	domainReaderCode = "Reader-secret.1"
)

// SambaOptions says what the domain holds.
type SambaOptions struct {
	// Write writes LDIF to add to what WriteDomainSkeleton writes, which every
	// domain has: the units OU=People, OU=Groups and OU=Leavers, and the service
	// account. A thousand users take about two seconds.
	Write func(io.Writer) error
}

// DomainController is one running Samba Active Directory domain controller. It
// has an address of its own, because its ports are fixed.
type DomainController struct {
	Address string // 127.x.y.z
	URL     string // ldap://ADDRESS, which also takes StartTLS; refuses passwords without
	TLSURL  string // ldaps://ADDRESS
	CAFile  string // PEM; signs the certificate of Address

	Suffix        string // DC=ad,DC=corp,DC=test
	Domain        string // ADCORP, as in ADCORP\somebody
	Realm         string // ad.corp.test, as in somebody@ad.corp.test
	BindDN        string // the service account, an ordinary user
	Password      string
	AdminDN       string // a domain administrator
	AdminPassword string

	t       testing.TB
	dir     string
	process *process // nil while stopped
}

// Samba starts a domain controller for the test and stops it at its end. The first
// call of a test binary provisions a domain, in about five seconds; every call
// copies it and starts the copy, in about one.
//
// The ports of a domain controller belong to root, and so does Samba: without root
// the test is skipped.
func Samba(t testing.TB, options SambaOptions) *DomainController {
	t.Helper()
	programs := sambaPrograms(t)
	template, err := programs.template()
	if err != nil {
		t.Fatalf("provision a domain: %v", err)
	}
	dc := &DomainController{
		Suffix: DomainSuffix, Domain: domainShort, Realm: domainName,
		BindDN: "CN=" + domainReader + ",OU=People," + DomainSuffix, Password: domainReaderCode,
		AdminDN: "CN=" + domainAdmin + ",CN=Users," + DomainSuffix, AdminPassword: domainPassword,
		t: t,
	}
	if err := dc.prepare(programs, template, options); err != nil {
		t.Fatalf("prepare Samba: %v", err)
	}
	if err := dc.start(programs); err != nil {
		t.Fatalf("start Samba: %v", err)
	}
	return dc
}

// Stop stops the domain controller and keeps its data. Stopping twice is no error.
func (d *DomainController) Stop() {
	d.t.Helper()
	if d.process == nil {
		return
	}
	err := d.process.stop(syscall.SIGTERM)
	d.process = nil
	if err != nil {
		d.t.Errorf("stop Samba: %v", err)
	}
}

// Restart stops the domain controller if it runs, and starts it with its data at
// the same address.
func (d *DomainController) Restart() {
	d.t.Helper()
	d.Stop()
	if err := d.start(sambaPrograms(d.t)); err != nil {
		d.t.Fatalf("restart Samba: %v", err)
	}
}

// Admin returns a connection of a domain administrator, closed when the test ends.
func (d *DomainController) Admin(t testing.TB) *ldap.Conn {
	t.Helper()
	return d.As(t, d.AdminDN, d.AdminPassword)
}

// As returns a connection of an account, closed when the test ends.
func (d *DomainController) As(t testing.TB, dn, password string) *ldap.Conn {
	t.Helper()
	conn, err := d.dial()
	if err != nil {
		t.Fatalf("connect to Samba: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the test may have stopped the server
	conn.SetTimeout(startTimeout)
	if err := conn.Bind(dn, password); err != nil {
		t.Fatalf("bind as %s: %v", dn, err)
	}
	return conn
}

// ShowTombstones gives an account the right to see what was deleted, as Windows'
// "dsacls CN=Deleted Objects,… /G ACCOUNT:LCRP" does once somebody owns the container.
func (d *DomainController) ShowTombstones(dn string) {
	d.t.Helper()
	d.access(dn, "CN=Deleted Objects,"+d.Suffix, "(A;;RPLC;;;%s)")
}

// Hide denies an account to list what lies in a container.
func (d *DomainController) Hide(dn, container string) {
	d.t.Helper()
	d.access(dn, container, "(D;;LC;;;%s)")
}

func (d *DomainController) access(dn, object, ace string) {
	d.t.Helper()
	programs := sambaPrograms(d.t)
	err := account{}.run(d.dir, programs.python, "-c", accessScript,
		filepath.Join(d.dir, sambaConfigFile), filepath.Join(d.dir, "private", "sam.ldb"), dn, object, ace)
	if err != nil {
		d.t.Fatalf("give %s the right %s on %s: %v", dn, ace, object, err)
	}
}

// prepare copies the template and loads the data, offline.
func (d *DomainController) prepare(programs sambaTools, template string, options SambaOptions) error {
	address, err := reserveAddress(d.t)
	if err != nil {
		return err
	}
	d.Address, d.URL, d.TLSURL = address.String(), "ldap://"+address.String(), "ldaps://"+address.String()
	if d.dir, err = os.MkdirTemp("", "provost-samba-"); err != nil {
		return err
	}
	d.t.Cleanup(func() {
		d.Stop()
		if err := os.RemoveAll(d.dir); err != nil {
			d.t.Errorf("remove the files of Samba: %v", err)
		}
	})
	d.CAFile = filepath.Join(d.dir, caCertificateFile)
	err = errors.Join(
		os.CopyFS(d.dir, os.DirFS(template)),
		writeCertificates(d.dir, certificateTime, address),
		writeSambaConfig(d.dir, d.Address),
	)
	if err != nil || options.Write == nil {
		return err
	}
	return programs.load(d.dir, options.Write)
}

// start runs the server until it answers over TLS.
func (d *DomainController) start(programs sambaTools) error {
	// One process; a group of its own is what command makes.
	process, err := account{}.start(d.dir, programs.samba, "-s", filepath.Join(d.dir, sambaConfigFile), "--interactive", "--model=single", "--no-process-group")
	if err != nil {
		return err
	}
	err = process.ready(func(context.Context) error {
		conn, err := d.dial()
		if err != nil {
			return err
		}
		conn.SetTimeout(5 * time.Second)
		_, err = conn.Search(&ldap.SearchRequest{
			Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)", Attributes: []string{"defaultNamingContext"},
		})
		return errors.Join(err, conn.Close())
	})
	if err != nil {
		return errors.Join(err, process.stop(os.Kill))
	}
	d.process = process
	return nil
}

func (d *DomainController) dial() (*ldap.Conn, error) {
	ca, err := os.ReadFile(d.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return ldap.DialURL(d.TLSURL, ldap.DialWithDialer(dialer),
		ldap.DialWithTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}))
}

// load adds LDIF to the database of a stopped domain controller.
func (p sambaTools) load(dir string, write func(io.Writer) error) error {
	var ldif bytes.Buffer
	if err := write(&ldif); err != nil {
		return fmt.Errorf("write the LDIF: %w", err)
	}
	cmd := account{}.command(dir, p.ldbadd, "--configfile="+filepath.Join(dir, sambaConfigFile), "-H", filepath.Join(dir, "private", "sam.ldb"))
	want := bytes.Count(append([]byte("\n"), ldif.Bytes()...), []byte("\ndn:"))
	cmd.Stdin = &ldif
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("ldbadd: %w\n%s", err, tail(output))
	}
	// It stops at what it cannot parse, and says that it was successful.
	if !bytes.Contains(output, fmt.Appendf(nil, "Added %d records", want)) {
		return fmt.Errorf("ldbadd: not all %d entries were added: the DN of the next cannot be parsed\n%s", want, tail(output))
	}
	return nil
}
