package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
	"github.com/provost-scim/provost/sync/reconcile"
)

func TestRule7WhatWasDeletedIsPurgedAfterTheRetentionAndNotBefore(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "provost.db")
	if err := gormstore.Migrate(ctx, dsn); err != nil {
		t.Fatal(err)
	}
	s, err := gormstore.Open(ctx, dsn, gormstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var org store.Key
	err = s.View(ctx, func(r store.Reader) error {
		o, err := r.Organization(ctx, store.DefaultOrganization)
		if err == nil {
			org = o.Key
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	deleted := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	reconciler := reconcile.New(s, reconcile.Options{Clock: func() time.Time { return deleted }})
	state := func(users []store.UserStatement) *reconcile.Outcome {
		t.Helper()
		out, err := reconciler.Reconcile(ctx, store.Statement{Org: org, Origin: store.OriginAdmin, Users: users})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	many := make([]store.UserStatement, purgeAtOnce+1) // so that one step is not enough
	for i := range many {
		many[i].Attributes.UserName = fmt.Sprintf("user%d@example.com", i)
	}
	for i, u := range state(many).Users {
		many[i] = store.UserStatement{Record: store.RecordKey{ID: u.ID}, Presence: store.Gone}
	}
	state(many)
	left := func() int {
		var n int
		err := s.View(t.Context(), func(r store.Reader) error {
			page, err := r.Users(t.Context(), store.Query{Org: org, Deleted: true, Count: true})
			n = page.Total
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}

	now, hours, waiting := deleted, make(chan time.Time), make(chan time.Duration)
	r := &retention{store: s, what: "deleted records", purge: purgeRecords, keep: time.Hour, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }, after: func(d time.Duration) <-chan time.Time {
		waiting <- d
		return hours
	}}
	ended := make(chan error)
	go func() { ended <- r.run(ctx) }()
	for _, step := range []struct {
		age  time.Duration
		left int
	}{{0, len(many)}, {time.Hour, len(many)}, {time.Hour + time.Second, 0}} {
		if step.age > 0 {
			now = deleted.Add(step.age)
			hours <- now
		}
		if d := <-waiting; d != time.Hour {
			t.Errorf("it waits %s", d)
		}
		if n := left(); n != step.left {
			t.Errorf("after %s there are %d deleted users, want %d", step.age, n, step.left)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}
