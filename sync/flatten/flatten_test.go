package flatten_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/provost-scim/provost/sync/flatten"
)

// model is what a graph should be, as plainly as it can be said.
type model struct {
	users, children []map[int32]bool
}

func newModel(groups int) *model {
	m := &model{}
	for range groups {
		m.users, m.children = append(m.users, map[int32]bool{}), append(m.children, map[int32]bool{})
	}
	return m
}

// effective searches breadth first and counts, for each user, the groups met that
// hold it.
func (m *model) effective(group int32) map[int32]int32 {
	support := map[int32]int32{}
	seen := map[int32]bool{group: true}
	for queue := []int32{group}; len(queue) > 0; queue = queue[1:] {
		for user := range m.users[queue[0]] {
			support[user]++
		}
		for child := range m.children[queue[0]] {
			if !seen[child] {
				seen[child] = true
				queue = append(queue, child)
			}
		}
	}
	return support
}

func keys(set map[int32]bool) []int32 {
	var list []int32
	for k := range set {
		list = append(list, k)
	}
	return list
}

func effective(t interface{ Fatalf(string, ...any) }, g *flatten.Graph, wanted []int32) map[int32]map[int32]int32 {
	all := map[int32]map[int32]int32{}
	g.Effective(wanted, func(groups []int32, members []flatten.Member) bool {
		for _, group := range groups {
			if all[group] != nil {
				t.Fatalf("group %d was visited twice", group)
			}
			all[group] = map[int32]int32{}
			for _, member := range members {
				if all[group][member.User] != 0 {
					t.Fatalf("user %d came twice in group %d", member.User, group)
				}
				all[group][member.User] = member.Support
			}
		}
		return true
	})
	return all
}

func TestEffectiveMembersAreThoseOfABreadthFirstSearchWhileGraphsGrowAndShrink(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.IntRange(1, 12).Draw(t, "groups")
		group, user := rapid.Int32Range(0, int32(groups-1)), rapid.Int32Range(0, 15)
		g, m := flatten.New(groups), newModel(groups)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			changed := group.Draw(t, "group")
			before := map[int32]map[int32]int32{}
			for i := range int32(groups) {
				before[i] = m.effective(i)
			}
			concerned := g.Above(changed)
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				list := rapid.SliceOfN(user, 0, 6).Draw(t, "users")
				m.users[changed] = map[int32]bool{}
				for _, u := range list {
					m.users[changed][u] = true
				}
				g.SetUsers(changed, list)
			case 1:
				child := group.Draw(t, "child")
				m.children[changed][child] = true
				g.Nest(changed, child)
			case 2:
				for child := range m.children[changed] {
					if child%2 == 0 {
						delete(m.children[changed], child)
					}
				}
				g.SetChildren(changed, keys(m.children[changed]))
			}
			want, counts := map[int32]map[int32]int32{}, make([]int, groups)
			for i := range int32(groups) {
				want[i] = m.effective(i)
				counts[i] = len(want[i])
				if !slices.Contains(concerned, i) && !cmp.Equal(before[i], want[i]) {
					t.Fatalf("a change of group %d changed group %d, which Above did not name", changed, i)
				}
			}
			if diff := cmp.Diff(want, effective(t, g, nil)); diff != "" {
				t.Fatalf("effective members (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(counts, g.Counts()); diff != "" {
				t.Fatalf("counts (-want +got):\n%s", diff)
			}
			some := rapid.SliceOf(group).Draw(t, "wanted")
			part := map[int32]map[int32]int32{}
			for _, i := range some {
				part[i] = want[i]
			}
			if diff := cmp.Diff(part, effective(t, g, append([]int32{}, some...))); diff != "" {
				t.Fatalf("effective members of %v (-want +got):\n%s", some, diff)
			}
		}
	})
}

func TestGroupsAreVisitedAfterThoseBelowThem(t *testing.T) {
	g := flatten.New(4)
	g.Nest(0, 1)
	g.Nest(1, 2)
	g.Nest(2, 1)
	g.Nest(2, 3)
	var order [][]int32
	g.Effective(nil, func(groups []int32, _ []flatten.Member) bool {
		order = append(order, slices.Sorted(slices.Values(groups)))
		return true
	})
	if diff := cmp.Diff([][]int32{{3}, {1, 2}, {0}}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestAVisitorCanStop(t *testing.T) {
	visits := 0
	flatten.New(5).Effective(nil, func([]int32, []flatten.Member) bool {
		visits++
		return visits < 2
	})
	if visits != 2 {
		t.Errorf("%d visits, want 2", visits)
	}
}

func TestAChainAsLongAsTheGraphIsNoProblem(t *testing.T) {
	const groups = 200_000
	g := flatten.New(groups)
	for i := range int32(groups - 1) {
		g.Nest(i, i+1)
	}
	g.SetUsers(groups-1, []int32{7})
	counts := g.Counts()
	if slices.Min(counts) != 1 || slices.Max(counts) != 1 {
		t.Error("not every group of the chain has the user at its end")
	}
}

func TestIndexNumbersKeysInOrder(t *testing.T) {
	x := flatten.NewIndex[string](2)
	got := []int32{x.Number("a"), x.Number("b"), x.Number("a")}
	_, found := x.Find("c")
	if !slices.Equal(got, []int32{0, 1, 0}) || x.Key(1) != "b" || x.Len() != 2 || found {
		t.Errorf("numbers %v, key 1 is %q, %d keys, found an unknown one: %t", got, x.Key(1), x.Len(), found)
	}
}

// BenchmarkEffective flattens 10,000 groups with 437,000 direct members of 100,000
// users, nested as in a large company.
func BenchmarkEffective(b *testing.B) {
	const groups, users, direct = 10_000, 100_000, 437_000
	random := rand.New(rand.NewPCG(1, 2))
	g := flatten.New(groups)
	lists := make([][]int32, groups)
	for range direct {
		group := random.IntN(groups)
		lists[group] = append(lists[group], int32(random.IntN(users)))
	}
	for group, list := range lists {
		g.SetUsers(int32(group), list)
	}
	for range groups / 3 {
		parent := random.IntN(groups - 1)
		g.Nest(int32(parent), int32(parent+1+random.IntN(groups-parent-1)))
	}
	memberships := 0
	for b.Loop() {
		memberships = 0
		g.Nest(0, 1) // a change, so that the nestings are solved anew
		g.Effective(nil, func(of []int32, members []flatten.Member) bool {
			memberships += len(of) * len(members)
			return true
		})
	}
	b.ReportMetric(float64(memberships)*float64(b.N)/b.Elapsed().Seconds(), "memberships/s")
}
