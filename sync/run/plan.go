package run

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/provost-scim/provost/store"
)

// PlanSummary is [store.Run.Plan]: what a complete read found, and what applying
// its stage would do.
type PlanSummary struct {
	Users  int `json:"users"` // entries in scope
	Groups int `json:"groups"`
	// Counts is what would become of each record; nil for a run that went on to
	// apply at once.
	Counts *store.RunCounts `json:"counts,omitempty"`
	// Guard is what would be taken away, by class (rule 6).
	Guard []GuardClass `json:"guard"`
	// Vanished are attributes that no entry has any more (rule 6).
	Vanished []Vanished `json:"vanished,omitempty"`
	// Hidden are containers in which nobody is found any more, and nobody can tell whether
	// all were deleted (rule 6).
	Hidden []Container `json:"hidden,omitempty"`
	// Attributes counts the entries in scope that have which attribute, of a complete read.
	Attributes map[string]int `json:"attributes,omitempty"`
	// Scope are the groups that the settings choose, of a complete read; none if that is
	// everything. ScopeChange is how that differs from the last one.
	Scope       []ScopeGroup `json:"scope,omitempty"`
	ScopeChange *ScopeChange `json:"scope_change,omitempty"`
	// Joins are entries outside of the scope that an import puts in it.
	Joins []store.ScopeEntry `json:"joins,omitempty"`
	// Domains are those of the users' deciding addresses, most used first, at most
	// 1,000; UsersElsewhere counts the users of all others, UsersWithoutAddress those
	// whom no domain can let in.
	Domains             []PlanDomain `json:"domains"`
	UsersElsewhere      int          `json:"users_elsewhere,omitempty"`
	UsersWithoutAddress int          `json:"users_without_address,omitempty"`
	// OverCap are groups with more effective users in the directory than a group
	// publishes (rule 5), largest first, at most 1,000.
	OverCap []PlanGroup `json:"over_cap,omitempty"`
	// UnreadMembers counts members stated that are no entries within what is read.
	UnreadMembers int `json:"unread_members,omitempty"`
}

// PlanDomain is one domain that users of a directory use.
type PlanDomain struct {
	Name  string            `json:"name"`
	Users int               `json:"users"`
	State store.DomainState `json:"state,omitempty"` // "" if the organization has not claimed it
}

// PlanGroup is one group over the cap.
type PlanGroup struct {
	Name           string `json:"name"`
	ExternalID     string `json:"external_id"`
	EffectiveUsers int    `json:"effective_users"`
}

// maxPlanList bounds the lists of a summary.
const maxPlanList = 1_000

// domainCount counts users by domain, for a bounded number of domains.
type domainCount struct {
	users            map[string]int
	elsewhere, nones int
}

const maxDomains = 20_000

func newDomainCount() *domainCount { return &domainCount{users: map[string]int{}} }

func (c *domainCount) add(address string) {
	name := store.DomainOf(address)
	if name == "" {
		c.nones++
		return
	}
	if _, ok := c.users[name]; !ok {
		if len(c.users) >= maxDomains {
			c.elsewhere++
			return
		}
		name = strings.Clone(name)
	}
	c.users[name]++
}

// summary gathers what the read itself knows.
func (r *reading) summary(classes []GuardClass) *PlanSummary {
	s := &PlanSummary{
		Guard: classes, Domains: []PlanDomain{}, UnreadMembers: r.unread,
		UsersElsewhere: r.domains.elsewhere, UsersWithoutAddress: r.domains.nones,
	}
	counts := func(i int32) bool {
		n := r.index.node(i)
		return n.is(isUser|within) && !n.is(invalid)
	}
	for i := range r.index.count {
		if n := r.index.node(i); n.is(within) && !n.is(invalid) {
			if n.is(isUser) {
				s.Users++
			} else {
				s.Groups++
			}
		}
	}
	for i, users := range r.graph.effective(r.w.e.reconciler.Cap(), counts) {
		g := &r.graph.groups[i]
		s.OverCap = append(s.OverCap, PlanGroup{Name: g.name, ExternalID: r.index.node(g.node).id, EffectiveUsers: users})
	}
	slices.SortFunc(s.OverCap, func(a, b PlanGroup) int {
		return cmp.Or(b.EffectiveUsers-a.EffectiveUsers, strings.Compare(a.ExternalID, b.ExternalID))
	})
	s.OverCap = s.OverCap[:min(len(s.OverCap), maxPlanList)]
	for name, users := range r.domains.users {
		s.Domains = append(s.Domains, PlanDomain{Name: name, Users: users})
	}
	slices.SortFunc(s.Domains, func(a, b PlanDomain) int {
		return cmp.Or(b.Users-a.Users, strings.Compare(a.Name, b.Name))
	})
	for len(s.Domains) > maxPlanList {
		last := len(s.Domains) - 1
		s.UsersElsewhere += s.Domains[last].Users
		s.Domains = s.Domains[:last]
	}
	return s
}

// encodeSummary adds the present state of the domains.
func (r *reading) encodeSummary(ctx context.Context, tx store.Tx, s *PlanSummary) (json.RawMessage, error) {
	claimed, err := tx.Domains(ctx, r.directory.Org)
	if err != nil {
		return nil, err
	}
	states := make(map[string]store.DomainState, len(claimed))
	for i := range claimed {
		states[claimed[i].Name] = claimed[i].State
	}
	for i := range s.Domains {
		s.Domains[i].State = states[s.Domains[i].Name]
	}
	return json.Marshal(s)
}
