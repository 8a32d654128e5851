package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
)

// onBothDatabases runs a test on SQLite and on PostgreSQL, each with a migrated
// database of its own.
func onBothDatabases(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		dsn := "sqlite:" + filepath.Join(t.TempDir(), "provost.db")
		if err := migrateDatabase(dsn); err != nil {
			t.Fatal(err)
		}
		test(t, dsn)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		test(t, testenv.Postgres(t).Database(t, migrateDatabase))
	})
}

// passwordFile is a file with a password, as --bind-password-file wants it.
func passwordFile(t *testing.T, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pullFrom are the flags of `directory create` for a server that is reached at the
// URL.
func pullFrom(t *testing.T, server *testenv.LDAPServer, url string, more ...string) []string {
	t.Helper()
	return append([]string{
		"--kind", "ldap", "--url", url, "--preset", "openldap", "--base-dn", server.Suffix, "--bind-dn", server.BindDN,
		"--bind-password-file", passwordFile(t, server.Password), "--ca-file", server.CAFile, "--schedule", "off",
		"--no-incremental", // most tests are about full reads
	}, more...)
}

// pulledRun is a finished run with what made it fail.
type pulledRun struct {
	finishedRun
	Error       string `json:"error"`
	Incremental bool   `json:"incremental"`
	FullBecause string `json:"full_because"`
	Drift       *openapi.RunDrift
}

// pull runs the directory corp to its end and returns the run and the exit code.
func (p *provostServer) pull(t *testing.T, flags ...string) (pulledRun, int) {
	t.Helper()
	stdout, stderr, code := p.run(t, append([]string{"sync", "run", "corp", "--yes", "--wait", "--json"}, flags...)...)
	if stdout == "" {
		t.Fatalf("sync run: exit code %d\n%s", code, stderr)
	}
	return decode[pulledRun](t, stdout), code
}

// mustPull is pull for a run that has to succeed.
func (p *provostServer) mustPull(t *testing.T, flags ...string) pulledRun {
	t.Helper()
	done, code := p.pull(t, flags...)
	if code != 0 || done.State != "succeeded" {
		t.Fatalf("the run is %s with exit code %d: %s", done.State, code, done.Error)
	}
	return done
}

// tally are the counts of a run that are not zero.
func (r *pulledRun) tally(kind string) map[string]int {
	counts := maps.Clone(r.Counts[kind])
	maps.DeleteFunc(counts, func(_ string, n int) bool { return n == 0 })
	return counts
}

// directoryState is what an organization holds, in words that depend on no id and no
// time: what two ways to the same end must agree on.
type directoryState struct {
	Users    map[string]userState  // by userName
	Groups   map[string]groupState // by displayName
	Findings []string              // the open ones
}

type userState struct {
	ExternalID string
	Active     bool
	Attributes store.Attributes // the manager by userName
}

type groupState struct {
	ExternalID  string
	Description string
	OverCap     bool
	Count       int      // the true count of effective users
	Members     []string // as stated
	Effective   []string // as published
}

// trace is what no run without a change may move.
type trace struct {
	Cursor                  int64 // of the last event about a user, a group or a membership
	Users, Groups           int
	UserVersions            int64
	GroupVersions           int64
	UserModified, GroupTime int64 // sums of microseconds
}

// peer looks into a database beside the program.
type peer struct {
	t     *testing.T
	store *gormstore.Store
	org   store.Key
}

// openPeer opens the database of a program for a look; org is "" for the default
// organization.
func openPeer(t *testing.T, dsn, org string) *peer {
	t.Helper()
	db, err := gormstore.Open(t.Context(), dsn, gormstore.Options{MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, store: db}
	t.Cleanup(p.close)
	if org == "" {
		org = store.DefaultOrganization
	}
	p.view(func(ctx context.Context, r store.Reader) error {
		o, err := r.Organization(ctx, org)
		if err == nil {
			p.org = o.Key
		}
		return err
	})
	return p
}

func (p *peer) close() {
	if p.store == nil {
		return
	}
	if err := p.store.Close(); err != nil {
		p.t.Error(err)
	}
	p.store = nil
}

func (p *peer) view(fn func(context.Context, store.Reader) error) {
	p.t.Helper()
	if err := p.store.View(p.t.Context(), func(r store.Reader) error { return fn(p.t.Context(), r) }); err != nil {
		p.t.Fatal(err)
	}
}

// records reads all live users and groups.
func (p *peer) records() (users []store.User, groups []store.Group) {
	p.t.Helper()
	p.view(func(ctx context.Context, r store.Reader) error {
		for q := (store.Query{Org: p.org, Limit: 5_000}); ; {
			page, err := r.Users(ctx, q)
			if err != nil {
				return err
			}
			if users = append(users, page.Items...); !page.More {
				break
			}
			q.After.Key = users[len(users)-1].Key
		}
		for q := (store.Query{Org: p.org, Limit: 5_000}); ; {
			page, err := r.Groups(ctx, q)
			if err != nil {
				return err
			}
			if groups = append(groups, page.Items...); !page.More {
				return nil
			}
			q.After.Key = groups[len(groups)-1].Key
		}
	})
	return users, groups
}

// state reads everything that the organization holds.
func (p *peer) state() directoryState {
	p.t.Helper()
	users, groups := p.records()
	s := directoryState{Users: make(map[string]userState, len(users)), Groups: make(map[string]groupState, len(groups)), Findings: p.findings()}
	nameOfUser := make(map[string]string, 2*len(users)) // a push names a manager by id, a pull by stable id
	byKey := make(map[store.Key]string, len(users))
	for i := range users {
		u := &users[i]
		nameOfUser[string(u.ID)], nameOfUser[u.ExternalID], byKey[u.Key] = u.Attributes.UserName, u.Attributes.UserName, u.Attributes.UserName
	}
	for i := range users {
		u := &users[i]
		s.Users[u.Attributes.UserName] = userState{u.ExternalID, u.Active(), canonical(u.Attributes, nameOfUser)}
	}
	nameOfGroup := make(map[store.ID]string, len(groups))
	for i := range groups {
		nameOfGroup[groups[i].ID] = groups[i].DisplayName
	}
	effective := p.effective(slices.Collect(maps.Keys(byKey)), byKey)
	for chunk := range slices.Chunk(groups, 500) {
		keys := make([]store.Key, len(chunk))
		for i := range chunk {
			keys[i] = chunk[i].Key
		}
		var members map[store.Key][]store.Member
		p.view(func(ctx context.Context, r store.Reader) (err error) {
			members, err = r.MembersOf(ctx, p.org, keys)
			return err
		})
		for i := range chunk {
			g := &chunk[i]
			of := groupState{
				ExternalID: g.ExternalID, Description: g.Description, OverCap: g.OverCap, Count: g.EffectiveCount,
				Effective: sorted(effective[g.ID]),
			}
			for _, m := range members[g.Key] {
				if m.Kind == store.KindUser {
					of.Members = append(of.Members, m.UserName)
				} else {
					of.Members = append(of.Members, "group "+nameOfGroup[m.ID])
				}
			}
			of.Members = sorted(of.Members)
			s.Groups[g.DisplayName] = of
		}
	}
	return s
}

// effective reads whom each group publishes.
func (p *peer) effective(keys []store.Key, names map[store.Key]string) map[store.ID][]string {
	p.t.Helper()
	published := map[store.ID][]string{}
	for chunk := range slices.Chunk(keys, 2_000) {
		p.view(func(ctx context.Context, r store.Reader) error {
			list, err := r.Memberships(ctx, p.org, nil, chunk)
			for _, m := range list {
				published[m.Group] = append(published[m.Group], names[m.User])
			}
			return err
		})
	}
	return published
}

// findings are the open ones, by rule and name.
func (p *peer) findings() (open []string) {
	p.t.Helper()
	p.view(func(ctx context.Context, r store.Reader) error {
		list, err := r.Findings(ctx, store.FindingQuery{Org: p.org, Open: true, Limit: 50_000})
		for _, f := range list {
			open = append(open, f.Rule+" "+f.Name)
		}
		return err
	})
	return sorted(open)
}

// trace reads what a run without a change must not move.
func (p *peer) trace() (t trace) {
	p.t.Helper()
	users, groups := p.records()
	t.Users, t.Groups = len(users), len(groups)
	for i := range users {
		t.UserVersions += users[i].Version
		t.UserModified += users[i].ModifiedAt.UnixMicro()
	}
	for i := range groups {
		t.GroupVersions += groups[i].Version
		t.GroupTime += groups[i].ModifiedAt.UnixMicro()
	}
	for _, e := range p.events(0) {
		if strings.HasPrefix(e.Type, "user.") || strings.HasPrefix(e.Type, "group.") {
			t.Cursor = e.Cursor
		}
	}
	return t
}

// events reads the log after a cursor.
func (p *peer) events(after int64) (all []store.Event) {
	p.t.Helper()
	p.view(func(ctx context.Context, r store.Reader) error {
		for {
			page, err := r.Events(ctx, store.EventQuery{Org: p.org, After: after, Limit: 1000})
			if err != nil || len(page) == 0 {
				return err
			}
			all, after = append(all, page...), page[len(page)-1].Cursor
		}
	})
	return all
}

// canonical is a copy of the attributes with the manager's userName, and with values
// in an order, which SCIM does not give them.
func canonical(a store.Attributes, names map[string]string) store.Attributes {
	if e := a.Enterprise; e != nil {
		e := *e
		if e.Manager != nil {
			e.Manager = &store.Manager{Value: names[e.Manager.Value]}
		}
		a.Enterprise = &e
	}
	for _, list := range []*[]store.Value{&a.Emails, &a.PhoneNumbers} {
		*list = slices.SortedFunc(slices.Values(*list), func(x, y store.Value) int { return strings.Compare(x.Type+x.Value, y.Type+y.Value) })
	}
	return a
}

// sameState reports how two states differ, of large ones only the first records.
func sameState(t *testing.T, what string, want, got directoryState) {
	t.Helper()
	sameRecords(t, what+": user", want.Users, got.Users)
	sameRecords(t, what+": group", want.Groups, got.Groups)
	if diff := cmp.Diff(want.Findings, got.Findings); diff != "" {
		t.Errorf("%s: open findings (-want +got):\n%.3000s", what, diff)
	}
}

func sameRecords[T any](t *testing.T, what string, want, got map[string]T) {
	t.Helper()
	const show = 5
	wrong := 0
	complain := func(format string, args ...any) {
		if wrong++; wrong <= show {
			t.Errorf(format, args...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		have, ok := got[name]
		switch {
		case !ok:
			complain("%s %s is missing", what, name)
		case !reflect.DeepEqual(want[name], have):
			if diff := cmp.Diff(want[name], have); diff != "" {
				complain("%s %s (-want +got):\n%.3000s", what, name, diff)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			complain("%s %s should not be there", what, name)
		}
	}
	if wrong > show {
		t.Errorf("%s: %d differ in all", what, wrong)
	}
}

// companyState is what the directory of a company states, after what became of it
// since it was written.
type companyState struct {
	*testenv.CompanyTruth
	users    map[int]testenv.CompanyUser // by index
	inactive map[int]bool
	gone     map[int]bool // groups
}

func newCompanyState(c *testenv.CompanyTruth) *companyState {
	s := &companyState{CompanyTruth: c, users: make(map[int]testenv.CompanyUser, c.Options.Users), inactive: map[int]bool{}, gone: map[int]bool{}}
	for i := range c.Options.Users {
		s.users[i] = c.User(i)
	}
	return s
}

// pulled is what an organization holds when it was pulled with the preset openldap
// and every group over the cap has been so from the beginning.
func (c *companyState) pulled() directoryState {
	s := directoryState{Users: make(map[string]userState, len(c.users)), Groups: make(map[string]groupState, len(c.Groups))}
	for i, u := range c.users {
		a := store.Attributes{
			UserName: u.UID, Name: &store.Name{FamilyName: u.Surname, GivenName: u.GivenName}, DisplayName: u.DisplayName, Title: u.Title,
			Emails:       []store.Value{{Value: u.Mail, Type: "work", Primary: true}},
			PhoneNumbers: []store.Value{{Value: u.Mobile, Type: "mobile"}, {Value: u.Telephone, Type: "work"}},
			Enterprise:   &store.Enterprise{EmployeeNumber: u.EmployeeNumber, Department: u.Department},
		}
		if u.Manager >= 0 {
			a.Enterprise.Manager = &store.Manager{Value: c.users[u.Manager].UID}
		}
		s.Users[u.UID] = userState{u.ID, !c.inactive[i], a}
	}
	for i, g := range c.Groups {
		if c.gone[i] {
			continue
		}
		of := groupState{ExternalID: g.ID, Description: g.Description}
		for _, u := range g.Users {
			of.Members = append(of.Members, c.users[u].UID)
		}
		for _, child := range g.Children {
			of.Members = append(of.Members, "group "+c.Groups[child].CN)
		}
		effective := c.Effective(i)
		of.Members, of.Count, of.OverCap = sorted(of.Members), len(effective), len(effective) > c.Options.Cap
		if of.OverCap {
			s.Findings = append(s.Findings, store.RuleOverCap+" "+g.CN)
		} else {
			for _, u := range effective {
				of.Effective = append(of.Effective, c.users[u].UID)
			}
			of.Effective = sorted(of.Effective)
		}
		s.Groups[g.CN] = of
	}
	s.Findings = sorted(s.Findings)
	return s
}
