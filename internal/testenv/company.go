package testenv

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"
)

// Names (cn) of the groups that a company has when it is large enough, one for
// each thing that goes wrong with groups.
const (
	GroupAtCap           = "at-cap"            // exactly Cap users
	GroupOverCap         = "over-cap"          // Cap + 1 users
	GroupOverByNesting   = "over-by-nesting"   // no users; two children of 6/10 Cap users each, disjoint
	GroupOverByNestingA  = "over-by-nesting-a" // fits the cap
	GroupOverByNestingB  = "over-by-nesting-b" // fits the cap
	GroupChain           = "chain-0"           // chain-0 contains chain-1, … contains chain-6: six levels below
	GroupChainEnd        = "chain-6"
	GroupCycleA          = "cycle-a" // contains cycle-b
	GroupCycleB          = "cycle-b" // contains cycle-a
	chainDepth           = 6
	specialGroups        = 5 + chainDepth + 1 + 2
	defaultCap           = 10_000
	companySeed          = 20_240_607
	ordinaryNestingRatio = 12 // one nesting tried for so many groups
)

// CompanyOptions says how large a company is. The same options always make
// the same company.
type CompanyOptions struct {
	Users  int
	Groups int
	// Cap is what the groups around the cap are sized for; 0 means 10,000.
	// They exist when Users is above 1.2 × Cap.
	Cap int
	// Seed makes another company of the same size.
	Seed uint64
}

// CompanyTruth is what a company consists of: what a directory loaded with it
// states, and so what a correct reader must find.
//
// Users are known by their index; User computes the rest, so a company of a
// million users is small in memory.
type CompanyTruth struct {
	Options CompanyOptions
	Groups  []CompanyGroup
}

// CompanyGroup is one group with its direct members.
type CompanyGroup struct {
	ID          string // entryUUID
	DN          string // as stated; a server may write the same DN differently
	CN          string
	Description string
	Users       []int // indexes of the users directly in it
	Children    []int // indexes of the groups directly in it
}

// Company writes the LDIF of a made-up company to w, and says what is in it:
// people with foreign names and DNs that need escaping, managers, groups of
// log-normal sizes, nesting, a chain, a cycle, and groups around the cap.
//
// 100,000 users and 10,000 groups have about 437,000 memberships. With fewer
// than 14 groups all of them are ordinary.
func Company(w io.Writer, options CompanyOptions) (*CompanyTruth, error) {
	company := NewCompany(options)
	return company, company.WriteLDIF(w)
}

// NewCompany makes a company without writing it. It is WriteLDIF that writes.
func NewCompany(options CompanyOptions) *CompanyTruth {
	if options.Cap == 0 {
		options.Cap = defaultCap
	}
	company := &CompanyTruth{Options: options, Groups: make([]CompanyGroup, 0, options.Groups)}
	random := rand.New(rand.NewPCG(companySeed, options.Seed))
	choose := chooser(options.Users, random)
	if options.Groups >= specialGroups {
		company.addSpecialGroups(choose)
	}
	first := len(company.Groups)
	for len(company.Groups) < options.Groups {
		number := len(company.Groups)
		cn := fmt.Sprintf("grp%05d", number)
		if number%53 == 0 {
			cn = fmt.Sprintf("Team, %05d + friends", number)
		}
		company.addGroup(cn, choose(ordinarySize(options.Users, random)))
	}
	company.nestOrdinaryGroups(first, random)
	return company
}

// User says who the user with the index is, from 0 to Options.Users - 1.
func (c *CompanyTruth) User(index int) CompanyUser { return companyUser(c.Options.Seed, index) }

// Group returns the index of the group with the name, or -1.
func (c *CompanyTruth) Group(cn string) int {
	return slices.IndexFunc(c.Groups, func(group CompanyGroup) bool { return group.CN == cn })
}

// Memberships counts the direct members of all groups, users and groups.
func (c *CompanyTruth) Memberships() int {
	count := 0
	for _, group := range c.Groups {
		count += len(group.Users) + len(group.Children)
	}
	return count
}

// Effective returns, in order, the indexes of the users that are in the group
// or in any group below it. It is the plainest possible search, because tests
// judge other code by it.
func (c *CompanyTruth) Effective(group int) []int {
	seen := map[int]bool{group: true}
	users := map[int]bool{}
	for queue := []int{group}; len(queue) > 0; queue = queue[1:] {
		for _, user := range c.Groups[queue[0]].Users {
			users[user] = true
		}
		for _, child := range c.Groups[queue[0]].Children {
			if !seen[child] {
				seen[child] = true
				queue = append(queue, child)
			}
		}
	}
	effective := make([]int, 0, len(users))
	for user := range users {
		effective = append(effective, user)
	}
	slices.Sort(effective)
	return effective
}

func (c *CompanyTruth) addGroup(cn string, users []int) int {
	number := len(c.Groups)
	c.Groups = append(c.Groups, CompanyGroup{
		ID:          companyID(c.Options.Seed, "group", number),
		DN:          "cn=" + escapeRDN(cn) + ",ou=groups," + Suffix,
		CN:          cn,
		Description: fmt.Sprintf("Group %d of the company", number),
		Users:       users,
	})
	return number
}

func (c *CompanyTruth) addSpecialGroups(choose func(int) []int) {
	limit, few := c.Options.Cap, min(3, c.Options.Users)
	atCap, overCap, child := limit, limit+1, limit*6/10
	if c.Options.Users <= 2*child { // too few people for a group over the cap
		atCap, overCap, child = few, few, few/2
	}
	c.addGroup(GroupAtCap, choose(atCap))
	c.addGroup(GroupOverCap, choose(overCap))
	parent := c.addGroup(GroupOverByNesting, nil)
	halves := choose(2 * child)
	c.nest(parent, c.addGroup(GroupOverByNestingA, halves[:child]))
	c.nest(parent, c.addGroup(GroupOverByNestingB, halves[child:]))
	for level := range chainDepth + 1 {
		group := c.addGroup(fmt.Sprintf("chain-%d", level), choose(few))
		if level > 0 {
			c.nest(group-1, group)
		}
	}
	a := c.addGroup(GroupCycleA, choose(few))
	b := c.addGroup(GroupCycleB, choose(few))
	c.nest(a, b)
	c.nest(b, a)
}

// nestOrdinaryGroups puts later groups into earlier ones, so that the only
// cycle is the deliberate one.
func (c *CompanyTruth) nestOrdinaryGroups(first int, random *rand.Rand) {
	count := len(c.Groups) - first
	if count < 2 {
		return
	}
	for range max(1, count/ordinaryNestingRatio) {
		parent, child := first+random.IntN(count), first+random.IntN(count)
		if parent < child && !slices.Contains(c.Groups[parent].Children, child) {
			c.nest(parent, child)
		}
	}
}

func (c *CompanyTruth) nest(parent, child int) {
	c.Groups[parent].Children = append(c.Groups[parent].Children, child)
}

// ordinarySize draws the size of a group: most are small, a few are large.
func ordinarySize(users int, random *rand.Rand) int {
	median, largest := 22.2, users/50
	if users < 2_000 {
		median, largest = 5, 20
	}
	size := int(math.Exp(math.Log(median) + 1.1*random.NormFloat64()))
	return min(max(1, size), largest, users)
}

// chooser returns a function that draws distinct users.
func chooser(users int, random *rand.Rand) func(count int) []int {
	drawn := make([]int, users) // the draw in which a user was last chosen
	draw := 0
	return func(count int) []int {
		draw++
		chosen := make([]int, 0, count)
		for len(chosen) < count {
			if user := random.IntN(users); drawn[user] != draw {
				drawn[user] = draw
				chosen = append(chosen, user)
			}
		}
		return chosen
	}
}

// companyID is the entryUUID of the user or group with the number.
func companyID(seed uint64, kind string, number int) string {
	return uuid.NewSHA1(uuid.NameSpaceX500, fmt.Appendf(nil, "%s/%d/%d", kind, seed, number)).String()
}
