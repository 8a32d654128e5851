package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// patchSchemas writes out what replays abbreviate: {S, is the beginning of every
// PATCH, ENT the enterprise extension.
var patchSchemas = strings.NewReplacer(
	"{S,", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],`,
	"ENT:", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:",
	"ENT", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
)

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	patch  = http.MethodPatch
	remove = http.MethodDelete
)

const nobody = `{"totalResults":0,"Resources":[],"startIndex":1,"itemsPerPage":0}`

// entraKim and entraBoss are users as Entra creates them: with meta, empty roles and
// nulls.
const entraKim = `{
	"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "ENT"],
	"externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef", "userName": "Kim@example.com", "active": true,
	"displayName": "Kim Lee", "emails": [{"primary": true, "type": "work", "value": "kim@example.com"}],
	"meta": {"resourceType": "User"}, "name": {"formatted": "Kim Lee", "familyName": "Lee", "givenName": "Kim"},
	"roles": [], "nickName": null, "ENT": {"employeeNumber": "7", "manager": null}}`

const entraBoss = `{
	"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
	"externalId": "701984", "userName": "boss@example.com", "active": true, "displayName": "The Boss",
	"emails": [{"primary": true, "type": "work", "value": "boss@example.com"}], "meta": {"resourceType": "User"}, "roles": []}`

const entraGroup = `{
	"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group", "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
	"externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159", "displayName": "Staff", "meta": {"resourceType": "Group"}}`

// entraMatches is how a cycle begins: the connection is tested and nobody is there.
func entraMatches() []exchange {
	return []exchange{
		{name: "testing the connection with a random id finds an empty list", method: get,
			path: `/Users?filter=userName eq "8f7c5a52-1d0c-4b9e-a0a8-2f5c1c0a6d55"`, status: 200, want: nobody},
		{name: "matching by userName finds nobody", method: get, path: `/Users?filter=userName eq "kim@example.com"`, status: 200, want: nobody},
		{name: "matching by externalId finds nobody", method: get, path: `/Users?filter=externalId eq "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"`, status: 200, want: nobody},
		{name: "matching by an externalId without quotation marks finds nobody", method: get, path: `/Users?filter=externalId eq jyoung`, status: 200, want: nobody},
		{name: "matching by work email finds nobody", method: get, path: `/Users?filter=emails[type eq "work"].value eq "kim@example.com"`, status: 200, want: nobody},
		{name: "a user is created", method: post, path: "/Users", body: entraKim, status: 201, save: "kim",
			want: `{"userName":"Kim@example.com","externalId":"0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef","active":true,
				"name":{"formatted":"Kim Lee","familyName":"Lee","givenName":"Kim"},
				"emails":[{"primary":true,"type":"work","value":"kim@example.com"}],"ENT":{"employeeNumber":"7"},
				"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","ENT"],"meta":{"resourceType":"User","version":"W/\"1\""}}`,
			without: []string{"roles", "nickName", "groups", "password"}},
		{name: "another is created", method: post, path: "/Users", body: entraBoss, status: 201, save: "boss"},
		{name: "creating a user again in other case is a conflict", method: post, path: "/Users",
			body: strings.Replace(entraKim, "Kim@", "KIM@", 1), status: 409, want: `{"scimType":"uniqueness","status":"409"}`},
		{name: "userName is matched in any case", method: get, path: `/Users?filter=userName eq "KIM@EXAMPLE.COM"`, status: 200,
			want: `{"totalResults":1,"itemsPerPage":1,"Resources":[{"id":"<kim>","userName":"Kim@example.com"}]}`},
		{name: "externalId is matched exactly", method: get, path: `/Users?filter=externalId eq "0A21F0F2-8D2A-4F8E-BF98-7363C4AED4EF"`, status: 200, want: nobody},
		{name: "externalId is matched", method: get, path: `/Users?filter=externalId eq "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"`, status: 200,
			want: `{"totalResults":1,"Resources":[{"id":"<kim>"}]}`},
		{name: "externalId without quotation marks is matched", method: get, path: `/Users?filter=externalId eq 0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef`, status: 200,
			want: `{"totalResults":1,"Resources":[{"id":"<kim>"}]}`},
		{name: "externalId that is a number without quotation marks is matched", method: get, path: `/Users?filter=externalId eq 701984`, status: 200,
			want: `{"totalResults":1,"Resources":[{"id":"<boss>"}]}`},
		{name: "the work email is matched in any case", method: get, path: `/Users?filter=emails[type eq "work"].value eq "Kim@Example.com"`, status: 200,
			want: `{"totalResults":1,"Resources":[{"id":"<kim>"}]}`},
		{name: "another type of email does not match", method: get, path: `/Users?filter=emails[type eq "home"].value eq "kim@example.com"`, status: 200, want: nobody},
		{name: "a user is read", method: get, path: "/Users/<kim>", status: 200, want: `{"id":"<kim>","active":true}`},
	}
}

// entraGroupMatches begins the part of a cycle that deals with groups.
func entraGroupMatches() []exchange {
	return []exchange{
		{name: "matching a group finds none", method: get, path: `/Groups?excludedAttributes=members&filter=displayName eq "Staff"`, status: 200, want: nobody},
		{name: "a group is created without members", method: post, path: "/Groups", body: entraGroup, status: 201, save: "staff",
			want: `{"displayName":"Staff","externalId":"8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159","meta":{"resourceType":"Group"}}`, without: []string{"members"}},
		{name: "creating a group again is a conflict", method: post, path: "/Groups", body: strings.Replace(entraGroup, `"Staff"`, `"STAFF"`, 1), status: 409,
			want: `{"scimType":"uniqueness"}`},
		{name: "the group is matched without its members", method: get, path: `/Groups?excludedAttributes=members&filter=displayName eq "staff"`, status: 200,
			want: `{"totalResults":1,"Resources":[{"id":"<staff>","displayName":"Staff"}]}`},
		{name: "the group is read without its members", method: get, path: "/Groups/<staff>?excludedAttributes=members", status: 200,
			want: `{"id":"<staff>"}`, without: []string{"members"}},
	}
}

// entraEnds is how people and groups leave, and come back.
func entraEnds() []exchange {
	return []exchange{
		{name: "a user is deleted for good", method: remove, path: "/Users/<boss>", status: 204},
		{name: "a deleted user is not found", method: get, path: "/Users/<boss>", status: 404, want: `{"status":"404"}`},
		{name: "a deleted user cannot be changed", method: patch, path: "/Users/<boss>", body: `{S,"Operations":[{"op":"Replace","path":"active","value":"False"}]}`, status: 404},
		{name: "a deleted user cannot be deleted again", method: remove, path: "/Users/<boss>", status: 404},
		{name: "a deleted user matches nothing", method: get, path: `/Users?filter=userName eq "boss@example.com"`, status: 200, want: nobody},
		{name: "a deleted user is in no group", method: get, path: "/Groups/<staff>", status: 200, want: `{"members":[{"value":"<kim>"}]}`},
		{name: "who is hired again with the same stable id comes back with id and groups", method: post, path: "/Users", body: entraBoss, status: 201,
			want: `{"id":"<boss>","groups":[{"value":"<staff>","type":"direct","display":"Staff"}]}`},
		{name: "the rehired user is deleted again", method: remove, path: "/Users/<boss>", status: 204},
		{name: "the same userName with another stable id is a new person", method: post, path: "/Users", body: strings.Replace(entraBoss, "701984", "701985", 1),
			status: 201, save: "newboss", without: []string{"groups"}},
		{name: "the new person's match is not the old one", method: get, path: `/Users?filter=userName eq "boss@example.com"&attributes=id`, status: 200,
			want: `{"totalResults":1,"Resources":[{"id":"<newboss>"}]}`},
		{name: "a second group is created", method: post, path: "/Groups", body: `{"displayName":"Leaving","members":[{"value":"<kim>"}]}`, status: 201, save: "leaving",
			want: `{"members":[{"value":"<kim>","type":"User"}]}`},
		{name: "a group is deleted", method: remove, path: "/Groups/<leaving>", status: 204},
		{name: "a deleted group is not found", method: get, path: "/Groups/<leaving>", status: 404},
		{name: "a deleted group cannot be deleted again", method: remove, path: "/Groups/<leaving>", status: 404},
		{name: "its members stay", method: get, path: "/Users/<kim>", status: 200, want: `{"groups":[{"value":"<staff>"}]}`},
	}
}

func expand(parts ...[]exchange) (all []exchange) {
	for _, part := range parts {
		for _, x := range part {
			x.body, x.want, x.path = patchSchemas.Replace(x.body), patchSchemas.Replace(x.want), patchSchemas.Replace(x.path)
			x.without = slices.Clone(x.without)
			for i := range x.without {
				x.without[i] = patchSchemas.Replace(x.without[i])
			}
			all = append(all, x)
		}
	}
	return all
}

// TestEntraInItsDefaultDialect replays a cycle of Microsoft Entra ID as it is
// without a flag: capitalised operations, booleans as strings.
func TestEntraInItsDefaultDialect(t *testing.T) {
	t.Parallel()
	changes := []exchange{
		{name: "attributes are updated", method: patch, path: "/Users/<kim>",
			body:   `{S,"Operations":[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"kim.lee@example.com"},{"op":"Replace","path":"ENT:employeeNumber","value":"8"},{"op":"Add","path":"displayName","value":"Kim B. Lee"}]}`,
			status: 200, want: `{"displayName":"Kim B. Lee","emails":[{"primary":true,"type":"work","value":"kim.lee@example.com"}],"ENT":{"employeeNumber":"8"},"meta":{"version":"W/\"2\""}}`},
		{name: "the same again changes nothing", method: patch, path: "/Users/<kim>",
			body:   `{S,"Operations":[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"kim.lee@example.com"},{"op":"Replace","path":"ENT:employeeNumber","value":"8"},{"op":"Add","path":"displayName","value":"Kim B. Lee"}]}`,
			status: 200, want: `{"meta":{"version":"W/\"2\""}}`},
		{name: "a user is disabled", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"Replace","path":"active","value":"False"}]}`, status: 200, want: `{"id":"<kim>","active":false}`},
		{name: "a disabled user still matches", method: get, path: `/Users?filter=userName eq "kim@example.com"`, status: 200, want: `{"totalResults":1,"Resources":[{"id":"<kim>","active":false}]}`},
		{name: "a disabled user is found by being so", method: get, path: `/Users?filter=active eq "False"`, status: 200, want: `{"totalResults":1,"Resources":[{"id":"<kim>"}]}`},
		{name: "a user is enabled", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"Replace","path":"active","value":"True"}]}`, status: 200, want: `{"active":true}`},

		{name: "a manager is given as a list", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"Add","path":"manager","value":[{"$ref":"http://h/scim/v2/Users/<boss>","value":"<boss>"}]}]}`,
			status: 200, want: `{"ENT":{"manager":{"value":"<boss>"}}}`},
		{name: "the manager is checked by its id", method: get, path: `/Users?filter=id eq "<kim>" and manager eq "<boss>"&attributes=id`, status: 200,
			want: `{"totalResults":1,"Resources":[{"id":"<kim>"}]}`},
		{name: "another manager is not found", method: get, path: `/Users?filter=id eq "<kim>" and manager eq "<kim>"&attributes=id`, status: 200, want: nobody},
		{name: "a manager may be a user that does not exist", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"Replace","path":"ENT:manager","value":"01900000-0000-7000-8000-000000000000"}]}`,
			status: 200, want: `{"ENT":{"manager":{"value":"01900000-0000-7000-8000-000000000000"}}}`},
		{name: "an empty string removes the manager", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"Replace","path":"manager","value":""}]}`, status: 200, want: `{"ENT":{"employeeNumber":"8"}}`},
		{name: "the removed manager is not found", method: get, path: `/Users?filter=id eq "<kim>" and manager eq "<boss>"&attributes=id`, status: 200, want: nobody},
		{name: "a manager is given as a bare string", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"Add","path":"manager","value":"<boss>"}]}`, status: 200, want: `{"ENT":{"manager":{"value":"<boss>"}}}`},

		{name: "roles are given with a primary that is a string", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"Add","path":"roles","value":[{"primary":"True","type":"app","value":"reader","display":"Reader"}]}]}`,
			status: 200, want: `{"roles":[{"primary":true,"type":"app","value":"reader","display":"Reader"}]}`},
		{name: "the primary role is renamed", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"Replace","path":"roles[primary eq \"True\"].display","value":"Editor"}]}`,
			status: 200, want: `{"roles":[{"primary":true,"value":"reader","display":"Editor"}]}`},
		{name: "an address is made by the path that looks for it, and found by the next operation", method: patch, path: "/Users/<kim>",
			body:   `{S,"Operations":[{"op":"Replace","path":"addresses[type eq \"work\"].country","value":"CH"},{"op":"Replace","path":"addresses[type eq \"work\"].locality","value":"Bern"}]}`,
			status: 200, want: `{"addresses":[{"type":"work","country":"CH","locality":"Bern"}]}`},
		{name: "a phone number is made by the path that looks for it", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"Add","path":"phoneNumbers[type eq \"mobile\"].value","value":"+41 31"}]}`,
			status: 200, want: `{"phoneNumbers":[{"type":"mobile","value":"+41 31"}]}`},
		{name: "a profileUrl need not be one", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"Add","path":"profileUrl","value":"see intranet"}]}`, status: 200, want: `{"profileUrl":"see intranet"}`},
		{name: "names and URNs in the wrong case are understood", method: patch, path: "/Users/<kim>",
			body:   `{S,"Operations":[{"op":"replace","path":"URN:IETF:params:scim:schemas:extension:Enterprise:2.0:user:Department","value":"R&D"},{"op":"REPLACE","path":"NickName","value":"K"}]}`,
			status: 200, want: `{"nickName":"K","ENT":{"department":"R&D"}}`, save: "kim"},
		{name: "unknown attributes are ignored", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"Add","path":"shoeSize","value":"43"},{"op":"Add","path":"urn:example:2.0:User:hat","value":"M"}]}`, status: 200, without: []string{"shoeSize"}},
		{name: "attributes are removed", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"Remove","path":"nickName"},{"op":"Remove","path":"roles"},{"op":"Remove","path":"addresses[type eq \"work\"]"}]}`,
			status: 200, without: []string{"nickName", "roles", "addresses"}},
	}
	members := []exchange{
		{name: "one member is added", method: patch, path: "/Groups/<staff>", body: `{S,"Operations":[{"op":"Add","path":"members","value":[{"$ref":null,"value":"<kim>"}]}]}`,
			status: 200, want: `{"members":[{"value":"<kim>","type":"User","display":"Kim B. Lee"}],"meta":{"version":"W/\"2\""}}`},
		{name: "adding it again changes nothing", method: patch, path: "/Groups/<staff>", body: `{S,"Operations":[{"op":"Add","path":"members","value":[{"$ref":null,"value":"<kim>"}]}]}`,
			status: 200, want: `{"members":[{"value":"<kim>"}],"meta":{"version":"W/\"2\""}}`},
		{name: "more are added", method: patch, path: "/Groups/<staff>", body: `{S,"Operations":[{"op":"Add","path":"members","value":[{"value":"<boss>"},{"value":"<kim>"}]}]}`,
			status: 200, want: `{"members":[{"value":"<kim>"},{"value":"<boss>"}]}`},
		{name: "a list removes only those in it", method: patch, path: "/Groups/<staff>", body: `{S,"Operations":[{"op":"Remove","path":"members","value":[{"$ref":null,"value":"<kim>"}]}]}`,
			status: 200, want: `{"members":[{"value":"<boss>"}]}`},
		{name: "removing who is not there succeeds", method: patch, path: "/Groups/<staff>", body: `{S,"Operations":[{"op":"Remove","path":"members","value":[{"$ref":null,"value":"<kim>"}]}]}`,
			status: 200, want: `{"members":[{"value":"<boss>"}]}`},
		{name: "and it is added again", method: patch, path: "/Groups/<staff>", body: `{S,"Operations":[{"op":"Add","path":"members","value":[{"$ref":null,"value":"<kim>"}]}]}`, status: 200},
		{name: "the answer leaves out members that are not wanted", method: patch, path: "/Groups/<staff>?excludedAttributes=members", body: `{S,"Operations":[{"op":"Replace","path":"externalId","value":"e-1"}]}`,
			status: 200, want: `{"externalId":"e-1"}`, without: []string{"members"}},
		{name: "a user lists its groups", method: get, path: "/Users/<kim>", status: 200, want: `{"groups":[{"value":"<staff>","display":"Staff","type":"direct"}]}`},
	}
	all := expand(entraMatches(), changes, entraGroupMatches(), members, entraEnds())
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		w.replay(t, all)
		w.holds(t, pushed{
			Users: map[string]pushedUser{
				"Kim@example.com": {
					ExternalID: "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef", Name: "Kim B. Lee", Emails: []string{"kim.lee@example.com"},
					Number: "8", Manager: w.saved["boss"], Groups: []string{"Staff"},
				},
				"boss@example.com": {ExternalID: "701985", Name: "The Boss", Emails: []string{"boss@example.com"}},
			},
			Groups: map[string]pushedGroup{
				"Staff": {ExternalID: "e-1", Members: []string{"Kim@example.com"}, Effective: []string{"Kim@example.com"}},
			},
		})
	})
}

// TestEntraWithTheCompliantDialect replays a cycle with ?aadOptscim062020 on the
// tenant URL: the RFC, except for dotted and prefixed keys in a value without a path.
func TestEntraWithTheCompliantDialect(t *testing.T) {
	t.Parallel()
	changes := []exchange{
		{name: "attributes are updated by keys that are paths", method: patch, path: "/Users/<kim>",
			body:   `{S,"Operations":[{"op":"replace","value":{"displayName":"B","name.givenName":"K","ENT:employeeNumber":"A"}}]}`,
			status: 200, want: `{"displayName":"B","name":{"givenName":"K","familyName":"Lee"},"ENT":{"employeeNumber":"A"}}`},
		{name: "attributes are added by keys that are paths", method: patch, path: "/Users/<kim>",
			body:   `{S,"Operations":[{"op":"add","value":{"title":"Dr","ENT:department":"D","ENT:manager":"<boss>"}}]}`,
			status: 200, want: `{"title":"Dr","ENT":{"department":"D","employeeNumber":"A","manager":{"value":"<boss>"}}}`},
		{name: "the manager is checked by its id", method: get, path: `/Users?filter=id eq "<kim>" and manager eq "<boss>"&attributes=id`, status: 200,
			want: `{"totalResults":1,"Resources":[{"id":"<kim>"}]}`},
		{name: "an email is replaced", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"replace","path":"emails[type eq \"work\"].value","value":"k@example.com"}]}`,
			status: 200, want: `{"emails":[{"type":"work","value":"k@example.com","primary":true}]}`},
		{name: "a user is disabled", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"replace","path":"active","value":false}]}`, status: 200, want: `{"active":false}`},
		{name: "a user is enabled", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"replace","value":{"active":true}}]}`, status: 200, want: `{"active":true}`},
		{name: "the manager is removed", method: patch, path: "/Users/<kim>", body: `{S,"Operations":[{"op":"remove","path":"ENT:manager"}]}`, status: 200},
		{name: "the removed manager is not found", method: get, path: `/Users?filter=id eq "<kim>" and manager eq "<boss>"&attributes=id`, status: 200, want: nobody},
		{name: "the other user is disabled", method: patch, path: "/Users/<boss>", body: `{S,"Operations":[{"op":"replace","value":{"active":false}}]}`, status: 200, want: `{"active":false}`},
	}
	members := []exchange{
		{name: "members are added", method: patch, path: "/Groups/<staff>", body: `{S,"Operations":[{"op":"add","path":"members","value":[{"value":"<kim>"},{"value":"<boss>"}]}]}`,
			status: 200, want: `{"members":[{"value":"<kim>"},{"value":"<boss>"}]}`},
		{name: "one is removed by a filter", method: patch, path: "/Groups/<staff>", body: `{S,"Operations":[{"op":"remove","path":"members[value eq \"<boss>\"]"}]}`,
			status: 200, want: `{"members":[{"value":"<kim>"}]}`},
		{name: "removing it again succeeds", method: patch, path: "/Groups/<staff>", body: `{S,"Operations":[{"op":"remove","path":"members[value eq \"<boss>\"]"}]}`,
			status: 200, want: `{"members":[{"value":"<kim>"}]}`},
		{name: "a group is renamed", method: patch, path: "/Groups/<staff>", body: `{S,"Operations":[{"op":"replace","value":{"displayName":"Crew"}}]}`, status: 200, want: `{"displayName":"Crew"}`},
		{name: "and back", method: patch, path: "/Groups/<staff>", body: `{S,"Operations":[{"op":"replace","path":"displayName","value":"Staff"}]}`, status: 200, want: `{"displayName":"Staff"}`},
		{name: "a member comes back", method: patch, path: "/Groups/<staff>", body: `{S,"Operations":[{"op":"add","path":"members","value":[{"value":"<boss>"}]}]}`, status: 200},
	}
	all := expand(entraMatches(), changes, entraGroupMatches(), members, entraEnds())
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		w.replay(t, all)
		w.holds(t, pushed{
			Users: map[string]pushedUser{
				"Kim@example.com": {
					ExternalID: "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef", Name: "B", Emails: []string{"k@example.com"}, Number: "A",
					Groups: []string{"Staff"},
				},
				"boss@example.com": {ExternalID: "701985", Name: "The Boss", Emails: []string{"boss@example.com"}},
			},
			Groups: map[string]pushedGroup{
				"Staff": {ExternalID: "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159", Members: []string{"Kim@example.com"}, Effective: []string{"Kim@example.com"}},
			},
		})
	})
}
