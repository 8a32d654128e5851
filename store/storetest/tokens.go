package storetest

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

func contextWithCancel(e *env) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(e.Context())
	e.Cleanup(cancel)
	return ctx, cancel
}

func newToken(e *env, name string, directory store.Key) *store.Token {
	hash := sha256.Sum256([]byte(name))
	t := &store.Token{
		ID: store.NewID(e.now), Org: e.org, Directory: directory, Name: name, Role: store.RoleAdmin, Hash: hash[:], Prefix: "pv_" + name, CreatedAt: e.now,
	}
	if directory != 0 {
		t.Role = store.RoleDirectory
	}
	return t
}

func createToken(e *env, t *store.Token) {
	e.Helper()
	e.update(func(x store.Tx) error { return x.CreateToken(e.Context(), t) })
}

func tokenOf(e *env, hash []byte) *store.Token {
	e.Helper()
	return got(e, func(r store.Reader) (*store.Token, error) { return r.TokenByHash(e.Context(), hash) })
}

var tokens = map[string]func(*env){
	"a token is found by the hash of its secret": func(e *env) {
		want := newToken(e, "one", e.directory("alpha", store.DirectorySCIM).Key)
		want.ExpiresAt = e.now.Add(time.Hour)
		createToken(e, want)
		if diff := cmp.Diff(want, tokenOf(e, want.Hash)); diff != "" {
			e.Errorf("token (-want +got):\n%s", diff)
		}
		other := sha256.Sum256([]byte("other"))
		absent(e, func(r store.Reader) (*store.Token, error) { return r.TokenByHash(e.Context(), other[:]) })
	},
	"tokens are listed newest first, of all or of one directory": func(e *env) {
		d := e.directory("alpha", store.DirectorySCIM)
		instance := newToken(e, "instance", 0)
		instance.Org = 0
		first, second := newToken(e, "first", d.Key), newToken(e, "second", 0)
		for _, t := range []*store.Token{instance, first, second} {
			createToken(e, t)
		}
		for _, tt := range []struct {
			name      string
			org       store.Key
			directory *store.Key
			want      []store.Token
		}{
			{"organization", e.org, nil, []store.Token{*second, *first}},
			{"directory", e.org, &d.Key, []store.Token{*first}},
			{"instance", 0, nil, []store.Token{*instance}},
		} {
			have := got(e, func(r store.Reader) ([]store.Token, error) { return r.Tokens(e.Context(), tt.org, tt.directory) })
			if diff := cmp.Diff(tt.want, have); diff != "" {
				e.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
		}
	},
	"a revoked token stays, with the time of its first revocation": func(e *env) {
		t := newToken(e, "one", 0)
		createToken(e, t)
		for _, after := range []time.Duration{time.Minute, time.Hour} {
			e.update(func(x store.Tx) error { return x.RevokeToken(e.Context(), e.org, t.ID, e.now.Add(after)) })
		}
		have := tokenOf(e, t.Hash)
		if want := e.now.Add(time.Minute); !have.RevokedAt.Equal(want) || have.Usable(e.now.Add(time.Hour)) {
			e.Errorf("revoked at %v and usable %v, want %v and not", have.RevokedAt, have.Usable(e.now.Add(time.Hour)), want)
		}
	},
	"a token of another organization cannot be revoked": func(e *env) {
		t := newToken(e, "one", 0)
		createToken(e, t)
		other := e.organization("other")
		for _, id := range []store.ID{t.ID, store.NewID(e.now), "nonsense"} {
			e.refused(store.CodeNotFound, func(x store.Tx) error { return x.RevokeToken(e.Context(), other, id, e.now) })
		}
		if have := tokenOf(e, t.Hash); !have.RevokedAt.IsZero() {
			e.Error("it was revoked")
		}
	},
	"the last use is written at most once a minute": func(e *env) {
		t := newToken(e, "one", 0)
		createToken(e, t)
		for _, step := range []struct{ at, want time.Duration }{
			{0, 0}, {59 * time.Second, 0}, {time.Minute, time.Minute}, {90 * time.Second, time.Minute},
		} {
			e.update(func(x store.Tx) error { return x.TouchToken(e.Context(), t.Key, e.now.Add(step.at)) })
			if have := tokenOf(e, t.Hash); !have.LastUsedAt.Equal(e.now.Add(step.want)) {
				e.Errorf("used after %v: last use %v, want %v", step.at, have.LastUsedAt, e.now.Add(step.want))
			}
		}
	},
}
