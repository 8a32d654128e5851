package main

import (
	"strings"
	"testing"
)

// TestAMemberThatAnotherDirectoryTookOverHasNoReference hands a user and a group over
// while groups of either side still hold records of the other: each client sees all
// members that were stated, and a $ref only of those that it can read.
func TestAMemberThatAnotherDirectoryTookOverHasNoReference(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		from := w.token
		_, to := w.newDirectory(t, "newer", nil)
		w.replay(t, expand([]exchange{
			{name: "a user", method: post, path: "/Users", body: `{"userName":"ann@example.com"}`, status: 201, save: "ann"},
			{name: "another", method: post, path: "/Users", body: `{"userName":"ben@example.com"}`, status: 201, save: "ben"},
			{name: "a group of both", method: post, path: "/Groups", body: `{"displayName":"Staff","members":[{"value":"<ann>"},{"value":"<ben>"}]}`, status: 201, save: "staff"},
			{name: "a group of one", method: post, path: "/Groups", body: `{"displayName":"Crew","members":[{"value":"<ben>"}]}`, status: 201, save: "crew"},
			{name: "a group of groups", method: post, path: "/Groups", body: `{"displayName":"All","members":[{"value":"<staff>"},{"value":"<crew>"}]}`, status: 201, save: "all"},
		}))
		w.server.must(t, "directory", "handover", "clients", "newer")
		w.token = to
		w.replay(t, expand([]exchange{
			{name: "a user moves", method: post, path: "/Users", body: `{"userName":"ann@example.com","externalId":"n-1"}`, status: 201, want: `{"id":"<ann>"}`},
			{name: "a group moves", method: post, path: "/Groups", body: `{"displayName":"Crew","externalId":"n-2"}`, status: 201, want: `{"id":"<crew>"}`},
		}))
		base := w.url + "/scim/v2"
		ref := func(kind, name string) string { return `"$ref":"` + base + "/" + kind + "/<" + name + `>"` }
		for side, token := range map[string]string{"of the old directory": from, "of the new one": to} {
			t.Run("the references "+side+" can be read", func(t *testing.T) {
				w.token = token
				list, _ := w.send(t, scimRequest{method: get, path: "/Groups"}).get("Resources").([]any)
				for _, g := range list {
					members, _ := member(g, "members").([]any)
					for _, m := range members {
						if at, ok := member(m, "$ref").(string); ok {
							if a := w.send(t, scimRequest{method: get, path: strings.TrimPrefix(at, base)}); a.status != 200 {
								t.Errorf("%v refers to %s, which is %d", g, at, a.status)
							}
						}
					}
				}
			})
		}
		w.token = to
		w.replay(t, expand([]exchange{
			{name: "the group that moved shows whom it still has, without a reference", method: get, path: "/Groups/<crew>", status: 200,
				want: `{"members":[{"value":"<ben>","type":"User","display":"ben@example.com"}]}`},
			{name: "nor is it found by one", method: get, path: "/Groups?filter=members.$ref pr", status: 200, want: nobody},
		}))
		w.token = from
		w.replay(t, expand([]exchange{
			{name: "who has moved is not read", method: get, path: "/Users/<ann>", status: 404},
			{name: "but still a member", method: get, path: "/Groups/<staff>", status: 200, want: `{"members":[{"value":"<ann>"},{"value":"<ben>",` + ref("Users", "ben") + `}]}`},
			{name: "the group that moved as well", method: get, path: "/Groups/<all>", status: 200, want: `{"members":[{"value":"<staff>",` + ref("Groups", "staff") + `},{"value":"<crew>","type":"Group"}]}`},
			{name: "who has moved is found by its id", method: get, path: `/Groups?filter=members.value eq "<ann>"`, status: 200, want: `{"Resources":[{"id":"<staff>"}]}`},
			{name: "not by a reference", method: get, path: `/Groups?filter=members.$ref eq "` + base + `/Users/<ann>"`, status: 200, want: nobody},
			{name: "nor by a part of one", method: get, path: `/Groups?filter=members.$ref ew "<ann>"`, status: 200, want: nobody},
			{name: "who has not is", method: get, path: `/Groups?filter=members.$ref eq "` + base + `/Users/<ben>"`, status: 200, want: `{"Resources":[{"id":"<staff>"}]}`},
			{name: "the lack of one is found", method: get, path: `/Groups?filter=members[not ($ref pr)]&sortBy=members.$ref`, status: 200, want: `{"Resources":[{"id":"<all>"},{"id":"<staff>"}]}`},
			{name: "and removed", method: patch, path: "/Groups/<staff>", body: `{S,"Operations":[{"op":"remove","path":"members[not ($ref pr)]"}]}`, status: 200, want: `{"members":[{"value":"<ben>"}]}`},
		}))
	})
}
