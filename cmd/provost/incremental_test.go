package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

func TestARandomHistoryFollowedIncrementallyEndsAsAFullPull(t *testing.T) {
	t.Parallel()
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 60, Groups: 14, Cap: 25})
	for name, bases := range map[string][]string{
		"below the naming context":    {testenv.Suffix},
		"below two units of it":       {"ou=people," + testenv.Suffix, "ou=groups," + testenv.Suffix},
		"with restarts of the server": {testenv.Suffix},
	} {
		t.Run(name, func(t *testing.T) {
			onBothDatabases(t, func(t *testing.T, dsn string) {
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				server := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF})
				h := openLDAPHistory(t, server, seed)
				create := append(pullFrom(t, server, server.TLSURL), "--domain-policy", "off", "--incremental", "--guard", "all=10000/100%",
					"--user-filter", "(&(objectClass=inetOrgPerson)(!(employeeType=left)))")
				followed := followHistory{history: h, create: basedOn(create, server.Suffix, bases)}
				if strings.Contains(name, "restarts") {
					followed.before = func() {
						_ = h.admin.Close()
						server.Restart()
						h.admin = server.Admin(t)
					}
				}
				followed.run(t, dsn)
			})
		})
	}
}

// basedOn gives the base DNs to the flags of a directory, which have one.
func basedOn(flags []string, base string, bases []string) []string {
	flags[slices.Index(flags, base)] = bases[0]
	for _, more := range bases[1:] {
		flags = append(flags, "--base-dn", more)
	}
	return flags
}

// followHistory follows a history with one directory incrementally, with another by
// full runs, and with a new one each round.
type followHistory struct {
	*history
	create []string // flags of `directory create`
	before func()   // if not nil, is called before each round is read
}

func (h *followHistory) run(t *testing.T, dsn string) {
	p := startProvost(t, "--database", dsn, "--log-level", "warn")
	p.must(t, append([]string{"directory", "create", "corp"}, h.create...)...)
	p.must(t, "org", "create", "full")
	p.must(t, append([]string{"directory", "create", "corp", "--organization", "full"}, h.create...)...)
	p.mustPull(t, "--organization", "full")
	if first := p.mustPull(t); first.Incremental || first.FullBecause != "no run has succeeded before" {
		t.Errorf("the first run: incremental is %v, full because %q", first.Incremental, first.FullBecause)
	}
	followed, full := openPeer(t, dsn, ""), openPeer(t, dsn, "full")
	follows := false // whether the last run was incremental
	for round := range 6 {
		h.happen(15)
		if h.before != nil {
			h.before()
		}
		run := h.pull(t, p)
		follows = run.Incremental
		if !run.Incremental && !strings.Contains(run.FullBecause, "was moved, with what lies below it") {
			t.Errorf("round %d: everything was read because %s", round, run.FullBecause)
		}
		if run := h.pull(t, p, "--full", "--organization", "full"); run.Incremental || run.FullBecause != "it was asked for" {
			t.Errorf("asked for a full run: incremental is %v, full because %q", run.Incremental, run.FullBecause)
		}
		sameState(t, fmt.Sprintf("round %d, beside full runs", round), full.state(), followed.state())
		org := fmt.Sprintf("fresh-%d", round)
		p.must(t, "org", "create", org)
		p.must(t, append([]string{"directory", "create", "corp", "--organization", org}, h.create...)...)
		p.mustPull(t, "--organization", org)
		sameState(t, fmt.Sprintf("round %d, beside a first run", round), openPeer(t, dsn, org).state(), followed.inScope())
		if t.Failed() {
			t.Fatalf("what happened:\n%s", strings.Join(h.log, "\n"))
		}
	}
	h.happen(10)
	if h.before != nil {
		h.before()
	}
	last := h.pull(t, p, "--full")
	switch d := last.Drift; {
	case !follows && d == nil:
	case follows && d != nil && strings.Contains(d.Unknown, "was moved, with what lies below it"):
	case !follows || d == nil || d.Users+d.Groups > 0 || d.Unknown != "":
		t.Errorf("the run before was incremental: %v; all was followed, and a full run tells of drift %+v\n%s", follows, d, strings.Join(h.log, "\n"))
	}
	quiet := p.mustPull(t)
	for _, kind := range []string{"users", "groups"} {
		if tally := quiet.tally(kind); tally["created"]+tally["modified"]+tally["deleted"]+tally["out_of_scope"] > 0 {
			t.Errorf("nothing happened, and the run has %v %s", tally, kind)
		}
	}
}

// pull is mustPull by a person who knows that units are renamed here, and approves the run
// that is held because nobody is seen any more in one.
func (h *followHistory) pull(t *testing.T, p *provostServer, flags ...string) pulledRun {
	t.Helper()
	run, code := p.pull(t, flags...)
	if code != exitHeld {
		if run.State != "succeeded" {
			t.Fatalf("the run is %s with exit code %d: %s", run.State, code, run.Error)
		}
		return run
	}
	if !slices.ContainsFunc(run.Findings, func(f openapi.Finding) bool { return f.Rule == store.RuleHidden }) {
		t.Fatalf("the run is held: %+v", run.Findings)
	}
	if i := slices.Index(flags, "--full"); i >= 0 {
		flags = slices.Delete(slices.Clone(flags), i, i+1)
	}
	return decode[pulledRun](t, p.must(t, append([]string{"sync", "approve", run.ID, "--wait", "--json"}, flags...)...))
}

// inScope is the state without what has left the scope, which a first run never saw.
func (p *peer) inScope() directoryState {
	p.t.Helper()
	s := p.state()
	users, groups := p.records()
	away := map[string]bool{}
	for i := range users {
		if users[i].OutOfScope {
			delete(s.Users, users[i].Attributes.UserName)
			away[users[i].Attributes.UserName] = true
		}
	}
	for i := range groups {
		if groups[i].OutOfScope {
			delete(s.Groups, groups[i].DisplayName)
			away["group "+groups[i].DisplayName] = true
		}
	}
	for name, g := range s.Groups {
		if g.Members = slices.DeleteFunc(g.Members, func(member string) bool { return away[member] }); len(g.Members) == 0 {
			g.Members = nil // as of a group that never had any
		}
		s.Groups[name] = g
	}
	return s
}
