package storetest

import (
	"encoding/json"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

func restated(id string, known bool, members ...string) store.Staged {
	body, err := json.Marshal(store.StagedGroup{DisplayName: id, Members: members})
	if err != nil {
		panic(err)
	}
	return store.Staged{Phase: store.StageGroups, Kind: store.KindGroup, ExternalID: id, Body: body, Weight: 1, Known: known}
}

// lose runs an incremental run that takes something away and leaves it as change says.
func (e *env) lose(d *store.Directory, at time.Time, change func(*store.Run), losses ...store.Loss) {
	e.Helper()
	r := e.newRun(d)
	r.Incremental = true
	e.update(func(t store.Tx) error { return t.CreateRun(e.Context(), r) })
	claimed := e.claim("w", time.Minute)
	e.update(func(t store.Tx) error { return t.NoteLosses(e.Context(), claimed, losses, at) })
	e.save(leaseOf(claimed), func(r *store.Run) {
		finished(r)
		change(r)
	})
}

var losses = map[string]func(*env){
	"members whom a stage no longer names are lost, but for those who go themselves": func(e *env) {
		p := e.at("corp")
		named := func(id string) *store.User { return p.user(id, stable(id)) }
		a, b, c, gone, left := named("a"), named("b"), named("c"), named("gone"), named("left")
		deleted := named("deleted")
		inner := p.group("inner")
		p.changeGroup(store.OpUpdate, inner, func(g *store.Group) { g.ExternalID = "inner" })
		group := func(id string, members ...any) {
			g := p.group(id, members...)
			p.changeGroup(store.OpUpdate, g, func(g *store.Group) { g.ExternalID = id })
		}
		group("all", a, b, c, gone, left, deleted, inner)
		group("few", a, b, c)
		group("same", a, b)
		group("untold", a, b, c)
		group("departed", a, b)
		p.deleteUser(deleted)
		d := got(e, func(r store.Reader) (*store.Directory, error) { return r.DirectoryByKey(e.Context(), p.dir) })
		run := e.run(d).Key
		away := stagedGone(store.KindUser, "left")
		away.Presence = store.Left
		e.stage(run, restated("all", true, "a", "stranger"), restated("few", true, "a", "b"), restated("same", true, "a", "b", "c"),
			restated("new", false, "a"), stagedGone(store.KindUser, "gone"), away, stagedGone(store.KindGroup, "departed"))
		e.seal(run, 10, 10)
		ask := func(q store.LossQuery) []store.Loss {
			q.Run, q.Directory, q.Since = run, p.dir, e.now.Add(-24*time.Hour)
			return got(e, func(r store.Reader) ([]store.Loss, error) { return r.MemberLosses(e.Context(), q) })
		}
		loss := func(id string, taken, of int) store.Loss {
			return store.Loss{Class: store.LossMembersRemoved, Record: id, Name: id, Taken: taken, Of: of}
		}
		for name, c := range map[string]struct {
			q    store.LossQuery
			want []store.Loss
		}{
			"what is gone will be deleted":  {store.LossQuery{Replicates: true}, []store.Loss{loss("all", 3, 6), loss("few", 1, 3)}},
			"what is gone is left as it is": {store.LossQuery{}, []store.Loss{loss("all", 4, 6), loss("few", 1, 3)}},
			"only so many":                  {store.LossQuery{Replicates: true, Limit: 1}, []store.Loss{loss("all", 3, 6)}},
			"those over the threshold are first": {
				store.LossQuery{Replicates: true, Limit: 1, Threshold: store.Threshold{Percent: 32}}, []store.Loss{loss("all", 3, 6)},
			},
		} {
			if diff := cmp.Diff(c.want, ask(c.q)); diff != "" {
				e.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	},

	"incremental runs are counted together with those of the time before, unless a person approved them": func(e *env) {
		p := e.at("corp")
		g := p.group("staff", p.user("a", stable("a")), p.user("b", stable("b")))
		p.changeGroup(store.OpUpdate, g, func(g *store.Group) { g.ExternalID = "g-1" })
		d := got(e, func(r store.Reader) (*store.Directory, error) { return r.DirectoryByKey(e.Context(), p.dir) })
		applied := func(r *store.Run) { r.NextWindow = 1 }
		deleted := func(n int) store.Loss { return store.Loss{Class: store.LossUsersDeleted, Taken: n, Of: 100} }
		members := func(n int) store.Loss {
			return store.Loss{Class: store.LossMembersRemoved, Record: "g-1", Taken: n, Of: 100}
		}
		since := e.now.Add(-24 * time.Hour)
		e.lose(d, since.Add(time.Minute), applied, deleted(3), members(4), store.Loss{Class: store.LossGroupsDeleted, Of: 9})
		e.lose(d, since.Add(time.Hour), applied, store.Loss{Class: store.LossUsersDeleted, Taken: 5, Earlier: 3, Of: 100}, members(1))
		e.lose(d, since.Add(-time.Minute), applied, deleted(100), members(100))
		e.lose(d, since.Add(time.Hour), func(*store.Run) {}, deleted(100), members(100)) // dropped before it was applied
		e.lose(d, since.Add(time.Hour), func(r *store.Run) { r.NextWindow, r.Approved = 1, true }, deleted(100), members(100))
		e.lose(e.directory("other", store.DirectoryLDAP), since.Add(time.Hour), applied, deleted(100), members(100))

		sums := got(e, func(r store.Reader) (map[store.LossClass]int, error) {
			return r.EarlierLosses(e.Context(), d.Key, since)
		})
		if diff := cmp.Diff(map[store.LossClass]int{store.LossUsersDeleted: 5}, sums); diff != "" {
			e.Errorf("sums (-want +got):\n%s", diff)
		}
		run := e.run(d).Key
		e.stage(run, restated("g-1", true, "a"))
		e.seal(run, 10, 10)
		list := got(e, func(r store.Reader) ([]store.Loss, error) {
			return r.MemberLosses(e.Context(), store.LossQuery{Run: run, Directory: d.Key, Since: since})
		})
		want := []store.Loss{{Class: store.LossMembersRemoved, Record: "g-1", Name: "staff", Taken: 6, Of: 7, Earlier: 5}}
		if diff := cmp.Diff(want, list); diff != "" {
			e.Errorf("members (-want +got):\n%s", diff)
		}
	},
}
