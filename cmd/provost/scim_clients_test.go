package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestOtherClients replays what other clients do in their own ways.
func TestOtherClients(t *testing.T) {
	t.Parallel()
	all := expand([]exchange{
		{name: "SailPoint reads the configuration", method: get, path: "/ServiceProviderConfig", status: 200,
			want: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],"patch":{"supported":true},"filter":{"supported":true,"maxResults":1000},
				"etag":{"supported":true},"bulk":{"supported":true},"sort":{"supported":true},"changePassword":{"supported":false},
				"authenticationSchemes":[{"type":"oauthbearertoken","primary":true},{"type":"oauthbearertoken"}]}`},
		{name: "SailPoint reads the resource types", method: get, path: "/ResourceTypes", status: 200,
			want: `{"totalResults":2,"Resources":[{"id":"User","endpoint":"/Users"},{"id":"Group","endpoint":"/Groups"}]}`},
		{name: "SailPoint reads one resource type", method: get, path: "/ResourceTypes/User", status: 200,
			want: `{"schema":"urn:ietf:params:scim:schemas:core:2.0:User","schemaExtensions":[{"schema":"ENT","required":false}]}`},
		{name: "SailPoint reads the schemas", method: get, path: "/Schemas", status: 200, want: `{"totalResults":7}`},
		{name: "SailPoint reads one schema", method: get, path: "/Schemas/urn:ietf:params:scim:schemas:core:2.0:User", status: 200,
			want: `{"id":"urn:ietf:params:scim:schemas:core:2.0:User","name":"User","schemas":["urn:ietf:params:scim:schemas:core:2.0:Schema"],"meta":{"resourceType":"Schema"}}`},
		{name: "a URN may be escaped", method: get, path: "/Schemas/urn%3Aietf%3Aparams%3Ascim%3Aschemas%3Acore%3A2.0%3AGroup", status: 200, want: `{"name":"Group"}`},
		{name: "another resource type is not found", method: get, path: "/ResourceTypes/Device", status: 404},
		{name: "another schema is not found", method: get, path: "/Schemas/urn:example", status: 404},
		{name: "discovery takes no filter", method: get, path: `/Schemas?filter=id pr`, status: 403},

		{name: "OneLogin creates with lower-case names and a number of emails that is one", method: post, path: "/Users",
			body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"username":"one@example.com","emails":{"value":"one@example.com","type":"work","primary":true}}`, status: 201, save: "one",
			want: `{"userName":"one@example.com","emails":[{"value":"one@example.com","type":"work","primary":true}]}`},
		{name: "OneLogin changes emails as one object", method: patch, path: "/Users/<one>", body: `{S,"Operations":[{"op":"replace","path":"emails","value":{"value":"uno@example.com","type":"work"}}]}`,
			status: 200, want: `{"emails":[{"value":"uno@example.com","type":"work"}]}`},

		{name: "JumpCloud creates", method: post, path: "/Users", body: `{"userName":"jump@example.com","name":{"givenName":"J"},"active":true}`, status: 201, save: "jump"},
		{name: "JumpCloud changes one attribute an operation", method: patch, path: "/Users/<jump>",
			body:   `{S,"Operations":[{"op":"replace","path":"name.givenName","value":"Jane"},{"op":"replace","path":"name.familyName","value":"Cloud"},{"op":"replace","path":"active","value":true},{"op":"replace","path":"displayName","value":"Jane Cloud"}]}`,
			status: 200, want: `{"name":{"givenName":"Jane","familyName":"Cloud"},"displayName":"Jane Cloud"}`},
		{name: "JumpCloud creates a group", method: post, path: "/Groups", body: `{"displayName":"Clouds","members":[{"value":"<jump>"},{"value":"<one>"}]}`, status: 201, save: "clouds"},
		{name: "JumpCloud removes members by a list", method: patch, path: "/Groups/<clouds>", body: `{S,"Operations":[{"op":"remove","path":"members","value":[{"value":"<one>"}]}]}`,
			status: 200, want: `{"members":[{"value":"<jump>"}]}`},

		{name: "PingOne capitalises operators", method: get, path: `/Users?filter=userName Eq "jump@example.com"`, status: 200, want: `{"totalResults":1,"Resources":[{"id":"<jump>"}]}`},
		{name: "PingOne writes names in any case", method: get, path: `/Users?filter=USERNAME EQ "one@example.com" AND Active Eq TRUE`, status: 200, want: `{"totalResults":1,"Resources":[{"id":"<one>"}]}`},

		{name: "AWS asks for the groups of a member", method: get, path: `/Groups?filter=members.value eq "<jump>"&attributes=id`, status: 200, want: `{"totalResults":1,"Resources":[{"id":"<clouds>"}]}`},
		{name: "AWS asks for a group with a member", method: get, path: `/Groups?filter=id eq "<clouds>" and members eq "<one>"`, status: 200, want: nobody},
		{name: "AWS PUTs a user without active", method: patch, path: "/Users/<one>", body: `{S,"Operations":[{"op":"replace","path":"active","value":"false"}]}`, status: 200, want: `{"active":false}`},
		{name: "which stays inactive", method: put, path: "/Users/<one>", body: `{"userName":"one@example.com","displayName":"One"}`, status: 200, want: `{"active":false,"displayName":"One"}`, without: []string{"emails"}},

		{name: "groups nest", method: post, path: "/Groups", body: `{"displayName":"Sky","members":[{"value":"<clouds>","type":"Group"},{"value":"<one>"}]}`, status: 201, save: "sky",
			want: `{"members":[{"value":"<one>","type":"User"},{"value":"<clouds>","type":"Group","display":"Clouds"}]}`},
		{name: "a user lists direct and indirect groups", method: get, path: "/Users/<jump>", status: 200,
			want: `{"groups":[{"value":"<clouds>","type":"direct"},{"value":"<sky>","type":"indirect"}]}`},
		{name: "a PATCH of a part of an extension needs no path", method: patch, path: "/Groups/<sky>", body: `{S,"Operations":[{"op":"add","value":{"urn:provost:params:scim:schemas:extension:1.0:Group":{"description":"above"}}}]}`,
			status: 200, want: `{"urn:provost:params:scim:schemas:extension:1.0:Group":{"description":"above","effectiveCount":2,"overCap":false}}`},
	})
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		w.replay(t, all)
		t.Run("a sync tool pages until a page is empty", func(t *testing.T) {
			seen := 0
			for start := 1; ; start++ {
				a := w.send(t, scimRequest{method: get, path: fmt.Sprintf("/Users?startIndex=%d&count=1", start)})
				resources, ok := a.get("Resources").([]any)
				if !ok || a.status != 200 || start > 3 {
					t.Fatalf("page %d: %d %s", start, a.status, a.raw)
				}
				if len(resources) == 0 {
					break
				}
				seen += len(resources)
			}
			if seen != 2 {
				t.Errorf("%d users were seen", seen)
			}
		})
		w.holds(t, pushed{
			Users: map[string]pushedUser{
				"one@example.com":  {Name: "One", Inactive: true, Groups: []string{"Sky"}},
				"jump@example.com": {Name: "Jane Cloud", Groups: []string{"Clouds", "Sky"}},
			},
			Groups: map[string]pushedGroup{
				"Clouds": {Members: []string{"jump@example.com"}, Effective: []string{"jump@example.com"}},
				"Sky":    {Members: []string{"Clouds", "one@example.com"}, Effective: []string{"jump@example.com", "one@example.com"}},
			},
		})
	})
}

// TestSCIMProtocol holds the endpoint to RFC 7644 where clients do not lead the way.
func TestSCIMProtocol(t *testing.T) {
	t.Parallel()
	all := expand([]exchange{
		{name: "a user is created with an extension and several emails", method: post, path: "/Users",
			body:   `{"userName":"amy@example.com","externalId":"a;b&c","title":"50% \"off\"","emails":[{"value":"amy@example.com","type":"work"},{"value":"amy@home.example","type":"home","primary":true}],"ENT":{"department":"R","employeeNumber":"1"},"name":{"givenName":"Amy"}}`,
			status: 201, save: "amy"},
		{name: "and another", method: post, path: "/Users", body: `{"userName":"ben@example.com","active":false}`, status: 201, save: "ben"},
		{name: "and a group of both", method: post, path: "/Groups", body: `{"displayName":"Pair","members":[{"value":"<amy>"},{"value":"<ben>"}]}`, status: 201, save: "pair"},

		{name: "attributes selects", method: get, path: "/Users/<amy>?attributes=userName,name.givenName,emails.value", status: 200,
			want: `{"id":"<amy>","userName":"amy@example.com","name":{"givenName":"Amy"},"emails":[{"value":"amy@example.com"},{"value":"amy@home.example"}]}`, without: []string{"title", "meta", "groups", "active", "externalId", "ENT"}},
		{name: "attributes selects in an extension", method: get, path: "/Users/<amy>?attributes=ENT:department", status: 200, want: `{"id":"<amy>","ENT":{"department":"R"}}`, without: []string{"userName"}},
		{name: "attributes selects a whole extension", method: get, path: "/Users/<amy>?attributes=ENT", status: 200, want: `{"ENT":{"department":"R","employeeNumber":"1"}}`, without: []string{"userName"}},
		{name: "attributes that are not there leave what is always returned", method: get, path: "/Users/<ben>?attributes=emails.value,shoeSize", status: 200, want: `{"id":"<ben>","schemas":["urn:ietf:params:scim:schemas:core:2.0:User"]}`, without: []string{"emails", "userName"}},
		{name: "excludedAttributes leaves out", method: get, path: "/Users/<amy>?excludedAttributes=emails,ENT,name.givenName,groups", status: 200, want: `{"userName":"amy@example.com","meta":{"resourceType":"User"}}`, without: []string{"emails", "ENT", "name", "groups"}},
		{name: "what is always returned cannot be left out", method: get, path: "/Users/<amy>?excludedAttributes=id,schemas", status: 200, want: `{"id":"<amy>","schemas":["urn:ietf:params:scim:schemas:core:2.0:User","ENT"]}`},
		{name: "both at once are refused", method: get, path: "/Users?attributes=id&excludedAttributes=emails", status: 400, want: `{"scimType":"invalidValue"}`},
		{name: "the answer to a PATCH is cut too", method: patch, path: "/Users/<amy>?attributes=title", body: `{S,"Operations":[{"op":"replace","path":"title","value":"50% \"off\""}]}`, status: 200, want: `{"title":"50% \"off\""}`, without: []string{"userName"}},

		{name: "a filter may hold a semicolon", method: get, path: `/Users?filter=title co ";"`, status: 200, want: nobody},
		{name: "a filter may hold quotation marks", method: get, path: `/Users?filter=title eq "50% \"off\""`, status: 200, want: `{"totalResults":1,"Resources":[{"id":"<amy>"}]}`},
		{name: "a filter on a primary email", method: get, path: `/Users?filter=emails[primary eq true and value sw "amy@home"]`, status: 200, want: `{"totalResults":1,"Resources":[{"id":"<amy>"}]}`},
		{name: "one element must satisfy all of a filter in brackets", method: get, path: `/Users?filter=emails[type eq "work" and value co "home"]`, status: 200, want: nobody},
		{name: "several elements may satisfy a filter without brackets", method: get, path: `/Users?filter=emails.type eq "work" and emails.value co "home"`, status: 200, want: `{"totalResults":1}`},
		{name: "emails alone means their value", method: get, path: `/Users?filter=emails eq "AMY@home.example"`, status: 200, want: `{"totalResults":1}`},
		{name: "ne, not, or and pr", method: get, path: `/Users?filter=(userName ne "x" and not (emails pr)) or title pr`, status: 200, want: `{"totalResults":2}`},
		{name: "co, sw and ew", method: get, path: `/Users?filter=userName co "Y@EX" and userName sw "AM" and userName ew ".COM"`, status: 200, want: `{"totalResults":1,"Resources":[{"id":"<amy>"}]}`},
		{name: "an order of names", method: get, path: `/Users?filter=userName gt "amy@example.com" and userName le "ben@example.com"`, status: 200, want: `{"totalResults":1,"Resources":[{"id":"<ben>"}]}`},
		{name: "an order of times", method: get, path: `/Users?filter=meta.lastModified gt "2020-01-01T00:00:00Z" and meta.created lt "2999-01-01T00:00:00+01:00"`, status: 200, want: `{"totalResults":2}`},
		{name: "an attribute of an extension", method: get, path: `/Users?filter=ENT:department eq "r"`, status: 200, want: `{"totalResults":1}`},
		{name: "active", method: get, path: `/Users?filter=active eq false`, status: 200, want: `{"totalResults":1,"Resources":[{"id":"<ben>"}]}`},
		{name: "null is absence", method: get, path: `/Users?filter=title eq null`, status: 200, want: `{"totalResults":1,"Resources":[{"id":"<ben>"}]}`},
		{name: "the groups of a user", method: get, path: `/Users?filter=groups.value eq "<pair>"&attributes=id`, status: 200, want: `{"totalResults":2}`},
		{name: "an empty filter is none", method: get, path: `/Users?filter=`, status: 200, want: `{"totalResults":2}`},

		{name: "a page past the end is empty", method: get, path: "/Users?startIndex=3", status: 200, want: `{"totalResults":2,"startIndex":3,"itemsPerPage":0,"Resources":[]}`},
		{name: "a count of 0 only counts", method: get, path: "/Users?count=0", status: 200, want: `{"totalResults":2,"itemsPerPage":0,"Resources":[]}`},
		{name: "a negative count is 0", method: get, path: "/Users?count=-5", status: 200, want: `{"totalResults":2,"itemsPerPage":0,"Resources":[]}`},
		{name: "a startIndex below 1 is 1", method: get, path: "/Users?startIndex=-3&count=1", status: 200, want: `{"totalResults":2,"startIndex":1,"itemsPerPage":1,"Resources":[{"id":"<amy>"}]}`},
		{name: "a count beyond the most is the most", method: get, path: "/Users?count=99999999", status: 200, want: `{"itemsPerPage":2}`},
		{name: "a startIndex beyond all numbers is past the end", method: get, path: "/Users?startIndex=99999999999999999999", status: 200, want: `{"totalResults":2,"Resources":[]}`},
		{name: "names of parameters in any case", method: get, path: `/Users?STARTINDEX=2&Count=1&Filter=userName pr&excludedattributes=meta`, status: 200, want: `{"totalResults":2,"startIndex":2,"itemsPerPage":1}`},
		{name: "of two spellings the exact one", method: get, path: "/Users?COUNT=2&count=1", status: 200, want: `{"totalResults":2,"itemsPerPage":1}`},
		{name: "a startIndex that is no number is refused", method: get, path: "/Users?startIndex=one", status: 400, want: `{"scimType":"invalidValue"}`},
		{name: "a trailing slash is forgiven", method: get, path: "/Users/?count=1", status: 200, want: `{"totalResults":2}`},

		{name: "HEAD answers like GET without the body", method: "HEAD", path: "/Users/<amy>", status: 200},
		{name: "a version that the client has is not sent again", method: get, path: "/Users/<amy>", status: 304, header: map[string]string{"If-None-Match": `W/"1"`}},
		{name: "one that it has not is", method: get, path: "/Users/<amy>", status: 200, header: map[string]string{"If-None-Match": `W/"7", "8"`}},
		{name: "a change of the version that is there", method: patch, path: "/Users/<amy>", body: `{S,"Operations":[{"op":"add","path":"nickName","value":"A"}]}`, status: 200, header: map[string]string{"If-Match": `W/"1"`}, want: `{"meta":{"version":"W/\"2\""}}`},
		{name: "a change of a version that is past is refused", method: patch, path: "/Users/<amy>", body: `{S,"Operations":[{"op":"add","path":"nickName","value":"B"}]}`, status: 412, header: map[string]string{"If-Match": `W/"1"`}},
		{name: "a PUT of a version that is past is refused", method: put, path: "/Users/<amy>", body: `{"userName":"amy@example.com"}`, status: 412, header: map[string]string{"If-Match": `W/"1"`}},
		{name: "a deletion of a version that is past is refused", method: remove, path: "/Users/<amy>", status: 412, header: map[string]string{"If-Match": `W/"1"`}},
		{name: "of a group likewise", method: patch, path: "/Groups/<pair>", body: `{S,"Operations":[{"op":"remove","path":"members"}]}`, status: 412, header: map[string]string{"If-Match": `W/"9"`}},
		{name: "its PUT", method: put, path: "/Groups/<pair>", body: `{"displayName":"Pear"}`, status: 412, header: map[string]string{"If-Match": `W/"9"`}},
		{name: "its deletion", method: remove, path: "/Groups/<pair>", status: 412, header: map[string]string{"If-Match": `W/"9"`}},
		{name: "any version will do", method: patch, path: "/Groups/<pair>", body: `{S,"Operations":[{"op":"replace","path":"displayName","value":"Pears"}]}`, status: 200, header: map[string]string{"If-Match": `*`}},

		{name: "a token is no person", method: get, path: "/Me", status: 501},
		{name: "whatever is asked of it", method: patch, path: "/Me", body: `{}`, status: 501},
		{name: "an unknown path is not found", method: get, path: "/Devices", status: 404},
		{name: "an unknown path is not found", method: get, path: "/Devices", status: 404},
		{name: "a collection cannot be deleted", method: remove, path: "/Users", status: 405},
		{name: "a resource cannot be posted to", method: post, path: "/Users/<amy>", body: `{}`, status: 405},
		{name: "discovery cannot be changed", method: put, path: "/ServiceProviderConfig", body: `{}`, status: 405},
		{name: "a method that nobody knows", method: "BREW", path: "/Users", status: 405},

		{name: "a stable id may look like a number", method: post, path: "/Users", body: `{"userName":"cat@example.com","externalId":"12E50"}`, status: 201, save: "cat"},
		{name: "without quotation marks it is found as it was written", method: get, path: `/Users?filter=externalId eq 12E50`, status: 200, want: `{"totalResults":1,"Resources":[{"id":"<cat>"}]}`},
		{name: "another spelling of the number is another text", method: get, path: `/Users?filter=externalId eq 1.2E51`, status: 200, want: nobody},
		{name: "a number is still a number", method: get, path: `/Groups?filter=urn:provost:params:scim:schemas:extension:1.0:Group:effectiveCount lt 2.50e0`, status: 200, want: `{"totalResults":1}`},
		{name: "also one beyond 64 bits", method: get, path: `/Groups?filter=effectiveCount lt 9223372036854775808 and effectiveCount gt -99999999999999999999`, status: 200, want: `{"totalResults":1}`},
		{name: "or beyond any float", method: get, path: `/Groups?filter=effectiveCount lt 1e999 and not (effectiveCount ge 1` + strings.Repeat("0", 400) + `)`, status: 200, want: `{"totalResults":1}`},
		{name: "or closer to zero", method: get, path: `/Groups?filter=effectiveCount lt 1e-999 or effectiveCount eq -1e-999`, status: 200, want: nobody},
		{name: "which nothing equals", method: get, path: `/Groups?filter=effectiveCount eq 18446744073709551618`, status: 200, want: nobody},
		{name: "a long number is still a text where texts are", method: patch, path: "/Users/<cat>", body: `{S,"Operations":[{"op":"add","path":"externalId","value":"12345678901234567890"}]}`, status: 200},
		{name: "of which no digit is lost", method: get, path: `/Users?filter=externalId eq 12345678901234567890 and externalId ne 12345678901234567891`, status: 200, want: `{"totalResults":1,"Resources":[{"id":"<cat>"}]}`},

		{name: "a name with a joiner that its script needs", method: post, path: "/Users", body: `{"userName":"\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645@example.com"}`, status: 201},
		{name: "a group's name with white space around it is kept", method: post, path: "/Groups", body: `{"displayName":" Pears\u00a0"}`, status: 201, want: `{"displayName":" Pears\u00a0"}`, save: "spaced"},
		{name: "is found as it was sent", method: get, path: "/Groups?filter=displayName eq \" pears\\u00a0\"", status: 200, want: `{"totalResults":1,"Resources":[{"id":"<spaced>"}]}`},
		{name: "and is not the name without", method: get, path: `/Groups?filter=displayName eq "Pears"`, status: 200, want: `{"totalResults":1,"Resources":[{"id":"<pair>"}]}`},
	})
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		w.replay(t, all)
		t.Run("405 says what is allowed", func(t *testing.T) {
			a := w.send(t, scimRequest{method: remove, path: "/Users"})
			if got := a.header.Get("Allow"); got != "GET, HEAD, POST" {
				t.Errorf("Allow: %q", got)
			}
		})
		t.Run("a semicolon that is not escaped is part of the filter", func(t *testing.T) {
			a, err := answerOf(scimClient.Do(w.request(t, get, "/Users?filter=externalId%20eq%20%22a;b%26c%22", nil)))
			if err != nil || a.status != 200 || fmt.Sprint(a.get("totalResults")) != "1" {
				t.Errorf("%v %s", err, a.raw)
			}
		})
		t.Run("a query that is no query is refused", func(t *testing.T) {
			a, err := answerOf(scimClient.Do(w.request(t, get, "/Users?count=1%2", nil)))
			if err != nil || a.status != 400 || a.text("scimType") != "invalidValue" {
				t.Errorf("%v %s", err, a.raw)
			}
		})
	})
}
