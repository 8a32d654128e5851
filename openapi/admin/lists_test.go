package admin_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// unpaged are the answers with items that are no lists of stored records: events have
// a cursor of their own, and the others are the outcome of one question.
var unpaged = map[string]bool{"ListEvents": true, "SearchDirectory": true, "ClaimDirectoryDomains": true}

func TestEveryListHasPages(t *testing.T) {
	doc, err := openapi.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	lists := 0
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			answer := op.Responses.Value("200")
			if answer == nil || unpaged[op.OperationID] || answer.Value.Content["application/json"] == nil {
				continue
			}
			schema := answer.Value.Content["application/json"].Schema.Value
			if schema.Properties["items"] == nil {
				continue
			}
			lists++
			names := map[string]bool{}
			for _, p := range op.Parameters {
				names[p.Value.Name] = true
			}
			if !names["cursor"] || !names["limit"] || schema.Properties["next_cursor"] == nil {
				t.Errorf("%s %s has the parameters %v and no pages", method, path, names)
			}
		}
	}
	if lists < 15 {
		t.Errorf("only %d lists were looked at", lists)
	}
}

// collect reads a list to its end in pages of one and returns the raw items.
func (w *world) collect(token, path string, limit int) (items []string) {
	w.t.Helper()
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	for cursor := ""; ; {
		target := fmt.Sprintf("%s%slimit=%d", path, sep, limit)
		if cursor != "" {
			target += "&cursor=" + url.QueryEscape(cursor)
		}
		page := ask[struct {
			Items      []json.RawMessage `json:"items"`
			NextCursor string            `json:"next_cursor"`
		}](w, token, "GET", target, nil, 200)
		if len(page.Items) > limit {
			w.t.Fatalf("%s has %d items", target, len(page.Items))
		}
		for _, item := range page.Items {
			items = append(items, string(item))
		}
		if cursor = page.NextCursor; cursor == "" {
			return items
		}
	}
}

func TestPagesOfEveryListMeetEachRecordOnce(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		ask[openapi.Organization](w, w.instance, "POST", "/organizations", fmt.Sprintf(`{"name":"Org %d"}`, i), 201)
		name := fmt.Sprintf("corp%d", i)
		body := corp()
		body["name"] = name
		ask[openapi.Directory](w, w.owner, "POST", "/directories", body, 201)
		ask[openapi.Run](w, w.owner, "POST", "/directories/"+name+"/plans", nil, 202)
		ask[openapi.Handover](w, w.owner, "POST", "/directories/entra/handovers", `{"from":"`+name+`"}`, 201)
		ask[openapi.NewToken](w, w.owner, "POST", "/tokens", `{"name":"t","role":"auditor"}`, 201)
		ask[openapi.NewToken](w, w.owner, "POST", "/directories/entra/tokens", `{"name":"t"}`, 201)
		ask[openapi.OIDCBinding](w, w.owner, "POST", "/directories/entra/oidc-bindings", entra(name), 201)
		ask[openapi.Domain](w, w.owner, "POST", "/domains", `{"name":"`+name+`.example.com"}`, 201)
		ask[openapi.Entitlement](w, w.owner, "POST", "/entitlements", `{"kind":"role","name":"`+name+`"}`, 201)
		ask[openapi.NewWebhook](w, w.owner, "POST", "/webhooks", `{"name":"`+name+`","url":"https://app.test/"}`, 201)
		ask[openapi.User](w, w.owner, "POST", "/users", `{"user_name":"`+name+`"}`, 201)
		ask[openapi.Group](w, w.owner, "POST", "/groups", `{"display_name":"`+name+`"}`, 201)
	}
	for path, least := range map[string]int{
		"/organizations": 5, "/directories": 4, "/directories?kind=ldap": 3, "/directories/entra/handovers": 3, "/tokens": 6, "/tokens?role=auditor": 4,
		"/tokens?instance=true": 1, "/directories/entra/tokens": 4, "/directories/entra/oidc-bindings": 3, "/domains": 3, "/domains?state=pending": 3,
		"/entitlements": 3, "/webhooks": 3, "/users": 3, "/groups": 3, "/runs": 3, "/runs?state=planned": 3, "/directories/corp1/runs": 1,
	} {
		t.Run(path, func(t *testing.T) {
			w := w.in(t)
			whole, single := w.collect(w.instance, path, 1000), w.collect(w.instance, path, 1)
			if diff := cmp.Diff(whole, single); diff != "" || len(whole) < least {
				t.Errorf("%d items, want at least %d; in pages of one (-whole +single):\n%s", len(whole), least, diff)
			}
			if slices.Sort(single); len(slices.Compact(single)) != len(whole) {
				t.Error("an item comes twice")
			}
			w.refused(w.instance, "GET", path+map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")]+"cursor=eHl6", nil, 400, store.CodeInvalid, "cursor")
		})
	}
	if got := w.collect(w.owner, "/organizations", 1); len(got) != 1 {
		t.Errorf("an owner of one organization sees %d", len(got))
	}
}

func TestListsAreNarrowedByTheirFields(t *testing.T) {
	w := newWorld(t)
	w.push("entra", []store.UserStatement{person("ada")}, nil)
	old := ask[openapi.User](w, w.owner, "POST", "/users", `{"user_name":"ann@Corp.example","title":"x","user_type":"Guest","display_name":"Ann A",
		"enterprise":{"department":"Sales","employee_number":"7"}}`, 201)
	ask[openapi.User](w, w.owner, "POST", "/users", `{"user_name":"bob","emails":[{"value":"bob@corp.example"}],"enabled":false}`, 201)
	ask[openapi.Group](w, w.owner, "POST", "/groups", `{"display_name":"staff"}`, 201)
	after := url.QueryEscape(old.ModifiedAt.Add(time.Microsecond).Format(time.RFC3339Nano))
	for _, tt := range []struct {
		path string
		want string // names
	}{
		{"/users?domain=CORP.example", "ann@Corp.example bob"},
		{"/users?domain=corp.example&enabled=true", "ann@Corp.example"},
		{"/users?domain=example.com", "ada"},
		{"/users?domain=example.com&directory=internal", ""},
		{"/users?display_name=ann%20a", "ann@Corp.example"},
		{"/users?user_type=guest", "ann@Corp.example"},
		{"/users?department=sales&employee_number=7", "ann@Corp.example"},
		{"/users?department=sales&employee_number=8", ""},
		{"/users?enabled=false", "bob"},
		{"/users?out_of_scope=true", ""},
		{"/users?out_of_scope=false&directory=entra", "ada"},
		{"/users?modified_since=" + after, "bob"},
		{"/users?modified_since=2999-01-01T00:00:00Z", ""},
		{"/groups?over_cap=false", "staff"},
		{"/groups?over_cap=true", ""},
		{"/groups?out_of_scope=false&modified_since=2020-01-01T00:00:00Z", "staff"},
		{"/groups?modified_since=2999-01-01T00:00:00Z", ""},
	} {
		t.Run(tt.path, func(t *testing.T) {
			var names []string
			for _, item := range w.in(t).collect(w.owner, tt.path, 1) {
				var v struct {
					UserName    string `json:"user_name"`
					DisplayName string `json:"display_name"`
					Type        string `json:"type"`
				}
				if err := json.Unmarshal([]byte(item), &v); err != nil {
					t.Fatal(err)
				}
				names = append(names, map[string]string{"User": v.UserName, "Group": v.DisplayName}[v.Type])
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
	w.refused(w.owner, "GET", "/users?domain=no%20domain", nil, 400, store.CodeInvalid, "domain")
	w.refused(w.owner, "GET", "/users?modified_since=yesterday", nil, 400, store.CodeInvalid, "modified_since")
}

func TestFindingsAndRunsOfAllDirectoriesAreNarrowed(t *testing.T) {
	w := newWorld(t)
	var entra *store.Directory
	w.view(func(r store.Reader) (err error) {
		entra, err = r.Directory(t.Context(), w.org, "entra")
		return err
	})
	pulled := ask[openapi.Directory](w, w.owner, "POST", "/directories", corp(), 201)
	run := ask[openapi.Run](w, w.owner, "POST", "/directories/"+pulled.ID+"/plans", nil, 202)
	w.update(func(tx store.Tx) error {
		return tx.Open(t.Context(), []store.Finding{
			{FindingKey: store.FindingKey{Directory: entra.Key, Rule: store.RuleDuplicate, Kind: store.KindUser, Record: "u1"}, Org: w.org, Sentence: "a"},
			{FindingKey: store.FindingKey{Directory: entra.Key, Rule: store.RuleOverCap, Kind: store.KindGroup, Record: "g1"}, Org: w.org, Sentence: "b"},
			{FindingKey: store.FindingKey{Rule: store.RuleDomainLost, Record: "example.com"}, Org: w.org, Sentence: "c"},
		})
	})
	w.update(func(tx store.Tx) error {
		return tx.ResolveFindings(t.Context(), entra.Key, 0, []string{store.RuleOverCap}, time.Now())
	})
	for path, want := range map[string]int{
		"/findings": 2, "/findings?state=all": 3, "/findings?state=resolved": 1, "/findings?directory=entra": 1, "/findings?rule=domain_lost": 1,
		"/findings?type=User": 1, "/findings?type=Group": 0, "/findings?type=Group&state=all": 1, "/findings?record=u1": 1, "/findings?record=u2": 0,
		"/directories/entra/findings?state=all": 2, "/directories/entra/findings?rule=duplicate": 1, "/runs/" + run.ID + "/findings?state=all": 0,
		"/runs": 1, "/runs?state=held": 0, "/runs?created_before=2020-01-01T00:00:00Z": 0, "/runs?created_since=2020-01-01T00:00:00Z": 1,
		"/directories/" + pulled.ID + "/runs?state=planned&created_since=2020-01-01T00:00:00Z": 1,
	} {
		if n := len(w.collect(w.owner, path, 1)); n != want {
			t.Errorf("%s has %d items, want %d", path, n, want)
		}
	}
	w.refused(w.owner, "GET", "/findings?state=some", nil, 400, store.CodeInvalid, "state")
	if n := len(w.collect(w.stranger, "/findings?state=all", 1)) + len(w.collect(w.stranger, "/runs", 1)); n != 0 {
		t.Errorf("another organization sees %d", n)
	}
}

func TestDomainsThatADirectoryUsesAreClaimed(t *testing.T) {
	w := newWorld(t)
	noAddress := person("cy")
	noAddress.Attributes.Emails = nil
	odd := person("dan")
	odd.Attributes.Emails[0].Value = "dan@localhost"
	w.push("entra", []store.UserStatement{person("ada"), person("bob"), noAddress, odd}, nil)
	known := ask[openapi.Domain](w, w.owner, "POST", "/domains", `{"name":"known.example"}`, 201)
	other := person("eve")
	other.Attributes.Emails[0].Value = "eve@Known.example"
	w.push("entra", []store.UserStatement{other}, nil)
	list := ask[openapi.DomainUseList](w, w.admin, "POST", "/directories/entra/domains", nil, 201)
	got := map[string]string{}
	for _, use := range list.Items {
		got[use.Name] = fmt.Sprint(use.Users, " ", use.Claimed, " ", use.Domain != nil, " ", use.Reason != "")
		if use.Name == "known.example" && use.Domain.RecordValue != known.RecordValue {
			t.Error("the challenge of a claimed domain has changed")
		}
	}
	want := map[string]string{"example.com": "2 true true false", "known.example": "1 false true false", "localhost": "1 false false true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("users, claimed, domain, reason (-want +got):\n%s", diff)
	}
	if d := ask[openapi.Domain](w, w.owner, "GET", "/domains/example.com", nil, 200); d.State != openapi.DomainStatePending || d.RecordValue == "" {
		t.Errorf("the domain is %+v", d)
	}
	if e := w.lastEvent(store.EventDomainAdded); e.Cause.Actor.Name != "admin" {
		t.Errorf("the event names %+v", e.Cause)
	}
	again := ask[openapi.DomainUseList](w, w.admin, "POST", "/directories/entra/domains", nil, 201)
	for _, use := range again.Items {
		if use.Claimed {
			t.Errorf("%s is claimed again", use.Name)
		}
	}
}

func TestADirectorySaysWhenItsScheduleStartsTheNextRun(t *testing.T) {
	w := newWorld(t)
	d := ask[openapi.Directory](w, w.owner, "POST", "/directories", corp(), 201)
	if got := ask[openapi.Directory](w, w.owner, "GET", "/directories/"+d.ID, nil, 200); got.NextRunAt != nil {
		t.Errorf("before the first run it is %s", got.NextRunAt)
	}
	run := ask[openapi.Run](w, w.owner, "POST", "/directories/"+d.ID+"/runs", nil, 202)
	got := ask[openapi.Directory](w, w.owner, "GET", "/directories/"+d.ID, nil, 200)
	if want := run.CreatedAt.Add(240 * time.Minute); got.NextRunAt == nil || !got.NextRunAt.Equal(want) {
		t.Errorf("after a run it is %v, want %s", got.NextRunAt, want)
	}
	ask[openapi.Directory](w, w.owner, "PATCH", "/directories/"+d.ID, `{"settings":{"ldap":{"schedule":{"kind":"off"}}}}`, 200)
	if got := ask[openapi.Directory](w, w.owner, "GET", "/directories/"+d.ID, nil, 200); got.NextRunAt != nil {
		t.Errorf("without a schedule it is %s", got.NextRunAt)
	}
}
