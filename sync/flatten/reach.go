package flatten

import "encoding/binary"

// Nesting is groups in groups, numbered from 0.
type Nesting struct {
	Children [][]int32 // by group; one that is named twice counts once
	Absent   []bool    // by group: it reaches nothing, itself included, and nobody reaches it; nil: none is
}

// blockWords is how many marked groups [Shifts] looks at together, in words of 64.
const blockWords = 16

// Shifts compares which of the marked groups the wanted ones reach, before and after a
// change of nestings: a group reaches itself and all below it. It visits the groups for
// which the difference is the same together, with the marked groups that came into
// reach and those that went out of it; groups of which nothing changes are not visited.
// With the zero Nesting before, whatever is reached is gained.
//
// A group is visited again with other marked groups where these are many. The slices
// are reused: visit must not keep them. It returns false to stop.
//
// The cost is that of the nestings and groups times the marked ones by 64, and that of
// the slices visited; so neither cycles nor depth are dear.
func Shifts(before, after Nesting, wanted, marked []int32, visit func(groups, gained, lost []int32) bool) {
	was, is := newReach(before), newReach(after)
	for len(marked) > 0 {
		block := marked[:min(len(marked), 64*blockWords)]
		marked = marked[len(block):]
		was.spread(block)
		is.spread(block)
		for _, s := range alike(was, is, wanted) {
			if !visit(s.groups, pick(block, s.gained), pick(block, s.lost)) {
				return
			}
		}
	}
}

// reach is which marked groups of a block are at or below each component.
type reach struct {
	Nesting
	*components
	bits  [][blockWords]uint64 // by component
	words int                  // of them that are in use
}

func newReach(n Nesting) *reach {
	r := &reach{Nesting: n}
	if n.Absent != nil {
		r.Children = make([][]int32, len(n.Children))
		for group, children := range n.Children {
			if n.Absent[group] {
				continue
			}
			for _, child := range children {
				if !n.Absent[child] {
					r.Children[group] = append(r.Children[group], child)
				}
			}
		}
	}
	r.components = connect(r.Children)
	r.bits = make([][blockWords]uint64, len(r.components.groups))
	return r
}

func (r *reach) has(group int32) bool {
	return int(group) < len(r.Children) && (r.Absent == nil || !r.Absent[group])
}

func (r *reach) spread(block []int32) {
	clear(r.bits)
	r.words = (len(block) + 63) / 64
	for i, group := range block {
		if r.has(group) {
			r.bits[r.of[group]][i/64] |= 1 << (i % 64)
		}
	}
	for c, children := range r.children { // children come before parents
		own := &r.bits[c]
		for _, child := range children {
			for i, word := range r.bits[child][:r.words] {
				own[i] |= word
			}
		}
	}
}

func (r *reach) reached(group int32) [blockWords]uint64 {
	if !r.has(group) {
		return [blockWords]uint64{}
	}
	return r.bits[r.of[group]]
}

// shift is groups that gain and lose the same.
type shift struct {
	groups       []int32
	gained, lost [blockWords]uint64
}

// alike sorts the groups of which something changes by what that is.
func alike(was, is *reach, groups []int32) []*shift {
	var list []*shift
	known := map[string]*shift{}
	var key []byte
	for _, group := range groups {
		before, after := was.reached(group), is.reached(group)
		if before == after {
			continue
		}
		var s shift
		key = key[:0]
		for i := range is.words {
			s.gained[i], s.lost[i] = after[i]&^before[i], before[i]&^after[i]
			key = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(key, s.gained[i]), s.lost[i])
		}
		same := known[string(key)]
		if same == nil {
			same = &s
			known[string(key)] = same
			list = append(list, same)
		}
		same.groups = append(same.groups, group)
	}
	return list
}

// pick returns the groups of a block whose bits are set.
func pick(block []int32, bits [blockWords]uint64) []int32 {
	var list []int32
	for i, group := range block {
		if bits[i/64]&(1<<(i%64)) != 0 {
			list = append(list, group)
		}
	}
	return list
}
