package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
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
