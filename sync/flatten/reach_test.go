package flatten_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/provost-scim/provost/sync/flatten"
)

// reached searches breadth first, as plainly as it can be said.
func reached(n flatten.Nesting, group int32) map[int32]bool {
	seen := map[int32]bool{}
	there := func(g int32) bool { return int(g) < len(n.Children) && (n.Absent == nil || !n.Absent[g]) }
	for queue := []int32{group}; len(queue) > 0; queue = queue[1:] {
		if there(queue[0]) && !seen[queue[0]] {
			seen[queue[0]] = true
			queue = append(queue, n.Children[queue[0]]...)
		}
	}
	return seen
}

func drawNesting(t *rapid.T, groups int, name string) (n flatten.Nesting) {
	group := rapid.Int32Range(0, int32(groups-1))
	n.Children = make([][]int32, groups)
	for range rapid.IntRange(0, 2*groups).Draw(t, name+" nestings") {
		parent := group.Draw(t, "parent")
		n.Children[parent] = append(n.Children[parent], group.Draw(t, "child"))
	}
	if rapid.Bool().Draw(t, name+" has absent groups") {
		n.Absent = rapid.SliceOfN(rapid.Bool(), groups, groups).Draw(t, name+" absent")
	}
	return n
}

func TestShiftsAreTheDifferenceOfTwoBreadthFirstSearches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.IntRange(1, 12).Draw(t, "groups")
		var before flatten.Nesting
		if rapid.Bool().Draw(t, "something was there") {
			before = drawNesting(t, groups, "before")
		}
		after := drawNesting(t, groups, "after")
		some := rapid.SliceOfNDistinct(rapid.Int32Range(0, int32(groups-1)), 0, groups, rapid.ID)
		wanted, marked := some.Draw(t, "wanted"), some.Draw(t, "marked")
		want, have := map[int32]map[int32]int{}, map[int32]map[int32]int{}
		for _, group := range wanted {
			was, is := reached(before, group), reached(after, group)
			for _, m := range marked {
				if was[m] == is[m] {
					continue
				}
				if want[group] == nil {
					want[group] = map[int32]int{}
				}
				want[group][m] = map[bool]int{true: 1, false: -1}[is[m]]
			}
		}
		flatten.Shifts(before, after, wanted, marked, func(groups, gained, lost []int32) bool {
			for _, group := range groups {
				if have[group] != nil {
					t.Fatalf("group %d was visited twice", group)
				}
				have[group] = map[int32]int{}
				for _, m := range gained {
					have[group][m]++
				}
				for _, m := range lost {
					have[group][m]--
				}
			}
			return true
		})
		if diff := cmp.Diff(want, have); diff != "" {
			t.Fatalf("shifts (-want +got):\n%s", diff)
		}
	})
}

// TestALargeCircleIsVisitedAtOnce closes a chain of groups that are all marked, more
// than are looked at together: the groups of the circle reach all of them.
func TestALargeCircleIsVisitedAtOnce(t *testing.T) {
	const groups = 3_000
	chain, circle := flatten.Nesting{Children: make([][]int32, groups)}, flatten.Nesting{Children: make([][]int32, groups)}
	all := make([]int32, groups)
	for i := range int32(groups) {
		all[i] = i
		circle.Children[i] = []int32{(i + 1) % groups}
		if i+1 < groups {
			chain.Children[i] = circle.Children[i]
		}
	}
	visits := 0
	reached := make([]int, groups)
	flatten.Shifts(flatten.Nesting{}, circle, all, all, func(groups, gained, lost []int32) bool {
		visits++
		for _, group := range groups {
			reached[group] += len(gained) - len(lost)
		}
		return true
	})
	if slices.Min(reached) != groups || slices.Max(reached) != groups || visits > 3 {
		t.Errorf("groups reach from %d to %d of %d, in %d visits", slices.Min(reached), slices.Max(reached), groups, visits)
	}
	clear(reached)
	flatten.Shifts(circle, chain, all, all, func(groups, gained, lost []int32) bool {
		for _, group := range groups {
			reached[group] += len(lost) - len(gained)
		}
		return true
	})
	for i, n := range reached {
		if n != i {
			t.Fatalf("group %d lost %d groups, want those above it, %d", i, n, i)
		}
	}
}

func TestAnEdgeWithinACircleShiftsNothing(t *testing.T) {
	before := flatten.Nesting{Children: [][]int32{{1}, {2}, {0}}}
	after := flatten.Nesting{Children: [][]int32{{1, 2}, {2}, {0}}}
	flatten.Shifts(before, after, []int32{0, 1, 2}, []int32{0, 1, 2}, func(groups, gained, lost []int32) bool {
		t.Errorf("groups %v gain %v and lose %v", groups, gained, lost)
		return true
	})
}
