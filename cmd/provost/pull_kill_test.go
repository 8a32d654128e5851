package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

// killed is a place in a run at which the program is killed.
type killed struct {
	name string
	// The transaction that would take the run past the place hangs: the one that
	// updates a row of the table in this way. "" is while the directory is read.
	table, when string
	// there reports whether the run is at the place.
	there func(seen) bool
}

// seen is what a look at a run shows.
type seen struct {
	store.Run
	stale     int // groups whose effective members are not published yet
	published int // events that say how effective membership has changed
}

func TestAProgramKilledAnywhereInARunEndsAsIfItHadNotBeen(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		w := newReorganized(t, dsn)
		for _, at := range []killed{
			{name: "while it reads", there: func(r seen) bool { return r.Phase == store.PhaseRead }},
			windowKill("when the stage is sealed, before the first window", 0),
			windowKill("between windows of users", w.firstGroup/2),
			windowKill("between windows of groups", (w.firstGroup+w.firstGone)/2),
			{
				name: "while it publishes", table: "groups",
				when:  "OLD.stale AND NOT NEW.stale AND NOT EXISTS (SELECT 1 FROM groups g WHERE g.stale AND g.id > NEW.id)",
				there: func(r seen) bool { return r.Phase == store.PhasePublish && r.stale > 0 && r.published > 0 },
			},
		} {
			t.Run(at.name, func(t *testing.T) {
				dsn := w.copy(t)
				lift := func() {}
				if at.table == "" {
					w.proxy.StallAfter(w.read / 2)
				} else {
					lift = hang(t, dsn, at.table, at.when)
				}
				first, db := w.start(t, dsn), openPeer(t, dsn, "")
				id := store.ID(decode[struct{ ID string }](t, first.must(t, "sync", "run", "corp", "--yes", "--json")).ID)
				look := func() seen {
					return seen{db.run(id), staleGroups(t, dsn), tallyEvents(db.events(w.since))[store.EventEffectiveChanged]}
				}
				place := func() bool { return at.there(look()) }
				await(t, "the run is "+at.name, place)
				first.kill(t)
				if !place() {
					t.Fatalf("when the program was killed the run was %+v", look())
				}
				if got := db.run(id); got.State != store.RunRunning || got.Owner == "" {
					t.Errorf("the killed run is %s, owned by %q; want it running and owned", got.State, got.Owner)
				}
				if at.table == "" {
					sameState(t, "after half a read", w.old, db.state())
				}
				lift()
				w.proxy.Pass()
				await(t, "the lease has run out", func() bool { return db.run(id).LeaseUntil.Before(time.Now()) })

				second := w.start(t, dsn)
				await(t, "the run is taken up and ends", func() bool { return db.run(id).State.Finished() })
				end := db.run(id)
				if end.State != store.RunSucceeded {
					t.Fatalf("the run is %s: %s", end.State, end.Error)
				}
				w.endsAsIfUndisturbed(t, &second.provostServer, db, id)
			})
		}
	})
}

// reorganized is a database with a company that was pulled, whose directory has changed
// since, and what the next run makes of that if nothing disturbs it.
type reorganized struct {
	*killWorld
	proxy *testenv.Proxy // before the directory
	old   directoryState
	since int64 // the last event before the run
	read  int64 // bytes that the run reads

	firstGroup, firstGone int // windows of the run

	done  pulledRun
	want  directoryState
	kinds map[string]int // its events
}

func newReorganized(t *testing.T, dsn string) *reorganized {
	t.Helper()
	truth := testenv.NewCompany(testenv.CompanyOptions{Users: 150, Groups: 40, Cap: 50})
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: truth.WriteLDIF})
	w := &reorganized{
		killWorld: &killWorld{dsn: dsn, key: filepath.Join(t.TempDir(), "secret.key")},
		proxy:     testenv.DropProxy(t, server.TLSURL),
	}
	p := startProvost(t, "--database", dsn, "--secret-key-file", w.key, "--cap", "50")
	w.token = p.token
	p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off", "--guard", "all=1000/100%", "--attribute", "active=!roomNumber"},
		pullFrom(t, server, "ldaps://"+w.proxy.Addr)...)...)
	p.mustPull(t)
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	before := openPeer(t, dsn, "")
	events := before.events(0)
	w.old, w.since = before.state(), events[len(events)-1].Cursor
	before.close()
	reorganize(t, truth, server.Admin(t))

	dsn = w.copy(t)
	undisturbed := w.start(t, dsn)
	w.read = w.proxy.FromServer()
	plan := decode[struct{ ID string }](t, undisturbed.must(t, "sync", "plan", "corp", "--json"))
	w.read = w.proxy.FromServer() - w.read
	w.firstGroup, w.firstGone = windowsOf(t, dsn)
	w.done = decode[pulledRun](t, undisturbed.must(t, "sync", "run", "corp", "--plan", plan.ID, "--wait", "--json"))
	db := openPeer(t, dsn, "")
	w.want, w.kinds = db.state(), tallyEvents(db.events(w.since))
	if len(w.want.Findings) < 3 || len(w.want.Users) == len(w.old.Users) || w.firstGroup < 3 || w.firstGone < w.firstGroup+3 {
		t.Fatalf("the run has too little to do: findings %v, groups from window %d, what is gone from %d", w.want.Findings, w.firstGroup, w.firstGone)
	}
	return w
}

// endsAsIfUndisturbed waits for the end of a run and compares it with the one that
// nothing has disturbed.
func (w *reorganized) endsAsIfUndisturbed(t *testing.T, p *provostServer, db *peer, id store.ID) {
	t.Helper()
	await(t, "the run ends", func() bool { return db.run(id).State.Finished() })
	if end := db.run(id); end.State != store.RunSucceeded {
		t.Fatalf("the run is %s: %s", end.State, end.Error)
	}
	shown := decode[pulledRun](t, p.must(t, "sync", "status", "corp", "--run", string(id), "--json"))
	same(t, "counts", w.done.Counts, shown.Counts)
	sameState(t, "after a disturbance", w.want, db.state())
	same(t, "events", w.kinds, tallyEvents(db.events(w.since)))
}

// windowKill is between the window with the number and the one before it.
func windowKill(name string, window int) killed {
	return killed{
		name: name, table: "run", when: fmt.Sprintf("OLD.next_window = %d AND NEW.next_window = %d", window, window+1),
		there: func(r seen) bool { return r.Phase == store.PhaseApply && r.NextWindow == window && r.published == 0 },
	}
}

// killWorld makes copies of one database and programs that serve them.
type killWorld struct {
	dsn, key, token string
	copies          int
}

// copy returns the DSN of a copy of the database, which nobody may have open.
func (w *killWorld) copy(t *testing.T) string {
	t.Helper()
	if path, ok := strings.CutPrefix(w.dsn, "sqlite:"); ok {
		to := filepath.Join(t.TempDir(), "copy.db")
		content, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(to, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return "sqlite:" + to
	}
	u, err := url.Parse(w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	from := strings.TrimPrefix(u.Path, "/")
	w.copies++
	name := fmt.Sprintf("%s_copy_%d", from, w.copies)
	u.Path = "/postgres"
	admin := openSQL(t, u.String())
	execute(t, admin, "CREATE DATABASE "+name+" TEMPLATE "+from)
	t.Cleanup(func() {
		_, err := admin.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
		if err != nil {
			t.Error(err)
		}
	})
	u.Path = "/" + name
	return u.String()
}

// process is the real program as a process of its own, which can be killed.
type process struct {
	provostServer
	cmd *exec.Cmd
}

// start serves a database with windows of few records and a short lease.
func (w *killWorld) start(t *testing.T, dsn string, flags ...string) *process {
	t.Helper()
	p := &process{provostServer: provostServer{token: w.token, dsn: dsn, stderr: newLines()}}
	p.cmd = exec.Command("provost", append([]string{"serve", "--listen", "127.0.0.1:0", "--database", dsn, "--secret-key-file", w.key,
		"--cap", "50", "--window-records", "5", "--lease", "1s"}, flags...)...)
	p.cmd.Stderr = p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill(t)
		if t.Failed() {
			t.Logf("provost wrote:\n%s", p.stderr)
		}
	})
	select {
	case p.url = <-p.stderr.listening:
	case <-time.After(bootTime):
		t.Fatalf("provost does not listen:\n%s", p.stderr)
	}
	return p
}

// kill is kill -9.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if p.cmd.ProcessState != nil {
		return
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = p.cmd.Wait() // it says that the process was killed
}

// hang makes every transaction that updates a row of the table in this way hang where
// it is, and returns what ends that.
func hang(t *testing.T, dsn, table, when string) (lift func()) {
	t.Helper()
	db := openSQL(t, dsn)
	if strings.HasPrefix(dsn, "sqlite:") {
		execute(t, db, "CREATE VIEW without_end AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n")
		execute(t, db, "CREATE TRIGGER hang BEFORE UPDATE ON "+table+" WHEN "+when+" BEGIN SELECT count(*) FROM without_end; END")
		return func() {
			execute(t, db, "DROP TRIGGER hang")
			execute(t, db, "DROP VIEW without_end")
		}
	}
	holder, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.ExecContext(t.Context(), "SELECT pg_advisory_lock(1)"); err != nil {
		t.Fatal(err)
	}
	execute(t, db, "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF "+when+
		" THEN PERFORM pg_advisory_xact_lock(1); END IF; RETURN NEW; END $$")
	execute(t, db, "CREATE TRIGGER hang BEFORE UPDATE ON "+table+" FOR EACH ROW EXECUTE FUNCTION hang()")
	return func() {
		// The server learns only when it is spoken to that its client has gone.
		execute(t, db, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
		execute(t, db, "DROP TRIGGER hang ON "+table)
		if err := holder.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func execute(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// windowsOf returns the first windows of the stage that hold groups, and what is gone.
func windowsOf(t *testing.T, dsn string) (groups, gone int) {
	t.Helper()
	err := openSQL(t, dsn).QueryRowContext(t.Context(), fmt.Sprintf(
		"SELECT (SELECT min(window_no) FROM stage_window WHERE phase = %d), (SELECT min(window_no) FROM stage_window WHERE phase = %d)",
		store.StageGroups, store.StageGone)).Scan(&groups, &gone)
	if err != nil {
		t.Fatal(err)
	}
	return groups, gone
}

// staleGroups counts the groups whose effective members are not published yet.
func staleGroups(t *testing.T, dsn string) (n int) {
	t.Helper()
	db := openSQL(t, dsn)
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM groups WHERE stale").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

// run reads a run's row.
func (p *peer) run(id store.ID) (run store.Run) {
	p.t.Helper()
	p.view(func(ctx context.Context, r store.Reader) error {
		found, err := r.Run(ctx, p.org, id)
		if err == nil {
			run = *found
		}
		return err
	})
	return run
}

// await waits for a condition of another process, which has to start and to wait for
// leases.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// tallyEvents counts events about records by type.
func tallyEvents(events []store.Event) map[string]int {
	kinds := map[string]int{}
	for _, e := range events {
		if strings.HasPrefix(e.Type, "user.") || strings.HasPrefix(e.Type, "group.") {
			kinds[e.Type]++
		}
	}
	return kinds
}

// reorganize gives a run something to do in every way: users and groups come, change
// and go, a group goes over the cap and one comes to fit it, and a name is stated
// twice.
func reorganize(t *testing.T, c *testenv.CompanyTruth, admin *ldap.Conn) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	modify := func(dn, change, attribute string, values ...string) {
		t.Helper()
		m := ldap.NewModifyRequest(dn, nil)
		switch change {
		case "add":
			m.Add(attribute, values)
		case "replace":
			m.Replace(attribute, values)
		case "delete":
			m.Delete(attribute, values)
		}
		must(admin.Modify(m))
	}
	add := func(dn string, attributes map[string][]string) {
		t.Helper()
		r := ldap.NewAddRequest(dn, nil)
		for name, values := range attributes {
			r.Attribute(name, values)
		}
		must(admin.Add(r))
	}
	for i := 60; i < 90; i++ {
		modify(c.User(i).DN, "replace", "title", "Senior "+c.User(i).Title)
	}
	modify(c.User(97).DN, "replace", "uid", c.User(98).UID)
	modify(c.User(91).DN, "replace", "roomNumber", "TRUE")
	modify(c.User(92).DN, "replace", "manager", c.User(93).DN)
	for i := 100; i < 104; i++ {
		must(admin.Del(ldap.NewDelRequest(c.User(i).DN, nil)))
	}
	var joiners []string
	for i := 150; i < 160; i++ {
		u := c.User(i)
		joiners = append(joiners, u.DN)
		add(u.DN, map[string][]string{"objectClass": {"inetOrgPerson"}, "uid": {u.UID}, "cn": {u.CN}, "sn": {u.Surname}, "mail": {u.Mail}})
	}
	group := func(name string) *testenv.CompanyGroup { return &c.Groups[c.Group(name)] }
	modify(group(testenv.GroupAtCap).DN, "add", "member", joiners...)
	var leavers []string
	for _, u := range group(testenv.GroupOverCap).Users {
		if u < 50 {
			leavers = append(leavers, c.User(u).DN)
		}
	}
	modify(group(testenv.GroupOverCap).DN, "delete", "member", leavers...)
	modify(group(testenv.GroupChainEnd).DN, "add", "member", group(testenv.GroupOverByNestingA).DN)
	for i := len(c.Groups) - 20; i < len(c.Groups); i++ {
		modify(c.Groups[i].DN, "add", "member", joiners[i%len(joiners)])
	}
	must(admin.Del(ldap.NewDelRequest(group(testenv.GroupCycleA).DN, nil)))
	add("cn=new,ou=groups,"+testenv.Suffix, map[string][]string{"objectClass": {"groupOfNames"}, "cn": {"new"}, "member": {joiners[0], group(testenv.GroupChain).DN}})
}
