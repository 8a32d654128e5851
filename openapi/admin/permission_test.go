package admin_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// TestEveryOperationIsForThoseWhoMayCallIt walks the specification: each operation by
// every kind of caller, and takes who may from its rule.
func TestEveryOperationIsForThoseWhoMayCallIt(t *testing.T) {
	w := newWorld(t)
	doc, err := openapi.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := []string{"Provost-Organization", "default"}
	const unauthorized, forbidden, not = http.StatusUnauthorized, http.StatusForbidden, http.StatusForbidden
	callers := []struct {
		name, token string
		headers     []string
		// by rule: auditor, admin, owner, instance; 0 lets the caller through
		want [4]int
	}{
		{"nobody", "", nil, [4]int{unauthorized, unauthorized, unauthorized, unauthorized}},
		{"an unknown token", "pvt_" + strings.Repeat("A", 43), nil, [4]int{unauthorized, unauthorized, unauthorized, unauthorized}},
		{"an owner's token that has expired", w.expired(), nil, [4]int{unauthorized, unauthorized, unauthorized, unauthorized}},
		{"an owner's token that is revoked", w.revoked(), nil, [4]int{unauthorized, unauthorized, unauthorized, unauthorized}},
		{"a directory", w.directory, nil, [4]int{forbidden, forbidden, forbidden, forbidden}},
		{"an auditor", w.auditor, nil, [4]int{0, not, not, not}},
		{"an admin", w.admin, nil, [4]int{0, 0, not, not}},
		{"an owner", w.owner, nil, [4]int{0, 0, 0, not}},
		{"an auditor of the instance", w.token(store.RoleAuditor, 0), nil, [4]int{0, not, not, not}},
		{"an admin of the instance", w.token(store.RoleAdmin, 0), nil, [4]int{0, 0, not, not}},
		{"an owner of the instance", w.instance, nil, [4]int{0, 0, 0, 0}},
		{"an auditor of another organization", w.token(store.RoleAuditor, w.other), elsewhere, [4]int{forbidden, forbidden, forbidden, forbidden}},
		{"an admin of another organization", w.token(store.RoleAdmin, w.other), elsewhere, [4]int{forbidden, forbidden, forbidden, forbidden}},
		{"an owner of another organization", w.stranger, elsewhere, [4]int{forbidden, forbidden, forbidden, forbidden}},
	}
	rules := map[string]int{"auditor": 0, "admin": 1, "owner": 2, "instance": 3}
	tried := map[string]int{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			rule, _ := op.Extensions["x-provost-role"].(string)
			at, known := rules[rule]
			if !known {
				t.Errorf("%s has the rule %q, which is none", op.OperationID, rule)
				continue
			}
			if method != http.MethodGet && rule == "auditor" {
				t.Errorf("%s is a %s, and an auditor only reads", op.OperationID, method)
			}
			tried[rule]++
			target := strings.NewReplacer("{organization}", "default", "{", "no-such-", "}", "").Replace(path)
			var body any
			if op.RequestBody != nil {
				body = "{}"
			}
			for _, c := range callers {
				t.Run(op.OperationID+" by "+c.name, func(t *testing.T) {
					a, want := w.call(c.token, method, target, body, c.headers...), c.want[at]
					stopped := a.status == http.StatusUnauthorized || a.status == http.StatusForbidden
					if (want == 0 && stopped) || (want != 0 && a.status != want) {
						t.Errorf("%s %s answers %d %s; want %d", method, target, a.status, a.body, want)
					}
					if challenge := a.header.Get("WWW-Authenticate"); (a.status == http.StatusUnauthorized) != (challenge != "") {
						t.Errorf("status %d with WWW-Authenticate %q", a.status, challenge)
					}
				})
			}
		}
	}
	for rule := range rules {
		if tried[rule] == 0 {
			t.Errorf("no operation with the rule %s was tried", rule)
		}
	}
}

// token is the secret of a new token of an administrator; org 0 is the instance.
func (w *world) token(role store.TokenRole, org store.Key) (secret string) {
	w.t.Helper()
	secret, _ = w.issue(store.Token{Name: string(role), Role: role, Org: org}, time.Now())
	return secret
}

func (w *world) issue(token store.Token, now time.Time) (secret string, t *store.Token) {
	w.t.Helper()
	w.update(func(tx store.Tx) (err error) {
		fresh := token
		t = &fresh
		secret, err = auth.Issue(w.t.Context(), tx, t, store.Cause{Actor: store.Actor{Kind: "system"}}, now.UTC().Truncate(time.Microsecond))
		return err
	})
	return secret, t
}

func (w *world) expired() string {
	w.t.Helper()
	long := time.Now().Add(-time.Hour)
	secret, _ := w.issue(store.Token{Name: "expired", Role: store.RoleOwner, Org: w.org, ExpiresAt: long.Add(time.Minute).UTC()}, long)
	return secret
}

func (w *world) revoked() string {
	w.t.Helper()
	secret, token := w.issue(store.Token{Name: "revoked", Role: store.RoleOwner, Org: w.org}, time.Now())
	w.update(func(tx store.Tx) error { return auth.Revoke(w.t.Context(), tx, token, store.Cause{}, time.Now().UTC()) })
	return secret
}

func TestNothingCrossesOrganizations(t *testing.T) {
	w := newWorld(t)
	done := w.push("entra", []store.UserStatement{person("ada")}, nil)
	token := ask[openapi.NewToken](w, w.owner, "POST", "/directories/entra/tokens", map[string]string{"name": "t"}, 201)
	domain := ask[openapi.Domain](w, w.owner, "POST", "/domains", map[string]string{"name": "example.com"}, 201)
	group := ask[openapi.Group](w, w.owner, "POST", "/groups", map[string]string{"display_name": "staff"}, 201)
	directory := ask[openapi.Directory](w, w.owner, "GET", "/directories/entra", nil, 200)
	pulled := ask[openapi.Directory](w, w.owner, "POST", "/directories", corp(), 201)
	run := ask[openapi.Run](w, w.owner, "POST", "/directories/"+pulled.ID+"/plans", nil, 202)
	role := ask[openapi.Entitlement](w, w.owner, "POST", "/entitlements", `{"kind":"role","name":"Member"}`, 201)
	binding := ask[openapi.OIDCBinding](w, w.owner, "POST", "/directories/entra/oidc-bindings", entra("app"), 201)
	hook := ask[openapi.NewWebhook](w, w.owner, "POST", "/webhooks", map[string]string{"name": "app", "url": "https://app.test/"}, 201)
	refs := map[string]string{
		"{webhook}": hook.Webhook.ID, "{delivery}": hook.Webhook.ID,
		"{entitlement}": role.ID, "{user}": string(done.Users[0].ID), "{group}": group.ID, "{domain}": domain.ID, "{directory}": directory.ID, "{token}": token.Token.ID, "{run}": run.ID, "{binding}": binding.ID,
		"{from}": pulled.ID,
	}
	bodies := map[string]string{
		"ImportEntries":   `{"users":["ann"]}`,
		"SearchDirectory": `{"user_name":"ann"}`,
		"UpdateUser":      `{"enabled":false}`, "UpdateGroup": `{"description":"x"}`, "ChangeMembers": `{"add":[]}`, "UpdateDirectory": `{}`,
		"CreateDirectoryToken": `{}`, "UpdateEntitlement": `{"description":"x"}`, "StartHandover": `{"from":"entra"}`,
		"UpdateWebhook": `{"enabled":false}`, "RotateWebhookSecret": `{}`,
		"CreateOIDCBinding": `{"issuer":"https://example.com","audience":"a","subject":"s"}`,
	}
	doc, err := openapi.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	before := ask[openapi.EventList](w, w.owner, "GET", "/events?limit=1000", nil, 200).NextCursor
	for path, item := range doc.Paths.Map() {
		if !strings.Contains(path, "{") || strings.HasPrefix(path, "/organizations") {
			continue
		}
		for method, op := range item.Operations() {
			target := path
			for k, v := range refs {
				target = strings.ReplaceAll(target, k, v)
			}
			if op.OperationID == "DeleteDirectory" {
				target += "?users=delete"
			}
			var body any
			if b := bodies[op.OperationID]; b != "" {
				body = b
			}
			t.Run(op.OperationID, func(t *testing.T) {
				if a := w.call(w.stranger, method, target, body); a.status != http.StatusNotFound {
					t.Errorf("%s %s by an owner of another organization answers %d %s", method, target, a.status, a.body)
				}
			})
		}
	}
	for _, list := range []string{"/users", "/groups", "/domains", "/directories", "/entitlements", "/webhooks"} {
		t.Run("lists of "+list, func(t *testing.T) {
			var got struct{ Items []json.RawMessage }
			w.call(w.stranger, "GET", list, nil).into(t, &got)
			if len(got.Items) != 0 {
				t.Errorf("%s shows %s", list, got.Items)
			}
		})
	}
	if after := ask[openapi.EventList](w, w.owner, "GET", "/events?limit=1000", nil, 200).NextCursor; after != before {
		t.Errorf("the other organization's calls wrote events: cursor %d, before %d", after, before)
	}
}

func TestATokenOfTheInstanceChoosesTheOrganization(t *testing.T) {
	w := newWorld(t)
	w.call(w.instance, "POST", "/groups", map[string]string{"display_name": "here"}, "Provost-Organization", "other")
	count := func(token, query string, headers ...string) int {
		var list openapi.GroupList
		w.call(token, "GET", "/groups"+query, nil, headers...).into(t, &list)
		return len(list.Items)
	}
	if n := count(w.instance, ""); n != 0 {
		t.Errorf("the default organization has %d groups", n)
	}
	if n := count(w.instance, "?organization=OTHER"); n != 1 {
		t.Errorf("by query: %d groups", n)
	}
	if n := count(w.instance, "", "Provost-Organization", "other"); n != 1 {
		t.Errorf("by header: %d groups", n)
	}
	if n := count(w.stranger, ""); n != 1 {
		t.Errorf("by the organization's own token: %d groups", n)
	}
	w.refused(w.instance, "GET", "/groups?organization=nowhere", nil, 404, store.CodeNotFound, "")
	w.refused(w.stranger, "GET", "/groups?organization=nowhere", nil, 403, store.CodeForbidden, "")
	if n := len(ask[openapi.OrganizationList](w, w.stranger, "GET", "/organizations", nil, 200).Items); n != 1 {
		t.Errorf("a token of one organization sees %d", n)
	}
	if n := len(ask[openapi.OrganizationList](w, w.instance, "GET", "/organizations", nil, 200).Items); n != 2 {
		t.Errorf("a token of the instance sees %d organizations", n)
	}
}
