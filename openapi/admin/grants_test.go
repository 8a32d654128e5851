package admin_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

func TestEntitlementsAreGrantedListedAndTakenWithAnEventForEachChange(t *testing.T) {
	w := newWorld(t)
	user := ask[openapi.User](w, w.admin, "POST", "/users", adaInput, 201)
	group := ask[openapi.Group](w, w.admin, "POST", "/groups", `{"display_name":"staff","members":["`+user.ID+`"]}`, 201)
	role := ask[openapi.Entitlement](w, w.admin, "POST", "/entitlements", `{"kind":"role","name":"Reader / writer","description":" both "}`, 201)
	if role.Description != "both" || role.Taken != nil || role.Seats != nil || role.Revision != 1 {
		t.Errorf("the role is %+v", role)
	}
	w.refused(w.admin, "POST", "/entitlements", `{"kind":"role","name":"reader / WRITER"}`, 409, store.CodeUniqueness, "name")
	w.refused(w.admin, "POST", "/entitlements", `{"kind":"role","name":"x","seats":3}`, 400, store.CodeInvalid, "seats")
	w.refused(w.admin, "POST", "/entitlements", `{"kind":"badge","name":"x"}`, 400, store.CodeInvalid, "kind")
	w.refused(w.admin, "POST", "/entitlements", `{"kind":"licence","name":"x","seats":0}`, 400, store.CodeInvalid, "seats")
	w.refused(w.admin, "PATCH", "/entitlements/"+role.ID, `{"seats":3}`, 400, store.CodeInvalid, "seats")

	const path = "/grants/role:reader%20%2F%20writer"
	for range 2 { // granting what is held changes nothing
		for _, of := range []string{"/users/" + user.ID, "/groups/staff"} {
			if a := w.call(w.admin, "PUT", of+path, nil); a.status != 204 {
				t.Fatalf("PUT %s%s: %d %s", of, path, a.status, a.body)
			}
		}
	}
	grants := ask[openapi.GrantList](w, w.auditor, "GET", "/users/"+user.UserName+"/grants", nil, 200)
	if len(grants.Items) != 2 || grants.Items[0].Via != nil || grants.Items[1].Via == nil || *grants.Items[1].Via != (openapi.GrantVia{ID: group.ID, DisplayName: "staff"}) {
		t.Errorf("the user holds %+v", grants.Items)
	}
	first := ask[openapi.GrantList](w, w.auditor, "GET", "/users/"+user.ID+"/grants?limit=1", nil, 200)
	second := ask[openapi.GrantList](w, w.auditor, "GET", "/users/"+user.ID+"/grants?limit=1&cursor="+first.NextCursor, nil, 200)
	if diff := cmp.Diff(grants.Items, append(first.Items, second.Items...)); diff != "" || second.NextCursor != "" {
		t.Errorf("in pages (-want +got):\n%s", diff)
	}
	w.refused(w.auditor, "GET", "/users/"+user.ID+"/grants?cursor=bm9uZQ", nil, 400, store.CodeInvalid, "cursor")
	holders := ask[openapi.HolderList](w, w.auditor, "GET", "/entitlements/"+role.ID+"/holders", nil, 200)
	if len(holders.Items) != 2 || holders.Items[0].ID != user.ID || holders.Items[1].ID != group.ID {
		t.Errorf("holders are %+v", holders.Items)
	}
	added := 0
	for _, e := range ask[openapi.EventList](w, w.owner, "GET", "/events?limit=1000", nil, 200).Items {
		if e.Type == store.EventGrantAdded {
			added++
		}
	}
	if e := w.lastEvent(store.EventGrantAdded); added != 2 || e.ResourceID != group.ID || e.Cause.Actor.Name != "admin" {
		t.Errorf("%d events; the last is %+v", added, e)
	}
	if a := w.call(w.admin, "DELETE", "/users/"+user.ID+path, nil); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := w.call(w.admin, "DELETE", "/entitlements/"+role.ID, nil); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if e := w.lastEvent(store.EventEntitlementDeleted); e.ResourceID != role.ID {
		t.Errorf("the last event is %+v", e)
	}
	if left := ask[openapi.GrantList](w, w.auditor, "GET", "/groups/staff/grants", nil, 200); len(left.Items) != 0 {
		t.Errorf("the group still holds %+v", left.Items)
	}
	w.refused(w.admin, "PUT", "/users/"+user.ID+path, nil, 404, store.CodeNotFound, "")
}

func TestRule9BillableUsersAreCountedOnce(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for i := range 3 {
		ids = append(ids, ask[openapi.User](w, w.admin, "POST", "/users", fmt.Sprintf(`{"user_name":"u%d","enabled":%v}`, i, i < 2), 201).ID)
	}
	for i, name := range []string{"Mail", "Chat"} {
		ask[openapi.Entitlement](w, w.admin, "POST", "/entitlements", `{"kind":"product","name":"`+name+`"}`, 201)
		ask[openapi.Group](w, w.admin, "POST", "/groups", fmt.Sprintf(`{"display_name":%q,"members":[%q,%q]}`, name, ids[i], ids[2]), 201)
		if a := w.call(w.admin, "PUT", "/groups/"+name+"/grants/product:"+name, nil); a.status != 204 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		w.refused(w.admin, "PUT", "/users/"+ids[0]+"/grants/product:"+name, nil, 400, store.CodeInvalid, "")
	}
	b := ask[openapi.Billable](w, w.auditor, "GET", "/billable", nil, 200)
	if b.Users != 2 || len(b.Products) != 2 || b.Products[0].Users != 1 || b.Products[1].Users != 1 {
		t.Errorf("billable are %+v", b)
	}
}

func TestRule10DefaultRolesExistAndStayWhileADirectoryGivesThem(t *testing.T) {
	w := newWorld(t)
	ask[openapi.Entitlement](w, w.admin, "POST", "/entitlements", `{"kind":"role","name":"Member"}`, 201)
	w.refused(w.admin, "PATCH", "/directories/entra", `{"settings":{"default_roles":["Member","Nobody"]}}`, 400, store.CodeInvalid, "settings.default_roles")
	d := ask[openapi.Directory](w, w.admin, "PATCH", "/directories/entra", `{"settings":{"default_roles":["MEMBER","member"]}}`, 200)
	if diff := cmp.Diff(&[]string{"Member"}, d.Settings.DefaultRoles); diff != "" {
		t.Errorf("default roles (-want +got):\n%s", diff)
	}
	w.refused(w.admin, "DELETE", "/entitlements/role:Member", nil, 409, store.CodeConflict, "")
	ada := w.push("entra", []store.UserStatement{person("ada")}, nil).Users[0]
	held := ask[openapi.GrantList](w, w.auditor, "GET", "/users/"+string(ada.ID)+"/grants", nil, 200)
	if len(held.Items) != 1 || held.Items[0].Name != "Member" {
		t.Errorf("ada holds %+v", held.Items)
	}
	var data struct {
		After struct {
			Roles []string `json:"roles"`
		} `json:"after"`
	}
	created := w.lastEvent(store.EventUserCreated)
	(answer{body: created.Data}).into(t, &data)
	if diff := cmp.Diff([]string{"Member"}, data.After.Roles); diff != "" {
		t.Errorf("the event tells of roles (-want +got):\n%s", diff)
	}
	ask[openapi.Directory](w, w.admin, "PATCH", "/directories/entra", `{"settings":{"default_roles":[]}}`, 200)
	if a := w.call(w.admin, "DELETE", "/entitlements/role:Member", nil); a.status != 204 {
		t.Errorf("%d %s", a.status, a.body)
	}
}
