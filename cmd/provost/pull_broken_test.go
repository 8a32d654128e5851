package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
)

func TestRule6AReadThatIsCutAnywhereFailsAndChangesNothing(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 300, Groups: 40, Cap: 100})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		proxy := testenv.DropProxy(t, server.TLSURL)
		p := startProvost(t, "--database", dsn, "--cap", "100")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off", "--page-size", "50"},
			pullFrom(t, server, "ldaps://"+proxy.Addr)...)...)
		db := openPeer(t, dsn, "")
		p.must(t, "sync", "plan", "corp", "--quiet")
		whole := proxy.FromServer() // of one read
		cut := func(t *testing.T, when string) {
			t.Helper()
			before := db.trace()
			state := db.state()
			// In the handshake, at the beginning, among the groups, among the users, and just
			// before the end of the last page.
			for _, bytes := range []int64{100, whole / 20, whole / 3, 2 * whole / 3, whole - 200} {
				proxy.CutAfter(bytes)
				failed, code := p.pull(t)
				if code != exitFailed || failed.State != "failed" {
					t.Errorf("%s, cut after %d of %d bytes: exit code %d, state %s", when, bytes, whole, code, failed.State)
				}
				if !strings.Contains(failed.Error, "LDAP server") {
					t.Errorf("%s, cut after %d bytes: the run says %q", when, bytes, failed.Error)
				}
				unmoved(t, fmt.Sprintf("%s, cut after %d bytes", when, bytes), db, before)
			}
			sameState(t, when, state, db.state())
			proxy.Pass()
		}
		cut(t, "the first run")
		p.mustPull(t)
		sameState(t, "after a whole read", newCompanyState(truth).pulled(), db.state())
		cut(t, "a later run")
		if done := p.mustPull(t); done.Counts["users"]["unchanged"] != 300 {
			t.Errorf("after the cuts a run counts %v", done.Counts)
		}
	})
}

// unmoved makes sure that nothing was written about users and groups.
func unmoved(t *testing.T, what string, db *peer, before trace) {
	t.Helper()
	same(t, what, before, db.trace())
}

func TestWhatKeepsADirectoryFromBeingReadIsSaidAndChangesNothing(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 60, Groups: 5})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF})
	limited := testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF, SizeLimit: 40})
	other := testenv.Slapd(t, testenv.SlapdOptions{})
	gone := testenv.Slapd(t, testenv.SlapdOptions{})
	gone.Stop()
	noCertificate := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noCertificate, []byte("not a certificate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	onBothDatabases(t, func(t *testing.T, dsn string) {
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		for name, c := range map[string]struct {
			flags []string
			says  string
		}{
			"a file that holds no certificate": {[]string{"--ca-file", noCertificate}, "certificate"},
			"a URL that is none":               {[]string{"--url", "http://127.0.0.1"}, "urls"},
			"a filter that is none":            {[]string{"--user-filter", "(uid="}, "user_filter"},
		} {
			args := append(append([]string{"directory", "create", "refused"}, pullFrom(t, server, server.TLSURL)...), c.flags...)
			if _, stderr, code := p.run(t, args...); code != exitError || !strings.Contains(stderr, c.says) {
				t.Errorf("%s: exit code %d, %s", name, code, stderr)
			}
		}
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, server, server.TLSURL)...)...)
		p.mustPull(t)
		want, before := db.state(), db.trace()
		good := []string{"--url", server.TLSURL, "--ca-file", server.CAFile, "--bind-dn", server.BindDN,
			"--bind-password-file", passwordFile(t, server.Password), "--base-dn", server.Suffix}
		for name, c := range map[string]struct {
			flags []string
			says  string
		}{
			"a server that limits the size of an answer": {[]string{"--url", limited.TLSURL, "--ca-file", limited.CAFile}, "Size Limit Exceeded"},
			"a wrong password":                           {[]string{"--bind-password-file", passwordFile(t, "wrong-secret")}, "refused the credentials"},
			"somebody whom the server does not know":     {[]string{"--bind-dn", "cn=nobody," + server.Suffix}, "refused the credentials"},
			"a server that is not there":                 {[]string{"--url", gone.TLSURL}, "connection refused"},
			"a certificate that nobody vouches for":      {[]string{"--ca-file", other.CAFile}, "certificate"},
			"a base that does not exist":                 {[]string{"--base-dn", "dc=nowhere,dc=test"}, "No Such Object"},
		} {
			p.must(t, append([]string{"directory", "set", "corp"}, good...)...)
			p.must(t, append([]string{"directory", "set", "corp"}, c.flags...)...)
			failed, code := p.pull(t)
			if code != exitFailed || failed.State != "failed" || !strings.Contains(failed.Error, c.says) {
				t.Errorf("%s: exit code %d, state %s, %q; want it to say %q", name, code, failed.State, failed.Error, c.says)
			}
			if strings.Contains(failed.Error, "secret") {
				t.Errorf("%s: the run's error shows a password: %s", name, failed.Error)
			}
			unmoved(t, name, db, before)
		}
		sameState(t, "after all failures", want, db.state())
		p.must(t, append([]string{"directory", "set", "corp"}, good...)...)
		p.mustPull(t)
		sameState(t, "when all is well again", want, db.state())
	})
}

func TestAnEmptiedBaseIsHeldUntilAPersonDecides(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 60, Groups: 5})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF})
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, server, server.TLSURL)...)...)
		p.mustPull(t)
		want, before := db.state(), db.trace()
		admin := server.Admin(t)
		for i := range 60 {
			if err := admin.Del(ldap.NewDelRequest(truth.User(i).DN, nil)); err != nil {
				t.Fatal(err)
			}
		}
		for _, decision := range []string{"discard", "approve"} {
			held, code := p.pull(t)
			if code != exitHeld || held.State != "held" {
				t.Fatalf("exit code %d, state %s: %s", code, held.State, held.Error)
			}
			unmoved(t, "a held run", db, before)
			if decision == "discard" {
				p.must(t, "sync", "discard", held.ID)
				unmoved(t, "a discarded run", db, before)
				want.Findings = db.state().Findings // the guard's own
				sameState(t, "after a held run was discarded", want, db.state())
				continue
			}
			done := decode[pulledRun](t, p.must(t, "sync", "approve", held.ID, "--wait", "--json"))
			same(t, "users of the approved run", map[string]int{"deleted": 60}, done.tally("users"))
			got := db.state()
			if len(got.Users) != 0 || len(got.Groups) != 5 {
				t.Errorf("after approval %d users and %d groups are left", len(got.Users), len(got.Groups))
			}
			for name, g := range got.Groups {
				if len(g.Effective) > 0 || g.Count > 0 {
					t.Errorf("group %s still publishes %d users", name, g.Count)
				}
			}
		}
	})
}
