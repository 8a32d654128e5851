package testenv

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// Where distributions keep the schema files and the modules of OpenLDAP.
var (
	schemaDirs = []string{"/etc/ldap/schema", "/etc/openldap/schema"}
	moduleDirs = []string{"/usr/lib/ldap", "/usr/lib64/openldap", "/usr/lib/openldap"}
)

var slapdTemplate = template.Must(template.New("slapd.conf").Parse(`
{{range .Schemas}}include {{$.SchemaDir}}/{{.}}.schema
{{end}}
modulepath {{.ModuleDir}}
moduleload back_mdb
moduleload memberof
moduleload refint
moduleload syncprov
moduleload ppolicy

pidfile {{.Dir}}/slapd.pid
argsfile {{.Dir}}/slapd.args
TLSCACertificateFile {{.Dir}}/ca.crt
TLSCertificateFile {{.Dir}}/server.crt
TLSCertificateKeyFile {{.Dir}}/server.key
sizelimit 500
sortvals member memberOf
# The unix socket counts as encrypted.
localSSF 256
{{if .RequireTLS}}security simple_bind=128
{{end}}
access to attrs=userPassword by anonymous auth by * none
access to * by users read by anonymous none

database mdb
suffix "{{.Suffix}}"
rootdn "{{.AdminDN}}"
rootpw {{.AdminPassword}}
directory {{.Dir}}/db
# A bound, not an allocation; room for a million users.
maxsize 17179869184
# Lost on power failure, like everything else of a test.
envflags nosync
limits dn.exact="{{.BindDN}}" size={{if .SizeLimit}}{{.SizeLimit}}{{else}}unlimited size.prtotal=unlimited{{end}} time=unlimited
index objectClass,uid,mail,cn,member,memberOf eq
index entryUUID,entryCSN,modifyTimestamp eq
{{range .Config}}{{.}}
{{end}}
overlay memberof
memberof-group-oc groupOfNames
memberof-member-ad member
memberof-memberof-ad memberOf
memberof-refint TRUE
overlay refint
refint_attributes member manager
# A group must keep a member: what is left of an empty one.
refint_nothing "{{.AdminDN}}"
overlay syncprov
syncprov-checkpoint 100 10
syncprov-sessionlog 10000
`))

// slapdConfig is the whole configuration of one server that keeps its files in
// dir and reads nothing of the system's own server but schema and modules.
func slapdConfig(dir string, options SlapdOptions) ([]byte, error) {
	schemaDir, err := firstWith("core.schema", schemaDirs)
	if err != nil {
		return nil, err
	}
	moduleDir, err := firstWith("back_mdb*", moduleDirs)
	if err != nil {
		return nil, err
	}
	var config bytes.Buffer
	err = slapdTemplate.Execute(&config, map[string]any{
		"Schemas":   []string{"core", "cosine", "inetorgperson", "nis"},
		"SchemaDir": schemaDir, "ModuleDir": moduleDir, "Dir": dir,
		"Suffix": Suffix, "BindDN": bindDN, "AdminDN": adminDN, "AdminPassword": adminPassword,
		"SizeLimit": options.SizeLimit, "RequireTLS": options.RequireTLS, "Config": options.Config,
	})
	return config.Bytes(), err
}

// firstWith returns the first directory that has a file like pattern.
func firstWith(pattern string, dirs []string) (string, error) {
	for _, dir := range dirs {
		if found, err := filepath.Glob(filepath.Join(dir, pattern)); err == nil && len(found) > 0 {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%s of OpenLDAP: %w in %q", pattern, os.ErrNotExist, dirs)
}
