package admin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// entra is a binding as an administrator writes it.
func entra(app string) map[string]string {
	return map[string]string{
		"name": "Entra", "issuer": "https://sts.windows.net/0a0a0a0a-0000-4000-8000-000000000001/",
		"audience": "8adf8e6e-67b2-4cf2-a259-e3dc5476c621", "app_id": app,
	}
}

func TestBindingsAreMadeListedAndDeleted(t *testing.T) {
	w := newWorld(t)
	const path = "/directories/entra/oidc-bindings"
	if list := ask[openapi.OIDCBindingList](w, w.auditor, "GET", path, nil, 200); list.Items == nil || len(list.Items) != 0 {
		t.Errorf("at first: %+v", list)
	}
	made := ask[openapi.OIDCBinding](w, w.admin, "POST", path, entra("app"), 201)
	if e := w.lastEvent(store.EventOIDCBound); e.ResourceID != made.ID || !strings.Contains(string(e.Data), `"app_id":"app"`) {
		t.Errorf("the event is %+v", e)
	}
	list := ask[openapi.OIDCBindingList](w, w.auditor, "GET", path, nil, 200)
	if diff := cmp.Diff([]openapi.OIDCBinding{made}, list.Items); diff != "" {
		t.Errorf("list (-made +listed):\n%s", diff)
	}
	w.refused(w.admin, "POST", path, entra("app"), 409, store.CodeConflict, "")
	if a := w.call(w.admin, "DELETE", path+"/"+made.ID, nil); a.status != http.StatusNoContent {
		t.Errorf("deleting answers %d %s", a.status, a.body)
	}
	w.refused(w.admin, "DELETE", path+"/"+made.ID, nil, 404, store.CodeNotFound, "")
	if e := w.lastEvent(store.EventOIDCUnbound); e.ResourceID != made.ID {
		t.Errorf("the last deletion is of %s", e.ResourceID)
	}
	last := ask[openapi.OIDCBinding](w, w.admin, "POST", path, entra("app"), 201)
	if a := w.call(w.admin, "DELETE", "/directories/entra?users=delete", nil); a.status != http.StatusNoContent {
		t.Fatalf("deleting the directory answers %d %s", a.status, a.body)
	}
	if e := w.lastEvent(store.EventOIDCUnbound); e.ResourceID != last.ID {
		t.Errorf("the last deletion is of %s", e.ResourceID)
	}
}

func TestABindingThatCannotWorkIsRefused(t *testing.T) {
	w := newWorld(t)
	const path = "/directories/entra/oidc-bindings"
	for name, tt := range map[string]struct {
		field, value, at string
	}{
		"a plain issuer":            {"issuer", "http://issuer.example.com", "issuer"},
		"an issuer of many tenants": {"issuer", "https://login.microsoftonline.com/common/v2.0", "issuer"},
		"no issuer":                 {"issuer", "", "issuer"},
		"a long issuer":             {"issuer", "https://issuer.example.com/" + strings.Repeat("x", 512), "issuer"},
		"no audience":               {"audience", "", "audience"},
		"a long audience":           {"audience", strings.Repeat("x", 513), "audience"},
		"an audience with a break":  {"audience", "a\nb", "audience"},
		"neither subject nor app":   {"app_id", "", "app_id"},
		"an unknown member":         {"tenant", "x", "tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			body := entra("app")
			body[tt.field] = tt.value
			w.in(t).refused(w.admin, "POST", path, body, 400, store.CodeInvalid, tt.at)
		})
	}
	ask[openapi.Directory](w, w.admin, "POST", "/directories", corp(), 201)
	w.refused(w.admin, "POST", "/directories/corp/oidc-bindings", entra("app"), 409, store.CodeConflict, "")
}

func TestABindingOfAnotherOrganizationIsInTheWayAndNotShown(t *testing.T) {
	w := newWorld(t)
	ask[openapi.OIDCBinding](w, w.admin, "POST", "/directories/entra/oidc-bindings", entra("app"), 201)
	ask[openapi.Directory](w, w.stranger, "POST", "/directories", map[string]string{"name": "theirs", "kind": "scim"}, 201)
	a := w.call(w.stranger, "POST", "/directories/theirs/oidc-bindings", entra("app"))
	p := a.problem(t)
	if a.status != http.StatusConflict || !strings.Contains(p.Detail, "another organization") || strings.Contains(string(a.body), `entra"`) || p.Resource != "" {
		t.Errorf("it answers %d %s", a.status, a.body)
	}
	p = w.refused(w.admin, "POST", "/directories/entra/oidc-bindings", entra("app"), 409, store.CodeConflict, "")
	if p.Resource != "directory entra" {
		t.Errorf("in the same organization: %+v", p)
	}
}

func TestARateLimitIsASettingOfDirectoriesThatArePushed(t *testing.T) {
	w := newWorld(t)
	limit := func(l map[string]any) map[string]any {
		return map[string]any{"settings": map[string]any{"rate_limit": l}}
	}
	d := ask[openapi.Directory](w, w.admin, "PATCH", "/directories/entra", limit(map[string]any{"per_second": 2.5}), 200)
	if l := d.Settings.RateLimit; l == nil || *l.PerSecond != 2.5 || *l.Burst != 0 {
		t.Errorf("the limit is %+v", l)
	}
	d = ask[openapi.Directory](w, w.admin, "PATCH", "/directories/entra", limit(map[string]any{"burst": 7}), 200)
	if l := d.Settings.RateLimit; *l.PerSecond != 2.5 || *l.Burst != 7 {
		t.Errorf("the limit is %v and %v", *l.PerSecond, *l.Burst)
	}
	for _, rate := range []float64{-1, 1e-300} {
		w.refused(w.admin, "PATCH", "/directories/entra", limit(map[string]any{"per_second": rate}), 400, store.CodeInvalid, "settings.rate_limit.per_second")
	}
	ask[openapi.Directory](w, w.admin, "POST", "/directories", corp(), 201)
	w.refused(w.admin, "PATCH", "/directories/corp", limit(map[string]any{"per_second": 1}), 400, store.CodeInvalid, "settings.rate_limit")
}
