package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/provost-scim/provost/internal/testenv"
)

const (
	pullUsers  = 100_000
	pullGroups = 10_000
)

// BenchmarkPull pulls a company from slapd: once into an empty database, then again
// with nothing changed, and then what has changed.
func BenchmarkPull(b *testing.B) {
	company := testenv.NewCompany(testenv.CompanyOptions{Users: scaled(pullUsers, 200), Groups: scaled(pullGroups, 20)})
	size := fmt.Sprintf("%s users, %s groups, %s memberships", count(company.Options.Users), count(company.Options.Groups), count(company.Memberships()))
	entries := company.Options.Users + company.Options.Groups
	server := testenv.Slapd(b, testenv.SlapdOptions{Write: company.WriteLDIF})
	changes := changesOf(b, company, server)
	company = nil //nolint:wastedassign // it is large, and garbage is collected while the floor is measured
	bareRead(b, server, entries)
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) { benchmarkPull(b, e, server, changes, size, entries) })
	}
}

func benchmarkPull(b *testing.B, e engine, server *testenv.LDAPServer, changes *changes, size string, entries int) {
	p := newProvost(b, e.database(b))
	password := filepath.Join(p.dir, "password")
	if err := os.WriteFile(password, []byte(server.Password), 0o600); err != nil {
		b.Fatal(err)
	}
	p.command("directory", "create", "corp", "--kind", "ldap", "--preset", "openldap", "--url", server.URL, "--allow-plaintext",
		"--base-dn", server.Suffix, "--bind-dn", server.BindDN, "--bind-password-file", password,
		"--domain-policy", "off", "--schedule", "off")

	reads := []time.Duration{bareRead(b, server, entries)}
	first := p.pull()
	reads = append(reads, bareRead(b, server, entries))
	if made := first.Counts.Users.Created + first.Counts.Groups.Created; made != entries {
		b.Fatalf("the first pull created %d records instead of %d: %+v", made, entries, first)
	}

	repeat := scaled(3, 1)
	var quiet, quietReads, tools []time.Duration
	var ratios, toolRatios []float64
	for range repeat {
		run := p.pull("--full")
		if run.Counts.Users.Unchanged+run.Counts.Groups.Unchanged != entries {
			b.Fatalf("the quiet pull changed something: %+v", run)
		}
		read, tool := bareRead(b, server, entries), ldapSearch(b, server)
		quiet, quietReads, tools = append(quiet, run.took()), append(quietReads, read), append(tools, tool)
		ratios = append(ratios, run.took().Seconds()/read.Seconds())
		toolRatios = append(toolRatios, run.took().Seconds()/tool.Seconds())
	}
	var few, shares []float64
	for round := range 2 * pullRounds { // what the even rounds add, the odd ones take away
		changes.make(b, round)
		run := p.pull()
		if !run.Incremental || run.Counts.Users.Modified != pullChanges-len(changes.groups) || run.Counts.Groups.Modified != len(changes.groups) {
			b.Fatalf("the incremental pull: %+v", run)
		}
		few = append(few, run.took().Seconds())
		shares = append(shares, 100*run.took().Seconds()/median(quiet).Seconds())
	}
	memory := p.peakMemory()
	p.stop()

	read, tool := median(append(reads, quietReads...)), median(tools)
	quietRow := row{
		measurement: "quiet pull", engine: e.name, provost: seconds(median(quiet)), floor: "read " + seconds(median(quietReads)),
		value: median(ratios), unit: times,
	}
	toolRow := row{
		measurement: "quiet pull, against ldapsearch", engine: e.name, provost: seconds(median(quiet)), floor: "ldapsearch " + seconds(tool),
		value: median(toolRatios), unit: times,
	}
	memoryRow := row{measurement: "peak memory of the pulls", engine: e.name, provost: fmt.Sprintf("%.0f MiB", memory), value: memory, unit: mebi}
	if e.postgres {
		records, derived := copyFloors(b, p.dsn, repeat)
		firstRow := func(name string, target target, text string, floor time.Duration) row {
			return row{
				measurement: name, engine: e.name, provost: seconds(first.took()), floor: text + " = " + seconds(floor),
				value: first.took().Seconds() / floor.Seconds(), unit: times, target: target,
			}
		}
		results.add(
			firstRow("first pull of "+size, atMost(2.5), "read "+seconds(read)+" + COPY "+seconds(records), read+records),
			firstRow("first pull, against all tables", target{}, "read "+seconds(read)+" + COPY "+seconds(records+derived), read+records+derived),
			firstRow("first pull, against ldapsearch", target{}, "ldapsearch "+seconds(tool)+" + COPY "+seconds(records), tool+records),
		)
		quietRow.target, memoryRow.target = atMost(1.3), atMost(300)
	} else {
		results.add(row{
			measurement: "first pull of the same", engine: e.name, provost: seconds(first.took()), floor: "read alone " + seconds(read),
			value: first.took().Seconds() / read.Seconds(), unit: times,
		})
	}
	incrementalRow := row{
		measurement: fmt.Sprintf("incremental pull of %d changes", pullChanges), engine: e.name, provost: fmt.Sprintf("%.3f s", median(few)),
		floor: "full " + seconds(median(quiet)), value: median(shares), unit: percent,
	}
	if entries >= pullUsers { // the less there is to read, the more weighs what each run costs
		incrementalRow.target = atMost(5)
	}
	results.add(quietRow, incrementalRow, toolRow, memoryRow)
	b.ReportMetric(first.took().Seconds(), "first-s")
	b.ReportMetric(median(quiet).Seconds(), "quiet-s")
	b.ReportMetric(memory, "peak-MiB")
}

// pulled is a finished run as `provost sync run --json --wait` prints it.
type pulled struct {
	State       string `json:"state"`
	Error       string `json:"error"`
	Incremental bool   `json:"incremental"`
	Counts      struct {
		Users  pulledCounts `json:"users"`
		Groups pulledCounts `json:"groups"`
	} `json:"counts"`
	Phases []struct {
		Phase   string  `json:"phase"`
		Seconds float64 `json:"seconds"`
	} `json:"phases"`
	CreatedAt  time.Time `json:"created_at"`
	FinishedAt time.Time `json:"finished_at"`
}

type pulledCounts struct {
	Created   int `json:"created"`
	Modified  int `json:"modified"`
	Unchanged int `json:"unchanged"`
}

// took is from the request to the end, by the server's clock: the command learns
// of the end only when it asks next.
func (p *pulled) took() time.Duration { return p.FinishedAt.Sub(p.CreatedAt) }

// pull runs a pull to its end.
func (p *provost) pull(flags ...string) *pulled {
	p.b.Helper()
	answer := p.command(append([]string{"sync", "run", "corp", "--yes", "--wait", "--json"}, flags...)...)
	var run pulled
	if err := json.Unmarshal([]byte(answer), &run); err != nil {
		p.b.Fatalf("read the run: %v\n%s", err, answer)
	}
	if run.State != "succeeded" || run.FinishedAt.IsZero() {
		p.b.Fatalf("the run did not succeed: %s", answer)
	}
	p.b.Logf("pull: %s, phases %v", seconds(run.took()), run.Phases)
	return &run
}
