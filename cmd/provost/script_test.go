package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/provost-scim/provost/internal/testenv"
)

// TestScripts runs testdata/script/*.txtar. Each script has a server of its own,
// which PROVOST_URL, PROVOST_TOKEN and PROVOST_DATABASE name.
//
// Besides the commands of testscript there are
//
//	keep NAME           sets the variable NAME to what the last command printed
//	rest METHOD PATH    calls the server for what has no command
//	slapd               starts an LDAP server: CORP_URL, CORP_CA, CORP_BASE, CORP_BIND, and
//	                    its password in the file corp.password
//	unhire UID…         deletes users there
//	receiver            starts an endpoint for webhooks that takes everything: HOOK_URL
//	publish NAME TEXT   makes TEXT the TXT record of NAME
func TestScripts(t *testing.T) {
	t.Parallel()
	dns := testenv.DNS(t)
	var directories ldapOfScripts
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			p, err := bootProvost(env.WorkDir, "--dns-resolver", dns.Addr, "--webhook-allow", "127.0.0.0/8")
			if err != nil {
				return err
			}
			env.Defer(func() {
				if err := p.stop(); err != nil {
					t.Errorf("stop provost: %v\n%s", err, p.stderr)
				}
			})
			env.Setenv("PROVOST_URL", p.url)
			env.Setenv("PROVOST_TOKEN", p.token)
			env.Setenv("PROVOST_DATABASE", p.dsn)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"slapd":  func(ts *testscript.TestScript, _ bool, _ []string) { directories.start(t, ts) },
			"unhire": func(ts *testscript.TestScript, _ bool, args []string) { directories.unhire(t, ts, args) },
			"receiver": func(ts *testscript.TestScript, _ bool, _ []string) {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
				ts.Defer(server.Close)
				ts.Setenv("HOOK_URL", server.URL)
			},
			"publish": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 2 {
					ts.Fatalf("usage: publish NAME TEXT")
				}
				dns.SetTXT(args[0], args[1])
			},
			"keep": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: keep NAME")
				}
				ts.Setenv(args[0], firstLine(ts.ReadFile("stdout")))
			},
			"rest": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 || len(args) > 3 {
					ts.Fatalf("usage: rest METHOD PATH [JSON]")
				}
				var body io.Reader
				if len(args) == 3 {
					body = strings.NewReader(args[2])
				}
				req, err := http.NewRequestWithContext(t.Context(), args[0], ts.Getenv("PROVOST_URL")+"/api/v1"+args[1], body)
				ts.Check(err)
				if body != nil {
					req.Header.Set("Content-Type", "application/json")
				}
				req.Header.Set("Authorization", "Bearer "+ts.Getenv("PROVOST_TOKEN"))
				answer, err := http.DefaultClient.Do(req)
				ts.Check(err)
				ts.Check(answer.Body.Close())
				if answer.StatusCode >= 300 {
					ts.Fatalf("%s %s answers %s", args[0], args[1], answer.Status)
				}
			},
		},
	})
}

// ldapOfScripts are the LDAP servers of scripts, which run side by side.
type ldapOfScripts struct{ servers sync.Map } // by the script's folder

// people are the users of such a server; staff is a group of the first two.
var people = []string{"ann", "bob", "cid", "dora", "eve"}

// writePeople is a directory of them.
func writePeople(w io.Writer) error {
	if err := testenv.WriteSkeleton(w); err != nil {
		return err
	}
	for _, uid := range people {
		_, err := fmt.Fprintf(w, "dn: uid=%[1]s,ou=people,%[2]s\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: %[1]s\nsn: %[1]s\nmail: %[1]s@corp.test\n\n", uid, testenv.Suffix)
		if err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "dn: cn=staff,ou=groups,%[1]s\nobjectClass: groupOfNames\ncn: staff\nmember: uid=ann,ou=people,%[1]s\nmember: uid=bob,ou=people,%[1]s\n\n", testenv.Suffix)
	return err
}

func (l *ldapOfScripts) start(t *testing.T, ts *testscript.TestScript) {
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: writePeople})
	l.servers.Store(ts.Getenv("WORK"), server)
	ts.Check(os.WriteFile(ts.MkAbs("corp.password"), []byte(server.Password), 0o600))
	for name, value := range map[string]string{"URL": server.TLSURL, "CA": server.CAFile, "BASE": server.Suffix, "BIND": server.BindDN} {
		ts.Setenv("CORP_"+name, value)
	}
}

func (l *ldapOfScripts) unhire(t *testing.T, ts *testscript.TestScript, uids []string) {
	server, ok := l.servers.Load(ts.Getenv("WORK"))
	if !ok {
		ts.Fatalf("unhire comes after slapd")
	}
	conn := server.(*testenv.LDAPServer).Admin(t)
	for _, uid := range uids {
		ts.Check(conn.Del(&ldap.DelRequest{DN: "uid=" + uid + ",ou=people," + testenv.Suffix}))
	}
}

func firstLine(text string) string {
	for i := range text {
		if text[i] == '\n' {
			return text[:i]
		}
	}
	return text
}
