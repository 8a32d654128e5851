package scim

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/scim/dialect"
	"github.com/provost-scim/provost/store/gormstore"
	"github.com/provost-scim/provost/sync/reconcile"
)

// deletions is a Bulk of n operations, each of another user.
func deletions(t *testing.T, n int) dialect.BulkRequest {
	t.Helper()
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"method":"DELETE","path":"/Users/01900000-0000-7000-8000-%012d"}`, i)
	}
	request, err := dialect.Bulk(strings.NewReader(`{"schemas":["`+dialect.BulkRequestURN+`"],"Operations":[`+strings.Join(list, ",")+`]}`), n)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// carriedOut is how often each status was answered.
func carriedOut(ctx context.Context, t *testing.T, s *Server, request dialect.BulkRequest) map[string]int {
	t.Helper()
	r := httptest.NewRequestWithContext(ctx, "POST", BasePath+"/Bulk", nil)
	b, err := newBulk(s, &call{Context: echo.New().NewContext(r, httptest.NewRecorder())}, request)
	if err != nil {
		t.Fatal(err)
	}
	b.carryOut()
	out := map[string]int{}
	for _, o := range b.response().Operations {
		out[o.Status]++
	}
	return out
}

func TestABulkWhoseTimeIsUpBeginsNothing(t *testing.T) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(spare-time.Second))
	defer cancel()
	got := carriedOut(ctx, t, New(Options{}), deletions(t, 3)) // without a reconciler: nothing may be asked of it
	if diff := cmp.Diff(map[string]int{"503": 3}, got); diff != "" {
		t.Error(diff)
	}
}

func TestABulkGivesUpOnADatabaseThatFails(t *testing.T) {
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "provost.db")
	if err := gormstore.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	db, err := gormstore.Open(t.Context(), dsn, gormstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	got := carriedOut(t.Context(), t, New(Options{Reconciler: reconcile.New(db, reconcile.Options{}), Logger: slog.New(slog.DiscardHandler)}), deletions(t, 1000))
	if diff := cmp.Diff(map[string]int{"500": internalErrors, "503": 1000 - internalErrors}, got); diff != "" {
		t.Error(diff)
	}
}
