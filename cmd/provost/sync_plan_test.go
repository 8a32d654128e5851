package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
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
	if plan.Counts["users"]["created"] != 60 || plan.Counts["groups"]["created"] != 3 {
		t.Errorf("the plan counts %v", plan.Counts)
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

func TestAPlanTellsWhoJoinsAndLeavesAndWhatTheScopeGainsAndLoses(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: oddNames})
		admin := ldapAdmin{server.Admin(t), t}
		person := func(uid string) string { return "uid=" + uid + ",ou=people," + server.Suffix }
		group := func(cn string) string { return "cn=" + cn + ",ou=groups," + server.Suffix }
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off", "--scope-group", "staff"}, pullFrom(t, server, server.TLSURL)...)...)
		p.mustPull(t)
		same(t, "the scope", []string{"ann", "bob"}, slices.Sorted(maps.Keys(db.state().Users)))

		admin.set(group("staff"), "member", person("ann"), person("cid"))
		admin.set(person("ann"), "title", "Chief")
		plan := decode[plannedRun](t, p.must(t, "sync", "plan", "corp", "--members", "--json"))
		var moves []string
		for _, m := range plan.Members {
			moves = append(moves, fmt.Sprintf("%s %s %s %s", m.Group.Name, m.Change, m.Member.Type, m.Member.Name))
		}
		same(t, "who moves", []string{"staff added User cid", "staff removed User bob"}, moves)
		var changes []string
		for _, item := range plan.Items {
			for _, c := range item.Changes {
				changes = append(changes, fmt.Sprintf("%s %s %s %s", item.Name, c.Field, c.Before, c.After))
			}
		}
		same(t, "what changes", []string{`ann title  "Chief"`, `bob active true false`, `bob out_of_scope false true`}, changes)
		shown := p.must(t, "sync", "plan", "corp", "--members")
		for _, want := range []string{
			`(?m)^~ User +ann +modified +uid=ann,.*\n      title: none → Chief$`,
			`(?m)^- User +bob +out of scope.*\n      active: true → false\n      out_of_scope: false → true$`,
			`(?m)^~ Group +staff +modified .*\n      members: \+1, -1$`,
			`(?m)^takes away +users deactivated: 1 of 2, 1 of them out of scope$`,
			`(?m)^members of staff\n\+ User   cid\n- User   bob$`,
		} {
			if !regexp.MustCompile(want).MatchString(shown) {
				t.Errorf("the plan has no %s:\n%s", want, shown)
			}
		}
		before := db.state()
		p.must(t, "sync", "run", "corp", "--plan", planID(t, p), "--wait")
		same(t, "staff before", []string{"ann", "bob"}, before.Groups["staff"].Members)
		same(t, "staff after", []string{"ann", "cid"}, db.state().Groups["staff"].Members)

		// Another group instead of staff, which is renamed before: it is kept by its stable id.
		admin.rename(group("staff"), group("team"))
		if shown := p.must(t, "sync", "plan", "corp"); strings.Contains(shown, "the scope") || !strings.Contains(shown, "display_name: staff → team") {
			t.Errorf("a scope group that was renamed is shown as\n%s", shown)
		}
		p.must(t, "directory", "set", "corp", "--scope-group", "cooks")
		shown = p.must(t, "sync", "plan", "corp")
		for _, want := range []string{`(?m)^added to the scope +cooks$`, `(?m)^dropped from the scope +staff$`, `(?m)^- Group +staff +out of scope`,
			`(?m)^takes away +groups out of scope: 1 of 1$`} {
			if !regexp.MustCompile(want).MatchString(shown) {
				t.Errorf("the plan has no %s:\n%s", want, shown)
			}
		}
		p.must(t, "sync", "run", "corp", "--plan", planID(t, p), "--wait")
		same(t, "out of scope", []string{"staff"}, groupNames(decode[[]openapi.Group](t, p.must(t, "group", "list", "--out-of-scope", "--json"))))
		for command, want := range map[string]string{
			"group list": `(?m)^staff +0 +out of scope +corp `,
			"user list":  `(?m)^bob .* no: out of scope +corp `,
		} {
			if shown := p.must(t, strings.Fields(command)...); !regexp.MustCompile(want).MatchString(shown) {
				t.Errorf("%s has no %s:\n%s", command, want, shown)
			}
		}
		p.must(t, "directory", "set", "corp", "--scope", "all")
		if shown := p.must(t, "sync", "plan", "corp"); !regexp.MustCompile(`(?m)^scope +everything, and was selected groups at the last run$`).MatchString(shown) {
			t.Errorf("the plan of everything is\n%s", shown)
		}
	})
}

// planID makes a plan and returns its id.
func planID(t *testing.T, p *provostServer) string {
	t.Helper()
	return strings.TrimSpace(p.must(t, "sync", "plan", "corp", "--quiet"))
}

func groupNames(groups []openapi.Group) (names []string) {
	for i := range groups {
		names = append(names, groups[i].DisplayName)
	}
	return names
}
