package main

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/provost-scim/provost/internal/testenv"
)

// metric is the value of the one line of /metrics with this name and these labels; -1
// if there is none.
func metric(t *testing.T, text, name string, labels ...string) float64 {
	t.Helper()
lines:
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(line, label) {
				continue lines
			}
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return value
	}
	return -1
}

// scrape reads /metrics.
func (p *provostServer) scrape(t *testing.T) string {
	t.Helper()
	resp, text := fetch(t, http.MethodGet, p.url+"/metrics", "", "")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("/metrics is %d", resp.StatusCode)
	}
	return text
}

func TestMetricsSayWhatAnOperatorAsks(t *testing.T) {
	t.Parallel()
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 30, Groups: 3})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		server := testenv.Slapd(t, testenv.SlapdOptions{Write: company.WriteLDIF})
		p := startProvost(t, mailFlags(t, testenv.SMTP(t, testenv.SMTPOptions{}), "--database", dsn)...)
		corpDirectory(t, p, server)
		p.must(t, "directory", "set", "corp", "--domain-policy", "off", "--guard", "users-deleted=1/1%", "--no-incremental")
		p.must(t, "directory", "create", "entra", "--kind", "scim", "--domain-policy", "off")
		corp := []string{`organization="default"`, `directory="corp"`, `kind="ldap"`}
		before := p.scrape(t)
		if at, age := metric(t, before, "provost_directory_synced_timestamp_seconds", corp...), metric(t, before, "provost_directory_synced_age_seconds", corp...); at != 0 || age != -1 {
			t.Errorf("a directory that was never synchronized was at %v, %v seconds ago", at, age)
		}

		p.must(t, "sync", "run", "corp", "--yes", "--wait")
		p.must(t, "sync", "plan", "corp")
		conn := server.Admin(t)
		for i := range 5 {
			if err := conn.Del(ldap.NewDelRequest(company.User(i).DN, nil)); err != nil {
				t.Fatal(err)
			}
		}
		for _, decision := range []string{"discard", ""} {
			if _, stderr, code := p.run(t, "sync", "run", "corp", "--yes", "--wait"); code != exitHeld {
				t.Fatalf("the run ends with %d, want it held: %s", code, stderr)
			}
			if decision != "" {
				p.must(t, "sync", decision, "corp")
			}
		}
		secret := p.must(t, "token", "create", "--directory", "entra")
		fetch(t, http.MethodPost, p.url+"/scim/v2/Users", secret, graceUser)
		until(t, "the runs are counted", func() bool {
			return metric(t, p.scrape(t), "provost_sync_runs_total", `directory="corp"`, `state="held"`) == 2
		})

		got := p.scrape(t)
		for _, want := range []struct {
			name   string
			labels []string
			value  float64
		}{
			{"provost_sync_runs_total", []string{`directory="corp"`, `state="succeeded"`}, 1},
			{"provost_sync_runs_total", []string{`directory="corp"`, `state="planned"`}, 1},
			{"provost_sync_run_seconds_count", []string{`directory="corp"`}, 1},
			{"provost_sync_records_total", []string{`directory="corp"`, `type="User"`, `outcome="created"`}, 30},
			{"provost_sync_records_total", []string{`directory="corp"`, `type="Group"`, `outcome="created"`}, 3},
			{"provost_sync_held_runs", []string{`directory="corp"`}, 1},
			{"provost_sync_held_runs", []string{`directory="entra"`}, -1},
			{"provost_mails", []string{`state="queued"`}, 0},
			{"provost_mail_lag_seconds", nil, 0},
			{"provost_http_requests_total", []string{`route="/api/v1/directories/:directory/runs"`, `method="POST"`, `status="202"`}, 3},
			{"provost_http_requests_total", []string{`route="/scim/v2/Users"`, `method="POST"`, `status="201"`}, 1},
		} {
			if n := metric(t, got, want.name, want.labels...); n != want.value {
				t.Errorf("%s%q is %v, want %v", want.name, want.labels, n, want.value)
			}
		}
		for _, directory := range []string{"corp", "entra"} {
			if age := metric(t, got, "provost_directory_synced_age_seconds", `directory="`+directory+`"`); age < 0 || age > 60 {
				t.Errorf("%s was synchronized %v seconds ago", directory, age)
			}
		}
		pools := map[bool][]string{true: {"postgres"}, false: {"sqlite-readers", "sqlite-writer"}}[strings.HasPrefix(dsn, "postgres")]
		for _, pool := range pools {
			if n := metric(t, got, "go_sql_open_connections", `db_name="`+pool+`"`); n < 1 {
				t.Errorf("the pool %s has %v connections", pool, n)
			}
		}
		problems, err := promlint.New(strings.NewReader(got)).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range problems {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	})
}

func TestTheLagOfMailsIsThatOfTheOldest(t *testing.T) {
	t.Parallel()
	server := testenv.SMTP(t, testenv.SMTPOptions{})
	server.Refuse(testenv.StepRcpt, 451, "not now", 1000)
	p := startProvost(t, mailFlags(t, server)...)
	p.push(t, p.welcoming(t, "okta"), `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ada@example.com","emails":[{"value":"ada@example.com"}],"active":true}`)
	until(t, "a mail waits", func() bool { return metric(t, p.scrape(t), "provost_mail_lag_seconds") > 0.05 })
	if n := metric(t, p.scrape(t), "provost_mails", `state="queued"`); n != 1 {
		t.Errorf("%v mails wait", n)
	}
}
