package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
)

// oddNames is a directory whose names mean something in filters and DNs.
func oddNames(w io.Writer) error {
	if err := testenv.WriteSkeleton(w); err != nil {
		return err
	}
	people := []struct{ rdn, uid string }{
		{"ann", "ann"}, {"bob", "bob"}, {"cid", "cid"}, {"dora", "dora"}, {"eve", "eve"},
		{`star*\2c\28x\29`, `star*,(x)`}, {`back\5cslash`, `back\slash`}, {"zoë", "zoë"},
	}
	for _, p := range people {
		_, err := fmt.Fprintf(w, "dn: uid=%[1]s,ou=people,%[3]s\nobjectClass: inetOrgPerson\nuid: %[2]s\ncn: %[2]s\nsn: %[2]s\nmail: %[4]s@example.com\nuserPassword: hidden\n\n",
			p.rdn, p.uid, testenv.Suffix, strings.Map(func(r rune) rune {
				if r >= 'a' && r <= 'z' {
					return r
				}
				return -1
			}, p.uid))
		if err != nil {
			return err
		}
	}
	for name, members := range map[string][]string{"staff": {"ann", "bob"}, "guests": {"cid"}, "cooks": {"dora", "eve"}} {
		if _, err := fmt.Fprintf(w, "dn: cn=%[1]s,ou=groups,%[2]s\nobjectClass: groupOfNames\ncn: %[1]s\n", name, testenv.Suffix); err != nil {
			return err
		}
		for _, m := range members {
			if _, err := fmt.Fprintf(w, "member: uid=%s,ou=people,%s\n", m, testenv.Suffix); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	// Somebody of another part of the tree, whom no run reads.
	_, err := fmt.Fprintf(w, "dn: ou=secret,%[1]s\nobjectClass: organizationalUnit\nou: secret\n\n"+
		"dn: uid=spy,ou=secret,%[1]s\nobjectClass: inetOrgPerson\nuid: spy\ncn: spy\nsn: spy\n\n", testenv.Suffix)
	return err
}

// rest sends one request to the REST interface.
func (p *provostServer) rest(t *testing.T, method, path, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// hits are a search's results in a short form: status, type, name, and with whom it
// is in conflict.
func hits(t *testing.T, p *provostServer, flags ...string) []string {
	t.Helper()
	list := []string{}
	for _, h := range decode[[]openapi.SearchHit](t, p.must(t, append([]string{"search", "corp", "--json"}, flags...)...)) {
		line := string(h.Status) + " " + h.Type + " " + h.Name
		if h.With != nil {
			line += " with " + h.With.Name + " of " + owner(h.With.Directory)
		}
		list = append(list, line)
	}
	return sorted(list)
}

func TestASearchSaysOfEachHitWhatAnImportWouldMakeOfIt(t *testing.T) {
	t.Parallel()
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: oddNames})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		p := startProvost(t, "--database", dsn)
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off",
			"--user-filter", "(&(objectClass=inetOrgPerson)(!(ou:dn:=secret)))", "--scope-group", "staff"}, pullFrom(t, server, server.TLSURL)...)...)
		p.mustPull(t) // ann and bob
		p.must(t, "user", "create", "Eve", "--email", "someone@example.org")
		if status, body := p.rest(t, "POST", "/groups", `{"display_name":"Cooks"}`); status != 201 {
			t.Fatalf("an internal group: %d %s", status, body)
		}
		p.must(t, "directory", "create", "entra", "--kind", "scim", "--domain-policy", "off")
		p.scim(t, p.must(t, "token", "create", "--directory", "entra"), "POST", "/Users",
			`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"dora@entra.example","emails":[{"value":"Dora@example.com"}]}`, 201, nil)
		before := openPeer(t, dsn, "").trace()

		same(t, "users", []string{
			"conflict User dora with dora@entra.example of entra", "conflict User eve with Eve of (internal)",
			`new User back\slash`, "new User cid", "new User star*,(x)", "new User zoë",
			"synchronized User ann", "synchronized User bob",
		}, hits(t, p, "--user", "*"))
		same(t, "groups", []string{"conflict Group cooks with Cooks of (internal)", "new Group guests", "synchronized Group staff"}, hits(t, p, "--group", "*"))
		same(t, "a filter", []string{"new Group guests", "new User cid"}, hits(t, p, "--filter", "(|(cn=guests)(uid=cid))"))
		same(t, "a name in another case", []string{"synchronized User ann"}, hits(t, p, "--user", "ANN"))
		same(t, "part of a name", []string{"new User cid"}, hits(t, p, "--user", "c*d"))

		p.must(t, "directory", "set", "corp", "--domain-policy", "verified")
		same(t, "an address of no verified domain", []string{"refused User cid"}, hits(t, p, "--user", "cid"))

		stdout, stderr, code := p.run(t, "search", "corp", "--user", "*", "--limit", "2", "--quiet")
		if code != 0 || strings.Count(stdout, "\n") != 2 || !strings.Contains(stderr, "there are more than these 2") {
			t.Errorf("a limited search: exit code %d, %q, %q", code, stdout, stderr)
		}
		same(t, "what searches may not move", before, openPeer(t, dsn, "").trace())
	})
}

func TestNoNameOrFilterReachesBeyondWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: oddNames})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		p := startProvost(t, "--database", dsn)
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off", "--user-filter",
			"(&(objectClass=inetOrgPerson)(!(ou:dn:=secret)))"}, pullFrom(t, server, server.TLSURL)...)...)
		for _, tt := range []struct {
			flag, text string
			want       []string
		}{
			{"--user", `*)(uid=\*`, []string{}},
			{"--user", `ann)(objectClass=*`, []string{}},
			{"--user", `ann)(|(uid=*`, []string{}},
			{"--user", `x))(|(uid=*)`, []string{}},
			{"--user", `\61nn`, []string{}},
			{"--user", `uid=ann,ou=people,dc=corp,dc=test`, []string{}},
			{"--user", `star\*,(x)`, []string{"new User star*,(x)"}},
			{"--user", `star*,(x)`, []string{"new User star*,(x)"}},
			{"--user", `back\\slash`, []string{`new User back\slash`}},
			{"--user", "zoë", []string{"new User zoë"}},
			{"--user", "spy", []string{}},
			{"--group", `staff)(cn=*`, []string{}},
			{"--group", "ann", []string{}},
			{"--filter", "(uid=spy)", []string{}},
			{"--filter", "(|(uid=spy)(objectClass=*)(uid=ann))", []string{
				"new Group cooks", "new Group guests", "new Group staff", `new User back\slash`, "new User ann", "new User bob",
				"new User cid", "new User dora", "new User eve", "new User star*,(x)", "new User zoë",
			}},
			{"--filter", `(userPassword=hidden)`, []string{}},
		} {
			same(t, tt.flag+" "+tt.text, sorted(tt.want), hits(t, p, tt.flag, tt.text))
		}
		for _, text := range []string{
			"ann", "(uid=ann", "(uid=ann))", "(uid=ann)(uid=bob)", "()", "(&(uid=ann)", "(uid=ann))(|(uid=*)",
			strings.Repeat("(!", 21) + "(uid=ann)" + strings.Repeat(")", 21),
			"(|" + strings.Repeat("(uid=ann)", 101) + ")", "(uid=" + strings.Repeat("a", 8192) + ")",
		} {
			_, stderr, code := p.run(t, "search", "corp", "--filter", text)
			if code != 1 || !strings.Contains(stderr, "filter") {
				t.Errorf("the filter %.40s: exit code %d, %s", text, code, stderr)
			}
		}
		for _, body := range []string{`{}`, `{"user_name":"a","filter":"(uid=a)"}`, `{"user_name":"a\u0000b"}`, `{"filter":"(uid=a\u0000b)"}`, `{"user_name":"a\\"}`,
			`{"user_name":"` + strings.Repeat("a", 257) + `"}`, `{"user_name":"` + strings.Repeat("*a", 11) + `"}`, `{"user_name":"a","limit":101}`, `{"user_name":"a","limit":0}`} {
			if status, answer := p.rest(t, "POST", "/directories/corp/search", body); status != 400 {
				t.Errorf("the body %.60s: %d %s", body, status, answer)
			}
		}
		p.must(t, "directory", "create", "entra", "--kind", "scim")
		if _, stderr, code := p.run(t, "search", "entra", "--user", "ann"); code != 1 || !strings.Contains(stderr, "kind scim") {
			t.Errorf("a directory that pushes: exit code %d, %s", code, stderr)
		}
	})
}
