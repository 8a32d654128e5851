package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
	"github.com/provost-scim/provost/sync/reconcile"
)

// scimWorld is a running program, a SCIM client of one directory, and the database
// beneath, opened beside the program to look at what is stored.
type scimWorld struct {
	server    *provostServer
	url       string // of the program
	dsn       string
	logged    *lines // what the program wrote
	token     string
	store     *gormstore.Store
	org       store.Key
	directory store.Key
	saved     map[string]string // what replays remember by name
}

// onBothEngines runs a test against the program on SQLite and on PostgreSQL, with a
// directory "clients" that lets in users of example.com.
func onBothEngines(t *testing.T, test func(*testing.T, *scimWorld)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		dsn := "sqlite:" + filepath.Join(t.TempDir(), "provost.db")
		if err := migrateForSCIM(dsn); err != nil {
			t.Fatal(err)
		}
		test(t, newSCIMWorld(t, dsn))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		test(t, newSCIMWorld(t, testenv.Postgres(t).Database(t, migrateForSCIM)))
	})
}

func migrateForSCIM(dsn string) error { return gormstore.Migrate(context.Background(), dsn) }

// newSCIMWorld starts the program with further flags on a database.
func newSCIMWorld(t *testing.T, dsn string, flags ...string) *scimWorld {
	t.Helper()
	db, err := gormstore.Open(t.Context(), dsn, gormstore.Options{MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	flags = append([]string{"--database", dsn, "--log-level", "warn"}, flags...)
	p := startProvost(t, flags...)
	w := &scimWorld{server: p, url: p.url, dsn: dsn, logged: p.stderr, store: db, saved: map[string]string{}}
	w.update(t, func(ctx context.Context, tx store.Tx) error {
		org, err := tx.Organization(ctx, store.DefaultOrganization)
		if err != nil {
			return err
		}
		w.org = org.Key
		now := time.Now()
		return tx.SaveDomain(ctx, &store.Domain{
			ID: store.NewID(now), Org: w.org, Name: "example.com", State: store.DomainVerified, Challenge: "vouched",
			Vouched: true, CreatedAt: now, VerifiedAt: now, CheckedAt: now,
		})
	})
	w.directory, w.token = w.newDirectory(t, "clients", nil)
	return w
}

// newDirectory makes a directory of kind scim and a token for it.
func (w *scimWorld) newDirectory(t *testing.T, name string, adjust func(*store.Settings)) (store.Key, string) {
	t.Helper()
	now := time.Now()
	d := store.Directory{
		ID: store.NewID(now), Org: w.org, Name: name, Kind: store.DirectorySCIM, Settings: store.DefaultSettings(store.DirectorySCIM),
		Revision: 1, CreatedAt: now, UpdatedAt: now,
	}
	if adjust != nil {
		adjust(&d.Settings)
	}
	w.update(t, func(ctx context.Context, tx store.Tx) error {
		d.Key = 0
		return tx.CreateDirectory(ctx, &d)
	})
	return d.Key, w.newToken(t, store.Token{Org: w.org, Directory: d.Key, Name: name, Role: store.RoleDirectory})
}

func (w *scimWorld) newToken(t *testing.T, token store.Token) string {
	t.Helper()
	var secret string
	w.update(t, func(ctx context.Context, tx store.Tx) error {
		made := token
		var err error
		secret, err = auth.Issue(ctx, tx, &made, store.Cause{Actor: store.Actor{Kind: "system"}}, time.Now())
		return err
	})
	return secret
}

func (w *scimWorld) update(t *testing.T, fn func(context.Context, store.Tx) error) {
	t.Helper()
	if err := w.store.Update(t.Context(), func(tx store.Tx) error { return fn(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

// state makes a statement of the directory true in bulk, without HTTP.
func (w *scimWorld) state(t *testing.T, want store.Statement) *reconcile.Outcome {
	t.Helper()
	want.Org, want.Directory, want.Origin = w.org, w.directory, store.OriginPush
	out, err := reconcile.New(w.store, reconcile.Options{}).Reconcile(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// newUsers makes users NAME0@example.com and so on in bulk, and returns their ids.
func (w *scimWorld) newUsers(t *testing.T, name string, n int) []store.ID {
	t.Helper()
	var s store.Statement
	for i := range n {
		s.Users = append(s.Users, store.UserStatement{Attributes: store.Attributes{UserName: fmt.Sprintf("%s%d@example.com", name, i)}})
	}
	out := w.state(t, s)
	ids := make([]store.ID, n)
	for i := range ids {
		ids[i] = out.Users[i].ID
	}
	return ids
}

// scimAnswer is an answer with its body read.
type scimAnswer struct {
	status int
	header http.Header
	raw    []byte
	body   any // decoded; nil without a body
}

// get returns a member of the body by its path: get("meta", "version").
func (a *scimAnswer) get(path ...string) any {
	v := a.body
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

func (a *scimAnswer) text(path ...string) string {
	s, _ := a.get(path...).(string)
	return s
}

// scimRequest is one request below /scim/v2. The query in its path is written
// plainly and encoded when it is sent.
type scimRequest struct {
	method, path string
	body         string
	header       map[string]string // "" removes one that is sent otherwise
}

var scimClient = &http.Client{
	Timeout:   time.Minute,
	Transport: &http.Transport{MaxIdleConnsPerHost: 128},
}

// send sends a request and holds the answer to what every answer must be.
func (w *scimWorld) send(t testing.TB, r scimRequest) *scimAnswer {
	t.Helper()
	a, err := w.trySend(t.Context(), r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	for _, fault := range a.faults(r.method) {
		t.Errorf("%s %s answered %d %s: %s", r.method, r.path, a.status, a.raw, fault)
	}
	return a
}

func (w *scimWorld) trySend(ctx context.Context, r scimRequest) (*scimAnswer, error) {
	path, query, _ := strings.Cut(r.path, "?")
	target := w.url + "/scim/v2" + path
	if query != "" {
		target += "?" + encodeQuery(query)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, strings.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	if r.body != "" {
		req.Header.Set("Content-Type", "application/scim+json")
	}
	for name, value := range r.header {
		if req.Header.Set(name, value); value == "" {
			req.Header.Del(name)
		}
	}
	return answerOf(scimClient.Do(req))
}

// request makes a request whose path is sent as it is written.
func (w *scimWorld) request(t testing.TB, method, path string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.url+"/scim/v2"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	return req
}

func answerOf(res *http.Response, err error) (*scimAnswer, error) {
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(res.Body)
	if closed := res.Body.Close(); err == nil {
		err = closed
	}
	a := &scimAnswer{status: res.StatusCode, header: res.Header, raw: raw}
	if err == nil && len(raw) > 0 {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		err = d.Decode(&a.body)
	}
	return a, err
}

func encodeQuery(query string) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		name, value, _ := strings.Cut(part, "=")
		parts[i] = name + "=" + url.QueryEscape(value)
	}
	return strings.Join(parts, "&")
}

// faults are what no answer may be, whatever was asked.
func (a *scimAnswer) faults(method string) (faults []string) {
	add := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if len(a.raw) == 0 {
		if a.status != http.StatusNoContent && a.status != http.StatusNotModified && method != http.MethodHead {
			add("no body")
		}
		return faults
	}
	if ct := a.header["Content-Type"]; !slices.Equal(ct, []string{"application/scim+json"}) {
		add("content type %q", ct)
	}
	if where := nullIn(a.body, "$"); where != "" {
		add("null at %s", where)
	}
	if schemas, _ := a.get("schemas").([]any); len(schemas) == 0 {
		add("no schemas")
	}
	if a.status >= 400 {
		if a.text("status") != fmt.Sprint(a.status) || a.text("detail") == "" {
			add("no SCIM error")
		}
		return faults
	}
	if location := a.text("meta", "location"); a.text("id") != "" && location != "" && a.text("meta", "version") != "" {
		if a.header.Get("Location") != location {
			add("Location %q", a.header.Get("Location"))
		}
		if a.header.Get("ETag") != a.text("meta", "version") {
			add("ETag %q", a.header.Get("ETag"))
		}
		if !strings.HasSuffix(location, "/"+a.text("id")) {
			add("meta.location of another resource")
		}
	}
	return faults
}

func nullIn(v any, at string) string {
	switch v := v.(type) {
	case nil:
		return at
	case map[string]any:
		for name, part := range v {
			if where := nullIn(part, at+"."+name); where != "" {
				return where
			}
		}
	case []any:
		for i, part := range v {
			if where := nullIn(part, fmt.Sprintf("%s[%d]", at, i)); where != "" {
				return where
			}
		}
	}
	return ""
}

// exchange is one request of a replay and the answer that must come. <name> stands
// for an id that an earlier exchange saved.
type exchange struct {
	name         string
	method, path string
	body         string
	status       int
	want         string   // JSON that the answer must contain: objects may have more members, lists may not
	without      []string // members that the answer's object must not have
	save         string   // what to call the id of the answer
	header       map[string]string
}

// replay runs the exchanges one after the other and stops at the first that fails.
func (w *scimWorld) replay(t *testing.T, exchanges []exchange) {
	t.Helper()
	for _, x := range exchanges {
		if !t.Run(x.name, func(t *testing.T) { w.exchange(t, x) }) {
			t.FailNow()
		}
	}
}

func (w *scimWorld) exchange(t *testing.T, x exchange) {
	t.Helper()
	a := w.send(t, scimRequest{method: x.method, path: w.fill(t, x.path), body: w.fill(t, x.body), header: x.header})
	if a.status != x.status {
		t.Fatalf("status %d, want %d: %s", a.status, x.status, a.raw)
	}
	if x.want != "" {
		d := json.NewDecoder(strings.NewReader(w.fill(t, x.want)))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil {
			t.Fatalf("the wanted JSON: %v", err)
		}
		if diff := lacks(want, a.body, "$"); diff != "" {
			t.Errorf("%s\nin %s", diff, a.raw)
		}
	}
	for _, name := range x.without {
		if v := a.get(name); v != nil {
			t.Errorf("the answer has %s: %v", name, v)
		}
	}
	if x.save != "" {
		w.saved[x.save] = a.text("id")
	}
}

var placeholder = regexp.MustCompile(`<[a-z]+>`)

func (w *scimWorld) fill(t *testing.T, s string) string {
	return placeholder.ReplaceAllStringFunc(s, func(name string) string {
		id, ok := w.saved[strings.Trim(name, "<>")]
		if !ok {
			t.Fatalf("nothing was saved as %s", name)
		}
		return id
	})
}

// lacks says what of want is not in got.
func lacks(want, got any, at string) string {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %v, want an object", at, got)
		}
		for name, part := range want {
			have, ok := object[name]
			if !ok {
				return fmt.Sprintf("%s.%s is missing", at, name)
			}
			if diff := lacks(part, have, at+"."+name); diff != "" {
				return diff
			}
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return fmt.Sprintf("%s is %v, want a list of %d", at, got, len(want))
		}
		for i := range want {
			if diff := lacks(want[i], list[i], fmt.Sprintf("%s[%d]", at, i)); diff != "" {
				return diff
			}
		}
	default:
		if want != got {
			return fmt.Sprintf("%s is %v, want %v", at, got, want)
		}
	}
	return ""
}

// pushed is the state of the directory in words that do not depend on ids: what a
// reader of the clients' documentation would predict.
type pushed struct {
	Users  map[string]pushedUser // by userName
	Groups map[string]pushedGroup
}

type pushedUser struct {
	ExternalID string
	Inactive   bool
	Name       string // displayName
	Emails     []string
	Manager    string // userName, or the id of nobody
	Number     string // employeeNumber
	Groups     []string
}

type pushedGroup struct {
	ExternalID string
	Members    []string // as stated
	Effective  []string // as published
}

// holds compares the state with what it should be, as the store has it and as SCIM
// shows it to the client.
func (w *scimWorld) holds(t *testing.T, want pushed) {
	t.Helper()
	if diff := cmp.Diff(want, w.stored(t)); diff != "" {
		t.Errorf("the store: %s", diff)
	}
	for name, g := range want.Groups {
		g.Effective = nil // SCIM shows the stated members
		want.Groups[name] = g
	}
	if diff := cmp.Diff(want, w.shown(t)); diff != "" {
		t.Errorf("SCIM: %s", diff)
	}
}

// stored reads the state from the database.
func (w *scimWorld) stored(t *testing.T) pushed {
	t.Helper()
	ctx, state := t.Context(), pushed{map[string]pushedUser{}, map[string]pushedGroup{}}
	err := w.store.View(ctx, func(r store.Reader) error {
		q := store.Query{Org: w.org, Directory: &w.directory, Limit: 20_000}
		users, err := r.Users(ctx, q)
		if err != nil {
			return err
		}
		groups, err := r.Groups(ctx, q)
		if err != nil {
			return err
		}
		names, keys := map[store.ID]string{}, []store.Key{}
		for _, u := range users.Items {
			names[u.ID], keys = u.Attributes.UserName, append(keys, u.Key)
		}
		for _, g := range groups.Items {
			names[g.ID] = g.DisplayName
		}
		memberships, err := r.Memberships(ctx, w.org, nil, keys)
		if err != nil {
			return err
		}
		of := map[store.Key][]string{}
		for _, m := range memberships {
			of[m.User] = append(of[m.User], m.DisplayName)
		}
		for _, u := range users.Items {
			a := u.Attributes
			p := pushedUser{ExternalID: u.ExternalID, Inactive: !u.Active(), Name: a.DisplayName, Groups: sorted(of[u.Key])}
			for _, e := range a.Emails {
				p.Emails = append(p.Emails, e.Value)
			}
			if e := a.Enterprise; e != nil {
				if p.Number = e.EmployeeNumber; e.Manager != nil {
					p.Manager = nameOr(names, e.Manager.Value)
				}
			}
			state.Users[a.UserName] = p
		}
		for _, g := range groups.Items {
			p := pushedGroup{ExternalID: g.ExternalID}
			for _, effective := range []bool{false, true} {
				page, err := r.Members(ctx, store.MemberQuery{Org: w.org, Group: g.Key, Effective: effective})
				if err != nil {
					return err
				}
				var members []string
				for _, m := range page.Items {
					members = append(members, names[m.ID])
				}
				if effective {
					p.Effective = sorted(members)
				} else {
					p.Members = sorted(members)
				}
			}
			state.Groups[g.DisplayName] = p
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func nameOr(names map[store.ID]string, id string) string {
	if name, ok := names[store.ID(id)]; ok {
		return name
	}
	return id
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// shown reads the state over SCIM.
func (w *scimWorld) shown(t *testing.T) pushed {
	t.Helper()
	type ref struct{ Value, Display string }
	var users struct {
		Resources []struct {
			ID, ExternalID, UserName, DisplayName string
			Active                                bool
			Emails, Groups                        []ref
			Enterprise                            struct {
				EmployeeNumber string
				Manager        struct{ Value string }
			} `json:"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"`
		}
	}
	var groups struct {
		Resources []struct {
			ID, ExternalID, DisplayName string
			Members                     []ref
		}
	}
	for path, into := range map[string]any{"/Users?count=1000": &users, "/Groups?count=1000": &groups} {
		a := w.send(t, scimRequest{method: http.MethodGet, path: path})
		if err := json.Unmarshal(a.raw, into); a.status != http.StatusOK || err != nil {
			t.Fatalf("%d %s: %v", a.status, a.raw, err)
		}
	}
	names := map[store.ID]string{}
	for _, u := range users.Resources {
		names[store.ID(u.ID)] = u.UserName
	}
	for _, g := range groups.Resources {
		names[store.ID(g.ID)] = g.DisplayName
	}
	state := pushed{map[string]pushedUser{}, map[string]pushedGroup{}}
	for _, u := range users.Resources {
		p := pushedUser{
			ExternalID: u.ExternalID, Inactive: !u.Active, Name: u.DisplayName, Number: u.Enterprise.EmployeeNumber,
			Manager: nameOr(names, u.Enterprise.Manager.Value),
		}
		for _, e := range u.Emails {
			p.Emails = append(p.Emails, e.Value)
		}
		for _, g := range u.Groups {
			p.Groups = append(p.Groups, g.Display)
		}
		p.Groups = sorted(p.Groups)
		state.Users[u.UserName] = p
	}
	for _, g := range groups.Resources {
		p := pushedGroup{ExternalID: g.ExternalID}
		for _, m := range g.Members {
			p.Members = append(p.Members, names[store.ID(m.Value)])
		}
		p.Members = sorted(p.Members)
		state.Groups[g.DisplayName] = p
	}
	return state
}

// events counts the events of the organization.
func (w *scimWorld) events(t *testing.T) int {
	t.Helper()
	return len(w.log(t))
}

func (w *scimWorld) log(t *testing.T) (events []store.Event) {
	t.Helper()
	err := w.store.View(t.Context(), func(r store.Reader) error {
		var after int64
		for {
			page, err := r.Events(t.Context(), store.EventQuery{Org: w.org, After: after, Limit: 1000})
			if err != nil || len(page) == 0 {
				return err
			}
			events, after = append(events, page...), page[len(page)-1].Cursor
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return events
}
