package bench

import (
	"context"
	"errors"
	"iter"
	"strconv"

	"github.com/provost-scim/provost/store"
	pull "github.com/provost-scim/provost/sync/run"
)

// Of the groups of a [generator] each block of ten is one chain, nested five deep, and
// five that stand alone. The upper groups of a chain hold few users, so that ten groups
// have 500 members.
const (
	blockOfGroups  = 10
	chainOfGroups  = 5
	membersOfUpper = 5
	membersOfLower = 80
	membersOfBlock = (chainOfGroups-1)*membersOfUpper + (blockOfGroups-chainOfGroups+1)*membersOfLower
)

// generator is a directory that needs no memory: what its entries are follows from their
// numbers.
type generator struct {
	users, groups int
	round         int // changes every changeEvery-th user's title
	changeEvery   int
}

var _ pull.Source = (*generator)(nil)

// Entries yields the groups and then the users.
func (g *generator) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		for i := range g.groups {
			if !yield(g.group(i), nil) {
				return
			}
		}
		for i := range g.users {
			if !yield(g.user(i), nil) {
				return
			}
		}
		err := ctx.Err()
		if err == nil {
			err = pull.Complete
		}
		yield(store.Entry{}, err)
	}
}

// Lookup finds none: whatever is not read is gone.
func (g *generator) Lookup(context.Context, []string) (map[string]string, error) {
	return map[string]string{}, nil
}

// Cookie is none: it does not tell of changes.
func (g *generator) Cookie() (cookie []byte, why string) { return nil, "a generator keeps no log" }

// Follow is never asked, as there is no cookie.
func (g *generator) Follow(context.Context, []byte, int) (pull.Following, string, error) {
	return nil, "", errors.New("a generator keeps no log")
}

func (g *generator) group(i int) store.Entry {
	e := store.Entry{Kind: store.KindGroup, ExternalID: generatedID('g', i), DN: groupDN(i), DisplayName: "Group " + number(i)}
	child, nests := g.child(i)
	members := g.members(i)
	e.MemberDNs = make([]string, 0, len(members)+1)
	for _, u := range members {
		e.MemberDNs = append(e.MemberDNs, userDN(int(u)))
	}
	if nests {
		e.MemberDNs = append(e.MemberDNs, groupDN(child))
	}
	return e
}

// child is the group directly in a group.
func (g *generator) child(i int) (child int, nests bool) {
	return i + 1, i%blockOfGroups < chainOfGroups-1 && i+1 < g.groups
}

// members are the users directly in a group, each once.
func (g *generator) members(i int) []int32 {
	n := membersOfLower
	if i%blockOfGroups < chainOfGroups-1 {
		n = membersOfUpper
	}
	list := make([]int32, n)
	for j := range list {
		list[j] = int32((i*7919 + j*12345) % g.users)
	}
	return list
}

func (g *generator) user(i int) store.Entry {
	name, active := "user-"+number(i), true
	address, title := name+"@example.com", "Engineer"
	if g.round > 0 && i%g.changeEvery == 0 {
		title = "Engineer of round " + strconv.Itoa(g.round)
	}
	return store.Entry{
		Kind: store.KindUser, ExternalID: generatedID('u', i), DN: userDN(i), Active: &active,
		Attributes: store.Attributes{
			UserName: address, DisplayName: "User " + number(i), Title: title,
			Name:       &store.Name{GivenName: "User", FamilyName: number(i)},
			Emails:     []store.Value{{Value: address, Type: "work", Primary: true}},
			Enterprise: &store.Enterprise{EmployeeNumber: number(i), Department: "Department " + strconv.Itoa(i%100)},
		},
	}
}

// number is i with seven digits.
func number(i int) string {
	text := strconv.Itoa(i)
	return "0000000"[:7-len(text)] + text
}

// generatedID is a stable id as long as those of servers.
func generatedID(kind byte, i int) string {
	return "0190000" + string(kind) + "-0000-4000-8000-00000" + number(i)
}

func userDN(i int) string  { return "uid=user-" + number(i) + ",ou=people,dc=example,dc=com" }
func groupDN(i int) string { return "cn=group-" + number(i) + ",ou=groups,dc=example,dc=com" }
