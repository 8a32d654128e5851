package admin_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

const adaInput = `{
	"user_name": "ada@example.com", "external_id": "7", "display_name": "Ada", "enabled": true,
	"name": {"given_name": "Ada", "family_name": "Lovelace"},
	"emails": [{"value": "ada@example.com", "type": "work", "primary": true}, {"value": "ada@home.example", "type": "home"}],
	"phone_numbers": [{"value": "+44 20", "type": "work"}],
	"addresses": [{"locality": "London", "type": "work", "primary": true}],
	"title": "Countess", "locale": "en-GB", "timezone": "Europe/London", "user_type": "Employee",
	"enterprise": {"department": "Engines", "employee_number": "1", "manager": {"display_name": "Charles"}}}`

func TestAnInternalUserLivesByREST(t *testing.T) {
	w := newWorld(t)
	made := ask[openapi.User](w, w.admin, "POST", "/users", adaInput, 201)
	got := ask[openapi.User](w, w.auditor, "GET", "/users/ADA@example.com", nil, 200)
	got.Groups = nil
	if diff := cmp.Diff(made, got); diff != "" {
		t.Errorf("created and read differ:\n%s", diff)
	}
	if got.Email != "ada@example.com" || !got.Active || !got.Internal || got.Enterprise.Department != "Engines" || got.Name.FamilyName != "Lovelace" {
		t.Errorf("it is %+v", got)
	}
	changed := ask[openapi.User](w, w.admin, "PATCH", "/users/"+made.ID, `{"title":"","enabled":false,"emails":[{"value":"ada@example.com"}]}`, 200)
	want := got
	want.Title, want.Enabled, want.Active = "", false, false
	want.Emails = &openapi.Values{{Value: "ada@example.com"}}
	want.Version, want.ModifiedAt = changed.Version, changed.ModifiedAt
	if diff := cmp.Diff(want, changed); diff != "" || changed.Version != got.Version+1 {
		t.Errorf("after the change, version %d (-want +got):\n%s", changed.Version, diff)
	}
	if e := w.lastEvent("user.updated"); e.ResourceID != made.ID || e.Cause.Actor.Name != "admin" || e.Cause.Reason != "REST" {
		t.Errorf("the event is %+v", e)
	}
	w.refused(w.admin, "POST", "/users", `{"user_name":"ADA@EXAMPLE.COM"}`, 409, store.CodeUniqueness, "user_name")
	if a := w.call(w.admin, "DELETE", "/users/"+made.ID, nil); a.status != 204 {
		t.Errorf("deleting answers %d %s", a.status, a.body)
	}
	w.refused(w.admin, "GET", "/users/"+made.ID, nil, 404, store.CodeNotFound, "")
	w.refused(w.admin, "DELETE", "/users/"+made.ID, nil, 404, store.CodeNotFound, "")
}

func TestRule1WhatADirectoryOwnsIsReadOnlyButForTheSwitch(t *testing.T) {
	w := newWorld(t)
	id := string(w.push("entra", []store.UserStatement{person("ada")}, nil).Users[0].ID)
	name := "staff"
	group := string(w.push("entra", nil, []store.GroupStatement{{DisplayName: &name}}).Groups[0].ID)
	for _, tt := range []struct{ method, path, body, field string }{
		{"PATCH", "/users/" + id, `{"title":"x"}`, "title"},
		{"PATCH", "/users/" + id, `{"title":"x","enabled":false}`, "title"},
		{"PATCH", "/users/" + id, `{"user_type":"x","enabled":false,"emails":[]}`, "emails"},
		{"DELETE", "/users/" + id, "", "user"},
		{"PATCH", "/groups/" + group, `{"description":"x"}`, "description"},
		{"PATCH", "/groups/" + group + "/members", `{"add":["` + id + `"]}`, "add"},
		{"DELETE", "/groups/" + group, "", "group"},
	} {
		t.Run(tt.method+" "+tt.body, func(t *testing.T) {
			var body any
			if tt.body != "" {
				body = tt.body
			}
			if p := w.in(t).refused(w.owner, tt.method, tt.path, body, 409, store.CodeOwned, tt.field); p.Resource == "" || p.Hint == "" {
				t.Errorf("the problem does not say what and what to do: %+v", p)
			}
		})
	}
	off := ask[openapi.User](w, w.admin, "PATCH", "/users/"+id, `{"enabled":false}`, 200)
	if off.Enabled || off.Active || off.Directory != "entra" || off.Internal {
		t.Errorf("switched off it is %+v", off)
	}
	again := person("ada")
	again.Record.ID = store.ID(id)
	w.push("entra", []store.UserStatement{again}, nil)
	if u := ask[openapi.User](w, w.admin, "GET", "/users/"+id, nil, 200); u.Enabled || u.Active {
		t.Errorf("the directory's next statement switched it on: %+v", u)
	}
	if on := ask[openapi.User](w, w.admin, "PATCH", "/users/"+id, `{"enabled":true}`, 200); !on.Active {
		t.Errorf("switched on it is %+v", on)
	}
}

func TestUsersAreFoundByFilters(t *testing.T) {
	w := newWorld(t)
	inactive := person("grace")
	inactive.Active = new(bool)
	w.push("entra", []store.UserStatement{person("ada"), inactive}, nil)
	ask[openapi.User](w, w.admin, "POST", "/users", `{"user_name":"local","emails":[{"value":"local@example.com"}]}`, 201)
	for query, want := range map[string][]string{
		"":                                      {"ada", "grace", "local"},
		"user_name=ADA":                         {"ada"},
		"email=Local@Example.com":               {"local"},
		"external_id=ext-grace":                 {"grace"},
		"active=true":                           {"ada", "local"},
		"active=false":                          {"grace"},
		"directory=entra":                       {"ada", "grace"},
		"directory=internal":                    {"local"},
		"directory=entra&active=true":           {"ada"},
		"user_name=nobody":                      {},
		"user_name=ada&email=local@example.com": {},
	} {
		t.Run(query, func(t *testing.T) {
			got := []string{}
			for _, u := range ask[openapi.UserList](w, w.auditor, "GET", "/users?"+query, nil, 200).Items {
				got = append(got, u.UserName)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPagesMeetEveryUserOnce(t *testing.T) {
	w := newWorld(t)
	var users []store.UserStatement
	for i := range 7 {
		users = append(users, person(fmt.Sprintf("u%d", i)))
	}
	w.push("entra", users, nil)
	var got []string
	pages, cursor := 0, ""
	for {
		list := ask[openapi.UserList](w, w.auditor, "GET", "/users?limit=3&cursor="+url.QueryEscape(cursor), nil, 200)
		for _, u := range list.Items {
			got = append(got, u.UserName)
		}
		pages++
		if cursor = list.NextCursor; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"u0", "u1", "u2", "u3", "u4", "u5", "u6"}, got); diff != "" || pages != 3 {
		t.Errorf("%d pages (-want +got):\n%s", pages, diff)
	}
}

func TestAnInternalGroupHasDirectAndEffectiveMembers(t *testing.T) {
	w := newWorld(t)
	user := func(name string) string {
		return ask[openapi.User](w, w.admin, "POST", "/users", map[string]string{"user_name": name, "display_name": name}, 201).ID
	}
	ada, grace, alan := user("ada"), user("grace"), user("alan")
	team := ask[openapi.Group](w, w.admin, "POST", "/groups", map[string]any{"display_name": "team", "members": []string{ada, grace, ada}}, 201)
	all := ask[openapi.Group](w, w.admin, "POST", "/groups", map[string]any{"display_name": "all", "description": "everyone", "members": []string{team.ID, alan}}, 201)
	if team.EffectiveCount != 2 || all.EffectiveCount != 3 || all.OverCap {
		t.Errorf("the counts are %d and %d", team.EffectiveCount, all.EffectiveCount)
	}
	members := func(query string) (names []string) {
		for cursor := ""; ; {
			list := ask[openapi.MemberList](w, w.auditor, "GET", "/groups/all/members?limit=1&"+query+"&cursor="+cursor, nil, 200)
			for _, m := range list.Items {
				names = append(names, fmt.Sprintf("%s %s%s %v", m.Type, m.UserName, m.DisplayName, m.Direct))
			}
			if cursor = list.NextCursor; cursor == "" {
				return names
			}
		}
	}
	if diff := cmp.Diff([]string{"User alanalan true", "Group team true"}, members("effective=false")); diff != "" {
		t.Errorf("direct members (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"User adaada false", "User gracegrace false", "User alanalan true"}, members("effective=true")); diff != "" {
		t.Errorf("effective members (-want +got):\n%s", diff)
	}
	groups := *ask[openapi.User](w, w.auditor, "GET", "/users/ada", nil, 200).Groups
	if diff := cmp.Diff([]openapi.Membership{{ID: team.ID, DisplayName: "team", Direct: true}, {ID: all.ID, DisplayName: "all"}}, groups); diff != "" {
		t.Errorf("ada's groups (-want +got):\n%s", diff)
	}
	after := ask[openapi.Group](w, w.admin, "PATCH", "/groups/team/members", map[string]any{"add": []string{alan}, "remove": []string{ada, ada}}, 200)
	if after.EffectiveCount != 2 {
		t.Errorf("after the change team has %d", after.EffectiveCount)
	}
	if diff := cmp.Diff([]string{"User gracegrace false", "User alanalan true"}, members("effective=true")); diff != "" {
		t.Errorf("effective members after the change (-want +got):\n%s", diff)
	}
	w.refused(w.admin, "PATCH", "/groups/team/members", map[string]any{"add": []string{ada}, "remove": []string{ada}}, 400, store.CodeInvalid, "remove")
	renamed := ask[openapi.Group](w, w.admin, "PATCH", "/groups/all", `{"display_name":"everyone"}`, 200)
	if renamed.DisplayName != "everyone" || renamed.Description != "everyone" {
		t.Errorf("renamed it is %+v", renamed)
	}
	if a := w.call(w.admin, "DELETE", "/groups/team", nil); a.status != 204 {
		t.Errorf("deleting answers %d %s", a.status, a.body)
	}
	if g := ask[openapi.Group](w, w.admin, "GET", "/groups/everyone", nil, 200); g.EffectiveCount != 1 {
		t.Errorf("without team it has %d", g.EffectiveCount)
	}
	list := ask[openapi.GroupList](w, w.admin, "GET", "/groups?display_name=EVERYONE&directory=internal", nil, 200)
	if len(list.Items) != 1 || list.Items[0].ID != all.ID {
		t.Errorf("found by name: %+v", list.Items)
	}
}
