package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
)

// auditWorld is a program to which changes come by every way.
type auditWorld struct {
	*provostServer
	t     *testing.T
	flags []string
	told  map[string]bool // the types of events that were held against what they should say
}

// telling is what the log should say of a change. In actor and run "*" is anything but
// nothing; before, after and about are parts of the texts in data, and nothing is that
// data lacks the field.
type telling struct {
	kind, id, name string // of the actor
	reason         string
	address        string
	request        bool
	run            string
	resource       string // its type
	before, after  string
	about          string
}

// of is the telling of one change of a resource.
func (want telling) of(resource, before, after, about string) telling {
	want.resource, want.before, want.after, want.about = resource, before, after, about
	return want
}

// last is the newest event of a type, as it is exported.
func (w *auditWorld) last(typ string) openapi.Event {
	w.t.Helper()
	lines := strings.Split(w.must(w.t, "event", "export", "--type", typ), "\n")
	if lines[0] == "" {
		w.t.Fatalf("there is no event %s", typ)
	}
	return decode[openapi.Event](w.t, lines[len(lines)-1])
}

// has says whether there is an event of a type.
func (w *auditWorld) has(typ string) func() bool {
	return func() bool { return w.must(w.t, "event", "list", "--type", typ, "--quiet") != "" }
}

// says holds the last event of a type against what it should say.
func (w *auditWorld) says(way, typ string, want telling) {
	w.t.Helper()
	w.told[typ] = true
	e := w.last(typ)
	var data map[string]json.RawMessage
	if err := json.Unmarshal(e.Data, &data); err != nil {
		w.t.Fatal(err)
	}
	same := func(have, want string) bool { return have == want || want == "*" && have != "" }
	holds := func(field, want string) bool {
		have, is := data[field]
		return is == (want != "") && strings.Contains(string(have), want)
	}
	c := e.Cause
	if !same(c.Actor.ID, want.id) || !same(c.Actor.Name, want.name) || !same(c.Run, want.run) ||
		c.Actor.Kind != want.kind || c.Reason != want.reason || c.Address != want.address || (c.Request != "") != want.request ||
		e.ResourceType != want.resource || !strings.Contains(string(e.Data), want.about) ||
		!holds("before", want.before) || !holds("after", want.after) || want.before != "" && string(data["before"]) == string(data["after"]) {
		text, err := json.Marshal(e)
		w.t.Errorf("%s: %s says\n%s %v\nwant %+v", way, typ, text, err, want)
	}
}

func (w *auditWorld) restart(more ...string) {
	w.t.Helper()
	if err := w.stop(); err != nil {
		w.t.Fatal(err)
	}
	token := w.token
	w.provostServer = startProvost(w.t, append(w.flags, more...)...)
	w.token = token
}

func TestTheLogSaysOfEveryChangeByEveryWayWhoMadeItFromWhereAndWhatWasBefore(t *testing.T) {
	t.Parallel()
	corp := testenv.Slapd(t, testenv.SlapdOptions{Write: writePeople})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		people, dns := testenv.OIDC(t, ""), testenv.DNS(t)
		entra, claims := entraIssuer(t)
		mails := testenv.SMTP(t, testenv.SMTPOptions{})
		w := &auditWorld{t: t, told: map[string]bool{}, flags: append(mailFlags(t, mails), "--database", dsn, "--secret-key-file", filepath.Join(t.TempDir(), "secret.key"),
			"--dns-resolver", dns.Addr, "--webhook-allow", "127.0.0.0/8", "--oidc-issuer", people.URL, "--oidc-audience", "console",
			"--oidc-role-claim", "groups", "--oidc-role", "admins=admin")}
		w.provostServer = startProvost(t, w.flags...)
		const here = "127.0.0.1"
		token := telling{kind: "token", id: "*", name: "admin", reason: "REST", address: here, request: true}
		// The command line straight on the database made the token that all others use.
		w.says("command line", "token.created", telling{kind: "system", id: "*", name: "command line", reason: "provost admin token create",
			address: w.last("token.created").Cause.Address, resource: "Token", after: `"role":"owner"`})
		if w.last("token.created").Cause.Address == "" {
			t.Error("command line: the host is not named")
		}

		// REST with an administrator's token, through the command.
		w.must(t, "directory", "create", "clients", "--kind", "scim", "--domain-policy", "off", "--email-new-users")
		w.says("REST", "directory.created", token.of("Directory", "", `"name":"clients"`, ""))
		w.must(t, "directory", "set", "clients", "--rate-limit", "1000")
		w.says("REST", "directory.updated", token.of("Directory", "settings", `"per_second":1000`, ""))
		secret := w.must(t, "token", "create", "--directory", "clients", "--name", "client")
		w.says("REST", "token.created", token.of("Token", "", `"role":"directory"`, ""))
		w.must(t, "org", "set", "default", "--sign-in-url", "https://login.example.com")
		w.says("REST", "organization.updated", token.of("Organization", "settings", "login.example.com", ""))
		w.must(t, "domain", "add", "corp.test")
		w.says("REST", "domain.added", token.of("Domain", "", `"state":"pending"`, ""))
		w.must(t, "domain", "vouch", "corp.test")
		w.says("REST", "domain.verified", token.of("Domain", `"state":"pending"`, `"vouched":true`, ""))
		w.must(t, "role", "create", "Member")
		w.says("REST", "entitlement.created", token.of("Entitlement", "", "Member", ""))
		w.must(t, "user", "create", "ada@example.com", "--quiet")
		w.says("REST", "user.created", token.of("User", "", "ada@example.com", ""))
		w.must(t, "role", "grant", "Member", "--user", "ada@example.com")
		w.says("REST", "grant.added", token.of("User", "", "", "Member"))
		w.must(t, "role", "revoke", "Member", "--user", "ada@example.com")
		w.says("REST", "grant.removed", token.of("User", "", "", "Member"))
		w.must(t, "user", "disable", "ada@example.com")
		w.says("REST", "user.updated", token.of("User", `"enabled":true`, `"enabled":false`, ""))
		w.must(t, "directory", "oidc", "add", "clients", "--issuer", entra.URL, "--audience", entraAudience, "--app-id", entraApp, "--label", "Entra")
		w.says("REST", "oidc_binding.created", token.of("OIDCBinding", "", entraApp, ""))
		var answer atomic.Int64
		answer.Store(http.StatusNoContent)
		hook := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(int(answer.Load())) }))
		defer hook.Close()
		w.must(t, "webhook", "create", "app", "--url", hook.URL, "--type", "token.*")
		w.says("REST", "webhook.created", token.of("Webhook", "", hook.URL, ""))
		reader := w.must(t, "token", "create", "--role", "auditor", "--name", "reader")
		var delivery string
		await(t, "the webhook has it", func() bool {
			delivery = w.must(t, "webhook", "deliveries", "app", "--state", "delivered", "--quiet")
			return delivery != ""
		})
		w.must(t, "webhook", "redeliver", "app", delivery)
		w.says("REST", "webhook.redelivered", token.of("Webhook", "", "", `"delivery":"`+delivery+`"`))
		w.must(t, "token", "revoke", w.last("token.created").ResourceID, "--yes")
		w.says("REST", "token.revoked", token.of("Token", `"name":"reader"`, "", ""))
		if a, _ := fetch(t, http.MethodGet, w.url+"/api/v1/users", reader, ""); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("a revoked token is answered %d", a.StatusCode)
		}
		w.must(t, "domain", "add", "other.test")
		w.must(t, "domain", "delete", "other.test", "--yes")
		w.says("REST", "domain.deleted", token.of("Domain", "other.test", "", ""))
		w.must(t, "role", "delete", "Member", "--yes")
		w.says("REST", "entitlement.deleted", token.of("Entitlement", "Member", "", ""))

		// A person with a token of the issuer.
		ann := people.Token(map[string]any{"aud": "console", "sub": "ann-1", "preferred_username": "ann", "groups": []string{"admins"}})
		a, body := fetch(t, http.MethodPost, w.url+"/api/v1/groups", ann, `{"display_name":"staff"}`)
		if a.StatusCode != http.StatusCreated {
			t.Fatalf("%d %s", a.StatusCode, body)
		}
		if is, answered := w.last("group.created").Cause.Request, a.Header.Get("X-Request-ID"); is != answered || is == "" {
			t.Errorf("the log names the request %q, and the answer %q", is, answered)
		}
		person := telling{kind: "person", id: "ann-1", name: "ann", reason: "REST", address: here, request: true}
		w.says("a person", "group.created", person.of("Group", "", "staff", ""))
		w.must(t, "group", "add", "staff", "--user", "ada@example.com")
		ada := w.must(t, "user", "list", "--user-name", "ada@example.com", "--quiet")
		w.says("REST", "group.members_changed", token.of("Group", "", "", `"added":["`+ada+`"]`))
		w.must(t, "group", "remove", "staff", "--user", "ada@example.com")
		w.says("REST", "group.members_changed", token.of("Group", "", "", `"removed":["`+ada+`"]`))

		// SCIM with a directory's token.
		client := telling{kind: "token", id: "*", name: "client", address: here, request: true}
		bob := w.push(t, secret, scimUser("bob", `,"active":true`))
		client.reason = "SCIM POST"
		w.says("SCIM", "user.created", client.of("User", "", "bob@example.com", ""))
		patch := `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"title","value":"Clerk"}]}`
		w.scim(t, secret, "PATCH", "/Users/"+string(bob), patch, http.StatusOK, nil)
		client.reason = "SCIM PATCH"
		w.says("SCIM", "user.updated", client.of("User", "{", "Clerk", ""))
		w.scim(t, secret, "PUT", "/Users/"+string(bob), scimUser("bob", `,"active":true,"title":"Chief"`), http.StatusOK, nil)
		client.reason = "SCIM PUT"
		w.says("SCIM", "user.updated", client.of("User", "Clerk", "Chief", ""))
		var group struct{ ID string }
		w.scim(t, secret, "POST", "/Groups", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"crew","members":[{"value":%q}]}`, bob), http.StatusCreated, &group)
		client.reason = "SCIM POST"
		w.says("SCIM", "group.members_changed", client.of("Group", "", "", string(bob)))
		w.says("SCIM", "group.effective_changed", client.of("Group", "", "", string(bob)))
		w.scim(t, secret, "DELETE", "/Groups/"+group.ID, "", http.StatusNoContent, nil)
		client.reason = "SCIM DELETE"
		w.says("SCIM", "group.deleted", client.of("Group", "crew", "", ""))
		w.scim(t, secret, "DELETE", "/Users/"+string(bob), "", http.StatusNoContent, nil)
		w.says("SCIM", "user.deleted", client.of("User", "bob", "", ""))
		w.scim(t, secret, "POST", "/Bulk", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[
			{"method":"POST","path":"/Users","bulkId":"z","data":`+scimUser("zoe", `,"active":true`)+`},
			{"method":"POST","path":"/Groups","bulkId":"g","data":{"displayName":"band","members":[{"value":"bulkId:z"}]}}]}`, http.StatusOK, nil)
		client.reason = "SCIM Bulk"
		w.says("a Bulk", "user.created", client.of("User", "", "zoe@example.com", ""))
		w.says("a Bulk", "group.created", client.of("Group", "", "band", ""))
		w.says("a Bulk", "group.members_changed", client.of("Group", "", "", w.last("user.created").ResourceID))

		// SCIM with a token of a bound issuer.
		w.push(t, entra.Token(claims()), scimUser("kim", `,"active":true`))
		w.says("SCIM by OIDC", "user.created", telling{kind: "oidc", id: "*", name: "Entra", reason: "SCIM POST", address: here, request: true}.of("User", "", "kim", ""))

		// The mail worker.
		await(t, "the welcome is sent", func() bool { return len(mails.To("kim@example.com")) == 1 })
		await(t, "it is written down", w.has("mail.sent"))
		w.says("mail", "mail.sent", telling{kind: "system", reason: "mail", resource: "User", about: "@example.com"})

		// A pull that a person starts, and one of the schedule.
		w.must(t, append([]string{"directory", "create", "corp"}, pullFrom(t, corp, corp.TLSURL, "--schedule", "interval=1h", "--domain-policy", "off")...)...)
		ran := w.mustPull(t)
		pull := token
		pull.reason, pull.run = "sync run", ran.ID
		w.says("a pull by a person", "run.started", pull.of("Run", "", "", `"state":"running"`))
		w.says("a pull by a person", "user.created", pull.of("User", "", "@corp.test", ""))
		w.says("a pull by a person", "run.succeeded", pull.of("Run", "", "", "corp"))

		// An import from the same directory.
		ivy := "ivy-" + strings.ToLower(filepath.Base(t.Name())) // the engines share the LDAP server
		hire(t, corp, "uid="+ivy+",ou=people,"+corp.Suffix)
		imported := token
		imported.reason = "import"
		imported.run = decode[pulledRun](t, w.must(t, "import", "corp", "--user", ivy, "--wait", "--json")).ID
		w.says("an import", "run.started", imported.of("Run", "", "", `"state":"running"`))
		w.says("an import", "user.created", imported.of("User", "", ivy+"@corp.test", ""))
		w.says("an import", "run.succeeded", imported.of("Run", "", "", "corp"))

		// A handover: who starts it, the push that a record moves with, and who ends it.
		w.must(t, "directory", "handover", "corp", "clients")
		w.says("REST", "directory.handover_started", token.of("Directory", "", `"from":"corp"`, ""))
		w.scim(t, secret, "POST", "/Users", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":%q,"title":"Heir"}`, ivy), http.StatusCreated, nil)
		client.reason = "SCIM POST"
		w.says("a handover", "user.handed_over", client.of("User", "{", "Heir", `"from":"corp"`))
		w.must(t, "directory", "handover", "corp", "clients", "--end")
		w.says("REST", "directory.handover_ended", token.of("Directory", `"from":"corp"`, "", ""))
		w.must(t, "user", "delete", "ada@example.com", "--yes")
		w.says("REST", "user.deleted", token.of("User", "ada@example.com", "", ""))
		late := "late-" + strings.ToLower(filepath.Base(t.Name())) // the engines share the LDAP server
		hire(t, corp, "uid="+late+",ou=people,"+corp.Suffix)
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		ago := "started_at = started_at - interval '2 hours', created_at = created_at - interval '2 hours'"
		old := "timestamptz '2020-01-01'"
		if strings.HasPrefix(dsn, "sqlite") {
			old = "1577836800000000"
			ago = "started_at = started_at - 7200000000, created_at = created_at - 7200000000"
		}
		db := openSQL(t, dsn)
		execute(t, db, "UPDATE run SET "+ago)

		// What workers do by themselves, after a start: the purge, the schedule, the daily check.
		execute(t, db, "UPDATE domain SET vouched = false, failures = 2, checked_at = "+old)
		w.restart("--retention", "1ms")
		await(t, "the schedule has run", func() bool { return w.last("run.succeeded").Cause.Actor.Kind == "schedule" })
		schedule := telling{kind: "schedule", reason: "schedule", run: w.last("run.succeeded").ResourceID}
		w.says("a pull by the schedule", "run.succeeded", schedule.of("Run", "", "", "corp"))
		w.says("a pull by the schedule", "user.created", schedule.of("User", "", late+"@corp.test", ""))
		w.says("a pull by the schedule", "run.started", imported.of("Run", "", "", "corp")) // still the last that a person started
		await(t, "the domain has failed", w.has("domain.failed"))
		w.says("the daily check", "domain.failed", telling{kind: "system", reason: "daily check of verified domains", resource: "Domain", before: `"state":"verified"`, after: `"state":"failed"`, about: "corp.test"})
		await(t, "what was deleted is purged", w.has("group.purged"))
		w.says("the purge", "user.purged", telling{kind: "system", reason: "retention", resource: "User"})
		w.says("the purge", "group.purged", telling{kind: "system", reason: "retention", resource: "Group"})
		answer.Store(http.StatusGone)
		w.must(t, "token", "create", "--role", "auditor", "--name", "reports")
		await(t, "the webhook is disabled", w.has("webhook.disabled"))
		w.says("a webhook", "webhook.disabled", telling{kind: "system", reason: "webhook", resource: "Webhook", before: `"enabled":true`, after: `"enabled":false`, about: "410"})

		// Nothing by any way lacks who and why, and all of it is as docs/events.md says.
		described := describedEvents(t)
		var exported []openapi.Event
		for line := range strings.Lines(w.must(t, "event", "export")) {
			e := decode[openapi.Event](t, line)
			exported = append(exported, e)
			if !w.told[e.Type] {
				t.Errorf("nothing was expected of the type %s: %s", e.Type, line)
			}
			if a := e.Cause.Actor; a.Kind == "" || e.Cause.Reason == "" || (a.Kind == "token" || a.Kind == "oidc" || a.Kind == "person") && (a.ID == "" || a.Name == "" || e.Cause.Request == "" || e.Cause.Address == "") {
				t.Errorf("the log does not say who or why: %s", line)
			}
			described.check(t, &e)
		}
		a, body = fetch(t, http.MethodGet, w.url+"/api/v1/events?after=0&limit=1000", w.token, "")
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", a.StatusCode, body)
		}
		if diff := cmp.Diff(decode[openapi.EventList](t, body).Items, exported); diff != "" {
			t.Errorf("the export is not the log (-log +export):\n%s", diff)
		}
	})
}

// hire adds a person to the LDAP server.
func hire(t *testing.T, server *testenv.LDAPServer, name string) {
	t.Helper()
	uid, _, _ := strings.Cut(strings.TrimPrefix(name, "uid="), ",")
	add := ldap.NewAddRequest(name, nil)
	for attribute, value := range map[string]string{"objectClass": "inetOrgPerson", "uid": uid, "cn": uid, "sn": uid, "mail": uid + "@corp.test"} {
		add.Attribute(attribute, []string{value})
	}
	if err := server.Admin(t).Add(add); err != nil {
		t.Fatal(err)
	}
}
