package bench

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const pageSize = 100

// BenchmarkList looks users up by userName from 8 clients, in turn with the same SELECT
// by plain connections, and then reads pages of all of them.
func BenchmarkList(b *testing.B) {
	e := engines[0]
	users := scaled(manyUsers, 5_000)
	p := newProvost(b, e.database(b))
	client := fill(b, p, e, users)
	each := client.connected(b)
	find := func(which int) error { return each[which].findUser(filledName(1 + rand.IntN(users))) }
	compareRates(b, e.name, fmt.Sprintf("lookup by userName among %s, %d clients", count(users), clients), "lookups", find,
		"SELECTs", selectsPostgres(b, p.dsn, users), atLeast(20))
	comparePages(b, client, e.name, users)
}

// selectsPostgres returns a function that reads a random user by name, on a connection of
// each client's own.
func selectsPostgres(b *testing.B, dsn string, users int) func(client int) error {
	b.Helper()
	var conns [clients]*pgx.Conn
	for i := range conns {
		conns[i] = connect(b, dsn)
	}
	return func(client int) error {
		name := filledName(1 + rand.IntN(users))
		rows, err := conns[client].Query(b.Context(), `SELECT id, public_id, org_id, directory_id, external_id, attributes, stated, enabled, out_of_scope,
			version, hash, created_at, modified_at, deleted_at FROM users
			WHERE user_name_folded = $1 AND coalesce(directory_id, 0) = 1 AND org_id = 1 AND deleted_at IS NULL`, name)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, pgx.RowToMap)
		if err == nil && len(found) != 1 {
			err = fmt.Errorf("%d users are called %s", len(found), name)
		}
		return err
	}
}

// comparePages reads the first, the middle and the last page of all users in turn.
func comparePages(b *testing.B, client *scimClient, engine string, users int) {
	b.Helper()
	total := users + 1 // and the pattern of them
	cursor := ""
	for turned := 0; turned < total/2; { // to the middle
		page, err := client.page("count=1000&attributes=id&cursor=" + cursor)
		if err != nil {
			b.Fatal(err)
		}
		turned, cursor = turned+len(page.Resources), page.NextCursor
	}
	var took [3][]time.Duration
	const warm = 10
	for i := range scaled(100, 10) + warm {
		var round [3]time.Duration
		for n := range round {
			which := (i + n) % len(round) // none is always the first
			query := []string{
				fmt.Sprintf("startIndex=1&count=%d", pageSize),
				fmt.Sprintf("cursor=%s&count=%d", cursor, pageSize),
				fmt.Sprintf("startIndex=%d&count=%d", total-pageSize+1, pageSize),
			}[which]
			round[which] = timed(b, func() error {
				page, err := client.page(query)
				if err == nil && (page.TotalResults != total || len(page.Resources) != pageSize) {
					err = fmt.Errorf("%s: %d of %d users", query, len(page.Resources), page.TotalResults)
				}
				return err
			})
		}
		if i < warm {
			continue
		}
		for which, d := range round {
			took[which] = append(took[which], d)
		}
	}
	first, middle, last := median(took[0]), median(took[1]), median(took[2])
	ratio := max(first, middle, last).Seconds() / min(first, middle, last).Seconds()
	results.add(row{
		measurement: fmt.Sprintf("page of %d of %s", pageSize, count(users)), engine: engine, provost: "last " + seconds(last),
		floor: "first " + seconds(first) + ", middle " + seconds(middle), value: ratio, unit: times, target: atMost(1.3),
	})
	b.ReportMetric(ratio, "page-ratio")
}

// userPage is one page of users.
type userPage struct {
	TotalResults int
	NextCursor   string
	Resources    []struct{ ID string }
}

func (c *scimClient) page(query string) (out userPage, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return out, err
	}
	answer, err := c.send(http.MethodGet, "/Users?"+values.Encode(), "", http.StatusOK)
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(answer, &out)
}
