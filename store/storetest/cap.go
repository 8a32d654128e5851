package storetest

import (
	"fmt"
	"sync"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

var capped = map[string]func(*env){
	"a group over the cap takes removals and publishes nobody new until it fits": func(e *env) {
		p := e.at("alpha")
		us := p.users("a", "b", "c", "d", "e", "f", "g")
		g := p.group("g", us[0], us[1], us[2], us[3])
		for _, tt := range []struct {
			what      string
			do        func() *store.Effects
			published string
			count     int
			over      bool
		}{
			{"at the cap", func() *store.Effects { return p.add(g, us[4]) }, "a b c d e", 5, false},
			{"over", func() *store.Effects { return p.add(g, us[5], us[6]) }, "a b c d e", 7, true},
			{"still over", func() *store.Effects { return p.remove(g, us[0]) }, "b c d e", 6, true},
			{"back but over", func() *store.Effects { return p.add(g, us[0]) }, "b c d e", 7, true},
			{"fits again", func() *store.Effects { return p.remove(g, us[1], us[2]) }, "a d e f g", 5, false},
		} {
			before := p.readGroup(g)
			effect := tt.do().Effect(g.Key)
			after := p.readGroup(g)
			if have := p.effective(g); have != tt.published || after.EffectiveCount != tt.count || after.OverCap != tt.over {
				e.Errorf("%s: published %q, count %d, over %v", tt.what, have, after.EffectiveCount, after.OverCap)
			}
			if effect.Before != before.EffectiveCount || effect.After != tt.count || effect.WasOver != before.OverCap || effect.Over != tt.over {
				e.Errorf("%s: effect %+v", tt.what, effect)
			}
		}
	},
	"a group first seen over the cap publishes nobody": func(e *env) {
		p := e.at("alpha")
		us := p.users("a", "b", "c", "d", "e", "f")
		g := p.group("g", us[0], us[1], us[2], us[3], us[4], us[5])
		top := p.group("top", g)
		for _, x := range []*store.Group{g, top} {
			if have := p.readGroup(x); p.effective(x) != "" || !have.OverCap || have.EffectiveCount != 6 {
				e.Errorf("%s publishes %q of %d, over %v", x.DisplayName, p.effective(x), have.EffectiveCount, have.OverCap)
			}
		}
		p.deleteUser(us[0])
		for _, x := range []*store.Group{g, top} {
			if have := p.effective(x); have != "b c d e f" {
				e.Errorf("%s publishes %q once it fits", x.DisplayName, have)
			}
		}
	},
	"an exchange within one change set never goes over": func(e *env) {
		p := e.at("alpha")
		us := p.users("a", "b", "c", "d", "e", "f")
		g := p.group("g", us[0], us[1], us[2], us[3], us[4])
		effects := p.apply(store.ChangeSet{Groups: []store.GroupChange{{After: *g, Add: edges([]any{us[5]}), Remove: edges([]any{us[0]})}}})
		want := store.GroupEffect{Key: g.Key, ID: g.ID, Directory: p.dir, DisplayName: "g", Before: 5, After: 5, Published: 1, Ceased: 1}
		if diff := cmp.Diff(want, effects.Effect(g.Key)); diff != "" {
			e.Errorf("effect (-want +got):\n%s", diff)
		}
		if have := p.effective(g); have != "b c d e f" {
			e.Errorf("published %q", have)
		}
	},
	"a hundred writers fill a group to exactly the cap": func(e *env) {
		const limit, writers = 37, 100
		p := e.at("alpha")
		g := p.group("g")
		top := p.group("top", g)
		var c store.ChangeSet
		var list []*store.User
		for i := range writers {
			u := p.newUser(fmt.Sprint("u", i))
			c.Users = append(c.Users, created(u))
			list = append(list, &u)
		}
		p.apply(c)
		var wait sync.WaitGroup
		errs := make(chan error, writers)
		for _, u := range list {
			wait.Go(func() { errs <- e.s.Update(e.Context(), addOne(p, g, u, limit)) })
		}
		wait.Wait()
		close(errs)
		added := 0
		for err := range errs {
			switch store.CodeOf(err) {
			case "":
				added++
			case store.CodeInvalid:
			default:
				e.Errorf("a writer failed: %v", err)
			}
		}
		if added != limit {
			e.Errorf("%d were let in, want %d", added, limit)
		}
		for _, x := range []*store.Group{g, top} {
			page := got(e, func(r store.Reader) (store.Page[store.Member], error) {
				return r.Members(e.Context(), store.MemberQuery{Org: e.org, Group: x.Key, Effective: true})
			})
			if have := p.readGroup(x); have.EffectiveCount != limit || have.OverCap || len(page.Items) != limit {
				e.Errorf("%s counts %d and publishes %d, over %v", x.DisplayName, have.EffectiveCount, len(page.Items), have.OverCap)
			}
		}
	},
}
