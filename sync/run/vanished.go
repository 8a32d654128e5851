package run

import (
	"fmt"

	"github.com/provost-scim/provost/store"
)

// Vanished is an attribute that most entries had when the directory was last read and
// applied, and that none has now: as a rule the bind account may no longer read it.
// Taking that for the truth would clear it everywhere, or empty every group, and no
// single group need lose enough members for the guard.
type Vanished struct {
	Attribute string `json:"attribute"` // in SCIM's words; members and description are those of groups
	Had       int    `json:"had"`       // entries
	Of        int    `json:"of"`        // entries of the kind then
}

func (v *Vanished) sentence() string {
	kind := "users"
	if v.Attribute == groupMembers || v.Attribute == groupDescription {
		kind = "groups"
	}
	return fmt.Sprintf("no entry has the attribute %s any more, which %d of %d %s had at the last run: check that the bind DN may read it; %s",
		v.Attribute, v.Had, v.Of, kind, untouched)
}

const (
	groupMembers     = "members"
	groupDescription = "description"
)

// userAttributes are those that a read counts. A user without one of them keeps no
// trace of it.
var userAttributes = [...]struct {
	name string
	has  func(*store.Entry) bool
}{
	{"active", func(e *store.Entry) bool { return e.Active != nil }},
	{"displayName", func(e *store.Entry) bool { return e.Attributes.DisplayName != "" }},
	{"name.givenName", func(e *store.Entry) bool { return e.Attributes.Name != nil && e.Attributes.Name.GivenName != "" }},
	{"name.familyName", func(e *store.Entry) bool { return e.Attributes.Name != nil && e.Attributes.Name.FamilyName != "" }},
	{"title", func(e *store.Entry) bool { return e.Attributes.Title != "" }},
	{"userType", func(e *store.Entry) bool { return e.Attributes.UserType != "" }},
	{"emails", func(e *store.Entry) bool { return len(e.Attributes.Emails) > 0 }},
	{"phoneNumbers", func(e *store.Entry) bool { return len(e.Attributes.PhoneNumbers) > 0 }},
	{"department", func(e *store.Entry) bool {
		return e.Attributes.Enterprise != nil && e.Attributes.Enterprise.Department != ""
	}},
	{"employeeNumber", func(e *store.Entry) bool {
		return e.Attributes.Enterprise != nil && e.Attributes.Enterprise.EmployeeNumber != ""
	}},
	{"manager", func(e *store.Entry) bool { return e.ManagerDN != "" }},
}

// presence counts how many entries within the scope have which attribute.
type presence struct {
	users [len(userAttributes)]int
}

func (p *presence) user(e *store.Entry) {
	for i := range userAttributes {
		if userAttributes[i].has(e) {
			p.users[i]++
		}
	}
}

// attributes are what a summary keeps for the next run.
func (r *reading) attributes() map[string]int {
	counts := map[string]int{}
	for i, a := range userAttributes {
		counts[a.name] = r.presence.users[i]
	}
	for i := range r.graph.groups {
		g := &r.graph.groups[i]
		if !g.within || g.invalid != "" {
			continue
		}
		if len(g.members)+len(g.uids) > 0 {
			counts[groupMembers]++
		}
		if g.description != "" {
			counts[groupDescription]++
		}
		counts[memberReferences] += len(g.members) + len(g.uids)
	}
	return counts
}

// memberReferences counts, among the attributes of a summary, the members that all
// groups state together: 20 groups of 15 are much to lose.
const memberReferences = "members.value"

// vanishedFrom is how many entries must have had an attribute for its disappearance
// to hold a run: fewer may have lost it on purpose.
const vanishedFrom = 20

// vanished compares two complete reads. A read without any entry of a kind says
// nothing of its attributes; that is for the classes of the guard.
func vanished(last, now *PlanSummary) []Vanished {
	if last == nil {
		return nil
	}
	var list []Vanished
	judge := func(name string, of, read, weight int) {
		had := last.Attributes[name]
		if now.Attributes[name] == 0 && read > 0 && had*2 > of && weight > vanishedFrom {
			list = append(list, Vanished{Attribute: name, Had: had, Of: of})
		}
	}
	for _, a := range userAttributes {
		judge(a.name, last.Users, now.Users, last.Attributes[a.name])
	}
	judge(groupMembers, last.Groups, now.Groups, last.Attributes[memberReferences])
	judge(groupDescription, last.Groups, now.Groups, last.Attributes[groupDescription])
	return list
}
