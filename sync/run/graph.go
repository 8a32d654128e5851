package run

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/provost-scim/provost/store"
)

// none stands for a node or group that was not read.
const none int32 = -1

// graph is who names whom in a directory. Names are interned as they are read, and
// mean the entry that bears them when everything has been read.
type graph struct {
	key    func(string) [16]byte
	dns    *table[[16]byte]
	keys   [][16]byte       // by interned DN
	bearer []int32          // by interned DN: the node of the entry
	names  map[string]int32 // folded values of memberUid
	named  []int32          // by interned name: the node of the user
	groups []group
	bySID  map[string]int32 // index in groups
	byNode map[int32]int32  // index in groups
}

// group is one group as it was read. It is staged when its members are known.
type group struct {
	node        int32
	dnKey       int32 // interned
	dn          string
	name        string
	description string
	invalid     string  // why it cannot become a record
	members     []int32 // interned DNs
	uids        []int32 // interned names
	primary     []int32 // nodes of users whose primary group it is
	within      bool    // in scope
}

func newGraph(key func(string) [16]byte, entries int) *graph {
	g := &graph{
		key: key, keys: make([][16]byte, 0, entries), bearer: make([]int32, 0, entries),
		names: map[string]int32{}, bySID: map[string]int32{}, byNode: map[int32]int32{},
	}
	g.dns = newTable(entries, func(n int32) [16]byte { return g.keys[n] }, func(k [16]byte) uint64 { return binary.LittleEndian.Uint64(k[:]) })
	return g
}

// intern returns the number of a DN.
func (g *graph) intern(dn string) int32 {
	k := g.key(dn)
	i := g.dns.find(k)
	if i == none {
		i = int32(len(g.bearer))
		g.keys, g.bearer = append(g.keys, k), append(g.bearer, none)
		g.dns.add(i)
	}
	return i
}

// addGroup keeps a group's entry.
func (g *graph) addGroup(e *store.Entry, node int32) {
	dn := g.intern(e.DN)
	if node != none {
		g.bearer[dn] = node
		g.byNode[node] = int32(len(g.groups))
	}
	if e.SID != "" {
		g.bySID[strings.Clone(e.SID)] = int32(len(g.groups))
	}
	group := group{
		node: node, dnKey: dn, dn: strings.Clone(e.DN), name: strings.Clone(e.DisplayName),
		description: strings.Clone(e.Description), invalid: strings.Clone(e.Invalid),
	}
	if n := len(e.MemberDNs); n > 0 {
		group.members = make([]int32, n)
		for i, dn := range e.MemberDNs {
			group.members[i] = g.intern(dn)
		}
	}
	for _, name := range e.MemberNames {
		folded := store.Fold(name)
		i, ok := g.names[folded]
		if !ok {
			i = int32(len(g.named))
			g.names[strings.Clone(folded)] = i
			g.named = append(g.named, none)
		}
		group.uids = append(group.uids, i)
	}
	g.groups = append(g.groups, group)
}

// scope decides which groups and which names of users are in scope.
type scope struct {
	all    bool
	dns    map[int32]bool
	names  map[int32]bool
	nodes  map[int32]bool // that imports have put in it
	chosen []ScopeGroup
}

// everything puts all groups and whoever comes in scope.
func (g *graph) everything() *scope {
	for i := range g.groups {
		g.groups[i].within = true
	}
	return &scope{all: true}
}

// groupAt returns the group that bears an interned DN.
func (g *graph) groupAt(dn int32) (int32, bool) {
	if node := g.bearer[dn]; node != none {
		i, ok := g.byNode[node]
		return i, ok
	}
	return 0, false
}

// addUser keeps where a user stands and reports whether it is in scope. node is
// none for an entry without a usable stable id.
func (g *graph) addUser(e *store.Entry, node int32, s *scope) bool {
	dn := g.intern(e.DN)
	if node != none {
		g.bearer[dn] = node
	}
	within := s.all || s.dns[dn] || node != none && s.nodes[node]
	if len(g.names) > 0 {
		if i, ok := g.names[store.Fold(e.Attributes.UserName)]; ok {
			if node != none {
				g.named[i] = node
			}
			within = within || s.names[i]
		}
	}
	if e.PrimaryGroup != "" {
		if i, ok := g.bySID[e.PrimaryGroup]; ok {
			if node != none {
				g.groups[i].primary = append(g.groups[i].primary, node)
			}
			within = within || g.groups[i].within
		}
	}
	return within
}

// members returns the nodes of a group's members and how many of those stated were
// not read: they lie outside what the directory shows us.
func (g *graph) members(group *group) (nodes []int32, unread int) {
	nodes = make([]int32, 0, len(group.members)+len(group.uids)+len(group.primary))
	for _, dn := range group.members {
		nodes = append(nodes, g.bearer[dn])
	}
	for _, name := range group.uids {
		nodes = append(nodes, g.named[name])
	}
	nodes = append(nodes, group.primary...)
	all := len(nodes)
	nodes = slices.DeleteFunc(nodes, func(n int32) bool { return n == none })
	return nodes, all - len(nodes)
}

// effective counts the users at or below each group whose count exceeds the cap,
// by index in groups. admitted says whether a node is a user who counts.
func (g *graph) effective(limit int, admitted func(node int32) bool) map[int32]int {
	over := map[int32]int{}
	visited := make([]int32, len(g.groups)) // by group: 1 + the root that last visited it
	counted := map[int32]struct{}{}
	for root := range g.groups {
		if !g.groups[root].within || g.groups[root].invalid != "" {
			continue
		}
		below, bound := g.below(int32(root), visited)
		if bound <= limit {
			continue
		}
		clear(counted)
		for _, i := range below {
			nodes, _ := g.members(&g.groups[i])
			for _, n := range nodes {
				if admitted(n) {
					counted[n] = struct{}{}
				}
			}
		}
		if len(counted) > limit {
			over[int32(root)] = len(counted)
		}
	}
	return over
}

// below lists a group and all groups below it, and bounds how many users they hold.
func (g *graph) below(root int32, visited []int32) (groups []int32, bound int) {
	visited[root] = root + 1
	groups = append(groups, root)
	for next := 0; next < len(groups); next++ {
		group := &g.groups[groups[next]]
		bound += len(group.members) + len(group.uids) + len(group.primary)
		for _, dn := range group.members {
			if i, ok := g.groupAt(dn); ok && visited[i] != root+1 && g.groups[i].invalid == "" {
				visited[i] = root + 1
				groups = append(groups, i)
			}
		}
	}
	return groups, bound
}
