package admin_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

func TestTokensAreShownOnceAndEndAtOnce(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name, path, list, by string
		body                 any
		works                string // a path that the token may read
	}{
		{"of a directory", "/directories/entra/tokens", "/directories/entra/tokens", w.admin, map[string]string{}, ""},
		{"of an administrator", "/tokens", "/tokens", w.owner, map[string]string{"name": "ci", "role": "auditor"}, "/users"},
		{"of the instance", "/tokens", "/tokens?instance=true", w.instance, map[string]any{"name": "root", "role": "owner", "instance": true}, "/users"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			made := ask[openapi.NewToken](w, tt.by, "POST", tt.path, tt.body, 201)
			if !strings.HasPrefix(made.Secret, made.Token.Prefix) || made.Token.RevokedAt != nil {
				t.Errorf("it is %+v", made)
			}
			a := w.call(tt.by, "GET", tt.list, nil)
			if strings.Contains(string(a.body), made.Secret) || !strings.Contains(string(a.body), made.Token.ID) {
				t.Errorf("the list is %s", a.body)
			}
			works := func() bool { return w.call(made.Secret, "GET", "/users", nil).status == 200 }
			if tt.works != "" && !works() {
				t.Error("it does not work")
			}
			path, query, _ := strings.Cut(tt.list, "?")
			for range 2 { // revoking again changes nothing
				if a := w.call(tt.by, "DELETE", path+"/"+made.Token.ID+"?"+query, nil); a.status != 204 {
					t.Errorf("revoking answers %d %s", a.status, a.body)
				}
			}
			if works() {
				t.Error("it works after it was revoked")
			}
			if e := w.lastEvent("token.revoked"); e.ResourceID != made.Token.ID {
				t.Errorf("the last revocation is of %s", e.ResourceID)
			}
		})
	}
	w.refused(w.owner, "POST", "/tokens", map[string]any{"name": "x", "role": "owner", "instance": true}, 403, store.CodeForbidden, "instance")
	w.refused(w.owner, "POST", "/tokens", map[string]any{"name": "x", "role": "directory"}, 400, store.CodeInvalid, "role")
	w.refused(w.owner, "POST", "/tokens", map[string]any{"name": "x", "role": "owner", "expires_at": "2020-01-01T00:00:00Z"}, 400, store.CodeInvalid, "expires_at")
	w.refused(w.owner, "DELETE", "/tokens/nothing", nil, 404, store.CodeNotFound, "")
	ask[openapi.Directory](w, w.admin, "POST", "/directories", corp(), 201)
	w.refused(w.admin, "POST", "/directories/corp/tokens", map[string]string{}, 409, store.CodeConflict, "")
}

func TestTheTokenOfADirectoryIsRevokedByItsIDAlone(t *testing.T) {
	w := newWorld(t)
	made := ask[openapi.NewToken](w, w.admin, "POST", "/directories/entra/tokens", map[string]string{}, 201)
	path := "/tokens/" + made.Token.ID
	w.refused(w.stranger, "DELETE", path, nil, 404, store.CodeNotFound, "") // it owns another organization
	if a := w.call(w.owner, "DELETE", path, nil); a.status != 204 {
		t.Fatalf("revoking answers %d %s", a.status, a.body)
	}
	list := ask[openapi.TokenList](w, w.admin, "GET", "/directories/entra/tokens", nil, 200)
	for _, token := range list.Items {
		if (token.ID == made.Token.ID) != (token.RevokedAt != nil) {
			t.Errorf("token %s is revoked at %v", token.ID, token.RevokedAt)
		}
	}
}

func TestADomainIsClaimedVouchedForAndGivenUp(t *testing.T) {
	w := newWorld(t)
	d := ask[openapi.Domain](w, w.admin, "POST", "/domains", map[string]string{"name": "Example.COM."}, 201)
	if d.Name != "example.com" || d.State != "pending" || d.RecordName != "_provost-challenge.example.com" ||
		!strings.HasPrefix(d.RecordValue, "provost-verification=") || len(d.RecordValue) < 40 {
		t.Errorf("claimed it is %+v", d)
	}
	w.refused(w.admin, "POST", "/domains", map[string]string{"name": "EXAMPLE.com"}, 409, store.CodeUniqueness, "name")
	if got := ask[openapi.Domain](w, w.admin, "POST", "/domains/example.com./verify", nil, 200); got.State != "pending" {
		t.Errorf("checked it is %+v", got)
	}
	w.refused(w.admin, "POST", "/domains/example.com/vouch", nil, 403, store.CodeForbidden, "")
	if got := ask[openapi.Domain](w, w.owner, "POST", "/domains/EXAMPLE.com/vouch", nil, 200); got.State != "verified" || !got.Vouched || got.VerifiedAt == nil {
		t.Errorf("vouched for it is %+v", got)
	}
	if e := w.lastEvent("domain.verified"); e.Cause.Actor.Name != "owner" || !strings.Contains(string(e.Data), `"vouched":true`) {
		t.Errorf("the event is %+v %s", e.Cause, e.Data)
	}
	// A domain is verified by one organization only; claiming it is free.
	ask[openapi.Domain](w, w.stranger, "POST", "/domains", map[string]string{"name": "example.com"}, 201)
	w.refused(w.stranger, "POST", "/domains/example.com/vouch", nil, 409, store.CodeUniqueness, "name")

	got := ask[openapi.Directory](w, w.admin, "PATCH", "/directories/entra", `{"settings":{"domain_policy":"selected","domains":["EXAMPLE.com"]}}`, 200)
	if diff := cmp.Diff(&[]string{"example.com"}, got.Settings.Domains); diff != "" {
		t.Errorf("selected (-want +got):\n%s", diff)
	}
	if a := w.call(w.admin, "DELETE", "/domains/example.com", nil); a.status != 204 {
		t.Errorf("giving it up answers %d %s", a.status, a.body)
	}
	w.refused(w.admin, "GET", "/domains/example.com", nil, 404, store.CodeNotFound, "")
	ask[openapi.Domain](w, w.stranger, "POST", "/domains/example.com/vouch", nil, 200)
}

func TestWhatIsNoDomainIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"localhost", "a b.com", "-a.com", "a-.com", "a..com", ".com", "10.0.0.1", "x@y.com", "http://a.com", strings.Repeat("a", 64) + ".com", "*.com", "a_b.com"} {
		t.Run(name, func(t *testing.T) {
			w.in(t).refused(w.admin, "POST", "/domains", map[string]string{"name": name}, 400, store.CodeInvalid, "name")
		})
	}
	for _, name := range []string{"bücher.example", "a.b.c.example", "123.example"} {
		ask[openapi.Domain](w, w.admin, "POST", "/domains", map[string]string{"name": name}, 201)
	}
}

// held stores a run whose stage has four rows, each a window, and a finding of the
// guard. Of its users only bob has an address in the domain that is verified, and
// eve, who is gone, is a user of the directory.
func (w *world) held(directory string, state store.RunState) *store.Run {
	w.t.Helper()
	ctx, now := w.t.Context(), time.Now().UTC().Truncate(time.Microsecond)
	var run *store.Run
	w.update(func(tx store.Tx) error {
		d, err := tx.Directory(ctx, w.org, directory)
		if err != nil {
			return err
		}
		run = &store.Run{
			ID: store.NewID(now), Org: w.org, Directory: d.Key, DirectoryName: d.Name, State: state, Phase: store.PhaseReady, Apply: true,
			Cause: store.Cause{Actor: store.Actor{Kind: "schedule"}}, CreatedAt: now, StartedAt: now,
			Plan:   json.RawMessage(`{"groups":["staff"]}`),
			Counts: store.RunCounts{Users: store.Counts{Created: 1, Unchanged: 41}},
			Phases: []store.PhaseTime{{Phase: store.PhaseRead, Start: now, Seconds: 1.5}},
		}
		if err := tx.CreateRun(ctx, run); err != nil {
			return err
		}
		yes := true
		ada, err := json.Marshal(store.StagedUser{Active: &yes, Attributes: store.Attributes{UserName: "ada@elsewhere.example"}})
		if err != nil {
			return err
		}
		bob, err := json.Marshal(store.StagedUser{Active: &yes, Attributes: store.Attributes{UserName: "bob@home.example"}})
		if err != nil {
			return err
		}
		group, err := json.Marshal(store.StagedGroup{DisplayName: "staff", Members: []string{"1", "2"}})
		if err != nil {
			return err
		}
		err = tx.AppendStage(ctx, run.Key, []store.Staged{
			{Phase: store.StageUsers, Kind: store.KindUser, ExternalID: "1", Body: ada, Keys: []string{"ada@elsewhere.example"}, Weight: 1, DN: "uid=ada"},
			{Phase: store.StageUsers, Kind: store.KindUser, ExternalID: "2", Body: bob, Keys: []string{"bob@home.example"}, Weight: 1, DN: "uid=bob"},
			{Phase: store.StageGroups, Kind: store.KindGroup, ExternalID: "9", Body: group, Keys: []string{"staff"}, Weight: 2, DN: "cn=staff"},
			{Phase: store.StageGone, Kind: store.KindUser, ExternalID: "ext-eve", Presence: store.Gone, Weight: 1, Known: true},
		})
		if err != nil {
			return err
		}
		if run.Windows, run.StageHash, err = tx.SealStage(ctx, run.Key, 1, 100); err != nil {
			return err
		}
		if err := tx.SaveRun(ctx, run); err != nil {
			return err
		}
		err = tx.NotePlan(ctx, run.Key, []store.PlanRecord{
			{Kind: store.KindUser, ExternalID: "2", Name: "bob@home.example", Arrives: true}, {Kind: store.KindGroup, ExternalID: "9", Name: "staff", Arrives: true},
		})
		if err != nil {
			return err
		}
		return tx.Open(ctx, []store.Finding{
			{FindingKey: store.FindingKey{Directory: d.Key, Rule: store.RuleGuard}, Org: w.org, Run: run.Key, Sentence: "users deleted: 50 of 100", OpenedAt: now, SeenAt: now},
			{FindingKey: store.FindingKey{Directory: d.Key, Rule: store.RuleDuplicate, Kind: store.KindUser, Record: "1"}, Org: w.org, Run: run.Key,
				Sentence: "ada is a duplicate", Name: "ada", DN: "uid=ada", OpenedAt: now, SeenAt: now},
		})
	})
	return run
}

// staged makes the directory corp, which has the user eve, the verified domain
// home.example, and a run of it.
func (w *world) staged(state store.RunState) *store.Run {
	w.t.Helper()
	ask[openapi.Directory](w, w.admin, "POST", "/directories", corp(), 201)
	ask[openapi.Domain](w, w.admin, "POST", "/domains", map[string]string{"name": "home.example"}, 201)
	ask[openapi.Domain](w, w.owner, "POST", "/domains/home.example/vouch", nil, 200)
	eve := person("eve")
	eve.Attributes.Emails[0].Value = "eve@home.example"
	w.push("corp", []store.UserStatement{eve}, nil)
	return w.held("corp", state)
}

// items reads all pages of what a run would do.
func (w *world) items(path, query string) []string {
	w.t.Helper()
	var items []string
	for cursor := ""; ; {
		list := ask[openapi.RunItemList](w, w.auditor, "GET", path+"/items?"+query+"&cursor="+cursor, nil, 200)
		for _, i := range list.Items {
			text := strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", i.Outcome, i.Type, i.ExternalID, i.Name, i.DN))
			if i.Reason != "" {
				text += ": " + i.Reason
			}
			items = append(items, text)
		}
		if cursor = list.NextCursor; cursor == "" {
			return items
		}
	}
}

func TestOnlyWhatWaitsForAPersonTellsWhatItWouldDo(t *testing.T) {
	w := newWorld(t)
	run := w.staged(store.RunPlanned)
	path := "/runs/" + string(run.ID) + "/items"
	for _, tt := range []struct {
		name  string
		state store.RunState
		phase store.RunPhase
		hint  string
	}{
		{"a plan that is being made", store.RunPlanned, store.PhaseRead, "wait until the plan is in phase ready"},
		{"a run that is being applied", store.RunRunning, store.PhaseApply, "the counts and findings of the run"},
		{"a run that is done", store.RunSucceeded, store.PhaseDone, "the counts and findings of the run"},
		{"a plan that was discarded", store.RunDiscarded, store.PhaseDone, "make a new plan of the directory corp"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			w.update(func(tx store.Tx) error {
				run.State, run.Phase = tt.state, tt.phase
				return tx.SaveRun(t.Context(), run)
			})
			p := w.refused(w.auditor, "GET", path, nil, 409, store.CodeConflict, "")
			if !strings.Contains(p.Detail, "only a plan that is ready") || !strings.Contains(p.Hint, tt.hint) || p.Resource != "run "+string(run.ID) {
				t.Errorf("the problem is %+v", p)
			}
		})
	}
}

func TestAHeldRunSaysWhyAndShowsWhatItWouldDo(t *testing.T) {
	w := newWorld(t)
	held := w.staged(store.RunHeld)
	path := "/runs/" + string(held.ID)
	run := ask[openapi.Run](w, w.auditor, "GET", path+"?findings=true", nil, 200)
	if run.State != "held" || run.HoldReason != "users deleted: 50 of 100" || run.Directory != "corp" ||
		run.Counts.Users != (openapi.Counts{Created: 1, Unchanged: 41}) || run.Findings == nil || len(*run.Findings) != 2 || !json.Valid(run.Plan) {
		t.Errorf("the run is %+v", run)
	}
	if bare := ask[openapi.Run](w, w.auditor, "GET", path, nil, 200); bare.Findings != nil || bare.HoldReason == "" {
		t.Errorf("without its findings it is %+v", bare)
	}
	wanted := []string{
		"refused User 1 ada@elsewhere.example uid=ada: the domain elsewhere.example of ada@elsewhere.example is not a verified domain of the organization; add and verify it",
		"created User 2 bob@home.example uid=bob", "created Group 9 staff cn=staff", "deleted User ext-eve eve",
	}
	for name, tt := range map[string]struct {
		query string
		want  []string
	}{
		"all of them":                {"", wanted},
		"one by one":                 {"limit=1", wanted},
		"those of one kind":          {"type=User&limit=2", []string{wanted[0], wanted[1], wanted[3]}},
		"those of one outcome":       {"outcome=created&limit=1", wanted[1:3]},
		"those of kind and outcome":  {"type=Group&outcome=created", wanted[2:3]},
		"none of an outcome":         {"outcome=modified", nil},
		"one of them, which is last": {"outcome=deleted&limit=1", wanted[3:]},
	} {
		if diff := cmp.Diff(tt.want, w.items(path, tt.query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if list := ask[openapi.RunItemList](w, w.auditor, "GET", path+"/items", nil, 200); list.Items[3].ID == "" || list.Items[1].ID != "" || list.NextCursor != "" {
		t.Errorf("the one that exists has the id %q, one that does not has %q; next is %q", list.Items[3].ID, list.Items[1].ID, list.NextCursor)
	}
	group := ask[openapi.RunItemList](w, w.auditor, "GET", path+"/items?type=Group", nil, 200).Items[0]
	joins := openapi.RunMember{Change: openapi.RunMemberChangeAdded, Group: openapi.RecordName{Type: "Group", ExternalID: "9", Name: "staff"},
		Member: openapi.RecordName{Type: "User", ExternalID: "2", Name: "bob@home.example"}}
	for query, want := range map[string][]openapi.RunMember{"": {joins}, "item=" + group.Item: {joins}, "item=0.0": {}} {
		list := ask[openapi.RunMemberList](w, w.auditor, "GET", path+"/members?"+query, nil, 200)
		if diff := cmp.Diff(openapi.RunMemberList{Items: want}, list); diff != "" {
			t.Errorf("members with %q (-want +got):\n%s", query, diff)
		}
	}
	if group.MembersAdded != 1 || group.MembersRemoved != 0 {
		t.Errorf("the group is %+v", group)
	}
	for _, item := range []string{"99.0", "0.x", "staff"} {
		w.refused(w.auditor, "GET", path+"/members?item="+item, nil, 400, store.CodeInvalid, "item")
	}
	w.refused(w.auditor, "GET", path+"/members?cursor=cjE", nil, 400, store.CodeInvalid, "cursor")
	w.refused(w.stranger, "GET", path+"/members", nil, 404, store.CodeNotFound, "")
	for name, cursor := range map[string]string{"another list": "cjE", "no list": "x", "before the first": "aS0xLjA", "no index": "aTE"} {
		t.Run("a cursor of "+name, func(t *testing.T) {
			w.in(t).refused(w.auditor, "GET", path+"/items?cursor="+cursor, nil, 400, store.CodeInvalid, "cursor")
		})
	}
	w.refused(w.auditor, "GET", path+"/items?outcome=gone", nil, 400, store.CodeInvalid, "outcome")
	w.refused(w.stranger, "GET", path+"/items", nil, 404, store.CodeNotFound, "")
	for _, list := range []string{path + "/findings", "/directories/corp/findings"} {
		first := ask[openapi.FindingList](w, w.auditor, "GET", list+"?limit=1", nil, 200)
		rest := ask[openapi.FindingList](w, w.auditor, "GET", list+"?limit=1&cursor="+first.NextCursor, nil, 200)
		if len(first.Items) != 1 || len(rest.Items) != 1 || rest.NextCursor != "" || first.Items[0].Directory != "corp" || rest.Items[0].Run != run.ID {
			t.Errorf("%s: %+v then %+v", list, first, rest)
		}
	}
	if got := ask[openapi.Run](w, w.admin, "POST", path+"/approve", nil, 202); got.State != "running" {
		t.Errorf("approved it is %s", got.State)
	}
	w.update(func(tx store.Tx) error {
		return tx.ResolveFindings(t.Context(), held.Directory, 0, []string{store.RuleGuard}, time.Now())
	})
	left := ask[openapi.FindingList](w, w.auditor, "GET", path+"/findings", nil, 200)
	run = ask[openapi.Run](w, w.auditor, "GET", path+"?findings=true", nil, 200)
	for name, findings := range map[string][]openapi.Finding{"list": left.Items, "run": *run.Findings} {
		if len(findings) != 1 || findings[0].Rule != store.RuleDuplicate {
			t.Errorf("once the guard's finding is resolved, those in the %s are %+v", name, findings)
		}
	}
	w.refused(w.admin, "POST", path+"/discard", nil, 409, store.CodeConflict, "")
	if list := ask[openapi.RunList](w, w.auditor, "GET", "/directories/corp/runs", nil, 200); len(list.Items) != 1 || list.Items[0].ID != run.ID {
		t.Errorf("the runs are %+v", list.Items)
	}
	w.refused(w.admin, "GET", "/runs/nothing", nil, 404, store.CodeNotFound, "")
}

func TestARunIsStartedWithAPlanOrWithout(t *testing.T) {
	w := newWorld(t)
	ask[openapi.Directory](w, w.admin, "POST", "/directories", corp(), 201)
	plan := ask[openapi.Run](w, w.admin, "POST", "/directories/corp/plans", nil, 202)
	if plan.Apply || plan.Cause == nil || plan.Cause.Actor.Name != "admin" {
		t.Errorf("the plan is %+v", plan)
	}
	if run := ask[openapi.Run](w, w.admin, "POST", "/directories/corp/runs", map[string]string{"plan": plan.ID}, 202); run.ID != plan.ID || run.State != "running" {
		t.Errorf("the run is %+v", run)
	}
	w.update(func(tx store.Tx) error {
		run, err := tx.Run(t.Context(), w.org, store.ID(plan.ID))
		if err != nil {
			return err
		}
		run.State, run.Phase, run.FinishedAt = store.RunSucceeded, store.PhaseDone, time.Now()
		return tx.SaveRun(t.Context(), run)
	})
	if run := ask[openapi.Run](w, w.admin, "POST", "/directories/corp/runs", nil, 202); run.ID == plan.ID || !run.Apply {
		t.Errorf("the run without a plan is %+v", run)
	}
}

func TestAReaderOfPagesMissesNothingAndSeesNothingTwice(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range 5 {
		want = append(want, ask[openapi.Group](w, w.admin, "POST", "/groups", map[string]string{"display_name": fmt.Sprint("g", i)}, 201).ID)
	}
	var got []string
	var after int64
	for {
		list := ask[openapi.EventList](w, w.auditor, "GET", fmt.Sprintf("/events?resource_type=Group&limit=2&after=%d", after), nil, 200)
		if len(list.Items) == 0 {
			if list.NextCursor != after {
				t.Errorf("at the end the cursor moves from %d to %d", after, list.NextCursor)
			}
			break
		}
		for _, e := range list.Items {
			got = append(got, e.ResourceID)
		}
		after = list.NextCursor
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
