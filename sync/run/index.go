package run

import (
	"hash/maphash"
	"slices"

	"github.com/provost-scim/provost/store"
)

// flags are what is known of one record while its directory is read.
type flags uint16

const (
	known      flags = 1 << iota // a live record is stored
	hashed                       // it was last applied whole, from an entry with node.hash
	active                       // it is a user whom the directory says to be active
	outOfScope                   // it is stored as out of scope
	isUser                       // else a group
	read                         // the read has found an entry of it, in scope or not
	within                       // that entry is in scope
	invalid                      // that entry cannot become a record
	outside                      // the read has not found its entry, which the directory has elsewhere
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
	users  *table[string]
	groups *table[string]
	blocks []*[nodesOfBlock]node // so that none is copied when there are more
	count  int32                 // of nodes
}

const nodesOfBlock = 4096

// node returns the node with a number. It stays where it is.
func (x *index) node(i int32) *node { return &x.blocks[i/nodesOfBlock][i%nodesOfBlock] }

func newIndex(users, groups int) *index {
	x := &index{}
	seed := maphash.MakeSeed()
	id := func(n int32) string { return x.node(n).id }
	hash := func(id string) uint64 { return maphash.String(seed, id) }
	x.users, x.groups = newTable(users, id, hash), newTable(groups, id, hash)
	return x
}

// at returns the node of a stable id, which it keeps.
func (x *index) at(kind store.Kind, id string) int32 {
	t, f := x.groups, flags(0)
	if kind == store.KindUser {
		t, f = x.users, isUser
	}
	i := t.find(id)
	if i == none {
		i = x.count
		if i%nodesOfBlock == 0 {
			x.blocks = append(x.blocks, new([nodesOfBlock]node))
		}
		x.count++
		*x.node(i) = node{id: id, flags: f}
		t.add(i)
	}
	return i
}

// find returns the node of a stable id, or none.
func (x *index) find(kind store.Kind, id string) int32 {
	if kind == store.KindUser {
		return x.users.find(id)
	}
	return x.groups.find(id)
}

// add notes what is stored of a record.
func (x *index) add(k *store.Known) {
	if k.ExternalID == "" {
		return // no entry can be compared with it
	}
	n := x.node(x.at(k.Kind, k.ExternalID))
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

func (x *index) addAll(list []store.Known) {
	for i := range list {
		x.add(&list[i])
	}
}

// either returns the node of a stable id of which it is not known whether it is a
// user's or a group's.
func (x *index) either(id string) int32 {
	if i := x.groups.find(id); i != none {
		return i
	}
	return x.at(store.KindUser, id)
}

// members returns the stable ids of a group's members, sorted, each once, and how many
// of those stated were not read.
func (x *index) members(g *graph, group *group) (ids []string, unread int) {
	nodes, unread := g.members(group)
	ids = make([]string, len(nodes))
	for i, n := range nodes {
		ids[i] = x.node(n).id
	}
	slices.Sort(ids)
	return slices.Compact(ids), unread
}
