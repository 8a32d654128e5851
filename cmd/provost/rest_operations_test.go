package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
)

// TestEveryOperationSucceedsAndKeepsToTheSpecification calls the whole of the REST
// interface of a running program with a live LDAP server and DNS. Whoever adds an
// operation calls it here.
func TestEveryOperationSucceedsAndKeepsToTheSpecification(t *testing.T) {
	t.Parallel()
	dns := testenv.DNS(t)
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: oddNames})
		p := startProvost(t, "--database", dsn, "--dns-resolver", dns.Addr, "--webhook-allow", "127.0.0.0/8")
		held := newConforming(t)
		c := &caller{t: t, base: p.url + "/api/v1", token: p.token, http: &http.Client{Transport: held}}
		c.organizations()
		c.domains(dns)
		c.pushed()
		c.webhooks()
		c.records()
		c.pulled(server)
		c.get("/events?limit=10", "/events/export", "/findings", "/billable")
		if untried := held.untried(); len(untried) > 0 {
			t.Errorf("no test calls %v with success", untried)
		}
	})
}

func (c *caller) organizations() {
	c.t.Helper()
	call[openapi.Organization](c, "POST", "/organizations", `{"name":"acme"}`, 201)
	c.get("/organizations", "/organizations/acme")
	call[openapi.Organization](c, "PATCH", "/organizations/acme", `{"settings":{"notify_emails":["it@example.com"]}}`, 200)
	token := call[openapi.NewToken](c, "POST", "/tokens", `{"name":"one","role":"auditor","expires_at":"2999-01-01T00:00:00Z"}`, 201)
	c.get("/tokens", "/tokens?instance=true")
	call[any](c, "DELETE", "/tokens/"+token.Token.ID, "", 204)
}

func (c *caller) domains(dns *testenv.DNSServer) {
	c.t.Helper()
	d := call[openapi.Domain](c, "POST", "/domains", `{"name":"rest.example.com"}`, 201)
	dns.SetTXT(d.RecordName, d.RecordValue)
	call[openapi.Domain](c, "POST", "/domains/rest.example.com/verify", "", 200)
	call[openapi.Domain](c, "POST", "/domains", `{"name":"other.example.com"}`, 201)
	call[openapi.Domain](c, "POST", "/domains/other.example.com/vouch", "", 200)
	c.get("/domains", "/domains/rest.example.com")
	call[any](c, "DELETE", "/domains/other.example.com", "", 204)
}

// pushed is a directory to which clients push.
func (c *caller) pushed() {
	c.t.Helper()
	call[openapi.Directory](c, "POST", "/directories", `{"name":"entra","kind":"scim","settings":{"domain_policy":"off"}}`, 201)
	call[openapi.Directory](c, "POST", "/directories", `{"name":"okta","kind":"scim"}`, 201)
	call[openapi.Directory](c, "PATCH", "/directories/okta", `{"settings":{"rate_limit":{"per_second":10}}}`, 200)
	c.get("/directories", "/directories/entra")
	token := call[openapi.NewToken](c, "POST", "/directories/entra/tokens", `{}`, 201)
	binding := call[openapi.OIDCBinding](c, "POST", "/directories/entra/oidc-bindings", `{"issuer":"https://issuer.example.com","audience":"a","subject":"s"}`, 201)
	call[openapi.Handover](c, "POST", "/directories/okta/handovers", `{"from":"entra"}`, 201)
	c.get("/directories/entra/tokens", "/directories/entra/oidc-bindings", "/directories/okta/handovers", "/directories/okta", "/directories/entra/findings")
	call[any](c, "DELETE", "/directories/okta/handovers/entra", "", 204)
	call[any](c, "DELETE", "/directories/entra/oidc-bindings/"+binding.ID, "", 204)
	call[any](c, "DELETE", "/directories/entra/tokens/"+token.Token.ID, "", 204)
	call[openapi.DomainUseList](c, "POST", "/directories/entra/domains", "", 201)
	call[any](c, "DELETE", "/directories/okta?users=keep", "", 204)
}

// webhooks is an endpoint that takes everything, to the repetition of a delivery.
func (c *caller) webhooks() {
	c.t.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	c.t.Cleanup(receiver.Close)
	call[openapi.NewWebhook](c, "POST", "/webhooks", `{"name":"app","url":`+quoted(receiver.URL)+`,"types":["user.*"],"after":0}`, 201)
	c.get("/webhooks", "/webhooks/app")
	call[openapi.NewWebhook](c, "POST", "/webhooks/app/rotate", `{"overlap_hours":1}`, 200)
	if got := call[openapi.DeliveryAttempt](c, "POST", "/webhooks/app/test", "", 200); got.Status != http.StatusNoContent {
		c.t.Errorf("the test of the webhook is %+v", got)
	}
	user := call[openapi.User](c, "POST", "/users", `{"user_name":"told@rest.example.com"}`, 201)
	var told openapi.Delivery
	until(c.t, "the delivery of an event", func() bool {
		list := call[openapi.DeliveryList](c, "GET", "/webhooks/app/deliveries?state=delivered", "", 200)
		if len(list.Items) > 0 {
			told = list.Items[0]
		}
		return told.ResourceID == user.ID
	})
	call[openapi.Delivery](c, "POST", "/webhooks/app/deliveries/"+told.ID+"/redeliver", "", 202)
	call[openapi.Webhook](c, "PATCH", "/webhooks/app", `{"enabled":false,"types":[]}`, 200)
	call[any](c, "DELETE", "/webhooks/app", "", 204)
}

// records are internal users and groups with grants.
func (c *caller) records() {
	c.t.Helper()
	user := call[openapi.User](c, "POST", "/users", `{"user_name":"lena@rest.example.com","name":{"given_name":"Lena"},
		"emails":[{"value":"lena@rest.example.com","type":"work","primary":true}],"addresses":[{"locality":"Bern"}],"enterprise":{"department":"IT"}}`, 201)
	call[openapi.User](c, "PATCH", "/users/"+user.ID, `{"title":"Dr"}`, 200)
	group := call[openapi.Group](c, "POST", "/groups", `{"display_name":"R&D","members":[`+quoted(user.ID)+`]}`, 201)
	inner := call[openapi.Group](c, "POST", "/groups", `{"display_name":"inner"}`, 201)
	call[openapi.Group](c, "PATCH", "/groups/"+group.ID, `{"description":"all of it"}`, 200)
	call[openapi.Group](c, "PATCH", "/groups/"+group.ID+"/members", `{"add":[`+quoted(inner.ID)+`]}`, 200)
	for _, e := range []string{`{"kind":"role","name":"Member"}`, `{"kind":"licence","name":"Seat","seats":2}`, `{"kind":"product","name":"Wiki"}`} {
		call[openapi.Entitlement](c, "POST", "/entitlements", e, 201)
	}
	call[openapi.Entitlement](c, "PATCH", "/entitlements/licence:Seat", `{"seats":3}`, 200)
	call[any](c, "PUT", "/users/"+user.ID+"/grants/licence:Seat", "", 204)
	call[any](c, "PUT", "/groups/"+group.ID+"/grants/product:Wiki", "", 204)
	c.get("/users?domain=rest.example.com", "/users/"+user.ID, "/groups", "/groups/"+group.ID, "/groups/"+group.ID+"/members", "/groups/"+group.ID+"/members?effective=true",
		"/entitlements", "/entitlements/licence:Seat", "/entitlements/licence:Seat/holders", "/users/"+user.ID+"/grants", "/groups/"+group.ID+"/grants", "/billable")
	call[any](c, "DELETE", "/users/"+user.ID+"/grants/licence:Seat", "", 204)
	call[any](c, "DELETE", "/groups/"+group.ID+"/grants/product:Wiki", "", 204)
	call[any](c, "DELETE", "/entitlements/licence:Seat", "", 204)
	call[any](c, "DELETE", "/users/"+user.ID, "", 204)
	c.get("/users?deleted=true")
	call[openapi.User](c, "POST", "/users/"+user.ID+"/restore", "", 200)
	call[any](c, "DELETE", "/groups/"+inner.ID, "", 204)
	call[openapi.Group](c, "POST", "/groups/"+inner.ID+"/restore", "", 200)
}

// pulled is a directory that is read, to the approval of a held run.
func (c *caller) pulled(server *testenv.LDAPServer) {
	c.t.Helper()
	ca, err := os.ReadFile(server.CAFile)
	if err != nil {
		c.t.Fatal(err)
	}
	none := map[string]any{"count": 0, "percent": 0}
	body, err := json.Marshal(map[string]any{
		"name": "corp", "kind": "ldap", "bind_password": server.Password,
		"settings": map[string]any{"domain_policy": "off", "guard": map[string]any{"users_deleted": none, "members_removed": none}, "ldap": map[string]any{
			"urls": []string{server.TLSURL}, "ca": string(ca), "bind_dn": server.BindDN, "base_dns": []string{server.Suffix}, "preset": "openldap",
			"scope_groups": []string{"staff"}, "schedule": map[string]any{"kind": "interval", "interval_minutes": 60}, "incremental": false,
		}},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	call[openapi.Directory](c, "POST", "/directories", string(body), 201)
	call[openapi.DirectoryCheck](c, "POST", "/directories/corp/check", "", 200)
	call[openapi.SearchResult](c, "POST", "/directories/corp/search", `{"user_name":"a*"}`, 200)
	plan := c.started("/directories/corp/plans", "", openapi.RunStatePlanned)
	items := call[openapi.RunItemList](c, "GET", "/runs/"+plan.ID+"/items", "", 200)
	if len(items.Items) != 3 {
		c.t.Errorf("the plan has %d items, want staff, ann and bob", len(items.Items))
	}
	c.get("/runs/" + plan.ID + "/members")
	c.started("/directories/corp/runs", `{"plan":`+quoted(plan.ID)+`}`, openapi.RunStateSucceeded)
	c.started("/directories/corp/import", `{"users":["cid"],"roles":["Member"],"enabled":false}`, openapi.RunStateSucceeded)
	joined := call[openapi.ScopeEntryList](c, "GET", "/directories/corp/scope-entries", "", 200)
	for _, e := range joined.Items {
		call[any](c, "DELETE", "/directories/corp/scope-entries/"+e.ExternalID, "", 204)
	}
	c.get("/directories/corp", "/directories/corp/runs", "/runs")

	if err := server.Admin(c.t).Del(&ldap.DelRequest{DN: "uid=bob,ou=people," + testenv.Suffix}); err != nil {
		c.t.Fatal(err)
	}
	run := c.started("/directories/corp/runs", "", openapi.RunStateHeld)
	c.get("/runs/"+run.ID+"/findings", "/findings?rule=guard")
	call[openapi.Run](c, "POST", "/runs/"+run.ID+"/discard", "", 200)
	run = c.started("/directories/corp/runs", `{"full":true}`, openapi.RunStateHeld)
	call[openapi.Run](c, "POST", "/runs/"+run.ID+"/approve", `{"stage_hash":`+quoted(run.StageHash)+`}`, 202)
	if run = c.ended(run.ID); run.State != openapi.RunStateSucceeded {
		c.t.Errorf("the approved run is %s: %s", run.State, run.Error)
	}
}
