package main

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
)

// granted are a record's grants as words: role:Member, product:Mail by Staff, or in
// brackets while they are suspended.
func (p *provostServer) granted(t *testing.T, noun, ref string) string {
	t.Helper()
	var words []string
	for _, g := range decode[[]openapi.Grant](t, p.must(t, noun, "grants", ref, "--json")) {
		word := string(g.Kind) + ":" + g.Name
		if g.Via != nil {
			word += " by " + g.Via.DisplayName
		}
		if g.SuspendedAt != nil {
			word = "(" + word + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func (p *provostServer) wantGranted(t *testing.T, when, noun, ref, want string) {
	t.Helper()
	if have := p.granted(t, noun, ref); have != want {
		t.Errorf("%s: the %s %s holds %q, want %q", when, noun, ref, have, want)
	}
}

func (p *provostServer) wantBillable(t *testing.T, when string, want int) {
	t.Helper()
	if have := decode[openapi.Billable](t, p.must(t, "billable", "--json")).Users; have != want {
		t.Errorf("%s: %d users are billable, want %d", when, have, want)
	}
}

// smallOffice has two groups, Sales within Staff, and three people.
func smallOffice(w io.Writer) error {
	if err := testenv.WriteSkeleton(w); err != nil {
		return err
	}
	for _, uid := range []string{"ann", "bob", "cid"} {
		_, err := fmt.Fprintf(w, "dn: uid=%[1]s,ou=people,%[2]s\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: %[1]s\nsn: %[1]s\n\n", uid, testenv.Suffix)
		if err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, `dn: cn=Sales,ou=groups,%[1]s
objectClass: groupOfNames
cn: Sales
member: uid=bob,ou=people,%[1]s

dn: cn=Staff,ou=groups,%[1]s
objectClass: groupOfNames
cn: Staff
member: uid=ann,ou=people,%[1]s
member: cn=Sales,ou=groups,%[1]s

dn: cn=Visitors,ou=groups,%[1]s
objectClass: groupOfNames
cn: Visitors
member: uid=cid,ou=people,%[1]s

`, testenv.Suffix)
	return err
}

func TestRules8To10GrantsFollowWhatAPullFinds(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: smallOffice})
		admin := ldapAdmin{server.Admin(t), t}
		people, groups := ",ou=people,"+server.Suffix, ",ou=groups,"+server.Suffix
		p := startProvost(t, "--database", dsn)
		p.must(t, "role", "create", "Member")
		p.must(t, "licence", "create", "Pro", "--seats", "2")
		p.must(t, "product", "create", "Mail")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off", "--default-role", "Member", "--unassign-licences",
			"--attribute", "active=!roomNumber", "--scope-group", "Staff", "--scope-group", "Visitors"}, pullFrom(t, server, server.TLSURL)...)...)
		p.mustPull(t)
		p.wantGranted(t, "a new user", "user", "bob", "role:Member")
		p.must(t, "licence", "grant", "Pro", "--user", "ann", "--user", "bob")
		p.must(t, "product", "grant", "Mail", "--group", "Staff")
		p.wantGranted(t, "in a nested group", "user", "bob", "role:Member, licence:Pro, product:Mail by Staff")
		p.wantBillable(t, "at first", 2)

		// Disabled: the licence goes back to its pool, and does not come back by itself.
		admin.set("uid=bob"+people, "roomNumber", "TRUE")
		p.mustPull(t)
		p.wantGranted(t, "disabled", "user", "bob", "role:Member, product:Mail by Staff")
		p.wantBillable(t, "with one disabled", 1)
		if out := p.must(t, "licence", "show", "Pro"); !strings.Contains(out, "1 of 2") {
			t.Errorf("the pool is %s", out)
		}
		if _, stderr, code := p.run(t, "licence", "grant", "Pro", "--user", "bob"); code == 0 || !strings.Contains(stderr, "inactive") {
			t.Errorf("a licence for an inactive user: exit code %d, %s", code, stderr)
		}
		admin.set("uid=bob"+people, "roomNumber")
		p.mustPull(t)
		p.wantGranted(t, "enabled again", "user", "bob", "role:Member, product:Mail by Staff")

		// Out of scope, product access goes; back in a part of the scope it must be granted
		// again, and back in the whole of it, it is restored.
		p.must(t, "directory", "set", "corp", "--scope-group", "Visitors")
		p.mustPull(t)
		p.wantGranted(t, "out of scope", "group", "Staff", "(product:Mail)")
		p.wantGranted(t, "out of scope", "user", "ann", "role:Member")
		p.wantBillable(t, "out of scope", 0)
		if _, stderr, code := p.run(t, "product", "grant", "Mail", "--group", "Staff"); code == 0 || !strings.Contains(stderr, "out of its directory's scope") {
			t.Errorf("access for a group out of scope: exit code %d, %s", code, stderr)
		}
		p.must(t, "directory", "set", "corp", "--scope-group", "Staff")
		p.mustPull(t)
		p.wantGranted(t, "back, but Visitors are out", "group", "Staff", "(product:Mail)")
		p.must(t, "directory", "set", "corp", "--scope-group", "Staff", "--scope-group", "Visitors")
		p.mustPull(t)
		p.wantGranted(t, "all back", "group", "Staff", "product:Mail")
		p.wantBillable(t, "all back", 2)
		p.must(t, "directory", "set", "corp", "--scope-group", "Visitors")
		p.mustPull(t)
		p.must(t, "directory", "set", "corp", "--scope", "all")
		p.mustPull(t)
		p.wantGranted(t, "with the scope all", "group", "Staff", "product:Mail")

		// Deleted, access goes with the group and its users with their licences; what is
		// imported again is what it was.
		p.must(t, "licence", "grant", "Pro", "--user", "ann")
		if err := admin.Del(ldap.NewDelRequest("uid=ann"+people, nil)); err != nil {
			t.Fatal(err)
		}
		if err := admin.Del(ldap.NewDelRequest("cn=Visitors"+groups, nil)); err != nil {
			t.Fatal(err)
		}
		p.mustPull(t)
		p.wantBillable(t, "with one deleted", 1)
		if out := p.must(t, "licence", "show", "Pro"); !strings.Contains(out, "0 of 2") {
			t.Errorf("the pool is %s", out)
		}
	})
}

func TestRules7To10GrantsFollowWhatAPushSays(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		p := startProvost(t, "--database", dsn)
		p.must(t, "role", "create", "Member")
		p.must(t, "role", "create", "Editor")
		p.must(t, "licence", "create", "Pro")
		p.must(t, "product", "create", "Mail")
		p.must(t, "directory", "create", "entra", "--kind", "scim", "--domain-policy", "off", "--default-role", "Member", "--default-role", "Editor")
		client := &scimWorld{url: p.url, token: p.must(t, "token", "create", "--directory", "entra")}
		send := func(method, path, body string, want int) *scimAnswer {
			t.Helper()
			a := client.send(t, scimRequest{method: method, path: path, body: body})
			if a.status != want {
				t.Fatalf("%s %s: %d %s", method, path, a.status, a.raw)
			}
			return a
		}
		const ann = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ann","externalId":"%s"}`
		id := send(post, "/Users", fmt.Sprintf(ann, "e-1"), 201).text("id")
		p.must(t, "role", "revoke", "Editor", "--user", id)
		p.must(t, "licence", "grant", "Pro", "--user", id)
		group := send(post, "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Staff","externalId":"g-1","members":[{"value":"`+id+`"}]}`, 201).text("id")
		p.must(t, "product", "grant", "Mail", "--group", group)
		p.wantGranted(t, "at first", "user", id, "role:Member, licence:Pro, product:Mail by Staff")

		// Without unassign_licences a user that is switched off keeps what it holds, and a
		// user that was imported before keeps its roles.
		send(patch, "/Users/"+id, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]}`, 200)
		p.wantGranted(t, "switched off", "user", id, "role:Member, licence:Pro, product:Mail by Staff")
		p.wantBillable(t, "switched off", 0)
		send(remove, "/Users/"+id, "", 204)
		if again := send(post, "/Users", fmt.Sprintf(ann, "e-1"), 201).text("id"); again != id {
			t.Fatalf("who returns has the id %s instead of %s", again, id)
		}
		p.wantGranted(t, "returned", "user", id, "role:Member, licence:Pro, product:Mail by Staff")
		p.wantBillable(t, "returned", 1)

		// By name alone, with no stable id on one side, it is the same record without them.
		send(remove, "/Users/"+id, "", 204)
		if again := send(post, "/Users", strings.Replace(fmt.Sprintf(ann, ""), `,"externalId":""`, "", 1), 201).text("id"); again != id {
			t.Fatalf("who returns by name has the id %s instead of %s", again, id)
		}
		p.wantGranted(t, "returned by name", "user", id, "")

		// A recycled name with another stable id is a stranger: new, with the default roles.
		send(remove, "/Users/"+id, "", 204)
		stranger := send(post, "/Users", fmt.Sprintf(ann, "e-2"), 201).text("id")
		if stranger == id {
			t.Fatal("a stranger with a recycled name has the id of the leaver")
		}
		p.wantGranted(t, "a stranger", "user", stranger, "role:Member, role:Editor")

		// A group that is deleted loses access, and has it again when it returns.
		send(remove, "/Groups/"+group, "", 204)
		p.wantBillable(t, "with the group deleted", 0)
		if again := send(post, "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Staff","externalId":"g-1"}`, 201).text("id"); again != group {
			t.Fatalf("the group that returns has the id %s instead of %s", again, group)
		}
		p.wantGranted(t, "returned", "group", group, "product:Mail")
	})
}
