package admin_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/openapi/admin"
	"github.com/provost-scim/provost/store"
)

func TestBadInputMeetsAClearErrorAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	before := ask[openapi.EventList](w, w.owner, "GET", "/events?limit=1000", nil, 200).NextCursor
	tests := []struct {
		name, method, path string
		body               any
		status             int
		code               store.Code
		field              string
	}{
		{"broken JSON", "POST", "/groups", `{"display_name": `, 400, store.CodeInvalid, ""},
		{"two JSON values", "POST", "/groups", `{"display_name":"a"}{}`, 400, store.CodeInvalid, ""},
		{"no body", "POST", "/groups", nil, 400, store.CodeInvalid, ""},
		{"null", "POST", "/groups", `null`, 400, store.CodeInvalid, ""},
		{"a list for an object", "POST", "/groups", `[]`, 400, store.CodeInvalid, ""},
		{"a wrong type", "POST", "/groups", `{"display_name": 7}`, 400, store.CodeInvalid, "display_name"},
		{"a missing field", "POST", "/groups", `{}`, 400, store.CodeInvalid, "display_name"},
		{"an unknown field", "POST", "/groups", `{"display_name":"a","colour":"red"}`, 400, store.CodeInvalid, "colour"},
		{"an unknown field deep inside", "POST", "/users", `{"user_name":"a","emails":[{"valve":"x"}]}`, 400, store.CodeInvalid, "emails.0.valve"},
		{"a field in SCIM's spelling", "POST", "/users", `{"userName":"a"}`, 400, store.CodeInvalid, "user_name"},
		{"a user without a user_name", "POST", "/users", `{"display_name":"a"}`, 400, store.CodeInvalid, "user_name"},
		{"a blank user_name", "POST", "/users", `{"user_name":"  "}`, 400, store.CodeInvalid, "user_name"},
		{"a text that is too long", "POST", "/users", `{"user_name":"` + strings.Repeat("x", 1025) + `"}`, 400, store.CodeInvalid, "user_name"},
		{"an empty email", "POST", "/users", `{"user_name":"a","emails":[{"type":"work"}]}`, 400, store.CodeInvalid, "emails"},
		{"two primary emails", "POST", "/users", `{"user_name":"a","emails":[{"value":"a@x.y","primary":true},{"value":"b@x.y","primary":true}]}`, 400, store.CodeInvalid, "emails"},
		{"an escaped NUL", "POST", "/groups", `{"display_name":"a\u0000b"}`, 400, store.CodeInvalid, "display_name"},
		{"an escaped NUL deep inside", "POST", "/users", `{"user_name":"a","emails":[{"value":"a@x.y"},{"type":"\u0000","value":"b@x.y"}]}`, 400, store.CodeInvalid, "emails.1.type"},
		{"a NUL in the name of a field", "POST", "/users", `{"user_name":"a","name":{"given\u0000":"b"}}`, 400, store.CodeInvalid, "name"},
		{"invalid UTF-8", "POST", "/groups", "{\"display_name\":\"a\xff\"}", 400, store.CodeInvalid, "display_name"},
		{"invalid UTF-8 deep inside", "POST", "/users", "{\"user_name\":\"\ufffd\",\"emails\":[{\"value\":\"a@x.y\"},{\"value\":\"b\xc3@x.y\"}]}", 400, store.CodeInvalid, "emails.1.value"},
		{"invalid UTF-8 outside of any text", "POST", "/groups", "{\"display_name\":\"a\"\xff}", 400, store.CodeInvalid, ""},
		{"a body that is too large", "POST", "/groups", `{"display_name":"` + strings.Repeat("x", 2<<20) + `"}`, 413, store.CodeTooLarge, ""},
		{"an unknown member", "POST", "/groups", `{"display_name":"a","members":["nobody"]}`, 400, store.CodeInvalid, "members"},
		{"NUL in a path", "GET", "/users/a%00b", nil, 400, store.CodeInvalid, "user"},
		{"invalid UTF-8 in a path", "GET", "/users/a%ffb", nil, 400, store.CodeInvalid, "user"},
		{"NUL in a query", "GET", "/users?user_name=a%00b", nil, 400, store.CodeInvalid, "user_name"},
		{"an unknown query parameter", "GET", "/users?username=a", nil, 400, store.CodeInvalid, "username"},
		{"a limit of nothing", "GET", "/users?limit=0", nil, 400, store.CodeInvalid, "limit"},
		{"a limit that is too large", "GET", "/users?limit=1001", nil, 400, store.CodeInvalid, "limit"},
		{"a limit that is no number", "GET", "/users?limit=many", nil, 400, store.CodeInvalid, "limit"},
		{"a cursor that is none", "GET", "/users?cursor=xyz", nil, 400, store.CodeInvalid, "cursor"},
		{"the cursor of another list", "GET", "/users?cursor=ZzE", nil, 400, store.CodeInvalid, "cursor"},
		{"a deletion that does not say of what", "DELETE", "/directories/entra", nil, 400, store.CodeInvalid, "users"},
		{"a deletion that says something else", "DELETE", "/directories/entra?users=maybe", nil, 400, store.CodeInvalid, "users"},
		{"a user that does not exist", "GET", "/users/nobody", nil, 404, store.CodeNotFound, ""},
		{"a path that does not exist", "GET", "/people", nil, 404, store.CodeNotFound, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.in(t).refused(w.owner, tt.method, tt.path, tt.body, tt.status, tt.code, tt.field)
		})
	}
	t.Run("a body that is no JSON", func(t *testing.T) {
		a := w.call(w.owner, "POST", "/groups", `display_name=a`, "Content-Type", "application/x-www-form-urlencoded")
		if a.status != http.StatusUnsupportedMediaType {
			t.Errorf("answers %d %s", a.status, a.body)
		}
	})
	after := ask[openapi.EventList](w, w.owner, "GET", "/events?limit=1000", nil, 200).NextCursor
	if after != before {
		t.Errorf("refused requests wrote events: cursor %d, before %d", after, before)
	}
}

func TestAPathSaysWhichMethodsItHas(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]string{"/users": "GET, POST", "/users/ann": "DELETE, GET, PATCH", "/events": "GET"} {
		a := w.call(w.owner, "PUT", path, `{}`)
		if p := a.problem(t); a.status != 405 || p.Type != "urn:provost:problem:method_not_allowed" || p.Hint == "" {
			t.Errorf("PUT %s answers %d %s", path, a.status, a.body)
		}
		var methods []string
		for method := range strings.SplitSeq(a.header.Get("Allow"), ",") {
			if method = strings.TrimSpace(method); method != "OPTIONS" { // which is any resource's
				methods = append(methods, method)
			}
		}
		slices.Sort(methods)
		if got := strings.Join(methods, ", "); got != want {
			t.Errorf("PUT %s allows %q, want %q", path, got, want)
		}
	}
}

func TestABackslashBeforeU0000IsNoNUL(t *testing.T) {
	w := newWorld(t)
	g := ask[openapi.Group](w, w.owner, "POST", "/groups", `{"display_name":"a\\u0000b"}`, 201)
	if g.DisplayName != `a\u0000b` {
		t.Errorf("the group is called %q", g.DisplayName)
	}
}

func TestNamesWithAnyCharacterWorkInPaths(t *testing.T) {
	w := newWorld(t)
	for path, name := range map[string]string{
		"R%26D%2FLab": "R&D/Lab", "100%25": "100%", "a%2541": "a%41", "Z%C3%BCrich%20%3F": "Zürich ?", "a+b": "a+b",
	} {
		made := ask[openapi.Group](w, w.owner, "POST", "/groups", map[string]string{"display_name": name}, 201)
		if got := ask[openapi.Group](w, w.owner, "GET", "/groups/"+path, nil, 200); got.ID != made.ID {
			t.Errorf("%s is %q, want %q", path, got.DisplayName, name)
		}
	}
}

func TestAnInternalErrorIsLoggedAndNotShown(t *testing.T) {
	w := newWorld(t, func(o *admin.Options) {
		o.Verify = func(context.Context, store.Key, string, store.Cause) (*store.Domain, error) {
			return nil, errors.New("dial postgres://admin:hunter2@db")
		}
	})
	ask[openapi.Domain](w, w.owner, "POST", "/domains", map[string]string{"name": "example.com"}, 201)
	a := w.call(w.owner, "POST", "/domains/example.com/verify", nil)
	p := a.problem(t)
	if a.status != 500 || p.Type != "urn:provost:problem:internal" || strings.Contains(string(a.body), "hunter2") {
		t.Errorf("answers %d %s", a.status, a.body)
	}
	if log := w.log.String(); !strings.Contains(log, "hunter2") || !strings.Contains(log, p.RequestID) {
		t.Errorf("the log has %s", log)
	}
}

func TestAPanicIsAnInternalError(t *testing.T) {
	w := newWorld(t, func(o *admin.Options) {
		o.Verify = func(context.Context, store.Key, string, store.Cause) (*store.Domain, error) { panic("oh") }
	})
	ask[openapi.Domain](w, w.owner, "POST", "/domains", map[string]string{"name": "example.com"}, 201)
	w.refused(w.owner, "POST", "/domains/example.com/verify", nil, 500, store.CodeInternal, "")
}

func TestARequestThatTakesTooLongIsGivenUp(t *testing.T) {
	w := newWorld(t, func(o *admin.Options) {
		o.Timeout = 1 // a nanosecond
	})
	a := w.call(w.owner, "GET", "/users", nil)
	if p := a.problem(t); a.status != http.StatusGatewayTimeout || p.Type != "urn:provost:problem:timeout" {
		t.Errorf("answers %d %s", a.status, a.body)
	}
}

func TestAProxysRequestIDIsKeptAndAStrangeOneIsNot(t *testing.T) {
	w := newWorld(t)
	if id := w.call(w.owner, "GET", "/users", nil, echo.HeaderXRequestID, "abc-123").header.Get(echo.HeaderXRequestID); id != "abc-123" {
		t.Errorf("the request's id is %q", id)
	}
	if id := w.call(w.owner, "GET", "/users", nil, echo.HeaderXRequestID, "a b\"c").header.Get(echo.HeaderXRequestID); !store.ValidID(id) {
		t.Errorf("the request's id is %q", id)
	}
}

func TestTheSpecificationAndItsPageAreServedToAnyone(t *testing.T) {
	w := newWorld(t)
	a := w.call("", "GET", "/openapi.json", nil)
	var doc struct {
		OpenAPI string         `json:"openapi"`
		Paths   map[string]any `json:"paths"`
	}
	a.into(t, &doc)
	if strings.Contains(string(a.body), `"x-go`) || !strings.Contains(string(a.body), `"x-provost-role":"auditor"`) || !strings.Contains(string(a.body), `"operationId":"listUsers"`) {
		t.Error("openapi.json is not what openapi.yaml says")
	}
	if !strings.Contains(string(a.body), "/scim/v2/ServiceProviderConfig") {
		t.Error("openapi.json does not lead to SCIM's own discovery")
	}
	if a.status != 200 || doc.OpenAPI != "3.1.0" || doc.Paths["/users/{user}"] == nil {
		t.Errorf("openapi.json answers %d, version %q with %d paths", a.status, doc.OpenAPI, len(doc.Paths))
	}
	get := func(path string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		w.server.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		return rec
	}
	if rec := get("/docs"); rec.Code != http.StatusMovedPermanently || rec.Header().Get("Location") != "/docs/" {
		t.Errorf("/docs answers %d to %q", rec.Code, rec.Header().Get("Location"))
	}
	page := get("/docs/")
	if page.Code != 200 || !strings.Contains(page.Body.String(), "/api/v1/openapi.json") {
		t.Fatalf("the page answers %d %s", page.Code, page.Body)
	}
	if policy := page.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("the page's policy is %q", policy)
	}
	parts := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page.Body.String(), -1)
	if len(parts) < 3 {
		t.Errorf("the page has the parts %v", parts)
	}
	for _, part := range parts {
		if !strings.HasPrefix(part[1], "/docs/") {
			t.Errorf("the page needs %s from elsewhere", part[1])
		} else if rec := get(part[1]); rec.Code != 200 || rec.Body.Len() == 0 {
			t.Errorf("%s answers %d with %d bytes", part[1], rec.Code, rec.Body.Len())
		}
	}
}
