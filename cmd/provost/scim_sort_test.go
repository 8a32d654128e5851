package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// sortPaths are ways to sort users, with the value that each looks at: the oracle.
var sortPaths = map[string]func(u map[string]any) string{
	"userName":       func(u map[string]any) string { return store.Fold(fmt.Sprint(u["userName"])) },
	"TITLE":          func(u map[string]any) string { return foldedText(u, "title") },
	"name.givenName": func(u map[string]any) string { return foldedText(u, "name", "givenName") },
	"nickName":       func(u map[string]any) string { return foldedText(u, "nickName") },
	"profileUrl":     func(u map[string]any) string { s, _ := u["profileUrl"].(string); return s },
	"active":         func(u map[string]any) string { return fmt.Sprint(u["active"]) }, // false before true
	"emails":         primaryEmail,
	"emails.value":   primaryEmail,
	"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter": func(u map[string]any) string {
		return foldedText(u, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "costCenter")
	},
	"id":           func(u map[string]any) string { return fmt.Sprint(u["id"]) },
	"meta.created": func(u map[string]any) string { return u["meta"].(map[string]any)["created"].(string) },
}

func foldedText(v any, path ...string) string {
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	s, _ := v.(string)
	return store.Fold(s)
}

func primaryEmail(u map[string]any) string {
	list, _ := u["emails"].([]any)
	best := ""
	for i, e := range list {
		if e := e.(map[string]any); i == 0 || e["primary"] == true {
			best = store.Fold(e["value"].(string))
		}
	}
	return best
}

// turnPages turns through a list by nextCursor, and then back by previousCursor.
func (w *scimWorld) turnPages(t *testing.T, path, query string) (forth, back []string) {
	t.Helper()
	texts := func(page *scimAnswer) (ids []string) {
		for _, id := range idsOf(page) {
			ids = append(ids, string(id))
		}
		return ids
	}
	turn := func(cursor string) *scimAnswer {
		page := w.send(t, scimRequest{method: get, path: path + "?" + query + "&cursor=" + cursor})
		if page.status != 200 {
			t.Fatalf("%s %s: %d %s", path, query, page.status, page.raw)
		}
		return page
	}
	page := turn("")
	if page.get("previousCursor") != nil {
		t.Errorf("%s: something is before the first page: %s", query, page.raw)
	}
	for {
		forth = append(forth, texts(page)...)
		next := page.text("nextCursor")
		if next == "" {
			break
		}
		page = turn(next)
	}
	for {
		back = append(texts(page), back...)
		previous := page.text("previousCursor")
		if previous == "" {
			return forth, back
		}
		page = turn(previous)
		if page.text("nextCursor") == "" {
			t.Errorf("%s: nothing is after the page before one", query)
		}
	}
}

func TestListsAreSorted(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		r := rand.New(rand.NewPCG(1, 2))
		maybe := func(name string, values ...string) string {
			if v := values[r.IntN(len(values))]; v != "" {
				return fmt.Sprintf(`,%q:%q`, name, v)
			}
			return ""
		}
		for i := range 40 {
			emails := ""
			if n := r.IntN(3); n > 0 {
				emails = fmt.Sprintf(`,"emails":[{"value":"%d@z.example"},{"value":"%d@a.example","primary":%t}]`, r.IntN(9), r.IntN(9), n == 2)
			}
			body := fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"%c%d@example.com","active":%t`,
				"aBcÄzß"[r.IntN(3)], i, r.IntN(2) == 0) +
				maybe("title", "", "Chief", "chief", "Ädil", "zeta", "Z-1") + maybe("nickName", "", "B", "a", "ÿ") + maybe("profileUrl", "", "B", "a") + emails +
				`,"name":{"familyName":"F"` + maybe("givenName", "", "Björn", "anna", "Zoë") + `}` +
				`,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"division":"D"` + maybe("costCenter", "", "10", "9", "x") + `}}`
			if a := w.send(t, scimRequest{method: post, path: "/Users", body: body}); a.status != 201 {
				t.Fatalf("%d %s", a.status, a.raw)
			}
		}
		all := w.send(t, scimRequest{method: get, path: "/Users?count=100"}) // in the order of keys, which ties keep
		list, _ := all.get("Resources").([]any)
		if len(list) != 40 {
			t.Fatalf("%d users", len(list))
		}
		for path, value := range sortPaths {
			for _, order := range []string{"", "ascending", "Descending"} {
				want := slices.Clone(list)
				down := order == "Descending"
				slices.SortStableFunc(want, func(a, b any) int {
					x, y := value(a.(map[string]any)), value(b.(map[string]any))
					n := strings.Compare(x, y)
					if (x == "") != (y == "") { // what has no value is last, and first if descending
						n = -n
					}
					if down {
						n = -n
					}
					return n
				})
				var ids, got []string
				for _, u := range want {
					ids = append(ids, u.(map[string]any)["id"].(string))
				}
				for start := 1; start <= 40; start += 15 {
					q := fmt.Sprintf("sortBy=%s&startIndex=%d&count=15", path, start)
					if order != "" {
						q += "&sortOrder=" + order
					}
					page := w.send(t, scimRequest{method: get, path: "/Users?" + q})
					if page.status != 200 {
						t.Fatalf("%s: %d %s", q, page.status, page.raw)
					}
					for _, id := range idsOf(page) {
						got = append(got, string(id))
					}
				}
				if diff := cmp.Diff(ids, got); diff != "" {
					t.Errorf("by %s %s (-want +got):\n%s", path, order, diff)
				}
				q := "sortBy=" + path + "&count=15"
				if order != "" {
					q += "&sortOrder=" + order
				}
				forth, back := w.turnPages(t, "/Users", q)
				if diff := cmp.Diff(ids, forth); diff != "" {
					t.Errorf("by %s %s by cursor (-want +got):\n%s", path, order, diff)
				}
				if diff := cmp.Diff(ids, back); diff != "" {
					t.Errorf("by %s %s by cursor and back (-want +got):\n%s", path, order, diff)
				}
			}
		}
		for q, want := range map[string]int{
			"sortBy=userName&filter=active eq true":           200,
			`sortBy=meta.lastModified&filter=userName eq "x"`: 200,
			"sortBy=meta.resourceType":                        200,
			"sortBy=emails.type":                              200,
			"sortBy=emails.primary":                           200,
			"sortBy=password":                                 400,
			"sortBy=shoeSize":                                 400,
			"sortBy=name":                                     400,
			"sortBy=groups":                                   200,
			"sortBy=groups.display":                           200,
			"sortBy=meta.location":                            200,
			"sortBy=meta":                                     400,
			"sortBy=addresses":                                400,
			"sortBy=userName&sortOrder=up":                    400,
			"sortBy=userName&cursor=":                         200,
			"sortBy=shoeSize&cursor=":                         400,
		} {
			if a := w.send(t, scimRequest{method: get, path: "/Users?" + q}); a.status != want || want == 400 && a.text("scimType") != "invalidValue" {
				t.Errorf("%s: %d %s", q, a.status, a.raw)
			}
		}
		for _, by := range []string{"displayName", "externalId", "meta.lastModified", "urn:provost:params:scim:schemas:extension:1.0:Group:effectiveCount",
			"members", "members.type", "urn:provost:params:scim:schemas:extension:1.0:Group:description", "urn:provost:params:scim:schemas:extension:1.0:Group:overCap"} {
			if a := w.send(t, scimRequest{method: get, path: "/Groups?sortOrder=descending&sortBy=" + by}); a.status != 200 {
				t.Errorf("groups by %s: %d %s", by, a.status, a.raw)
			}
		}
	})
}
