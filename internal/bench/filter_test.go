package bench

import (
	"math/rand/v2"
	"testing"
	"time"
)

const (
	manyUsers = 1_000_000
	fewUsers  = 1_000
)

// BenchmarkFilter looks users up by userName, in turn on a server with many and on
// one with few.
func BenchmarkFilter(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			sizes := [2]int{scaled(manyUsers, 5_000), fewUsers}
			var served [2]*scimClient
			for i, size := range sizes {
				served[i] = fill(b, newProvost(b, e.database(b)), e, size)
			}
			random := rand.New(rand.NewPCG(1, 2))
			find := func(which, _ int) time.Duration {
				name := filledName(1 + random.IntN(sizes[which]))
				start := time.Now()
				if err := served[which].findUser(name); err != nil {
					b.Fatal(err)
				}
				return time.Since(start)
			}
			const warm = 200
			var found pairs
			for i := range scaled(2_000, 50) + warm {
				if both := inTurn(i, find); i >= warm {
					found.append(both)
				}
			}
			results.add(row{
				measurement: "filter=userName eq among " + count(sizes[0]), engine: e.name, provost: seconds(found.median(0)),
				floor: "among " + count(sizes[1]) + ": " + seconds(found.median(1)), value: found.ratio(), unit: times, target: atMost(1.3),
			})
			b.ReportMetric(found.ratio(), "ratio")
		})
	}
}
