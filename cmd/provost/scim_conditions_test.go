package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// TestConditionsAreJudgedWhereTheChangeIsMade lets clients count in one attribute, each
// by reading it and writing the next number on condition of the version that it read:
// if a condition were judged before the change's own transaction, counts would be lost.
func TestConditionsAreJudgedWhereTheChangeIsMade(t *testing.T) {
	t.Parallel()
	const clients, counts = 8, 15
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		w.replay(t, []exchange{
			{name: "a user", method: post, path: "/Users", body: `{"userName":"kim@example.com","nickName":"0"}`, status: 201, save: "user"},
			{name: "a group", method: post, path: "/Groups", body: `{"displayName":"Counters","externalId":"0"}`, status: 201, save: "group"},
		})
		for _, resource := range []struct{ path, attribute string }{
			{"/Users/" + w.saved["user"], "nickName"}, {"/Groups/" + w.saved["group"], "externalId"},
		} {
			var refused atomic.Int64
			var wg sync.WaitGroup
			for client := range clients {
				wg.Go(func() {
					for done := 0; done < counts; {
						ok, err := w.countOnce(t.Context(), resource.path, resource.attribute, client%2 == 0)
						switch {
						case err != nil:
							t.Error(err)
							return
						case ok:
							done++
						default:
							refused.Add(1)
						}
					}
				})
			}
			wg.Wait()
			a := w.send(t, scimRequest{method: get, path: resource.path})
			if got := a.text(resource.attribute); got != fmt.Sprint(clients*counts) {
				t.Errorf("%s counted to %s of %d", resource.path, got, clients*counts)
			}
			if want := fmt.Sprintf(`W/"%d"`, 1+clients*counts); a.header.Get("ETag") != want {
				t.Errorf("the version is %s, want %s", a.header.Get("ETag"), want)
			}
			if refused.Load() == 0 {
				t.Error("nobody was ever too late, so that nothing was shown")
			}
		}
	})
}

// countOnce reads a number and writes the next one, by PATCH or in a Bulk, and reports
// whether it was in time.
func (w *scimWorld) countOnce(ctx context.Context, path, attribute string, inBulk bool) (bool, error) {
	a, err := w.trySend(ctx, scimRequest{method: get, path: path})
	if err != nil {
		return false, err
	}
	var n int
	if _, err := fmt.Sscan(a.text(attribute), &n); err != nil {
		return false, err
	}
	operations := fmt.Sprintf(`[{"op":"replace","path":%q,"value":"%d"}]`, attribute, n+1)
	if inBulk {
		body := fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[{"method":"PATCH","path":%q,"version":%q,"data":%s}]}`,
			path, a.header.Get("ETag"), operations)
		answer, err := w.trySend(ctx, scimRequest{method: post, path: "/Bulk", body: body})
		if err != nil || answer.status != http.StatusOK {
			return false, fmt.Errorf("%w %+v", err, answer)
		}
		results, _ := answer.get("Operations").([]any)
		result, _ := results[0].(map[string]any)
		return judged(fmt.Sprint(result["status"]), answer)
	}
	answer, err := w.trySend(ctx, scimRequest{
		method: patch, path: path, header: map[string]string{"If-Match": a.header.Get("ETag")},
		body: `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":` + operations + `}`,
	})
	if err != nil {
		return false, err
	}
	return judged(fmt.Sprint(answer.status), answer)
}

func judged(status string, a *scimAnswer) (bool, error) {
	switch status {
	case "200":
		return true, nil
	case "412":
		return false, nil
	}
	return false, fmt.Errorf("answered %s: %s", status, a.raw)
}

// TestConditionsOfEveryForm is RFC 7644 section 3.14 and RFC 9110 section 13.1.
func TestConditionsOfEveryForm(t *testing.T) {
	t.Parallel()
	const change = `{S,"Operations":[{"op":"replace","path":"externalId","value":"x"}]}`
	header := func(name, value string) map[string]string { return map[string]string{name: value} }
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		w.replay(t, expand([]exchange{
			{name: "a user", method: post, path: "/Users", body: `{"userName":"kim@example.com","externalId":"x"}`, status: 201, save: "user"},
			{name: "a group", method: post, path: "/Groups", body: `{"displayName":"G","externalId":"x"}`, status: 201, save: "group"},
		}))
		before := w.events(t)
		for _, path := range []string{"/Users/<user>", "/Groups/<group>"} {
			w.replay(t, expand([]exchange{
				{name: path + " by the version", method: patch, path: path, body: change, status: 200, header: header("If-Match", `W/"1"`), want: `{"meta":{"version":"W/\"1\""}}`},
				{name: "a strong one", method: patch, path: path, body: change, status: 200, header: header("If-Match", `"1"`)},
				{name: "one of a list", method: patch, path: path, body: change, status: 200, header: header("If-Match", `"a", W/"7" , W/"1"`)},
				{name: "any", method: patch, path: path, body: change, status: 200, header: header("If-Match", `*`)},
				{name: "none of a list", method: patch, path: path, body: change, status: 412, header: header("If-Match", `W/"2","3"`)},
				{name: "unless it is that", method: patch, path: path, body: change, status: 412, header: header("If-None-Match", `W/"1"`)},
				{name: "unless there is one", method: remove, path: path, status: 412, header: header("If-None-Match", `*`)},
				{name: "unless it is another", method: patch, path: path, body: change, status: 200, header: header("If-None-Match", `W/"2"`)},
				{name: "read if it is another", method: get, path: path, status: 200, header: header("If-None-Match", `W/"2", W/"3"`)},
				{name: "not again", method: get, path: path, status: 304, header: header("If-None-Match", `W/"3", W/"1"`)},
				{name: "nor by a strong one", method: get, path: path, status: 304, header: header("If-None-Match", `"1"`)},
				{name: "nor any", method: get, path: path, status: 304, header: header("If-None-Match", `*`)},
				{name: "nor its head", method: http.MethodHead, path: path, status: 304, header: header("If-None-Match", `W/"1"`)},
				{name: "read only that", method: get, path: path, status: 412, header: header("If-Match", `W/"2"`)},
			}))
		}
		if n := w.events(t); n != before {
			t.Errorf("%d events for changes that change nothing", n-before)
		}
	})
}

// TestAGroupsVersionMovesWithItsMembers deletes and brings back members, of which the
// group itself is not told: what it shows changes, so that a client that has the version
// before must not hear that nothing has.
func TestAGroupsVersionMovesWithItsMembers(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		w.replay(t, []exchange{
			{name: "a user", method: post, path: "/Users", body: `{"userName":"kim@example.com","externalId":"k"}`, status: 201, save: "kim"},
			{name: "another", method: post, path: "/Users", body: `{"userName":"lee@example.com"}`, status: 201, save: "lee"},
			{name: "a group in the group", method: post, path: "/Groups", body: `{"displayName":"Inner","members":[{"value":"<lee>"}]}`, status: 201, save: "inner"},
			{name: "the group", method: post, path: "/Groups", body: `{"displayName":"G","members":[{"value":"<kim>"},{"value":"<lee>"},{"value":"<inner>"}]}`, status: 201, save: "group"},
			{name: "a group above", method: post, path: "/Groups", body: `{"displayName":"Above","members":[{"value":"<group>"}]}`, status: 201, save: "above"},
		})
		kim, lee, inner := w.saved["kim"], w.saved["lee"], w.saved["inner"]
		members := []string{kim, lee, inner}
		slices.Sort(members)
		version, modified := `W/"1"`, ""
		for _, step := range []struct {
			exchange
			added, removed string // the member that the group's events name
		}{
			{exchange{name: "a member is deleted", method: remove, path: "/Users/<kim>", status: 204}, "", kim},
			{exchange{name: "and returns with its memberships", method: post, path: "/Users", body: `{"userName":"kim@example.com","externalId":"k"}`, status: 201, want: `{"id":"<kim>","groups":[{"value":"<group>"},{"value":"<above>"}]}`}, kim, ""},
			{exchange{name: "another is deleted, in a Bulk", method: post, path: "/Bulk", status: 200, want: `{"Operations":[{"status":"204"}]}`,
				body: `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[{"method":"DELETE","path":"/Users/<lee>"}]}`}, "", lee},
			{exchange{name: "and returns without", method: post, path: "/Users", body: `{"userName":"lee@example.com"}`, status: 201, want: `{"id":"<lee>"}`}, "", ""},
			{exchange{name: "a group in it is deleted", method: remove, path: "/Groups/<inner>", status: 204}, "", inner},
			{exchange{name: "and returns without its edges", method: post, path: "/Groups", body: `{"displayName":"Inner"}`, status: 201, want: `{"id":"<inner>"}`}, "", ""},
			{exchange{name: "who is no member is deleted", method: remove, path: "/Users/<lee>", status: 204}, "", ""},
		} {
			before := len(w.log(t))
			w.replay(t, []exchange{step.exchange})
			if step.added != "" {
				members = append(members, step.added)
			}
			members = slices.DeleteFunc(members, func(id string) bool { return id == step.removed })
			slices.Sort(members)

			a := w.send(t, scimRequest{method: get, path: "/Groups/" + w.saved["group"], header: map[string]string{"If-None-Match": version}})
			if step.added+step.removed == "" {
				if a.status != http.StatusNotModified {
					t.Errorf("%s: %d %s, want 304", step.name, a.status, a.raw)
				}
			} else {
				got := []string{}
				list, _ := a.get("members").([]any)
				for _, m := range list {
					got = append(got, fmt.Sprint(member(m, "value")))
				}
				slices.Sort(got)
				if diff := cmp.Diff(members, got); a.status != http.StatusOK || diff != "" || a.text("meta", "lastModified") <= modified {
					t.Errorf("%s: %d %s: members (-want +got):\n%s", step.name, a.status, a.raw, diff)
				}
				version, modified = a.header.Get("ETag"), a.text("meta", "lastModified")
			}
			var added, removed []string
			for _, e := range w.log(t)[before:] {
				if e.Type != store.EventMembersChanged || string(e.Resource) != w.saved["group"] {
					continue
				}
				var data struct{ Added, Removed []string }
				if err := json.Unmarshal(e.Data, &data); err != nil {
					t.Error(err)
				}
				added, removed = append(added, data.Added...), append(removed, data.Removed...)
			}
			if strings.Join(added, " ") != step.added || strings.Join(removed, " ") != step.removed {
				t.Errorf("%s: the events tell of %v added and %v removed, want %q and %q", step.name, added, removed, step.added, step.removed)
			}
		}
		if a := w.send(t, scimRequest{method: get, path: "/Groups/" + w.saved["above"]}); a.header.Get("ETag") != `W/"1"` {
			t.Errorf("the group above, which states what it did, has the version %s", a.header.Get("ETag"))
		}
	})
}

// TestAVersionIsOfWhatTheDirectoryStates moves a user between groups: what only the groups
// state does not stand in the way of who changes the user, or the group above, on the
// version that he has read.
func TestAVersionIsOfWhatTheDirectoryStates(t *testing.T) {
	t.Parallel()
	const title = `{S,"Operations":[{"op":"replace","path":"title","value":"T"}]}`
	first, second := map[string]string{"If-Match": `W/"1"`}, map[string]string{"If-Match": `W/"2"`}
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		w.replay(t, expand([]exchange{
			{name: "a user", method: post, path: "/Users", body: `{"userName":"kim@example.com"}`, status: 201, want: `{"meta":{"version":"W/\"1\""}}`, save: "kim"},
			{name: "a group", method: post, path: "/Groups", body: `{"displayName":"G"}`, status: 201, save: "group"},
			{name: "a group above", method: post, path: "/Groups", body: `{"displayName":"Above","members":[{"value":"<group>"}]}`, status: 201, want: `{"meta":{"version":"W/\"1\""}}`, save: "above"},
			{name: "the user joins", method: patch, path: "/Groups/<group>", body: `{S,"Operations":[{"op":"add","path":"members","value":[{"value":"<kim>"}]}]}`, status: 200, header: first, want: `{"meta":{"version":"W/\"2\""}}`},
			{name: "and shows it", method: get, path: "/Users/<kim>", status: 200, want: `{"groups":[{"type":"direct"},{"type":"indirect"}],"meta":{"version":"W/\"1\""}}`},
			{name: "to who has the version, too, without a condition", method: get, path: "/Users/<kim>", status: 304, header: map[string]string{"If-None-Match": `W/"1"`}},
			{name: "the group above shows one more", method: get, path: "/Groups/<above>", status: 200, want: `{"urn:provost:params:scim:schemas:extension:1.0:Group":{"effectiveCount":1},"meta":{"version":"W/\"1\""}}`},
			{name: "a change on the user's version", method: patch, path: "/Users/<kim>", body: title, status: 200, header: first, want: `{"meta":{"version":"W/\"2\""}}`},
			{name: "is seen", method: get, path: "/Users/<kim>", status: 200, header: map[string]string{"If-None-Match": `W/"1"`}},
			{name: "a change on that of the group above", method: patch, path: "/Groups/<above>", body: `{S,"Operations":[{"op":"replace","path":"displayName","value":"Over"}]}`, status: 200, header: first},
			{name: "but not one on the version of the group itself", method: patch, path: "/Groups/<group>", body: `{S,"Operations":[{"op":"replace","path":"displayName","value":"H"}]}`, status: 412, header: first},
			{name: "which has moved", method: patch, path: "/Groups/<group>", body: `{S,"Operations":[{"op":"replace","path":"displayName","value":"H"}]}`, status: 200, header: second},
		}))
	})
}
