package main

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

// secretWord is a password that nothing else could contain.
const secretWord = "Zx9-horse-battery-staple"

// TestAPasswordLeavesNoTrace sends a password in every way a client can, while the
// program logs all it ever logs, and looks for it in each answer, in the log, in the
// events, and in all that the database holds.
func TestAPasswordLeavesNoTrace(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "provost.db")
		if err := migrateForSCIM("sqlite:" + path); err != nil {
			t.Fatal(err)
		}
		w := newSCIMWorld(t, "sqlite:"+path, "--log-level", "debug")
		w.sendPasswords(t)
		for _, file := range []string{path, path + "-wal"} {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(content), "kim@example.com") && file == path+"-wal" {
				t.Errorf("%s holds nothing of the user, so that it shows nothing", file)
			}
			noPassword(t, file, string(content))
		}
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		dsn := testenv.Postgres(t).Database(t, migrateForSCIM)
		w := newSCIMWorld(t, dsn, "--log-level", "debug")
		w.sendPasswords(t)
		content := everyRow(t, dsn)
		if !strings.Contains(content, "kim@example.com") {
			t.Error("the rows hold nothing of the user, so that they show nothing")
		}
		noPassword(t, "the database", content)
	})
}

func noPassword(t *testing.T, where, content string) {
	t.Helper()
	if strings.Contains(strings.ToLower(content), strings.ToLower(secretWord)) {
		t.Errorf("the password is in %s", where)
	}
}

func (w *scimWorld) sendPasswords(t *testing.T) {
	t.Helper()
	const word = `"password":"` + secretWord + `"`
	send := func(status int, method, path, body string) *scimAnswer {
		t.Helper()
		a := w.send(t, scimRequest{method: method, path: path, body: patchSchemas.Replace(body)})
		if a.status != status {
			t.Errorf("%s %s answered %d %s, want %d", method, path, a.status, a.raw, status)
		}
		noPassword(t, "the answer to "+method, string(a.raw)+fmt.Sprint(a.header))
		return a
	}
	bulk := func(operations string) string {
		return `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[` + operations + `]}`
	}
	user := "/Users/" + send(201, post, "/Users", `{"userName":"kim@example.com",`+word+`}`).text("id")
	send(200, put, user, `{"userName":"kim@example.com","PASSWORD":"`+secretWord+`"}`)
	send(200, patch, user, `{S,"Operations":[{"op":"replace","path":"password","value":"`+secretWord+`"}]}`)
	send(200, patch, user, `{S,"Operations":[{"op":"add","value":{`+word+`,"title":"T"}}]}`)
	send(200, patch, user, `{S,"Operations":[{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:User:password","value":"`+secretWord+`"}]}`)
	send(200, post, "/Bulk", bulk(`{"method":"POST","bulkId":"a","path":"/Users","data":{"userName":"lee@example.com",`+word+`}},
		{"method":"PUT","path":"`+user+`","data":{"userName":"kim@example.com",`+word+`}},
		{"method":"PATCH","path":"`+user+`","data":{"Operations":[{"op":"replace","value":{`+word+`}}]}},
		{"method":"POST","bulkId":"b","path":"/Users","data":{"userName":"kim@example.com",`+word+`}},
		{"method":"POST","bulkId":"c","path":"/Users","data":{`+word+`}},
		{"method":"POST","bulkId":"d","path":"/Users","data":{"password":["`+secretWord+`"],"userName":7}}`))
	send(409, post, "/Users", `{"userName":"KIM@example.com",`+word+`}`)
	send(400, post, "/Users", `{"userName":"kim@elsewhere.example",`+word+`}`)
	send(201, post, "/Users", `{"userName":"max@example.com","password":{"value":"`+secretWord+`"}}`)
	send(400, post, "/Users", `{"userName":"kim@example.com",`+word+`,}`)
	send(400, post, "/Bulk", bulk(`{"method":"POST","data":{`+word+`,}}`))
	send(400, patch, user, `{S,"Operations":[{"op":"remove","path":"userName","value":"`+secretWord+`"}]}`)
	send(200, get, user+"?attributes=password", "")
	send(400, get, `/Users?filter=password eq "`+secretWord+`"`, "")

	for _, e := range w.log(t) {
		noPassword(t, "event "+e.Type, string(e.Data))
	}
	if logged := w.logged.String(); !strings.Contains(logged, "/scim/v2/Bulk") {
		t.Errorf("the program did not log its requests:\n%s", logged)
	}
	noPassword(t, "the log", w.logged.String())
	if users := w.stored(t).Users; len(users) != 3 {
		t.Errorf("%d users are stored: %v", len(users), users)
	}
}

// everyRow is the text of every row of every table.
func everyRow(t *testing.T, dsn string) string {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	texts := func(query string) (out []string) {
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				t.Fatal(err)
			}
			out = append(out, text)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return out
	}
	var all strings.Builder
	for _, table := range texts(`SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'`) {
		for _, row := range texts("SELECT CAST(t AS text) FROM " + table + " AS t") {
			all.WriteString(row + "\n")
		}
	}
	return all.String()
}

// TestRehireOverSCIM is "Return" of rule 7 as a client lives it: a leaver who comes back
// is never a 409 for ever, and a stranger who is given a leaver's name gets nothing of
// the leaver's.
func TestRehireOverSCIM(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		w.replay(t, expand([]exchange{
			{name: "an employee with a stable id", method: post, path: "/Users", body: `{"userName":"ann@example.com","externalId":"e1","title":"Admin"}`, status: 201, save: "ann"},
			{name: "one without", method: post, path: "/Users", body: `{"userName":"bob@example.com"}`, status: 201, save: "bob"},
			{name: "are in a group", method: post, path: "/Groups", body: `{"displayName":"Admins","members":[{"value":"<ann>"},{"value":"<bob>"}]}`, status: 201, save: "admins"},
			{name: "the first leaves", method: remove, path: "/Users/<ann>", status: 204},
			{name: "and is gone", method: get, path: "/Users/<ann>", status: 404},
			{name: "from the group as well", method: get, path: "/Groups/<admins>", status: 200, want: `{"members":[{"value":"<bob>"}]}`},
			{name: "a stranger gets the name", method: post, path: "/Users", body: `{"userName":"ann@example.com","externalId":"e9"}`, status: 201, save: "stranger", without: []string{"title", "groups"}},
			{name: "and is in no group", method: get, path: "/Users/<stranger>", status: 200, without: []string{"groups", "title"}},
			{name: "nor is anybody else", method: get, path: "/Groups/<admins>", status: 200, want: `{"members":[{"value":"<bob>"}]}`},
			{name: "the leaver cannot have the name while the stranger has it", method: post, path: "/Users", body: `{"userName":"ann@example.com","externalId":"e1"}`, status: 409, want: `{"scimType":"uniqueness"}`},
			{name: "but another, with all that was hers", method: post, path: "/Users", body: `{"userName":"ann2@example.com","externalId":"e1"}`, status: 201, want: `{"id":"<ann>","groups":[{"value":"<admins>","type":"direct"}]}`},
			{name: "in the group again", method: get, path: "/Groups/<admins>", status: 200, want: `{"members":[{"value":"<ann>"},{"value":"<bob>"}]}`},
			{name: "the other leaves", method: remove, path: "/Users/<bob>", status: 204},
			{name: "and returns by the name alone: the same id, in no group", method: post, path: "/Users", body: `{"userName":"BOB@example.com","externalId":"e2"}`, status: 201, want: `{"id":"<bob>"}`, without: []string{"groups"}},
			{name: "leaves again", method: remove, path: "/Users/<bob>", status: 204},
			{name: "and has a stable id by now, so that another one is another person", method: post, path: "/Users", body: `{"userName":"bob@example.com","externalId":"e3"}`, status: 201, save: "other"},
			{name: "who leaves as well", method: remove, path: "/Users/<other>", status: 204},
			{name: "returns without a stable id", method: post, path: "/Users", body: `{"userName":"bob@example.com"}`, status: 201, want: `{"id":"<other>","externalId":"e3"}`},
			{name: "which is kept", method: get, path: `/Users?filter=externalId eq "e3"`, status: 200, want: `{"Resources":[{"id":"<other>"}]}`},
			{name: "until it is taken away", method: put, path: "/Users/<other>", body: `{"userName":"bob@example.com"}`, status: 200, want: `{"id":"<other>"}`, without: []string{"externalId"}},
			{name: "and leaves", method: remove, path: "/Users/<other>", status: 204},
			{name: "a group is deleted", method: remove, path: "/Groups/<admins>", status: 204},
			{name: "and made again by its name: the same id, nobody in it", method: post, path: "/Groups", body: `{"displayName":"admins"}`, status: 201, want: `{"id":"<admins>"}`, without: []string{"members"}},
		}))
		if w.saved["other"] == w.saved["bob"] || w.saved["stranger"] == w.saved["ann"] {
			t.Errorf("a stranger has a leaver's id: %v", w.saved)
		}
		t.Run("a hundred times over", func(t *testing.T) {
			for range 100 {
				a := w.send(t, scimRequest{method: post, path: "/Users", body: `{"userName":"cid@example.com","externalId":"e4"}`})
				if a.status != 201 {
					t.Fatalf("%d %s", a.status, a.raw)
				}
				if was := w.saved["cid"]; was != "" && was != a.text("id") {
					t.Fatalf("the id is %s and was %s", a.text("id"), was)
				}
				w.saved["cid"] = a.text("id")
				if a := w.send(t, scimRequest{method: remove, path: "/Users/" + w.saved["cid"]}); a.status != 204 {
					t.Fatalf("%d %s", a.status, a.raw)
				}
			}
		})
		t.Run("and its history is one", func(t *testing.T) {
			created := 0
			for _, e := range w.log(t) {
				if e.Resource == store.ID(w.saved["cid"]) && e.Type == store.EventUserCreated {
					created++
				}
			}
			if created != 1 {
				t.Errorf("it was created %d times", created)
			}
		})
	})
}
