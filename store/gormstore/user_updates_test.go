package gormstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// One statement updates many users on PostgreSQL: all columns of each, or none of any.
func TestManyUsersAreUpdatedTogether(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *Store) {
		c := crowd(t, s, 2*updateTogether)
		change := &store.ChangeSet{Org: c.Org, Directory: c.Directory, Now: c.Now.Add(time.Hour), Cap: c.Cap}
		for i := range c.Users {
			before := c.Users[i].After
			after := before
			after.Attributes.Title = fmt.Sprintf("title, \"%d\" {}\\", i)
			after.Attributes.Enterprise = &store.Enterprise{Department: fmt.Sprint("department ", i)}
			after.Stated, after.Enabled, after.OutOfScope = i%2 == 0, i%3 == 0, i%5 == 0
			after.Version, after.ModifiedAt = before.Version+1, change.Now
			if i%4 != 0 { // else it has none
				after.Hash = []byte{byte(i), 0, 0xff}
			}
			if i == 1 {
				after.ExternalID = ""
			}
			change.Users = append(change.Users, store.UserChange{Op: store.OpUpdate, Before: &before, After: after})
		}
		inTx(t, s, func(x *tx) error {
			_, err := x.Apply(t.Context(), change)
			return err
		})
		compare := func() {
			t.Helper()
			for i := range change.Users {
				want := change.Users[i].After
				inTx(t, s, func(x *tx) error {
					got, err := x.User(t.Context(), c.Org, string(want.ID))
					if err != nil {
						return err
					}
					if d := cmp.Diff(&want, got); d != "" {
						t.Errorf("user %d (-want +got):\n%s", i, d)
					}
					return nil
				})
			}
		}
		compare()

		stale := *change
		stale.Users = append([]store.UserChange{}, change.Users...)
		for i := range stale.Users {
			u := &stale.Users[i]
			u.Before, u.After.Version, u.After.Attributes.Title = &change.Users[i].After, u.After.Version+1, "new"
		}
		other := change.Users[3].After
		other.Version++ // that somebody else has written
		stale.Users[3].Before = &other
		err := s.once(t.Context(), func(public store.Tx) error {
			_, err := public.Apply(t.Context(), &stale)
			return err
		})
		if store.CodeOf(err) != store.CodeStale {
			t.Fatalf("with the version of somebody else: %v, want %s", err, store.CodeStale)
		}
		compare()
	})
}
