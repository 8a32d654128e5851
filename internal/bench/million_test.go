package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/provost-scim/provost/sync/flatten"
)

const (
	millionUsers   = 1_000_000
	millionGroups  = 100_000
	millionChanges = 1_000
	millionRounds  = 3
)

// BenchmarkMillion pulls a large directory, that a generator yields, into PostgreSQL, in
// a process of its own whose memory is measured, and flattens its groups.
func BenchmarkMillion(b *testing.B) {
	g := &generator{users: scaled(millionUsers, 2_000), groups: scaled(millionGroups, 200)}
	memberships := g.groups / blockOfGroups * membersOfBlock
	b.Run("flatten", func(b *testing.B) { benchmarkFlatten(b, g, memberships) })
	b.Run("pull", func(b *testing.B) { benchmarkMillion(b, g, memberships) })
}

// millionSpec is what the process that pulls is told, and millionResult what it tells;
// times are in seconds.
type millionSpec struct {
	DSN           string
	Users, Groups int
	Changes       int
	Rounds        int
}

type millionResult struct {
	First                  float64
	Digests, Quiet, Change []float64
	Peak                   float64 // MiB
}

func benchmarkMillion(b *testing.B, g *generator, memberships int) {
	spec := millionSpec{
		DSN: engines[0].database(b), Users: g.users, Groups: g.groups, Changes: scaled(millionChanges, 10), Rounds: scaled(millionRounds, 1),
	}
	text, err := json.Marshal(spec)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), pullsVariable+"="+string(text)), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		b.Fatalf("pull in another process: %v\n%s", err, stderr.String())
	}
	var r millionResult
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		b.Fatalf("read what the other process found: %v\n%s", err, stdout.String())
	}
	b.Logf("first %.1f s, read and hash %.2f s, quiet %.2f s, changes %.2f s, peak %.0f MiB", r.First, r.Digests, r.Quiet, r.Change, r.Peak)
	ratios := func(over, under []float64) (list []float64) {
		for i := range over {
			list = append(list, over[i]/under[i])
		}
		return list
	}
	inSeconds := func(list []float64) string { return fmt.Sprintf("%.2f s", median(list)) }
	memory := row{measurement: "peak memory of these", engine: "PostgreSQL", provost: fmt.Sprintf("%.0f MiB", r.Peak), value: r.Peak, unit: mebi}
	if spec.Users == millionUsers {
		memory.target = atMost(600)
	}
	results.add(
		row{
			measurement: fmt.Sprintf("first pull of %s users, %s groups, %s memberships from a generator", count(spec.Users), count(spec.Groups), count(memberships)),
			engine:      "PostgreSQL", provost: fmt.Sprintf("%.1f s", r.First), floor: "read and hash " + inSeconds(r.Digests),
			value: r.First / median(r.Digests), unit: times,
		},
		row{
			measurement: "quiet run of these", engine: "PostgreSQL", provost: inSeconds(r.Quiet), floor: "read and hash " + inSeconds(r.Digests),
			value: median(ratios(r.Quiet, r.Digests)), unit: times, target: atMost(1.2),
		},
		row{
			measurement: fmt.Sprintf("run of %s changes in these", count(spec.Changes)), engine: "PostgreSQL", provost: inSeconds(r.Change),
			floor: "quiet run " + inSeconds(r.Quiet), value: median(ratios(r.Change, r.Quiet)), unit: times, target: atMost(1.5),
		},
		memory,
	)
}

// benchmarkFlatten measures how many direct memberships a second become effective ones,
// from the lists of members on.
func benchmarkFlatten(b *testing.B, g *generator, memberships int) {
	rates := make([]float64, 0, millionRounds)
	effective := 0
	for range millionRounds {
		lists := make([][]int32, g.groups)
		for i := range lists {
			lists[i] = g.members(i)
		}
		start := time.Now()
		graph := flatten.New(g.groups)
		for i := range lists {
			graph.SetUsers(int32(i), lists[i])
			if child, nests := g.child(i); nests {
				graph.Nest(int32(i), int32(child))
			}
		}
		effective = 0
		graph.Effective(nil, func(groups []int32, members []flatten.Member) bool {
			effective += len(groups) * len(members)
			return true
		})
		rates = append(rates, float64(memberships)/time.Since(start).Seconds())
	}
	if effective <= memberships {
		b.Fatalf("%d effective members of %d direct ones", effective, memberships)
	}
	results.add(row{
		measurement: fmt.Sprintf("flattening of %s memberships, 5 deep", count(memberships)), engine: "", provost: count(int(median(rates))) + " /s",
		floor: "target 5,000,000 /s", value: median(rates) / 5_000_000, unit: times, target: atLeast(1),
	})
}
