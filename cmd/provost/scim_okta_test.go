package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// oktaHeader is what Okta sends with every request, GET too.
var oktaHeader = map[string]string{"Content-Type": "application/scim+json; charset=utf-8", "Accept-Charset": "utf-8", "Accept": "application/scim+json"}

const oktaPassword = "1mz050nq-placeholder"

const oktaAda = `{
	"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada@example.com", "name": {"givenName": "Ada", "familyName": "Byron"},
	"emails": [{"primary": true, "value": "ada@example.com", "type": "work"}], "displayName": "Ada Byron", "locale": "en-US",
	"externalId": "00ujl29u0le5T6Aj10h7", "groups": [], "password": "` + oktaPassword + `", "active": true}`

const oktaBob = `{
	"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "bob@example.com", "displayName": "Bob",
	"emails": [{"primary": true, "value": "bob@example.com", "type": "work"}], "externalId": "00ujl29u0le5T6Aj10h8", "groups": [],
	"password": "` + oktaPassword + `", "active": true}`

// TestOkta replays what an Okta integration does, from the import to group push.
func TestOkta(t *testing.T) {
	t.Parallel()
	users := okta(
		exchange{name: "an import of nobody", method: get, path: "/Users?startIndex=1&count=100", status: 200, want: nobody},
		exchange{name: "matching finds nobody", method: get, path: `/Users?filter=userName eq "ada@example.com"&startIndex=1&count=100`, status: 200, want: nobody},
		exchange{name: "a user is created; the password is thrown away", method: post, path: "/Users", body: oktaAda, status: 201, save: "ada",
			want:    `{"userName":"ada@example.com","active":true,"locale":"en-US","externalId":"00ujl29u0le5T6Aj10h7","name":{"givenName":"Ada","familyName":"Byron"}}`,
			without: []string{"password", "groups"}},
		exchange{name: "creating it again is a conflict", method: post, path: "/Users", body: oktaAda, status: 409, want: `{"scimType":"uniqueness","status":"409"}`},
		exchange{name: "another is created", method: post, path: "/Users", body: oktaBob, status: 201, save: "bob"},
		exchange{name: "matching finds the user", method: get, path: `/Users?filter=userName eq "ADA@example.com"&startIndex=1&count=100`, status: 200,
			want: `{"totalResults":1,"startIndex":1,"itemsPerPage":1,"Resources":[{"id":"<ada>"}]}`, without: []string{"password"}},
		exchange{name: "a body may say it is plain JSON", method: patch, path: "/Users/<ada>", body: `{S,"Operations":[{"op":"replace","value":{"nickName":"A"}}]}`,
			status: 200, want: `{"nickName":"A"}`, header: map[string]string{"Content-Type": "application/json"}},
		exchange{name: "a password in a PATCH is thrown away", method: patch, path: "/Users/<ada>", body: `{S,"Operations":[{"op":"replace","value":{"password":"` + oktaPassword + `"}}]}`,
			status: 200, want: `{"meta":{"version":"W/\"2\""}}`, without: []string{"password"}},
		exchange{name: "a user is deactivated", method: patch, path: "/Users/<bob>", body: `{S,"Operations":[{"op":"replace","value":{"active":false}}]}`, status: 200, want: `{"active":false}`},
		exchange{name: "a PUT without active leaves it", method: put, path: "/Users/<bob>", body: strings.Replace(oktaBob, `"active": true`, `"title": "T"`, 1), status: 200,
			want: `{"active":false,"title":"T"}`},
		exchange{name: "a user is activated", method: patch, path: "/Users/<bob>", body: `{S,"Operations":[{"op":"replace","value":{"active":true}}]}`, status: 200, want: `{"active":true}`},
	)
	groups := okta(
		exchange{name: "a group is pushed with an empty list", method: post, path: "/Groups", body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Sales","members":[]}`,
			status: 201, save: "sales", want: `{"displayName":"Sales"}`, without: []string{"members"}},
		exchange{name: "it is renamed with its own id in the value", method: patch, path: "/Groups/<sales>", body: `{S,"Operations":[{"op":"replace","value":{"id":"<sales>","displayName":"Sales EU"}}]}`,
			status: 200, want: `{"displayName":"Sales EU","meta":{"version":"W/\"2\""}}`},
		exchange{name: "the rename that comes with every change changes nothing", method: patch, path: "/Groups/<sales>", body: `{S,"Operations":[{"op":"replace","value":{"id":"<sales>","displayName":"Sales EU"}}]}`,
			status: 200, want: `{"displayName":"Sales EU","meta":{"version":"W/\"2\""}}`},
		exchange{name: "another id is refused", method: patch, path: "/Groups/<sales>", body: `{S,"Operations":[{"op":"replace","value":{"id":"<ada>","displayName":"X"}}]}`,
			status: 400, want: `{"scimType":"mutability"}`},
		exchange{name: "members are added", method: patch, path: "/Groups/<sales>", body: `{S,"Operations":[{"op":"add","path":"members","value":[{"value":"<ada>","display":"ada@example.com"},{"value":"<bob>","display":"bob@example.com"}]}]}`,
			status: 200, want: `{"members":[{"value":"<ada>","display":"Countess Lovelace","type":"User"},{"value":"<bob>"}]}`},
		exchange{name: "one is removed by a filter, and one added", method: patch, path: "/Groups/<sales>", body: `{S,"Operations":[{"op":"remove","path":"members[value eq \"<ada>\"]"},{"op":"add","path":"members","value":[{"value":"<bob>"}]}]}`,
			status: 200, want: `{"members":[{"value":"<bob>"}]}`},
		exchange{name: "members are replaced", method: patch, path: "/Groups/<sales>", body: `{S,"Operations":[{"op":"replace","path":"members","value":[{"value":"<ada>"}]}]}`,
			status: 200, want: `{"members":[{"value":"<ada>"}]}`},
		exchange{name: "a custom app PUTs the group", method: put, path: "/Groups/<sales>", body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"id":"<sales>","displayName":"Sales","members":[{"value":"<bob>"},{"value":"<ada>"}],"meta":{"resourceType":"Group"}}`,
			status: 200, want: `{"displayName":"Sales","members":[{"value":"<ada>"},{"value":"<bob>"}]}`},
		exchange{name: "a PUT without members leaves them", method: put, path: "/Groups/<sales>", body: `{"displayName":"Sales"}`,
			status: 200, want: `{"members":[{"value":"<ada>"},{"value":"<bob>"}]}`},
		exchange{name: "a second group is pushed and emptied", method: post, path: "/Groups", body: `{"displayName":"Empty","members":[{"value":"<ada>"}]}`, status: 201, save: "empty"},
		exchange{name: "a PUT with an empty list removes all", method: put, path: "/Groups/<empty>", body: `{"displayName":"Empty","members":[]}`, status: 200, without: []string{"members"}},
	)
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		w.replay(t, users)
		t.Run("a bad token is a SCIM error with a string for a status", func(t *testing.T) {
			a := w.send(t, scimRequest{method: get, path: "/Users", header: map[string]string{"Authorization": "Bearer nonsense"}})
			if a.status != 401 || a.text("status") != "401" || a.text("detail") == "" || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%d %v %s", a.status, a.header, a.raw)
			}
		})
		t.Run("a custom app reads, changes and writes everything back", func(t *testing.T) { oktaPut(t, w) })
		w.replay(t, groups)
		t.Run("the password is stored nowhere", func(t *testing.T) {
			for _, e := range w.log(t) {
				if bytes.Contains(e.Data, []byte(oktaPassword)) || bytes.Contains(e.Data, []byte("password")) {
					t.Errorf("an event has it: %s", e.Data)
				}
			}
			if a := w.send(t, scimRequest{method: get, path: "/Users?attributes=password,userName"}); bytes.Contains(a.raw, []byte("password")) {
				t.Errorf("it is returned: %s", a.raw)
			}
			if a := w.send(t, scimRequest{method: get, path: `/Users?filter=password eq "` + oktaPassword + `"`}); a.status != 400 || a.text("scimType") != "invalidFilter" {
				t.Errorf("it can be searched: %d %s", a.status, a.raw)
			}
		})
		w.holds(t, pushed{
			Users: map[string]pushedUser{
				"ada@example.com": {ExternalID: "00ujl29u0le5T6Aj10h7", Name: "Countess Lovelace", Emails: []string{"ada@example.com"}, Groups: []string{"Sales"}},
				"bob@example.com": {ExternalID: "00ujl29u0le5T6Aj10h8", Name: "Bob", Emails: []string{"bob@example.com"}, Groups: []string{"Sales"}},
			},
			Groups: map[string]pushedGroup{
				"Sales": {Members: []string{"ada@example.com", "bob@example.com"}, Effective: []string{"ada@example.com", "bob@example.com"}},
				"Empty": {},
			},
		})
		t.Run("an import pages through all users in a stable order", func(t *testing.T) { oktaImport(t, w) })
	})
}

func okta(list ...exchange) []exchange {
	all := expand(list)
	for i := range all {
		if all[i].header == nil {
			all[i].header = oktaHeader
		}
	}
	return all
}

// oktaPut updates as custom apps do: GET, change, and PUT everything back.
func oktaPut(t *testing.T, w *scimWorld) {
	path := "/Users/" + w.saved["ada"]
	before := w.send(t, scimRequest{method: get, path: path, header: oktaHeader})
	events := w.events(t)
	same := w.send(t, scimRequest{method: put, path: path, body: string(before.raw), header: oktaHeader})
	if same.status != 200 || same.text("meta", "version") != before.text("meta", "version") || same.text("meta", "lastModified") != before.text("meta", "lastModified") {
		t.Errorf("putting back what was read: %d %s", same.status, same.raw)
	}
	if n := w.events(t); n != events {
		t.Errorf("putting back what was read made %d events", n-events)
	}
	resource := before.body.(map[string]any)
	resource["displayName"] = "Countess Lovelace"
	delete(resource, "nickName")
	body, err := json.Marshal(resource)
	if err != nil {
		t.Fatal(err)
	}
	after := w.send(t, scimRequest{method: put, path: path, body: string(body), header: oktaHeader})
	if after.status != 200 || after.text("displayName") != "Countess Lovelace" || after.get("nickName") != nil || after.text("meta", "version") != `W/"3"` {
		t.Errorf("putting back a change: %d %s", after.status, after.raw)
	}
	if n := w.events(t); n != events+1 {
		t.Errorf("one change made %d events", n-events)
	}
}

// oktaImport reads pages of 100 by totalResults.
func oktaImport(t *testing.T, w *scimWorld) {
	w.newUsers(t, "import", 248) // and two are there
	var seen []string
	for start, total := 1, 1; start <= total; start += 100 {
		a := w.send(t, scimRequest{method: get, path: fmt.Sprintf("/Users?startIndex=%d&count=100", start), header: oktaHeader})
		var page struct {
			TotalResults, StartIndex, ItemsPerPage int
			Resources                              []struct{ ID string }
		}
		if err := json.Unmarshal(a.raw, &page); a.status != http.StatusOK || err != nil {
			t.Fatalf("%d %s: %v", a.status, a.raw, err)
		}
		want := min(100, 250-start+1)
		if page.TotalResults != 250 || page.StartIndex != start || page.ItemsPerPage != want || len(page.Resources) != want {
			t.Errorf("page at %d: total %d, start %d, items %d, resources %d", start, page.TotalResults, page.StartIndex, page.ItemsPerPage, len(page.Resources))
		}
		total = page.TotalResults
		for _, r := range page.Resources {
			seen = append(seen, r.ID)
		}
	}
	if n := len(seen); n != 250 {
		t.Errorf("%d users were seen", n)
	}
	slices.Sort(seen)
	if n := len(slices.Compact(seen)); n != 250 {
		t.Errorf("%d different users were seen", n)
	}
}
