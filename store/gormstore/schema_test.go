package gormstore

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

// schemaQuery asks both engines for one aspect of the schema, as sorted lines.
type schemaQuery struct{ postgres, sqlite string }

const sqliteTables = "sqlite_master AS t WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name NOT LIKE 'goose%'"

var schemaQueries = map[string]schemaQuery{
	"columns and whether they may be null": {
		`SELECT table_name || '.' || column_name || ' ' || CASE is_nullable WHEN 'YES' THEN 'null' ELSE 'not null' END
			FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%'`,
		`SELECT t.name || '.' || c.name || CASE WHEN c."notnull" OR c.pk > 0 THEN ' not null' ELSE ' null' END
			FROM pragma_table_xinfo(t.name) AS c, ` + sqliteTables,
	},
	"indexes with their columns and conditions": {
		`SELECT t.relname || '.' || c.relname || CASE WHEN i.indisunique THEN ' unique ' ELSE ' ' END ||
				(SELECT string_agg(pg_get_indexdef(i.indexrelid, k, true), ', ' ORDER BY k) FROM generate_series(1, i.indnkeyatts) AS k) ||
				coalesce(' WHERE ' || pg_get_expr(i.indpred, i.indrelid), '')
			FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_class AS t ON t.oid = i.indrelid
			WHERE c.relnamespace = 'public'::regnamespace AND t.relname NOT LIKE 'goose%'
				AND NOT EXISTS (SELECT 1 FROM pg_constraint AS k WHERE k.conindid = i.indexrelid)`,
		`SELECT t.name || '.' || i.name || CASE WHEN i."unique" THEN ' unique ' ELSE ' ' END ||
				(SELECT group_concat(coalesce(k.name, 'coalesce(directory_id, 0)'), ', ') FROM pragma_index_info(i.name) AS k) ||
				CASE WHEN i.partial THEN (SELECT substr(m.sql, instr(m.sql, ' WHERE ')) FROM sqlite_master AS m WHERE m.name = i.name) ELSE '' END
			FROM pragma_index_list(t.name) AS i, ` + sqliteTables + ` AND i.origin = 'c'`,
	},
	"unique constraints apart from keys of one column": {
		`SELECT t.relname || ' ' ||
				(SELECT string_agg(pg_get_indexdef(i.indexrelid, k, true), ', ' ORDER BY k) FROM generate_series(1, i.indnkeyatts) AS k)
			FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u')
			WHERE t.relnamespace = 'public'::regnamespace AND t.relname NOT LIKE 'goose%'
				AND pg_get_indexdef(i.indexrelid, 1, true) NOT IN ('id') AND NOT (i.indisprimary AND i.indnkeyatts = 1)`,
		`SELECT t.name || ' ' || (SELECT group_concat(k.name, ', ') FROM pragma_index_info(i.name) AS k)
			FROM pragma_index_list(t.name) AS i, ` + sqliteTables + ` AND i.origin <> 'c'`,
	},
	"references": {
		`SELECT c.conrelid::regclass || ' (' ||
				(SELECT string_agg(a.attname, ', ' ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY AS k(v, n) JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.v) ||
				') ' || c.confrelid::regclass || ' (' ||
				(SELECT string_agg(a.attname, ', ' ORDER BY k.n) FROM unnest(c.confkey) WITH ORDINALITY AS k(v, n) JOIN pg_attribute AS a ON a.attrelid = c.confrelid AND a.attnum = k.v) ||
				') ' || CASE c.confdeltype WHEN 'c' THEN 'CASCADE' ELSE 'NO ACTION' END
			FROM pg_constraint AS c WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace
			UNION ALL SELECT regexp_split_to_table(obj_description(oid, 'pg_trigger'), '; ') FROM pg_trigger
				WHERE tgrelid::regclass::text IN ('groups', 'users', 'run') AND NOT tgisinternal`,
		`SELECT t.name || ' (' || group_concat(f."from", ', ') || ') ' || f."table" || ' (' || group_concat(f."to", ', ') || ') ' || f.on_delete
			FROM pragma_foreign_key_list(t.name) AS f, ` + sqliteTables + ` GROUP BY t.name, f.id`,
	},
}

// schemaNoise is what the engines write differently though it means the same.
var schemaNoise = regexp.MustCompile(`::\w+|[()"]`)

func TestBothEnginesHaveTheSameSchema(t *testing.T) {
	migrate := func(dsn string) error { return Migrate(context.Background(), dsn) }
	lite := "sqlite:" + filepath.Join(t.TempDir(), "provost.db")
	if err := migrate(lite); err != nil {
		t.Fatal(err)
	}
	lines := func(t *testing.T, dsn, query string) map[string]bool {
		s, err := Open(t.Context(), dsn, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		out := map[string]bool{}
		var list []string
		err = s.View(t.Context(), func(r store.Reader) (err error) {
			list, err = collect(t.Context(), r.(*reader).session, value[string], query)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range list {
			line = strings.ToLower(schemaNoise.ReplaceAllString(line, ""))
			out[strings.Join(strings.Fields(line), " ")] = true
		}
		if len(out) < 5 {
			t.Fatalf("only %d lines: the query is wrong", len(out))
		}
		return out
	}
	for name, q := range schemaQueries {
		t.Run(name, func(t *testing.T) {
			pg := lines(t, testenv.Postgres(t).Database(t, migrate), q.postgres)
			if diff := cmp.Diff(pg, lines(t, lite, q.sqlite)); diff != "" {
				t.Errorf("SQLite differs from PostgreSQL (-PostgreSQL +SQLite):\n%s", diff)
			}
		})
	}
}
