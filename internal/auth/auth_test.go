package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
)

// world is a store, an authenticator on it, and a clock that tests move.
type world struct {
	*auth.Authenticator
	store *counting
	org   store.Key
	dir   store.Key

	mu  sync.Mutex
	now time.Time
}

// counting counts look-ups, which is how a test sees the cache.
type counting struct {
	store.Store
	views int
}

func (c *counting) View(ctx context.Context, fn func(store.Reader) error) error {
	c.views++
	return c.Store.View(ctx, fn)
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func newWorld(t *testing.T, o auth.Options) *world {
	t.Helper()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "provost.db")
	if err := gormstore.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	s, err := gormstore.Open(t.Context(), dsn, gormstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w := &world{store: &counting{Store: s}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	o.Clock = w.clock
	w.Authenticator = auth.New(w.store, o)
	w.update(t, func(tx store.Tx) error {
		org, err := tx.Organization(t.Context(), store.DefaultOrganization)
		if err != nil {
			return err
		}
		d := &store.Directory{ID: store.NewID(w.now), Org: org.Key, Name: "entra", Kind: store.DirectorySCIM,
			Settings: store.DefaultSettings(store.DirectorySCIM), CreatedAt: w.now, UpdatedAt: w.now}
		err = tx.CreateDirectory(t.Context(), d)
		w.org, w.dir = org.Key, d.Key
		return err
	})
	return w
}

func (w *world) update(t *testing.T, fn func(store.Tx) error) {
	t.Helper()
	if err := w.store.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func (w *world) issue(t *testing.T, token store.Token) (*store.Token, string) {
	t.Helper()
	var secret string
	w.update(t, func(tx store.Tx) error {
		var err error
		secret, err = auth.Issue(t.Context(), tx, &token, store.Cause{Actor: store.Actor{Kind: "system"}}, w.clock())
		return err
	})
	return &token, secret
}

func TestATokenSpeaksWhereItsRoleSays(t *testing.T) {
	w := newWorld(t, auth.Options{})
	_, owner := w.issue(t, store.Token{Name: "o", Role: store.RoleOwner})
	_, auditor := w.issue(t, store.Token{Name: "a", Role: store.RoleAuditor, Org: w.org})
	_, directory := w.issue(t, store.Token{Name: "d", Role: store.RoleDirectory, Org: w.org, Directory: w.dir})
	_, expiring := w.issue(t, store.Token{Name: "e", Role: store.RoleAdmin, ExpiresAt: w.clock().Add(time.Hour)})
	revoked, revokedSecret := w.issue(t, store.Token{Name: "r", Role: store.RoleAdmin})
	w.update(t, func(tx store.Tx) error {
		return auth.Revoke(t.Context(), tx, revoked, store.Cause{}, w.clock())
	})
	w.advance(2 * time.Hour)
	tests := []struct {
		name, header      string
		admin, directory_ store.Code
	}{
		{"an owner's token is for REST", "Bearer " + owner, "", store.CodeForbidden},
		{"an auditor's token is for REST", "bearer  " + auditor, "", store.CodeForbidden},
		{"a directory's token is for SCIM", "Bearer " + directory, store.CodeForbidden, ""},
		{"an expired token is for nothing", "Bearer " + expiring, store.CodeUnauthorized, store.CodeUnauthorized},
		{"a revoked token is for nothing", "Bearer " + revokedSecret, store.CodeUnauthorized, store.CodeUnauthorized},
		{"an unknown token is for nothing", "Bearer pvt_" + strings.Repeat("A", 43), store.CodeUnauthorized, store.CodeUnauthorized},
		{"a token that is none of ours is for nothing", "Bearer x", store.CodeUnauthorized, store.CodeUnauthorized},
		{"a very long token is for nothing", "Bearer " + strings.Repeat("x", 1<<20), store.CodeUnauthorized, store.CodeUnauthorized},
		{"a token under another scheme is for nothing", "Basic " + owner, store.CodeUnauthorized, store.CodeUnauthorized},
		{"no header is for nothing", "", store.CodeUnauthorized, store.CodeUnauthorized},
		{"a scheme alone is for nothing", "Bearer ", store.CodeUnauthorized, store.CodeUnauthorized},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := w.Admin(t.Context(), tt.header)
			if store.CodeOf(err) != tt.admin || (err == nil) != (p != nil) {
				t.Errorf("Admin = %+v, %v; want code %q", p, err, tt.admin)
			}
			p, err = w.Directory(t.Context(), tt.header)
			if store.CodeOf(err) != tt.directory_ || (err == nil) != (p != nil) {
				t.Errorf("Directory = %+v, %v; want code %q", p, err, tt.directory_)
			}
			if p != nil && (p.Org != w.org || p.Directory != w.dir || p.Actor().Name != "d") {
				t.Errorf("the directory's principal is %+v", p)
			}
		})
	}
}

func TestASecretIsStoredOnlyAsItsHash(t *testing.T) {
	w := newWorld(t, auth.Options{})
	token, secret := w.issue(t, store.Token{Name: "o", Role: store.RoleOwner})
	if !strings.HasPrefix(secret, token.Prefix) || len(token.Prefix) >= len(secret)/2 || strings.Contains(string(token.Hash), secret) {
		t.Errorf("secret %q, prefix %q, hash %x", secret, token.Prefix, token.Hash)
	}
	_, again := w.issue(t, store.Token{Name: "o", Role: store.RoleOwner})
	if again == secret {
		t.Error("two tokens have one secret")
	}
}

func TestARememberedTokenIsNotLookedUpAgainUntilItsTimeIsOver(t *testing.T) {
	w := newWorld(t, auth.Options{})
	_, secret := w.issue(t, store.Token{Name: "o", Role: store.RoleOwner})
	ask := func() {
		t.Helper()
		if _, err := w.Admin(t.Context(), "Bearer "+secret); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	ask()
	if w.store.views != 1 {
		t.Errorf("%d look-ups for two requests at once, want 1", w.store.views)
	}
	w.advance(2 * time.Second)
	ask()
	if w.store.views != 2 {
		t.Errorf("%d look-ups after two seconds, want 2", w.store.views)
	}
}

func TestARevokedTokenStopsAtOnceWhereItWasRevoked(t *testing.T) {
	w := newWorld(t, auth.Options{})
	token, secret := w.issue(t, store.Token{Name: "o", Role: store.RoleOwner})
	if _, err := w.Admin(t.Context(), "Bearer "+secret); err != nil {
		t.Fatal(err)
	}
	w.update(t, func(tx store.Tx) error { return auth.Revoke(t.Context(), tx, token, store.Cause{}, w.clock()) })
	w.Forget()
	if _, err := w.Admin(t.Context(), "Bearer "+secret); store.CodeOf(err) != store.CodeUnauthorized {
		t.Errorf("the revoked token: %v", err)
	}
}

func TestTheCacheHoldsNoMoreThanItsSize(t *testing.T) {
	w := newWorld(t, auth.Options{CacheSize: 2})
	var secrets []string
	for range 5 {
		_, s := w.issue(t, store.Token{Name: "o", Role: store.RoleOwner})
		secrets = append(secrets, s)
	}
	for range 3 {
		for _, s := range secrets {
			if _, err := w.Admin(t.Context(), "Bearer "+s); err != nil {
				t.Fatal(err)
			}
		}
	}
	if w.store.views < 8 {
		t.Errorf("%d look-ups of 5 tokens with room for 2", w.store.views)
	}
}

func TestTheLastUseIsWrittenAtMostOnceAMinute(t *testing.T) {
	w := newWorld(t, auth.Options{})
	token, secret := w.issue(t, store.Token{Name: "o", Role: store.RoleOwner, Org: w.org})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	defer running.Wait()
	defer stop()

	lastUse := func() (at time.Time) {
		err := w.store.Store.View(t.Context(), func(r store.Reader) error {
			list, err := r.Tokens(t.Context(), w.org, nil)
			for _, x := range list {
				if x.ID == token.ID {
					at = x.LastUsedAt
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	use := func() {
		if _, err := w.Admin(t.Context(), "Bearer "+secret); err != nil {
			t.Fatal(err)
		}
	}
	waitFor := func(want time.Time) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !lastUse().Equal(want); {
			if time.Now().After(deadline) {
				t.Fatalf("the last use is %v, want %v", lastUse(), want)
			}
		}
	}
	first := w.clock()
	use()
	waitFor(first)
	w.advance(30 * time.Second)
	use()
	w.advance(30 * time.Second)
	use()
	waitFor(first.Add(time.Minute))
}

func TestABadTokenIsNotIssued(t *testing.T) {
	w := newWorld(t, auth.Options{})
	tests := []struct {
		name  string
		token store.Token
	}{
		{"without a name", store.Token{Role: store.RoleOwner}},
		{"with a very long name", store.Token{Role: store.RoleOwner, Name: strings.Repeat("x", 256)}},
		{"with an unknown role", store.Token{Role: "root", Name: "n"}},
		{"of no directory with the role directory", store.Token{Role: store.RoleDirectory, Name: "n", Org: w.org}},
		{"of a directory with the role owner", store.Token{Role: store.RoleOwner, Name: "n", Org: w.org, Directory: w.dir}},
		{"that has expired already", store.Token{Role: store.RoleOwner, Name: "n", ExpiresAt: w.clock()}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := w.store.Update(t.Context(), func(tx store.Tx) error {
				_, err := auth.Issue(t.Context(), tx, &tt.token, store.Cause{}, w.clock())
				return err
			})
			if store.CodeOf(err) != store.CodeInvalid {
				t.Errorf("Issue: %v", err)
			}
		})
	}
}

func TestTheMiddlewareAsksForATokenAndHandsThePrincipalOn(t *testing.T) {
	w := newWorld(t, auth.Options{})
	_, secret := w.issue(t, store.Token{Name: "me", Role: store.RoleAuditor})
	var seen *auth.Principal
	handler := w.AdminOnly(func(c echo.Context) error {
		seen = auth.PrincipalOf(c.Request().Context())
		return nil
	})
	call := func(header string) (*httptest.ResponseRecorder, error) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", header)
		rec := httptest.NewRecorder()
		return rec, handler(echo.New().NewContext(r, rec))
	}
	rec, err := call("")
	var refusal *store.Error
	if !errors.As(err, &refusal) || refusal.Code != store.CodeUnauthorized || rec.Header().Get("WWW-Authenticate") != auth.Challenge || seen != nil {
		t.Errorf("without a token: %v, header %v, principal %v", err, rec.Header(), seen)
	}
	if _, err := call("Bearer " + secret); err != nil || seen == nil || seen.Name != "me" || seen.May(auth.RuleAuditor) != nil || seen.May(auth.RuleAdmin) == nil {
		t.Errorf("with a token: %v, principal %+v", err, seen)
	}
}
