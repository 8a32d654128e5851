package reconcile_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
	"github.com/provost-scim/provost/sync/reconcile"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// onEachEngine runs a test on a fresh organization of either database.
func onEachEngine(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("postgres", func(t *testing.T) { test(t, onPostgres(t)) })
	t.Run("sqlite", func(t *testing.T) {
		dsn := "sqlite:" + filepath.Join(t.TempDir(), "provost.db")
		if err := migrated(dsn); err != nil {
			t.Fatal(err)
		}
		test(t, organized(t, dsn))
	})
}

// onPostgres is a fresh organization of a PostgreSQL.
func onPostgres(t *testing.T) *world {
	t.Helper()
	return organized(t, testenv.Postgres(t).Database(t, migrated))
}

func migrated(dsn string) error { return gormstore.Migrate(context.Background(), dsn) }

func organized(t *testing.T, dsn string) *world {
	t.Helper()
	s, err := gormstore.Open(t.Context(), dsn, gormstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{store: s, reconciler: reconcile.New(s, reconcile.Options{Cap: worldCap})}
	if err := w.organize(); err != nil {
		t.Fatal(err)
	}
	return w
}

var restored = store.Cause{Actor: store.Actor{Kind: "token", Name: "admin"}, Reason: "REST"}

func (w *world) lastEvent(t *testing.T, resource store.ID) store.Event {
	t.Helper()
	var last store.Event
	err := w.store.View(t.Context(), func(r store.Reader) error {
		list, err := r.Events(t.Context(), store.EventQuery{Org: w.org, Resource: resource, Limit: 100})
		if len(list) > 0 {
			last = list[len(list)-1]
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return last
}

func TestRule7ARestoredUserIsWhatItWasInTheGroupsThatItWasIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		off, name := false, "Team"
		ann := w.pushUser(t, store.UserStatement{ExternalID: "a", Active: &off, Attributes: store.Attributes{
			UserName: "ann@" + w.domain(), Title: "Countess", Emails: []store.Value{{Value: "ann@" + w.domain()}},
		}})
		team := w.pushGroup(t, store.GroupStatement{DisplayName: &name, Members: store.MemberStatement{Add: []store.MemberRef{{ID: ann.ID}}}})
		w.pushUser(t, store.UserStatement{Record: store.RecordKey{ID: ann.ID}, Presence: store.Gone})
		if stated, published := w.members(t, team.Key); len(stated)+len(published) != 0 {
			t.Fatalf("the group has %v and publishes %v", stated, published)
		}

		back, err := w.reconciler.RestoreUser(t.Context(), w.org, string(ann.ID), restored)
		if err != nil {
			t.Fatal(err)
		}
		want := ann
		want.Version, want.ModifiedAt = back.Version, back.ModifiedAt
		if diff := cmp.Diff(want, *back); diff != "" || back.Active() {
			t.Errorf("the user (-want +got):\n%s", diff)
		}
		stated, published := w.members(t, team.Key)
		if diff := cmp.Diff([][]store.ID{{ann.ID}, {ann.ID}}, [][]store.ID{stated, published}); diff != "" {
			t.Errorf("members (-want +got):\n%s", diff)
		}
		if e := w.lastEvent(t, ann.ID); e.Type != store.EventUserRestored || e.Cause != restored || e.Directory != w.scim {
			t.Errorf("the last event is %+v", e)
		}
		_, err = w.reconciler.Reconcile(t.Context(), store.Statement{Org: w.org, Directory: w.other, Origin: store.OriginPush,
			Users: []store.UserStatement{{Attributes: store.Attributes{UserName: "x@" + w.domain(), Emails: []store.Value{{Value: "ANN@" + w.domain()}}}}}})
		if store.CodeOf(err) != store.CodeUniqueness {
			t.Errorf("another directory stating the restored user's address gets %v, want a duplicate", err)
		}
		if _, err := w.reconciler.RestoreUser(t.Context(), w.org, string(ann.ID), restored); store.CodeOf(err) != store.CodeNotFound {
			t.Errorf("restoring it again gives %v, want that no deleted user has the id", err)
		}
	})
}

func TestRule7ARestoreIsRefusedWhileTheNameIsTaken(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		tests := []struct {
			name      string
			directory store.Key
			taker     store.UserStatement
		}{
			{"its userName by another user of the directory", w.scim, states("b", "ANN@"+w.domain())},
			{"its userName by a user of another directory", w.other, states("b", "ann@"+w.domain())},
			{"its address by a user of another directory", w.other, store.UserStatement{ExternalID: "b", Attributes: store.Attributes{
				UserName: "x@" + w.domain(), Emails: []store.Value{{Value: "ann@home.test"}},
			}}},
		}
		ann := w.pushUser(t, store.UserStatement{ExternalID: "a", Attributes: store.Attributes{
			UserName: "ann@" + w.domain(), Emails: []store.Value{{Value: "ann@home.test"}},
		}})
		w.pushUser(t, store.UserStatement{Record: store.RecordKey{ID: ann.ID}, Presence: store.Gone})
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				state := func(s store.UserStatement) store.User {
					out, err := w.reconciler.Reconcile(t.Context(), store.Statement{Org: w.org, Directory: tt.directory, Origin: store.OriginPush, Users: []store.UserStatement{s}})
					if err != nil {
						t.Fatal(err)
					}
					return out.Users[0]
				}
				taker := state(tt.taker)
				_, err := w.reconciler.RestoreUser(t.Context(), w.org, string(ann.ID), restored)
				var e *store.Error
				if !errors.As(err, &e) || e.Code != store.CodeUniqueness || e.Resource != "User "+string(taker.ID) {
					t.Errorf("it gives %#v, want the user %s as the holder", err, taker.ID)
				}
				state(store.UserStatement{Record: store.RecordKey{ID: taker.ID}, Presence: store.Gone})
			})
		}
		if _, err := w.reconciler.RestoreUser(t.Context(), w.org, string(ann.ID), restored); err != nil {
			t.Errorf("when the names are free again: %v", err)
		}
	})
}

func TestRule7ARestoredGroupHasNoMembers(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		ann := w.pushUser(t, states("a", "ann@"+w.domain()))
		name, ext := "Team", "g"
		team := w.pushGroup(t, store.GroupStatement{DisplayName: &name, ExternalID: &ext, Members: store.MemberStatement{Add: []store.MemberRef{{ID: ann.ID}}}})
		away := store.GroupStatement{Record: store.RecordKey{ID: team.ID}, Presence: store.Gone}
		w.pushGroup(t, away)

		other := "h"
		namesake := w.pushGroup(t, store.GroupStatement{DisplayName: &name, ExternalID: &other})
		_, err := w.reconciler.RestoreGroup(t.Context(), w.org, string(team.ID), restored)
		if e := new(store.Error); !errors.As(err, &e) || e.Code != store.CodeUniqueness || e.Resource != "Group "+string(namesake.ID) {
			t.Errorf("it gives %#v, want the group %s as the holder", err, namesake.ID)
		}
		w.pushGroup(t, store.GroupStatement{Record: store.RecordKey{ID: namesake.ID}, Presence: store.Gone})

		back, err := w.reconciler.RestoreGroup(t.Context(), w.org, string(team.ID), restored)
		if err != nil {
			t.Fatal(err)
		}
		if back.ID != team.ID || back.DisplayName != name || back.ExternalID != ext || back.EffectiveCount != 0 || back.Deleted() {
			t.Errorf("the group is %+v", back)
		}
		if stated, published := w.members(t, team.Key); len(stated)+len(published) != 0 {
			t.Errorf("the group has %v and publishes %v", stated, published)
		}
		if e := w.lastEvent(t, team.ID); e.Type != store.EventGroupRestored || e.Cause != restored {
			t.Errorf("the last event is %+v", e)
		}
	})
}

func TestRule7WhatWasPurgedCannotBeRestored(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		ann := w.pushUser(t, states("a", "ann@"+w.domain()))
		w.pushUser(t, store.UserStatement{Record: store.RecordKey{ID: ann.ID}, Presence: store.Gone})
		err := w.store.Update(t.Context(), func(tx store.Tx) error {
			_, err := tx.Purge(t.Context(), time.Now().Add(time.Minute), 10)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range []string{string(ann.ID), "ann@" + w.domain(), ""} {
			if _, err := w.reconciler.RestoreUser(t.Context(), w.org, ref, restored); store.CodeOf(err) != store.CodeNotFound {
				t.Errorf("restoring the user %q gives %v", ref, err)
			}
			if _, err := w.reconciler.RestoreGroup(t.Context(), w.org, ref, restored); store.CodeOf(err) != store.CodeNotFound {
				t.Errorf("restoring the group %q gives %v", ref, err)
			}
		}
	})
}
