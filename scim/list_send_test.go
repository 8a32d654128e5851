package scim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
	"github.com/provost-scim/provost/sync/reconcile"
)

// breaking is a store whose views fail after some.
type breaking struct {
	store.Store
	views int
}

func (b *breaking) View(ctx context.Context, fn func(store.Reader) error) error {
	if b.views--; b.views < 0 {
		return errors.New("the database went away")
	}
	return b.Store.View(ctx, fn)
}

func TestAListThatIsCutShortDoesNotLookWhole(t *testing.T) {
	const groups, size = 3, listMembers/2 + 1 // each of the groups is read by itself
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "provost.db")
	if err := gormstore.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	db, err := gormstore.Open(t.Context(), dsn, gormstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	d := store.Directory{ID: "01900000-0000-7000-8000-000000000001", Name: "d", Kind: store.DirectorySCIM, Settings: store.DefaultSettings(store.DirectorySCIM), Revision: 1, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	d.Settings.DomainPolicy = store.DomainsOff
	err = db.Update(t.Context(), func(tx store.Tx) error {
		org, err := tx.Organization(t.Context(), store.DefaultOrganization)
		if err != nil {
			return err
		}
		d.Key, d.Org = 0, org.Key
		return tx.CreateDirectory(t.Context(), &d)
	})
	if err != nil {
		t.Fatal(err)
	}
	reconciler := reconcile.New(db, reconcile.Options{Cap: size})
	want := store.Statement{Org: d.Org, Directory: d.Key, Origin: store.OriginPush}
	for i := range size {
		want.Users = append(want.Users, store.UserStatement{Attributes: store.Attributes{UserName: fmt.Sprint("u", i)}})
	}
	out, err := reconciler.Reconcile(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	want.Users = nil
	for i := range groups {
		name := fmt.Sprint("g", i)
		g := store.GroupStatement{DisplayName: &name}
		for _, u := range out.Users {
			g.Members.Add = append(g.Members.Add, store.MemberRef{ID: u.ID})
		}
		want.Groups = append(want.Groups, g)
	}
	if _, err := reconciler.Reconcile(t.Context(), want); err != nil {
		t.Fatal(err)
	}

	for _, tt := range []struct {
		name   string
		views  int // that succeed
		status int
		whole  bool
	}{
		{"before it begins", 0, http.StatusInternalServerError, true},
		{"in the middle", groups - 1, http.StatusOK, false},
		{"not at all", groups, http.StatusOK, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := echo.New()
			New(Options{
				Store: &breaking{db, tt.views}, Logger: slog.New(slog.DiscardHandler),
				Authenticate: func(context.Context, string) (Caller, error) { return Caller{Org: d.Org, Directory: d.Key}, nil },
			}).Register(e)
			server := httptest.NewServer(e)
			defer server.Close()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+BasePath+"/Groups", nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if closed := res.Body.Close(); closed != nil {
				t.Error(closed)
			}
			if res.StatusCode != tt.status || (err == nil) != tt.whole {
				t.Errorf("answered %d with %d bytes and %v, want %d, whole: %v", res.StatusCode, len(body), err, tt.status, tt.whole)
			}
			if tt.whole && tt.status == http.StatusOK && strings.Count(string(body), `"type":"User"`) != groups*size {
				t.Errorf("%d members", strings.Count(string(body), `"type":"User"`))
			}
		})
	}
}
