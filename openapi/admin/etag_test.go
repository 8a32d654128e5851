package admin_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// versioned are the records that have an ETag, with a change of each.
var versioned = map[string]string{
	"/organizations/default":    `{"settings":{"sign_in_url":"https://%s.example.com"}}`,
	"/directories/entra":        `{"settings":{"domains":[],"rate_limit":{"per_second":10,"burst":%d}}}`,
	"/entitlements/role:Member": `{"description":"%s"}`,
	"/users/ann":                `{"title":"%s"}`,
	"/groups/staff":             `{"description":"%s"}`,
	"/webhooks/app":             `{"url":"https://app.test/%s"}`,
}

func (w *world) versioned() {
	w.t.Helper()
	ask[openapi.Entitlement](w, w.owner, "POST", "/entitlements", `{"kind":"role","name":"Member"}`, 201)
	ask[openapi.User](w, w.owner, "POST", "/users", `{"user_name":"ann"}`, 201)
	ask[openapi.Group](w, w.owner, "POST", "/groups", `{"display_name":"staff"}`, 201)
	ask[openapi.NewWebhook](w, w.owner, "POST", "/webhooks", `{"name":"app","url":"https://app.test/"}`, 201)
}

// edit is the change of a record that is unlike others with another text.
func edit(path, text string) string {
	body := strings.ReplaceAll(versioned[path], "%s", text)
	return strings.ReplaceAll(body, "%d", strconv.Itoa(100+len(text)))
}

func TestAChangeIsRefusedIfTheRecordHasChangedSince(t *testing.T) {
	w := newWorld(t)
	w.versioned()
	for path := range versioned {
		t.Run(path, func(t *testing.T) {
			w := w.in(t)
			read := w.call(w.owner, "GET", path, nil)
			tag := read.header.Get("ETag")
			if tag == "" {
				t.Fatal("there is no ETag")
			}
			changed := w.call(w.owner, "PATCH", path, edit(path, "a"), "If-Match", tag)
			if changed.status != 200 || changed.header.Get("ETag") == "" || changed.header.Get("ETag") == tag {
				t.Fatalf("with the present ETag it answers %d %s", changed.status, changed.body)
			}
			methods := []string{"PATCH", "DELETE"}
			if strings.HasPrefix(path, "/organizations") {
				methods = methods[:1]
			}
			for _, method := range methods {
				target, body := path, any(edit(path, "bb"))
				if method == "DELETE" {
					body = nil
					if strings.HasPrefix(path, "/directories") {
						target += "?users=keep"
					}
				}
				a := w.call(w.owner, method, target, body, "If-Match", tag)
				if p := a.problem(t); a.status != 412 || p.Type != "urn:provost:problem:precondition" || p.Field != "If-Match" || p.Hint == "" {
					t.Errorf("%s with an old ETag answers %d %s", method, a.status, a.body)
				}
			}
			if a := w.call(w.owner, "PATCH", path, edit(path, "bb"), "If-Match", "7"); a.status != 400 || a.problem(t).Field != "If-Match" {
				t.Errorf("with a tag without quotation marks it answers %d %s", a.status, a.body)
			}
			for i, match := range []string{"*", `"x", present`} {
				match = strings.ReplaceAll(match, "present", w.call(w.owner, "GET", path, nil).header.Get("ETag"))
				if a := w.call(w.owner, "PATCH", path, edit(path, strings.Repeat("c", 3+i)), "If-Match", match); a.status != 200 {
					t.Errorf("with If-Match %s it answers %d %s", match, a.status, a.body)
				}
			}
		})
	}
}

func TestWhatIsKnownIsNotSentAgain(t *testing.T) {
	w := newWorld(t)
	w.versioned()
	for path := range versioned {
		t.Run(path, func(t *testing.T) {
			w := w.in(t)
			tag := w.call(w.owner, "GET", path, nil).header.Get("ETag")
			for _, known := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
				if a := w.call(w.owner, "GET", path, nil, "If-None-Match", known); a.status != 304 || len(a.body) != 0 || a.header.Get("ETag") != tag {
					t.Errorf("If-None-Match %s answers %d %s", known, a.status, a.body)
				}
			}
			ask[any](w, w.owner, "PATCH", path, edit(path, "a"), 200)
			if a := w.call(w.owner, "GET", path, nil, "If-None-Match", tag); a.status != 200 {
				t.Errorf("after a change it answers %d", a.status)
			}
		})
	}
	t.Run("counts that change by themselves are news, and no reason to refuse an edit", func(t *testing.T) {
		w := w.in(t)
		tag := w.call(w.owner, "GET", "/directories/entra", nil).header.Get("ETag")
		w.push("entra", []store.UserStatement{person("ada")}, nil)
		if a := w.call(w.owner, "GET", "/directories/entra", nil, "If-None-Match", tag); a.status != 200 {
			t.Errorf("after a push it answers %d", a.status)
		}
		if a := w.call(w.owner, "PATCH", "/directories/entra", edit("/directories/entra", "bb"), "If-Match", tag); a.status != 200 {
			t.Errorf("an edit after a push answers %d %s", a.status, a.body)
		}
	})
}

func TestOfManyChangesWithOneETagOneIsMade(t *testing.T) {
	onBoth(t, ofManyChangesWithOneETagOneIsMade)
}

func ofManyChangesWithOneETagOneIsMade(t *testing.T, w *world) {
	w.versioned()
	for path := range versioned {
		t.Run(path, func(t *testing.T) {
			w := w.in(t)
			tag := w.call(w.owner, "GET", path, nil).header.Get("ETag")
			const callers = 8
			answers := make([]answer, callers)
			var all sync.WaitGroup
			for i := range answers {
				all.Go(func() {
					answers[i] = w.call(w.owner, "PATCH", path, edit(path, strings.Repeat("x", i+1)), "If-Match", tag)
				})
			}
			all.Wait()
			made := 0
			for _, a := range answers {
				if a.status == 200 {
					made++
				} else if a.status != 412 {
					t.Errorf("answers %d %s", a.status, a.body)
				}
			}
			if made != 1 {
				t.Errorf("%d of %d changes were made", made, callers)
			}
		})
	}
}
