package run_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
	"github.com/provost-scim/provost/sync/reconcile"
	"github.com/provost-scim/provost/sync/run"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var engines = map[string]func(t *testing.T) (dsn string){
	"postgres": func(t *testing.T) string { return testenv.Postgres(t).Database(t, migrate) },
	"sqlite": func(t *testing.T) string {
		dsn := "sqlite:" + filepath.Join(t.TempDir(), "provost.db")
		if err := migrate(dsn); err != nil {
			t.Fatal(err)
		}
		return dsn
	},
}

func migrate(dsn string) error { return gormstore.Migrate(context.Background(), dsn) }

// both runs a test on both engines.
func both(t *testing.T, test func(t *testing.T, w *world)) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) { test(t, newWorld(t, engine(t))) })
	}
}

// fake is a directory on the other side of a network that is not there.
type fake struct {
	mu        sync.Mutex
	users     []store.Entry
	groups    []store.Entry
	elsewhere map[string]string                // stable ids that exist outside what is read, with their DNs
	cut       int                              // end without Complete after so many entries; 0: never
	teller    *teller                          // nil: it does not tell what has changed
	fault     error                            // what Open fails with
	reading   func(ctx context.Context, n int) // called before the n-th entry is yielded, from 0
}

func (f *fake) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		f.mu.Lock()
		all := slices.Concat(f.groups, f.users)
		cut, reading := f.cut, f.reading
		f.mu.Unlock()
		for i, e := range all {
			if reading != nil {
				reading(ctx, i)
			}
			if err := ctx.Err(); err != nil {
				yield(store.Entry{}, err)
				return
			}
			if cut > 0 && i == cut {
				yield(store.Entry{}, errors.New("the connection was dropped"))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		yield(store.Entry{}, run.Complete)
	}
}

func (f *fake) Lookup(_ context.Context, ids []string) (map[string]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := map[string]string{}
	for _, id := range ids {
		if dn, ok := f.elsewhere[id]; ok {
			found[id] = dn
		}
	}
	return found, nil
}

// change alters the directory between reads.
func (f *fake) change(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

// drop takes users or groups away by stable id.
func (f *fake) drop(ids ...string) {
	f.change(func() {
		gone := func(e store.Entry) bool { return slices.Contains(ids, e.ExternalID) }
		f.users = slices.DeleteFunc(f.users, gone)
		f.groups = slices.DeleteFunc(f.groups, gone)
	})
}

func (f *fake) user(id string) *store.Entry {
	for i := range f.users {
		if f.users[i].ExternalID == id {
			return &f.users[i]
		}
	}
	panic("no user " + id)
}

func user(id, name string, with ...func(*store.Entry)) store.Entry {
	yes := true
	e := store.Entry{
		Kind: store.KindUser, ExternalID: id, DN: "uid=" + name + ",dc=example", Active: &yes,
		Attributes: store.Attributes{UserName: name + "@example.com", DisplayName: name},
	}
	for _, w := range with {
		w(&e)
	}
	return e
}

func manager(dn string) func(*store.Entry) { return func(e *store.Entry) { e.ManagerDN = dn } }

func disabled(e *store.Entry) { no := false; e.Active = &no }

func group(id, name string, members ...string) store.Entry {
	e := store.Entry{Kind: store.KindGroup, ExternalID: id, DN: "cn=" + name + ",dc=example", DisplayName: name}
	for _, m := range members {
		if strings.Contains(m, "=") {
			e.MemberDNs = append(e.MemberDNs, m)
		} else {
			e.MemberDNs = append(e.MemberDNs, "uid="+m+",dc=example")
		}
	}
	return e
}

// people makes n users u000, u001, … with the stable ids id-000, id-001, …
func people(n int) []store.Entry {
	list := make([]store.Entry, n)
	for i := range list {
		list[i] = user(fmt.Sprintf("id-%03d", i), fmt.Sprintf("u%03d", i))
	}
	return list
}

// clock is a time that a test sets; between settings it goes on.
type clock struct {
	mu    sync.Mutex
	shift time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.shift)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shift += d
}

// world is one organization with one directory that is pulled.
type world struct {
	t     *testing.T
	dsn   string
	store store.Store
	org   store.Key
	dir   *store.Directory
	fake  *fake
	clock *clock
	cap   int
}

func newWorld(t *testing.T, dsn string) *world {
	w := &world{t: t, dsn: dsn, fake: &fake{elsewhere: map[string]string{}}, clock: &clock{}, cap: 100}
	w.store = w.open()
	settings := store.DefaultSettings(store.DirectoryLDAP)
	settings.DomainPolicy = store.DomainsOff
	settings.Guard = store.SameGuard(store.Threshold{Count: 1000, Percent: 100})
	settings.LDAP.Schedule = store.Schedule{Kind: "off"}
	w.update(func(tx store.Tx) error {
		org, err := tx.Organization(t.Context(), store.DefaultOrganization)
		if err != nil {
			return err
		}
		w.org = org.Key
		now := w.clock.now().UTC().Truncate(time.Microsecond)
		w.dir = &store.Directory{
			ID: store.NewID(now), Org: w.org, Name: "corp", Kind: store.DirectoryLDAP, Settings: settings, Revision: 1,
			CreatedAt: now, UpdatedAt: now,
		}
		return tx.CreateDirectory(t.Context(), w.dir)
	})
	return w
}

func (w *world) open() store.Store {
	s, err := gormstore.Open(w.t.Context(), w.dsn, gormstore.Options{Clock: w.clock.now})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return s
}

func (w *world) update(fn func(store.Tx) error) {
	w.t.Helper()
	if err := w.store.Update(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) view(fn func(store.Reader) error) {
	w.t.Helper()
	if err := w.store.View(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// settings changes the directory's settings.
func (w *world) settings(change func(*store.Settings)) {
	w.t.Helper()
	w.update(func(tx store.Tx) error {
		d, err := tx.DirectoryByKey(w.t.Context(), w.dir.Key)
		if err != nil {
			return err
		}
		change(&d.Settings)
		return tx.UpdateDirectory(w.t.Context(), d)
	})
}

func (w *world) domain(name string, state store.DomainState) {
	w.t.Helper()
	w.update(func(tx store.Tx) error {
		now := w.clock.now().UTC()
		return tx.SaveDomain(w.t.Context(), &store.Domain{
			ID: store.NewID(now), Org: w.org, Name: name, State: state, Challenge: "c", CreatedAt: now, VerifiedAt: now, CheckedAt: now,
		})
	})
}

// engine starts an engine on s, which stops with the test or when stop is called.
func (w *world) engine(s store.Store, change ...func(*run.Options)) (e *run.Engine, stop func()) {
	o := run.Options{
		Open: func(context.Context, *store.Directory) (run.Source, error) {
			w.fake.mu.Lock()
			defer w.fake.mu.Unlock()
			return w.fake, w.fake.fault
		},
		DNKey: func(name string) (k [16]byte) {
			sum := sha256.Sum256([]byte(strings.ToLower(name)))
			copy(k[:], sum[:])
			return k
		},
		DNHash: func(name string) (k [16]byte) {
			sum := sha256.Sum256([]byte(strings.ToLower(name)))
			copy(k[:], sum[:])
			return k
		},
		Owner: "test", Clock: w.clock.now, Logger: slog.New(slog.NewTextHandler(w.t.Output(), nil)), Poll: 20 * time.Millisecond,
		BatchRows: 7, WindowRecords: 5, WindowRefs: 20, PublishRows: 10,
	}
	for _, c := range change {
		c(&o)
	}
	e = run.New(s, reconcile.New(s, reconcile.Options{Cap: w.cap, Clock: w.clock.now}), o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	w.t.Cleanup(stop)
	return e, stop
}

var person = store.Cause{Actor: store.Actor{Kind: "person", Name: "ada"}}

// await waits until a condition holds, at most 30 seconds.
func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			w.t.Fatalf("waited 30 s in vain until %s", what)
		case <-tick.C:
		}
	}
}

func (w *world) run(id store.ID) *store.Run {
	w.t.Helper()
	var r *store.Run
	w.view(func(v store.Reader) (err error) {
		r, err = v.Run(w.t.Context(), w.org, id)
		return err
	})
	return r
}

// rest waits until a run needs no worker any more.
func (w *world) rest(r *store.Run, err error) *store.Run {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	w.await("run "+string(r.ID)+" needs no worker", func() bool {
		r = w.run(r.ID)
		return r.State.Finished() || r.Phase == store.PhaseReady
	})
	return r
}

// pull starts a run and waits for it to succeed.
func (w *world) pull(e *run.Engine) *store.Run {
	w.t.Helper()
	r := w.rest(e.Start(w.t.Context(), w.org, "corp", "", false, person))
	if r.State != store.RunSucceeded {
		w.t.Fatalf("the run is %s: %s", r.State, r.Error)
	}
	return r
}

func (w *world) pulled(e *run.Engine, entries ...store.Entry) *store.Run {
	w.t.Helper()
	w.fake.change(func() {
		for _, entry := range entries {
			if entry.Kind == store.KindGroup {
				w.fake.groups = append(w.fake.groups, entry)
			} else {
				w.fake.users = append(w.fake.users, entry)
			}
		}
	})
	return w.pull(e)
}

// state is what applications see, in words.
func (w *world) state() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	w.view(func(v store.Reader) error {
		ctx := w.t.Context()
		users, err := v.Users(ctx, store.Query{Org: w.org, Limit: 1000})
		if err != nil {
			return err
		}
		for i := range users.Items {
			u := &users.Items[i]
			text := u.ExternalID
			if !u.Active() {
				text += " inactive"
			}
			if u.OutOfScope {
				text += " out of scope"
			}
			if x := u.Attributes.Enterprise; x != nil && x.Manager != nil {
				text += " manager " + x.Manager.Value
			}
			out["user "+u.Attributes.UserName] = text
		}
		groups, err := v.Groups(ctx, store.Query{Org: w.org, Limit: 1000})
		if err != nil {
			return err
		}
		for i := range groups.Items {
			g := &groups.Items[i]
			text := g.ExternalID
			if g.OutOfScope {
				text += " out of scope"
			}
			if g.OverCap {
				text += fmt.Sprintf(" over cap with %d", g.EffectiveCount)
			}
			for _, effective := range []bool{false, true} {
				page, err := v.Members(ctx, store.MemberQuery{Org: w.org, Group: g.Key, Effective: effective})
				if err != nil {
					return err
				}
				var names []string
				for _, m := range page.Items {
					names = append(names, strings.TrimSuffix(m.UserName+m.DisplayName, "@example.com"))
				}
				slices.Sort(names)
				text += " [" + strings.Join(names, " ") + "]"
			}
			out["group "+g.DisplayName] = text
		}
		return nil
	})
	return out
}

// findings are the open ones: rule and record.
func (w *world) findings() []string {
	w.t.Helper()
	var out []string
	w.view(func(v store.Reader) error {
		list, err := v.Findings(w.t.Context(), store.FindingQuery{Org: w.org, Open: true})
		for _, f := range list {
			out = append(out, f.Rule+" "+f.Record)
		}
		return err
	})
	slices.Sort(out)
	return out
}

// events counts the organization's events by type.
func (w *world) events() map[string]int {
	w.t.Helper()
	out := map[string]int{}
	w.view(func(v store.Reader) error {
		for after := int64(0); ; {
			list, err := v.Events(w.t.Context(), store.EventQuery{Org: w.org, After: after, Limit: 1000})
			if err != nil || len(list) == 0 {
				return err
			}
			for _, e := range list {
				out[e.Type]++
				after = e.Cursor
			}
		}
	})
	return out
}

// since tells which events were added.
func since(before, after map[string]int) map[string]int {
	added := map[string]int{}
	for typ, n := range after {
		if n -= before[typ]; n > 0 {
			added[typ] = n
		}
	}
	return added
}
