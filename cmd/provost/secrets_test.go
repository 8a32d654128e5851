package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
)

// A secret of which a whole run must leave no trace.
type secret struct{ what, text string }

// traces are the forms in which a secret could be found.
func (s secret) traces() map[string]string {
	return map[string]string{
		"itself": s.text, "in base64": base64.StdEncoding.EncodeToString([]byte(s.text)),
		"in base64url": base64.RawURLEncoding.EncodeToString([]byte(s.text)), "in hex": hex.EncodeToString([]byte(s.text)),
	}
}

// TestNoSecretIsLoggedOrStored runs the program at its most talkative through all that
// has to do with secrets, well and badly, and looks for each of them in its log, in its
// database and in all that it shows.
func TestNoSecretIsLoggedOrStored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	issuer := testenv.OIDC(t, "")
	mails := testenv.SMTP(t, testenv.SMTPOptions{User: "user", Password: "smtp-Pa55word-1"})
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 20, Groups: 2})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF})
	p, err := bootProvost(dir, mailFlags(t, mails, "--log-level", "debug", "--log-format", "json",
		"--oidc-issuer", issuer.URL, "--oidc-audience", "console", "--oidc-role-claim", "groups", "--oidc-role", "admins=admin")...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.stop() }) // again, if the test ended before it was stopped

	secrets := []secret{
		{"the token of the first administrator", p.token}, {"the password of the mail server", "smtp-Pa55word-1"}, {"the bind password", server.Password},
	}
	keep := func(what, text string) string {
		secrets = append(secrets, secret{what, text})
		return text
	}
	var shown strings.Builder // all that was printed or answered
	show := func(args ...string) {
		t.Helper()
		stdout, stderr, _ := p.run(t, args...)
		fmt.Fprintf(&shown, "$ provost %s\n%s%s\n", args[0], stdout, stderr)
	}
	answer := func(status int, method, path, token, body string) {
		t.Helper()
		resp, text := fetch(t, method, p.url+path, token, body)
		if resp.StatusCode != status {
			t.Errorf("%s %s is %d %s, want %d", method, path, resp.StatusCode, text, status)
		}
		fmt.Fprintf(&shown, "%s %s\n%v\n%s\n", method, path, resp.Header, text)
	}

	// Pulls with a good and with a wrong bind.
	corpDirectory(t, p, server)
	p.must(t, "directory", "set", "corp", "--domain-policy", "off", "--email-new-users")
	show("doctor", "directory", "corp", "--json")
	show("search", "corp", "--user", "u*")
	show("sync", "run", "corp", "--yes", "--wait", "--json")
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, []byte(keep("a wrong bind password", "wrong-b1nd-passw0rd")), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must(t, "directory", "set", "corp", "--bind-password-file", wrong)
	show("doctor", "directory", "corp", "--json")
	show("search", "corp", "--user", "u*")
	if _, stderr, code := p.run(t, "sync", "run", "corp", "--yes", "--wait"); code != exitFailed || !strings.Contains(stderr, "credentials") {
		t.Errorf("the run with a wrong password ends with %d: %s", code, stderr)
	}

	// Tokens: good, revoked, unknown, of the wrong kind.
	p.must(t, "directory", "create", "okta", "--kind", "scim", "--domain-policy", "off")
	scim := keep("a directory's token", p.must(t, "token", "create", "--directory", "okta"))
	revoked := keep("a revoked token", p.must(t, "token", "create", "--directory", "okta", "--name", "old"))
	id := p.must(t, "token", "list", "--directory", "okta", "--quiet")
	ids := strings.Fields(id)
	p.must(t, "token", "revoke", ids[len(ids)-1], "--yes")
	keep("an administrator's token", p.must(t, "token", "create", "--role", "auditor"))
	unknown := keep("a token that nobody made", "pvt_"+strings.Repeat("Zq9-", 10)+"abc")
	for _, path := range []string{"/scim/v2/Users", "/api/v1/users"} {
		answer(http.StatusUnauthorized, http.MethodGet, path, unknown, "")
	}
	status := map[bool]int{}
	for _, token := range []string{scim, revoked} {
		resp, text := fetch(t, http.MethodGet, p.url+"/scim/v2/Users", token, "")
		status[resp.StatusCode == http.StatusOK]++
		shown.WriteString(text)
	}
	if status[true] != 1 || status[false] != 1 {
		t.Errorf("of two tokens, one revoked, %d are good", status[true])
	}
	good := scim
	if resp, _ := fetch(t, http.MethodGet, p.url+"/scim/v2/Users", scim, ""); resp.StatusCode != http.StatusOK {
		good = revoked // the list is not in the order of their creation
	}

	answer(http.StatusOK, http.MethodGet, "/scim/v2/Users?filter=userName+eq+%22grace%40example.com%22", good, "")

	// Passwords in SCIM, wherever a client may write them.
	password := func(n int) string {
		return keep(fmt.Sprintf("password %d of a user", n), fmt.Sprintf("hunter-%d-hunter", n))
	}
	const user = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"grace@example.com","password":%q}`
	answer(http.StatusCreated, http.MethodPost, "/scim/v2/Users", good, fmt.Sprintf(user, password(1)))
	answer(http.StatusConflict, http.MethodPost, "/scim/v2/Users", good, fmt.Sprintf(user, password(2)))
	answer(http.StatusBadRequest, http.MethodPost, "/scim/v2/Users", good, fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"password":%q}`, password(3)))
	answer(http.StatusBadRequest, http.MethodPost, "/scim/v2/Users", good, fmt.Sprintf(`{"password":%q`, password(4)))
	graceID := strings.Trim(decode[[]struct{ ID string }](t, p.must(t, "user", "list", "--user-name", "grace@example.com", "--json"))[0].ID, `"`)
	answer(http.StatusOK, http.MethodPut, "/scim/v2/Users/"+graceID, good, fmt.Sprintf(user, password(5)))
	const patch = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[%s]}`
	answer(http.StatusOK, http.MethodPatch, "/scim/v2/Users/"+graceID, good, fmt.Sprintf(patch, fmt.Sprintf(`{"op":"replace","path":"password","value":%q}`, password(6))))
	answer(http.StatusOK, http.MethodPatch, "/scim/v2/Users/"+graceID, good, fmt.Sprintf(patch, fmt.Sprintf(`{"op":"replace","value":{"password":%q,"title":"Admiral"}}`, password(7))))
	answer(http.StatusOK, http.MethodPost, "/scim/v2/Bulk", good, fmt.Sprintf(
		`{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[{"method":"POST","path":"/Users","bulkId":"a","data":{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"bulk@example.com","password":%q}}]}`, password(8)))

	// Tokens of an issuer: an administrator's, and those of a directory.
	claims := map[string]any{"aud": "console", "sub": "ada-1", "groups": []string{"admins"}}
	answer(http.StatusOK, http.MethodGet, "/api/v1/directories", keep("a person's token", issuer.Token(claims)), "")
	p.must(t, "directory", "oidc", "add", "okta", "--issuer", issuer.URL, "--audience", "scim", "--subject", "client")
	answer(http.StatusOK, http.MethodGet, "/scim/v2/Users", keep("a client's token of the issuer", issuer.Token(map[string]any{"aud": "scim", "sub": "client"})), "")
	answer(http.StatusUnauthorized, http.MethodGet, "/scim/v2/Users", keep("a token for somebody else", issuer.Token(map[string]any{"aud": "scim", "sub": "stranger"})), "")

	// Mails, sent by a server that asks for a password, and then takes none for a while.
	until(t, "mails are sent", func() bool { return len(mails.Mails()) >= 20 })
	mails.Refuse(testenv.StepMail, 451, "not now", 2)
	p.must(t, "directory", "create", "welcome", "--kind", "scim", "--domain-policy", "off", "--email-new-users")
	answer(http.StatusCreated, http.MethodPost, "/scim/v2/Users", keep("another directory's token", p.must(t, "token", "create", "--directory", "welcome")),
		`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"new@example.com","active":true,"emails":[{"value":"new@example.com"}]}`)
	until(t, "the mail is sent in the end", func() bool { return len(mails.To("new@example.com")) == 1 })

	// Keys to sign with, of an endpoint that cannot be reached.
	for _, args := range [][]string{{"webhook", "create", "app", "--url", "https://localhost/"}, {"webhook", "rotate", "app"}} {
		key := strings.TrimPrefix(p.must(t, args...), "whsec_")
		raw, err := base64.StdEncoding.DecodeString(keep("the text of a webhook's secret", key))
		if err != nil || len(raw) < 24 {
			t.Fatalf("the secret of a webhook has %d bytes: %v", len(raw), err)
		}
		keep("the key of a webhook", string(raw))
	}
	show("webhook", "test", "app", "--json")
	show("webhook", "deliveries", "app", "--json")
	show("webhook", "show", "app", "--json")

	for _, args := range [][]string{
		{"event", "list", "--limit", "0", "--json"}, {"directory", "show", "corp", "--json"}, {"token", "list", "--directory", "okta", "--json"},
		{"token", "list", "--instance", "--json"}, {"finding", "list", "--json"}, {"sync", "history", "corp", "--json"}, {"org", "show", "default", "--json"},
	} {
		show(args...)
	}
	answer(http.StatusOK, http.MethodGet, "/metrics", "", "")
	p.stopNow(t)

	key, err := os.ReadFile(filepath.Join(dir, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	keep("the key that seals", strings.TrimSpace(string(key)))
	places := map[string]string{"the log": p.stderr.String(), "what was shown": shown.String()}
	files, err := filepath.Glob(filepath.Join(dir, "provost.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no database: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		places[filepath.Base(file)] = string(b)
	}
	// What must be in them shows that the right places are looked at.
	for place, text := range map[string]string{
		"the log": `"path":"/scim/v2/Bulk"`, "what was shown": "bulk@example.com", "provost.db": "grace@example.com",
	} {
		if !strings.Contains(places[place], text) {
			t.Errorf("%s does not hold %s", place, text)
		}
	}
	if strings.Contains(places["the log"], "grace@example.com") || strings.Contains(places["the log"], "filter=") {
		t.Error("the log holds what clients wrote into queries and bodies")
	}
	for place, text := range places {
		for _, s := range secrets {
			if len(s.text) < 8 {
				t.Errorf("%s is too short to look for", s.what)
			}
			for form, trace := range s.traces() {
				if strings.Contains(text, trace) {
					t.Errorf("%s holds %s, %s", place, s.what, form)
				}
			}
		}
	}
	if len(secrets) < 18 {
		t.Errorf("only %d secrets were used", len(secrets))
	}
}
