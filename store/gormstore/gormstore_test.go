package gormstore_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
	"github.com/provost-scim/provost/store/storetest"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// engines are the databases that every test of this package runs on.
var engines = map[string]func(t *testing.T) (dsn string){
	"postgres": func(t *testing.T) string { return testenv.Postgres(t).Database(t, migrate) },
	"sqlite": func(t *testing.T) string {
		dsn := "sqlite:" + filepath.Join(t.TempDir(), "provost.db")
		if err := migrate(dsn); err != nil {
			t.Fatal(err)
		}
		return dsn
	},
}

func migrate(dsn string) error { return gormstore.Migrate(context.Background(), dsn) }

func TestConformance(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Store {
				s, err := gormstore.Open(t.Context(), engine(t), gormstore.Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				})
				return s
			})
		})
	}
}
