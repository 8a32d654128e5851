package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
)

// One company is pushed by SCIM, as Entra does it, into one organization, and pulled
// from LDAP into another. Both must then hold the same users and the same memberships.
//
// Pushed is what the preset openldap maps: Entra would also send name.formatted, and
// has no description of a group, which is the one thing that may differ.
func TestADirectoryPushedAndPulledGivesTheSameUsersAndMemberships(t *testing.T) {
	t.Parallel()
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 600, Groups: 80})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF})
	// No attribute of the standard schemas says that an account is disabled.
	disabled := map[int]bool{0: true, 97: true, 333: true}
	for i := range disabled {
		m := ldap.NewModifyRequest(company.User(i).DN, nil)
		m.Replace("roomNumber", []string{"TRUE"})
		if err := server.Admin(t).Modify(m); err != nil {
			t.Fatal(err)
		}
	}
	onBothDatabases(t, func(t *testing.T, dsn string) {
		p := startProvost(t, "--database", dsn, "--log-level", "warn")
		p.must(t, "org", "create", "pushed")
		p.must(t, "org", "create", "pulled")

		p.must(t, append([]string{"directory", "create", "corp", "--organization", "pulled", "--domain-policy", "off", "--attribute", "active=!roomNumber"},
			pullFrom(t, server, server.TLSURL)...)...)
		p.mustPull(t, "--organization", "pulled")

		p.must(t, "directory", "create", "entra", "--organization", "pushed", "--kind", "scim", "--domain-policy", "off")
		client := &scimWorld{url: p.url, token: p.must(t, "token", "create", "--organization", "pushed", "--directory", "entra")}
		pushAsEntra(t, client, company, disabled)

		pulled, pushed := openPeer(t, dsn, "pulled").state(), openPeer(t, dsn, "pushed").state()
		if len(pulled.Users) != 600 || len(pulled.Groups) != 80 {
			t.Fatalf("%d users and %d groups were pulled", len(pulled.Users), len(pulled.Groups))
		}
		for name, g := range pulled.Groups {
			g.Description = ""
			pulled.Groups[name] = g
		}
		sameState(t, "pulled and pushed", pulled, pushed)
		truth := newCompanyState(company)
		truth.inactive = disabled
		want := truth.pulled()
		for name, g := range want.Groups {
			g.Description = ""
			want.Groups[name] = g
		}
		sameState(t, "the company and what was pulled", want, pulled)
	})
}

// pushAsEntra provisions a company in the order of Entra: every user, the managers,
// who is disabled, every group without members, then members by the ids of the
// answers, among them one who does not stay.
func pushAsEntra(t *testing.T, client *scimWorld, company *testenv.CompanyTruth, disabled map[int]bool) {
	t.Helper()
	create := func(path string, body any) string {
		t.Helper()
		a := client.send(t, scimRequest{method: post, path: path, body: jsonText(t, body)})
		if a.status != 201 {
			t.Fatalf("POST %s: %d %s", path, a.status, a.raw)
		}
		return a.text("id")
	}
	change := func(path string, operation map[string]any) {
		t.Helper()
		a := client.send(t, scimRequest{method: patch, path: path, body: jsonText(t, map[string]any{
			"schemas":    []string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"},
			"Operations": []any{operation},
		})})
		if a.status != 200 && a.status != 204 {
			t.Fatalf("PATCH %s: %d %s", path, a.status, a.raw)
		}
	}
	const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

	users := make([]string, company.Options.Users)
	for i := range users {
		u := company.User(i)
		users[i] = create("/Users", map[string]any{
			"schemas":    []string{"urn:ietf:params:scim:schemas:core:2.0:User", enterprise},
			"externalId": u.ID, "userName": u.UID, "active": true, "displayName": u.DisplayName, "title": u.Title,
			"name":         map[string]any{"familyName": u.Surname, "givenName": u.GivenName},
			"emails":       []any{map[string]any{"primary": true, "type": "work", "value": u.Mail}},
			"phoneNumbers": []any{map[string]any{"type": "work", "value": u.Telephone}, map[string]any{"type": "mobile", "value": u.Mobile}},
			"meta":         map[string]any{"resourceType": "User"}, "roles": []any{},
			enterprise: map[string]any{"employeeNumber": u.EmployeeNumber, "department": u.Department},
		})
	}
	for i := range users {
		if manager := company.User(i).Manager; manager >= 0 {
			change("/Users/"+users[i], map[string]any{"op": "Add", "path": enterprise + ":manager", "value": users[manager]})
		}
	}
	for i := range disabled {
		change("/Users/"+users[i], map[string]any{"op": "Replace", "path": "active", "value": "False"})
	}
	groups := make([]string, len(company.Groups))
	for i, g := range company.Groups {
		groups[i] = create("/Groups", map[string]any{
			"schemas":    []string{"urn:ietf:params:scim:schemas:core:2.0:Group", "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"},
			"externalId": g.ID, "displayName": g.CN, "meta": map[string]any{"resourceType": "Group"},
		})
	}
	for i, g := range company.Groups {
		passing := slices.IndexFunc(users, func(id string) bool { return !slices.Contains(g.Users, slices.Index(users, id)) })
		members := []any{map[string]any{"$ref": nil, "value": users[passing]}}
		for _, u := range g.Users {
			members = append(members, map[string]any{"$ref": nil, "value": users[u]})
		}
		for _, child := range g.Children {
			members = append(members, map[string]any{"$ref": nil, "value": groups[child]})
		}
		for few := range slices.Chunk(members, 15) {
			change("/Groups/"+groups[i], map[string]any{"op": "Add", "path": "members", "value": few})
		}
		change("/Groups/"+groups[i], map[string]any{"op": "Remove", "path": "members", "value": []any{map[string]any{"$ref": nil, "value": users[passing]}}})
	}
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	var text strings.Builder
	if err := json.NewEncoder(&text).Encode(v); err != nil {
		t.Fatal(fmt.Errorf("write JSON: %w", err))
	}
	return text.String()
}
