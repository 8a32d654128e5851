package admin_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// ownersOnly are the operations of which the specification says so.
var ownersOnly = map[string]bool{
	"listTokens": true, "createToken": true, "revokeToken": true, "createOrganization": true, "vouchDomain": true,
}

func TestEveryOperationIsForThoseWhoMayCallIt(t *testing.T) {
	w := newWorld(t)
	doc, err := openapi.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	operations := 0
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			operations++
			id := strings.ToLower(op.OperationID[:1]) + op.OperationID[1:]
			target := strings.NewReplacer("{organization}", "default", "{", "no-such-", "}", "").Replace(path)
			var body any
			if op.RequestBody != nil {
				body = "{}"
			}
			reads, owners := method == http.MethodGet, ownersOnly[id]
			tests := []struct {
				name, token string
				headers     []string
				want        int // 0: whatever lets it through
			}{
				{"nobody", "", nil, http.StatusUnauthorized},
				{"someone with a wrong token", "pvt_" + strings.Repeat("A", 43), nil, http.StatusUnauthorized},
				{"a directory", w.directory, nil, http.StatusForbidden},
				{"an auditor", w.auditor, nil, when(reads && !owners)},
				{"an admin", w.admin, nil, when(!owners)},
				{"an owner", w.owner, nil, 0},
				{"an owner of the instance", w.instance, nil, 0},
				{"an owner of another organization", w.stranger, []string{"Provost-Organization", "default"}, http.StatusForbidden},
			}
			for _, tt := range tests {
				t.Run(id+" by "+tt.name, func(t *testing.T) {
					a := w.call(tt.token, method, target, body, tt.headers...)
					stopped := a.status == http.StatusUnauthorized || a.status == http.StatusForbidden
					if (tt.want == 0 && stopped) || (tt.want != 0 && a.status != tt.want) {
						t.Errorf("%s %s answers %d %s; want %d", method, target, a.status, a.body, tt.want)
					}
					if challenge := a.header.Get("WWW-Authenticate"); (a.status == http.StatusUnauthorized) != (challenge != "") {
						t.Errorf("status %d with WWW-Authenticate %q", a.status, challenge)
					}
				})
			}
		}
	}
	if operations < 40 {
		t.Errorf("only %d operations were tried", operations)
	}
}

func when(allowed bool) int {
	if allowed {
		return 0
	}
	return http.StatusForbidden
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
	refs := map[string]string{
		"{entitlement}": role.ID, "{user}": string(done.Users[0].ID), "{group}": group.ID, "{domain}": domain.ID, "{directory}": directory.ID, "{token}": token.Token.ID, "{run}": run.ID, "{binding}": binding.ID,
		"{from}": pulled.ID,
	}
	bodies := map[string]string{
		"ImportEntries":   `{"users":["ann"]}`,
		"SearchDirectory": `{"user_name":"ann"}`,
		"UpdateUser":      `{"enabled":false}`, "UpdateGroup": `{"description":"x"}`, "ChangeMembers": `{"add":[]}`, "UpdateDirectory": `{}`,
		"CreateDirectoryToken": `{}`, "UpdateEntitlement": `{"description":"x"}`, "StartHandover": `{"from":"entra"}`,
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
	for _, list := range []string{"/users", "/groups", "/domains", "/directories", "/entitlements"} {
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
