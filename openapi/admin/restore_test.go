package admin_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

func TestRule7WhatIsDeletedIsListedAndRestoredUnlessItsNameIsTaken(t *testing.T) {
	w := newWorld(t)
	user := ask[openapi.User](w, w.admin, "POST", "/users", adaInput, 201)
	group := ask[openapi.Group](w, w.admin, "POST", "/groups", `{"display_name":"staff","external_id":"1","members":["`+user.ID+`"]}`, 201)
	for _, path := range []string{"/users/" + user.ID, "/groups/" + group.ID} {
		w.refused(w.admin, "POST", path+"/restore", nil, 404, store.CodeNotFound, "")
		if a := w.call(w.admin, "DELETE", path, nil); a.status != 204 {
			t.Fatalf("deleting %s answers %d %s", path, a.status, a.body)
		}
	}
	users := ask[openapi.UserList](w, w.auditor, "GET", "/users?deleted=true", nil, 200).Items
	groups := ask[openapi.GroupList](w, w.auditor, "GET", "/groups?deleted=true", nil, 200).Items
	if len(users) != 1 || users[0].ID != user.ID || users[0].DeletedAt == nil || len(groups) != 1 || groups[0].ID != group.ID || groups[0].DeletedAt == nil {
		t.Errorf("the deleted ones are %+v and %+v", users, groups)
	}

	second := ask[openapi.User](w, w.admin, "POST", "/users", `{"user_name":"ADA@example.com","external_id":"another person"}`, 201)
	w.refused(w.admin, "POST", "/users/"+user.ID+"/restore", nil, 409, store.CodeUniqueness, "user_name")
	namesake := ask[openapi.Group](w, w.admin, "POST", "/groups", `{"display_name":"Staff","external_id":"2"}`, 201)
	w.refused(w.admin, "POST", "/groups/"+group.ID+"/restore", nil, 409, store.CodeUniqueness, "display_name")
	w.call(w.admin, "DELETE", "/users/"+second.ID, nil)
	w.call(w.admin, "DELETE", "/groups/"+namesake.ID, nil)

	back := ask[openapi.User](w, w.admin, "POST", "/users/"+user.ID+"/restore", nil, 200)
	want := user
	want.Version, want.ModifiedAt = back.Version, back.ModifiedAt
	if diff := cmp.Diff(want, back); diff != "" {
		t.Errorf("the user (-want +got):\n%s", diff)
	}
	again := ask[openapi.Group](w, w.owner, "POST", "/groups/"+group.ID+"/restore", nil, 200)
	if again.DisplayName != "staff" || again.EffectiveCount != 0 || again.DeletedAt != nil {
		t.Errorf("the group is %+v", again)
	}
	for typ, id := range map[string]string{store.EventUserRestored: user.ID, store.EventGroupRestored: group.ID} {
		if e := w.lastEvent(typ); e.ResourceID != id || e.Cause.Reason != "REST" {
			t.Errorf("the event is %+v", e)
		}
	}
	if left := ask[openapi.UserList](w, w.auditor, "GET", "/users?deleted=true", nil, 200).Items; len(left) != 1 || left[0].ID != second.ID {
		t.Errorf("the deleted ones are now %+v", left)
	}
}
