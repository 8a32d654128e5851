package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// entitlement creates one in the default organization; seats only of a licence, 0 for
// without limit.
func (e *env) entitlement(kind store.EntitlementKind, name string, seats int) *store.Entitlement {
	e.Helper()
	v := &store.Entitlement{ID: store.NewID(e.now), Org: e.org, Kind: kind, Name: name, CreatedAt: e.now, UpdatedAt: e.now}
	if seats > 0 {
		v.Seats = &seats
	}
	e.update(func(t store.Tx) error { return t.CreateEntitlement(e.Context(), v) })
	return v
}

func userEdge(u *store.User) store.Edge   { return store.Edge{Kind: store.KindUser, Key: u.Key} }
func groupEdge(g *store.Group) store.Edge { return store.Edge{Kind: store.KindGroup, Key: g.Key} }

// grant grants to records and returns how many did not hold it.
func (e *env) grant(v *store.Entitlement, holders ...store.Edge) (n int) {
	e.Helper()
	e.update(func(t store.Tx) error {
		list, err := t.Grant(e.Context(), store.GrantChange{Org: e.org, Entitlement: v, Holders: holders, Now: e.now})
		n = len(list)
		return err
	})
	return n
}

// held are the grants of a record as words: role:Member, product:Mail by team, or
// (product:Mail) while it is suspended.
func (e *env) held(record store.Edge) string {
	e.Helper()
	page := got(e, func(r store.Reader) (store.Page[store.Grant], error) {
		return r.Grants(e.Context(), store.GrantQuery{Org: e.org, Record: record, Limit: 100})
	})
	var words []string
	for i := range page.Items {
		g := &page.Items[i]
		word := g.Entitlement.Ref()
		if g.Via != 0 {
			word += " by " + g.ViaName
		}
		if !g.SuspendedAt.IsZero() {
			word = "(" + word + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func (e *env) taken(v *store.Entitlement) int {
	e.Helper()
	return got(e, func(r store.Reader) (*store.Entitlement, error) {
		return r.Entitlement(e.Context(), e.org, string(v.ID))
	}).Taken
}

// grantEvents are the grants that came and went, in order: +role:Member of a kind.
func (e *env) grantEvents() []string {
	e.Helper()
	var out []string
	for _, v := range e.events(store.EventQuery{Org: e.org, Limit: 1000}) {
		sign := map[string]string{store.EventGrantAdded: "+", store.EventGrantRemoved: "-"}[v.Type]
		if sign == "" {
			continue
		}
		_, name, _ := strings.Cut(string(v.Data), `"name":"`)
		name, _, _ = strings.Cut(name, `"`)
		out = append(out, sign+name+" "+v.Kind)
	}
	return out
}

var grants = map[string]func(*env){
	"an entitlement is found by id, and by kind and name in any case; a name is taken once in its kind": func(e *env) {
		v := e.entitlement(store.EntitlementRole, "Straße", 0)
		e.entitlement(store.EntitlementProduct, "Straße", 0)
		for _, ref := range []string{string(v.ID), "role:Straße", "role:STRASSE"} {
			have := got(e, func(r store.Reader) (*store.Entitlement, error) { return r.Entitlement(e.Context(), e.org, ref) })
			if diff := cmp.Diff(v, have); diff != "" {
				e.Errorf("%s (-want +got):\n%s", ref, diff)
			}
		}
		for _, ref := range []string{"Straße", "licence:Straße", string(store.NewID(e.now))} {
			absent(e, func(r store.Reader) (*store.Entitlement, error) { return r.Entitlement(e.Context(), e.org, ref) })
		}
		other := e.organization("other")
		absent(e, func(r store.Reader) (*store.Entitlement, error) {
			return r.Entitlement(e.Context(), other, string(v.ID))
		})
		again := *v
		again.ID, again.Name = store.NewID(e.now), "STRASSE"
		e.refused(store.CodeUniqueness, func(t store.Tx) error { return t.CreateEntitlement(e.Context(), &again) })
	},
	"entitlements are listed by kind in pages": func(e *env) {
		for _, name := range []string{"a", "b", "c"} {
			e.entitlement(store.EntitlementRole, name, 0)
			e.entitlement(store.EntitlementLicence, name, 0)
		}
		var names []string
		q := store.EntitlementQuery{Org: e.org, Kind: store.EntitlementRole, Limit: 2}
		for more := true; more; {
			page := got(e, func(r store.Reader) (store.Page[store.Entitlement], error) { return r.Entitlements(e.Context(), q) })
			for i := range page.Items {
				names, q.After = append(names, page.Items[i].Ref()), page.Items[i].Key
			}
			more = page.More
		}
		if diff := cmp.Diff([]string{"role:a", "role:b", "role:c"}, names); diff != "" {
			e.Errorf("(-want +got):\n%s", diff)
		}
		q.Kind, q.After, q.Limit = "", 0, 100
		if all := got(e, func(r store.Reader) (store.Page[store.Entitlement], error) { return r.Entitlements(e.Context(), q) }); len(all.Items) != 6 || all.More {
			e.Errorf("all are %d, more %v", len(all.Items), all.More)
		}
	},
	"a change of an entitlement that others have changed meanwhile is refused": func(e *env) {
		v := e.entitlement(store.EntitlementLicence, "Pro", 3)
		mine, theirs := *v, *v
		theirs.Description = "for professionals"
		e.update(func(t store.Tx) error { return t.UpdateEntitlement(e.Context(), &theirs) })
		e.refused(store.CodeStale, func(t store.Tx) error { return t.UpdateEntitlement(e.Context(), &mine) })
		have := got(e, func(r store.Reader) (*store.Entitlement, error) {
			return r.Entitlement(e.Context(), e.org, "licence:pro")
		})
		if diff := cmp.Diff(&theirs, have); diff != "" {
			e.Errorf("(-want +got):\n%s", diff)
		}
	},
	"a grant is held once, and a user holds what its groups publish to it": func(e *env) {
		p := e.at("alpha")
		ann, bob := p.user("ann"), p.user("bob")
		low := p.group("low", ann)
		top := p.group("top", low)
		role, mail := e.entitlement(store.EntitlementRole, "Member", 0), e.entitlement(store.EntitlementProduct, "Mail", 0)
		if n := e.grant(role, userEdge(ann), groupEdge(top)); n != 2 {
			e.Errorf("%d were granted", n)
		}
		if n := e.grant(role, userEdge(ann), userEdge(bob), groupEdge(top)); n != 1 {
			e.Errorf("%d were granted the second time", n)
		}
		e.grant(mail, groupEdge(low))
		for _, tt := range []struct {
			record store.Edge
			want   string
		}{
			{userEdge(ann), "role:Member, role:Member by top, product:Mail by low"},
			{userEdge(bob), "role:Member"},
			{groupEdge(top), "role:Member"},
			{groupEdge(low), "product:Mail"},
		} {
			if have := e.held(tt.record); have != tt.want {
				e.Errorf("%v holds %q, want %q", tt.record, have, tt.want)
			}
		}
		var pages []string
		q := store.GrantQuery{Org: e.org, Record: userEdge(ann), Limit: 1}
		for more := true; more; {
			page := got(e, func(r store.Reader) (store.Page[store.Grant], error) { return r.Grants(e.Context(), q) })
			g := &page.Items[0]
			pages = append(pages, g.Entitlement.Name+" "+g.ViaName)
			q.After, more = store.GrantPlace{Entitlement: g.Entitlement.Key, Via: g.Via}, page.More
		}
		if diff := cmp.Diff([]string{"Member ", "Member top", "Mail low"}, pages); diff != "" {
			e.Errorf("pages (-want +got):\n%s", diff)
		}
		var holders []string
		h := store.HolderQuery{Org: e.org, Entitlement: role.Key, Limit: 1}
		for more := true; more; {
			page := got(e, func(r store.Reader) (store.Page[store.Holder], error) { return r.Holders(e.Context(), h) })
			m := page.Items[0]
			holders = append(holders, m.UserName+m.DisplayName)
			h.After, more = store.Edge{Kind: m.Kind, Key: m.Key}, page.More
		}
		if diff := cmp.Diff([]string{"ann", "bob", "top"}, holders); diff != "" {
			e.Errorf("holders (-want +got):\n%s", diff)
		}
		e.update(func(t store.Tx) error {
			list, err := t.Revoke(e.Context(), store.GrantChange{Org: e.org, Entitlement: role, Holders: []store.Edge{userEdge(ann), groupEdge(low), groupEdge(top)}})
			if len(list) != 2 {
				e.Errorf("%d were revoked", len(list))
			}
			return err
		})
		e.update(func(t store.Tx) error { return t.DeleteEntitlement(e.Context(), e.org, mail.Key) })
		if have := e.held(userEdge(ann)); have != "" {
			e.Errorf("ann still holds %q", have)
		}
	},
	"nothing is granted to records of another organization": func(e *env) {
		role := e.entitlement(store.EntitlementRole, "Member", 0)
		other := e.elsewhere()
		u, g := other.user("eve"), other.group("g")
		if n := e.grant(role, userEdge(u), groupEdge(g)); n != 0 {
			e.Errorf("%d were granted", n)
		}
	},
	"a pool gives its seats to as many as it has, whoever asks at once, and takes them back": func(e *env) {
		p := e.at("alpha")
		pro := e.entitlement(store.EntitlementLicence, "Pro", 5)
		var users []*store.User
		for i := range 12 {
			users = append(users, p.user(fmt.Sprint("u", i)))
		}
		var got atomic.Int64
		var wait sync.WaitGroup
		for _, u := range users {
			wait.Go(func() {
				err := e.s.Update(e.Context(), func(t store.Tx) error {
					_, err := t.Grant(e.Context(), store.GrantChange{Org: e.org, Entitlement: pro, Holders: []store.Edge{userEdge(u)}, Now: e.now})
					return err
				})
				switch store.CodeOf(err) {
				case "":
					got.Add(1)
				case store.CodeConflict:
				default:
					e.Errorf("grant: %v", err)
				}
			})
		}
		wait.Wait()
		if got.Load() != 5 || e.taken(pro) != 5 {
			e.Errorf("%d got a seat and %d are taken", got.Load(), e.taken(pro))
		}
		fewer := *pro
		four := 4
		fewer.Seats = &four
		e.refused(store.CodeConflict, func(t store.Tx) error { return t.UpdateEntitlement(e.Context(), &fewer) })
		var all []store.Edge
		for _, u := range users {
			all = append(all, userEdge(u))
		}
		e.update(func(t store.Tx) error {
			_, err := t.Revoke(e.Context(), store.GrantChange{Org: e.org, Entitlement: pro, Holders: all})
			return err
		})
		if n := e.taken(pro); n != 0 {
			e.Errorf("%d seats are taken by nobody", n)
		}
		e.refused(store.CodeConflict, func(t store.Tx) error {
			_, err := t.Grant(e.Context(), store.GrantChange{Org: e.org, Entitlement: pro, Holders: all, Now: e.now})
			return err
		})
		if n := e.taken(pro); n != 0 {
			e.Errorf("a refused grant left %d seats taken", n)
		}
	},
	"rule 8: who becomes inactive or is deleted loses licences, not roles, if the directory says so": func(e *env) {
		p := e.at("alpha")
		pro, role := e.entitlement(store.EntitlementLicence, "Pro", 5), e.entitlement(store.EntitlementRole, "Member", 0)
		off := func(u *store.User) { u.Stated = false }
		leaves := map[string]func(u *store.User) store.UserChange{
			"disabled": func(u *store.User) store.UserChange { return changed(store.OpUpdate, u, off) },
			"out of scope": func(u *store.User) store.UserChange {
				return changed(store.OpUpdate, u, func(u *store.User) { u.OutOfScope = true })
			},
			"switched off": func(u *store.User) store.UserChange {
				return changed(store.OpUpdate, u, func(u *store.User) { u.Enabled = false })
			},
			"deleted": func(u *store.User) store.UserChange {
				return changed(store.OpDelete, u, func(u *store.User) { u.DeletedAt = e.now })
			},
			"deleted after it was disabled": func(u *store.User) store.UserChange { // when the directory did not say so yet
				p.change(store.OpUpdate, u, off)
				return changed(store.OpDelete, u, func(u *store.User) { u.DeletedAt = e.now })
			},
		}
		for name, leave := range leaves {
			for _, unassign := range []bool{false, true} {
				u := p.user(fmt.Sprintf("%s %v", name, unassign))
				e.grant(pro, userEdge(u))
				e.grant(role, userEdge(u))
				before := e.taken(pro)
				p.apply(store.ChangeSet{UnassignLicences: unassign, Users: []store.UserChange{leave(u)}})
				want, kept := "licence:Pro, role:Member", 0
				if unassign {
					want, kept = "role:Member", 1
				}
				if have := e.held(userEdge(u)); have != want || e.taken(pro) != before-kept {
					e.Errorf("%s: holds %q, want %q; %d of %d seats are still taken", u.Attributes.UserName, have, want, e.taken(pro), before)
				}
				if !unassign {
					e.update(func(t store.Tx) error {
						_, err := t.Revoke(e.Context(), store.GrantChange{Org: e.org, Entitlement: pro, Holders: []store.Edge{userEdge(u)}})
						return err
					})
				}
			}
		}
		want := slices.Repeat([]string{"-Pro User"}, len(leaves))
		if diff := cmp.Diff(want, e.grantEvents()); diff != "" {
			e.Errorf("events (-want +got):\n%s", diff)
		}
	},
	"rule 7: who returns by name alone has no grants, who returns whole has them": func(e *env) {
		p := e.at("alpha")
		role, pro := e.entitlement(store.EntitlementRole, "Member", 0), e.entitlement(store.EntitlementLicence, "Pro", 2)
		ann, bob := p.user("ann"), p.user("bob")
		for _, v := range []*store.Entitlement{role, pro} {
			e.grant(v, userEdge(ann), userEdge(bob))
		}
		p.deleteUser(ann)
		p.deleteUser(bob)
		back := changed(store.OpRestore, ann, func(u *store.User) { u.DeletedAt = store.User{}.DeletedAt })
		back.Revived = true
		p.apply(store.ChangeSet{Users: []store.UserChange{back}})
		p.restoreUser(bob)
		if a, b := e.held(userEdge(ann)), e.held(userEdge(bob)); a != "" || b != "role:Member, licence:Pro" || e.taken(pro) != 1 {
			e.Errorf("ann holds %q, bob %q, %d seats are taken", a, b, e.taken(pro))
		}
	},
	"rule 9: product access goes with its group, and comes back with it or with the last of its scope": func(e *env) {
		p := e.at("alpha")
		ann := p.user("ann")
		g, h := p.group("g", ann), p.group("h")
		mail, role := e.entitlement(store.EntitlementProduct, "Mail", 0), e.entitlement(store.EntitlementRole, "Member", 0)
		e.grant(mail, groupEdge(g), groupEdge(h))
		e.grant(role, groupEdge(g))
		billable := func() int {
			return got(e, func(r store.Reader) (*store.Billable, error) { return r.Billable(e.Context(), e.org) }).Users
		}
		move := func(g *store.Group, restore, away bool) {
			c := store.GroupChange{Op: store.OpUpdate, Before: g, After: *p.readGroup(g)}
			before := c.After
			c.Before = &before
			c.After.OutOfScope = away
			c.After.Version++
			p.apply(store.ChangeSet{RestoreAccess: restore, Groups: []store.GroupChange{c}})
			*g = c.After
		}
		restore := func() {
			e.update(func(t store.Tx) error { return t.RestoreAccess(e.Context(), e.org, p.dir, e.now, store.Cause{}) })
		}
		for _, step := range []struct {
			what     string
			do       func()
			held     string
			billable int
		}{
			{"at first", func() {}, "product:Mail, role:Member", 1},
			{"out of scope", func() { move(g, true, true) }, "(product:Mail), role:Member", 0},
			{"back in a whole scope", func() { move(g, true, false) }, "product:Mail, role:Member", 1},
			{"out again, with another", func() { move(g, false, true); move(h, false, true) }, "(product:Mail), role:Member", 0},
			{"back in a chosen scope", func() { move(g, false, false) }, "(product:Mail), role:Member", 0},
			{"at the end of a run, another still out", restore, "(product:Mail), role:Member", 0},
			{"the other back", func() { move(h, false, false); restore() }, "product:Mail, role:Member", 1},
			{"out a third time and granted again", func() { move(g, false, true); move(g, false, false); e.grant(mail, groupEdge(g)) }, "product:Mail, role:Member", 1},
			{"its user switched off", func() { p.change(store.OpUpdate, ann, func(u *store.User) { u.Enabled = false }) }, "product:Mail, role:Member", 0},
		} {
			step.do()
			if have := e.held(groupEdge(g)); have != step.held || billable() != step.billable {
				e.Errorf("%s: holds %q, want %q; %d are billable, want %d", step.what, have, step.held, billable(), step.billable)
			}
		}
		want := []string{
			"-Mail Group", "+Mail Group", "-Mail Group", "-Mail Group", // the third restore follows
			"+Mail Group", "+Mail Group", "-Mail Group",
		}
		if diff := cmp.Diff(want, e.grantEvents()); diff != "" {
			e.Errorf("events (-want +got):\n%s", diff)
		}
	},
	"rule 9: an active user of several groups and products is billable once": func(e *env) {
		p := e.at("alpha")
		ann, bob := p.user("ann"), p.user("bob")
		g, h := p.group("g", ann), p.group("h", ann, bob)
		mail, chat := e.entitlement(store.EntitlementProduct, "Mail", 0), e.entitlement(store.EntitlementProduct, "Chat", 0)
		e.entitlement(store.EntitlementProduct, "Unused", 0)
		e.grant(mail, groupEdge(g), groupEdge(h))
		e.grant(chat, groupEdge(h))
		have := got(e, func(r store.Reader) (*store.Billable, error) { return r.Billable(e.Context(), e.org) })
		var products []string
		for _, v := range have.Products {
			products = append(products, fmt.Sprint(v.Product.Name, " ", v.Users))
		}
		if diff := cmp.Diff([]string{"Mail 2", "Chat 2"}, products); diff != "" || have.Users != 2 {
			e.Errorf("%d are billable (-want +got):\n%s", have.Users, diff)
		}
	},
	"rule 10: new users begin with the default roles, those that return keep theirs": func(e *env) {
		p := e.at("alpha")
		role := e.entitlement(store.EntitlementRole, "Member", 0)
		old := p.user("old")
		p.deleteUser(old)
		c := store.ChangeSet{DefaultRoles: []store.Entitlement{*role}}
		for i := range 30 {
			c.Users = append(c.Users, store.UserChange{Op: store.OpCreate, After: p.newUser(fmt.Sprint("u", i))})
		}
		c.Users = append(c.Users, changed(store.OpRestore, old, func(u *store.User) { u.DeletedAt = store.User{}.DeletedAt }))
		p.apply(c)
		page := got(e, func(r store.Reader) (store.Page[store.Holder], error) {
			return r.Holders(e.Context(), store.HolderQuery{Org: e.org, Entitlement: role.Key, Limit: 100})
		})
		if have := e.held(userEdge(old)); len(page.Items) != 30 || have != "" {
			e.Errorf("%d users have the role; the one that returned has %q", len(page.Items), have)
		}
	},
	"a purged user gives its seat back": func(e *env) {
		p := e.at("alpha")
		pro := e.entitlement(store.EntitlementLicence, "Pro", 1)
		u := p.user("ann")
		e.grant(pro, userEdge(u))
		p.deleteUser(u)
		if n := e.taken(pro); n != 1 {
			e.Errorf("%d seats are taken by a user that may return", n)
		}
		e.purge(p.now.Add(time.Minute), 10)
		if n := e.taken(pro); n != 0 {
			e.Errorf("%d seats are taken by nobody", n)
		}
	},
}
