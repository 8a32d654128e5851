package main

import (
	"testing"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// TestAnInternalGroupDoesNotExistForAClient puts a client's group into an administrator's:
// the client, which would get 404 for it, sees it nowhere among the groups of its users.
func TestAnInternalGroupDoesNotExistForAClient(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		reconciler := reconcile.New(w.store, reconcile.Options{})
		byAdmin := func(g store.GroupStatement) *store.Group {
			t.Helper()
			out, err := reconciler.Reconcile(t.Context(), store.Statement{Org: w.org, Origin: store.OriginAdmin, Groups: []store.GroupStatement{g}})
			if err != nil {
				t.Fatal(err)
			}
			return &out.Groups[0]
		}
		name := "all of us"
		internal := byAdmin(store.GroupStatement{DisplayName: &name})
		w.saved["internal"] = string(internal.ID)
		w.replay(t, []exchange{
			{name: "a user", method: post, path: "/Users", body: `{"userName":"kim@example.com"}`, status: 201, save: "kim"},
			{name: "another", method: post, path: "/Users", body: `{"userName":"ann@example.com"}`, status: 201, save: "ann"},
			{name: "a group", method: post, path: "/Groups", body: `{"displayName":"staff","members":[{"value":"<kim>"}]}`, status: 201, save: "staff"},
			{name: "another group", method: post, path: "/Groups", body: `{"displayName":"board","members":[{"value":"<ann>"}]}`, status: 201},
		})
		internal = byAdmin(store.GroupStatement{
			Record:  store.RecordKey{ID: internal.ID},
			Members: store.MemberStatement{Add: []store.MemberRef{{ID: store.ID(w.saved["staff"])}}},
		})
		if internal.EffectiveCount != 1 {
			t.Fatalf("the internal group publishes %d users, want the one of the client's group", internal.EffectiveCount)
		}
		const one = `{"groups":[{"value":"<staff>","type":"direct"}]}`
		const none, found = `{"totalResults":0}`, `{"totalResults":1,"Resources":[` + one + `]}`
		w.replay(t, []exchange{
			{name: "it is not read", method: get, path: "/Groups/<internal>", status: 404},
			{name: "nor shown of a user", method: get, path: "/Users/<kim>", status: 200, want: one},
			{name: "nor after a change", method: patch, path: "/Users/<kim>", status: 200, want: one,
				body: `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"title","value":"x"}]}`},
			{name: "nor in a list", method: get, path: "/Users?filter=userName pr&sortBy=userName&startIndex=2", status: 200, want: `{"Resources":[` + one + `]}`},
			{name: "nor of a user that is looked up", method: get, path: `/Users?filter=userName eq "kim@example.com"`, status: 200, want: found},
			{name: "nor in a list of the root", method: get, path: `/?filter=title pr`, status: 200, want: found},
			{name: "nor found by its id", method: get, path: `/Users?filter=groups.value eq "<internal>"`, status: 200, want: none},
			{name: "nor by its name", method: get, path: `/Users?filter=groups.display co "all"`, status: 200, want: none},
			{name: "nor between brackets", method: get, path: `/Users?filter=groups[type eq "indirect"]`, status: 200, want: none},
			{name: "nor in an order", method: get, path: "/Users?sortBy=groups.display&count=1", status: 200,
				want: `{"totalResults":2,"Resources":[{"id":"<ann>"}]}`},
			{name: "while its own is found", method: get, path: `/Users?filter=groups.value eq "<staff>"`, status: 200, want: found},
		})
	})
}
