package run

import (
	"strconv"
	"testing"
)

func TestATableFindsWhatWasAddedAndNothingElse(t *testing.T) {
	for name, hash := range map[string]func(string) uint64{
		"hashes that differ":  func(key string) uint64 { n, _ := strconv.ParseUint(key, 10, 64); return n * 0x9e3779b97f4a7c15 },
		"hashes that are one": func(string) uint64 { return 1<<64 - 1 },
	} {
		t.Run(name, func(t *testing.T) {
			var keys []string
			x := newTable(0, func(n int32) string { return keys[n] }, hash)
			for n := range 500 {
				key := strconv.Itoa(n)
				if found := x.find(key); found != none {
					t.Fatalf("%s was found as %d before it was added", key, found)
				}
				keys = append(keys, key)
				x.add(int32(n))
			}
			for n, key := range keys {
				if found := x.find(key); found != int32(n) {
					t.Fatalf("%s was found as %d", key, found)
				}
			}
			if full(x.used, len(x.slots)) {
				t.Errorf("%d of %d slots are taken", x.used, len(x.slots))
			}
		})
	}
}
