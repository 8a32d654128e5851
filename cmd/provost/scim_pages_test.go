package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// searchBody is a search by POST.
func searchBody(t *testing.T, members map[string]any) string {
	t.Helper()
	members["schemas"] = []string{"urn:ietf:params:scim:api:messages:2.0:SearchRequest"}
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func idsOf(a *scimAnswer) (ids []store.ID) {
	list, _ := a.get("Resources").([]any)
	for _, r := range list {
		object, _ := r.(map[string]any)
		id, _ := object["id"].(string)
		ids = append(ids, store.ID(id))
	}
	return ids
}

func TestCursorPagesHaveEveryResourceOnce(t *testing.T) {
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		want := w.newUsers(t, "page", 23)
		w.newUsers(t, "other", 3)
		for name, turn := range map[string]func(cursor string) *scimAnswer{
			"by GET": func(cursor string) *scimAnswer {
				return w.send(t, scimRequest{method: get, path: `/Users?filter=userName sw "page"&count=5&cursor=` + cursor})
			},
			"by a search": func(cursor string) *scimAnswer {
				return w.send(t, scimRequest{method: post, path: "/Users/.search", body: searchBody(t, map[string]any{"filter": `userName sw "page"`, "count": 5, "cursor": cursor})})
			},
		} {
			t.Run(name, func(t *testing.T) {
				var got []store.ID
				cursor, pages := "", 0
				for {
					page := turn(cursor)
					if page.status != 200 || fmt.Sprint(page.get("totalResults")) != "23" || page.get("startIndex") != nil {
						t.Fatalf("page %d: %d %s", pages, page.status, page.raw)
					}
					got = append(got, idsOf(page)...)
					pages++
					if pages == 2 { // who comes and goes between pages moves nobody else
						gone := w.send(t, scimRequest{method: post, path: "/Users", body: fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"passer-%d@example.com"}`, len(name))})
						w.send(t, scimRequest{method: remove, path: "/Users/" + gone.text("id")})
					}
					if cursor = page.text("nextCursor"); cursor == "" {
						break
					}
				}
				if pages != 5 {
					t.Errorf("there were %d pages, not 5", pages)
				}
				slices.Sort(got)
				slices.Sort(want)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("resources (-want +got):\n%s", diff)
				}
			})
		}
		first := w.send(t, scimRequest{method: get, path: "/Users?count=5&cursor="}).text("nextCursor")
		for what, x := range map[string]struct{ path, scimType string }{
			"a cursor that was never given":    {"/Users?cursor=bm9uc2Vuc2U", "invalidCursor"},
			"no base64":                        {"/Users?cursor=!", "invalidCursor"},
			"a cursor of another filter":       {`/Users?filter=userName sw "page"&cursor=` + first, "invalidCursor"},
			"a cursor of another resource":     {"/Groups?cursor=" + first, "invalidCursor"},
			"a cursor beside an index":         {"/Users?startIndex=1&cursor=" + first, "invalidValue"},
			"a negative count with a cursor":   {"/Users?count=-1&cursor=" + first, "invalidCount"},
			"a count that is no number either": {"/Users?count=x&cursor=" + first, "invalidValue"},
		} {
			if a := w.send(t, scimRequest{method: get, path: x.path}); a.status != 400 || a.text("scimType") != x.scimType {
				t.Errorf("%s: %d %s, want %s", what, a.status, a.raw, x.scimType)
			}
		}
	})
}

func TestASearchByPOSTIsTheListOfItsQuery(t *testing.T) {
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		users := w.newUsers(t, "found", 4)
		w.newUsers(t, "hidden", 2)
		w.send(t, scimRequest{method: post, path: "/Groups", body: fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Team","members":[{"value":%q}]}`, users[0])})
		for _, x := range []struct {
			path, query string
			body        map[string]any
		}{
			{"/Users", `filter=userName sw "found"&startIndex=2&count=2`, map[string]any{"filter": `userName sw "found"`, "startIndex": 2, "count": 2}},
			{"/Users", "attributes=userName,meta.created", map[string]any{"attributes": []string{"userName", "meta.created"}}},
			{"/Users", "excludedAttributes=groups,emails&count=3", map[string]any{"excludedAttributes": []string{"groups", "emails"}, "count": "3"}},
			{"/Groups", `filter=members eq "` + string(users[0]) + `"&excludedAttributes=members`, map[string]any{"filter": `members eq "` + string(users[0]) + `"`, "excludedAttributes": []string{"members"}}},
			{"/Users", "count=0", map[string]any{"count": 0, "filter": nil}},
		} {
			listed := w.send(t, scimRequest{method: get, path: x.path + "?" + x.query})
			found := w.send(t, scimRequest{method: post, path: x.path + "/.search", body: searchBody(t, x.body)})
			if listed.status != 200 || found.status != 200 {
				t.Fatalf("%s: %d %s", x.query, found.status, found.raw)
			}
			if diff := cmp.Diff(listed.body, found.body); diff != "" {
				t.Errorf("%s (-list +search):\n%s", x.query, diff)
			}
		}
		for what, x := range map[string]struct {
			body   string
			status int
			want   string
		}{
			"no schema":                  {`{"count":1}`, 400, "invalidSyntax"},
			"another schema":             {`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}`, 400, "invalidSyntax"},
			"a count that is a truth":    {searchBody(t, map[string]any{"count": true}), 400, "invalidValue"},
			"a filter that is a number":  {searchBody(t, map[string]any{"filter": 7}), 400, "invalidValue"},
			"names that are no texts":    {searchBody(t, map[string]any{"attributes": []any{1}}), 400, "invalidValue"},
			"a filter that is broken":    {searchBody(t, map[string]any{"filter": "userName eq"}), 400, "invalidFilter"},
			"both lists of names":        {searchBody(t, map[string]any{"attributes": []string{"id"}, "excludedAttributes": []string{"meta"}}), 400, "invalidValue"},
			"a cursor that is a number":  {searchBody(t, map[string]any{"cursor": 5}), 400, "invalidValue"},
			"a body that is only begun":  {`{"schemas":[`, 400, "invalidSyntax"},
			"a list instead of a search": {`[]`, 400, "invalidSyntax"},
		} {
			if a := w.send(t, scimRequest{method: post, path: "/Users/.search", body: x.body}); a.status != x.status || a.text("scimType") != x.want {
				t.Errorf("%s: %d %s, want %s", what, a.status, a.raw, x.want)
			}
		}
		if a := w.send(t, scimRequest{method: get, path: "/Users/.search"}); a.status != 405 {
			t.Errorf("a GET of a search: %d %s", a.status, a.raw)
		}
	})
}
