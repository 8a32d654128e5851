package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

func TestNewActiveUsersAreWelcomedOnceAndNobodyElse(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.SMTP(t, testenv.SMTPOptions{User: "user", Password: "secret 1"})
		p, db := startProvost(t, mailFlags(t, server, "--database", dsn)...), openPeer(t, dsn, "")
		text := filepath.Join(t.TempDir(), "welcome.txt")
		if err := os.WriteFile(text, []byte("Dear {{.Name}} ({{.UserName}} of {{.Organization}}): {{.SignInURL}}\n.\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		p.must(t, "org", "set", "default", "--welcome-subject", "Hello {{.Name}}", "--welcome-text-file", text, "--sign-in-url", "https://login.example.com/?a=b")
		token := p.welcoming(t, "clients")
		ann := p.push(t, token, scimUser("ann", `,"displayName":"Ånn O'Neil","active":true`))
		idle := p.push(t, token, scimUser("idle", `,"active":false`))
		nowhere := p.push(t, token, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"nowhere","active":true}`)
		byName := p.push(t, token, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"byname@example.com","active":true}`)
		// Later activity, deletion and return are no beginnings.
		p.scim(t, token, "PATCH", "/Users/"+string(idle), `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":true}]}`, http.StatusOK, nil)
		await(t, "ann is welcomed", func() bool { return db.mailState(ann) == store.MailSent })
		p.scim(t, token, "DELETE", "/Users/"+string(ann), "", http.StatusNoContent, nil)
		p.push(t, token, scimUser("ann", `,"active":true`))
		disabled := p.welcoming(t, "disabled", "--no-enable-new-users")
		unenabled := p.push(t, disabled, scimUser("unenabled", `,"active":true`))
		p.must(t, "user", "enable", string(unenabled))
		p.must(t, "directory", "set", "clients", "--no-email-new-users")
		quiet := p.push(t, token, scimUser("quiet", `,"active":true`))
		p.must(t, "directory", "set", "clients", "--email-new-users")
		last := p.push(t, token, scimUser("last", `,"active":true`))
		await(t, "the last one is welcomed", func() bool { return db.mailState(last) == store.MailSent && db.mailState(byName) == store.MailSent })

		for _, id := range []store.ID{idle, nowhere, unenabled, quiet} {
			if got := db.mails(id); len(got) != 0 {
				t.Errorf("mails to who should have none: %+v", got)
			}
		}
		var to []string
		for _, m := range server.Mails() {
			to = append(to, m.To)
		}
		slices.Sort(to)
		if diff := cmp.Diff([]string{"ann@example.com", "byname@example.com", "last@example.com"}, to); diff != "" {
			t.Errorf("recipients (-want +got):\n%s", diff)
		}
		got := read(t, server.To("ann@example.com")[0])
		if got.subject != "Hello Ånn O'Neil" || got.text != "Dear Ånn O'Neil (ann of default): https://login.example.com/?a=b\n.\n" {
			t.Errorf("subject %q, text %q", got.subject, got.text)
		}
		id := string(db.mails(ann)[0].ID)
		for name, want := range map[string]string{
			"From": `"Provost" <provost@example.com>`, "To": "<ann@example.com>", "Message-Id": "<" + id + "@example.com>", "Auto-Submitted": "auto-generated",
		} {
			if got.header.Get(name) != want {
				t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
			}
		}
		if diff := cmp.Diff([]string{store.EventMailSent}, db.mailEvents(ann)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		for _, e := range db.events(0) {
			if strings.Contains(string(e.Data), "Dear") && strings.HasPrefix(e.Type, "mail.") {
				t.Errorf("the event holds the text: %s", e.Data)
			}
		}
	})
}

func TestPulledUsersAreWelcomedOnceAndTheSettingIsOffAtFirst(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 130, Groups: 5})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server, directory := testenv.SMTP(t, testenv.SMTPOptions{}), testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF})
		p, db := startProvost(t, mailFlags(t, server, "--database", dsn)...), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, directory, directory.TLSURL)...)...)
		p.mustPull(t)
		if counts := db.mailCounts(); len(counts) != 0 {
			t.Errorf("mails while the setting is off: %v", counts)
		}
		p.must(t, "directory", "delete", "corp", "--users", "delete", "--yes")

		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off", "--email-new-users"}, pullFrom(t, directory, directory.TLSURL)...)...)
		p.mustPull(t)
		await(t, "all are welcomed", func() bool { return db.mailCounts()[store.MailSent] == 130 })
		p.mustPull(t)
		for i := range 130 {
			if n := len(server.To(truth.User(i).Mail)); n != 1 {
				t.Errorf("%s got %d mails", truth.User(i).Mail, n)
			}
		}
		if n := len(server.Mails()); n != 130 {
			t.Errorf("%d mails in all", n)
		}
		answer, err := http.Get(p.url + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || !strings.Contains(string(text), `provost_mails{state="sent"} 130`) {
			t.Errorf("metrics: %v\n%s", err, text)
		}
	})
}

func TestHeldRunsAreToldOnceToEachOfThoseNamed(t *testing.T) {
	t.Parallel()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 60, Groups: 5})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server, directory := testenv.SMTP(t, testenv.SMTPOptions{Implicit: true}), testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF})
		p, db := startProvost(t, mailFlags(t, server, "--database", dsn)...), openPeer(t, dsn, "")
		p.must(t, "org", "set", "default", "--notify-email", "it@example.com", "--notify-email", "boss@example.com", "--notify-email", "IT@example.com")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off"}, pullFrom(t, directory, directory.TLSURL)...)...)
		p.mustPull(t)
		admin := directory.Admin(t)
		for i := range 40 {
			if err := admin.Del(ldap.NewDelRequest(truth.User(i).DN, nil)); err != nil {
				t.Fatal(err)
			}
		}
		held, code := p.pull(t)
		if code != exitHeld {
			t.Fatalf("exit code %d, state %s: %s", code, held.State, held.Error)
		}
		await(t, "both are told", func() bool { return db.mailCounts()[store.MailSent] == 2 })
		got := read(t, server.To("boss@example.com")[0])
		for _, want := range []string{
			"directory corp", "users deleted", "40 of 60  more than allowed", "provost sync status corp --run " + held.ID, "provost sync approve " + held.ID, "provost sync discard " + held.ID,
		} {
			if !strings.Contains(got.text, want) {
				t.Errorf("the mail does not say %q:\n%s", want, got.text)
			}
		}
		if got.subject != "Held: a run of the directory corp" {
			t.Errorf("subject %q", got.subject)
		}
		p.must(t, "sync", "approve", held.ID, "--wait")
		if diff := cmp.Diff([]string{store.EventMailSent, store.EventMailSent}, db.mailEvents(store.ID(held.ID))); diff != "" || len(server.Mails()) != 2 {
			t.Errorf("%d mails; events (-want +got):\n%s", len(server.Mails()), diff)
		}
	})
}

func TestWhatIsRefusedForNowIsTriedAgainAndWhatIsRefusedForGoodIsAFinding(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.SMTP(t, testenv.SMTPOptions{})
		p, db := startProvost(t, mailFlags(t, server, "--database", dsn)...), openPeer(t, dsn, "")
		token := p.welcoming(t, "clients")
		for i, step := range []string{testenv.StepConnect, testenv.StepMail, testenv.StepRcpt, testenv.StepData} {
			server.Refuse(step, 451, "not now, "+step, 2)
			name := fmt.Sprint("later", i)
			id := p.push(t, token, scimUser(name, `,"active":true`))
			await(t, name+" is welcomed", func() bool { return db.mailState(id) == store.MailSent })
			if n := len(server.To(name + "@example.com")); n != 1 {
				t.Errorf("%s: %d mails", step, n)
			}
			if got := db.mails(id)[0]; got.Attempts < 2 || got.LastError != "" {
				t.Errorf("%s: %+v", step, got)
			}
		}
		server.Refuse(testenv.StepRcpt, 550, "no such mailbox here", 1)
		id := p.push(t, token, scimUser("gone", `,"active":true`))
		await(t, "the mail failed", func() bool { return db.mailState(id) == store.MailFailed })
		if diff := cmp.Diff([]string{store.EventMailFailed}, db.mailEvents(id)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if got := db.findings(); !slices.Equal(got, []string{store.RuleMail + " gone"}) {
			t.Errorf("findings are %v", got)
		}
		if out := p.must(t, "finding", "list", "--json"); !strings.Contains(out, "550 ") || !strings.Contains(out, "no such mailbox here") {
			t.Errorf("the finding does not have the server's words: %s", out)
		}
		if n := len(server.To("gone@example.com")); n != 0 {
			t.Errorf("%d mails were taken", n)
		}
	})
}
