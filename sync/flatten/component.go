package flatten

// components are the strongly connected components of the nestings: a cycle with
// all that hangs in it, or a single group. They are numbered such that children
// come before parents.
type components struct {
	groups   [][]int32 // by component
	children [][]int32 // by component: other components, each once
	of       []int32   // by group
}

// connect finds the components by Tarjan's algorithm, without recursion: chains of
// nestings may be as long as there are groups.
func connect(children [][]int32) *components {
	n := len(children)
	result := &components{of: make([]int32, n)}
	var (
		order   = make([]int32, n) // when a group was first met; 0: not yet
		lowest  = make([]int32, n)
		onStack = make([]bool, n)
		next    = make([]int32, n) // which child to look at next
		stack   []int32
		path    []int32
		clock   int32
	)
	enter := func(group int32) {
		clock++
		order[group], lowest[group] = clock, clock
		stack, onStack[group] = append(stack, group), true
		path = append(path, group)
	}
	for root := range int32(n) {
		if order[root] != 0 {
			continue
		}
		enter(root)
		for len(path) > 0 {
			group := path[len(path)-1]
			if int(next[group]) < len(children[group]) {
				child := children[group][next[group]]
				next[group]++
				if order[child] == 0 {
					enter(child)
				} else if onStack[child] {
					lowest[group] = min(lowest[group], order[child])
				}
				continue
			}
			path = path[:len(path)-1]
			if len(path) > 0 {
				parent := path[len(path)-1]
				lowest[parent] = min(lowest[parent], lowest[group])
			}
			if lowest[group] == order[group] {
				stack = result.take(stack, onStack, group)
			}
		}
	}
	result.link(children)
	return result
}

// take makes a component of the stack down to the group.
func (c *components) take(stack []int32, onStack []bool, group int32) []int32 {
	at := len(stack) - 1
	for stack[at] != group {
		at--
	}
	for _, member := range stack[at:] {
		onStack[member] = false
		c.of[member] = int32(len(c.groups))
	}
	c.groups = append(c.groups, append([]int32(nil), stack[at:]...))
	return stack[:at]
}

func (c *components) link(children [][]int32) {
	c.children = make([][]int32, len(c.groups))
	linked := make([]int32, len(c.groups)) // 1 + the last component that has it as a child
	for component, groups := range c.groups {
		stamp := int32(component) + 1
		linked[component] = stamp
		for _, group := range groups {
			for _, child := range children[group] {
				if of := c.of[child]; linked[of] != stamp {
					linked[of] = stamp
					c.children[component] = append(c.children[component], of)
				}
			}
		}
	}
}
