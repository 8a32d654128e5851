package bench

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTableSaysWhetherEachTargetIsMet(t *testing.T) {
	r := report{rows: []row{
		{measurement: "pull", engine: "PostgreSQL", provost: "25 s", floor: "10 s", value: 2.5, unit: times, target: atMost(2.5)},
		{measurement: "pull", engine: "SQLite", provost: "26 s", floor: "10 s", value: 2.6, unit: times, target: atMost(2.5)},
		{measurement: "post", engine: "SQLite", provost: "119 /s", floor: "1,000 /s", value: 11.9, unit: percent, target: atLeast(12)},
		{measurement: "post", engine: "PostgreSQL", provost: "120 /s", floor: "1,000 /s", value: 12, unit: percent, target: atLeast(12)},
		{measurement: "memory", engine: "PostgreSQL", provost: "299 MiB", value: 299, unit: mebi, target: atMost(300)},
		{measurement: "information", engine: "SQLite", provost: "1 s", floor: "2 s", value: 0.5, unit: times},
	}}
	want := strings.TrimPrefix(`
| measurement | engine     | provost | floor    | ratio   | target    | met    |
|-------------|------------|---------|----------|---------|-----------|--------|
| pull        | PostgreSQL | 25 s    | 10 s     | 2.50    | ≤ 2.5     | yes    |
| pull        | SQLite     | 26 s    | 10 s     | 2.60    | ≤ 2.5     | **no** |
| post        | SQLite     | 119 /s  | 1,000 /s | 11.9 %  | ≥ 12 %    | **no** |
| post        | PostgreSQL | 120 /s  | 1,000 /s | 12.0 %  | ≥ 12 %    | yes    |
| memory      | PostgreSQL | 299 MiB |          | 299 MiB | ≤ 300 MiB | yes    |
| information | SQLite     | 1 s     | 2 s      | 0.50    |           |        |
`, "\n")
	if diff := cmp.Diff(want, r.table()); diff != "" {
		t.Error(diff)
	}
}

func TestMedianIsTheMiddleInAnyOrder(t *testing.T) {
	for _, test := range []struct {
		values []int
		want   int
	}{
		{nil, 0},
		{[]int{7}, 7},
		{[]int{9, 1, 5}, 5},
		{[]int{4, 1, 3, 2, 5}, 3},
	} {
		if got := median(test.values); got != test.want {
			t.Errorf("median(%v) = %d, want %d", test.values, got, test.want)
		}
	}
}
