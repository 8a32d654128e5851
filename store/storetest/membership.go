package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// changes is the data of events of membership.
type changes struct {
	Added   []store.ID `json:"added"`
	Removed []store.ID `json:"removed"`
	Count   int        `json:"count"`
	OverCap bool       `json:"over_cap"`
}

// membershipEvents are the events of one type about a group.
func (p *place) membershipEvents(kind string, g *store.Group) []changes {
	p.Helper()
	var out []changes
	for _, v := range p.events(store.EventQuery{Org: p.org, Resource: g.ID, Limit: 1000}) {
		if v.Type != kind {
			continue
		}
		var c changes
		if err := json.Unmarshal(v.Data, &c); err != nil {
			p.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

var membership = map[string]func(*env){
	"members are selected by conditions, and so are further records of the directory": func(e *env) {
		p, ann, staff := people(e)
		top := p.group("Top", staff, ann)
		other := e.at("gamma").user("eve")
		bob := p.user("bobby")
		for _, tt := range []struct {
			name string
			q    store.MemberSelection
			want []store.ID
		}{
			{"by type", store.MemberSelection{Group: top.ID, Of: is("members.type", "group")}, []store.ID{staff.ID}},
			{"by display", store.MemberSelection{Group: top.ID, Of: op("members.display", store.Contains, "A")}, []store.ID{staff.ID}},
			{"all", store.MemberSelection{Group: top.ID, Of: store.Has{Field: "members.value"}}, []store.ID{ann.ID, staff.ID}},
			{"further ones, if they are of the directory", store.MemberSelection{Group: top.ID, Also: []store.ID{bob.ID, other.ID}, Of: not(is("members.value", string(ann.ID)))}, []store.ID{staff.ID, bob.ID}},
			{"only further ones", store.MemberSelection{Group: top.ID, Apart: true, Also: []store.ID{bob.ID}, Of: is("members.type", "User")}, []store.ID{bob.ID}},
			{"by location", store.MemberSelection{Group: top.ID, Of: is("members.$ref", base+"/Users/"+string(ann.ID))}, []store.ID{ann.ID}},
			{"of no group", store.MemberSelection{Group: ann.ID, Of: store.Has{Field: "members.value"}}, nil},
		} {
			tt.q.Org, tt.q.Directory, tt.q.Base, tt.q.Limit = e.org, p.dir, base, 10
			have := got(e, func(r store.Reader) ([]store.ID, error) { return r.SelectMembers(e.Context(), tt.q) })
			slices.Sort(have)
			slices.Sort(tt.want)
			if !slices.Equal(have, tt.want) {
				e.Errorf("%s: %v, want %v", tt.name, have, tt.want)
			}
		}
		e.refused(store.CodeFilter, func(t store.Tx) error {
			_, err := t.SelectMembers(e.Context(), store.MemberSelection{Org: e.org, Directory: p.dir, Group: top.ID, Of: is("displayName", "x"), Limit: 1})
			return err
		})
	},
	"stated members of several groups are listed at once, and counted up to a limit": func(e *env) {
		p := e.at("alpha")
		us := p.users("a", "b", "c")
		x := p.group("x", us[0])
		g := p.group("g", us[0], us[1], us[2])
		h := p.group("h", x, us[2])
		p.deleteUser(us[1])
		of := got(e, func(r store.Reader) (map[store.Key][]store.Member, error) {
			return r.MembersOf(e.Context(), e.org, []store.Key{g.Key, h.Key})
		})
		names := map[store.Key]string{}
		for key, members := range of {
			for _, m := range members {
				names[key] += m.UserName + m.DisplayName
			}
		}
		if diff := cmp.Diff(map[store.Key]string{g.Key: "ac", h.Key: "cx"}, names); diff != "" {
			e.Errorf("members (-want +got):\n%s", diff)
		}
		nested := got(e, func(r store.Reader) (map[store.Key]int, error) {
			return r.NestedCounts(e.Context(), e.org, []store.Key{g.Key, h.Key, x.Key})
		})
		if diff := cmp.Diff(map[store.Key]int{h.Key: 1}, nested); diff != "" {
			e.Errorf("groups in groups (-want +got):\n%s", diff)
		}
		for group, counts := range map[*store.Group][]int{g: {1, 2, 2}, h: {1, 2, 2}, x: {1, 1, 1}} {
			for i, want := range counts {
				limit := i + 1
				n := got(e, func(r store.Reader) (int, error) { return r.MemberCount(e.Context(), e.org, group.Key, limit) })
				if n != want {
					e.Errorf("%s counted up to %d: %d, want %d", group.DisplayName, limit, n, want)
				}
			}
		}
	},
	"members are listed users first, in pages that miss and repeat nothing": func(e *env) {
		p := e.at("alpha")
		us := p.users("a", "b", "c")
		x, y := p.group("x", us[0]), p.group("y", us[1])
		g := p.group("g", us[2], us[0], us[1], y, x)
		for _, limit := range []int{1, 2, 3, 4, 5} {
			var names strings.Builder
			q := store.MemberQuery{Org: e.org, Group: g.Key, Limit: limit}
			for more := true; more; {
				page := got(e, func(r store.Reader) (store.Page[store.Member], error) { return r.Members(e.Context(), q) })
				for _, m := range page.Items {
					names.WriteString(m.UserName + m.DisplayName)
					q.After = store.Edge{Kind: m.Kind, Key: m.Key}
				}
				more = page.More
			}
			if names.String() != "abcxy" {
				e.Errorf("%d at a time: %q", limit, names.String())
			}
		}
	},
	"effective members are those of every group below, each once, whatever the cycles": func(e *env) {
		p := e.at("alpha")
		us := p.users("a", "b", "c")
		low := p.group("low", us[0], us[1])
		mid := p.group("mid", low, us[1])
		top := p.group("top", mid, us[2])
		p.add(low, top)
		for _, g := range []*store.Group{low, mid, top} {
			if have := p.effective(g); have != "a b c" {
				e.Errorf("%s has %q", g.DisplayName, have)
			}
		}
		p.remove(top, mid)
		for g, want := range map[*store.Group]string{low: "a b c", mid: "a b c", top: "c"} {
			if have := p.effective(g); have != want {
				e.Errorf("%s has %q, want %q", g.DisplayName, have, want)
			}
		}
		have := got(e, func(r store.Reader) ([]store.Membership, error) {
			return r.Memberships(e.Context(), e.org, nil, []store.Key{us[1].Key, us[2].Key})
		})
		want := []store.Membership{
			{User: us[1].Key, Group: low.ID, DisplayName: "low", Direct: true}, {User: us[1].Key, Group: mid.ID, DisplayName: "mid", Direct: true},
			{User: us[2].Key, Group: low.ID, DisplayName: "low"}, {User: us[2].Key, Group: mid.ID, DisplayName: "mid"},
			{User: us[2].Key, Group: top.ID, DisplayName: "top", Direct: true},
		}
		if diff := cmp.Diff(want, have); diff != "" {
			e.Errorf("memberships (-want +got):\n%s", diff)
		}
		for directory, want := range map[store.Key]int{p.dir: len(want), 0: 0} {
			have := got(e, func(r store.Reader) ([]store.Membership, error) {
				return r.Memberships(e.Context(), e.org, &directory, []store.Key{us[1].Key, us[2].Key})
			})
			if len(have) != want {
				e.Errorf("%d memberships in groups of directory %d, want %d", len(have), directory, want)
			}
		}
	},
	"a circle of groups has the members of all of them, and tells each group once what came of it": func(e *env) {
		p := e.at("alpha")
		us := p.users("a", "b", "c", "d", "e", "f")
		ring := []*store.Group{p.group("g0", us[0]), p.group("g1", us[1]), p.group("g2", us[2]), p.group("g3", us[3])}
		for i, g := range ring[:3] {
			p.add(g, ring[i+1])
		}
		for _, tt := range []struct {
			what    string
			do      func() *store.Effects
			members string // of g0, g1, g2 and g3
			effects string
		}{
			{"closed", func() *store.Effects { return p.add(ring[3], ring[0]) }, "a b c d|a b c d|a b c d|a b c d", "g1 3 4 1 0|g2 2 4 2 0|g3 1 4 3 0"},
			{"a shorter way", func() *store.Effects { return p.add(ring[1], ring[3]) }, "a b c d|a b c d|a b c d|a b c d", ""},
			{"a user beside a nesting", func() *store.Effects { return p.add(ring[2], ring[0], us[4]) }, "a b c d e|a b c d e|a b c d e|a b c d e", "g0 4 5 1 0|g1 4 5 1 0|g2 4 5 1 0|g3 4 5 1 0"},
			{"over the cap", func() *store.Effects { return p.add(ring[1], us[5]) }, "a b c d e|a b c d e|a b c d e|a b c d e", "g0 5 6 0 0|g1 5 6 0 0|g2 5 6 0 0|g3 5 6 0 0"},
			{"opened beyond the shorter way", func() *store.Effects { return p.remove(ring[1], ring[2], us[1]) }, "a d f|a d f|a c d e f|a d f", "g0 6 3 1 3|g1 6 3 1 3|g2 6 5 1 1|g3 6 3 1 3"},
			{"opened", func() *store.Effects { return p.remove(ring[3], ring[0]) }, "a d f|d f|a c d e f|d", "g1 3 2 0 1|g3 3 1 0 2"},
		} {
			effects := tt.do()
			var members, told []string
			for _, g := range ring {
				members = append(members, p.effective(g))
			}
			for _, g := range effects.Groups {
				told = append(told, fmt.Sprint(g.DisplayName, " ", g.Before, g.After, g.Published, g.Ceased))
			}
			if have := strings.Join(members, "|"); have != tt.members {
				e.Errorf("%s: members %q, want %q", tt.what, have, tt.members)
			}
			if have := strings.Join(told, "|"); have != tt.effects {
				e.Errorf("%s: effects %q, want %q", tt.what, have, tt.effects)
			}
		}
		var counts []int
		for _, c := range p.membershipEvents(store.EventEffectiveChanged, ring[3]) {
			counts = append(counts, c.Count)
		}
		if diff := cmp.Diff([]int{1, 4, 5, 6, 3, 1}, counts); diff != "" {
			e.Errorf("counts that the events of g3 tell (-want +got):\n%s", diff)
		}
	},
	"inactive users count; deleted and departed ones do not, and come back": func(e *env) {
		p := e.at("alpha")
		u := p.user("ann")
		g := p.group("g", u)
		top := p.group("top", g)
		out := func(away bool) func(*store.User) { return func(u *store.User) { u.OutOfScope = away } }
		for _, tt := range []struct {
			what string
			do   func()
			want string
		}{
			{"disabled", func() { p.change(store.OpUpdate, u, func(u *store.User) { u.Stated = false }) }, "ann"},
			{"out of scope", func() { p.change(store.OpUpdate, u, out(true)) }, ""},
			{"back in scope", func() { p.change(store.OpUpdate, u, out(false)) }, "ann"},
			{"deleted", func() { p.deleteUser(u) }, ""},
			{"restored", func() { p.restoreUser(u) }, "ann"},
			{"the group out of scope", func() { p.changeGroup(store.OpUpdate, g, func(g *store.Group) { g.OutOfScope = true }) }, ""},
			{"the group back", func() { p.changeGroup(store.OpUpdate, g, func(g *store.Group) { g.OutOfScope = false }) }, "ann"},
		} {
			tt.do()
			for _, x := range []*store.Group{g, top} {
				if have := p.effective(x); have != tt.want {
					e.Errorf("%s: %s has %q, want %q", tt.what, x.DisplayName, have, tt.want)
				}
			}
		}
		if have := p.direct(g); have != "ann" {
			e.Errorf("direct members %q", have)
		}
	},
	"pending members come alive with their record, in groups of the same directory": func(e *env) {
		p, other := e.at("alpha"), e.at("beta")
		g, theirs := p.group("g"), other.group("theirs")
		top := p.group("top", g)
		p.apply(store.ChangeSet{Groups: []store.GroupChange{{After: *g, AddPending: []string{"e-u", "e-g", "e-off"}}}})
		other.apply(store.ChangeSet{Groups: []store.GroupChange{{After: *theirs, AddPending: []string{"e-u"}}}})
		p.apply(store.ChangeSet{Groups: []store.GroupChange{{After: *g, RemovePending: []string{"e-off"}}}})
		p.user("ann", stable("e-u"))
		p.user("off", stable("e-off"))
		bob := p.user("bob")
		child := p.newGroup("child", func(g *store.Group) { g.ExternalID = "e-g" })
		p.apply(store.ChangeSet{Groups: []store.GroupChange{{Op: store.OpCreate, After: child, Add: edges([]any{bob})}}})
		if have := p.direct(g) + "|" + p.effective(top) + "|" + other.direct(theirs); have != "ann child|ann bob|" {
			e.Errorf("members %q", have)
		}
		if have := p.load(store.Scope{Groups: []store.GroupScope{{Record: store.RecordKey{ID: g.ID}, AllEdges: true}}}).Pending[g.Key]; len(have) != 0 {
			e.Errorf("still pending: %v", have)
		}
		if have := p.membershipEvents(store.EventMembersChanged, g); len(have) != 2 || len(have[0].Added) != 1 {
			e.Errorf("events %v", have)
		}
	},
	"deferred changes are published once, in steps, and others wait for them": func(e *env) {
		p := e.at("alpha")
		us := p.users("a", "b", "c")
		low := p.group("low", us[0])
		top := p.group("top", low)
		effects := p.apply(store.ChangeSet{Deferred: true, Groups: []store.GroupChange{{After: *low, Add: edges([]any{us[1]}), Remove: edges([]any{us[0]})}}})
		if len(effects.Groups) != 0 || p.effective(top) != "a" {
			e.Errorf("effects %v, members %q", effects.Groups, p.effective(top))
		}
		if p.add(top, us[2]); p.effective(top) != "a" {
			e.Errorf("a stale group was touched: %q", p.effective(top))
		}
		var published []string
		for more := true; more; {
			e.update(func(t store.Tx) error {
				var err error
				effects, more, err = t.Publish(e.Context(), store.Publication{Org: e.org, Cap: 5, Now: e.now, Rows: 1})
				for _, g := range effects.Groups {
					published = append(published, fmt.Sprint(g.DisplayName, g.Before, g.After, g.Published, g.Ceased))
				}
				return err
			})
		}
		if diff := cmp.Diff([]string{"low1 1 1 1", "top1 2 2 1"}, published); diff != "" {
			e.Errorf("published (-want +got):\n%s", diff)
		}
		if have := p.effective(low) + "|" + p.effective(top); have != "b|b c" {
			e.Errorf("members %q", have)
		}
	},
	"a run publishes its own groups, and internal ones that wait for no other's": func(e *env) {
		p, other, inner := e.at("alpha"), e.at("beta"), &place{e, e.org, 0}
		mine, theirs := p.group("mine"), other.group("theirs")
		free, waits := inner.group("free", mine), inner.group("waits", mine, theirs)
		for x, g := range map[*place]*store.Group{p: mine, other: theirs} {
			x.apply(store.ChangeSet{Deferred: true, Groups: []store.GroupChange{{After: *g, Add: edges([]any{x.user("of " + g.DisplayName)})}}})
		}
		published := func(directory store.Key) string {
			e.update(func(t store.Tx) error {
				_, more, err := t.Publish(e.Context(), store.Publication{Org: e.org, Directory: directory, Cap: 5, Now: e.now, Rows: 1000})
				if more {
					e.Error("more remains")
				}
				return err
			})
			return p.effective(mine) + "|" + other.effective(theirs) + "|" + inner.effective(free) + "|" + inner.effective(waits)
		}
		if have := published(p.dir); have != "of mine||of mine|" {
			e.Errorf("after the first run: %q", have)
		}
		if have := published(other.dir); have != "of mine|of theirs|of mine|of mine of theirs" {
			e.Errorf("after the second run: %q", have)
		}
	},
	"events tell who came and went, at most so many in one": func(e *env) {
		p := e.at("alpha")
		var c store.ChangeSet
		var want []store.ID
		g := p.newGroup("g")
		change := store.GroupChange{Op: store.OpCreate, After: g}
		var keys []store.Key
		e.update(func(t store.Tx) (err error) {
			keys, err = t.Keys(e.Context(), store.KindUser, store.EventIDs+5)
			return err
		})
		for i, k := range keys {
			u := store.User{Key: k, ID: store.NewID(e.now), Org: e.org, Directory: p.dir, Attributes: store.Attributes{UserName: fmt.Sprint("u", i)}, Version: 1, CreatedAt: e.now, ModifiedAt: e.now}
			c.Users = append(c.Users, store.UserChange{Op: store.OpCreate, After: u})
			change.Add = append(change.Add, store.Edge{Kind: store.KindUser, Key: k})
			want = append(want, u.ID)
		}
		c.Groups, c.Cap = []store.GroupChange{change}, 2*store.EventIDs
		effects := p.apply(c)
		if n := len(want); effects.Events != 4 || effects.Effect(g.Key).Published != n || effects.Effect(g.Key).After != n {
			e.Errorf("%d events, effect %+v", effects.Events, effects.Effect(g.Key))
		}
		for _, kind := range []string{store.EventMembersChanged, store.EventEffectiveChanged} {
			var have []store.ID
			list := p.membershipEvents(kind, &g)
			for _, v := range list {
				if len(v.Added)+len(v.Removed) > store.EventIDs || kind == store.EventEffectiveChanged && (v.Count != len(want) || v.OverCap) {
					e.Errorf("%s: %d and %d ids, count %d", kind, len(v.Added), len(v.Removed), v.Count)
				}
				have = append(have, v.Added...)
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, have); diff != "" || len(list) != 2 {
				e.Errorf("%s: %d events (-want +got):\n%s", kind, len(list), diff)
			}
		}
	},
	"what becomes of nothing is not told": func(e *env) {
		p := e.at("alpha")
		u := p.user("ann")
		g := p.group("g", u)
		for _, effects := range []*store.Effects{p.add(g, u), p.remove(g, p.user("bob"))} {
			if len(effects.Groups) != 0 || effects.Events != 0 {
				e.Errorf("effects %+v", effects)
			}
		}
	},
	"a user that is deleted while another transaction adds it ends up nowhere": func(e *env) {
		p := e.at("alpha")
		for i := range 8 {
			u := p.user(fmt.Sprint("u", i))
			g := p.group(fmt.Sprint("g", i))
			top := p.group(fmt.Sprint("top", i), g)
			done := make(chan error, 2)
			go func() {
				done <- e.s.Update(e.Context(), func(t store.Tx) error {
					scope := store.Scope{Org: e.org, Directory: p.dir, Users: []store.RecordKey{{ID: u.ID}}}
					have, err := t.Load(e.Context(), scope)
					if err != nil {
						return err
					}
					c := changed(store.OpDelete, have.Users[scope.Users[0]], func(u *store.User) { u.DeletedAt = e.now })
					_, err = t.Apply(e.Context(), &store.ChangeSet{Org: e.org, Directory: p.dir, Now: e.now, Cap: 5, Users: []store.UserChange{c}})
					return err
				})
			}()
			go func() { done <- e.s.Update(e.Context(), addOne(p, g, u, 5)) }()
			for range 2 {
				if err := <-done; err != nil {
					e.Errorf("round %d: %v", i, err)
				}
			}
			for _, x := range []*store.Group{g, top} {
				if have := p.readGroup(x); have.EffectiveCount != 0 || p.effective(x) != "" {
					e.Errorf("round %d: %s has %d effective members: %q", i, x.DisplayName, have.EffectiveCount, p.effective(x))
				}
			}
		}
	},
}

// addOne is the transaction of a push that adds one user to a group if it is known,
// and gives up if the group then is over the cap and above its previous count (rule 5).
func addOne(p *place, g *store.Group, u *store.User, limit int) func(store.Tx) error {
	return func(t store.Tx) error {
		ref, record := store.MemberRef{ID: u.ID}, store.RecordKey{ID: g.ID}
		have, err := t.Load(p.Context(), store.Scope{Org: p.org, Directory: p.dir, Groups: []store.GroupScope{{Record: record, Refs: []store.MemberRef{ref}}}})
		if err != nil {
			return err
		}
		edge, ok := have.Members[ref]
		if !ok {
			return nil
		}
		effects, err := t.Apply(p.Context(), &store.ChangeSet{
			Org: p.org, Directory: p.dir, Now: p.now, Cap: limit,
			Groups: []store.GroupChange{{After: *have.Groups[record], Add: []store.Edge{edge}}},
		})
		if err != nil {
			return err
		}
		if x := effects.Effect(g.Key); x.After > limit && x.After > x.Before {
			return store.Errorf(store.CodeInvalid, "over the cap")
		}
		return nil
	}
}
