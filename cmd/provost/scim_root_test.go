package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// calledOf are what the resources of a page are called, in its order.
func calledOf(a *scimAnswer) (names []string) {
	list, _ := a.get("Resources").([]any)
	for _, r := range list {
		object := r.(map[string]any)
		name, _ := object["userName"].(string)
		if name == "" {
			name, _ = object["displayName"].(string)
		}
		name, _, _ = strings.Cut(name, "@")
		names = append(names, name)
	}
	return names
}

func TestTheRootListsUsersAndGroups(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		create := func(path, body string) string {
			a := w.send(t, scimRequest{method: post, path: path, body: body})
			if a.status != 201 {
				t.Fatalf("%d %s", a.status, a.raw)
			}
			return a.text("id")
		}
		ann := create("/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ann@example.com","displayName":"Crew","title":"b","emails":[{"value":"ann@example.com","type":"work"}]}`)
		create("/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ben@example.com","displayName":"Ben","title":"a","active":false}`)
		create("/Groups", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Crew","members":[{"value":%q}]}`, ann))
		create("/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Ants"}`)
		elsewhere := *w
		_, elsewhere.token = w.newDirectory(t, "other", nil)
		elsewhere.send(t, scimRequest{method: post, path: "/Groups", body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Elsewhere"}`})

		for _, x := range []struct {
			query string
			body  map[string]any
			want  []string
		}{
			{"", map[string]any{}, []string{"ann", "ben", "Crew", "Ants"}},
			{`filter=displayName eq "crew"`, map[string]any{"filter": `displayName eq "crew"`}, []string{"ann", "Crew"}},
			{`filter=userName pr`, map[string]any{"filter": `userName pr`}, []string{"ann", "ben"}},
			{`filter=not (userName pr)`, map[string]any{"filter": `not (userName pr)`}, []string{"Crew", "Ants"}},
			{`filter=userName ne "ann@example.com"`, map[string]any{"filter": `userName ne "ann@example.com"`}, []string{"ben", "Crew", "Ants"}},
			{`filter=meta.resourceType eq "Group"`, map[string]any{"filter": `meta.resourceType eq "Group"`}, []string{"Crew", "Ants"}},
			{`filter=(meta.resourceType eq "User") or (members eq "` + ann + `")`, map[string]any{"filter": `(meta.resourceType eq "User") or (members eq "` + ann + `")`}, []string{"ann", "ben", "Crew"}},
			{`filter=emails[type eq "work"]`, map[string]any{"filter": `emails[type eq "work"]`}, []string{"ann"}},
			{`filter=id eq "` + ann + `"`, map[string]any{"filter": `id eq "` + ann + `"`}, []string{"ann"}},
			{"sortBy=displayName", map[string]any{"sortBy": "displayName"}, []string{"Ants", "ben", "ann", "Crew"}},
			{"sortBy=displayName&sortOrder=descending", map[string]any{"sortBy": "displayName", "sortOrder": "descending"}, []string{"ann", "Crew", "ben", "Ants"}},
			{"sortBy=title", map[string]any{"sortBy": "title"}, []string{"ben", "ann", "Crew", "Ants"}},
			{"sortBy=title&sortOrder=descending&startIndex=2&count=2", map[string]any{"sortBy": "title", "sortOrder": "descending", "startIndex": 2, "count": 2}, []string{"Ants", "ann"}},
			{"startIndex=2&count=2", map[string]any{"startIndex": 2, "count": 2}, []string{"ben", "Crew"}},
			{"startIndex=3&count=9", map[string]any{"startIndex": 3, "count": 9}, []string{"Crew", "Ants"}},
			{"startIndex=5", map[string]any{"startIndex": 5}, nil},
			{"count=0", map[string]any{"count": 0}, nil},
			{"attributes=members,userName", map[string]any{"attributes": []string{"members", "userName"}}, []string{"ann", "ben", "", ""}},
			{"excludedAttributes=members,groups,meta", map[string]any{"excludedAttributes": []string{"members", "groups", "meta"}}, []string{"ann", "ben", "Crew", "Ants"}},
		} {
			listed := w.send(t, scimRequest{method: get, path: "/?" + x.query})
			if listed.status != 200 {
				t.Fatalf("%s: %d %s", x.query, listed.status, listed.raw)
			}
			if diff := cmp.Diff(x.want, calledOf(listed)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", x.query, diff)
			}
			total := fmt.Sprint(len(x.want))
			if strings.Contains(x.query, "startIndex") || x.query == "count=0" {
				total = "4"
			}
			if got := fmt.Sprint(listed.get("totalResults")); got != total {
				t.Errorf("%s: totalResults %s, want %s", x.query, got, total)
			}
			found := w.send(t, scimRequest{method: post, path: "/.search", body: searchBody(t, x.body)})
			if diff := cmp.Diff(listed.body, found.body); diff != "" || found.status != 200 {
				t.Errorf("%s: %d (-list +search):\n%s", x.query, found.status, diff)
			}
			if strings.Contains(x.query, "startIndex") || x.query == "count=0" {
				continue
			}
			forth, back := w.turnPages(t, "/", x.query+"&count=1")
			var ids []string
			for _, id := range idsOf(listed) {
				ids = append(ids, string(id))
			}
			if !slices.Equal(forth, ids) || !slices.Equal(back, ids) {
				t.Errorf("%s by cursor: %v and back %v, want %v", x.query, forth, back, ids)
			}
		}
		// Each resource is what its own endpoint shows of it.
		list, _ := w.send(t, scimRequest{method: get, path: ""}).get("Resources").([]any)
		for _, r := range list {
			object := r.(map[string]any)
			path := "/" + object["meta"].(map[string]any)["resourceType"].(string) + "s/" + object["id"].(string)
			if diff := cmp.Diff(w.send(t, scimRequest{method: get, path: path}).body, any(object)); diff != "" {
				t.Errorf("%s (-itself +in the list):\n%s", path, diff)
			}
		}
		for query, want := range map[string]string{
			`filter=shoeSize eq "9"`:                "invalidFilter",
			`filter=password eq "x"`:                "invalidFilter",
			`filter=name eq "x"`:                    "invalidFilter",
			`filter=displayName eq`:                 "invalidFilter",
			"sortBy=shoeSize":                       "invalidValue",
			"sortBy=name":                           "invalidValue",
			"cursor=&startIndex=1":                  "invalidValue",
			"cursor=x":                              "invalidCursor",
			"attributes=id&excludedAttributes=meta": "invalidValue",
		} {
			if a := w.send(t, scimRequest{method: get, path: "/?" + query}); a.status != 400 || a.text("scimType") != want {
				t.Errorf("%s: %d %s, want %s", query, a.status, a.raw, want)
			}
		}
	})
}

// TestEveryPathSaysWhichMethodsItHas asks each path for every method.
func TestEveryPathSaysWhichMethodsItHas(t *testing.T) {
	t.Parallel()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "provost.db")
	if err := migrateForSCIM(dsn); err != nil {
		t.Fatal(err)
	}
	w := newSCIMWorld(t, dsn)
	ids := w.newUsers(t, "ann", 1)
	group := w.send(t, scimRequest{method: post, path: "/Groups", body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Crew"}`})
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	for path, allowed := range map[string]string{
		"":                            "GET, HEAD",
		"/":                           "GET, HEAD",
		"/.search":                    "POST",
		"/Users":                      "GET, HEAD, POST",
		"/Users/":                     "GET, HEAD, POST",
		"/Users/.search":              "POST",
		"/Users/" + string(ids[0]):    "GET, HEAD, PUT, PATCH, DELETE",
		"/Groups":                     "GET, HEAD, POST",
		"/Groups/.search":             "POST",
		"/Groups/" + group.text("id"): "GET, HEAD, PUT, PATCH, DELETE",
		"/Bulk":                       "POST",
		"/ServiceProviderConfig":      "GET, HEAD",
		"/ResourceTypes":              "GET, HEAD",
		"/ResourceTypes/User":         "GET, HEAD",
		"/Schemas":                    "GET, HEAD",
		"/Schemas/urn:ietf:params:scim:schemas:core:2.0:User": "GET, HEAD",
	} {
		for _, m := range append(slices.Clone(methods), "BREW") {
			if slices.Contains(strings.Split(allowed, ", "), m) {
				if m != http.MethodGet && m != http.MethodHead {
					continue // others are tested for what they do
				}
				if a := w.send(t, scimRequest{method: m, path: path}); a.status != 200 || (m == http.MethodHead) != (len(a.raw) == 0) {
					t.Errorf("%s %s: %d %s", m, path, a.status, a.raw)
				}
				continue
			}
			if a := w.send(t, scimRequest{method: m, path: path}); a.status != 405 || a.header.Get("Allow") != allowed {
				t.Errorf("%s %s: %d, Allow %q, want 405 and %q", m, path, a.status, a.header.Get("Allow"), allowed)
			}
		}
	}
	for _, m := range append(slices.Clone(methods), "BREW") {
		for path, want := range map[string]int{"/Me": 501, "/Me/": 501, "/Nothing": 404, "/Nothing/at/all": 404, "/Nothing/": 404} {
			if a := w.send(t, scimRequest{method: m, path: path}); a.status != want || a.header.Get("Allow") != "" {
				t.Errorf("%s %s: %d, Allow %q, want %d and none", m, path, a.status, a.header.Get("Allow"), want)
			}
		}
	}
}
