package scim

// unit is operations that only make sense together: creations that refer to each
// other in a circle (RFC 7644 section 3.7.1), or a single operation.
type unit []*operation

// fail makes an error that of every operation of the unit.
func (u unit) fail(err error) {
	for _, o := range u {
		o.fail(err)
		o.done = true
	}
}

// order puts the operations in the order in which they are carried out: theirs, but
// for the creation of what an operation refers to, which goes before it. It is
// Tarjan's algorithm, which finds a circle after all that the circle refers to.
func (b *bulk) order() []unit {
	t := tarjan{b: b, seen: make(map[*operation]*mark, len(b.operations)), units: make([]unit, 0, len(b.operations))}
	for _, o := range b.operations {
		if t.seen[o] == nil {
			t.visit(o)
		}
	}
	return t.units
}

type tarjan struct {
	b     *bulk
	seen  map[*operation]*mark
	stack []*operation
	units []unit
}

type mark struct {
	index, low int
	stacked    bool
}

func (t *tarjan) visit(o *operation) *mark {
	m := &mark{index: len(t.seen), low: len(t.seen), stacked: true}
	t.seen[o] = m
	t.stack = append(t.stack, o)
	for _, ref := range o.references {
		to := t.b.posts[ref]
		if to == nil {
			continue // nothing creates it, which is an error when its turn comes
		}
		if n := t.seen[to]; n == nil {
			m.low = min(m.low, t.visit(to).low)
		} else if n.stacked {
			m.low = min(m.low, n.index)
		}
	}
	if m.low < m.index {
		return m
	}
	for i := len(t.stack) - 1; ; i-- {
		t.seen[t.stack[i]].stacked = false
		if t.stack[i] == o {
			t.units = append(t.units, append(unit(nil), t.stack[i:]...))
			t.stack = t.stack[:i]
			return m
		}
	}
}
