package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/provost-scim/provost/store"
)

var organizations = map[string]func(*env){
	"an organization is found by its name in any case, by its ID and by its key": func(e *env) {
		o := &store.Organization{ID: store.NewID(e.now), Name: "Straße AG", CreatedAt: e.now}
		e.update(func(t store.Tx) error { return t.CreateOrganization(e.Context(), o) })
		for _, ref := range []string{"Straße AG", "STRASSE ag", string(o.ID)} {
			have := got(e, func(r store.Reader) (*store.Organization, error) { return r.Organization(e.Context(), ref) })
			if diff := cmp.Diff(o, have); diff != "" {
				e.Errorf("by %q (-want +got):\n%s", ref, diff)
			}
		}
		have := got(e, func(r store.Reader) (*store.Organization, error) { return r.OrganizationByKey(e.Context(), o.Key) })
		if diff := cmp.Diff(o, have); diff != "" {
			e.Errorf("by key (-want +got):\n%s", diff)
		}
	},
	"a taken organization name is refused whatever its case": func(e *env) {
		e.refused(store.CodeUniqueness, func(t store.Tx) error {
			return t.CreateOrganization(e.Context(), &store.Organization{ID: store.NewID(e.now), Name: "DEFAULT", CreatedAt: e.now})
		})
	},
	"an update of settings raises the revision and one of an older revision is stale": func(e *env) {
		o := got(e, func(r store.Reader) (*store.Organization, error) { return r.OrganizationByKey(e.Context(), e.org) })
		older := *o
		o.Settings = store.OrganizationSettings{
			NotifyEmails: []string{"it@corp.test"}, WelcomeSubject: "Hi", WelcomeText: "Dear {{.Name}}", SignInURL: "https://corp.test/",
		}
		e.update(func(t store.Tx) error { return t.UpdateOrganization(e.Context(), o) })
		have := got(e, func(r store.Reader) (*store.Organization, error) { return r.OrganizationByKey(e.Context(), e.org) })
		if diff := cmp.Diff(o, have); diff != "" || have.Revision != older.Revision+1 {
			e.Errorf("revision %d after %d (-want +got):\n%s", have.Revision, older.Revision, diff)
		}
		e.refused(store.CodeStale, func(t store.Tx) error { return t.UpdateOrganization(e.Context(), &older) })
	},
	"an unknown organization is not found": func(e *env) {
		for _, ref := range []string{"nobody", string(store.NewID(e.now)), ""} {
			absent(e, func(r store.Reader) (*store.Organization, error) { return r.Organization(e.Context(), ref) })
		}
	},
}

var directories = map[string]func(*env){
	"containers are noted once, and found by their hashes": func(e *env) {
		d, other := e.directory("corp", store.DirectoryLDAP), e.directory("other", store.DirectoryLDAP)
		note := func(of *store.Directory, dns map[string]string) {
			e.update(func(t store.Tx) error { return t.NoteContainers(e.Context(), e.org, of.Key, dns) })
		}
		note(d, map[string]string{"b": "ou=b", "a": "ou=a"})
		note(d, nil)
		note(d, map[string]string{"a": "OU=A", "c": "ou=c"})
		note(other, map[string]string{"a": "ou=other"})
		ask := func(of *store.Directory, hashes ...string) map[string]string {
			return got(e, func(r store.Reader) (map[string]string, error) { return r.Containers(e.Context(), of.Key, hashes) })
		}
		if diff := cmp.Diff(map[string]string{"a": "ou=a", "c": "ou=c"}, ask(d, "c", "a", "nothing")); diff != "" {
			e.Errorf("containers (-want +got):\n%s", diff)
		}
		if found := ask(other, "a", "b"); len(found) != 1 || found["a"] != "ou=other" || len(ask(d)) != 0 {
			e.Errorf("the other directory has %v", found)
		}
	},
	"what joins a scope is listed once, in its order, and leaves it with a new revision": func(e *env) {
		d, other := e.directory("corp", store.DirectoryLDAP), e.directory("other", store.DirectoryLDAP)
		entries := []store.ScopeEntry{
			{Kind: store.KindUser, ExternalID: "b", Name: "bob"}, {Kind: store.KindGroup, ExternalID: "a", Name: "all"}, {Kind: store.KindUser, ExternalID: "c", Name: "cid"},
		}
		join := func(of *store.Directory, list ...store.ScopeEntry) {
			e.update(func(t store.Tx) error { return t.JoinScope(e.Context(), e.org, of.Key, list, e.now) })
		}
		join(d, entries[:2]...)
		join(d)
		join(other, entries[0])
		join(d, entries[1:]...)
		ask := func(after store.Key, limit int) []store.ScopeEntry {
			list := got(e, func(r store.Reader) ([]store.ScopeEntry, error) {
				return r.ScopeEntries(e.Context(), store.ScopeQuery{Org: e.org, Directory: d.Key, After: after, Limit: limit})
			})
			for i := range list {
				if !list[i].JoinedAt.Equal(e.now) {
					e.Errorf("%s joined at %v", list[i].Name, list[i].JoinedAt)
				}
				list[i].JoinedAt = time.Time{}
			}
			return list
		}
		names := cmpopts.IgnoreFields(store.ScopeEntry{}, "Key")
		first := ask(0, 2)
		if diff := cmp.Diff(entries, append(first, ask(first[1].Key, 2)...), names); diff != "" {
			e.Errorf("in pages (-want +got):\n%s", diff)
		}
		var left *store.ScopeEntry
		e.update(func(t store.Tx) (err error) {
			left, err = t.LeaveScope(e.Context(), e.org, d.Key, "a", e.now)
			return err
		})
		if left.Name != "all" || len(ask(0, 0)) != 2 {
			e.Errorf("%v has left, and %v are there", left, ask(0, 0))
		}
		now := got(e, func(r store.Reader) (*store.Directory, error) { return r.DirectoryByKey(e.Context(), d.Key) })
		if now.Revision != d.Revision+1 {
			e.Errorf("the revision is %d, was %d", now.Revision, d.Revision)
		}
		e.refused(store.CodeNotFound, func(t store.Tx) error {
			_, err := t.LeaveScope(e.Context(), e.org, d.Key, "a", e.now)
			return err
		})
	},
	"a directory is read back as it was written": func(e *env) {
		d := &store.Directory{
			ID: store.NewID(e.now), Org: e.org, Name: "Corp AD", Kind: store.DirectoryLDAP, Settings: store.DefaultSettings(store.DirectoryLDAP),
			Secret: []byte{0, 1, 0xff}, CreatedAt: e.now, UpdatedAt: e.now.Add(time.Second), SyncedAt: e.now.Add(time.Minute),
		}
		d.Settings.LDAP.URLs = []string{"ldaps://a.example:636"}
		d.Settings.LDAP.Attributes = map[string]string{"userName": "uid"}
		e.update(func(t store.Tx) error { return t.CreateDirectory(e.Context(), d) })
		if d.Key == 0 || d.Revision != 1 {
			e.Errorf("key %d and revision %d, want a key and 1", d.Key, d.Revision)
		}
		for _, ref := range []string{"corp ad", "CORP AD", string(d.ID)} {
			have := got(e, func(r store.Reader) (*store.Directory, error) { return r.Directory(e.Context(), e.org, ref) })
			if diff := cmp.Diff(d, have); diff != "" {
				e.Errorf("by %q (-want +got):\n%s", ref, diff)
			}
		}
		have := got(e, func(r store.Reader) (*store.Directory, error) { return r.DirectoryByKey(e.Context(), d.Key) })
		if diff := cmp.Diff(d, have); diff != "" {
			e.Errorf("by key (-want +got):\n%s", diff)
		}
	},
	"directories are listed by name and belong to one organization": func(e *env) {
		other := e.organization("other")
		b, a := e.directory("beta", store.DirectorySCIM), e.directory("Alpha", store.DirectorySCIM)
		list := got(e, func(r store.Reader) ([]store.Directory, error) { return r.Directories(e.Context(), e.org) })
		if diff := cmp.Diff([]store.Directory{*a, *b}, list); diff != "" {
			e.Errorf("directories (-want +got):\n%s", diff)
		}
		if list := got(e, func(r store.Reader) ([]store.Directory, error) { return r.Directories(e.Context(), other) }); len(list) != 0 {
			e.Errorf("the other organization has %v", list)
		}
		absent(e, func(r store.Reader) (*store.Directory, error) { return r.Directory(e.Context(), other, "Alpha") })
		absent(e, func(r store.Reader) (*store.Directory, error) { return r.Directory(e.Context(), other, string(a.ID)) })
	},
	"a taken directory name is refused": func(e *env) {
		e.directory("alpha", store.DirectorySCIM)
		beta := e.directory("beta", store.DirectorySCIM)
		e.refused(store.CodeUniqueness, func(t store.Tx) error {
			return t.CreateDirectory(e.Context(), &store.Directory{
				ID: store.NewID(e.now), Org: e.org, Name: "ALPHA", Kind: store.DirectorySCIM, CreatedAt: e.now, UpdatedAt: e.now,
			})
		})
		e.refused(store.CodeUniqueness, func(t store.Tx) error {
			renamed := *beta
			renamed.Name = "Alpha"
			return t.UpdateDirectory(e.Context(), &renamed)
		})
	},
	"an update raises the revision and one of an older revision is stale": func(e *env) {
		d := e.directory("alpha", store.DirectorySCIM)
		older := *d
		d.Name, d.Settings.DomainPolicy, d.Secret, d.UpdatedAt = "Gamma", store.DomainsOff, []byte("sealed"), e.now.Add(time.Hour)
		e.update(func(t store.Tx) error { return t.UpdateDirectory(e.Context(), d) })
		if d.Revision != 2 {
			e.Errorf("revision %d, want 2", d.Revision)
		}
		have := got(e, func(r store.Reader) (*store.Directory, error) { return r.Directory(e.Context(), e.org, "gamma") })
		if diff := cmp.Diff(d, have); diff != "" {
			e.Errorf("directory (-want +got):\n%s", diff)
		}
		tries := 0
		e.refused(store.CodeStale, func(t store.Tx) error {
			tries++
			again := older
			return t.UpdateDirectory(e.Context(), &again)
		})
		if tries != 1 {
			e.Errorf("the stale update was tried %d times: repeating cannot help", tries)
		}
	},
	"deleting a directory revokes its tokens and resolves its findings": func(e *env) {
		d := e.directory("alpha", store.DirectorySCIM)
		token := newToken(e, "one", d.Key)
		e.update(func(t store.Tx) error {
			if err := t.CreateToken(e.Context(), token); err != nil {
				return err
			}
			return t.Open(e.Context(), []store.Finding{newFinding(e, d.Key, "u1")})
		})
		later := e.now.Add(time.Hour)
		e.update(func(t store.Tx) error { return t.DeleteDirectory(e.Context(), e.org, d.Key, later) })
		absent(e, func(r store.Reader) (*store.Directory, error) { return r.DirectoryByKey(e.Context(), d.Key) })
		have := got(e, func(r store.Reader) (*store.Token, error) { return r.TokenByHash(e.Context(), token.Hash) })
		if !have.RevokedAt.Equal(later) {
			e.Errorf("the token was revoked at %v, want %v", have.RevokedAt, later)
		}
		open := got(e, func(r store.Reader) ([]store.Finding, error) {
			return r.Findings(e.Context(), store.FindingQuery{Org: e.org, Open: true})
		})
		if len(open) != 0 {
			e.Errorf("findings are still open: %v", open)
		}
		e.refused(store.CodeNotFound, func(t store.Tx) error { return t.DeleteDirectory(e.Context(), e.org, d.Key, later) })
	},
}

// transactions are kept whole or not at all.
var transactions = map[string]func(*env){
	"nothing of a transaction that fails is kept, and its error comes back": func(e *env) {
		e.refused(store.CodeForbidden, func(t store.Tx) error {
			if err := t.CreateOrganization(e.Context(), &store.Organization{ID: store.NewID(e.now), Name: "lost", CreatedAt: e.now}); err != nil {
				return err
			}
			if _, err := t.Organization(e.Context(), "lost"); err != nil {
				e.Errorf("the transaction does not see what it wrote: %v", err)
			}
			absent(e, func(r store.Reader) (*store.Organization, error) { return r.Organization(e.Context(), "lost") })
			return store.Errorf(store.CodeForbidden, "no")
		})
		absent(e, func(r store.Reader) (*store.Organization, error) { return r.Organization(e.Context(), "lost") })
	},
	"nothing of a transaction that panics is kept, and the store goes on": func(e *env) {
		func() {
			defer func() {
				if recover() == nil {
					e.Error("the panic was swallowed")
				}
			}()
			_ = e.s.Update(e.Context(), func(t store.Tx) error { // it never returns
				if err := t.CreateOrganization(e.Context(), &store.Organization{ID: store.NewID(e.now), Name: "lost", CreatedAt: e.now}); err != nil {
					e.Error(err)
				}
				panic("on purpose")
			})
		}()
		absent(e, func(r store.Reader) (*store.Organization, error) { return r.Organization(e.Context(), "lost") })
		e.organization("found")
	},
	"a cancelled context ends a transaction without a trace": func(e *env) {
		ctx, cancel := contextWithCancel(e)
		err := e.s.Update(ctx, func(t store.Tx) error {
			if err := t.CreateOrganization(ctx, &store.Organization{ID: store.NewID(e.now), Name: "lost", CreatedAt: e.now}); err != nil {
				return err
			}
			cancel()
			return nil
		})
		if err == nil {
			e.Error("the transaction was committed after its context had been cancelled")
		}
		absent(e, func(r store.Reader) (*store.Organization, error) { return r.Organization(e.Context(), "lost") })
	},
	"times are kept to the microsecond, and shown in UTC whatever they came in": func(e *env) {
		at := time.Date(1969, 12, 31, 23, 59, 59, 999999999, time.FixedZone("", -3600))
		o := &store.Organization{ID: store.NewID(e.now), Name: "old", CreatedAt: at}
		e.update(func(t store.Tx) error { return t.CreateOrganization(e.Context(), o) })
		have := got(e, func(r store.Reader) (*store.Organization, error) { return r.OrganizationByKey(e.Context(), o.Key) })
		want := time.Date(1970, 1, 1, 0, 59, 59, 999999000, time.UTC)
		if have.CreatedAt != want {
			e.Errorf("created at %v, want %v", have.CreatedAt, want)
		}
	},
	"a store that is closed refuses": func(e *env) {
		if err := e.s.Ping(e.Context()); err != nil {
			e.Errorf("ping before: %v", err)
		}
		if err := e.s.Close(); err != nil {
			e.Fatal(err)
		}
		if err := e.s.Ping(e.Context()); err == nil {
			e.Error("a closed store answers a ping")
		}
	},
}
