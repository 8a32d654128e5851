package auth_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

// bind makes a binding of the directory for the subject "client".
func (w *world) bind(t *testing.T, i *testenv.OIDCIssuer) *store.OIDCBinding {
	t.Helper()
	b := &store.OIDCBinding{Org: w.org, Directory: w.dir, Name: "client", Issuer: i.URL, Audience: "provost", Subject: "client"}
	w.update(t, func(tx store.Tx) error {
		fresh := *b
		err := auth.Bind(t.Context(), tx, &fresh, store.Cause{Actor: store.Actor{Kind: "system"}}, w.clock())
		*b = fresh
		return err
	})
	return b
}

// token is one of the binding, good for an hour of the world's clock.
func (w *world) token(i *testenv.OIDCIssuer) string {
	return i.Token(map[string]any{"aud": "provost", "sub": "client", "exp": w.clock().Add(time.Hour).Unix()})
}

func TestATokenOfAnIssuerIsWhoItsBindingSays(t *testing.T) {
	w, i := newWorld(t, auth.Options{}), testenv.OIDC(t, "")
	b := w.bind(t, i)
	p, err := w.Directory(t.Context(), "Bearer "+w.token(i))
	if err != nil {
		t.Fatal(err)
	}
	if p.Directory != w.dir || p.Org != w.org || p.Binding != b.ID || p.DirectoryID == "" || p.May(auth.RuleAuditor) == nil ||
		p.Actor() != (store.Actor{Kind: "oidc", ID: string(b.ID), Name: "client"}) {
		t.Errorf("the principal is %+v", p)
	}
	if _, err := w.Admin(t.Context(), "Bearer "+w.token(i)); store.CodeOf(err) != store.CodeForbidden {
		t.Errorf("as an administrator: %v", err)
	}
}

func TestATokenOfAnIssuerIsRememberedAndExpires(t *testing.T) {
	w, i := newWorld(t, auth.Options{}), testenv.OIDC(t, "")
	b, token := w.bind(t, i), w.token(i)
	ask := func() error {
		_, err := w.Directory(t.Context(), "Bearer "+token)
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	views := w.store.views
	if err := ask(); err != nil || w.store.views != views {
		t.Errorf("a second request: %v, with %d look-ups", err, w.store.views-views)
	}
	w.advance(time.Hour + 59*time.Second)
	if err := ask(); err != nil {
		t.Errorf("within the skew of clocks: %v", err)
	}
	w.advance(time.Second) // it is remembered, and has expired
	if err := ask(); store.CodeOf(err) != store.CodeUnauthorized || !strings.Contains(err.Error(), "expired since 2026-03-01T13:00:00Z") {
		t.Errorf("expired: %v", err)
	}
	token = w.token(i)
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	w.update(t, func(tx store.Tx) error { return auth.Unbind(t.Context(), tx, b, store.Cause{}, w.clock()) })
	w.advance(2 * time.Second) // so it ends where it was not removed
	if err := ask(); store.CodeOf(err) != store.CodeUnauthorized {
		t.Errorf("after its binding is removed: %v", err)
	}
}

func TestABindingThatIsRemovedHereEndsAtOnce(t *testing.T) {
	w, i := newWorld(t, auth.Options{}), testenv.OIDC(t, "")
	b, token := w.bind(t, i), w.token(i)
	if _, err := w.Directory(t.Context(), "Bearer "+token); err != nil {
		t.Fatal(err)
	}
	w.update(t, func(tx store.Tx) error { return auth.Unbind(t.Context(), tx, b, store.Cause{}, w.clock()) })
	w.Forget()
	if _, err := w.Directory(t.Context(), "Bearer "+token); store.CodeOf(err) != store.CodeUnauthorized {
		t.Errorf("the token: %v", err)
	}
}

func TestTheLastUseOfABindingIsWrittenAtMostOnceAMinute(t *testing.T) {
	w, i := newWorld(t, auth.Options{}), testenv.OIDC(t, "")
	w.bind(t, i)
	token := w.token(i)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	defer running.Wait()
	defer stop()
	lastUse := func() (at time.Time) {
		err := w.store.Store.View(t.Context(), func(r store.Reader) error {
			list, err := r.OIDCBindings(t.Context(), w.org, w.dir)
			at = list[0].LastUsedAt
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	first := w.clock()
	for range 3 { // at 0, 30 and 60 s
		if _, err := w.Directory(t.Context(), "Bearer "+token); err != nil {
			t.Fatal(err)
		}
		if w.clock().Equal(first) {
			waitUntil(t, func() bool { return lastUse().Equal(first) })
		}
		w.advance(30 * time.Second)
	}
	waitUntil(t, func() bool { return lastUse().Equal(first.Add(time.Minute)) })
}

func waitUntil(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

func TestTokensOverlapAndEachEndsAtItsTime(t *testing.T) {
	w := newWorld(t, auth.Options{})
	old, oldSecret := w.issue(t, store.Token{Name: "old", Role: store.RoleDirectory, Org: w.org, Directory: w.dir, ExpiresAt: w.clock().Add(time.Hour)})
	_, secret := w.issue(t, store.Token{Name: "new", Role: store.RoleDirectory, Org: w.org, Directory: w.dir})
	good := func(secret string) error {
		p, err := w.Directory(t.Context(), "Bearer "+secret)
		if err == nil && p.Directory != w.dir {
			t.Errorf("it speaks for %d", p.Directory)
		}
		return err
	}
	for _, err := range []error{good(oldSecret), good(secret)} {
		if err != nil {
			t.Errorf("while both are good: %v", err)
		}
	}
	w.advance(time.Hour - time.Microsecond)
	if err := good(oldSecret); err != nil {
		t.Errorf("a moment before its end: %v", err)
	}
	w.advance(time.Microsecond)
	if err := good(oldSecret); store.CodeOf(err) != store.CodeUnauthorized || !strings.Contains(err.Error(), "expired since "+old.ExpiresAt.Format(time.RFC3339)) {
		t.Errorf("at its end, though remembered: %v", err)
	}
	if err := good(secret); err != nil {
		t.Errorf("the new one: %v", err)
	}
}
