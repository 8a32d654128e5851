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

// compareRates measures requests in turn with the work of their floor, and reports
// what per cent of the floor's rate they reach.
func compareRates(b *testing.B, engine, measurement, requests string, request func(client int) error, floors string, floor func(client int) error, goal target) {
	b.Helper()
	rate(b, scaledTime(time.Second), floor)
	rate(b, scaledTime(time.Second), request)
	var below, rates, ratios []float64
	for range scaled(5, 2) {
		f, r := rate(b, scaledTime(2*time.Second), floor), rate(b, scaledTime(2*time.Second), request)
		below, rates, ratios = append(below, f), append(rates, r), append(ratios, 100*r/f)
	}
	results.add(row{
		measurement: measurement, engine: engine,
		provost: count(int(median(rates))) + " /s", floor: count(int(median(below))) + " " + floors + "/s",
		value: median(ratios), unit: percent, target: goal,
	})
	b.ReportMetric(median(ratios), "%-of-"+floors)
	b.ReportMetric(median(rates), requests+"/s")
}
