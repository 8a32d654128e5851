package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// bulkOp is one operation of a Bulk as it is sent.
type bulkOp struct {
	Method  string `json:"method"`
	BulkID  string `json:"bulkId,omitempty"`
	Version string `json:"version,omitempty"`
	Path    string `json:"path"`
	Data    any    `json:"data,omitempty"`
}

// bulkResult is what the answer says of one.
type bulkResult struct {
	Location, Method, BulkID, Version, Status string
	Response                                  struct{ Status, ScimType, Detail string }
}

// said is a result in short: "201", "409 uniqueness".
func (r bulkResult) said() string { return strings.TrimSpace(r.Status + " " + r.Response.ScimType) }

func raw(s string) json.RawMessage { return json.RawMessage(s) }

// bulk sends operations and returns the result of each that was carried out.
func (w *scimWorld) bulk(t *testing.T, failOnErrors int, ops ...bulkOp) []bulkResult {
	t.Helper()
	request := map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:BulkRequest"}, "Operations": ops}
	if failOnErrors > 0 {
		request["failOnErrors"] = failOnErrors
	}
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	a := w.send(t, scimRequest{method: post, path: "/Bulk", body: string(body)})
	if a.status != http.StatusOK {
		t.Fatalf("Bulk answered %d %s", a.status, a.raw)
	}
	var answer struct {
		Schemas    []string
		Operations []bulkResult
	}
	if err := json.Unmarshal(a.raw, &answer); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"urn:ietf:params:scim:api:messages:2.0:BulkResponse"}, answer.Schemas); diff != "" {
		t.Error(diff)
	}
	for i, r := range answer.Operations {
		failed := r.Status >= "400"
		switch {
		case failed != (r.Response.Detail != "") || failed && r.Response.Status != r.Status:
			t.Errorf("operation %d: an error has a body and nothing else has: %+v", i, r)
		case !failed && r.Method != http.MethodDelete && (r.Version == "" || r.Location == ""):
			t.Errorf("operation %d: no version or location: %+v", i, r)
		}
	}
	return answer.Operations
}

func saids(results []bulkResult) []string {
	out := make([]string, len(results))
	for i, r := range results {
		out[i] = r.said()
	}
	return out
}

// id is the id at the end of a result's location.
func (r bulkResult) id() store.ID {
	return store.ID(r.Location[strings.LastIndexByte(r.Location, '/')+1:])
}

func person(name string) json.RawMessage { return raw(`{"userName":"` + name + `@example.com"}`) }

func managed(name, manager string) json.RawMessage {
	return raw(`{"userName":"` + name + `@example.com","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"` + manager + `"}}}`)
}

func team(name string, members ...string) json.RawMessage {
	list := make([]string, len(members))
	for i, m := range members {
		list[i] = `{"value":"` + m + `"}`
	}
	return raw(`{"displayName":"` + name + `","members":[` + strings.Join(list, ",") + `]}`)
}

func adding(member string) json.RawMessage {
	return raw(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"add","path":"members","value":[{"value":"` + member + `"}]}]}`)
}

func removing(member string) json.RawMessage {
	return raw(`[{"op":"remove","path":"members[value eq \"` + member + `\"]"}]`)
}

func TestABulkDoesWhatEachOperationWouldDoAlone(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		made := w.bulk(t, 0,
			bulkOp{Method: "POST", BulkID: "a", Path: "/Users", Data: person("ada")},
			bulkOp{Method: "post", BulkID: "b", Path: "/Users", Data: raw(`{"userName":"ben@example.com","nickName":"B"}`)},
			bulkOp{Method: "POST", BulkID: "g", Path: "/Groups", Data: team("Team", "bulkId:a", "bulkId:b")},
			bulkOp{Method: "POST", BulkID: "c", Path: "/Users", Data: person("cem")},
		)
		if diff := cmp.Diff([]string{"201", "201", "201", "201"}, saids(made)); diff != "" {
			t.Fatal(diff)
		}
		ada, ben, group, cem := made[0].id(), made[1].id(), made[2].id(), made[3].id()
		changed := w.bulk(t, 0,
			bulkOp{Method: "PATCH", Path: "/Users/" + string(ada), Data: raw(`[{"op":"replace","path":"title","value":"Dr"}]`)},
			bulkOp{Method: "PUT", Path: "/Users/" + string(ben), Data: raw(`{"userName":"benjamin@example.com"}`), Version: made[1].Version},
			bulkOp{Method: "DELETE", Path: "/Users/" + string(cem)},
			bulkOp{Method: "PATCH", Path: "/Users/" + string(ada), Data: raw(`[{"op":"replace","path":"displayName","value":"Ada"}]`)},
			bulkOp{Method: "PATCH", Path: "/Groups/" + string(group), Data: removing(string(ben))},
			bulkOp{Method: "PUT", Path: "/Users/" + string(ben), Data: person("ben"), Version: made[1].Version},
			bulkOp{Method: "GET", Path: "/Users/" + string(ada)},
			bulkOp{Method: "PATCH", Path: "/Devices/1", Data: raw(`[]`)},
			bulkOp{Method: "POST", BulkID: "x", Path: "/Users/" + string(ada), Data: person("x")},
			bulkOp{Method: "POST", Path: "/Users", Data: person("x")},
			bulkOp{Method: "PUT", Path: "/Users/" + string(ada)},
			bulkOp{Method: "DELETE", Path: "/Users/" + string(cem)},
			bulkOp{Method: "POST", BulkID: "y", Path: "/Users", Data: person("BENJAMIN")},
			bulkOp{Method: "POST", BulkID: "z", Path: "/Users", Data: raw(`{"userName":"z@elsewhere.example"}`)},
			bulkOp{Method: "PATCH", Path: "/Users/" + string(ada), Data: raw(`[{"op":"replace","path":"groups","value":[]}]`)},
			bulkOp{Method: "DELETE", Path: "/Groups/" + string(group), Version: `W/"1"`},
		)
		if diff := cmp.Diff([]string{
			"200", "200", "204", "200", "200", "412", "400 invalidSyntax", "404", "405", "400 invalidSyntax", "400 invalidSyntax", "404",
			"409 uniqueness", "400 invalidValue", "400 mutability", "412",
		}, saids(changed)); diff != "" {
			t.Error(diff)
		}
		for i, want := range map[int]string{3: string(ada), 1: string(ben)} {
			a := w.send(t, scimRequest{method: get, path: "/Users/" + want})
			if a.header.Get("ETag") != changed[i].Version || a.header.Get("Location") != changed[i].Location {
				t.Errorf("the Bulk said %+v, GET %s %s", changed[i], a.header.Get("Location"), a.header.Get("ETag"))
			}
		}
		w.holds(t, pushed{
			Users: map[string]pushedUser{
				"ada@example.com":      {Name: "Ada", Groups: []string{"Team"}},
				"benjamin@example.com": {},
			},
			Groups: map[string]pushedGroup{"Team": {Members: []string{"ada@example.com"}, Effective: []string{"ada@example.com"}}},
		})
	})
}

func TestReferencesOfABulkGoInAnyOrderAndInCircles(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		results := w.bulk(t, 0,
			bulkOp{Method: "PATCH", Path: "/Groups/bulkId:a", Data: adding("bulkId:kim")},
			bulkOp{Method: "POST", BulkID: "a", Path: "/Groups", Data: team("A", "bulkId:b")},
			bulkOp{Method: "POST", BulkID: "b", Path: "/Groups", Data: team("B", "bulkId:a", "bulkId:lee")},
			bulkOp{Method: "POST", BulkID: "lee", Path: "/Users", Data: managed("lee", "bulkId:kim")},
			bulkOp{Method: "POST", BulkID: "kim", Path: "/Users", Data: managed("kim", "bulkId:lee")},
			bulkOp{Method: "PATCH", Path: "/Users/bulkId:kim", Data: raw(`[{"op":"add","path":"nickName","value":"K"}]`)},
			bulkOp{Method: "POST", BulkID: "max", Path: "/Users", Data: managed("max", "bulkId:max")},
			bulkOp{Method: "POST", BulkID: "eve", Path: "/Users", Data: person("eve")},
			bulkOp{Method: "PATCH", Path: "/Users/bulkId:eve", Data: raw(`[{"op":"add","value":{"manager":{"$ref":"https://x/Users/bulkId:kim"}}}]`)},
			bulkOp{Method: "POST", BulkID: "tmp", Path: "/Groups", Data: team("Temporary", "bulkId:eve")},
			bulkOp{Method: "DELETE", Path: "/Groups/bulkId:tmp"},
			bulkOp{Method: "PATCH", Path: "/Groups/bulkId:b", Data: removing("bulkId:lee")},
		)
		if diff := cmp.Diff([]string{"200", "201", "201", "201", "201", "200", "201", "201", "200", "201", "204", "200"}, saids(results)); diff != "" {
			t.Fatal(diff)
		}
		w.holds(t, pushed{
			Users: map[string]pushedUser{
				"lee@example.com": {Manager: "kim@example.com"},
				"kim@example.com": {Manager: "lee@example.com", Groups: []string{"A", "B"}},
				"max@example.com": {Manager: "max@example.com"},
				"eve@example.com": {Manager: "kim@example.com"},
			},
			Groups: map[string]pushedGroup{
				"A": {Members: []string{"B", "kim@example.com"}, Effective: []string{"kim@example.com"}},
				"B": {Members: []string{"A"}, Effective: []string{"kim@example.com"}},
			},
		})
		t.Run("a record that returns is found by those that refer to it", func(t *testing.T) {
			gone := w.bulk(t, 0,
				bulkOp{Method: "POST", BulkID: "r", Path: "/Users", Data: raw(`{"userName":"rob@example.com","externalId":"r"}`)},
				bulkOp{Method: "DELETE", Path: "/Users/bulkId:r"})
			back := w.bulk(t, 0,
				bulkOp{Method: "POST", BulkID: "s", Path: "/Users", Data: managed("sue", "bulkId:r")},
				bulkOp{Method: "POST", BulkID: "g", Path: "/Groups", Data: team("Robs", "bulkId:r")},
				bulkOp{Method: "POST", BulkID: "r", Path: "/Users", Data: raw(`{"userName":"rob@example.com","externalId":"r"}`)})
			if back[2].id() != gone[0].id() {
				t.Errorf("it came back as %s, and was %s", back[2].id(), gone[0].id())
			}
			state := w.stored(t)
			if diff := cmp.Diff([]string{"rob@example.com"}, state.Groups["Robs"].Effective); diff != "" || state.Users["sue@example.com"].Manager != "rob@example.com" {
				t.Errorf("%s, %+v", diff, state.Users["sue@example.com"])
			}
		})
	})
}

func TestWhatRefersToARefusedOperationIsRefused(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		existing := w.bulk(t, 0, bulkOp{Method: "POST", BulkID: "g", Path: "/Groups", Data: team("Old")})[0].id()
		results := w.bulk(t, 0,
			bulkOp{Method: "POST", BulkID: "bad", Path: "/Users", Data: raw(`{"userName":"bad@elsewhere.example"}`)},
			bulkOp{Method: "POST", BulkID: "good", Path: "/Users", Data: person("good")},
			bulkOp{Method: "POST", BulkID: "boss", Path: "/Users", Data: managed("boss", "bulkId:bad")},
			bulkOp{Method: "POST", BulkID: "clerk", Path: "/Users", Data: managed("clerk", "bulkId:boss")},
			bulkOp{Method: "PATCH", Path: "/Groups/" + string(existing), Data: adding("bulkId:good")},
			bulkOp{Method: "PATCH", Path: "/Groups/" + string(existing), Data: adding("bulkId:bad")},
			bulkOp{Method: "PATCH", Path: "/Users/bulkId:bad", Data: raw(`[{"op":"add","path":"title","value":"x"}]`)},
			bulkOp{Method: "POST", BulkID: "a", Path: "/Groups", Data: team("A", "bulkId:b")},
			bulkOp{Method: "POST", BulkID: "b", Path: "/Groups", Data: team("B", "bulkId:a", "bulkId:bad")},
			bulkOp{Method: "POST", BulkID: "c", Path: "/Groups", Data: team("C", "bulkId:nobody")},
			bulkOp{Method: "PATCH", Path: "/Groups/" + string(existing), Data: adding("bulkId:nobody")},
			bulkOp{Method: "POST", BulkID: "s", Path: "/Groups", Data: team("S", "bulkId:s")},
			bulkOp{Method: "POST", BulkID: "broken", Path: "/Users", Data: raw(`{}`)},
			bulkOp{Method: "DELETE", Path: "/Users/bulkId:broken"},
			bulkOp{Method: "PUT", Path: "/Users/bulkId:nobody", Data: person("n")},
			bulkOp{Method: "PATCH", Path: "/Users/bulkId:good", Data: raw(`[{"op":"replace","path":"active","value":"maybe"}]`)},
		)
		if diff := cmp.Diff([]string{
			"400 invalidValue", "201", "409", "409", "200", "409", "409", "409", "409", "400 invalidValue", "400 invalidValue",
			"400 invalidValue", "400 invalidValue", "409", "400 invalidValue", "400 invalidValue",
		}, saids(results)); diff != "" {
			t.Error(diff)
		}
		for i, r := range results {
			if strings.Contains(r.Location, "bulkId:") {
				t.Errorf("operation %d is at %s, where nothing is", i, r.Location)
			}
		}
		if at := results[len(results)-1].Location; at == "" || at != results[1].Location {
			t.Errorf("a refused change of what another operation created is at %q, want %q", at, results[1].Location)
		}
		w.holds(t, pushed{
			Users:  map[string]pushedUser{"good@example.com": {Groups: []string{"Old"}}},
			Groups: map[string]pushedGroup{"Old": {Members: []string{"good@example.com"}, Effective: []string{"good@example.com"}}},
		})
	})
}

func TestABulkStopsAtFailOnErrors(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		post := func(name string) bulkOp {
			return bulkOp{Method: "POST", BulkID: name, Path: "/Users", Data: person(name)}
		}
		bad := bulkOp{Method: "DELETE", Path: "/Users/01900000-0000-7000-8000-000000000000"}
		results := w.bulk(t, 2, post("a"), bad, post("b"), bad, post("c"), bad)
		if diff := cmp.Diff([]string{"201", "404", "201", "404"}, saids(results)); diff != "" {
			t.Error(diff)
		}
		taken := post("a")
		taken.BulkID = "again"
		results = w.bulk(t, 1, post("d"), taken, post("e"))
		if diff := cmp.Diff([]string{"201", "409 uniqueness"}, saids(results)); diff != "" {
			t.Error(diff)
		}
		w.holds(t, pushed{
			Users:  map[string]pushedUser{"a@example.com": {}, "b@example.com": {}, "d@example.com": {}},
			Groups: map[string]pushedGroup{},
		})
	})
}

// TestABulkOfTenThousandMembershipsIsFast adds 10,000 users to one group, an operation
// each, takes them out again, and creates as many as fit beside a group that holds them.
func TestABulkOfTenThousandMembershipsIsFast(t *testing.T) {
	t.Parallel()
	const n = 10_000
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		ids := w.newUsers(t, "user", n-1)
		group := w.bulk(t, 0, bulkOp{Method: "POST", BulkID: "g", Path: "/Groups", Data: team("Everybody")})[0].id()
		path, before := "/Groups/"+string(group), w.events(t)
		ops := make([]bulkOp, n)
		for i := range ops {
			member := "01900000-0000-7000-8000-000000000000"
			if i > 0 {
				member = string(ids[i-1])
			}
			ops[i] = bulkOp{Method: "PATCH", Path: path, Data: adding(member)}
		}
		start := time.Now()
		results := w.bulk(t, 0, ops...)
		t.Logf("%d additions took %s", n, time.Since(start))
		if results[0].said() != "400 invalidValue" {
			t.Errorf("the unknown member: %+v", results[0])
		}
		for i, r := range results[1:] {
			if r.Status != "200" || r.Version != `W/"2"` {
				t.Fatalf("operation %d: %+v", i+1, r)
			}
		}
		if got := len(w.members(t, group, true)); got != n-1 {
			t.Errorf("the group has %d members", got)
		}
		if made := w.events(t) - before; made > 2*n/1000+2 {
			t.Errorf("%d events for one change", made)
		}
		for i := range ids {
			ops[i+1].Data = removing(string(ids[i]))
		}
		start = time.Now()
		results = w.bulk(t, 0, ops[1:]...)
		t.Logf("%d removals took %s", n-1, time.Since(start))
		if last := results[len(results)-1]; last.Status != "200" || last.Version != `W/"3"` {
			t.Errorf("%+v", last)
		}
		if got := len(w.members(t, group, false)); got != 0 {
			t.Errorf("the group has %d members left", got)
		}

		members := make([]string, n/2-1)
		var mixed []bulkOp
		for i := range members {
			name := fmt.Sprintf("new%d", i)
			members[i] = "bulkId:" + name
			mixed = append(mixed, bulkOp{Method: "POST", BulkID: name, Path: "/Users", Data: person(name)},
				bulkOp{Method: "PATCH", Path: path, Data: adding("bulkId:" + name)})
		}
		mixed = append([]bulkOp{{Method: "POST", BulkID: "all", Path: "/Groups", Data: team("New", members...)}}, mixed...)
		start = time.Now()
		results = w.bulk(t, 0, mixed...)
		t.Logf("%d creations and additions took %s", len(mixed), time.Since(start))
		for i, r := range results {
			if r.Status != "200" && r.Status != "201" {
				t.Fatalf("operation %d: %+v", i, r)
			}
		}
		for _, g := range []store.ID{group, results[0].id()} {
			if got := len(w.members(t, g, true)); got != len(members) {
				t.Errorf("a group has %d members", got)
			}
		}
	})
}

func TestABulkBeyondItsLimitsIsRefused(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		const head = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[`
		one := `{"method":"POST","bulkId":"a","path":"/Users","data":{"userName":"a@example.com"}}`
		for _, tt := range []struct {
			name, body string
			status     int
			scimType   string
			says       string
		}{
			{"more operations than the most", head + one + strings.Repeat(`,{"method":"DELETE","path":"/Users/x"}`, 10_000) + `]}`, 413, "", "10000"},
			{"more bytes than the most", head + one + `]` + strings.Repeat(" ", 8<<20) + `}`, 413, "", "8388608"},
			{"no schema of a Bulk", `{"Operations":[` + one + `]}`, 400, "invalidSyntax", "BulkRequest"},
			{"no operations", head + `]}`, 400, "invalidSyntax", "Operations"},
			{"operations that are no list", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":{}}`, 400, "invalidSyntax", "list"},
			{"no JSON", head + one + `,`, 400, "invalidSyntax", "JSON"},
			{"something after it", head + one + `]} {}`, 400, "invalidSyntax", "end"},
			{"a failOnErrors that is no number", `{"failOnErrors":"1",` + (head + one + `]}`)[1:], 400, "invalidValue", "failOnErrors"},
			{"a bulkId given twice", head + one + `,` + one + `]}`, 400, "invalidValue", "bulkId"},
			{"an empty body", ``, 400, "invalidSyntax", "JSON"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				a := w.send(t, scimRequest{method: post, path: "/Bulk", body: tt.body})
				if a.status != tt.status || a.text("scimType") != tt.scimType || !strings.Contains(a.text("detail"), tt.says) {
					t.Errorf("answered %d %s", a.status, a.raw)
				}
			})
		}
		t.Run("the limits are those that are advertised", func(t *testing.T) {
			a := w.send(t, scimRequest{method: get, path: "/ServiceProviderConfig"})
			if diff := lacks(map[string]any{"supported": true, "maxOperations": json.Number("10000"), "maxPayloadSize": json.Number("8388608")}, a.get("bulk"), "bulk"); diff != "" {
				t.Error(diff)
			}
		})
		t.Run("a GET is not allowed", func(t *testing.T) {
			if a := w.send(t, scimRequest{method: get, path: "/Bulk"}); a.status != 405 || a.header.Get("Allow") != post {
				t.Errorf("%d %s", a.status, a.header.Get("Allow"))
			}
		})
		if users := w.stored(t).Users; len(users) != 0 {
			t.Errorf("something was created: %v", users)
		}
	})
}
