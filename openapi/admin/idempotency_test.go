package admin_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/openapi/admin"
	"github.com/provost-scim/provost/store"
)

// uses is a header with an idempotency key.
func uses(key string) []string { return []string{"Idempotency-Key", key} }

func (w *world) problemOf(a answer, status int, code store.Code) {
	w.t.Helper()
	p := a.problem(w.t)
	if a.status != status || p.Type != "urn:provost:problem:"+string(code) || p.Field != "Idempotency-Key" || p.Hint == "" {
		w.t.Errorf("answers %d %s; want %d %s with a hint", a.status, a.body, status, code)
	}
}

func TestARequestWithTheSameKeyHasTheAnswerOfTheFirst(t *testing.T) {
	w := newWorld(t)
	first := w.call(w.admin, "POST", "/users", `{"user_name":"ann"}`, uses("k1")...)
	again := w.call(w.admin, "POST", "/users", ` { "user_name": "ann" }`, uses("k1")...)
	if first.status != 201 || again.status != 201 || string(again.body) != string(first.body) || again.header.Get("Content-Type") != first.header.Get("Content-Type") {
		t.Errorf("first %d %s, then %d %s", first.status, first.body, again.status, again.body)
	}
	if first.header.Get("Idempotency-Replayed") != "" || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("replayed: %q and %q", first.header.Get("Idempotency-Replayed"), again.header.Get("Idempotency-Replayed"))
	}
	w.problemOf(w.call(w.admin, "POST", "/users", `{"user_name":"bob"}`, uses("k1")...), 422, "idempotency_key_reused")
	w.problemOf(w.call(w.admin, "POST", "/groups", `{"display_name":"ann"}`, uses("k1")...), 422, "idempotency_key_reused")
	if a := w.call(w.owner, "POST", "/users", `{"user_name":"cy"}`, uses("k1")...); a.status != 201 || a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("the same key of somebody else answers %d %s", a.status, a.body)
	}
	if a := w.call(w.instance, "POST", "/groups", `{"display_name":"x"}`, "Provost-Organization", "other", "Idempotency-Key", "k2"); a.status != 201 {
		t.Fatalf("answers %d %s", a.status, a.body)
	}
	if a := w.call(w.instance, "POST", "/groups", `{"display_name":"x"}`, uses("k2")...); a.status != 201 || a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("the same key in another organization answers %d %s", a.status, a.body)
	}
	if n := len(ask[openapi.UserList](w, w.owner, "GET", "/users", nil, 200).Items); n != 2 {
		t.Errorf("there are %d users, want ann and cy", n)
	}
}

func TestARefusedRequestLeavesItsKeyUnused(t *testing.T) {
	w := newWorld(t)
	ask[openapi.User](w, w.admin, "POST", "/users", `{"user_name":"ann"}`, 201)
	if a := w.call(w.admin, "POST", "/users", `{"user_name":"Ann"}`, uses("k")...); a.status != 409 {
		t.Fatalf("a taken name answers %d", a.status)
	}
	if a := w.call(w.admin, "POST", "/users", `{"name":"ann"}`, uses("k")...); a.status != 400 {
		t.Fatalf("a bad body answers %d", a.status)
	}
	if a := w.call(w.admin, "POST", "/users", `{"user_name":"bob"}`, uses("k")...); a.status != 201 {
		t.Errorf("the key of refused requests answers %d %s", a.status, a.body)
	}
}

func TestASecretIsNeitherKeptNorMadeTwice(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/tokens", "/directories/entra/tokens"} {
		body := map[string]any{"name": "once"}
		if path == "/tokens" {
			body["role"] = "admin"
		}
		before := len(ask[openapi.TokenList](w, w.owner, "GET", path, nil, 200).Items)
		made := w.call(w.owner, "POST", path, body, uses("k"+path)...)
		var token openapi.NewToken
		made.into(t, &token)
		if made.status != 201 || token.Secret == "" {
			t.Fatalf("%s answers %d %s", path, made.status, made.body)
		}
		w.problemOf(w.call(w.owner, "POST", path, body, uses("k"+path)...), 409, "idempotency_key_spent")
		if n := len(ask[openapi.TokenList](w, w.owner, "GET", path, nil, 200).Items) - before; n != 1 {
			t.Errorf("%s made %d tokens", path, n)
		}
	}
}

func TestManyWithOneKeyAtOneMomentMakeOneRequest(t *testing.T) {
	onBoth(t, manyWithOneKeyAtOneMomentMakeOneRequest)
}

func manyWithOneKeyAtOneMomentMakeOneRequest(t *testing.T, w *world) {
	const callers = 16
	answers := make([]answer, callers)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = w.call(w.admin, "POST", "/users", `{"user_name":"ann"}`, uses("k")...) })
	}
	all.Wait()
	made := ""
	for _, a := range answers {
		switch {
		case a.status == 201 && (made == "" || made == string(a.body)):
			made = string(a.body)
		case a.status == 409 && strings.Contains(string(a.body), "idempotency_key_in_use") && a.header.Get("Retry-After") != "":
		default:
			t.Errorf("answers %d %s", a.status, a.body)
		}
	}
	if users := ask[openapi.UserList](w, w.owner, "GET", "/users", nil, 200).Items; len(users) != 1 || made == "" {
		t.Errorf("there are %d users; the answer is %q", len(users), made)
	}
}

func TestARequestOfUnknownOutcomeIsNotMadeAgain(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	w := newWorld(t, func(o *admin.Options) {
		o.Clock = func() time.Time { return now }
		o.CheckLDAP = func(context.Context, store.LDAP, string) error { panic("oh") }
	})
	if a := w.call(w.admin, "POST", "/directories", corp(), uses("k")...); a.status != 500 {
		t.Fatalf("answers %d %s", a.status, a.body)
	}
	w.problemOf(w.call(w.admin, "POST", "/directories", corp(), uses("k")...), 409, "idempotency_key_in_use")
	now = now.Add(2 * time.Minute)
	w.problemOf(w.call(w.admin, "POST", "/directories", corp(), uses("k")...), 409, "idempotency_key_spent")
}

func TestAnIdempotencyKeyIsAShortPlainText(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"", strings.Repeat("x", 256), "two words", "schlüssel"} {
		w.problemOf(w.call(w.admin, "POST", "/users", `{"user_name":"ann"}`, uses(key)...), 400, store.CodeInvalid)
	}
	if a := w.call(w.admin, "POST", "/users", `{"user_name":"ann"}`, uses(strings.Repeat("x", 255))...); a.status != 201 {
		t.Errorf("a key of 255 characters answers %d %s", a.status, a.body)
	}
}

func TestEveryPostThatMakesSomethingTakesAKey(t *testing.T) {
	doc, err := openapi.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		if item.Post == nil {
			continue
		}
		takes := false
		for _, p := range item.Post.Parameters {
			takes = takes || p.Value.Name == "Idempotency-Key"
		}
		responses := item.Post.Responses.Map()
		if (responses["201"] != nil || responses["202"] != nil) && !takes {
			t.Errorf("POST %s takes no Idempotency-Key", path)
		}
		for _, response := range responses {
			media := response.Value.Content["application/json"]
			if media == nil {
				continue
			}
			text, err := json.Marshal(media.Schema.Value)
			if err != nil {
				t.Fatal(err)
			}
			if secret, _ := item.Post.Extensions["x-provost-secret"].(bool); strings.Contains(string(text), `"secret":`) != secret {
				t.Errorf("POST %s: the answer has a secret, and x-provost-secret is %t", path, secret)
			}
		}
	}
}
