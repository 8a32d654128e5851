package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// TestBadInputIsRefusedAndChangesNothing sends what must be refused, and compares
// all that is stored before and after.
func TestBadInputIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	const op = `{S,"Operations":[`
	brackets := strings.Repeat("(", 120_000) + "a pr" + strings.Repeat(")", 120_000)
	long := strings.Repeat("x", 1025)
	type refusal struct {
		name, method, path, body string
		status                   int
		scimType                 string
		says                     string // what the detail names
		header                   map[string]string
	}
	tests := []refusal{
		{"broken JSON", post, "/Users", `{"userName":`, 400, "invalidSyntax", "JSON", nil},
		{"an empty body", post, "/Users", ``, 400, "invalidSyntax", "JSON", nil},
		{"JSON with something after it", post, "/Users", `{"userName":"x@example.com"} {}`, 400, "invalidSyntax", "end of the body", nil},
		{"a list", post, "/Users", `[]`, 400, "invalidSyntax", "object", nil},
		{"JSON nested without end", post, "/Users", strings.Repeat(`{"a":`, 100_000), 400, "invalidSyntax", "deep", nil},
		{"invalid UTF-8", post, "/Users", "{\"userName\":\"a\xff@example.com\"}", 400, "invalidValue", "UTF-8", nil},
		{"a NUL character", post, "/Users", `{"userName":"a\u0000@example.com"}`, 400, "invalidValue", "NUL", nil},
		{"half of a surrogate pair", post, "/Users", `{"userName":"a\ud800@example.com"}`, 400, "invalidValue", "surrogate pair", nil},
		{"a name with white space before it", post, "/Users", `{"userName":" kim@example.com"}`, 400, "invalidValue", "white space", nil},
		{"a name with a space of another width after it", put, "/Users/<kim>", `{"userName":"kim@example.com\u3000"}`, 400, "invalidValue", "white space", nil},
		{"a name with white space by PATCH", patch, "/Users/<kim>", op + `{"op":"replace","path":"userName","value":"kim@example.com\n"}]}`, 400, "invalidValue", "white space", nil},
		{"a name with a control character", post, "/Users", `{"userName":"k\u0007im@example.com"}`, 400, "invalidValue", "control character", nil},
		{"a name with a space of no width", post, "/Users", `{"userName":"k\u200bim@example.com"}`, 400, "invalidValue", "U+200B", nil},
		{"a name with the mark of a direction by PATCH", patch, "/Users/<kim>", op + `{"op":"replace","path":"userName","value":"\u202ekim@example.com"}]}`, 400, "invalidValue", "U+202E", nil},
		{"a name with a filler", put, "/Users/<kim>", `{"userName":"kim\u3164@example.com"}`, 400, "invalidValue", "U+3164", nil},
		{"a user without a name", post, "/Users", `{"displayName":"x"}`, 400, "invalidValue", "userName", nil},
		{"a user with a blank name", post, "/Users", `{"userName":"  "}`, 400, "invalidValue", "userName", nil},
		{"a userName of a wrong type", post, "/Users", `{"userName":7}`, 400, "invalidValue", "userName must be a string", nil},
		{"an active of a wrong type", post, "/Users", `{"userName":"x@example.com","active":"maybe"}`, 400, "invalidValue", "active", nil},
		{"emails of a wrong type", post, "/Users", `{"userName":"x@example.com","emails":"x@example.com"}`, 400, "invalidValue", "emails must be a list", nil},
		{"two primary emails", post, "/Users", `{"userName":"x@example.com","emails":[{"value":"a@example.com","primary":true},{"value":"b@example.com","primary":true}]}`, 400, "invalidValue", "emails", nil},
		{"schemas of another resource", post, "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"userName":"x@example.com"}`, 400, "invalidSyntax", "schemas", nil},
		{"a name that is too long", post, "/Users", `{"userName":"` + long + `"}`, 400, "invalidValue", "userName", nil},
		{"an externalId that is too long", post, "/Users", `{"userName":"x@example.com","externalId":"` + long + `"}`, 400, "invalidValue", "externalId", nil},
		{"a value that is too long", post, "/Users", `{"userName":"x@example.com","title":"` + strings.Repeat("t", 64<<10+1) + `"}`, 400, "invalidValue", "title", nil},
		{"a user of an unknown domain", post, "/Users", `{"userName":"x@elsewhere.example"}`, 400, "invalidValue", "elsewhere.example", nil},
		{"a user of a subdomain", post, "/Users", `{"userName":"x@sub.example.com"}`, 400, "invalidValue", "sub.example.com", nil},
		{"a user without an address", post, "/Users", `{"userName":"x"}`, 400, "invalidValue", "domain", nil},
		{"a user of another directory by its userName", post, "/Users", `{"userName":"THEIRS@example.com"}`, 409, "uniqueness", "other", nil},
		{"a user of another directory by its email", post, "/Users", `{"userName":"x@example.com","emails":[{"value":"theirs@example.com"}]}`, 409, "uniqueness", "theirs@example.com", nil},
		{"the name of another user in a PUT", put, "/Users/<kim>", `{"userName":"LEE@example.com"}`, 409, "uniqueness", "userName", nil},
		{"the name of another user in a PATCH", patch, "/Users/<kim>", op + `{"op":"replace","path":"userName","value":"lee@example.com"}]}`, 409, "uniqueness", "userName", nil},
		{"an address of an unknown domain", patch, "/Users/<kim>", op + `{"op":"replace","path":"userName","value":"kim@elsewhere.example"}]}`, 400, "invalidValue", "elsewhere.example", nil},
		{"an address of another directory", patch, "/Users/<kim>", op + `{"op":"add","path":"emails","value":[{"value":"theirs@example.com"}]}]}`, 409, "uniqueness", "theirs@example.com", nil},
		{"a PATCH without the schema of one", patch, "/Users/<kim>", `{"Operations":[{"op":"replace","path":"active","value":false}]}`, 400, "invalidSyntax", "PatchOp", nil},
		{"a PATCH without operations", patch, "/Users/<kim>", `{S,"Operations":[]}`, 400, "invalidSyntax", "Operations", nil},
		{"an unknown operation", patch, "/Users/<kim>", op + `{"op":"move","path":"active","value":false}]}`, 400, "invalidSyntax", "op", nil},
		{"a remove without a path", patch, "/Users/<kim>", op + `{"op":"remove"}]}`, 400, "noTarget", "path", nil},
		{"a path that is none", patch, "/Users/<kim>", op + `{"op":"replace","path":"emails[","value":"x"}]}`, 400, "invalidFilter", "position", nil},
		{"removal of a required attribute", patch, "/Users/<kim>", op + `{"op":"remove","path":"userName"}]}`, 400, "mutability", "userName", nil},
		{"a read-only attribute", patch, "/Users/<kim>", op + `{"op":"replace","path":"groups","value":[]}]}`, 400, "mutability", "groups", nil},
		{"a value that is not there", patch, "/Users/<kim>", op + `{"op":"replace","path":"emails[value eq \"none\"].type","value":"work"}]}`, 400, "noTarget", "emails", nil},
		{"a good operation before a bad one", patch, "/Users/<kim>", op + `{"op":"replace","path":"title","value":"T"},{"op":"replace","path":"active","value":"maybe"}]}`, 400, "invalidValue", "active", nil},
		{"a stale version", patch, "/Users/<kim>", op + `{"op":"replace","path":"title","value":"T"}]}`, 412, "", "version", map[string]string{"If-Match": `W/"99"`}},

		{"a group without a name", post, "/Groups", `{"members":[]}`, 400, "invalidValue", "displayName", nil},
		{"a group's name with a control character", post, "/Groups", `{"displayName":"\u0001 5"}`, 400, "invalidValue", "control character", nil},
		{"a group with too long a name", post, "/Groups", `{"displayName":"` + long + `"}`, 400, "invalidValue", "displayName", nil},
		{"a group of another directory", post, "/Groups", `{"displayName":"Theirs"}`, 409, "uniqueness", "other", nil},
		{"a group with an unknown member", post, "/Groups", `{"displayName":"G","members":[{"value":"01900000-0000-7000-8000-000000000000"}]}`, 400, "invalidValue", "01900000-0000-7000-8000-000000000000", nil},
		{"a group with a member that is no id", post, "/Groups", `{"displayName":"G","members":[{"value":"kim'); DROP TABLE users"}]}`, 400, "invalidValue", "member", nil},
		{"a group with members that are strings", post, "/Groups", `{"displayName":"G","members":["<kim>"]}`, 400, "invalidValue", "members", nil},
		{"a member of another directory", patch, "/Groups/<staff>", op + `{"op":"add","path":"members","value":[{"value":"<theirs>"}]}]}`, 400, "invalidValue", "<theirs>", nil},
		{"a known and an unknown member", patch, "/Groups/<staff>", op + `{"op":"add","path":"members","value":[{"value":"<lee>"},{"value":"01900000-0000-7000-8000-000000000000"}]}]}`, 400, "invalidValue", "member", nil},
		{"a group in itself", patch, "/Groups/<staff>", op + `{"op":"add","path":"members","value":[{"value":"<staff>"}]}]}`, 400, "invalidValue", "itself", nil},
		{"a group in itself by PUT", put, "/Groups/<staff>", `{"displayName":"Staff","members":[{"value":"<staff>"}]}`, 400, "invalidValue", "itself", nil},
		{"members removed by what they have not", patch, "/Groups/<staff>", op + `{"op":"remove","path":"members[shoeSize eq \"43\"]"}]}`, 400, "invalidFilter", "shoeSize", nil},
		{"a member replaced that is none", patch, "/Groups/<staff>", op + `{"op":"replace","path":"members[value eq \"<lee>\"]","value":{"value":"<kim>"}}]}`, 400, "noTarget", "members", nil},
		{"a member replaced that was removed before", patch, "/Groups/<staff>", op + `{"op":"remove","path":"members[value eq \"<kim>\"]"},{"op":"replace","path":"members[value eq \"<kim>\"]","value":{"value":"<lee>"}}]}`, 400, "noTarget", "members", nil},
		{"a member replaced by nobody's id", patch, "/Groups/<staff>", op + `{"op":"replace","path":"members[value eq \"<kim>\"]","value":{"value":"01900000-0000-7000-8000-000000000000"}}]}`, 400, "invalidValue", "01900000", nil},
		{"a member replaced by a string", patch, "/Groups/<staff>", op + `{"op":"replace","path":"members[value eq \"<kim>\"]","value":"<lee>"}]}`, 400, "invalidValue", "members", nil},
		{"a member given another id", patch, "/Groups/<staff>", op + `{"op":"add","path":"members[value eq \"<kim>\"]","value":{"value":"<lee>"}}]}`, 400, "mutability", "members.value", nil},
		{"a part of a member that is none", patch, "/Groups/<staff>", op + `{"op":"replace","path":"members[value eq \"<kim>\"].value","value":"<lee>"}]}`, 400, "mutability", "members.value", nil},
		{"a part of a member", patch, "/Groups/<staff>", op + `{"op":"replace","path":"members[value eq \"<kim>\"].display","value":"x"}]}`, 400, "mutability", "members.display", nil},
		{"a part of a member removed", patch, "/Groups/<staff>", op + `{"op":"remove","path":"members[value eq \"<kim>\"].type"}]}`, 400, "mutability", "members.type", nil},
		{"members removed by many filters", patch, "/Groups/<staff>", op + strings.Repeat(`{"op":"remove","path":"members[display eq \"none\"]"},`, 51) + `{"op":"remove","path":"members[type eq \"none\"]"}]}`, 400, "invalidFilter", "at most 50", nil},
		{"members removed by a long filter", patch, "/Groups/<staff>", op + `{"op":"remove","path":"members[` + strings.Repeat(`display eq x or `, 200) + `display pr]"}]}`, 400, "invalidFilter", "200", nil},
		{"a figure of the server", patch, "/Groups/<staff>", op + `{"op":"replace","path":"effectiveCount","value":1}]}`, 400, "mutability", "effectiveCount", nil},

		{"a filter of 120,000 brackets", get, "/Users?filter=" + brackets, "", 400, "invalidFilter", "at most 16384 bytes", nil},
		{"a filter of 40 brackets", get, "/Users?filter=" + strings.Repeat("(", 40) + "title pr" + strings.Repeat(")", 40), "", 400, "invalidFilter", "brackets", nil},
		{"a filter of 500 terms", get, "/Users?filter=title pr" + strings.Repeat(" or title pr", 499), "", 400, "invalidFilter", "too many", nil},
		{"a filter of nothing but not(", get, "/Users?filter=" + strings.Repeat("not(", 4096), "", 400, "invalidFilter", "brackets", nil},
		{"a filter with a huge string", get, `/Users?filter=title eq "` + strings.Repeat("x", 20_000) + `"`, "", 400, "invalidFilter", "at most 16384 bytes", nil},
		{"a hostile search", post, "/.search", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],"filter":"` + strings.Repeat("(", 120_000) + `"}`, 400, "invalidFilter", "at most 16384 bytes", nil},
		{"brackets in brackets", get, `/Users?filter=emails[type eq "work" and photos[value pr]]`, "", 400, "invalidFilter", "[", nil},
		{"brackets on a simple attribute", get, `/Users?filter=userName[value eq "x"]`, "", 400, "invalidFilter", "brackets", nil},
		{"a sub-attribute that is none", get, `/Users?filter=emails[country eq "x"]`, "", 400, "invalidFilter", "country", nil},
		{"a filter on the password", get, `/Users?filter=password pr`, "", 400, "invalidFilter", "password", nil},
		{"a number that is a text", get, `/Groups?filter=effectiveCount eq "2"`, "", 400, "invalidFilter", "number", nil},
		{"a part of a number", get, `/Groups?filter=effectiveCount co 2`, "", 400, "invalidFilter", "number", nil},
		{"truth that is a number", get, `/Groups?filter=overCap eq 1`, "", 400, "invalidFilter", "true", nil},
		{"a part of a time", get, `/Users?filter=meta.created sw "2026-01-01T00:00:00Z"`, "", 400, "invalidFilter", "time", nil},
		{"a certificate in an order", get, `/Users?filter=x509Certificates gt "AQID"`, "", 400, "invalidFilter", "binary", nil},
		{"more than nothing", get, `/Users?filter=title gt null`, "", 400, "invalidFilter", "null", nil},
		{"a filter that ends early", get, "/Users?filter=userName eq", "", 400, "invalidFilter", "position", nil},
		{"a filter on an unknown attribute", get, `/Users?filter=shoeSize eq "43"`, "", 400, "invalidFilter", "shoeSize", nil},
		{"a filter on an attribute of the other resource", get, `/Groups?filter=userName eq "x"`, "", 400, "invalidFilter", "userName", nil},
		{"a filter on a complex attribute", get, `/Users?filter=name eq "x"`, "", 400, "invalidFilter", "name", nil},
		{"a filter that orders truth", get, `/Users?filter=active gt true`, "", 400, "invalidFilter", "active", nil},
		{"a filter on a time that is none", get, `/Users?filter=meta.created gt "yesterday"`, "", 400, "invalidFilter", "time", nil},
		{"a filter with a NUL character", get, `/Users?filter=userName eq "a\u0000"`, "", 400, "invalidFilter", "NUL", nil},
		{"a filter of invalid UTF-8", get, "/Users?filter=userName eq \"\xff\"", "", 400, "invalidFilter", "UTF-8", nil},

		{"a filter with half of a pair", get, `/Users?filter=userName eq "a\ud800"`, "", 400, "invalidFilter", "surrogate", nil},

		{"an id that is none", get, "/Users/kim", "", 404, "", "kim", nil},
		{"an id with odd characters", get, "/Users/%00%2F..%2F<kim>", "", 404, "", "", nil},
		{"an id that is too long", get, "/Users/" + long, "", 404, "", "", nil},
		{"an id in capital letters", remove, "/Users/01900000-0000-7000-8000-00000000000A", "", 404, "", "", nil},
		{"an id that nobody has", put, "/Users/01900000-0000-7000-8000-000000000000", `{"userName":"x@example.com"}`, 404, "", "01900000", nil},
		{"a group by the id of a user", get, "/Groups/<kim>", "", 404, "", "", nil},
		{"a user by the id of a group", remove, "/Users/<staff>", "", 404, "", "", nil},
		{"a user of another directory", get, "/Users/<theirs>", "", 404, "", "", nil},
		{"a change of a user of another directory", patch, "/Users/<theirs>", op + `{"op":"replace","path":"title","value":"T"}]}`, 404, "", "", nil},
		{"replacing a user of another directory", put, "/Users/<theirs>", `{"userName":"theirs@example.com"}`, 404, "", "", nil},
		{"deleting a user of another directory", remove, "/Users/<theirs>", "", 404, "", "", nil},
		{"a group of another directory by its id", get, "/Groups/<theirgroup>", "", 404, "", "", nil},
		{"a change of a group of another directory", patch, "/Groups/<theirgroup>", op + `{"op":"remove","path":"members"}]}`, 404, "", "", nil},
		{"replacing a group of another directory", put, "/Groups/<theirgroup>", `{"displayName":"Theirs"}`, 404, "", "", nil},
		{"deleting a group of another directory", remove, "/Groups/<theirgroup>", "", 404, "", "", nil},

		{"no token", get, "/Users", "", 401, "", "token", map[string]string{"Authorization": ""}},
		{"another scheme", get, "/Users", "", 401, "", "token", map[string]string{"Authorization": "Basic a2ltOnB3"}},
		{"an unknown token", post, "/Users", `{"userName":"x@example.com"}`, 401, "", "token", map[string]string{"Authorization": "Bearer pvt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}},
		{"a token of an administrator", get, "/Users", "", 403, "", "directory", map[string]string{"Authorization": "admin"}},
		{"a revoked token", get, "/Users", "", 401, "", "revoked", map[string]string{"Authorization": "revoked"}},
		{"an expired token", get, "/Users", "", 401, "", "expired", map[string]string{"Authorization": "expired"}},

		{"a body of another type", post, "/Users", `{"userName":"x@example.com"}`, 415, "", "Content-Type", map[string]string{"Content-Type": "text/plain"}},
		{"a body of a form", post, "/Users", `userName=x`, 415, "", "Content-Type", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}},
		{"a content type that is none", post, "/Users", `{"userName":"x@example.com"}`, 415, "", "Content-Type", map[string]string{"Content-Type": "///"}},
	}
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		w.replay(t, expand([]exchange{
			{name: "a user", method: post, path: "/Users", body: `{"userName":"kim@example.com","emails":[{"value":"kim@example.com"}]}`, status: 201, save: "kim"},
			{name: "another", method: post, path: "/Users", body: `{"userName":"lee@example.com"}`, status: 201, save: "lee"},
			{name: "a group", method: post, path: "/Groups", body: `{"displayName":"Staff","members":[{"value":"<kim>"}]}`, status: 201, save: "staff"},
		}))
		mine := w.token
		_, w.token = w.newDirectory(t, "other", nil)
		w.replay(t, expand([]exchange{
			{name: "a user of another directory", method: post, path: "/Users", body: `{"userName":"theirs@example.com"}`, status: 201, save: "theirs"},
			{name: "a group of another directory", method: post, path: "/Groups", body: `{"displayName":"Theirs","members":[{"value":"<theirs>"}]}`, status: 201, save: "theirgroup"},
			{name: "it sees only its own users", method: get, path: "/Users", status: 200, want: `{"totalResults":1,"Resources":[{"id":"<theirs>"}]}`},
			{name: "it sees only its own groups", method: get, path: "/Groups", status: 200, want: `{"totalResults":1,"Resources":[{"id":"<theirgroup>"}]}`},
			{name: "it matches nobody of the first", method: get, path: `/Users?filter=userName eq "kim@example.com"`, status: 200, want: nobody},
			{name: "it finds no id of the first", method: get, path: `/Users?filter=id eq "<kim>"`, status: 200, want: nobody},
			{name: "it finds no member of the first", method: get, path: `/Groups?filter=members.value eq "<kim>"`, status: 200, want: nobody},
		}))
		w.token = mine
		tokens := map[string]string{
			"admin":   w.newToken(t, store.Token{Name: "admin", Role: store.RoleOwner}),
			"revoked": w.newToken(t, store.Token{Org: w.org, Directory: w.directory, Name: "revoked", Role: store.RoleDirectory}),
			"expired": w.newToken(t, store.Token{Org: w.org, Directory: w.directory, Name: "expired", Role: store.RoleDirectory, ExpiresAt: time.Now().Add(time.Second)}),
		}
		w.update(t, func(ctx context.Context, tx store.Tx) error {
			list, err := tx.Tokens(ctx, w.org, &w.directory)
			if err != nil {
				return err
			}
			for i := range list {
				if list[i].Name == "revoked" {
					return tx.RevokeToken(ctx, w.org, list[i].ID, time.Now())
				}
			}
			return fmt.Errorf("the token is not listed")
		})
		before := w.dump(t)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				header := map[string]string{}
				for name, value := range tt.header {
					if token, ok := tokens[value]; ok {
						value = "Bearer " + token
					}
					header[name] = value
				}
				if tt.name == "an expired token" {
					waitUntilRefused(t, w, tokens["expired"])
				}
				a := w.send(t, scimRequest{method: tt.method, path: w.fill(t, tt.path), body: w.fill(t, patchSchemas.Replace(tt.body)), header: header})
				if a.status != tt.status || a.text("scimType") != tt.scimType || !strings.Contains(a.text("detail"), w.fill(t, tt.says)) {
					t.Errorf("answered %d %s, want %d %s with %q", a.status, a.raw, tt.status, tt.scimType, tt.says)
				}
				if challenge := a.header.Get("WWW-Authenticate"); (a.status == 401) != strings.HasPrefix(challenge, "Bearer ") {
					t.Errorf("WWW-Authenticate: %q", challenge)
				}
				if len(a.text("detail")) > 3000 {
					t.Errorf("the detail has %d bytes", len(a.text("detail")))
				}
			})
		}
		t.Run("a body of 100 MB is not kept in memory", func(t *testing.T) {
			for _, length := range []int64{-1, 100 << 20} {
				hugeBody(t, w, length)
			}
		})
		if diff := cmp.Diff(before, w.dump(t)); diff != "" {
			t.Errorf("something changed: %s", diff)
		}
	})
}

// waitUntilRefused waits for a token to expire.
func waitUntilRefused(t *testing.T, w *scimWorld, token string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		a := w.send(t, scimRequest{method: get, path: "/Users?count=0", header: map[string]string{"Authorization": "Bearer " + token}})
		if a.status == http.StatusUnauthorized {
			return
		}
	}
	t.Fatal("the token does not expire")
}

// hugeBody sends 100 MB with a length, or in chunks.
func hugeBody(t *testing.T, w *scimWorld, length int64) {
	t.Helper()
	body := io.MultiReader(strings.NewReader(`{"userName":"`), io.LimitReader(endless{}, 100<<20-13))
	req := w.request(t, post, "/Users", body)
	req.ContentLength = length
	req.Header.Set("Content-Type", "application/scim+json")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a, err := answerOf(scimClient.Do(req))
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatalf("length %d: %v", length, err)
	}
	if a.status != http.StatusRequestEntityTooLarge || a.text("status") != "413" || !bytes.Contains(a.raw, []byte("bytes")) {
		t.Errorf("length %d: answered %d %s", length, a.status, a.raw)
	}
	if faults := a.faults(post); len(faults) > 0 {
		t.Error(faults)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 80<<20 {
		t.Errorf("length %d: %d MB were allocated", length, grown>>20)
	}
}

// endless is a text without end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// dump is all that is stored of users, groups, members and events.
func (w *scimWorld) dump(t *testing.T) any {
	t.Helper()
	var all struct {
		Users   []store.User
		Groups  []store.Group
		Members map[store.Key][]store.Member
		Events  int
	}
	err := w.store.View(t.Context(), func(r store.Reader) error {
		q := store.Query{Org: w.org, Limit: 1000}
		users, err := r.Users(t.Context(), q)
		if err != nil {
			return err
		}
		groups, err := r.Groups(t.Context(), q)
		if err != nil {
			return err
		}
		all.Users, all.Groups = users.Items, groups.Items
		keys := make([]store.Key, len(groups.Items))
		for i := range keys {
			keys[i] = groups.Items[i].Key
		}
		all.Members, err = r.MembersOf(t.Context(), w.org, keys)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all.Events = w.events(t)
	return all
}
