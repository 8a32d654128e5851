package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// identities are the ids of all live users and groups, by kind and name.
func (p *peer) identities() map[string]store.ID {
	p.t.Helper()
	ids := map[string]store.ID{}
	users, groups := p.records()
	for i := range users {
		ids["user "+users[i].Attributes.UserName] = users[i].ID
	}
	for i := range groups {
		ids["group "+groups[i].DisplayName] = groups[i].ID
	}
	return ids
}

// access is whom each group publishes.
func access(s directoryState) map[string][]string {
	published := map[string][]string{}
	for name, g := range s.Groups {
		published[name] = g.Effective
	}
	return published
}

// owners counts records by the name of their directory.
func (p *peer) owners() map[string]int {
	p.t.Helper()
	names := map[store.Key]string{}
	p.view(func(ctx context.Context, r store.Reader) error {
		all, err := r.Directories(ctx, p.org)
		for _, d := range all {
			names[d.Key] = d.Name
		}
		return err
	})
	users, groups := p.records()
	owners := map[string]int{}
	for i := range users {
		owners["users of "+names[users[i].Directory]]++
	}
	for i := range groups {
		owners["groups of "+names[groups[i].Directory]]++
	}
	return owners
}

func TestAHybridCustomerMovesFromADirectoryThatIsPulledToEntraWithoutLosingAnything(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 150, Groups: 25})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF})
		p, db := startProvost(t, "--database", dsn, "--log-level", "warn"), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, server, server.TLSURL)...)...)
		p.mustPull(t)
		p.must(t, "directory", "create", "entra", "--kind", "scim", "--domain-policy", "off")
		client := &scimWorld{url: p.url, token: p.must(t, "token", "create", "--directory", "entra")}
		ids, published := db.identities(), access(db.state())

		// The same person, stated by two directories, is a duplicate until there is a handover.
		person := fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":%q}`, truth.User(3).UID)
		if a := client.send(t, scimRequest{method: post, path: "/Users", body: person}); a.status != 409 || a.text("scimType") != "uniqueness" {
			t.Errorf("before the handover the person is answered %d %s", a.status, a.raw)
		}
		p.must(t, "directory", "handover", "corp", "entra")
		if _, stderr, code := p.run(t, "directory", "handover", "entra", "corp"); code != exitError || !strings.Contains(stderr, "other way round") {
			t.Errorf("the way back: exit code %d, %s", code, stderr)
		}
		if _, stderr, code := p.run(t, "directory", "handover", "corp", "corp"); code != exitError || !strings.Contains(stderr, "its own records") {
			t.Errorf("to itself: exit code %d, %s", code, stderr)
		}
		// One whose userName is that of one user and whose email is that of another is neither.
		mixed := fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":%q,"emails":[{"value":%q,"primary":true}]}`, truth.User(4).UID, truth.User(5).Mail)
		if a := client.send(t, scimRequest{method: post, path: "/Users", body: mixed}); a.status != 409 || a.text("scimType") != "uniqueness" {
			t.Errorf("a mixture of two users is answered %d %s", a.status, a.raw)
		}

		pushAsEntra(t, client, truth, nil)
		same(t, "ids after the handover", ids, db.identities())
		same(t, "memberships after the handover", published, access(db.state()))
		same(t, "owners after the handover", map[string]int{"users of entra": 150, "groups of entra": 25}, db.owners())
		shown := decode[openapi.Directory](t, p.must(t, "directory", "show", "corp", "--json"))
		if shown.Handovers == nil || len(*shown.Handovers) != 1 || (*shown.Handovers)[0].UsersMoved != 150 || (*shown.Handovers)[0].GroupsMoved != 25 ||
			(*shown.Handovers)[0].StartedBy == "" {
			t.Errorf("the directory shows the handovers %+v", shown.Handovers)
		}
		if text := p.must(t, "directory", "show", "entra"); !strings.Contains(text, "from corp to entra since") || !strings.Contains(text, "150 users and 25 groups have moved") {
			t.Errorf("the directory is shown as\n%s", text)
		}
		moved := map[string]int{}
		for _, e := range db.events(0) {
			var data struct{ From, To string }
			if strings.HasSuffix(e.Type, ".handed_over") {
				if err := json.Unmarshal(e.Data, &data); err != nil || data.From != "corp" || data.To != "entra" {
					t.Errorf("%s says %s, %v", e.Type, e.Data, err)
				}
			}
			moved[e.Type]++
		}
		if moved[store.EventUserHandedOver] != 150 || moved[store.EventGroupHandedOver] != 25 || moved[store.EventHandoverStarted] != 1 {
			t.Errorf("the log has %v", moved)
		}

		// What the old directory goes on saying changes nothing: neither a changed entry, nor
		// one that is renamed to a name that nobody has, nor one that is gone.
		admin := server.Admin(t)
		title := ldap.NewModifyRequest(truth.User(7).DN, nil)
		title.Replace("title", []string{"of the old directory"})
		name := ldap.NewModifyRequest(truth.User(8).DN, nil)
		name.Replace("mail", []string{"renamed@corp.test"})
		name.Add("uid", []string{"renamed"})
		for _, m := range []*ldap.ModifyRequest{title, name} {
			if err := admin.Modify(m); err != nil {
				t.Fatal(err)
			}
		}
		if err := admin.Del(ldap.NewDelRequest(truth.User(9).DN, nil)); err != nil {
			t.Fatal(err)
		}
		state := db.state()
		state.Findings = nil
		p.must(t, "directory", "set", "corp", "--page-size", "500") // everything is stated again
		done := p.mustPull(t)
		same(t, "users of the old directory", map[string]int{"duplicated": 149}, done.tally("users"))
		same(t, "groups of the old directory", map[string]int{"duplicated": 25}, done.tally("groups"))
		after := db.state()
		after.Findings = nil
		sameState(t, "after the old directory was pulled again", state, after)
		same(t, "ids after it", ids, db.identities())

		p.must(t, "directory", "handover", "corp", "entra", "--end")
		if _, stderr, code := p.run(t, "directory", "handover", "corp", "entra", "--end"); code != exitError || !strings.Contains(stderr, "no such handover") {
			t.Errorf("ending it twice: exit code %d, %s", code, stderr)
		}
		p.must(t, "directory", "delete", "corp", "--users", "keep", "--yes")
		sameState(t, "after the old directory was deleted", state, db.state())
		same(t, "ids at the end", ids, db.identities())
	})
}

func TestWhatHasMovedStaysInTheGroupsThatHaveNotAndTheOthersInThoseThatHave(t *testing.T) {
	t.Parallel()
	entry := func(w io.Writer, dn, rest string) {
		fmt.Fprintf(w, "dn: %s,%s\n%s\n\n", dn, testenv.Suffix, strings.ReplaceAll(rest, "SUFFIX", testenv.Suffix))
	}
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: func(w io.Writer) error {
			if err := testenv.WriteSkeleton(w); err != nil {
				return err
			}
			for _, uid := range []string{"ann", "bob", "cid"} {
				entry(w, "uid="+uid+",ou=people", fmt.Sprintf("objectClass: inetOrgPerson\nuid: %[1]s\ncn: %[1]s\nsn: %[1]s\nmail: %[1]s@corp.test", uid))
			}
			member := func(list ...string) string {
				return "objectClass: groupOfNames\nmember: " + strings.Join(list, ",SUFFIX\nmember: ") + ",SUFFIX"
			}
			entry(w, "cn=staff,ou=groups", "cn: staff\n"+member("uid=ann,ou=people", "uid=bob,ou=people", "uid=cid,ou=people"))
			entry(w, "cn=local,ou=groups", "cn: local\n"+member("uid=ann,ou=people", "cn=staff,ou=groups"))
			return nil
		}})
		p, db := startProvost(t, "--database", dsn, "--log-level", "warn"), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, server, server.TLSURL)...)...)
		p.mustPull(t)
		p.must(t, "directory", "create", "entra", "--kind", "scim", "--domain-policy", "off")
		client := &scimWorld{url: p.url, token: p.must(t, "token", "create", "--directory", "entra")}
		ids := db.identities()
		p.must(t, "directory", "handover", "corp", "entra")
		send := func(method, path, body string, status int) *scimAnswer {
			t.Helper()
			a := client.send(t, scimRequest{method: method, path: path, body: body})
			if a.status != status {
				t.Fatalf("%s %s answers %d %s", method, path, a.status, a.raw)
			}
			return a
		}
		create := func(path, kind, attributes string) string {
			t.Helper()
			return send(post, path, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:`+kind+`"],`+attributes+`}`, 201).text("id")
		}
		published := map[string][]string{"staff": {"ann", "bob", "cid"}, "local": {"ann", "bob", "cid"}}
		check := func(when string) {
			t.Helper()
			same(t, "memberships "+when, published, access(db.state()))
			now := db.identities()
			maps.DeleteFunc(now, func(name string, _ store.ID) bool { _, known := ids[name]; return !known })
			same(t, "ids "+when, ids, now)
		}

		// Only ann moves; by her email, with another name.
		ann := create("/Users", "User", `"externalId":"e-1","userName":"ann.lee","emails":[{"value":"ANN@corp.test","primary":true}]`)
		if ann != string(ids["user ann"]) {
			t.Errorf("ann is now %s, was %s", ann, ids["user ann"])
		}
		ids["user ann.lee"] = ids["user ann"]
		delete(ids, "user ann")
		published["staff"], published["local"] = []string{"ann.lee", "bob", "cid"}, []string{"ann.lee", "bob", "cid"}
		check("after ann has moved")
		p.must(t, "directory", "set", "corp", "--page-size", "500")
		done := p.mustPull(t)
		same(t, "users of the run", map[string]int{"duplicated": 1, "unchanged": 2}, done.tally("users"))
		check("after the old directory was pulled, which states its groups again")

		// The group moves too; bob and cid are not Entra's yet, and stay in it.
		staff := create("/Groups", "Group", `"externalId":"e-2","displayName":"Staff","members":[{"value":"`+ann+`"}]`)
		published["Staff"] = published["staff"]
		delete(published, "staff")
		if staff != string(ids["group staff"]) {
			t.Errorf("the group is now %s, was %s", staff, ids["group staff"])
		}
		ids["group Staff"] = ids["group staff"]
		delete(ids, "group staff")
		check("after the group has moved")
		send(put, "/Groups/"+staff, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"externalId":"e-2","displayName":"Staff","members":[{"value":"`+ann+`"}]}`, 200)
		check("after Entra stated its members whole")
		p.must(t, "directory", "set", "corp", "--page-size", "400")
		p.mustPull(t)
		check("after the old directory was pulled again")

		// bob moves, and his new directory says that he is no member.
		create("/Users", "User", `"externalId":"e-3","userName":"bob"`)
		send(put, "/Groups/"+staff, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"externalId":"e-2","displayName":"Staff","members":[{"value":"`+ann+`"}]}`, 200)
		published["Staff"], published["local"] = []string{"ann.lee", "cid"}, []string{"ann.lee", "cid"}
		check("after bob has moved and was left out")

		// After the end cid can no longer move, and Entra's word about the group is whole.
		p.must(t, "directory", "handover", "corp", "entra", "--end")
		if a := client.send(t, scimRequest{method: post, path: "/Users", body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"cid"}`}); a.status != 409 {
			t.Errorf("after the end cid is answered %d %s", a.status, a.raw)
		}
		send(put, "/Groups/"+staff, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"externalId":"e-2","displayName":"Staff","members":[{"value":"`+ann+`"}]}`, 200)
		published["Staff"], published["local"] = []string{"ann.lee"}, []string{"ann.lee"}
		check("after the end")
	})
}

func TestADirectoryThatIsPulledTakesOverFromAnother(t *testing.T) {
	t.Parallel()
	old := testenv.NewCompany(testenv.CompanyOptions{Users: 120, Groups: 20, Cap: 40, Seed: 1})
	fresh := testenv.NewCompany(testenv.CompanyOptions{Users: 130, Groups: 20, Cap: 40, Seed: 2})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		from := testenv.Slapd(t, testenv.SlapdOptions{Write: old.WriteLDIF})
		to := testenv.Slapd(t, testenv.SlapdOptions{Write: fresh.WriteLDIF})
		p, db := startProvost(t, "--database", dsn, "--cap", "40", "--log-level", "warn"), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "old", "--domain-policy", "off"}, pullFrom(t, from, from.TLSURL)...)...)
		p.must(t, "sync", "run", "old", "--yes", "--wait")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, to, to.TLSURL)...)...)
		ids := db.identities()
		plan := decode[openapi.Run](t, p.must(t, "sync", "plan", "corp", "--json"))
		p.must(t, "directory", "handover", "old", "corp")
		if _, stderr, code := p.run(t, "sync", "run", "corp", "--plan", plan.ID); code == 0 || !strings.Contains(stderr, "stale") {
			t.Errorf("a plan made before the handover: exit code %d, %s", code, stderr)
		}
		done := p.mustPull(t)
		same(t, "users", map[string]int{"claimed": 120, "created": 10}, done.tally("users"))
		same(t, "groups", map[string]int{"claimed": 20}, done.tally("groups"))
		now := db.identities()
		for name, id := range ids {
			if now[name] != id {
				t.Errorf("%s is now %s, was %s", name, now[name], id)
			}
		}
		want := newCompanyState(fresh).pulled()
		sameState(t, "what the new directory holds", want, db.state())
		quiet := p.mustPull(t)
		same(t, "users of a quiet run", map[string]int{"unchanged": 130}, quiet.tally("users"))
		same(t, "groups of a quiet run", map[string]int{"unchanged": 20}, quiet.tally("groups"))
		again := decode[pulledRun](t, p.must(t, "sync", "run", "old", "--yes", "--wait", "--json"))
		same(t, "users of the old directory", map[string]int{"duplicated": 120}, again.tally("users"))
		got := db.state()
		got.Findings = want.Findings // those of the old directory
		sameState(t, "after the old directory was pulled again", want, got)
	})
}

func TestNamesThatAreSwappedAndAddressesThatAreHandedOnInOneRunKeepTheIds(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 12, Groups: 2})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF})
		p, db := startProvost(t, "--database", dsn, "--log-level", "warn"), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off", "--attribute", "userName=mail"}, pullFrom(t, server, server.TLSURL)...)...)
		p.mustPull(t)
		users := func() (ids map[string]store.ID, names map[string]string) {
			ids, names = map[string]store.ID{}, map[string]string{}
			all, _ := db.records()
			for i := range all {
				ids[all[i].ExternalID], names[all[i].ExternalID] = all[i].ID, all[i].Attributes.UserName+" "+all[i].Attributes.Emails[0].Value
			}
			return ids, names
		}
		ids, names := users()
		admin := server.Admin(t)
		mails := map[int]string{0: truth.User(1).Mail, 1: truth.User(0).Mail, 2: "fresh@corp.test", 3: truth.User(2).Mail}
		for i, mail := range mails {
			m := ldap.NewModifyRequest(truth.User(i).DN, nil)
			m.Replace("mail", []string{mail})
			if err := admin.Modify(m); err != nil {
				t.Fatal(err)
			}
			names[truth.User(i).ID] = mail + " " + mail
		}
		done := p.mustPull(t)
		same(t, "users of the run", map[string]int{"modified": 4, "unchanged": 8}, done.tally("users"))
		nowIDs, nowNames := users()
		same(t, "ids", ids, nowIDs)
		same(t, "names and addresses", names, nowNames)
	})
}
