package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
)

func TestAPlanTellsWhatARunWouldDo(t *testing.T) {
	t.Parallel()
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 60, Groups: 3})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF})
	dns := testenv.DNS(t)
	p := startProvost(t, "--dns-resolver", dns.Addr)
	corpDirectory(t, p, server)

	// Nobody is let in without a verified domain, and the plan says so.
	const reason = "is not a verified domain of the organization"
	shown := p.must(t, "sync", "plan", "corp")
	for _, want := range []string{"60 refused", "3 created", "corp.test: 60 users, not claimed", "\n… and 13 more; "} {
		if !strings.Contains(shown, want) {
			t.Errorf("the plan does not say %q:\n%s", want, shown)
		}
	}
	refusedLine := regexp.MustCompile(`(?m)^! User +u\d{6} +refused +the domain corp\.test of .*` + reason)
	if n := len(refusedLine.FindAllString(shown, -1)); n != showItems {
		t.Errorf("it shows %d refused users, want the first %d:\n%s", n, showItems, shown)
	}
	if strings.Contains(shown, "+ User") {
		t.Errorf("it shows users as created:\n%s", shown)
	}
	type planned struct {
		Counts map[string]map[string]int
		Items  []openapi.RunItem
	}
	outcomes := func(plan planned) map[string]int {
		n := map[string]int{}
		for _, i := range plan.Items {
			n[i.Type+" "+string(i.Outcome)]++
			if (i.Outcome == openapi.OutcomeRefused) != strings.Contains(i.Reason, reason) {
				t.Errorf("%s is %s because %q", i.Name, i.Outcome, i.Reason)
			}
		}
		return n
	}
	plan := decode[planned](t, p.must(t, "sync", "plan", "corp", "--json"))
	if diff := cmp.Diff(map[string]int{"User refused": 60, "Group created": 3}, outcomes(plan)); diff != "" {
		t.Errorf("planned without a domain (-want +got):\n%s", diff)
	}

	p.must(t, "domain", "add", "corp.test")
	domain := decode[[]openapi.Domain](t, p.must(t, "domain", "list", "--json"))[0]
	dns.SetTXT(domain.RecordName, domain.RecordValue)
	p.must(t, "domain", "verify", "corp.test")
	plan = decode[planned](t, p.must(t, "sync", "plan", "corp", "--json"))
	if diff := cmp.Diff(map[string]int{"User created": 60, "Group created": 3}, outcomes(plan)); diff != "" {
		t.Errorf("planned with the domain (-want +got):\n%s", diff)
	}
	p.must(t, "sync", "run", "corp", "--yes", "--wait")
	if shown := p.must(t, "sync", "plan", "corp"); !strings.Contains(shown, "nothing would change") {
		t.Errorf("after the run there is\n%s", shown)
	}

	// What changed is a line each.
	admin := server.Admin(t)
	if err := admin.Del(ldap.NewDelRequest(company.User(7).DN, nil)); err != nil {
		t.Fatal(err)
	}
	title := ldap.NewModifyRequest(company.User(8).DN, nil)
	title.Replace("displayName", []string{"Somebody Else"})
	if err := admin.Modify(title); err != nil {
		t.Fatal(err)
	}
	shown = p.must(t, "sync", "plan", "corp")
	for _, want := range []string{
		`(?m)^- User +` + company.User(7).UID + ` +deleted`,
		`(?m)^~ User +` + company.User(8).UID + ` +modified +` + regexp.QuoteMeta(company.User(8).DN) + `$`,
		`(?m)^takes away +users deleted: 1 of 60$`,
	} {
		if !regexp.MustCompile(want).MatchString(shown) {
			t.Errorf("the plan has no line %s:\n%s", want, shown)
		}
	}
	if strings.Contains(shown, "+ ") || strings.Contains(shown, "! ") || strings.Contains(shown, " more") {
		t.Errorf("it shows what does not change:\n%s", shown)
	}
}
