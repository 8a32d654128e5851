package main

import (
	"strings"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
)

func TestTheDoctorSaysWhatToMendOfADirectory(t *testing.T) {
	t.Parallel()
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 12, Groups: 3})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF})
	p := startProvost(t)
	corpDirectory(t, p, server)

	seen := p.must(t, "doctor", "directory", "corp")
	for _, want := range []string{"STATUS", "ok      resolve", "ok      bind", "12 found", "3 found", "syncrepl"} {
		if !strings.Contains(seen, want) {
			t.Errorf("a good directory does not show %q:\n%s", want, seen)
		}
	}
	if seen := p.must(t, "doctor", "directory", "corp", "--quiet"); seen != "" {
		t.Errorf("of a good directory --quiet prints %q", seen)
	}
	check := decode[openapi.DirectoryCheck](t, p.must(t, "doctor", "directory", "corp", "--json"))
	if !check.Ok || len(check.Steps) < 10 {
		t.Errorf("the check is %+v", check)
	}

	p.must(t, "directory", "set", "corp", "--base-dn", "ou=elsewhere,"+testenv.Suffix)
	seen, stderr, code := p.run(t, "doctor", "directory", "corp")
	if code != exitError || stderr != "" || !strings.Contains(seen, "\nfailed: base_dn ou=elsewhere,"+testenv.Suffix+": the LDAP server refused") ||
		!strings.Contains(seen, "\n  hint: check the base DN") {
		t.Errorf("exit code %d of a wrong base DN:\n%s%s", code, seen, stderr)
	}
	seen, _, code = p.run(t, "doctor", "directory", "corp", "--quiet")
	if code != exitError || !strings.HasPrefix(seen, "\nfailed: base_dn") || strings.Contains(seen, "STATUS") {
		t.Errorf("exit code %d with --quiet:\n%s", code, seen)
	}
	seen, _, code = p.run(t, "doctor", "directory", "corp", "--json")
	if check := decode[openapi.DirectoryCheck](t, seen); code != exitError || check.Ok {
		t.Errorf("exit code %d with --json:\n%s", code, seen)
	}

	// Nothing was written: neither an event nor a run tells of a check.
	if events := p.must(t, "event", "list", "--json"); strings.Contains(events, "check") {
		t.Errorf("a check has left events:\n%s", events)
	}
	p.must(t, "directory", "create", "entra", "--kind", "scim")
	if _, stderr, code := p.run(t, "doctor", "directory", "entra"); code != exitError || !strings.Contains(stderr, "cannot be pulled") {
		t.Errorf("exit code %d for a directory that is pushed to:\n%s", code, stderr)
	}
	if _, stderr, code := p.run(t, "doctor", "directory", "nowhere"); code != exitError || !strings.Contains(stderr, "nowhere") {
		t.Errorf("exit code %d for a directory that is not there:\n%s", code, stderr)
	}
}
