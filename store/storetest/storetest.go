// Package storetest is what every engine must do: one suite, a file a topic, run by
// each engine's own test on fresh databases.
//
// The usual path is one call of [Run]. Each test opens a store of its own, whose
// only content is the default organization. The package knows nothing of SQL.
package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/provost-scim/provost/store"
)

// Run runs the suite. open makes a store on a fresh, migrated database and closes it
// at the end of the test.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, topic := range []struct {
		name  string
		tests map[string]func(*env)
	}{
		{"organizations", organizations},
		{"directories", directories},
		{"tokens", tokens},
		{"oidc", oidc},
		{"domains", domains},
		{"transactions", transactions},
		{"runs", runs},
		{"stage", stage},
		{"losses", losses},
		{"handovers", handovers},
		{"changes only", changesOnly},
		{"events", events},
		{"findings", findings},
		{"users", users},
		{"groups", groups},
		{"membership", membership},
		{"cap", capped},
		{"concurrency", concurrency},
		{"query", query},
		{"pages", pages},
		{"isolation", isolation},
		{"purge", purge},
		{"grants", grants},
		{"mails", mails},
		{"webhooks", webhooks},
		{"idempotency", idempotency},
		{"listing", listing},
	} {
		t.Run(topic.name, func(t *testing.T) {
			for name, test := range topic.tests {
				t.Run(name, func(t *testing.T) { test(newEnv(t, open(t))) })
			}
		})
	}
}

// env is one test with its store.
type env struct {
	*testing.T
	s   store.Store
	org store.Key // of the default organization
	now time.Time
}

func newEnv(t *testing.T, s store.Store) *env {
	e := &env{T: t, s: s, now: time.Date(2026, 3, 4, 5, 6, 7, 123456000, time.UTC)}
	e.view(func(r store.Reader) error {
		o, err := r.Organization(t.Context(), store.DefaultOrganization)
		if err == nil {
			e.org = o.Key
		}
		return err
	})
	return e
}

// view fails the test if fn fails.
func (e *env) view(fn func(store.Reader) error) {
	e.Helper()
	if err := e.s.View(e.Context(), fn); err != nil {
		e.Fatalf("view: %v", err)
	}
}

// update fails the test if fn fails.
func (e *env) update(fn func(store.Tx) error) {
	e.Helper()
	if err := e.s.Update(e.Context(), fn); err != nil {
		e.Fatalf("update: %v", err)
	}
}

// refused fails the test unless fn fails with the code.
func (e *env) refused(code store.Code, fn func(store.Tx) error) {
	e.Helper()
	err := e.s.Update(e.Context(), fn)
	if got := store.CodeOf(err); got != code {
		e.Errorf("code %q (%v), want %q", got, err, code)
	}
}

// directory creates a directory of the default organization.
func (e *env) directory(name string, kind store.DirectoryKind) *store.Directory {
	e.Helper()
	d := &store.Directory{
		ID: store.NewID(e.now), Org: e.org, Name: name, Kind: kind, Settings: store.DefaultSettings(kind),
		CreatedAt: e.now, UpdatedAt: e.now,
	}
	e.update(func(t store.Tx) error { return t.CreateDirectory(e.Context(), d) })
	return d
}

// organization creates another organization.
func (e *env) organization(name string) store.Key {
	e.Helper()
	o := &store.Organization{ID: store.NewID(e.now), Name: name, CreatedAt: e.now}
	e.update(func(t store.Tx) error { return t.CreateOrganization(e.Context(), o) })
	return o.Key
}

// got is the value of a read; it fails the test if the read fails.
func got[T any](e *env, read func(store.Reader) (T, error)) T {
	e.Helper()
	var out T
	e.view(func(r store.Reader) (err error) {
		out, err = read(r)
		return err
	})
	return out
}

// absent fails the test unless the read fails with [store.CodeNotFound].
func absent[T any](e *env, read func(store.Reader) (T, error)) {
	e.Helper()
	err := e.s.View(e.Context(), func(r store.Reader) error {
		v, err := read(r)
		if err == nil {
			err = fmt.Errorf("found %v", v)
		}
		return err
	})
	if code := store.CodeOf(err); code != store.CodeNotFound {
		e.Errorf("code %q (%v), want %q", code, err, store.CodeNotFound)
	}
}
