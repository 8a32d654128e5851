package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// membersPatch is a PATCH that adds and removes members.
func membersPatch(add, remove []store.ID) string {
	var ops []string
	if len(add) > 0 {
		ops = append(ops, `{"op":"add","path":"members","value":[`+memberList(add)+`]}`)
	}
	if len(remove) > 0 {
		ops = append(ops, `{"op":"remove","path":"members","value":[`+memberList(remove)+`]}`)
	}
	return `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[` + strings.Join(ops, ",") + `]}`
}

func memberList(ids []store.ID) string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = `{"value":"` + string(id) + `"}`
	}
	return strings.Join(list, ",")
}

// without returns one of list that is not in those.
func without(list, those []store.ID) store.ID {
	for _, id := range list {
		if !slices.Contains(those, id) {
			return id
		}
	}
	return ""
}

// members reads the ids of a group's members from the store.
func (w *scimWorld) members(t *testing.T, group store.ID, effective bool) []store.ID {
	t.Helper()
	var ids []store.ID
	err := w.store.View(t.Context(), func(r store.Reader) error {
		g, err := r.Group(t.Context(), w.org, string(group))
		if err != nil {
			return err
		}
		page, err := r.Members(t.Context(), store.MemberQuery{Org: w.org, Group: g.Key, Effective: effective})
		for _, m := range page.Items {
			ids = append(ids, m.ID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	return ids
}

// TestConcurrentPatchesOfOneGroupLoseNothing lets 8 clients add and remove 2,000
// different members of one group, in an order that nobody controls.
func TestConcurrentPatchesOfOneGroupLoseNothing(t *testing.T) {
	t.Parallel()
	const clients, users, batch = 8, 2000, 10
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		ids := w.newUsers(t, "member", users)
		group := store.ID(w.send(t, scimRequest{method: post, path: "/Groups", body: `{"displayName":"Everybody"}`}).text("id"))
		final := make([][]store.ID, clients) // of each client, who it left in the group
		var wg sync.WaitGroup
		for c := range clients {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(1, uint64(c)))
				mine := slices.Clone(ids[c*users/clients : (c+1)*users/clients])
				in := map[store.ID]bool{}
				for round := range 2 {
					rng.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
					for part := range slices.Chunk(mine, batch) {
						var add, remove []store.ID
						for _, id := range part {
							switch {
							case !in[id]:
								in[id], add = true, append(add, id)
							case rng.IntN(2) == 0:
								delete(in, id)
								remove = append(remove, id)
							}
						}
						if len(add)+len(remove) == 0 {
							continue
						}
						path := "/Groups/" + string(group)
						if round == 0 || c%2 == 0 {
							path += "?excludedAttributes=members"
						}
						a, err := w.trySend(t.Context(), scimRequest{method: patch, path: path, body: membersPatch(add, remove)})
						if err != nil || a.status != http.StatusOK && a.status != http.StatusNoContent {
							t.Errorf("client %d: %v %+v", c, err, a)
							return
						}
					}
				}
				for id := range in {
					final[c] = append(final[c], id)
				}
			})
		}
		wg.Wait()
		want := slices.Concat(final...)
		slices.Sort(want)
		if len(want) < users/4 || len(want) > users {
			t.Fatalf("the clients left %d members, so they did not add and remove", len(want))
		}
		if diff := cmp.Diff(want, w.members(t, group, false)); diff != "" {
			t.Errorf("stated members: %s", diff)
		}
		if diff := cmp.Diff(want, w.members(t, group, true)); diff != "" {
			t.Errorf("effective members: %s", diff)
		}
		a := w.send(t, scimRequest{method: get, path: "/Groups/" + string(group) + "?excludedAttributes=members"})
		if got := fmt.Sprint(a.get("urn:provost:params:scim:schemas:extension:1.0:Group", "effectiveCount")); got != strconv.Itoa(len(want)) {
			t.Errorf("effectiveCount is %s, want %d", got, len(want))
		}
	})
}

// TestACapRaceEndsAtTheCap is rule 5 under pressure: of 100 writers that add one
// member each to a group of 9,990, ten succeed.
func TestACapRaceEndsAtTheCap(t *testing.T) {
	t.Parallel()
	const limit, room, writers = 10_000, 10, 100
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		ids := w.newUsers(t, "user", limit-room+writers+1)
		inside, outside, extra := ids[:limit-room], ids[limit-room:len(ids)-1], ids[len(ids)-1]
		name := "Big"
		bulk := store.GroupStatement{DisplayName: &name, Members: store.MemberStatement{Mode: store.MembersReplace}}
		for _, id := range inside {
			bulk.Members.Add = append(bulk.Members.Add, store.MemberRef{ID: id})
		}
		group := w.state(t, store.Statement{Groups: []store.GroupStatement{bulk}}).Groups[0].ID

		var mu sync.Mutex
		var admitted []store.ID
		var wg sync.WaitGroup
		for _, id := range outside {
			wg.Go(func() {
				a, err := w.trySend(context.WithoutCancel(t.Context()), scimRequest{method: patch, path: "/Groups/" + string(group), body: membersPatch([]store.ID{id}, nil)})
				switch {
				case err != nil:
					t.Error(err)
				case a.status == http.StatusNoContent:
					mu.Lock()
					admitted = append(admitted, id)
					mu.Unlock()
				case a.status != 400 || a.text("scimType") != "invalidValue" || !strings.Contains(a.text("detail"), "10001") || !strings.Contains(a.text("detail"), "10000"):
					t.Errorf("refused with %d %s", a.status, a.raw)
				}
			})
		}
		wg.Wait()
		if len(admitted) != room {
			t.Errorf("%d were admitted, want %d", len(admitted), room)
		}
		want := slices.Concat(inside, admitted)
		slices.Sort(want)
		for _, effective := range []bool{false, true} {
			if diff := cmp.Diff(want, w.members(t, group, effective)); diff != "" {
				t.Errorf("members, effective %v: %s", effective, diff)
			}
		}
		a := w.send(t, scimRequest{method: get, path: "/Groups/" + string(group) + "?excludedAttributes=members"})
		if a.text("meta", "version") != fmt.Sprintf(`W/"%d"`, 1+room) {
			t.Errorf("the version is %s: who was refused raised it", a.text("meta", "version"))
		}

		t.Run("an ancestor that goes over is marked, and the push succeeds", func(t *testing.T) {
			w.saved["big"], w.saved["extra"], w.saved["outside"] = string(group), string(extra), string(without(outside, admitted))
			const extension = `"urn:provost:params:scim:schemas:extension:1.0:Group"`
			w.replay(t, expand([]exchange{
				{name: "a small group", method: post, path: "/Groups", body: `{"displayName":"Small"}`, status: 201, save: "small"},
				{name: "a group above both fits", method: post, path: "/Groups?excludedAttributes=members", body: `{"displayName":"Above","members":[{"value":"<big>"},{"value":"<small>"}]}`, status: 201, save: "above",
					want: `{` + extension + `:{"effectiveCount":10000,"overCap":false}}`},
				{name: "a member of the small group is accepted", method: patch, path: "/Groups/<small>", body: `{S,"Operations":[{"op":"add","path":"members","value":[{"value":"<extra>"}]}]}`, status: 200,
					want: `{"members":[{"value":"<extra>"}],` + extension + `:{"effectiveCount":1,"overCap":false}}`},
				{name: "the group above is over the cap", method: get, path: "/Groups/<above>?excludedAttributes=members", status: 200, want: `{` + extension + `:{"effectiveCount":10001,"overCap":true}}`},
				{name: "the member is not published in it", method: get, path: "/Users/<extra>", status: 200, want: `{"groups":[{"value":"<small>"}]}`},
				{name: "nothing more is added to it", method: patch, path: "/Groups/<above>", body: `{S,"Operations":[{"op":"add","path":"members","value":[{"value":"<outside>"}]}]}`, status: 400, want: `{"scimType":"invalidValue"}`},
				{name: "a removal below brings it back", method: patch, path: "/Groups/<small>", body: `{S,"Operations":[{"op":"remove","path":"members"}]}`, status: 200},
				{name: "and it fits again", method: get, path: "/Groups/<above>?excludedAttributes=members", status: 200, want: `{` + extension + `:{"effectiveCount":10000,"overCap":false}}`},
			}))
		})
	})
}
