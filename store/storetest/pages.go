package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// orders are the fields that pages are tried in; "" is the order of keys.
var orders = []store.Field{
	"", "userName", "title", "emails.value", "emails.type", "emails.primary", "active", "meta.created", "id", "externalId",
	"nickName", enterpriseUser + "costCenter", "meta.resourceType", "displayName", "meta.location", "meta.version", "schemas",
	"groups.value", "groups.display", "groups.type", enterpriseUser + "manager.value",
}

// listPeople makes users that have much, little or nothing in common.
func listPeople(p *place, n int) (list []*store.User) {
	titles := []string{"", "Chief", "chief", "Ädil", strings.Repeat("x", 300) + "b", strings.Repeat("x", 300) + "a"}
	for i := range n {
		list = append(list, p.user(fmt.Sprintf("u%02d", (i*7)%n), func(u *store.User) {
			a := &u.Attributes
			a.Title, a.NickName = titles[i%len(titles)], []string{"", "B", "a"}[i%3]
			u.Stated, u.CreatedAt = i%4 != 0, u.CreatedAt.Add(time.Duration(i%5)*time.Microsecond)
			if i%3 > 0 {
				a.Emails = []store.Value{{Value: fmt.Sprintf("%d@z.test", i%4), Type: "work"}, {Value: fmt.Sprintf("%d@a.test", i%4), Primary: i%3 == 2}}
			}
			if i%2 == 0 {
				a.Enterprise = &store.Enterprise{CostCenter: fmt.Sprint(i % 3)}
			}
		}))
	}
	return list
}

// turned reads a list from its beginning by cursor, and then back from its end.
func turned[T any](e *env, q store.Query, read func(store.Reader, store.Query) (store.Page[T], error)) (forth, back []T) {
	e.Helper()
	next := func() store.Page[T] {
		page := got(e, func(r store.Reader) (store.Page[T], error) { return read(r, q) })
		if len(page.Items) != len(page.Positions) || len(page.Items) > q.Limit {
			e.Fatalf("%d items at %d positions", len(page.Items), len(page.Positions))
		}
		return page
	}
	for more := true; more; {
		page := next()
		forth = append(forth, page.Items...)
		if more = page.More; more || len(page.Items) > 0 {
			q.After = page.Positions[len(page.Positions)-1]
		}
	}
	q.Before, q.After = q.After, store.Position{}
	back = slices.Clone(forth[len(forth)-1:]) // the place itself is not before it
	for more := true; more; {
		page := next()
		back = append(slices.Clone(page.Items), back...)
		if more = page.More; more {
			q.Before = page.Positions[0]
		}
	}
	return forth, back
}

// crowd makes many users at once.
func (p *place) crowd(format string, n int) {
	p.Helper()
	var keys []store.Key
	p.update(func(t store.Tx) (err error) {
		keys, err = t.Keys(p.Context(), store.KindUser, n)
		return err
	})
	var c store.ChangeSet
	for i, k := range keys {
		u := store.User{
			Key: k, ID: store.NewID(p.now), Org: p.org, Directory: p.dir, Attributes: store.Attributes{UserName: fmt.Sprintf(format, i)},
			Stated: true, Enabled: true, Version: 1, CreatedAt: p.now, ModifiedAt: p.now,
		}
		c.Users = append(c.Users, created(u))
	}
	p.apply(c)
}

func userKeys(users []store.User) []store.Key {
	keys := make([]store.Key, len(users))
	for i := range users {
		keys[i] = users[i].Key
	}
	return keys
}

// resourceNames are the userNames of users and the displayNames of groups.
func resourceNames(list []store.Resource) []string {
	var out []string
	for _, r := range list {
		if r.User != nil {
			out = append(out, r.User.Attributes.UserName)
		} else {
			out = append(out, r.Group.DisplayName)
		}
	}
	return out
}

var pages = map[string]func(*env){
	"every order can be turned through by cursor, forth and back": func(e *env) {
		p := e.at("alpha")
		list := listPeople(p, 23)
		p.group("Upper", p.group("Lower", list[3], list[4]), list[3], list[5])
		for _, by := range orders {
			for _, descending := range []bool{false, true} {
				q := store.Query{Org: e.org, Directory: &p.dir, Limit: 100, Count: true}
				if by != "" {
					q.Sort = &store.Sort{Field: by, Descending: descending}
				}
				users := func(r store.Reader, q store.Query) (store.Page[store.User], error) { return r.Users(e.Context(), q) }
				whole := got(e, func(r store.Reader) (store.Page[store.User], error) { return users(r, q) })
				q.Limit, q.Count = 5, false
				forth, back := turned(e, q, users)
				if diff := cmp.Diff(userKeys(whole.Items), userKeys(forth)); diff != "" {
					e.Errorf("by %s %v, forth (-whole +pages):\n%s", by, descending, diff)
				}
				if diff := cmp.Diff(userKeys(whole.Items), userKeys(back)); diff != "" {
					e.Errorf("by %s %v, back (-whole +pages):\n%s", by, descending, diff)
				}
				if len(whole.Items) != 23 || whole.Total != 23 {
					e.Errorf("by %s: %d users, total %d", by, len(whole.Items), whole.Total)
				}
			}
		}
	},
	"users and groups are one list, in every order": func(e *env) {
		p := e.at("alpha")
		list := listPeople(p, 9)
		p.group("Alpha", p.group("U03", list[7], list[2]), p.group("zeta", list[2]))
		p.group("beta")
		e.at("beta").users("elsewhere")
		for _, by := range append(slices.Clone(orders), "urn:provost:params:scim:schemas:extension:1.0:Group:description", "members.value", "members.type", "members.display", "members.$ref") {
			for _, descending := range []bool{false, true} {
				q := store.Query{Org: e.org, Directory: &p.dir, Limit: 100, Count: true}
				if by != "" {
					q.Sort = &store.Sort{Field: by, Descending: descending}
				}
				all := func(r store.Reader, q store.Query) (store.Page[store.Resource], error) {
					return r.Resources(e.Context(), q)
				}
				whole := got(e, func(r store.Reader) (store.Page[store.Resource], error) { return all(r, q) })
				if len(whole.Items) != 13 || whole.Total != 13 || whole.More {
					e.Errorf("by %s: %d resources, total %d", by, len(whole.Items), whole.Total)
				}
				q.Limit, q.Count = 4, false
				forth, back := turned(e, q, all)
				var places []store.Resource
				for q.Offset = 0; q.Offset < 14; q.Offset += 4 {
					places = append(places, got(e, func(r store.Reader) (store.Page[store.Resource], error) { return all(r, q) }).Items...)
				}
				for name, list := range map[string][]store.Resource{"forth": forth, "back": back, "by place": places} {
					if diff := cmp.Diff(resourceNames(whole.Items), resourceNames(list)); diff != "" {
						e.Errorf("by %s %v, %s (-whole +pages):\n%s", by, descending, name, diff)
					}
				}
			}
		}
	},
	"a field of one kind is without a value in the other": func(e *env) {
		p := e.at("alpha")
		ann := p.user("ann", func(u *store.User) { u.Attributes.DisplayName = "staff" })
		p.user("bob")
		p.group("Staff", ann)
		p.group("Void")
		for _, tt := range []struct {
			name string
			of   store.Condition
			want []string
		}{
			{"of both", is("displayName", "STAFF"), []string{"ann", "Staff"}},
			{"of users", is("userName", "bob"), []string{"bob"}},
			{"of users, ne", op("userName", store.Ne, "bob"), []string{"ann", "Staff", "Void"}},
			{"of users, not", not(is("userName", "bob")), []string{"ann", "Staff", "Void"}},
			{"of users, pr", store.Has{Field: "userName"}, []string{"ann", "bob"}},
			{"of users, elements", not(store.Element{Attr: "emails", Of: is("emails.type", "x")}), []string{"ann", "bob", "Staff", "Void"}},
			{"of users, complex", store.Has{Field: "name"}, nil},
			{"of groups", is("members.value", string(ann.ID)), []string{"Staff"}},
			{"of groups, pr", store.Has{Field: "members"}, []string{"Staff"}},
			{"either", store.Or{is("userName", "ann"), is("displayName", "void")}, []string{"ann", "Void"}},
			{"id", is("id", string(ann.ID)), []string{"ann"}},
			{"kind", is("meta.resourceType", "Group"), []string{"Staff", "Void"}},
		} {
			page := got(e, func(r store.Reader) (store.Page[store.Resource], error) {
				return r.Resources(e.Context(), store.Query{Org: e.org, Directory: &p.dir, Filter: tt.of, Limit: 10, Count: true})
			})
			if diff := cmp.Diff(tt.want, resourceNames(page.Items)); diff != "" || page.Total != len(tt.want) {
				e.Errorf("%s: total %d (-want +got):\n%s", tt.name, page.Total, diff)
			}
		}
		for _, q := range []store.Query{{Filter: is("password", "x")}, {Filter: is("nothing", "x")}, {Filter: store.Has{Field: "emails.nothing"}}} {
			q.Org, q.Limit = e.org, 10
			e.refused(store.CodeFilter, func(t store.Tx) error { _, err := t.Resources(e.Context(), q); return err })
		}
		for _, by := range []store.Field{"nothing", "name"} {
			e.refused(store.CodeInvalid, func(t store.Tx) error {
				_, err := t.Resources(e.Context(), store.Query{Org: e.org, Limit: 10, Sort: &store.Sort{Field: by}})
				return err
			})
		}
	},
	"users are listed with the groups that Memberships tells": func(e *env) {
		p, ann, staff := people(e)
		p.group(`Top "of" all`, staff)
		p.deleteUser(p.user("gone"))
		want := got(e, func(r store.Reader) ([]store.Membership, error) {
			return r.Memberships(e.Context(), e.org, nil, []store.Key{ann.Key})
		})
		if len(want) != 2 {
			e.Fatalf("%d memberships", len(want))
		}
		for name, of := range map[string]store.Condition{
			"of all": nil, "by name": is("userName", "ann@corp.test"), "by id": is("id", string(ann.ID)), "by email": is("emails.value", "ann@corp.test"),
			"by title": store.Has{Field: "title"}, "one of two names": store.Or{is("userName", "ann@corp.test"), is("userName", "bob")},
		} {
			q := store.Query{Org: e.org, Directory: &p.dir, Filter: of, Limit: 10, Groups: true}
			users := got(e, func(r store.Reader) (store.Page[store.User], error) { return r.Users(e.Context(), q) })
			both := got(e, func(r store.Reader) (store.Page[store.Resource], error) { return r.Resources(e.Context(), q) })
			for which, have := range map[string]map[store.Key][]store.Membership{"users": users.Memberships, "both": both.Memberships} {
				if diff := cmp.Diff(want, have[ann.Key]); diff != "" {
					e.Errorf("%s, %s (-want +got):\n%s", name, which, diff)
				}
			}
		}
	},
	"the text of users is their attributes": func(e *env) {
		p, _, _ := people(e)
		for name, of := range map[string]store.Condition{"of all": nil, "by name": is("userName", "ann@corp.test")} {
			for _, groups := range []bool{false, true} {
				q := store.Query{Org: e.org, Directory: &p.dir, Filter: of, Limit: 10, Groups: groups}
				want := got(e, func(r store.Reader) (store.Page[store.User], error) { return r.Users(e.Context(), q) })
				for i := range want.Items {
					u := &want.Items[i]
					var err error
					if u.Text, err = json.Marshal(u.Attributes); err != nil {
						e.Fatal(err)
					}
					u.Attributes = store.Attributes{}
				}
				q.Text = true
				have := got(e, func(r store.Reader) (store.Page[store.User], error) { return r.Users(e.Context(), q) })
				if diff := cmp.Diff(want, have); diff != "" || len(have.Items) == 0 {
					e.Errorf("%s, groups %t (-want +got):\n%s", name, groups, diff)
				}
			}
		}
	},
	"links are sorted by the first of them": func(e *env) {
		p := e.at("alpha")
		list := p.users("a", "b", "c", "d")
		low := p.group("Low", list[1])
		high := p.group("High", low, list[0], list[2]) // a and c directly, b indirectly
		empty := p.group("Empty")
		byValue, byMember := []string{"b", "a", "c", "d"}, []store.Key{high.Key, low.Key, empty.Key}
		if high.ID < low.ID {
			byValue = []string{"a", "c", "b", "d"}
		}
		if list[1].ID < list[0].ID {
			byMember = []store.Key{low.Key, high.Key, empty.Key}
		}
		for _, tt := range []struct {
			by   store.Field
			want []string
		}{
			{"groups.display", []string{"a", "c", "b", "d"}}, // High, High, Low, none
			{"groups.value", byValue},
			{"groups.type", []string{"a", "b", "c", "d"}},
		} {
			page := got(e, func(r store.Reader) (store.Page[store.User], error) {
				return r.Users(e.Context(), store.Query{Org: e.org, Directory: &p.dir, Sort: &store.Sort{Field: tt.by}, Limit: 10})
			})
			var have []string
			for _, u := range page.Items {
				have = append(have, u.Attributes.UserName)
			}
			if diff := cmp.Diff(tt.want, have); diff != "" {
				e.Errorf("users by %s (-want +got):\n%s", tt.by, diff)
			}
		}
		for by, want := range map[store.Field][]store.Key{
			"members.display": {high.Key, low.Key, empty.Key}, // a, b, none
			"members":         byMember,
		} {
			page := got(e, func(r store.Reader) (store.Page[store.Group], error) {
				return r.Groups(e.Context(), store.Query{Org: e.org, Directory: &p.dir, Sort: &store.Sort{Field: by}, Limit: 10})
			})
			var have []store.Key
			for _, g := range page.Items {
				have = append(have, g.Key)
			}
			if diff := cmp.Diff(want, have); diff != "" {
				e.Errorf("groups by %s (-want +got):\n%s", by, diff)
			}
		}
	},
	"a position of another order is refused": func(e *env) {
		p := e.at("alpha")
		p.users("a", "b")
		for by, value := range map[store.Field]any{"userName": int64(1), "active": "x", "title": int64(1), "meta.created": "x", "id": nil} {
			e.refused(store.CodeInvalid, func(t store.Tx) error {
				_, err := t.Users(e.Context(), store.Query{Org: e.org, Limit: 10, Sort: &store.Sort{Field: by}, After: store.Position{Key: 1, Value: value}})
				return err
			})
		}
	},
	"places far from the beginning are counted from the end": func(e *env) {
		p := e.at("alpha")
		p.crowd("u%04d", 2345)
		p.group("only")
		for _, start := range []int{0, 999, 1000, 1500, 2300, 2339, 2340, 2344, 2345, 5000} {
			q := store.Query{Org: e.org, Directory: &p.dir, Offset: start, Limit: 6, Count: true}
			var want []string
			for i := start; i < min(start+6, 2345); i++ {
				want = append(want, fmt.Sprintf("u%04d", i))
			}
			page := got(e, func(r store.Reader) (store.Page[store.User], error) { return r.Users(e.Context(), q) })
			var have []string
			for _, u := range page.Items {
				have = append(have, u.Attributes.UserName)
			}
			if diff := cmp.Diff(want, have); diff != "" || page.Total != 2345 || page.More != (start+6 < 2345) {
				e.Errorf("from %d: total %d, more %v (-want +got):\n%s", start, page.Total, page.More, diff)
			}
			both := got(e, func(r store.Reader) (store.Page[store.Resource], error) { return r.Resources(e.Context(), q) })
			if start+6 > 2345 && start <= 2345 {
				want = append(want, "only")
			}
			if diff := cmp.Diff(want, resourceNames(both.Items)); diff != "" || both.Total != 2346 {
				e.Errorf("both from %d: total %d (-want +got):\n%s", start, both.Total, diff)
			}
		}
	},
	"the length of a directory's list is that of its live records": func(e *env) {
		p, other := e.at("alpha"), e.at("beta")
		check := func(what string, users, groups int) {
			e.Helper()
			for dir, want := range map[*place][2]int{p: {users, groups}, other: {1, 0}} {
				var have [2]int
				e.view(func(r store.Reader) error {
					q := store.Query{Org: e.org, Directory: &dir.dir, Count: true}
					u, err := r.Users(e.Context(), q)
					if err != nil {
						return err
					}
					g, err := r.Groups(e.Context(), q)
					have = [2]int{u.Total, g.Total}
					return err
				})
				if have != want {
					e.Errorf("%s: %v users and groups, want %v", what, have, want)
				}
			}
		}
		other.users("x")
		list := p.users("a", "b", "c")
		check("created", 3, 0)
		g := p.group("g", list[0])
		check("a group created", 3, 1)
		p.deleteUser(list[1])
		check("one deleted", 2, 1)
		p.changeGroup(store.OpDelete, g, func(g *store.Group) { g.DeletedAt = e.now })
		check("a group deleted", 2, 0)
		p.crowd("many%d", 150)
		check("many created", 152, 0)
		for i := range 120 { // often enough that rows are folded
			p.users(fmt.Sprint("one", i))
		}
		check("one after the other", 272, 0)
		undone, undo := p.newUser("undone"), errors.New("undo")
		err := e.s.Update(e.Context(), func(t store.Tx) error {
			c := store.ChangeSet{Org: e.org, Directory: p.dir, Now: e.now, Cap: 10, Users: []store.UserChange{created(undone)}}
			if _, err := t.Apply(e.Context(), &c); err != nil {
				return err
			}
			return undo
		})
		if !errors.Is(err, undo) {
			e.Error(err)
		}
		check("undone", 272, 0)
	},
}
