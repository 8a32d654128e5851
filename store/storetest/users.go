package storetest

import (
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/provost-scim/provost/store"
)

func fullUser(u *store.User) {
	u.ExternalID, u.Hash = "e-1", []byte{0, 1, 0xff}
	u.Attributes = store.Attributes{
		UserName: "Bjørn@Corp.test", DisplayName: "Bjørn", NickName: "B", ProfileURL: "https://b.test", Title: "Ing.", UserType: "Guest",
		PreferredLanguage: "nb", Locale: "nb-NO", Timezone: "Europe/Oslo",
		Name:      &store.Name{Formatted: "Bjørn Ås", FamilyName: "Ås", GivenName: "Bjørn", MiddleName: "M", HonorificPrefix: "Dr", HonorificSuffix: "II"},
		Emails:    []store.Value{{Value: "b@corp.test", Type: "work", Primary: true}, {Value: "b@home.test", Display: "home", Type: "home"}},
		Addresses: []store.Address{{Locality: "Oslo", Country: "NO", Type: "work"}, {Type: "home"}},
		Roles:     []store.Value{{Value: "admin"}},
		Enterprise: &store.Enterprise{
			EmployeeNumber: "7", CostCenter: "C", Organization: "O", Division: "D", Department: "R&D <é>",
			Manager: &store.Manager{Value: "m", DisplayName: "Boss"},
		},
	}
}

var users = map[string]func(*env){
	"a user is read back as it was created, by id and by name in any case": func(e *env) {
		p := e.at("alpha")
		u := p.user("", fullUser)
		for _, ref := range []string{string(u.ID), "bjørn@corp.test", "BJØRN@CORP.TEST"} {
			have := got(e, func(r store.Reader) (*store.User, error) { return r.User(e.Context(), e.org, ref) })
			if diff := cmp.Diff(u, have); diff != "" {
				e.Errorf("by %q (-want +got):\n%s", ref, diff)
			}
		}
		absent(e, func(r store.Reader) (*store.User, error) { return r.User(e.Context(), e.org, "nobody") })
		absent(e, func(r store.Reader) (*store.User, error) {
			return r.User(e.Context(), e.org, string(store.NewID(e.now)))
		})
	},
	"many users are created at once": func(e *env) {
		p := e.at("alpha")
		var c store.ChangeSet
		for range 60 {
			u := p.newUser("", fullUser)
			u.Attributes.UserName = "u" + string(u.ID)
			u.Attributes.Emails = []store.Value{{Value: "shared@corp.test"}}
			c.Users = append(c.Users, created(u))
		}
		p.apply(c)
		page := got(e, func(r store.Reader) (store.Page[store.User], error) {
			return r.Users(e.Context(), store.Query{Org: e.org, Limit: 100, Count: true})
		})
		var want []store.User
		for _, u := range c.Users {
			want = append(want, u.After)
		}
		if diff := cmp.Diff(want, page.Items); diff != "" || page.Total != 60 || page.More {
			e.Errorf("users (-want +got):\n%s", diff)
		}
		owner := p.load(store.Scope{UserKeys: []string{"shared@corp.test"}}).Owners["shared@corp.test"]
		if owner.Holders != 60 {
			e.Errorf("%d hold the email, want 60", owner.Holders)
		}
	},
	"an update writes everything, and one made of an older version is a race": func(e *env) {
		p := e.at("alpha")
		u := p.user("ann")
		old := *u
		p.change(store.OpUpdate, u, func(u *store.User) {
			fullUser(u)
			u.Stated, u.Enabled, u.OutOfScope, u.ModifiedAt = false, false, true, e.now.Add(time.Second)
		})
		if diff := cmp.Diff(u, p.readUser(u)); diff != "" {
			e.Errorf("user (-want +got):\n%s", diff)
		}
		p.stale(store.ChangeSet{Users: []store.UserChange{changed(store.OpUpdate, &old, func(u *store.User) { u.Attributes.Title = "x" })}})
	},
	"a mark changes the hash and nothing else": func(e *env) {
		p := e.at("alpha")
		u := p.user("ann")
		after := *u
		after.Hash = []byte("h")
		p.apply(store.ChangeSet{Users: []store.UserChange{{Op: store.OpMark, Before: u, After: after}}})
		if diff := cmp.Diff(&after, p.readUser(u)); diff != "" {
			e.Errorf("user (-want +got):\n%s", diff)
		}
	},
	"a soft-deleted user is nowhere, reserves nothing, and returns with its id": func(e *env) {
		p, other := e.at("alpha"), e.at("beta")
		u := p.user("ann", func(u *store.User) { u.ExternalID = "e-1" })
		p.deleteUser(u)
		absent(e, func(r store.Reader) (*store.User, error) { return r.User(e.Context(), e.org, string(u.ID)) })
		absent(e, func(r store.Reader) (*store.User, error) { return r.User(e.Context(), e.org, "ann") })
		page := got(e, func(r store.Reader) (store.Page[store.User], error) {
			return r.Users(e.Context(), store.Query{Org: e.org, Limit: 10, Count: true})
		})
		if len(page.Items) != 0 || page.Total != 0 {
			e.Errorf("%d users are listed and %d counted", len(page.Items), page.Total)
		}
		second := other.user("ANN")
		p.stale(store.ChangeSet{Users: []store.UserChange{changed(store.OpRestore, u, func(u *store.User) { u.DeletedAt = time.Time{} })}})
		other.deleteUser(second)
		p.restoreUser(u)
		if diff := cmp.Diff(u, p.readUser(u)); diff != "" {
			e.Errorf("user (-want +got):\n%s", diff)
		}
	},
	"records that may return are loaded by stable id and by name, the last deleted first": func(e *env) {
		p, other := e.at("alpha"), e.at("beta")
		at := e.now
		gone := func(p *place, name, external string) *store.User {
			u := p.user(name, func(u *store.User) { u.ExternalID = external })
			at = at.Add(time.Second)
			p.change(store.OpDelete, u, func(u *store.User) { u.DeletedAt = at })
			return u
		}
		first, second, third := gone(p, "Ann", ""), gone(p, "bob", "e-1"), gone(p, "ANN", "e-2")
		gone(other, "ann", "e-1")
		gone(p, "carl", "e-3")
		have := p.load(store.Scope{Departed: true, UserNames: []string{"ann"}, External: []string{"e-1"}})
		if diff := cmp.Diff([]*store.User{third, second, first}, have.Departed); diff != "" {
			e.Errorf("departed (-want +got):\n%s", diff)
		}
		if have := p.load(store.Scope{UserNames: []string{"ann"}, External: []string{"e-1"}}); len(have.Departed) != 0 {
			e.Errorf("%d departed records were loaded without being asked for", len(have.Departed))
		}
		p.apply(store.ChangeSet{Users: []store.UserChange{{Op: store.OpForget, Before: second, After: *second}}})
		if have := p.load(store.Scope{Departed: true, External: []string{"e-1"}}); len(have.Departed) != 0 {
			e.Errorf("a forgotten record is found by its stable id")
		}
	},
	"names equal in any spelling are one name": func(e *env) {
		p := e.at("alpha")
		for _, tt := range []struct{ name, same string }{
			{"straße", "STRASSE"}, {"ﬁn", "FIN"}, {"e\u0301va", "\u00c9VA"}, {"İz", "i\u0307Z"}, {"ΟΔΟΣ", "οδος"},
		} {
			u := p.user(tt.name)
			if h := p.load(store.Scope{UserNames: []string{store.Fold(tt.same)}}).NameHolders[store.Fold(tt.same)]; h == nil || h.ID != u.ID {
				e.Errorf("the holder of %q is %v", tt.same, h)
			}
			have := got(e, func(r store.Reader) (*store.User, error) { return r.User(e.Context(), e.org, tt.same) })
			if have.ID != u.ID || have.Attributes.UserName != tt.name {
				e.Errorf("%q finds %q", tt.same, have.Attributes.UserName)
			}
		}
		p.stale(store.ChangeSet{Users: []store.UserChange{created(p.newUser("STRASSE"))}})
	},
	"swapped and handed-over names are written whatever their order": func(e *env) {
		p := e.at("alpha")
		list := p.users("a", "b", "c", "d")
		a, b, c, d := list[0], list[1], list[2], list[3]
		rename := func(u *store.User, name string) store.UserChange {
			return changed(store.OpUpdate, u, func(u *store.User) { u.Attributes.UserName = name })
		}
		p.apply(store.ChangeSet{Users: []store.UserChange{
			created(p.newUser("d")), rename(a, "b"), rename(b, "c"), rename(c, "a"),
			changed(store.OpDelete, d, func(u *store.User) { u.DeletedAt = e.now }),
		}})
		for u, want := range map[*store.User]string{a: "b", b: "c", c: "a"} {
			if have := p.readUser(u).Attributes.UserName; have != want {
				e.Errorf("user is called %q, want %q", have, want)
			}
		}
	},
	"keys are never handed out twice": func(e *env) {
		p := e.at("alpha")
		seen := map[store.Key]bool{}
		for range 3 {
			e.update(func(t store.Tx) error {
				keys, err := t.Keys(e.Context(), store.KindUser, 5)
				for _, k := range keys {
					if seen[k] || k <= 0 {
						e.Errorf("key %d", k)
					}
					seen[k] = true
				}
				return err
			})
			if u := p.user("u" + string(store.NewID(e.now))); seen[u.Key] {
				e.Errorf("key %d was handed out before", u.Key)
			}
		}
	},
	"records are counted by directory": func(e *env) {
		p, other := e.at("alpha"), e.at("beta")
		p.user("on")
		p.user("off", func(u *store.User) { u.Stated = false })
		p.user("away", func(u *store.User) { u.OutOfScope = true })
		p.deleteUser(p.user("gone"))
		p.group("g")
		other.user("theirs")
		e.view(func(r store.Reader) error {
			users, active, groups, err := r.CountRecords(e.Context(), e.org, p.dir)
			if users != 3 || active != 1 || groups != 1 {
				e.Errorf("%d users, %d active, %d groups, want 3, 1, 1", users, active, groups)
			}
			return err
		})
	},
	"a push that was accepted is noted once a minute": func(e *env) {
		p := e.at("alpha")
		synced := func(at time.Time) time.Time {
			p.now = at
			p.apply(store.ChangeSet{Synced: true})
			return got(e, func(r store.Reader) (*store.Directory, error) { return r.DirectoryByKey(e.Context(), p.dir) }).SyncedAt
		}
		start := e.now
		for _, tt := range []struct{ after, want time.Duration }{{0, 0}, {59 * time.Second, 0}, {2 * time.Minute, 2 * time.Minute}} {
			if have := synced(start.Add(tt.after)); !have.Equal(start.Add(tt.want)) {
				e.Errorf("after %v synced at %v, want %v later", tt.after, have, tt.want)
			}
		}
	},
	"a pull that succeeded is noted to the moment, also after a push": func(e *env) {
		p := e.at("alpha")
		p.apply(store.ChangeSet{Synced: true})
		p.now = p.now.Add(time.Second)
		p.apply(store.ChangeSet{Pulled: true})
		if have := got(e, func(r store.Reader) (*store.Directory, error) { return r.DirectoryByKey(e.Context(), p.dir) }).SyncedAt; !have.Equal(p.now) {
			e.Errorf("synced at %v, want %v", have, p.now)
		}
	},
	"who holds a name elsewhere is told with the record": func(e *env) {
		p, other := e.at("alpha"), e.at("beta")
		long := strings.Repeat("é", 300) + "@corp.test"
		u := other.user("Ann", func(u *store.User) {
			u.Attributes.Emails = []store.Value{{Value: "A@corp.test"}, {Value: "\u00c9" + long}}
		})
		other.user("Bob", func(u *store.User) { u.Attributes.Emails = []store.Value{{Value: "a@corp.test"}} })
		p.user("carl")
		internal := (&place{e, e.org, 0}).user("dora")
		have := p.load(store.Scope{UserKeys: []string{"ann", "a@corp.test", "carl", "dora", "nobody", store.Fold("é" + long)}}).Owners
		theirs := func(u *store.User, holders int) store.KeyOwner {
			return store.KeyOwner{Directory: other.dir, DirectoryName: "beta", Holders: holders, Key: u.Key, ID: u.ID, Name: u.Attributes.UserName}
		}
		want := map[string]store.KeyOwner{
			"ann": theirs(u, 1), "a@corp.test": theirs(u, 2), store.Fold("é" + long): theirs(u, 1),
			"carl": {Directory: p.dir, DirectoryName: "alpha", Holders: 1},
			"dora": {Holders: 1, Key: internal.Key, ID: internal.ID, Name: "dora", Internal: true},
		}
		if diff := cmp.Diff(want, have); diff != "" {
			e.Errorf("owners (-want +got):\n%s", diff)
		}
		p.stale(store.ChangeSet{Users: []store.UserChange{created(p.newUser("ann"))}})
	},
	"a scope loads users of its directory only": func(e *env) {
		p, other := e.at("alpha"), e.at("beta")
		mine, theirs := p.user("ann", func(u *store.User) { u.ExternalID = "e-1" }), other.user("bob", func(u *store.User) { u.ExternalID = "e-1" })
		gone := p.user("gone")
		p.deleteUser(gone)
		byID, byExternal := store.RecordKey{ID: mine.ID}, store.RecordKey{ExternalID: "e-1"}
		for _, unlocked := range []bool{false, true} {
			have := p.load(store.Scope{Unlocked: unlocked, UserNames: []string{"ann", "bob"},
				Users: []store.RecordKey{byID, byExternal, {ID: theirs.ID}, {ID: gone.ID}, {ID: "nonsense"}}})
			if diff := cmp.Diff(map[store.RecordKey]*store.User{byID: mine, byExternal: mine}, have.Users); diff != "" {
				e.Errorf("users (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]*store.User{"ann": mine}, have.NameHolders); diff != "" {
				e.Errorf("name holders (-want +got):\n%s", diff)
			}
			if have.Directory == nil || have.Directory.Key != p.dir || have.Directory.Settings.DomainPolicy != store.DomainsVerified {
				e.Errorf("directory %v", have.Directory)
			}
		}
	},
	"users are listed by key in pages, by place and by cursor": func(e *env) {
		p := e.at("alpha")
		list := p.users("e", "d", "c", "b", "a")
		keys := func(users []store.User) []store.Key {
			var out []store.Key
			for _, u := range users {
				out = append(out, u.Key)
			}
			return out
		}
		for name, tt := range map[string]struct {
			q     store.Query
			want  []*store.User
			more  bool
			total int
		}{
			"first":  {store.Query{Limit: 2, Count: true}, list[:2], true, 5},
			"place":  {store.Query{Limit: 2, Offset: 3, Count: true}, list[3:], false, 5},
			"beyond": {store.Query{Limit: 2, Offset: 9, Count: true}, nil, false, 5},
			"cursor": {store.Query{Limit: 3, After: store.Position{Key: list[1].Key}}, list[2:], false, 0},
			"count":  {store.Query{Count: true}, nil, false, 5},
		} {
			tt.q.Org = e.org
			page := got(e, func(r store.Reader) (store.Page[store.User], error) { return r.Users(e.Context(), tt.q) })
			var want []store.Key
			for _, u := range tt.want {
				want = append(want, u.Key)
			}
			if diff := cmp.Diff(want, keys(page.Items), cmpopts.EquateEmpty()); diff != "" || page.More != tt.more || page.Total != tt.total {
				e.Errorf("%s: more %v, total %d (-want +got):\n%s", name, page.More, page.Total, diff)
			}
		}
	},
	"a name of two directories is ambiguous": func(e *env) {
		e.at("alpha").user("ann")
		inner := &place{e, e.org, 0}
		u := inner.newUser("Ann")
		inner.apply(store.ChangeSet{Users: []store.UserChange{{Op: store.OpCreate, After: u}}})
		err := e.s.View(e.Context(), func(r store.Reader) error {
			_, err := r.User(e.Context(), e.org, "ann")
			return err
		})
		if store.CodeOf(err) != store.CodeConflict {
			e.Errorf("%v, want a conflict", err)
		}
	},
	"ids are read for live records": func(e *env) {
		p := e.at("alpha")
		list := p.users("a", "b")
		p.deleteUser(list[1])
		have := got(e, func(r store.Reader) (map[store.Key]store.ID, error) {
			return r.IDs(e.Context(), e.org, store.KindUser, []store.Key{list[0].Key, list[1].Key, 99999})
		})
		if diff := cmp.Diff(map[store.Key]store.ID{list[0].Key: list[0].ID}, have); diff != "" {
			e.Errorf("ids (-want +got):\n%s", diff)
		}
	},
}
