package gormstore_test

import (
	"testing"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
)

func TestAMigratedDatabaseHasTheDefaultOrganizationAndMigratingAgainChangesNothing(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			dsn := engine(t)
			if err := gormstore.Migrate(t.Context(), dsn); err != nil {
				t.Fatal(err)
			}
			s, err := gormstore.Open(t.Context(), dsn, gormstore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Ping(t.Context()); err != nil {
				t.Error(err)
			}
			err = s.View(t.Context(), func(r store.Reader) error {
				page, err := r.OrganizationPage(t.Context(), store.OrganizationQuery{})
				if all := page.Items; err == nil && (len(all) != 1 || all[0].Name != store.DefaultOrganization) {
					t.Errorf("organizations %v, want only %q", page.Items, store.DefaultOrganization)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
