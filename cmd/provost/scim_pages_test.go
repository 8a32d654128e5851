package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
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
	t.Parallel()
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
			"a cursor of another order":        {"/Users?sortBy=title&cursor=" + first, "invalidCursor"},
			"a cursor of the list of both":     {"/?cursor=" + first, "invalidCursor"},
			"a cursor that was changed":        {"/Users?cursor=" + first[:6] + "A" + first[7:], "invalidCursor"},
			"a negative count with a cursor":   {"/Users?count=-1&cursor=" + first, "invalidCount"},
			"a count of nothing with a cursor": {"/Users?count=0&cursor=", "invalidCount"},
			"a count that is no number either": {"/Users?count=x&cursor=" + first, "invalidCount"},
		} {
			if a := w.send(t, scimRequest{method: get, path: x.path}); a.status != 400 || a.text("scimType") != x.scimType {
				t.Errorf("%s: %d %s, want %s", what, a.status, a.raw, x.scimType)
			}
		}
	})
}

// Who leaves, comes or changes between two pages must not move anybody else: not past
// the place of the cursor, nor when the record at the place itself goes.
func TestPagesByCursorHoldWhileRecordsComeAndGo(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		ids := w.newUsers(t, "stay", 12) // stay0, stay10, stay11, stay1, stay2, …
		turn := func(cursor string) *scimAnswer {
			return w.send(t, scimRequest{method: get, path: "/Users?sortBy=userName&count=4&attributes=userName&cursor=" + cursor})
		}
		first := turn("")
		if got, want := namesOf(first), []string{"stay0", "stay10", "stay11", "stay1"}; !slices.Equal(got, want) {
			t.Fatalf("first page %v", got)
		}
		w.send(t, scimRequest{method: remove, path: "/Users/" + string(ids[1])}) // the record at the place
		w.newUsers(t, "aaa", 1)                                                  // before it
		w.newUsers(t, "stay1a", 1)                                               // right after it
		second := turn(first.text("nextCursor"))
		if got, want := namesOf(second), []string{"stay1a0", "stay2", "stay3", "stay4"}; !slices.Equal(got, want) {
			t.Errorf("second page %v, want %v", got, want)
		}
		if a, b := fmt.Sprint(first.get("totalResults")), fmt.Sprint(second.get("totalResults")); a != "12" || b != "12" {
			t.Errorf("totalResults %s and %s, want those of when the list began", a, b)
		}
		before := turn(second.text("previousCursor"))
		if got, want := namesOf(before), []string{"aaa0", "stay0", "stay10", "stay11"}; !slices.Equal(got, want) {
			t.Errorf("the page before it %v, want %v", got, want)
		}
		for _, name := range []string{"aaa0", "stay0", "stay10", "stay11"} {
			found := w.send(t, scimRequest{method: get, path: `/Users?filter=userName eq "` + name + `@example.com"`})
			w.send(t, scimRequest{method: remove, path: "/Users/" + string(idsOf(found)[0])})
		}
		empty := turn(second.text("previousCursor"))
		if len(idsOf(empty)) != 0 || empty.text("previousCursor") != "" {
			t.Errorf("before everybody: %s", empty.raw)
		}
		if got := namesOf(turn(empty.text("nextCursor"))); !slices.Equal(got, namesOf(second)) {
			t.Errorf("after nobody %v", got)
		}
	})
}

// namesOf are the userNames, without domains, of a page.
func namesOf(a *scimAnswer) (names []string) {
	list, _ := a.get("Resources").([]any)
	for _, r := range list {
		name, _, _ := strings.Cut(r.(map[string]any)["userName"].(string), "@")
		names = append(names, name)
	}
	return names
}

func TestASearchByPOSTIsTheListOfItsQuery(t *testing.T) {
	t.Parallel()
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

// A client that goes on at startIndex + count skips groups if a page ends early,
// however much is in them.
func TestAPageHoldsAsManyGroupsAsWereAskedFor(t *testing.T) {
	t.Parallel()
	const size, around, large = 9000, 20, 3
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		var refs []store.MemberRef
		for _, id := range w.newUsers(t, "many", size) {
			refs = append(refs, store.MemberRef{ID: id})
		}
		want := map[string]int{} // how many members a group states
		state := func(name string, members []store.MemberRef) store.ID {
			want[name] = len(members)
			out := w.state(t, store.Statement{Groups: []store.GroupStatement{{DisplayName: &name, Members: store.MemberStatement{Add: members}}}})
			return out.Groups[0].ID
		}
		var inner store.ID
		for i := range large {
			inner = state(fmt.Sprintf("large %d", i), refs)
		}
		for i := range around { // each has as many effective members as the large one in it
			state(fmt.Sprintf("around %d", i), []store.MemberRef{{ID: inner}})
		}
		got := map[string]int{}
		count := func(a *scimAnswer) {
			list, _ := a.get("Resources").([]any)
			for _, r := range list {
				members, _ := r.(map[string]any)["members"].([]any)
				got[r.(map[string]any)["displayName"].(string)] += len(members)
			}
			if n := fmt.Sprint(a.get("itemsPerPage")); n != fmt.Sprint(len(list)) {
				t.Errorf("itemsPerPage %s of %d resources", n, len(list))
			}
		}
		for name, pages := range map[string]func(){
			"one page": func() { count(w.send(t, scimRequest{method: get, path: "/Groups"})) },
			"the root": func() { count(w.send(t, scimRequest{method: get, path: "/?filter=displayName pr"})) },
			"by a POST": func() {
				count(w.send(t, scimRequest{method: post, path: "/Groups/.search", body: searchBody(t, map[string]any{})}))
			},
			"cut down": func() {
				count(w.send(t, scimRequest{method: get, path: "/Groups?attributes=displayName,members.value"}))
			},
			"backwards": func() {
				count(w.send(t, scimRequest{method: get, path: "/Groups?sortBy=displayName&sortOrder=descending"}))
			},
			"two halves": func() {
				for _, start := range []string{"1", "12"} {
					count(w.send(t, scimRequest{method: get, path: "/Groups?count=11&startIndex=" + start}))
				}
				count(w.send(t, scimRequest{method: get, path: "/Groups?count=11&startIndex=23"}))
			},
			"by cursor": func() {
				cursor, n := "", 0
				for ; n == 0 || cursor != ""; n++ {
					a := w.send(t, scimRequest{method: get, path: "/Groups?count=10&cursor=" + cursor})
					count(a)
					cursor = a.text("nextCursor")
				}
				if n != 3 {
					t.Errorf("%d pages by cursor", n)
				}
			},
		} {
			clear(got)
			pages()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: members (-want +got):\n%s", name, diff)
			}
		}
	})
}
