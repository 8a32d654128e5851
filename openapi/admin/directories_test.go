package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/openapi/admin"
	"github.com/provost-scim/provost/store"
)

// corp is what creates a directory of kind ldap.
func corp() map[string]any {
	return map[string]any{
		"name": "corp", "kind": "ldap", "bind_password": "s3cret",
		"settings": map[string]any{"ldap": map[string]any{
			"urls": []string{"ldaps://ldap.example.com"}, "preset": "openldap", "base_dns": []string{"dc=example,dc=com"},
			"bind_dn": "cn=reader,dc=example,dc=com",
		}},
	}
}

func TestADirectoryHasTheDefaultsOfTheProductUnlessTold(t *testing.T) {
	w := newWorld(t)
	d := ask[openapi.Directory](w, w.admin, "POST", "/directories", map[string]any{
		"name": "okta", "kind": "scim", "settings": map[string]any{"domain_policy": "off"},
	}, 201)
	var got store.Settings
	text, err := json.Marshal(d.Settings)
	if err == nil {
		err = json.Unmarshal(text, &got)
	}
	want := store.DefaultSettings(store.DirectorySCIM)
	want.DomainPolicy = store.DomainsOff
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("settings (-want +got), %v:\n%s", err, diff)
	}
	if e := w.lastEvent("directory.created"); e.ResourceID != d.ID || e.Directory != "okta" || e.Cause.Actor.Name != "admin" || e.Cause.Request == "" {
		t.Errorf("the event is %+v", e)
	}
	w.refused(w.admin, "POST", "/directories", map[string]any{"name": "OKTA", "kind": "scim"}, 409, store.CodeUniqueness, "name")
}

func TestSettingsHaveTheSameNamesInTheStoreAndInTheSpecification(t *testing.T) {
	var compare func(path string, a, b reflect.Type)
	compare = func(path string, a, b reflect.Type) {
		for a.Kind() == reflect.Pointer {
			a = a.Elem()
		}
		for b.Kind() == reflect.Pointer {
			b = b.Elem()
		}
		if a.Kind() != reflect.Struct || b.Kind() != reflect.Struct {
			return
		}
		names := func(t reflect.Type) map[string]reflect.Type {
			m := map[string]reflect.Type{}
			for f := range t.Fields() {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				m[name] = f.Type
			}
			return m
		}
		in, out := names(a), names(b)
		for name := range in {
			if out[name] == nil {
				t.Errorf("%s.%s is not in the specification", path, name)
				continue
			}
			compare(path+"."+name, in[name], out[name])
		}
		if len(in) != len(out) {
			t.Errorf("%s: the specification has %d settings, the store %d", path, len(out), len(in))
		}
	}
	compare("settings", reflect.TypeFor[store.Settings](), reflect.TypeFor[openapi.DirectorySettings]())
	compare("settings of an organization", reflect.TypeFor[store.OrganizationSettings](), reflect.TypeFor[openapi.OrganizationSettings]())
}

func TestChangedSettingsLeaveTheOthersAlone(t *testing.T) {
	w := newWorld(t)
	ask[openapi.Directory](w, w.admin, "POST", "/directories", corp(), 201)
	ask[openapi.Directory](w, w.admin, "PATCH", "/directories/corp", `{"settings":{"ldap":{"attributes":{"title":"description"},"scope_groups":["a","b"]}}}`, 200)
	got := ask[openapi.Directory](w, w.admin, "PATCH", "/directories/CORP", `{
		"name": "Corp", "settings": {
			"guard": {"users_deleted": {"count": 5}, "members_removed": {"count": 7, "percent": 2.5}}, "external": {"user_types": ["Partner"]},
			"ldap": {"attributes": {"department": "ou"}, "scope_groups": [], "schedule": {"kind": "daily", "at": "02:30"}}}}`, 200)
	want := store.DefaultSettings(store.DirectoryLDAP)
	want.Guard.UsersDeleted.Count = 5
	want.Guard.MembersRemoved = store.Threshold{Count: 7, Percent: 2.5}
	want.External.UserTypes = []string{"Partner"}
	want.LDAP.URLs, want.LDAP.Preset = []string{"ldaps://ldap.example.com"}, "openldap"
	want.LDAP.BaseDNs, want.LDAP.BindDN = []string{"dc=example,dc=com"}, "cn=reader,dc=example,dc=com"
	want.LDAP.Attributes = map[string]string{"department": "ou"}
	want.LDAP.Schedule = store.Schedule{Kind: "daily", IntervalMins: 240, At: "02:30", EveryDays: 1, Zone: "UTC"}
	var have store.Settings
	w.view(func(r store.Reader) error {
		d, err := r.Directory(t.Context(), w.org, "corp")
		if err == nil {
			have = d.Settings
		}
		return err
	})
	if len(have.LDAP.ScopeGroups) == 0 {
		have.LDAP.ScopeGroups = nil
	}
	if diff := cmp.Diff(want, have); diff != "" || got.Name != "Corp" {
		t.Errorf("%s, settings (-want +got):\n%s", got.Name, diff)
	}
	before := w.lastEvent("directory.updated").Cursor
	ask[openapi.Directory](w, w.admin, "PATCH", "/directories/corp", `{"settings":{"guard":{"users_deleted":{"count":5}}}}`, 200)
	if e := w.lastEvent("directory.updated"); e.Cursor != before {
		t.Errorf("changing nothing wrote the event %s", e.Data)
	}
}

func TestBadSettingsAreRefusedByName(t *testing.T) {
	w := newWorld(t)
	ask[openapi.Directory](w, w.admin, "POST", "/directories", corp(), 201)
	tests := []struct{ name, path, body, field string }{
		{"an unknown setting", "entra", `{"settings":{"domain_polcy":"off"}}`, "settings.domain_polcy"},
		{"an unknown policy", "entra", `{"settings":{"domain_policy":"some"}}`, "settings.domain_policy"},
		{"selected domains without any", "entra", `{"settings":{"domain_policy":"selected"}}`, "settings.domains"},
		{"a selected domain that is not verified", "entra", `{"settings":{"domain_policy":"selected","domains":["example.com"]}}`, "settings.domains"},
		{"LDAP settings of a directory that pushes", "entra", `{"settings":{"ldap":{"page_size":5}}}`, "settings.ldap"},
		{"a bind password of a directory that pushes", "entra", `{"bind_password":"x"}`, "settings.ldap"},
		{"a blank kind of external user", "entra", `{"settings":{"external":{"user_types":[" "]}}}`, "settings.external.user_types"},
		{"a name like an id", "entra", `{"name":"01890a5d-ac96-774b-bcce-b302099a8057"}`, "name"},
		{"a blank name", "entra", `{"name":" "}`, "name"},
		{"the name of no directory", "entra", `{"name":"Internal"}`, "name"},
		{"no URL", "corp", `{"settings":{"ldap":{"urls":[]}}}`, "settings.ldap.urls"},
		{"plain text without leave", "corp", `{"settings":{"ldap":{"urls":["ldap://x"]}}}`, "settings.ldap.urls"},
		{"a DN that is none", "corp", `{"settings":{"ldap":{"base_dns":["people"]}}}`, "settings.ldap.base_dns"},
		{"a filter that is none", "corp", `{"settings":{"ldap":{"user_filter":"(uid="}}}`, "settings.ldap.user_filter"},
		{"a bind without a password", "corp", `{"bind_password":""}`, "bind_password"},
		{"a daily schedule without a time", "corp", `{"settings":{"ldap":{"schedule":{"kind":"daily"}}}}`, "settings.ldap.schedule.at"},
		{"a time that is none", "corp", `{"settings":{"ldap":{"schedule":{"kind":"daily","at":"25:00"}}}}`, "settings.ldap.schedule.at"},
		{"a time zone that is none", "corp", `{"settings":{"ldap":{"schedule":{"kind":"daily","at":"02:00","zone":"Mars"}}}}`, "settings.ldap.schedule.zone"},
		{"a per cent beyond 100", "corp", `{"settings":{"guard":{"groups_deleted":{"percent":101}}}}`, "settings.guard.groups_deleted.percent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.in(t).refused(w.admin, "PATCH", "/directories/"+tt.path, tt.body, 400, store.CodeInvalid, tt.field)
		})
	}
}

func TestABindPasswordIsSealedAndNeverShown(t *testing.T) {
	w := newWorld(t)
	a := w.call(w.admin, "POST", "/directories", corp())
	b := w.call(w.admin, "PATCH", "/directories/corp", `{"bind_password":"an0ther"}`)
	events := w.call(w.owner, "GET", "/events?limit=1000", nil)
	for _, text := range []string{string(a.body), string(b.body), string(events.body), w.log.String()} {
		if strings.Contains(text, "s3cret") || strings.Contains(text, "an0ther") {
			t.Errorf("the password shows in %s", text)
		}
	}
	var d openapi.Directory
	b.into(t, &d)
	w.view(func(r store.Reader) error {
		stored, err := r.Directory(t.Context(), w.org, "corp")
		if err == nil && (strings.Contains(string(stored.Secret), "an0ther") || len(stored.Secret) == 0 || !d.HasSecret) {
			t.Errorf("stored %q, has_secret %v", stored.Secret, d.HasSecret)
		}
		return err
	})
	if e := w.lastEvent("directory.updated"); !strings.Contains(string(e.Data), `"secret_changed":true`) {
		t.Errorf("the event does not say that the secret changed: %s", e.Data)
	}
}

func TestDeletingADirectoryWithItsUsersLeavesNothingButTheLog(t *testing.T) {
	w := newWorld(t)
	done := w.push("entra", []store.UserStatement{person("ada"), person("grace")}, nil)
	name := "staff"
	w.push("entra", nil, []store.GroupStatement{{DisplayName: &name, Members: store.MemberStatement{Add: []store.MemberRef{{ID: done.Users[0].ID}}}}})
	if d := ask[openapi.Directory](w, w.admin, "GET", "/directories/entra", nil, 200); d.Counts == nil || *d.Counts != (openapi.DirectoryCounts{Users: 2, ActiveUsers: 2, Groups: 1}) {
		t.Fatalf("the counts are %+v", d.Counts)
	}
	if a := w.call(w.admin, "DELETE", "/directories/entra?users=delete", nil); a.status != 204 {
		t.Fatalf("deleting answers %d %s", a.status, a.body)
	}
	w.refused(w.admin, "GET", "/directories/entra", nil, 404, store.CodeNotFound, "")
	if l := ask[openapi.UserList](w, w.admin, "GET", "/users", nil, 200); len(l.Items) != 0 {
		t.Errorf("users remain: %+v", l.Items)
	}
	if l := ask[openapi.GroupList](w, w.admin, "GET", "/groups", nil, 200); len(l.Items) != 0 {
		t.Errorf("groups remain: %+v", l.Items)
	}
	for _, typ := range []string{"user.deleted", "group.deleted", "token.revoked", "directory.deleted"} {
		if e := w.lastEvent(typ); e.Cause.Actor.Name != "admin" {
			t.Errorf("%s was caused by %+v", typ, e.Cause)
		}
	}
	if a := w.call(w.directory, "GET", "/users", nil); a.status != 401 {
		t.Errorf("the directory's token answers %d", a.status)
	}
}

func TestADirectoryWhoseUsersCannotBeKeptIsLeftAsItWas(t *testing.T) {
	kept := errors.New("not now")
	w := newWorld(t, func(o *admin.Options) {
		o.Keep = func(context.Context, store.Key, store.Key, store.Cause) error { return kept }
	})
	w.push("entra", []store.UserStatement{person("ada")}, nil)
	w.refused(w.admin, "DELETE", "/directories/entra?users=keep", nil, 500, store.CodeInternal, "")
	if a := w.call(w.directory, "GET", "/users", nil); a.status != 403 {
		t.Errorf("the directory's token answers %d; it must still be good, for SCIM", a.status)
	}
	ask[openapi.Directory](w, w.admin, "GET", "/directories/entra", nil, 200)
}

func TestADirectoryIsDeletedAlsoWhenRequestsOfItsClientsEndLate(t *testing.T) {
	var w *world
	late := []string{"bob", "cid", "dan"}
	w = newWorld(t, func(o *admin.Options) {
		o.Keep = func(ctx context.Context, org, directory store.Key, cause store.Cause) error {
			if err := w.reconciler.Release(ctx, org, directory, cause); err != nil || len(late) == 0 {
				return err
			}
			w.push("entra", []store.UserStatement{person(late[0])}, nil)
			late = late[1:]
			return nil
		}
	})
	w.push("entra", []store.UserStatement{person("ada")}, nil)
	if a := w.call(w.admin, "DELETE", "/directories/entra?users=keep", nil); a.status != 204 {
		t.Fatalf("deleting answers %d %s", a.status, a.body)
	}
	for _, name := range []string{"ada", "bob", "cid", "dan"} {
		if u := ask[openapi.User](w, w.admin, "GET", "/users/"+name, nil, 200); u.Directory != "" {
			t.Errorf("%s belongs to the directory %q", name, u.Directory)
		}
	}
}

func TestADirectoryWithNobodyInItIsDeletedEitherWay(t *testing.T) {
	w := newWorld(t)
	for _, users := range []string{"keep", "delete"} {
		ask[openapi.Directory](w, w.admin, "POST", "/directories", map[string]string{"name": "okta", "kind": "scim"}, 201)
		if a := w.call(w.admin, "DELETE", "/directories/okta?users="+users, nil); a.status != 204 {
			t.Errorf("with users=%s it answers %d %s", users, a.status, a.body)
		}
		w.refused(w.admin, "GET", "/directories/okta", nil, 404, store.CodeNotFound, "")
	}
}

func TestADirectoryIsNotDeletedDuringARun(t *testing.T) {
	for name, active := range map[string]store.Run{
		"a plan that nobody has begun": {State: store.RunPlanned, Phase: store.PhaseQueued},
		"a plan that is being made":    {State: store.RunPlanned, Phase: store.PhaseRead},
		"a run that nobody has begun":  {State: store.RunRunning, Phase: store.PhaseQueued},
		"a run that reads":             {State: store.RunRunning, Phase: store.PhaseRead},
		"a run that applies":           {State: store.RunRunning, Phase: store.PhaseApply},
		"a run that publishes":         {State: store.RunRunning, Phase: store.PhasePublish},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ask[openapi.Directory](w, w.admin, "POST", "/directories", corp(), 201)
			going := w.held("corp", active.State)
			w.update(func(tx store.Tx) error {
				going.Phase = active.Phase
				return tx.SaveRun(t.Context(), going)
			})
			w.held("corp", store.RunPlanned) // a later plan, which waits for a person
			p := w.refused(w.admin, "DELETE", "/directories/corp?users=delete", nil, 409, store.CodeConflict, "")
			if p.Resource != "run "+string(going.ID) || !strings.Contains(p.Detail, string(going.ID)) {
				t.Errorf("the problem is %+v", p)
			}
		})
	}
}

func TestADirectoryIsDeletedWhileAPlanWaits(t *testing.T) {
	w := newWorld(t)
	ask[openapi.Directory](w, w.admin, "POST", "/directories", corp(), 201)
	w.held("corp", store.RunPlanned)
	if a := w.call(w.admin, "DELETE", "/directories/corp?users=delete", nil); a.status != 204 {
		t.Errorf("deleting answers %d %s", a.status, a.body)
	}
}

func TestAnOrganizationIsReadyForSSOOnceADirectoryHasSyncedAndADomainIsVerified(t *testing.T) {
	w := newWorld(t)
	ready := func() bool {
		return ask[openapi.Organization](w, w.auditor, "GET", "/organizations/default", nil, 200).SsoReady
	}
	if ready() {
		t.Error("it is ready with nothing")
	}
	w.push("entra", []store.UserStatement{person("ada")}, nil)
	if ready() {
		t.Error("it is ready without a domain")
	}
	ask[openapi.Domain](w, w.admin, "POST", "/domains", map[string]string{"name": "example.com"}, 201)
	ask[openapi.Domain](w, w.owner, "POST", "/domains/example.com/vouch", nil, 200)
	if !ready() {
		t.Error("it is not ready with both")
	}
}

func TestAnOrganizationIsCreatedByTheInstanceOnly(t *testing.T) {
	w := newWorld(t)
	made := ask[openapi.Organization](w, w.instance, "POST", "/organizations", map[string]string{"name": "Acme"}, 201)
	if got := ask[openapi.Organization](w, w.instance, "GET", "/organizations/acme", nil, 200); got.ID != made.ID || got.SsoReady {
		t.Errorf("it is %+v", got)
	}
	w.refused(w.owner, "POST", "/organizations", map[string]string{"name": "Mine"}, 403, store.CodeForbidden, "")
	w.refused(w.instance, "POST", "/organizations", map[string]string{"name": "ACME"}, 409, store.CodeUniqueness, "name")
	var list openapi.EventList
	w.call(w.instance, "GET", "/events?organization=acme", nil).into(t, &list)
	if len(list.Items) != 1 || list.Items[0].Type != "organization.created" {
		t.Errorf("its log begins with %+v", list.Items)
	}
}
