package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// denials are rights that the service account loses while it occupies the role.
var denials = map[string]string{
	"no-ids":     "attrs=entryUUID",
	"no-people":  `dn.subtree="ou=people,` + testenv.Suffix + `"`,
	"no-unit":    `dn.subtree="ou=dept03,ou=people,` + testenv.Suffix + `"`,
	"no-staff":   `dn.children="ou=dept03,ou=people,` + testenv.Suffix + `"`,
	"no-titles":  "attrs=title",
	"no-members": "attrs=member",
}

// deniable is a company whose administrator can take rights from the service account.
func deniable(t *testing.T, truth *testenv.CompanyTruth) *testenv.LDAPServer {
	t.Helper()
	var config []string
	for role, what := range denials {
		config = append(config, fmt.Sprintf(`access to %s by group/organizationalRole/roleOccupant.exact="cn=%s,ou=svc,%s" none by * break`, what, role, testenv.Suffix))
	}
	return testenv.Slapd(t, testenv.SlapdOptions{Config: config, Write: func(w io.Writer) error {
		if err := truth.WriteLDIF(w); err != nil {
			return err
		}
		for role := range denials {
			if _, err := fmt.Fprintf(w, "dn: cn=%[1]s,ou=svc,%[2]s\nobjectClass: organizationalRole\ncn: %[1]s\n\n", role, testenv.Suffix); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(w, "dn: ou=empty,%s\nobjectClass: organizationalUnit\nou: empty\n\n", testenv.Suffix)
		return err
	}})
}

func TestRule6TheClassicDisastersAreHeldOrFailAndChangeNothing(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 120, Groups: 12})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := deniable(t, truth)
		admin := server.Admin(t)
		proxy := testenv.DropProxy(t, server.TLSURL)
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, server, server.TLSURL)...)...)
		p.mustPull(t)
		want, before := db.state(), db.trace()

		deny := func(role string) func(bool) {
			return func(broken bool) {
				m := ldap.NewModifyRequest("cn="+role+",ou=svc,"+server.Suffix, nil)
				if broken {
					m.Add("roleOccupant", []string{server.BindDN})
				} else {
					m.Delete("roleOccupant", nil)
				}
				if err := admin.Modify(m); err != nil {
					t.Fatal(err)
				}
			}
		}
		set := func(bad, good []string) func(bool) {
			return func(broken bool) {
				flags := good
				if broken {
					flags = bad
				}
				p.must(t, append([]string{"directory", "set", "corp"}, flags...)...)
			}
		}
		for _, c := range []struct {
			name  string
			fault func(broken bool)
			fails bool
			says  []string
			takes []string // the classes and attributes that the plan names
		}{
			{name: "an empty base", fault: set([]string{"--base-dn", "ou=empty," + server.Suffix}, []string{"--base-dn", server.Suffix}),
				says: []string{"users (120 of them out of scope), which is 100 %"}},
			{name: "a filter that matches nothing", fault: set([]string{"--user-filter", "(uid=nobody)"}, []string{"--user-filter", "(objectClass=inetOrgPerson)"}),
				says: []string{"deactivate 120 of 120 active users (120 of them out of scope), which is 100 % where 20 and 10 % are allowed"}, takes: []string{"users deactivated: 120 of 120, 120 of them out of scope, more than 20"}},
			{name: "a bind account that lost the right to read entries", fault: deny("no-people"),
				says: []string{"delete 120 of 120 users, which is 100 %"}, takes: []string{"users deleted: 120 of 120"}},
			{name: "an attribute that vanished from every user", fault: deny("no-titles"),
				says: []string{"no entry has the attribute title any more, which 120 of 120 users had"}, takes: []string{"title, which 120 of 120 had"}},
			{name: "an attribute that vanished from every group", fault: deny("no-members"),
				says: []string{"no entry has the attribute members any more"}, takes: []string{"vanished", "members removed: "}},
			{name: "a server that stops answering in the midst", fails: true, fault: func(broken bool) {
				set([]string{"--url", "ldaps://" + proxy.Addr, "--timeout", "1s"}, []string{"--url", server.TLSURL, "--timeout", "60s"})(broken)
				proxy.StallAfter(30_000)
			}, says: []string{"did not answer within 1s"}},
		} {
			c.fault(true)
			run, code := p.pull(t)
			if c.fails {
				if code != exitFailed || run.State != "failed" {
					t.Errorf("%s: exit code %d, the run is %s, want it failed", c.name, code, run.State)
				}
			} else if code != exitHeld || run.State != "held" {
				t.Errorf("%s: exit code %d, the run is %s, want it held", c.name, code, run.State)
			}
			unmoved(t, c.name, db, before)
			stdout, stderr, _ := p.run(t, "sync", "status", "corp")
			for _, says := range c.says {
				if !strings.Contains(stderr, says) {
					t.Errorf("%s: the status does not say %q:\n%s%s", c.name, says, stdout, stderr)
				}
			}
			if !c.fails && !regexp.MustCompile(`(?m)^[-~] (User|Group) +\S`).MatchString(stdout) {
				t.Errorf("%s: the status of the held run does not show what it would do:\n%s%s", c.name, stdout, stderr)
			}
			if len(c.takes) > 0 {
				shown := p.must(t, "sync", "plan", "corp")
				for _, takes := range c.takes {
					if !strings.Contains(shown, takes) {
						t.Errorf("%s: the plan does not say %q:\n%s", c.name, takes, shown)
					}
				}
			}
			c.fault(false)
			p.mustPull(t)
			sameState(t, "when all is well again after "+c.name, want, db.state())
		}
	})
}

func TestAPersonApprovesExactlyWhatIsHeldAndTheLogSaysWhoFromWhere(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 60, Groups: 5})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF})
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off",
			"--guard", "all=100/50%", "--guard", "users-deleted=3/5%"}, pullFrom(t, server, server.TLSURL)...)...)
		if shown := p.must(t, "directory", "show", "corp"); !strings.Contains(shown, "users deleted: more than 3 and more than 5 %") ||
			!strings.Contains(shown, "members removed: more than 100 and more than 50 %") {
			t.Errorf("the directory's guard is not shown:\n%s", shown)
		}
		p.must(t, "directory", "set", "corp", "--guard", "groups-deleted=4/0%")
		if _, stderr, code := p.run(t, "directory", "set", "corp", "--guard", "users=3/5%"); code != exitUsage || !strings.Contains(stderr, "names no class") {
			t.Errorf("a class that does not exist: exit code %d, %s", code, stderr)
		}
		p.mustPull(t)
		admin := server.Admin(t)
		for i := range 4 {
			if err := admin.Del(ldap.NewDelRequest(truth.User(i).DN, nil)); err != nil {
				t.Fatal(err)
			}
		}
		first, code := p.pull(t)
		if code != exitHeld {
			t.Fatalf("exit code %d, the run is %s", code, first.State)
		}
		second, _ := p.pull(t)
		shown := decode[openapi.Run](t, p.must(t, "sync", "plan", "corp", "--json"))
		if shown.StageHash == "" {
			t.Error("the plan does not say what it stands for")
		}
		replaced := func(id string) openapi.Run {
			stdout, _, _ := p.run(t, "sync", "status", "corp", "--run", id, "--json")
			return decode[openapi.Run](t, stdout)
		}
		if r := replaced(first.ID); r.State != "discarded" || r.DiscardedBy == "" {
			t.Errorf("the run that was replaced is %s, discarded by %q", r.State, r.DiscardedBy)
		}
		done := decode[openapi.Run](t, p.must(t, "sync", "approve", second.ID, "--wait", "--json"))
		if done.State != "succeeded" || done.Counts.Users.Deleted != 4 || done.ApprovedBy == "" {
			t.Errorf("the approved run is %s, deleted %d users, approved by %q", done.State, done.Counts.Users.Deleted, done.ApprovedBy)
		}
		said := map[string]int{}
		for _, e := range db.events(0) {
			if e.Type != store.EventRunApproved && e.Type != store.EventRunDiscarded && e.Type != store.EventRunHeld {
				continue
			}
			var data struct {
				Stage string            `json:"stage_hash"`
				Guard []json.RawMessage `json:"guard"`

				Counts store.RunCounts `json:"counts"`
			}
			if err := json.Unmarshal(e.Data, &data); err != nil {
				t.Fatal(err)
			}
			if data.Stage == "" || e.Cause.Actor.Name == "" || e.Cause.Address != "127.0.0.1" || e.Cause.Request == "" {
				t.Errorf("%s is caused by %+v, about stage %q", e.Type, e.Cause, data.Stage)
			}
			if e.Type == store.EventRunHeld && len(data.Guard) != 1 {
				t.Errorf("%s names %d classes, want 1", e.Type, len(data.Guard))
			}
			if e.Type == store.EventRunHeld && data.Counts.Users.Deleted != 4 {
				t.Errorf("%s says that %d users would be deleted, want 4", e.Type, data.Counts.Users.Deleted)
			}
			said[e.Type]++
		}
		// Discarded are the first run and the plan, which the second one has overtaken.
		if diff := cmp.Diff(map[string]int{store.EventRunHeld: 2, store.EventRunDiscarded: 2, store.EventRunApproved: 1}, said); diff != "" {
			t.Errorf("the log (-want +got):\n%s", diff)
		}
		db.view(func(ctx context.Context, r store.Reader) error {
			users, err := r.Users(ctx, store.Query{Org: db.org, Count: true})
			if users.Total != 56 {
				t.Errorf("%d users are left, want 56", users.Total)
			}
			return err
		})
	})
}

func TestIncrementalRunsAreGuardedTogetherOver24Hours(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 60, Groups: 5})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF})
		p := startProvost(t, "--database", dsn, "--log-level", "warn")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off", "--guard", "users-deleted=10/10%"},
			pullFrom(t, server, server.TLSURL, "--incremental")...)...)
		p.mustPull(t)
		admin, next := server.Admin(t), 0
		pull := func(flags ...string) openapi.Run {
			t.Helper()
			for range 6 {
				if err := admin.Del(ldap.NewDelRequest(truth.User(next).DN, nil)); err != nil {
					t.Fatal(err)
				}
				next++
			}
			stdout, stderr, _ := p.run(t, append([]string{"sync", "run", "corp", "--yes", "--wait", "--json"}, flags...)...)
			if stdout == "" {
				t.Fatal(stderr)
			}
			return decode[openapi.Run](t, stdout)
		}
		if r := pull(); r.State != "succeeded" || !r.Incremental || r.Counts.Users.Deleted != 6 {
			t.Fatalf("the first run is %s, incremental %t, and deleted %d users: %s%s", r.State, r.Incremental, r.Counts.Users.Deleted, r.FullBecause, r.Error)
		}
		const why = "delete 12 of 60 users (6 of them by runs of the last 24 hours), which is 20 % where 10 and 10 % are allowed"
		held := pull()
		if held.State != "held" || !held.Incremental {
			t.Fatalf("the second run is %s, incremental %t", held.State, held.Incremental)
		}
		if _, stderr, code := p.run(t, "sync", "status", "corp"); code != exitHeld || !strings.Contains(stderr, why) {
			t.Errorf("exit code %d, and it does not say %q:\n%s", code, why, stderr)
		}
		// A full run does not slip through in its place.
		full, code := p.pull(t, "--full")
		if code != exitHeld {
			t.Errorf("a full run is %s, exit code %d", full.State, code)
		}
		done := decode[openapi.Run](t, p.must(t, "sync", "approve", full.ID, "--wait", "--json"))
		if done.State != "succeeded" || done.Counts.Users.Deleted != 6 {
			t.Errorf("the approved run is %s and deleted %d users", done.State, done.Counts.Users.Deleted)
		}
	})
}
