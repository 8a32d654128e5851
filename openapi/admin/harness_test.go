package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/internal/seal"
	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/openapi/admin"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
	"github.com/provost-scim/provost/sync/domain"
	"github.com/provost-scim/provost/sync/ldap"
	"github.com/provost-scim/provost/sync/notify"
	"github.com/provost-scim/provost/sync/reconcile"
	"github.com/provost-scim/provost/sync/run"
)

// world is the REST interface on a real store, with a token for each kind of
// caller.
type world struct {
	t          *testing.T
	store      store.Store
	reconciler *reconcile.Reconciler
	server     *admin.Server
	router     routers.Router
	org        store.Key
	other      store.Key

	instance, owner, admin, auditor, stranger, directory string // secrets; stranger owns the other organization

	log *journal
}

// in is the same world in a subtest.
func (w *world) in(t *testing.T) *world {
	sub := *w
	sub.t = t
	return &sub
}

// journal is what the server logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func TestMain(m *testing.M) { testenv.Main(m) }

func migrate(dsn string) error { return gormstore.Migrate(context.Background(), dsn) }

// onBoth runs a test on both engines.
func onBoth(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, newWorld(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, newWorldOn(t, testenv.Postgres(t).Database(t, migrate))) })
}

// asText lets the validator read answers that are lines of JSON.
var asText = sync.OnceFunc(func() {
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.PlainBodyDecoder)
})

func newWorld(t *testing.T, adjust ...func(*admin.Options)) *world {
	t.Helper()
	return newWorldOn(t, "sqlite:"+filepath.Join(t.TempDir(), "provost.db"), adjust...)
}

func newWorldOn(t *testing.T, dsn string, adjust ...func(*admin.Options)) *world {
	t.Helper()
	asText()
	if err := gormstore.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, log: &journal{}}
	s, err := gormstore.Open(t.Context(), dsn, gormstore.Options{
		Logged: func() { w.server.Logged() }, RunMoved: func(run store.ID) { w.server.RunMoved(run) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w.store, w.reconciler = s, reconcile.New(s, reconcile.Options{})
	sealer, err := seal.New(bytes.Repeat([]byte{7}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	o := admin.Options{
		Store: s, Reconciler: w.reconciler, Auth: auth.New(s, auth.Options{}), Runs: decider{s, run.New(s, w.reconciler, run.Options{})},
		NormalizeDomain: domain.Normalize, Verify: w.find,
		Keep:    func(context.Context, store.Key, store.Key, store.Cause) error { return nil },
		NextRun: run.Next,
		CheckLDAP: func(_ context.Context, settings store.LDAP, secret string) error {
			_, err := ldap.New(settings, secret, ldap.Options{})
			return err
		},
		CheckWelcome: notify.CheckWelcome, MailServer: true,
		Webhooks: notify.NewWebhooks(s, notify.WebhookOptions{
			Reach: notify.Reach{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
			Seal:  func(p []byte, id store.ID) ([]byte, error) { return sealer.Seal(p, seal.WebhookSecret(string(id))) },
			Open:  func(p []byte, id store.ID) ([]byte, error) { return sealer.Open(p, seal.WebhookSecret(string(id))) },
		}),
		Seal: func(p []byte, d store.ID) ([]byte, error) { return sealer.Seal(p, seal.BindPassword(string(d))) },
		Open: func(p []byte, d store.ID) ([]byte, error) { return sealer.Open(p, seal.BindPassword(string(d))) },
		Log:  slog.New(slog.NewTextHandler(w.log, nil)),
		Poll: 10 * time.Millisecond,
	}
	for _, fn := range adjust {
		fn(&o)
	}
	if w.server, err = admin.New(o); err != nil {
		t.Fatal(err)
	}
	doc, err := openapi.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	doc.OpenAPI = "3.0.3" // the validator of 3.0 says which field is wrong; the document keeps to both
	doc.Info.License, doc.Info.Summary = nil, ""
	if w.router, err = legacy.NewRouter(doc); err != nil {
		t.Fatal(err)
	}
	w.people()
	return w
}

// find is what checks a domain in these tests: it leaves it as it is.
func (w *world) find(ctx context.Context, org store.Key, ref string, _ store.Cause) (d *store.Domain, err error) {
	err = w.store.View(ctx, func(r store.Reader) error {
		d, err = r.Domain(ctx, org, ref)
		return err
	})
	return d, err
}

// decider decides on runs as they are stored; nothing here reads a directory. The
// engine, which is not running, plans what is staged.
type decider struct {
	store  store.Store
	engine *run.Engine
}

func (d decider) PlanItems(ctx context.Context, org store.Key, id store.ID, window int) ([]store.PlanItem, error) {
	return d.engine.PlanItems(ctx, org, id, window)
}

func (d decider) PlanMembers(ctx context.Context, org store.Key, id store.ID, window int) ([]store.PlanMember, error) {
	return d.engine.PlanMembers(ctx, org, id, window)
}

func (d decider) Plan(ctx context.Context, org store.Key, ref string, cause store.Cause) (*store.Run, error) {
	return d.create(ctx, org, ref, false, cause)
}

func (d decider) Start(ctx context.Context, org store.Key, ref string, plan store.ID, full bool, cause store.Cause) (*store.Run, error) {
	if plan != "" {
		return d.change(ctx, org, plan, store.RunPlanned, store.RunRunning)
	}
	return d.create(ctx, org, ref, true, cause)
}

func (d decider) Approve(ctx context.Context, org store.Key, id store.ID, _ string, _ store.Cause) (*store.Run, error) {
	return d.change(ctx, org, id, store.RunHeld, store.RunRunning)
}

func (d decider) StartSelected(ctx context.Context, org store.Key, directory string, only store.Selection, cause store.Cause) (*store.Run, error) {
	return d.engine.StartSelected(ctx, org, directory, only, cause)
}

func (d decider) Search(ctx context.Context, org store.Key, directory string, q store.DirectorySearch, limit int) (*store.SearchResult, error) {
	return d.engine.Search(ctx, org, directory, q, limit)
}

func (d decider) Check(ctx context.Context, org store.Key, directory string) ([]store.CheckStep, error) {
	return d.engine.Check(ctx, org, directory)
}

func (d decider) Discard(ctx context.Context, org store.Key, id store.ID, _ store.Cause) (*store.Run, error) {
	return d.change(ctx, org, id, store.RunHeld, store.RunDiscarded)
}

func (d decider) create(ctx context.Context, org store.Key, ref string, apply bool, cause store.Cause) (run *store.Run, err error) {
	err = d.store.Update(ctx, func(tx store.Tx) error {
		dir, err := tx.Directory(ctx, org, ref)
		if err != nil {
			return err
		}
		now := time.Now().UTC().Truncate(time.Microsecond)
		run = &store.Run{ID: store.NewID(now), Org: org, Directory: dir.Key, DirectoryName: dir.Name,
			State: store.RunPlanned, Phase: store.PhaseReady, Apply: apply, Cause: cause, CreatedAt: now}
		return tx.CreateRun(ctx, run)
	})
	return run, err
}

func (d decider) change(ctx context.Context, org store.Key, id store.ID, from, to store.RunState) (run *store.Run, err error) {
	err = d.store.Update(ctx, func(tx store.Tx) error {
		if run, err = tx.LockRun(ctx, org, id); err != nil {
			return err
		}
		if run.State != from {
			return store.Errorf(store.CodeConflict, "run %s is %s", id, run.State)
		}
		run.State = to
		return tx.SaveRun(ctx, run)
	})
	return run, err
}

func (w *world) update(fn func(store.Tx) error) {
	w.t.Helper()
	if err := w.store.Update(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) view(fn func(store.Reader) error) {
	w.t.Helper()
	if err := w.store.View(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// people makes the organizations, the directory entra, and the callers.
func (w *world) people() {
	w.t.Helper()
	ctx, now := w.t.Context(), time.Now().UTC().Truncate(time.Microsecond)
	w.update(func(tx store.Tx) error {
		home, err := tx.Organization(ctx, store.DefaultOrganization)
		if err != nil {
			return err
		}
		other := store.Organization{ID: store.NewID(now), Name: "other", CreatedAt: now}
		if err := tx.CreateOrganization(ctx, &other); err != nil {
			return err
		}
		w.org, w.other = home.Key, other.Key
		settings := store.DefaultSettings(store.DirectorySCIM)
		settings.DomainPolicy = store.DomainsOff
		d := store.Directory{ID: store.NewID(now), Org: w.org, Name: "entra", Kind: store.DirectorySCIM, Settings: settings, CreatedAt: now, UpdatedAt: now}
		if err := tx.CreateDirectory(ctx, &d); err != nil {
			return err
		}
		for _, c := range []struct {
			secret *string
			token  store.Token
		}{
			{&w.instance, store.Token{Name: "instance", Role: store.RoleOwner}},
			{&w.owner, store.Token{Name: "owner", Role: store.RoleOwner, Org: w.org}},
			{&w.admin, store.Token{Name: "admin", Role: store.RoleAdmin, Org: w.org}},
			{&w.auditor, store.Token{Name: "auditor", Role: store.RoleAuditor, Org: w.org}},
			{&w.stranger, store.Token{Name: "stranger", Role: store.RoleOwner, Org: w.other}},
			{&w.directory, store.Token{Name: "directory", Role: store.RoleDirectory, Org: w.org, Directory: d.Key}},
		} {
			if *c.secret, err = auth.Issue(ctx, tx, &c.token, store.Cause{Actor: store.Actor{Kind: "system"}}, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

func (a answer) problem(t *testing.T) openapi.Problem {
	t.Helper()
	var p openapi.Problem
	a.into(t, &p)
	return p
}

// call sends a request and holds the answer against the specification. body is
// sent as it is if it is a string, else as JSON.
func (w *world) call(token, method, path string, body any, headers ...string) answer {
	w.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r := httptest.NewRequest(method, admin.Base+path, reader)
	if reader != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	a := answer{rec.Code, rec.Header(), rec.Body.Bytes()}
	route, params, err := w.router.FindRoute(r)
	if err != nil {
		return a // no operation: nothing to hold it against
	}
	err = openapi3filter.ValidateResponse(w.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		w.t.Errorf("%s %s answers %d against the specification: %v\n%s", method, path, a.status, err, a.body)
	}
	return a
}

// ask calls and wants a status; it returns the JSON of the answer.
func ask[T any](w *world, token, method, path string, body any, want int) T {
	w.t.Helper()
	a := w.call(token, method, path, body)
	var v T
	if a.status != want {
		w.t.Fatalf("%s %s answers %d, want %d: %s", method, path, a.status, want, a.body)
	}
	if len(a.body) > 0 {
		a.into(w.t, &v)
	}
	return v
}

// refused calls and wants a problem of a type and about a field.
func (w *world) refused(token, method, path string, body any, status int, code store.Code, field string) openapi.Problem {
	w.t.Helper()
	a := w.call(token, method, path, body)
	p := a.problem(w.t)
	if a.status != status || p.Type != "urn:provost:problem:"+string(code) || p.Field != field || p.Status != status {
		w.t.Errorf("%s %s answers %d %s; want %d %s about field %q", method, path, a.status, a.body, status, code, field)
	}
	if p.Detail == "" || p.RequestID == "" || a.header.Get(echo.HeaderXRequestID) != p.RequestID {
		w.t.Errorf("%s %s: the problem lacks a detail or the request's id: %s", method, path, a.body)
	}
	return p
}

// push states users and groups of a directory, as its client would.
func (w *world) push(directory string, users []store.UserStatement, groups []store.GroupStatement) *reconcile.Outcome {
	w.t.Helper()
	var d *store.Directory
	w.view(func(r store.Reader) (err error) {
		d, err = r.Directory(w.t.Context(), w.org, directory)
		return err
	})
	out, err := w.reconciler.Reconcile(w.t.Context(), store.Statement{
		Org: w.org, Directory: d.Key, Origin: store.OriginPush, Users: users, Groups: groups,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func person(name string) store.UserStatement {
	return store.UserStatement{ExternalID: "ext-" + name, Attributes: store.Attributes{
		UserName: name, DisplayName: strings.ToUpper(name), Emails: []store.Value{{Value: name + "@example.com", Type: "work", Primary: true}},
	}}
}

// lastEvent is the newest event of a type.
func (w *world) lastEvent(typ string) openapi.Event {
	w.t.Helper()
	list := ask[openapi.EventList](w, w.owner, http.MethodGet, "/events?limit=1000", nil, http.StatusOK)
	for _, e := range slices.Backward(list.Items) {
		if e.Type == typ {
			return e
		}
	}
	w.t.Fatalf("there is no event %s among %d", typ, len(list.Items))
	return openapi.Event{}
}
