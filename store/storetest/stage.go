package storetest

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/provost-scim/provost/store"
)

// stagedUser is a row of a user that is there and claims a name.
func stagedUser(id, name string) store.Staged {
	return store.Staged{
		Phase: store.StageUsers, Kind: store.KindUser, ExternalID: id, Body: json.RawMessage(`{"attributes":{"userName":"` + name + `"}}`),
		Hash: []byte{1, 2}, Keys: []string{store.Fold(name), "mail@corp.test"}, Weight: 1, Manager: "boss", DN: "uid=" + id,
	}
}

func stagedGroup(id, name string, weight int) store.Staged {
	return store.Staged{Phase: store.StageGroups, Kind: store.KindGroup, ExternalID: id, Body: json.RawMessage("{}"), Keys: []string{store.Fold(name)}, Weight: weight}
}

func stagedGone(kind store.Kind, id string) store.Staged {
	return store.Staged{Phase: store.StageGone, Kind: kind, ExternalID: id, Presence: store.Gone, Weight: 1, Known: true}
}

func (e *env) stage(run store.Key, rows ...store.Staged) {
	e.Helper()
	e.update(func(t store.Tx) error { return t.AppendStage(e.Context(), run, rows) })
}

// seal returns the stable ids of each window in order.
func (e *env) seal(run store.Key, records, refs int) (windows [][]string, hash string) {
	e.Helper()
	var n int
	e.update(func(t store.Tx) (err error) {
		n, hash, err = t.SealStage(e.Context(), run, records, refs)
		return err
	})
	for w := range n {
		var ids []string
		for _, s := range got(e, func(r store.Reader) ([]store.Staged, error) { return r.StagedWindow(e.Context(), run, w) }) {
			if s.Window != w {
				e.Errorf("row %q of window %d says window %d", s.ExternalID, w, s.Window)
			}
			ids = append(ids, s.ExternalID)
		}
		windows = append(windows, ids)
	}
	return windows, hash
}

// staged seals a stage and returns all its rows, in the order of their windows.
func (e *env) staged(run store.Key) (all []store.Staged) {
	e.Helper()
	var windows int
	e.update(func(t store.Tx) (err error) {
		windows, _, err = t.SealStage(e.Context(), run, 100, 100)
		return err
	})
	for w := range windows {
		all = append(all, got(e, func(r store.Reader) ([]store.Staged, error) { return r.StagedWindow(e.Context(), run, w) })...)
	}
	return all
}

// wantWindows seals the stage with 10 references a window.
func (e *env) wantWindows(run store.Key, records int, want ...[]string) {
	e.Helper()
	have, _ := e.seal(run, records, 10)
	if diff := cmp.Diff(want, have); diff != "" {
		e.Errorf("windows (-want +got):\n%s", diff)
	}
}

// stored creates live users of a directory, by stable id and name.
func (e *env) stored(d *store.Directory, users ...[2]string) {
	e.Helper()
	e.update(func(t store.Tx) error {
		keys, err := t.Keys(e.Context(), store.KindUser, len(users))
		if err != nil {
			return err
		}
		c := &store.ChangeSet{Org: e.org, Directory: d.Key, Now: e.now, Cap: 10}
		for i, u := range users {
			c.Users = append(c.Users, store.UserChange{
				Op: store.OpCreate,
				After: store.User{
					Key: keys[i], ID: store.NewID(e.now), Org: e.org, Directory: d.Key, ExternalID: u[0],
					Attributes: store.Attributes{UserName: u[1]}, Stated: true, Enabled: true, Version: 1, CreatedAt: e.now, ModifiedAt: e.now,
				},
				Claim: []string{store.Fold(u[1])},
			})
		}
		_, err = t.Apply(e.Context(), c)
		return err
	})
}

var stage = map[string]func(*env){
	"staged rows are read back as they were staged, in their order": func(e *env) {
		run := e.run(e.directory("ldap", store.DirectoryLDAP)).Key
		var want []store.Staged
		for i := range 50 { // enough to be copied in bulk
			want = append(want, stagedUser(fmt.Sprintf("u%02d", i), fmt.Sprintf("ann%d", i)))
		}
		want = append(want, stagedGroup("g1", "All", 3), stagedGone(store.KindUser, "u99"))
		e.stage(run, want[:50]...)
		e.stage(run, want[50:]...)
		all := e.staged(run)
		if diff := cmp.Diff(want, all, cmpopts.IgnoreFields(store.Staged{}, "Seq", "Window"), cmpopts.EquateEmpty()); diff != "" {
			e.Fatalf("staged (-want +got):\n%s", diff)
		}
		e.update(func(t store.Tx) error { return t.ClearStage(e.Context(), run) })
		if rest := e.staged(run); len(rest) != 0 {
			e.Errorf("%d rows after clearing", len(rest))
		}
	},
	"managers are amended by stable id, of users only": func(e *env) {
		run := e.run(e.directory("ldap", store.DirectoryLDAP)).Key
		e.stage(run, stagedUser("u1", "ann"), stagedUser("u2", "bob"), stagedGroup("u3", "All", 1))
		e.update(func(t store.Tx) error {
			return t.AmendManagers(e.Context(), run, map[string]string{"u1": "u9", "u3": "u9", "unknown": "u9"})
		})
		have := map[string]string{}
		for _, s := range e.staged(run) {
			have[s.ExternalID] = s.Manager
		}
		if diff := cmp.Diff(map[string]string{"u1": "u9", "u2": "boss", "u3": ""}, have); diff != "" {
			e.Errorf("managers (-want +got):\n%s", diff)
		}
	},
	"what a plan would make of records is read by stable id, of its run, until the stage is cleared": func(e *env) {
		d := e.directory("ldap", store.DirectoryLDAP)
		run, other := e.run(d).Key, e.run(e.directory("other", store.DirectoryLDAP)).Key
		var noted []store.PlanRecord
		for i := range 30 { // enough to be copied in bulk
			noted = append(noted, store.PlanRecord{Kind: store.KindUser, ExternalID: fmt.Sprintf("u%02d", i), Name: fmt.Sprint("ann", i), Arrives: i%2 == 0, Record: store.Key(i)})
		}
		noted = append(noted, store.PlanRecord{Kind: store.KindGroup, ExternalID: "u01", Name: "all"})
		e.update(func(t store.Tx) error { return t.NotePlan(e.Context(), run, noted) })
		e.update(func(t store.Tx) error { return t.NotePlan(e.Context(), other, noted[5:6]) })
		ask := func(ids ...string) []store.PlanRecord {
			return got(e, func(r store.Reader) ([]store.PlanRecord, error) { return r.PlanRecords(e.Context(), run, ids) })
		}
		if diff := cmp.Diff([]store.PlanRecord{noted[0], noted[30], noted[1], noted[29]}, ask("u29", "u01", "none", "u00")); diff != "" {
			e.Errorf("noted (-want +got):\n%s", diff)
		}
		if none := ask(); none != nil {
			e.Errorf("of nobody it tells %v", none)
		}
		e.update(func(t store.Tx) error { return t.ClearStage(e.Context(), run) })
		if rest := ask("u01", "u05"); len(rest) != 0 {
			e.Errorf("once the stage is cleared there are %v", rest)
		}
	},
	"groups are found by who is in them, known or awaited, and records are named": func(e *env) {
		p := e.at("corp")
		stable := func(id string) func(*store.User) { return func(u *store.User) { u.ExternalID = id } }
		ann, gone := p.user("ann", stable("a")), p.user("gone", stable("g"))
		inner := p.group("inner")
		outer := p.group("outer", ann, gone, inner)
		p.group("apart", ann)
		e.update(func(t store.Tx) error {
			_, err := t.Apply(e.Context(), &store.ChangeSet{Org: e.org, Directory: p.dir, Now: e.now, Cap: 10,
				Groups: []store.GroupChange{{After: store.Group{Key: outer.Key, ID: outer.ID, Org: e.org, Directory: p.dir}, AddPending: []string{"late"}}}})
			return err
		})
		p.deleteUser(gone)
		foreign := e.at("elsewhere").group("theirs", ann)
		user := func(u *store.User) store.Edge { return store.Edge{Kind: store.KindUser, Key: u.Key} }
		group := func(g *store.Group) store.Edge { return store.Edge{Kind: store.KindGroup, Key: g.Key} }
		list := got(e, func(r store.Reader) ([]store.Belonging, error) {
			return r.Belongings(e.Context(), store.BelongingQuery{Org: e.org, Directory: p.dir, Awaited: []string{"late", "a"}, Members: []store.Edge{user(gone), group(inner), user(ann)}})
		})
		var found []string
		for _, b := range list {
			found = append(found, fmt.Sprintf("%s: %s%s %t", b.Group.Name, b.Awaited, b.Member.Kind, b.Member == user(gone)))
		}
		slices.Sort(found)
		if diff := cmp.Diff([]string{"apart: User false", "outer: Group false", "outer: User false", "outer: User true", "outer: late false"}, found); diff != "" {
			e.Errorf("groups (-want +got):\n%s", diff)
		}
		names := got(e, func(r store.Reader) (map[store.Edge]store.RecordName, error) {
			return r.RecordNames(e.Context(), e.org, []store.Edge{user(ann), user(gone), group(foreign)})
		})
		want := map[store.Edge]store.RecordName{
			user(ann):      {Kind: store.KindUser, ID: ann.ID, ExternalID: "a", Name: ann.Attributes.UserName},
			group(foreign): {Kind: store.KindGroup, ID: foreign.ID, Name: "theirs"},
		}
		if diff := cmp.Diff(want, names); diff != "" {
			e.Errorf("names (-want +got):\n%s", diff)
		}
	},
	"what was told is marked by stable id, of one run": func(e *env) {
		run, other := e.run(e.directory("ldap", store.DirectoryLDAP)).Key, e.run(e.directory("other", store.DirectoryLDAP)).Key
		e.stage(run, stagedUser("u1", "ann"), stagedUser("u2", "bob"), stagedGroup("g1", "All", 1), stagedGone(store.KindUser, "u3"))
		e.stage(other, stagedUser("u1", "ann"))
		e.update(func(t store.Tx) error {
			return t.MarkTold(e.Context(), run, []string{"g1", "u1", "u3", "unknown"})
		})
		have := map[string]bool{}
		for _, s := range e.staged(run) {
			have[s.ExternalID] = s.Told
		}
		if diff := cmp.Diff(map[string]bool{"u1": true, "u2": false, "g1": true, "u3": true}, have); diff != "" {
			e.Errorf("told (-want +got):\n%s", diff)
		}
		if e.staged(other)[0].Told {
			e.Error("a row of another run is marked")
		}
	},
	"an empty stage has no windows": func(e *env) {
		e.wantWindows(e.run(e.directory("ldap", store.DirectoryLDAP)).Key, 2)
	},
	"windows keep to a phase, a number of records and a number of references": func(e *env) {
		run := e.run(e.directory("ldap", store.DirectoryLDAP)).Key
		e.stage(run, stagedGone(store.KindGroup, "g9"), stagedGroup("g1", "a", 8), stagedUser("u1", "a"), stagedGroup("g2", "b", 3),
			stagedUser("u2", "b"), stagedUser("u3", "c"), stagedGroup("g3", "c", 99), stagedGroup("g4", "d", 1))
		e.wantWindows(run, 2, []string{"u1", "u2"}, []string{"u3"}, []string{"g1"}, []string{"g2"}, []string{"g3"}, []string{"g4"}, []string{"g9"})
	},
	"rows that claim the same name share a window": func(e *env) {
		run := e.run(e.directory("ldap", store.DirectoryLDAP)).Key
		e.stage(run, stagedUser("u1", "Ann"), stagedUser("u2", "b"), stagedUser("u3", "c"), stagedUser("u4", "ANN"), stagedGroup("g1", "ann", 1))
		e.wantWindows(run, 2, []string{"u1", "u4"}, []string{"u2", "u3"}, []string{"g1"})
	},
	"rows that trade names with stored records share a window, and what is gone is pulled into it": func(e *env) {
		d := e.directory("ldap", store.DirectoryLDAP)
		e.stored(d, [2]string{"u1", "ann"}, [2]string{"u4", "bob"}, [2]string{"u7", "cid"}, [2]string{"u8", "dan"}, [2]string{"u9", "eve"})
		e.stored(e.directory("other", store.DirectoryLDAP), [2]string{"u2", "other"})
		run := e.run(d).Key
		e.stage(run,
			stagedUser("u1", "bob"), // swaps with u4
			stagedUser("u2", "x"), stagedUser("u3", "cid"), stagedUser("u4", "ann"),
			stagedUser("u5", "dan"),   // whose holder is not staged: no trade
			stagedUser("u6", "other"), // held in another directory: no trade
			stagedGone(store.KindUser, "u9"), stagedGone(store.KindUser, "u7"),
		)
		e.wantWindows(run, 1, []string{"u1", "u4"}, []string{"u2"}, []string{"u3", "u7"}, []string{"u5"}, []string{"u6"}, []string{"u9"})
	},
	"a chain of trades is one window however long it is": func(e *env) {
		d := e.directory("ldap", store.DirectoryLDAP)
		var users [][2]string
		var rows []store.Staged
		var chain []string
		for i := range 30 {
			id := fmt.Sprintf("u%02d", i)
			users = append(users, [2]string{id, fmt.Sprintf("name%d", i)})
			rows = append(rows, stagedUser(id, fmt.Sprintf("name%d", i+1)))
			chain = append(chain, id)
		}
		e.stored(d, users...)
		run := e.run(d).Key
		slices.Reverse(rows)
		e.stage(run, append(rows, stagedUser("z", "free"))...)
		slices.Reverse(chain)
		e.wantWindows(run, 3, chain, []string{"z"})
	},
	"the hash of a stage depends on all that its rows say, and on nothing else": func(e *env) {
		base := stagedUser("u1", "ann")
		of := func(rows ...store.Staged) string {
			e.Helper()
			run := e.run(e.directory(fmt.Sprint(store.NewID(e.now)), store.DirectoryLDAP)).Key
			e.stage(run, rows...)
			_, first := e.seal(run, 1, 10)
			_, again := e.seal(run, 5, 50)
			if first != again {
				e.Errorf("sealed again the hash is %s, was %s", again, first)
			}
			return first
		}
		want := of(base, stagedGone(store.KindUser, "u2"))
		if have := of(base, stagedGone(store.KindUser, "u2")); have != want || len(want) != 64 {
			e.Errorf("hash %s of equal rows, want %s", have, want)
		}
		for name, change := range map[string]func(*store.Staged){
			"body":     func(s *store.Staged) { s.Body = json.RawMessage(`{}`) },
			"hash":     func(s *store.Staged) { s.Hash = []byte{9} },
			"keys":     func(s *store.Staged) { s.Keys = []string{"ann", "mail", "@corp.test"} },
			"presence": func(s *store.Staged) { s.Presence = store.Left },
			"manager":  func(s *store.Staged) { s.Manager = "" },
			"known":    func(s *store.Staged) { s.Known = true },
		} {
			changed := base
			change(&changed)
			if of(changed, stagedGone(store.KindUser, "u2")) == want {
				e.Errorf("another %s has the same hash", name)
			}
		}
	},
}
