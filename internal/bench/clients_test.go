package bench

import (
	"sync"
	"testing"
	"time"
)

const clients = 8

// rate runs work in clients goroutines for the time, and returns how often it was
// done in a second by all of them. work gets the number of its client.
func rate(b *testing.B, d time.Duration, work func(client int) error) float64 {
	b.Helper()
	var (
		group  sync.WaitGroup
		done   [clients]int
		errs   [clients]error
		start  = time.Now()
		finish = start.Add(d)
	)
	for client := range clients {
		group.Go(func() {
			for time.Now().Before(finish) {
				if errs[client] = work(client); errs[client] != nil {
					return
				}
				done[client]++
			}
		})
	}
	group.Wait()
	took := time.Since(start)
	sum := 0
	for client := range clients {
		if errs[client] != nil {
			b.Fatal(errs[client])
		}
		sum += done[client]
	}
	return float64(sum) / took.Seconds()
}
