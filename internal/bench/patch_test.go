package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/provost-scim/provost/internal/testenv"
)

const patchedUsers = 10_000

const patchHead = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":`

// BenchmarkPatch changes displayNames from 8 clients, each of users of its own, in turn
// with commits of single-row updates by 8 connections to the same PostgreSQL.
func BenchmarkPatch(b *testing.B) {
	e := engines[0]
	users := scaled(patchedUsers, 80*clients)
	client := fill(b, newProvost(b, e.database(b)), e, users)
	each, update := client.connected(b), updatesPostgres(b, users)
	patch := func(which int) error {
		user := 1 + which + clients*rand.IntN(users/clients)
		body := fmt.Sprintf(`%s[{"op":"replace","path":"displayName","value":"Ada %d"}]}`, patchHead, rand.Int())
		_, err := each[which].send(http.MethodPatch, "/Users/"+filledID(user), body, http.StatusOK)
		return err
	}
	compareRates(b, e.name, fmt.Sprintf("PATCH displayName, %d clients", clients), "patches", patch, "updates", update, atLeast(12))
}

// updatesPostgres returns a function that updates one of so many rows and commits, on a
// connection of each client's own.
func updatesPostgres(b *testing.B, rows int) func(client int) error {
	b.Helper()
	dsn := testenv.PostgresDurable(b).Database(b, nil)
	var conns [clients]*pgx.Conn
	for i := range conns {
		conns[i] = connect(b, dsn)
	}
	mustExec(b, conns[0], createNarrow)
	mustExec(b, conns[0], fmt.Sprintf("INSERT INTO narrow SELECT i, '%s' FROM generate_series(0, %d) AS i", payload, rows))
	mustExec(b, conns[0], "VACUUM ANALYZE narrow")
	return func(client int) error {
		_, err := conns[client].Exec(b.Context(), "UPDATE narrow SET body = $1 WHERE id = $2",
			fmt.Sprint(payload, rand.Int()), client+clients*rand.IntN(rows/clients))
		return err
	}
}

func connect(b *testing.B, dsn string) *pgx.Conn {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			b.Errorf("close the connection: %v", err)
		}
	})
	return conn
}

const removals = 10_000

// BenchmarkRemovals removes members from a group in one PATCH, an operation each, and
// in one Bulk that has put them in, in turn with plain statements on a copy of the
// table that holds them.
func BenchmarkRemovals(b *testing.B) {
	e := engines[0]
	n := scaled(removals, 100)
	p := newProvost(b, e.database(b))
	client := fill(b, p, e, n)
	group, err := client.create("/Groups", `{"displayName":"everybody"}`)
	if err != nil {
		b.Fatal(err)
	}
	conn := connect(b, p.dsn)
	mustExec(b, conn, "CREATE TABLE plain_member (LIKE member INCLUDING ALL)")
	path, patches := "/Groups/"+group, make([]string, n)
	bulk, ids := make([]string, n), make([]string, n)
	for i := range n {
		id := filledID(i + 1)
		ids[i] = id
		patches[i] = `{"op":"remove","path":"members[value eq \"` + id + `\"]"}`
		bulk[i] = `{"method":"PATCH","path":"` + path + `","data":` + patchHead + `[{"op":"add","path":"members","value":[{"value":"` + id + `"}]}]}}`
	}
	patch := patchHead + "[" + strings.Join(patches, ",") + "]}"
	bulked := `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[` + strings.Join(bulk, ",") + "]}"
	var put, took, plainPut, plainTook, keyTook []time.Duration
	for range 1 + scaled(5, 2) {
		put = append(put, timed(b, func() error { return client.bulk(bulked, n) }))
		copyMembers := func() error {
			_, err := conn.Exec(b.Context(), "INSERT INTO plain_member SELECT * FROM member")
			return err
		}
		plainPut = append(plainPut, timed(b, copyMembers))
		keyTook = append(keyTook, timed(b, func() error {
			_, err := conn.Exec(b.Context(), "DELETE FROM plain_member WHERE group_id = (SELECT min(group_id) FROM member) AND user_id = ANY((SELECT array_agg(user_id) FROM member)::bigint[])")
			return err
		}))
		if err := copyMembers(); err != nil {
			b.Fatal(err)
		}
		plainTook = append(plainTook, timed(b, func() error { // knows what the PATCH knows: public ids
			_, err := conn.Exec(b.Context(), `DELETE FROM plain_member WHERE group_id = (SELECT id FROM groups WHERE public_id = $1)
				AND user_id = ANY (ARRAY(SELECT id FROM users WHERE public_id = ANY ($2::uuid[])))`, group, ids)
			return err
		}))
		took = append(took, timed(b, func() error {
			_, err := client.send(http.MethodPatch, path, patch, http.StatusOK, http.StatusNoContent)
			return err
		}))
		mustExec(b, conn, "VACUUM ANALYZE member, effective, plain_member") // as autovacuum would
	}
	compare := func(measurement, floor string, provost, plain []time.Duration, goal target) {
		own, other := median(provost[1:]), median(plain[1:]) // the first warms up
		results.add(row{
			measurement: measurement, engine: e.name, provost: seconds(own), floor: floor + seconds(other),
			value: own.Seconds() / other.Seconds(), unit: times, target: goal,
		})
		b.ReportMetric(own.Seconds()/other.Seconds(), strings.Fields(floor)[0]+"-ratio")
	}
	compare(count(n)+" removals in one PATCH", "DELETE … = ANY: ", took, plainTook, atMost(3))
	compare(count(n)+" removals, against keys at hand", "DELETE … = ANY: ", took, keyTook, target{})
	compare(count(n)+" memberships in one Bulk", "INSERT … SELECT: ", put, plainPut, target{})
}

func timed(b *testing.B, do func() error) time.Duration {
	b.Helper()
	start := time.Now()
	if err := do(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// bulk sends a Bulk of n operations, all of which must succeed.
func (c *scimClient) bulk(body string, n int) error {
	answer, err := c.send(http.MethodPost, "/Bulk", body, http.StatusOK)
	if err != nil {
		return err
	}
	var made struct {
		Operations []struct{ Status string }
	}
	if err := json.Unmarshal(answer, &made); err != nil {
		return err
	}
	if len(made.Operations) != n {
		return fmt.Errorf("%d of %d operations were carried out", len(made.Operations), n)
	}
	for _, o := range made.Operations {
		if o.Status >= "400" {
			return fmt.Errorf("an operation answered %s: %.300s", o.Status, answer)
		}
	}
	return nil
}
