package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

func newFinding(e *env, directory store.Key, record string) store.Finding {
	return store.Finding{
		FindingKey: store.FindingKey{Directory: directory, Rule: store.RuleDuplicate, Kind: store.KindUser, Record: record},
		ID:         store.NewID(e.now), Org: e.org, Sentence: record + " is a duplicate", Name: "Ann", DN: "uid=ann", OpenedAt: e.now, SeenAt: e.now,
	}
}

func (e *env) open(list ...store.Finding) {
	e.Helper()
	e.update(func(t store.Tx) error { return t.Open(e.Context(), list) })
}

func (e *env) findings(q store.FindingQuery) []store.Finding {
	e.Helper()
	q.Org = e.org
	return got(e, func(r store.Reader) ([]store.Finding, error) { return r.Findings(e.Context(), q) })
}

func records(list []store.Finding) []string {
	var out []string
	for _, f := range list {
		out = append(out, f.Record)
	}
	return out
}

var findings = map[string]func(*env){
	"a finding is read back as it was opened, with its run": func(e *env) {
		d := e.directory("ldap", store.DirectoryLDAP)
		r := e.run(d)
		f := newFinding(e, d.Key, "u1")
		f.Run = r.Key
		e.open(f)
		have := e.findings(store.FindingQuery{})
		f.RunID = r.ID
		if len(have) == 1 {
			f.Key = have[0].Key
		}
		if diff := cmp.Diff([]store.Finding{f}, have); diff != "" {
			e.Errorf("findings (-want +got):\n%s", diff)
		}
	},
	"rule 11: an open finding that is seen again stays one, keeps its opening and tells what is new": func(e *env) {
		d := e.directory("ldap", store.DirectoryLDAP)
		f := newFinding(e, d.Key, "u1")
		e.open(f)
		before := e.findings(store.FindingQuery{})[0]

		again := newFinding(e, d.Key, "u1")
		again.OpenedAt, again.SeenAt = e.now.Add(time.Hour), e.now.Add(time.Hour)
		e.open(again)
		if diff := cmp.Diff([]store.Finding{before}, e.findings(store.FindingQuery{})); diff != "" {
			e.Errorf("an equal finding was written (-want +got):\n%s", diff)
		}

		run := e.run(d)
		again.Run = run.Key
		e.open(again)
		want := before
		want.Run, want.RunID, want.SeenAt = run.Key, run.ID, again.SeenAt
		if diff := cmp.Diff([]store.Finding{want}, e.findings(store.FindingQuery{})); diff != "" {
			e.Errorf("seen by a run (-want +got):\n%s", diff)
		}

		again.Sentence, again.SeenAt = "now of another", e.now.Add(2*time.Hour)
		e.open(again)
		want.Sentence, want.SeenAt = again.Sentence, again.SeenAt
		if diff := cmp.Diff([]store.Finding{want}, e.findings(store.FindingQuery{})); diff != "" {
			e.Errorf("with another sentence (-want +got):\n%s", diff)
		}
	},
	"equal findings in one call are one": func(e *env) {
		d := e.directory("ldap", store.DirectoryLDAP)
		first, last := newFinding(e, d.Key, "u1"), newFinding(e, d.Key, "u1")
		last.Sentence = "the last one"
		e.open(first, last)
		if have := e.findings(store.FindingQuery{}); len(have) != 1 || have[0].Sentence != "the last one" {
			e.Errorf("findings %v, want the last one only", have)
		}
	},
	"rule 11: a run resolves what it has not seen of its rules, and nothing else": func(e *env) {
		d, other := e.directory("ldap", store.DirectoryLDAP), e.directory("other", store.DirectoryLDAP)
		run := e.run(d)
		seen := newFinding(e, d.Key, "seen")
		seen.Run = run.Key
		rule := newFinding(e, d.Key, "other rule")
		rule.Rule = store.RuleGuard
		e.open(newFinding(e, d.Key, "unseen"), seen, rule, newFinding(e, other.Key, "other directory"))
		later := e.now.Add(time.Hour)
		e.update(func(t store.Tx) error {
			return t.ResolveFindings(e.Context(), d.Key, run.Key, []string{store.RuleDuplicate, store.RuleOverCap}, later)
		})
		for _, f := range e.findings(store.FindingQuery{}) {
			if want := f.Record == "unseen"; f.ResolvedAt.Equal(later) != want || f.ResolvedAt.IsZero() == want {
				e.Errorf("%q was resolved at %v", f.Record, f.ResolvedAt)
			}
		}
		e.open(newFinding(e, d.Key, "unseen"))
		if n := len(e.findings(store.FindingQuery{Directory: &d.Key})); n != 4 {
			e.Errorf("%d findings after one came back, want 4: the resolved one is history", n)
		}
	},
	"findings are listed by directory, run, openness and page": func(e *env) {
		d, other := e.directory("ldap", store.DirectoryLDAP), e.directory("other", store.DirectoryLDAP)
		run := e.run(d)
		b := newFinding(e, d.Key, "b")
		b.Run = run.Key
		e.open(newFinding(e, d.Key, "a"), b)
		e.open(newFinding(e, other.Key, "c"))
		e.update(func(t store.Tx) error {
			return t.ResolveFindings(e.Context(), other.Key, run.Key, []string{store.RuleDuplicate}, e.now)
		})
		first := e.findings(store.FindingQuery{Limit: 1})
		for name, tt := range map[string]struct {
			q    store.FindingQuery
			want []string
		}{
			"all":       {store.FindingQuery{}, []string{"a", "b", "c"}},
			"directory": {store.FindingQuery{Directory: &d.Key}, []string{"a", "b"}},
			"run":       {store.FindingQuery{Run: run.Key}, []string{"b"}},
			"open":      {store.FindingQuery{Open: true}, []string{"a", "b"}},
			"page":      {store.FindingQuery{After: first[0].Key, Limit: 1}, []string{"b"}},
		} {
			if diff := cmp.Diff(tt.want, records(e.findings(tt.q))); diff != "" {
				e.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	},
}
