package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
)

// finishedRun is what scripts read of `sync run --wait --json`.
type finishedRun struct {
	ID       string                    `json:"id"`
	State    string                    `json:"state"`
	Counts   map[string]map[string]int `json:"counts"`
	Findings []openapi.Finding         `json:"findings"`
}

// corpDirectory makes the directory corp for a server, by the flags of the product
// page.
func corpDirectory(t *testing.T, p *provostServer, server *testenv.LDAPServer) {
	t.Helper()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(server.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must(t, "directory", "create", "corp", "--kind", "ldap", "--url", server.TLSURL, "--preset", "openldap",
		"--base-dn", server.Suffix, "--bind-dn", server.BindDN, "--bind-password-file", password, "--ca-file", server.CAFile,
		"--scope", "all", "--schedule", "off")
}

func TestACompanyIsPulledAsScriptsDoIt(t *testing.T) {
	t.Parallel()
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 220, Groups: 30, Cap: 50})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF})
	dns := testenv.DNS(t)
	p := startProvost(t, "--dns-resolver", dns.Addr)
	corpDirectory(t, p, server)

	// Without a verified domain nobody is let in.
	stdout, stderr, code := p.run(t, "sync", "run", "corp", "--yes", "--wait", "--json")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	refused := decode[finishedRun](t, stdout)
	if refused.State != "succeeded" || refused.Counts["users"]["refused"] != 220 || len(refused.Findings) < 220 {
		t.Fatalf("without a domain: %s, %v, %d findings", refused.State, refused.Counts, len(refused.Findings))
	}

	p.must(t, "domain", "add", "corp.test")
	if _, stderr, code := p.run(t, "domain", "verify", "corp.test"); code != 1 || !strings.Contains(stderr, "_provost-challenge.corp.test") {
		t.Errorf("a domain without its record: exit code %d, %s", code, stderr)
	}
	domains := decode[[]openapi.Domain](t, p.must(t, "domain", "list", "--json"))
	dns.SetTXT(domains[0].RecordName, domains[0].RecordValue)
	p.must(t, "domain", "verify", "corp.test")

	// A plan changes nothing and can be run.
	plan := decode[struct {
		ID    string            `json:"id"`
		Phase string            `json:"phase"`
		Plan  map[string]any    `json:"plan"`
		Items []openapi.RunItem `json:"items"`
	}](t, p.must(t, "sync", "plan", "corp", "--json"))
	if plan.Phase != "ready" || len(plan.Items) == 0 || plan.Plan == nil {
		t.Fatalf("the plan is %s with %d items", plan.Phase, len(plan.Items))
	}
	if users := decode[[]openapi.User](t, p.must(t, "user", "list", "--json")); len(users) != 0 {
		t.Errorf("a plan made %d users", len(users))
	}
	done := decode[finishedRun](t, p.must(t, "sync", "run", "corp", "--plan", plan.ID, "--wait", "--json"))
	want := map[string]int{
		"created": 220, "modified": 0, "deactivated": 0, "deleted": 0, "duplicated": 0, "refused": 0, "claimed": 0, "restored": 0,
		"out_of_scope": 0, "unchanged": 0,
	}
	if diff := cmp.Diff(want, done.Counts["users"]); diff != "" || done.ID != plan.ID {
		t.Errorf("users of run %s of plan %s (-want +got):\n%s", done.ID, plan.ID, diff)
	}
	if len(done.Findings) != 0 {
		t.Errorf("the run has findings: %v", done.Findings)
	}

	for i := range company.Groups {
		compareMembers(t, p, company, i)
	}
	quiet := decode[finishedRun](t, p.must(t, "sync", "run", "corp", "--yes", "--wait", "--json"))
	if quiet.Counts["users"]["unchanged"] != 220 || quiet.Counts["groups"]["unchanged"] != len(company.Groups) {
		t.Errorf("a run in which nothing changed counts %v", quiet.Counts)
	}
	if text := p.must(t, "sync", "history", "corp"); strings.Count(text, "succeeded") != 3 {
		t.Errorf("the history is\n%s", text)
	}
	if text := p.must(t, "sync", "status", "corp"); !strings.Contains(text, "220 unchanged") {
		t.Errorf("the status is\n%s", text)
	}
}

// compareMembers holds the effective members of a group to the company's truth.
func compareMembers(t *testing.T, p *provostServer, company *testenv.CompanyTruth, group int) {
	t.Helper()
	members := decode[[]map[string]any](t, p.must(t, "group", "members", company.Groups[group].CN, "--effective", "--json"))
	got := make([]string, 0, len(members))
	for _, m := range members {
		if m["type"] != "User" || m["id"] == "" {
			t.Errorf("an effective member of %s is %v", company.Groups[group].CN, m)
		}
		name, _ := m["user_name"].(string)
		got = append(got, name)
	}
	want := []string{}
	for _, user := range company.Effective(group) {
		want = append(want, company.User(user).UID)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("effective members of %s (-want +got):\n%s", company.Groups[group].CN, diff)
	}
}

func TestTheExitCodeSaysWhatBecameOfARun(t *testing.T) {
	t.Parallel()
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 60, Groups: 3})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF})
	p := startProvost(t)
	corpDirectory(t, p, server)
	p.must(t, "directory", "set", "corp", "--domain-policy", "off")
	p.must(t, "sync", "run", "corp", "--yes", "--wait")

	// Half of the company disappears: a person must look at it.
	admin := server.Admin(t)
	for i := range 30 {
		if err := admin.Del(ldap.NewDelRequest(company.User(i).DN, nil)); err != nil {
			t.Fatal(err)
		}
	}
	stdout, stderr, code := p.run(t, "sync", "run", "corp", "--yes", "--wait", "--json")
	held := decode[finishedRun](t, stdout)
	if code != exitHeld || held.State != "held" {
		t.Fatalf("exit code %d, state %s: %s", code, held.State, stderr)
	}
	stdout, stderr, code = p.run(t, "sync", "status", "corp")
	if !regexp.MustCompile(`users +.*30 deleted.*\(if it is applied\)`).MatchString(stdout) {
		t.Errorf("the status of a held run does not say what it would do:\n%s", stdout)
	}
	if code != exitHeld || !strings.Contains(stderr, "hint: `provost sync approve "+held.ID) {
		t.Errorf("the status of a held run: exit code %d, %s", code, stderr)
	}
	if users := decode[[]openapi.User](t, p.must(t, "user", "list", "--json")); len(users) != 60 {
		t.Errorf("a held run left %d users", len(users))
	}
	p.must(t, "sync", "discard", "corp")
	_, _, code = p.run(t, "sync", "run", "corp", "--yes", "--wait", "--quiet")
	if code != exitHeld {
		t.Fatalf("the next run: exit code %d", code)
	}
	approved := decode[finishedRun](t, p.must(t, "sync", "approve", "corp", "--wait", "--json"))
	if approved.State != "succeeded" || approved.Counts["users"]["deleted"] != 30 {
		t.Errorf("after approval: %s, %v", approved.State, approved.Counts)
	}
	for _, f := range approved.Findings {
		if f.Rule == "guard" {
			t.Errorf("after approval the run still asks for it: %s", f.Sentence)
		}
	}

	// A directory that cannot be read is no smaller directory.
	server.Stop()
	stdout, stderr, code = p.run(t, "sync", "run", "corp", "--yes", "--wait", "--json")
	if failed := decode[finishedRun](t, stdout); code != exitFailed || failed.State != "failed" {
		t.Errorf("exit code %d, state %s: %s", code, failed.State, stderr)
	}
	if _, stderr, code := p.run(t, "sync", "plan", "corp"); code != exitFailed || !strings.Contains(stderr, "provost: run ") {
		t.Errorf("a plan that cannot be made: exit code %d, %s", code, stderr)
	}
	if users := decode[[]openapi.User](t, p.must(t, "user", "list", "--json")); len(users) != 30 {
		t.Errorf("a failed run left %d users", len(users))
	}
	if _, stderr, code := p.run(t, "sync", "run", "nowhere", "--yes"); code != exitError || !strings.Contains(stderr, "nowhere") {
		t.Errorf("a directory that does not exist: exit code %d, %s", code, stderr)
	}
}
