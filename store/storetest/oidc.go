package storetest

import (
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

const (
	anIssuer   = "https://sts.windows.net/0a0a0a0a-0000-4000-8000-000000000001/"
	anAudience = "8adf8e6e-67b2-4cf2-a259-e3dc5476c621"
)

// binding is one of the place's directory.
func (p *place) binding(subject, app string) *store.OIDCBinding {
	return &store.OIDCBinding{
		ID: store.NewID(p.now), Org: p.org, Directory: p.dir, Name: "entra", Issuer: anIssuer, Audience: anAudience,
		Subject: subject, AppID: app, CreatedAt: p.now,
	}
}

func (e *env) bind(b *store.OIDCBinding) *store.OIDCBinding {
	e.Helper()
	e.update(func(x store.Tx) error { return x.CreateOIDCBinding(e.Context(), b) })
	return b
}

// unbound tries to bind and returns the refusal.
func (e *env) unbound(b *store.OIDCBinding) (refusal string) {
	e.Helper()
	e.refused(store.CodeConflict, func(x store.Tx) error {
		err := x.CreateOIDCBinding(e.Context(), b)
		if err != nil {
			refusal = err.Error()
		}
		return err
	})
	return refusal
}

func (e *env) fits(c store.OIDCClaims) (ids []store.ID, known bool) {
	e.Helper()
	e.view(func(r store.Reader) error {
		list, ok, err := r.OIDCBindingsOf(e.Context(), c)
		known = ok
		for i := range list {
			ids = append(ids, list[i].ID)
		}
		return err
	})
	return ids, known
}

var oidc = map[string]func(*env){
	"bindings are listed newest first, of one directory": func(e *env) {
		p := e.at("alpha")
		first, second := e.bind(p.binding("s", "")), e.bind(p.binding("", "a"))
		e.bind(e.at("beta").binding("t", "b"))
		have := got(e, func(r store.Reader) ([]store.OIDCBinding, error) { return r.OIDCBindings(e.Context(), p.org, p.dir) })
		if diff := cmp.Diff([]store.OIDCBinding{*second, *first}, have); diff != "" {
			e.Errorf("bindings (-want +got):\n%s", diff)
		}
	},
	"a token fits the bindings whose every word it has": func(e *env) {
		p := e.at("alpha")
		subject, both := e.bind(p.binding("s", "")), e.bind(p.binding("s", "a"))
		app := e.bind(p.binding("", "a"))
		other := p.binding("s", "")
		other.Audience = "another"
		e.bind(other)
		for name, tt := range map[string]struct {
			claims store.OIDCClaims
			want   []store.ID
			known  bool
		}{
			"subject and app": {store.OIDCClaims{Issuer: anIssuer, Audiences: []string{anAudience}, Subject: "s", AppIDs: []string{"a"}},
				[]store.ID{both.ID, subject.ID, app.ID}, true},
			"only the subject":     {store.OIDCClaims{Issuer: anIssuer, Audiences: []string{anAudience}, Subject: "s"}, []store.ID{subject.ID}, true},
			"only one of its apps": {store.OIDCClaims{Issuer: anIssuer, Audiences: []string{"x", anAudience}, Subject: "t", AppIDs: []string{"b", "a"}}, []store.ID{app.ID}, true},
			"neither":              {store.OIDCClaims{Issuer: anIssuer, Audiences: []string{anAudience}, Subject: "t", AppIDs: []string{"b"}}, nil, true},
			"nothing at all":       {store.OIDCClaims{Issuer: anIssuer, Audiences: []string{anAudience}}, nil, true},
			"another audience":     {store.OIDCClaims{Issuer: anIssuer, Audiences: []string{"another"}, Subject: "s"}, []store.ID{other.ID}, true},
			"no such audience":     {store.OIDCClaims{Issuer: anIssuer, Audiences: []string{"x"}, Subject: "s"}, nil, true},
			"no audience":          {store.OIDCClaims{Issuer: anIssuer, Subject: "s"}, nil, true},
			"another case":         {store.OIDCClaims{Issuer: anIssuer, Audiences: []string{anAudience}, Subject: "S"}, nil, true},
			"another issuer":       {store.OIDCClaims{Issuer: strings.TrimSuffix(anIssuer, "/"), Audiences: []string{anAudience}, Subject: "s"}, nil, false},
		} {
			have, known := e.fits(tt.claims)
			if diff := cmp.Diff(tt.want, have); diff != "" || known != tt.known {
				e.Errorf("%s: known %v, want %v; bindings (-want +got):\n%s", name, known, tt.known, diff)
			}
		}
	},
	"no token can fit bindings of two directories": func(e *env) {
		p, q := e.at("alpha"), e.at("beta")
		for _, tt := range []struct {
			name                      string
			subject, app, his, hisApp string
			free                      bool
		}{
			{"the same", "s1", "a1", "s1", "a1", false},
			{"the same subject", "s2", "", "s2", "", false},
			{"an app beside a subject", "s3", "", "", "a3", false},
			{"a narrower one", "", "a4", "s4", "a4", false},
			{"a wider one", "s5", "a5", "s5", "", false},
			{"another subject", "s6", "", "t6", "", true},
			{"the same app with another subject", "s7", "a7", "t7", "a7", true},
			{"the same subject with another app", "s8", "a8", "s8", "b8", true},
		} {
			mine, his := p.binding(tt.subject, tt.app), q.binding(tt.his, tt.hisApp)
			mine.Audience, his.Audience = tt.name, tt.name
			e.bind(mine)
			if tt.free {
				e.bind(his)
				continue
			}
			if refusal := e.unbound(his); !strings.Contains(refusal, `"alpha"`) {
				e.Errorf("%s: the refusal does not name the directory: %s", tt.name, refusal)
			}
		}
		again := p.binding("s2", "")
		again.Audience = "the same subject"
		e.unbound(again) // in the same directory
	},
	"a binding of another organization is in the way and is not named": func(e *env) {
		p, other := e.at("alpha"), e.elsewhere()
		e.bind(other.binding("s", ""))
		if refusal := e.unbound(p.binding("s", "")); !strings.Contains(refusal, "another organization") || strings.Contains(refusal, "alpha") {
			e.Errorf("the refusal is: %s", refusal)
		}
	},
	"of bindings that are made at one moment one is refused": func(e *env) {
		p, q := e.at("alpha"), e.at("beta")
		errs := make([]error, 2)
		var wg sync.WaitGroup
		for i, b := range []*store.OIDCBinding{p.binding("s", ""), q.binding("s", "")} {
			wg.Go(func() {
				errs[i] = e.s.Update(e.Context(), func(x store.Tx) error {
					again := *b
					return x.CreateOIDCBinding(e.Context(), &again)
				})
			})
		}
		wg.Wait()
		if a, b := store.CodeOf(errs[0]), store.CodeOf(errs[1]); a+b != store.CodeConflict {
			e.Errorf("codes %q and %q: %v, %v", a, b, errs[0], errs[1])
		}
	},
	"a binding is deleted by its directory and goes with it": func(e *env) {
		p, q, other := e.at("alpha"), e.at("beta"), e.elsewhere()
		b, kept := e.bind(p.binding("s", "")), e.bind(p.binding("t", ""))
		for _, x := range []*place{q, other} {
			e.refused(store.CodeNotFound, func(t store.Tx) error { return t.DeleteOIDCBinding(e.Context(), x.org, x.dir, b.ID) })
		}
		e.refused(store.CodeNotFound, func(t store.Tx) error { return t.DeleteOIDCBinding(e.Context(), p.org, p.dir, "nonsense") })
		e.update(func(t store.Tx) error { return t.DeleteOIDCBinding(e.Context(), p.org, p.dir, b.ID) })
		e.refused(store.CodeNotFound, func(t store.Tx) error { return t.DeleteOIDCBinding(e.Context(), p.org, p.dir, b.ID) })
		claims := store.OIDCClaims{Issuer: anIssuer, Audiences: []string{anAudience}, Subject: kept.Subject}
		if ids, _ := e.fits(claims); len(ids) != 1 || ids[0] != kept.ID {
			e.Errorf("left are %v, want %v", ids, kept.ID)
		}
		e.update(func(t store.Tx) error { return t.DeleteDirectory(e.Context(), p.org, p.dir, e.now) })
		if ids, known := e.fits(claims); len(ids) != 0 || known {
			e.Errorf("after the directory is deleted: %v, issuer known %v", ids, known)
		}
		e.bind(q.binding("t", ""))
	},
	"the last use of a binding is written at most once a minute": func(e *env) {
		p := e.at("alpha")
		b := e.bind(p.binding("s", ""))
		for _, step := range []struct{ at, want time.Duration }{
			{0, 0}, {59 * time.Second, 0}, {time.Minute, time.Minute}, {90 * time.Second, time.Minute},
		} {
			e.update(func(x store.Tx) error { return x.TouchOIDCBinding(e.Context(), b.Key, e.now.Add(step.at)) })
			have := got(e, func(r store.Reader) ([]store.OIDCBinding, error) { return r.OIDCBindings(e.Context(), p.org, p.dir) })
			if len(have) != 1 || !have[0].LastUsedAt.Equal(e.now.Add(step.want)) {
				e.Errorf("used after %v: %+v, want the last use %v", step.at, have, e.now.Add(step.want))
			}
		}
	},
	"a binding of the longest words is found": func(e *env) {
		long := func() string { // of random letters, which no index can compress
			b := make([]byte, store.MaxOIDCText)
			for i := range b {
				b[i] = byte('!' + rand.IntN('~'-'!'))
			}
			return string(b)
		}
		b := e.at("alpha").binding(long(), long())
		b.Issuer, b.Audience = long(), long()
		e.bind(b)
		if ids, _ := e.fits(store.OIDCClaims{Issuer: b.Issuer, Audiences: []string{b.Audience}, Subject: b.Subject, AppIDs: []string{b.AppID}}); len(ids) != 1 {
			e.Errorf("it is found %d times", len(ids))
		}
	},
}
