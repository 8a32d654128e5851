package testenv

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/template"
	"unicode/utf16"
)

// sambaConfigFile lies in the directory of a domain controller.
const sambaConfigFile = "smb.conf"

// sambaTools are the programs with which a domain is made and served.
type sambaTools struct {
	samba  string
	ldbadd string
	python string // has the module samba
}

// sambaPrograms finds the programs, or ends the test.
func sambaPrograms(t testing.TB) sambaTools {
	t.Helper()
	var p sambaTools
	for _, program := range []struct {
		path                   *string
		name, part, debPackage string
	}{
		{&p.samba, "samba", "samba (the Active Directory domain controller)", "samba"},
		{&p.ldbadd, "ldbadd", "ldbadd", "ldb-tools"},
	} {
		path, ok := findProgram(program.name, "/usr/sbin", "/usr/bin", "/usr/local/samba/sbin", "/usr/local/samba/bin")
		if !ok {
			missing(t, program.part, program.debPackage)
		}
		*program.path = path
	}
	for _, part := range []struct{ pattern, name, debPackage string }{
		{"/usr/lib*/*/samba/ldb/samba_dsdb.so", "the database of domain controllers", "samba-dsdb-modules"},
		{"/usr/share/samba/setup/provision.ldif", "what a new domain holds", "samba-ad-provision"},
		{"/usr/lib/python3/dist-packages/markdown/__init__.py", "the Python module markdown", "python3-markdown"},
	} {
		if found, err := filepath.Glob(part.pattern); err != nil || len(found) == 0 {
			missing(t, part.name, part.debPackage)
		}
	}
	// Not the first in PATH: the module belongs to the system's own Python.
	p.python = "/usr/bin/python3"
	if os.Geteuid() != 0 {
		Cannot(t, "a domain controller listens on ports below 1024, which takes root\nhint: run `sudo make test`")
	}
	return p
}

// domain is the template that all domain controllers of a test binary are copies of.
var domain struct {
	once sync.Once
	dir  string
	err  error
}

// template provisions the domain on its first call.
func (p sambaTools) template() (string, error) {
	domain.once.Do(func() { domain.dir, domain.err = p.provision() })
	return domain.dir, domain.err
}

// provisionScript makes a new domain in a directory. Unlike `samba-tool domain
// provision` it leaves out what would need extended attributes and a DNS server.
const provisionScript = `
import logging, os, sys
import samba.param
from samba.auth import system_session
from samba.dsdb import DS_DOMAIN_FUNCTION_2008_R2
from samba.provision import provision

target, realm, domain, host, password = sys.argv[1:]
os.makedirs(os.path.join(target, "etc"))
logging.basicConfig(level=logging.ERROR)
provision(
    logging.getLogger(), system_session(), targetdir=target, lp=samba.param.LoadParm(),
    realm=realm, domain=domain, hostname=host, hostip="127.0.0.1", adminpass=password,
    serverrole="active directory domain controller", dns_backend="NONE",
    dom_for_fun_level=DS_DOMAIN_FUNCTION_2008_R2, skip_sysvolacl=True, batch_mode=True)
`

func (p sambaTools) provision() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "provost-domain-"); err != nil {
		return "", err
	}
	err = shared.onClose(func() error { return os.RemoveAll(dir) })
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	err = account{}.run(dir, p.python, "-c", provisionScript, dir, strings.ToUpper(domainName), domainShort, domainHost, domainPassword)
	if err != nil {
		return "", err
	}
	// Its configuration is the system's, with shares and log files of its own.
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "etc")), writeSambaConfig(dir, "127.0.0.1")); err != nil {
		return "", err
	}
	return dir, p.load(dir, WriteDomainSkeleton)
}

var sambaConfig = template.Must(template.New(sambaConfigFile).Parse(`[global]
	server role = active directory domain controller
	server services = ldap
	workgroup = {{.Domain}}
	realm = {{.Realm}}
	netbios name = {{.Host}}
	interfaces = {{.Address}}/8
	bind interfaces only = yes
	private dir = {{.Dir}}/private
	state directory = {{.Dir}}/state
	cache directory = {{.Dir}}/cache
	lock directory = {{.Dir}}
	binddns dir = {{.Dir}}/bind-dns
	pid directory = {{.Dir}}/run
	ncalrpc dir = {{.Dir}}/run/ncalrpc
	winbindd socket directory = {{.Dir}}/run/winbindd
	ntp signd socket directory = {{.Dir}}/run/ntp
	log file = {{.Dir}}/log
	log level = 1
	tls enabled = yes
	tls keyfile = {{.Dir}}/` + serverKeyFile + `
	tls certfile = {{.Dir}}/` + serverCertificateFile + `
	tls cafile = {{.Dir}}/` + caCertificateFile + `
	ldap server require strong auth = yes
	# Lost on power failure, like everything else of a test.
	ldb:nosync = true
`))

// writeSambaConfig writes the whole configuration of a domain controller that keeps
// its files in dir.
func writeSambaConfig(dir, address string) (err error) {
	file, err := os.Create(filepath.Join(dir, sambaConfigFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := os.MkdirAll(filepath.Join(dir, "run", "ncalrpc"), 0o755); err != nil {
		return err
	}
	return sambaConfig.Execute(file, map[string]any{
		"Domain": domainShort, "Realm": strings.ToUpper(domainName), "Host": strings.ToUpper(domainHost), "Address": address, "Dir": dir,
	})
}

// accessScript adds an access control entry, in SDDL with %s for the SID of an account,
// to an object.
const accessScript = `
import sys
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB
from samba.sd_utils import SDUtils

config, database, account, object, ace = sys.argv[1:]
lp = LoadParm(config)
db = SamDB(url=database, session_info=system_session(lp), lp=lp)
utils = SDUtils(db)
utils.dacl_add_ace(object, ace % utils.get_object_sid(account))
`

// WriteDomainSkeleton writes the LDIF of what every domain has: three units, and a
// service account whose password never expires.
func WriteDomainSkeleton(w io.Writer) error {
	for _, unit := range []string{"People", "Groups", "Leavers"} {
		if _, err := fmt.Fprintf(w, "dn: OU=%s,%s\nobjectClass: organizationalUnit\nou: %s\n\n", unit, DomainSuffix, unit); err != nil {
			return err
		}
	}
	const normal, neverExpires = 0x200, 0x10000
	_, err := fmt.Fprintf(w, "dn: CN=%[1]s,OU=People,%[2]s\nobjectClass: user\nsAMAccountName: %[1]s\nuserPrincipalName: %[1]s@%[3]s\nuserAccountControl: %[4]d\nunicodePwd:: %[5]s\n\n",
		domainReader, DomainSuffix, domainName, normal|neverExpires, base64.StdEncoding.EncodeToString([]byte(UnicodePassword(domainReaderCode))))
	return err
}

// UnicodePassword is a password as the attribute unicodePwd takes it: in quotes,
// in UTF-16 ([MS-ADTS] section 3.1.1.3.1.5.1).
func UnicodePassword(password string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(`"` + password + `"`)) {
		b = append(b, byte(unit), byte(unit>>8))
	}
	return string(b)
}

// reservationPort is where a test holds its address. Nothing else listens there.
const reservationPort = 38901

// reserveAddress keeps an address of 127.0.0.0/8 for the test, so that no other
// process of the tests takes it.
func reserveAddress(t testing.TB) (net.IP, error) {
	const attempts = 100
	var last error
	for range attempts {
		// 127.0.0.0/16 has resolvers and the like; 127.1.0.0 and above have nobody.
		ip := net.IPv4(127, byte(1+rand.IntN(250)), byte(rand.IntN(256)), byte(1+rand.IntN(254)))
		held, err := net.ListenTCP("tcp", &net.TCPAddr{IP: ip, Port: reservationPort})
		if err != nil {
			last = err
			continue
		}
		t.Cleanup(func() { _ = held.Close() }) // it accepts nothing
		return ip, nil
	}
	return nil, fmt.Errorf("no free address of 127.0.0.0/8: %w", last)
}
