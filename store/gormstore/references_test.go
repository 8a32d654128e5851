package gormstore

import (
	"fmt"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
)

func TestMembersAndValuesReferToRecordsOfTheirOrganization(t *testing.T) {
	for name, dsn := range map[string]func(t *testing.T) string{
		"postgres": func(t *testing.T) string {
			return testenv.Postgres(t).Database(t, func(dsn string) error { return Migrate(t.Context(), dsn) })
		},
		"sqlite": func(t *testing.T) string {
			dsn := "sqlite:" + t.TempDir() + "/provost.db"
			if err := Migrate(t.Context(), dsn); err != nil {
				t.Fatal(err)
			}
			return dsn
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.Context(), dsn(t), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			db := &session{e: s.e, q: s.e.write}
			exec := func(query string, args ...any) error {
				_, err := db.exec(t.Context(), query, args...)
				return err
			}
			at := s.e.now()
			public := func(n int) string { return fmt.Sprintf("00000000-0000-7000-8000-%012d", n) }
			must := func(query string, args ...any) {
				t.Helper()
				if err := exec(query, args...); err != nil {
					t.Fatal(err)
				}
			}
			for org := range 2 {
				key := 100 + org
				must("INSERT INTO organization (id, public_id, name, name_folded, created_at) VALUES (?, ?, ?, ?, ?)", key, public(key), public(key), public(key), at)
				must("INSERT INTO groups (org_id, id, public_id, display_name, display_name_folded, version, created_at, modified_at) VALUES (?, ?, ?, '', '', 1, ?, ?)",
					key, 10+org, public(10+org), at, at)
				must("INSERT INTO users (org_id, id, public_id, user_name, user_name_folded, attributes, stated, enabled, version, created_at, modified_at) VALUES (?, ?, ?, '', '', '{}', true, true, 1, ?, ?)",
					key, 20+org, public(20+org), at, at)
			}
			const insert = "INSERT INTO member (org_id, group_id, user_id) VALUES (?, ?, ?)"
			for what, row := range map[string][]any{
				"a user of another organization":  {100, 10, 21},
				"a group of another organization": {100, 11, 20},
				"records of another organization": {100, 11, 21},
				"an unknown user":                 {100, 10, 99},
				"an unknown group":                {100, 99, 20},
			} {
				if err := exec(insert, row...); err == nil {
					t.Errorf("%s was accepted", what)
				}
			}
			const value = "INSERT INTO user_value (org_id, user_id, attr, text, folded, fold_key) VALUES (?, ?, 'title', '', '', '')"
			for what, row := range map[string][]any{"a user of another organization": {100, 21}, "an unknown user": {100, 99}} {
				if err := exec(value, row...); err == nil {
					t.Errorf("a value of %s was accepted", what)
				}
			}
			must(value, 100, 20)
			must(value, 101, 21)
			count := func() (n int) {
				t.Helper()
				if err := db.row(t.Context(), "SELECT count(*) FROM member").Scan(&n); err != nil {
					t.Fatal(err)
				}
				return n
			}
			must(insert, 100, 10, 20)
			must(insert, 101, 11, 21)
			must("DELETE FROM users WHERE org_id = 100")
			if n := count(); n != 1 {
				t.Errorf("%d memberships are left after one of two users was deleted", n)
			}
			var values int
			if err := db.row(t.Context(), "SELECT count(*) FROM user_value").Scan(&values); err != nil || values != 1 {
				t.Errorf("%d values are left after one of two users was deleted (%v)", values, err)
			}
			must("DELETE FROM groups WHERE org_id = 101")
			if n := count(); n != 0 {
				t.Errorf("%d memberships are left without their group", n)
			}
		})
	}
}
