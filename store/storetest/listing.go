package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// walk reads a list to its end in pages of two, and returns what name says of each.
func walk[T any](e *env, read func(r store.Reader, last *T) (store.Page[T], error), name func(*T) string) (names []string) {
	e.Helper()
	var last *T
	for {
		page := got(e, func(r store.Reader) (store.Page[T], error) { return read(r, last) })
		if len(page.Items) > 2 || page.More && len(page.Items) != 2 {
			e.Fatalf("a page of two has %d, more %t", len(page.Items), page.More)
		}
		for i := range page.Items {
			names = append(names, name(&page.Items[i]))
			last = &page.Items[i]
		}
		if !page.More {
			return names
		}
	}
}

func (e *env) names(what string, have []string, want ...string) {
	e.Helper()
	if diff := cmp.Diff(want, have); diff != "" {
		e.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

var listing = map[string]func(*env){
	"organizations come by name, all or one": func(e *env) {
		for _, name := range []string{"Zoo", "acme", "Beta"} {
			e.organization(name)
		}
		read := func(only store.Key) func(r store.Reader, last *store.Organization) (store.Page[store.Organization], error) {
			return func(r store.Reader, last *store.Organization) (store.Page[store.Organization], error) {
				q := store.OrganizationQuery{Only: only, Limit: 2}
				if last != nil {
					q.After = store.Fold(last.Name)
				}
				return r.OrganizationPage(e.Context(), q)
			}
		}
		name := func(o *store.Organization) string { return o.Name }
		e.names("all", walk(e, read(0), name), "acme", "Beta", "default", "Zoo")
		e.names("one", walk(e, read(e.org), name), "default")
	},
	"directories and domains come by name, also of one kind or state": func(e *env) {
		for i, name := range []string{"Zeta", "alpha", "Mid", "beta"} {
			kind := store.DirectorySCIM
			state := store.DomainPending
			if i%2 == 1 {
				kind, state = store.DirectoryLDAP, store.DomainVerified
			}
			e.directory(name, kind)
			d := &store.Domain{ID: store.NewID(e.now), Org: e.org, Name: store.Fold(name) + ".test", State: state, Challenge: "c", CreatedAt: e.now}
			e.update(func(t store.Tx) error { return t.SaveDomain(e.Context(), d) })
		}
		directories := func(kind store.DirectoryKind) []string {
			return walk(e, func(r store.Reader, last *store.Directory) (store.Page[store.Directory], error) {
				q := store.DirectoryQuery{Org: e.org, Kind: kind, Limit: 2}
				if last != nil {
					q.After = store.Fold(last.Name)
				}
				return r.DirectoryPage(e.Context(), q)
			}, func(d *store.Directory) string { return d.Name })
		}
		e.names("directories", directories(""), "alpha", "beta", "Mid", "Zeta")
		e.names("directories that are pulled", directories(store.DirectoryLDAP), "alpha", "beta")
		domains := func(state store.DomainState) []string {
			return walk(e, func(r store.Reader, last *store.Domain) (store.Page[store.Domain], error) {
				q := store.DomainQuery{Org: e.org, State: state, Limit: 2}
				if last != nil {
					q.After = last.Name
				}
				return r.DomainPage(e.Context(), q)
			}, func(d *store.Domain) string { return d.Name })
		}
		e.names("domains", domains(""), "alpha.test", "beta.test", "mid.test", "zeta.test")
		e.names("pending domains", domains(store.DomainPending), "mid.test", "zeta.test")
		other := e.organization("other")
		if page := got(e, func(r store.Reader) (store.Page[store.Domain], error) {
			return r.DomainPage(e.Context(), store.DomainQuery{Org: other})
		}); len(page.Items) != 0 {
			e.Errorf("another organization has %v", page.Items)
		}
	},
	"tokens come newest first, of administrators or of a directory, good or ended": func(e *env) {
		d := e.directory("alpha", store.DirectorySCIM)
		for i := range 3 {
			t := newToken(e, fmt.Sprintf("admin%d", i), 0)
			if i == 1 {
				t.Role, t.ExpiresAt = store.RoleAuditor, e.now.Add(time.Hour)
			}
			createToken(e, t)
			createToken(e, newToken(e, fmt.Sprintf("push%d", i), d.Key))
		}
		instance := newToken(e, "instance", 0)
		instance.Org = 0
		createToken(e, instance)
		revoked := tokenOf(e, newToken(e, "push2", d.Key).Hash)
		e.update(func(t store.Tx) error { return t.RevokeToken(e.Context(), e.org, revoked.ID, e.now) })
		list := func(q store.TokenQuery) []string {
			return walk(e, func(r store.Reader, last *store.Token) (store.Page[store.Token], error) {
				q.Limit = 2
				if last != nil {
					q.Before = last.Key
				}
				return r.TokenPage(e.Context(), q)
			}, func(t *store.Token) string { return t.Name })
		}
		good, ended := true, false
		e.names("administrators'", list(store.TokenQuery{Org: e.org}), "admin2", "admin1", "admin0")
		e.names("auditors'", list(store.TokenQuery{Org: e.org, Role: store.RoleAuditor}), "admin1")
		e.names("a directory's", list(store.TokenQuery{Org: e.org, Directory: d.Key}), "push2", "push1", "push0")
		e.names("the instance's", list(store.TokenQuery{}), "instance")
		e.names("good ones", list(store.TokenQuery{Org: e.org, Directory: d.Key, Usable: &good, Now: e.now}), "push1", "push0")
		e.names("ended ones", list(store.TokenQuery{Org: e.org, Directory: d.Key, Usable: &ended, Now: e.now}), "push2")
		e.names("expired ones", list(store.TokenQuery{Org: e.org, Usable: &ended, Now: e.now.Add(2 * time.Hour)}), "admin1")
		found := got(e, func(r store.Reader) (*store.Token, error) { return r.Token(e.Context(), e.org, revoked.ID) })
		if found.Name != "push2" || found.RevokedAt.IsZero() {
			e.Errorf("by its id it is %+v", found)
		}
		absent(e, func(r store.Reader) (*store.Token, error) { return r.Token(e.Context(), 0, revoked.ID) })
		absent(e, func(r store.Reader) (*store.Token, error) { return r.Token(e.Context(), e.org, "no-id") })
	},
	"handovers come by both names": func(e *env) {
		a, b, c := e.at("a"), e.at("b"), e.at("c")
		for _, pair := range [][2]store.Key{{b.dir, a.dir}, {c.dir, a.dir}, {c.dir, b.dir}} {
			e.handover(pair[0], pair[1])
		}
		list := walk(e, func(r store.Reader, last *store.Handover) (store.Page[store.Handover], error) {
			q := store.HandoverQuery{Org: e.org, Directory: c.dir, Limit: 2}
			if last != nil {
				q.AfterTo, q.AfterFrom = store.Fold(last.ToName), store.Fold(last.FromName)
			}
			return r.HandoverPage(e.Context(), q)
		}, func(h *store.Handover) string { return h.FromName + " to " + h.ToName })
		e.names("those of c", list, "c to a", "c to b")
	},
	"an organization is ready once a directory has synced and a domain is verified": func(e *env) {
		other := e.organization("other")
		ready := func() []store.Key {
			m := got(e, func(r store.Reader) (map[store.Key]bool, error) {
				return r.Ready(e.Context(), []store.Key{e.org, other})
			})
			var keys []store.Key
			for k := range m {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			return keys
		}
		d := &store.Domain{ID: store.NewID(e.now), Org: e.org, Name: "a.test", State: store.DomainVerified, Challenge: "c", CreatedAt: e.now}
		e.update(func(t store.Tx) error { return t.SaveDomain(e.Context(), d) })
		if keys := ready(); len(keys) != 0 {
			e.Errorf("with a domain alone ready are %v", keys)
		}
		p := e.at("alpha")
		p.user("ann")
		e.update(func(t store.Tx) error {
			_, err := t.Apply(e.Context(), &store.ChangeSet{Org: e.org, Directory: p.dir, Now: e.now, Cap: 10, Synced: true})
			return err
		})
		if keys := ready(); !slices.Equal(keys, []store.Key{e.org}) {
			e.Errorf("with both ready are %v", keys)
		}
	},
	"users are found and counted by the domain that decides about them": func(e *env) {
		p := e.at("alpha")
		for name, email := range map[string]string{
			"ann@Corp.test": "ann@other.test", "bob": "bob@corp.test", "cy": "cy@other.test", "dan": "", "gone@corp.test": "",
		} {
			p.user(name, func(u *store.User) {
				if email != "" {
					u.Attributes.Emails = []store.Value{{Value: email}}
				}
			})
		}
		gone := got(e, func(r store.Reader) (*store.User, error) { return r.User(e.Context(), e.org, "gone@corp.test") })
		p.deleteUser(gone)
		use := got(e, func(r store.Reader) ([]store.DomainUse, error) { return r.DomainsInUse(e.Context(), e.org, p.dir, 10) })
		if diff := cmp.Diff([]store.DomainUse{{Name: "corp.test", Users: 2}, {Name: "other.test", Users: 1}}, use); diff != "" {
			e.Errorf("domains (-want +got):\n%s", diff)
		}
		page := got(e, func(r store.Reader) (store.Page[store.User], error) {
			return r.Users(e.Context(), store.Query{Org: e.org, Limit: 10, Filter: store.Compare{Field: "domain", Op: store.Eq, Value: "corp.test"}})
		})
		var names []string
		for i := range page.Items {
			names = append(names, page.Items[i].Attributes.UserName)
		}
		slices.Sort(names)
		e.names("users of corp.test", names, "ann@Corp.test", "bob")
	},
}
