package run

import (
	"crypto/sha256"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// dnKey takes names that differ in case alone as the same.
func dnKey(name string) (k [16]byte) {
	sum := sha256.Sum256([]byte(strings.ToLower(name)))
	copy(k[:], sum[:])
	return k
}

// testGraph makes a graph whose groups are named by upper-case letters, with their
// members in the order given; node numbers are those of the order of first mention.
type testGraph struct {
	*graph
	nodes map[string]int32
}

func newTestGraph() *testGraph { return &testGraph{newGraph(dnKey, 0), map[string]int32{}} }

func (g *testGraph) node(name string) int32 {
	if n, ok := g.nodes[name]; ok {
		return n
	}
	n := int32(len(g.nodes))
	g.nodes[name] = n
	return n
}

// index has a node for each name, with the name as its stable id.
func (g *testGraph) index() *index {
	x := newIndex(0, 0)
	names := make([]string, len(g.nodes))
	for name, i := range g.nodes {
		names[i] = name
	}
	for _, name := range names {
		x.at(store.KindGroup, name)
	}
	return x
}

func (g *testGraph) group(name string, members ...string) {
	g.addGroup(&store.Entry{Kind: store.KindGroup, DN: name, DisplayName: name, MemberDNs: members}, g.node(name))
}

func (g *testGraph) user(name string, s *scope) bool {
	return g.addUser(&store.Entry{Kind: store.KindUser, DN: name, Attributes: store.Attributes{UserName: name}}, g.node(name), s)
}

func TestScopeIsTheSelectedGroupsAndAllBelowThem(t *testing.T) {
	g := newTestGraph()
	g.group("Staff", "Ops", "ann")
	g.group("Ops", "bob", "Staff") // a cycle
	g.group("Sales", "cid")
	g.addGroup(&store.Entry{Kind: store.KindGroup, DN: "posix", DisplayName: "posix", MemberNames: []string{"Dora"}}, g.node("posix"))
	g.addGroup(&store.Entry{Kind: store.KindGroup, DN: "domain", DisplayName: "domain", SID: "S-1-513"}, g.node("domain"))
	s, err := g.choose(wish{names: []string{"staff", "POSIX", "domain"}}, g.index())
	if err != nil {
		t.Fatal(err)
	}
	within := map[string]bool{}
	for i := range g.groups {
		within[g.groups[i].name] = g.groups[i].within
	}
	want := map[string]bool{"Staff": true, "Ops": true, "Sales": false, "posix": true, "domain": true}
	if diff := cmp.Diff(want, within); diff != "" {
		t.Errorf("groups in scope (-want +got):\n%s", diff)
	}
	for name, want := range map[string]bool{"ANN": true, "bob": true, "cid": false, "dora": true, "eve": false} {
		if got := g.user(name, s); got != want {
			t.Errorf("%s in scope: %t, want %t", name, got, want)
		}
	}
	primary := &store.Entry{Kind: store.KindUser, DN: "fay", PrimaryGroup: "S-1-513", Attributes: store.Attributes{UserName: "fay"}}
	if !g.addUser(primary, g.node("fay"), s) {
		t.Error("a user is not in scope although its primary group is")
	}
	if nodes, _ := g.members(&g.groups[4]); !cmp.Equal(nodes, []int32{g.node("fay")}) {
		t.Errorf("members of the primary group are %v, want its user", nodes)
	}
}

func TestAScopeGroupThatIsNotFoundIsAnError(t *testing.T) {
	g := newTestGraph()
	g.group("Staff")
	if _, err := g.choose(wish{names: []string{"Staff", "Stuff"}}, g.index()); err == nil || !strings.Contains(err.Error(), `"Stuff"`) {
		t.Errorf("error %v, want one that names the group", err)
	}
}

func TestMembersThatWereNotReadAreCounted(t *testing.T) {
	g := newTestGraph()
	g.group("Staff", "ann", "elsewhere", "Ops")
	g.group("Ops")
	s, err := g.choose(wish{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.user("ann", s)
	nodes, unread := g.members(&g.groups[0])
	if unread != 1 || len(nodes) != 2 {
		t.Errorf("%d members and %d not read, want 2 and 1", len(nodes), unread)
	}
}

func TestEffectiveCountsEqualABreadthFirstSearch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		groups, users, limit := 1+random.IntN(8), random.IntN(12), random.IntN(6)
		g := newTestGraph()
		direct := make([][]string, groups)
		for i := range groups {
			for range random.IntN(6) {
				if users > 0 && random.IntN(2) == 0 {
					direct[i] = append(direct[i], "u"+strconv.Itoa(random.IntN(users)))
				} else {
					direct[i] = append(direct[i], "G"+strconv.Itoa(random.IntN(groups)))
				}
			}
			g.group("G"+strconv.Itoa(i), direct[i]...)
		}
		s, err := g.choose(wish{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		isUser := map[int32]bool{}
		for i := range users {
			name := "u" + strconv.Itoa(i)
			g.user(name, s)
			isUser[g.node(name)] = true
		}
		want := map[int32]int{}
		for root := range groups {
			seen := map[string]bool{"G" + strconv.Itoa(root): true}
			queue, count := []int{root}, 0
			for len(queue) > 0 {
				members := direct[queue[0]]
				queue = queue[1:]
				for _, m := range members {
					if seen[m] {
						continue
					}
					seen[m] = true
					if m[0] == 'u' {
						count++
					} else {
						i, _ := strconv.Atoi(m[1:])
						queue = append(queue, i)
					}
				}
			}
			if count > limit {
				want[int32(root)] = count
			}
		}
		got := g.effective(limit, func(n int32) bool { return isUser[n] })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("groups %v over %d (-want +got):\n%s", direct, limit, diff)
		}
	}
}
