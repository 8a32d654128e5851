package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMembersAreChangedByAnyFilter removes and replaces members by the filter of a PATCH
// path (RFC 7644 sections 3.5.2.2 and 3.5.2.3), which sees those that the group has and
// those that the request added before.
func TestMembersAreChangedByAnyFilter(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		w.replay(t, []exchange{
			{name: "a user", method: post, path: "/Users", body: `{"userName":"amy@example.com","displayName":"Amy"}`, status: 201, save: "amy"},
			{name: "another", method: post, path: "/Users", body: `{"userName":"ben@example.com","displayName":"Ben"}`, status: 201, save: "ben"},
			{name: "one without a displayName", method: post, path: "/Users", body: `{"userName":"cat@example.com"}`, status: 201, save: "cat"},
			{name: "one who is not in them", method: post, path: "/Users", body: `{"userName":"dan@example.com","displayName":"Dan"}`, status: 201, save: "dan"},
			{name: "a group below", method: post, path: "/Groups", body: `{"displayName":"Below"}`, status: 201, save: "below"},
		})
		for i, tt := range []struct {
			name string
			ops  string // before all four are members
			left []string
		}{
			{"users", `{"op":"remove","path":"members[type eq \"user\"]"}`, []string{"below"}},
			{"groups", `{"op":"remove","path":"members[type ne \"User\"]"}`, []string{"amy", "ben", "cat"}},
			{"by what they are called", `{"op":"remove","path":"members[display co \"E\" and type eq \"User\"]"}`, []string{"amy", "below"}},
			{"by location", `{"op":"remove","path":"members[$ref ew \"/Users/<amy>\" or value eq \"<cat>\"]"}`, []string{"ben", "below"}},
			{"not", `{"op":"remove","path":"members[not (value eq \"<amy>\")]"}`, []string{"amy"}},
			{"what satisfies nothing", `{"op":"remove","path":"members[display eq \"nobody\"]"}`, []string{"amy", "ben", "below", "cat"}},
			{"then one comes back", `{"op":"remove","path":"members[type eq \"User\"]"},{"op":"add","path":"members","value":[{"value":"<ben>"}]}`, []string{"ben", "below"}},
			{"what was added before", `{"op":"remove","path":"members"},{"op":"add","path":"members","value":[{"value":"<ben>"},{"value":"<below>"}]},{"op":"remove","path":"members[display eq \"BEN\"]"}`, []string{"below"}},
			{"one by another", `{"op":"replace","path":"members[value eq \"<amy>\"]","value":{"value":"<dan>"}}`, []string{"ben", "below", "cat", "dan"}},
			{"many by one", `{"op":"replace","path":"members[type eq \"User\"]","value":[{"value":"<dan>"}]}`, []string{"below", "dan"}},
			{"one by several", `{"op":"replace","path":"members[display eq \"Ben\"]","value":[{"value":"<dan>"},{"value":"<ben>"}]}`, []string{"amy", "ben", "below", "cat", "dan"}},
			{"one by itself", `{"op":"Replace","path":"members[value eq \"<amy>\"]","value":{"value":"<amy>","display":"x"}}`, []string{"amy", "ben", "below", "cat"}},
			{"one by nobody", `{"op":"replace","path":"members[value eq \"<amy>\"]","value":[]}`, []string{"ben", "below", "cat"}},
			{"one that was added before", `{"op":"add","path":"members","value":[{"value":"<dan>"}]},{"op":"replace","path":"members[value eq \"<dan>\"]","value":{"value":"<amy>"}}`, []string{"amy", "ben", "below", "cat"}},
			{"what a member is anyway", `{"op":"add","path":"members[value eq \"<amy>\"]","value":{"value":"<amy>"}}`, []string{"amy", "ben", "below", "cat"}},
			{"what was removed before", `{"op":"remove","path":"members[value eq \"<amy>\"]"},{"op":"remove","path":"members[display sw \"a\"]"}`, []string{"ben", "below", "cat"}},
		} {
			group := "g" + letters(i)
			w.replay(t, []exchange{
				{name: tt.name + ": a group", method: post, path: "/Groups", body: `{"displayName":"` + tt.name + `","members":[{"value":"<amy>"},{"value":"<ben>"},{"value":"<cat>"},{"value":"<below>"}]}`, status: 201, save: group},
				{name: tt.name, method: patch, path: "/Groups/<" + group + ">", body: `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[` + tt.ops + `]}`, status: 200},
			})
			list, _ := w.send(t, scimRequest{method: get, path: "/Groups/" + w.saved[group]}).get("members").([]any)
			left := []string{}
			for _, m := range list {
				for name, id := range w.saved {
					if member(m, "value") == id && !strings.HasPrefix(name, "g") {
						left = append(left, name)
					}
				}
			}
			slices.Sort(left)
			if diff := cmp.Diff(sorted(tt.left), left); diff != "" {
				t.Errorf("%s (-want +left):\n%s", tt.name, diff)
			}
		}
		bulk := func(op string) string {
			return `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[
				{"method":"POST","path":"/Users","bulkId":"eve","data":{"userName":"eve@example.com"}},
				{"method":"PATCH","path":"/Groups/<gaaaaa>","data":[` + op + `]}]}`
		}
		w.replay(t, []exchange{
			{name: "a member by who is created beside it", method: post, path: "/Bulk", status: 200, want: `{"Operations":[{"status":"201"},{"status":"200"}]}`,
				body: bulk(`{"op":"replace","path":"members[value eq \"<below>\"]","value":{"value":"bulkId:eve"}}`)},
			{name: "it is she alone", method: get, path: `/Groups/<gaaaaa>`, status: 200, want: `{"members":[{"display":"eve@example.com"}]}`},
			{name: "one who is none any more", method: post, path: "/Bulk", status: 200, want: `{"Operations":[{"status":"409"},{"status":"400","response":{"scimType":"noTarget"}}]}`,
				body: bulk(`{"op":"replace","path":"members[value eq \"<below>\"]","value":{"value":"<amy>"}}`)},
		})
	})
}
