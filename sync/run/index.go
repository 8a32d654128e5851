package run

import (
	"github.com/provost-scim/provost/store"
)

// flags are what is known of one record while its directory is read.
type flags uint8

const (
	known      flags = 1 << iota // a live record is stored
	hashed                       // it was last applied whole, from an entry with node.hash
	active                       // it is a user whom the directory says to be active
	outOfScope                   // it is stored as out of scope
	isUser                       // else a group
	read                         // the read has found an entry of it, in scope or not
	within                       // that entry is in scope
	invalid                      // that entry cannot become a record
)

// node is one record: stored, read, or both. There is one for each user and group,
// so it is small.
type node struct {
	id    string
	hash  sourceHash
	flags flags
}

func (n *node) is(f flags) bool { return n.flags&f == f }

// index finds nodes by kind and stable id.
type index struct {
	users  map[string]int32
	groups map[string]int32
	nodes  []node
}

func newIndex(users, groups int) *index {
	return &index{
		users:  make(map[string]int32, users),
		groups: make(map[string]int32, groups),
		nodes:  make([]node, 0, users+groups),
	}
}

// at returns the node of a stable id, which it keeps.
func (x *index) at(kind store.Kind, id string) int32 {
	m, f := x.groups, flags(0)
	if kind == store.KindUser {
		m, f = x.users, isUser
	}
	i, ok := m[id]
	if !ok {
		i = int32(len(x.nodes))
		x.nodes = append(x.nodes, node{id: id, flags: f})
		m[id] = i
	}
	return i
}

// add notes what is stored of a record.
func (x *index) add(k store.Known) {
	if k.ExternalID == "" {
		return // no entry can be compared with it
	}
	n := &x.nodes[x.at(k.Kind, k.ExternalID)]
	n.flags |= known
	if len(k.Hash) == len(n.hash) {
		n.flags |= hashed
		copy(n.hash[:], k.Hash)
	}
	if k.Active {
		n.flags |= active
	}
	if k.OutOfScope {
		n.flags |= outOfScope
	}
}

// either returns the node of a stable id of which it is not known whether it is a
// user's or a group's.
func (x *index) either(id string) int32 {
	if i, ok := x.groups[id]; ok {
		return i
	}
	return x.at(store.KindUser, id)
}
