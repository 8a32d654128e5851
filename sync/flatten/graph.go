package flatten

// Graph is a set of groups, numbered from 0, with their direct members. It is for
// one goroutine.
type Graph struct {
	users    [][]int32
	children [][]int32
	stated   []int32 // by user: 1 + the group whose list was last seen to have it
	solved   *components
}

// Member is one effective member of a group.
type Member struct {
	User    int32
	Support int32 // groups at or below that hold the user directly; at least 1
}

// New makes a graph of that many groups without members.
func New(groups int) *Graph {
	return &Graph{users: make([][]int32, groups), children: make([][]int32, groups)}
}

// Groups returns how many groups there are.
func (g *Graph) Groups() int { return len(g.users) }

// SetUsers replaces the users directly in a group; one that is named twice counts
// once. The slice is kept and may be reordered.
func (g *Graph) SetUsers(group int32, users []int32) {
	last := int32(-1)
	for _, u := range users {
		last = max(last, u)
	}
	if n := int(last) + 1; n > len(g.stated) {
		g.stated = append(g.stated, make([]int32, n-len(g.stated))...)
	}
	kept := users[:0]
	for _, u := range users {
		if g.stated[u] != group+1 {
			g.stated[u] = group + 1
			kept = append(kept, u)
		}
	}
	for _, u := range kept { // so that the same group can be set again
		g.stated[u] = 0
	}
	g.users[group] = kept
}

// SetChildren replaces the groups directly in a group. The slice is kept. A group
// in itself, or named twice, changes nothing.
func (g *Graph) SetChildren(group int32, children []int32) {
	g.children[group] = children
	g.solved = nil
}

// Nest puts one group into another.
func (g *Graph) Nest(parent, child int32) {
	g.children[parent] = append(g.children[parent], child)
	g.solved = nil
}

// Above returns the groups whose effective members depend on those of the given
// groups: these themselves and all above them, in ascending order.
func (g *Graph) Above(groups ...int32) []int32 {
	parents := make([][]int32, g.Groups())
	for parent, children := range g.children {
		for _, child := range children {
			parents[child] = append(parents[child], int32(parent))
		}
	}
	marked := make([]bool, g.Groups())
	queue := append([]int32(nil), groups...)
	for len(queue) > 0 {
		group := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if !marked[group] {
			marked[group] = true
			queue = append(queue, parents[group]...)
		}
	}
	var above []int32
	for group, is := range marked {
		if is {
			above = append(above, int32(group))
		}
	}
	return above
}

// Effective visits groups with their effective members: the wanted ones, or all if
// wanted is nil. Groups of one cycle have the same members and are visited
// together, each once; a group is visited after those below it. Members are in no
// particular, but always the same, order. Both slices are reused: visit must not
// keep them. It returns false to stop.
//
// The cost is that of the members' supports added up, and of the nestings below
// each visited group.
func (g *Graph) Effective(wanted []int32, visit func(groups []int32, members []Member) bool) {
	w := g.walker(wanted)
	for c := range w.components.groups {
		if groups := w.wantedOf(c); len(groups) > 0 && !visit(groups, w.members(c)) {
			return
		}
	}
}

// Counts returns how many effective members every group has.
func (g *Graph) Counts() []int {
	counts := make([]int, g.Groups())
	w := g.walker(nil)
	for c, groups := range w.components.groups {
		n := w.count(c)
		for _, group := range groups {
			counts[group] = n
		}
	}
	return counts
}

// walker collects what lies below components.
type walker struct {
	graph      *Graph
	components *components
	instead    []int32 // by component: the one below that has the same members, or itself
	wanted     []bool  // by group; nil: all
	some       []int32
	below      []int32 // components, of the one under way
	visited    []int32 // by component: 1 + the component for which it was last met
	met        []int32 // by user: likewise
	at         []int32 // by user: its place in list
	list       []Member
}

func (g *Graph) walker(wanted []int32) *walker {
	if g.solved == nil {
		g.solved = connect(g.children)
	}
	w := &walker{graph: g, components: g.solved,
		visited: make([]int32, len(g.solved.groups)), met: make([]int32, len(g.stated)), at: make([]int32, len(g.stated))}
	w.skipHollow()
	if wanted != nil {
		w.wanted = make([]bool, g.Groups())
		for _, group := range wanted {
			w.wanted[group] = true
		}
	}
	return w
}

// skipHollow finds components that only pass on the members of one other, so that
// long chains of groups without users cost no more than they hold.
func (w *walker) skipHollow() {
	w.instead = make([]int32, len(w.components.groups))
	for c, groups := range w.components.groups {
		w.instead[c] = int32(c)
		children, users := w.components.children[c], 0
		for _, group := range groups {
			users += len(w.graph.users[group])
		}
		if users == 0 && len(children) == 1 {
			w.instead[c] = w.instead[children[0]]
		}
	}
}

func (w *walker) wantedOf(component int) []int32 {
	groups := w.components.groups[component]
	if w.wanted == nil {
		return groups
	}
	w.some = w.some[:0]
	for _, group := range groups {
		if w.wanted[group] {
			w.some = append(w.some, group)
		}
	}
	return w.some
}

// descend sets below to the component and all those below it.
func (w *walker) descend(component int) {
	stamp := int32(component) + 1
	top := w.instead[component]
	w.visited[top] = stamp
	w.below = append(w.below[:0], top)
	for i := 0; i < len(w.below); i++ {
		for _, child := range w.components.children[w.below[i]] {
			if child = w.instead[child]; w.visited[child] != stamp {
				w.visited[child] = stamp
				w.below = append(w.below, child)
			}
		}
	}
}

func (w *walker) members(component int) []Member {
	w.list = w.list[:0]
	groups := w.components.groups[component]
	if len(groups) == 1 && len(w.components.children[component]) == 0 {
		for _, user := range w.graph.users[groups[0]] { // nothing below: each once
			w.list = append(w.list, Member{user, 1})
		}
		return w.list
	}
	w.descend(component)
	stamp := int32(component) + 1
	for _, c := range w.below {
		for _, group := range w.components.groups[c] {
			for _, user := range w.graph.users[group] {
				if w.met[user] == stamp {
					w.list[w.at[user]].Support++
					continue
				}
				w.met[user], w.at[user] = stamp, int32(len(w.list))
				w.list = append(w.list, Member{user, 1})
			}
		}
	}
	return w.list
}

func (w *walker) count(component int) int {
	groups := w.components.groups[component]
	if len(groups) == 1 && len(w.components.children[component]) == 0 {
		return len(w.graph.users[groups[0]])
	}
	w.descend(component)
	stamp, n := int32(component)+1, 0
	for _, c := range w.below {
		for _, group := range w.components.groups[c] {
			for _, user := range w.graph.users[group] {
				if w.met[user] != stamp {
					w.met[user] = stamp
					n++
				}
			}
		}
	}
	return n
}
