package main

import (
	"fmt"
	"testing"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// domainOfAllKinds is a domain with what domains have: foreign and escaped names,
// nested groups and a circle of them, a primary group, accounts that are disabled.
func domainOfAllKinds(t *testing.T) *adDomain {
	t.Helper()
	d := startDomain(t, map[string]adPerson{
		"boss":  {CN: "Müller, Jörg", Unit: "People", Given: "Jörg", Surname: "Müller", Title: "Chief"},
		"ann":   {CN: `Lee "Annie" + Co; <Ann>`, Unit: "People", Given: "Ann", Surname: "Lee", Department: "Research & Development", Manager: "boss"},
		"dmi":   {CN: "Дмитрий Иванов", Unit: "People", Given: "Дмитрий", Surname: "Иванов", Manager: "boss"},
		"eve":   {CN: "#Eve \\ Nguyễn= ", Unit: "People", Given: "Eve", Surname: "Nguyễn", Department: "Sales"},
		"gone":  {CN: "Gone Already", Unit: "Leavers", Given: "Gone", Surname: "Already", Disabled: true},
		"prim":  {CN: "Primary Only", Unit: "People", Given: "Primary", Surname: "Only", Primary: "staff"},
		"loose": {CN: "In No Group", Unit: "People", Given: "In", Surname: "Group"},
	}, map[string]adGroup{
		"all, of us":    {People: []string{"boss"}, Groups: []string{"research", "Vertrieb ß+=;"}},
		"research":      {People: []string{"ann", "dmi", "gone"}, Groups: []string{"staff"}},
		"Vertrieb ß+=;": {People: []string{"eve"}, Groups: []string{"research"}},
		"staff":         {},
		"circle a":      {People: []string{"ann"}, Groups: []string{"circle b"}},
		"circle b":      {People: []string{"eve"}, Groups: []string{"circle a"}},
		"nobody":        {},
	})
	d.nest(d.admin(t))
	return d
}

func TestADomainIsPulledWithEverythingThatHappensInIt(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, dsn string) {
		d := domainOfAllKinds(t)
		admin := d.admin(t)
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, append([]string{"directory", "create", "corp"}, pullDomain(t, d.DomainController, "--page-size", "3")...)...)

		plan := decode[struct{ Items []openapi.RunItem }](t, p.must(t, "sync", "plan", "corp", "--json"))
		same(t, "items of the plan", 8+7, len(plan.Items))
		first := p.mustPull(t)
		same(t, "users of the first run", map[string]int{"created": 8}, first.tally("users"))
		same(t, "groups of the first run", map[string]int{"created": 7}, first.tally("groups"))
		sameState(t, "after the first run", d.pulled(admin), db.state())
		ids := recordIDs(t, p)

		before := db.trace()
		quiet := p.mustPull(t)
		same(t, "users of a quiet run", map[string]int{"unchanged": 8}, quiet.tally("users"))
		same(t, "groups of a quiet run", map[string]int{"unchanged": 7}, quiet.tally("groups"))
		same(t, "what a quiet run may not move", before, db.trace())

		// Ann marries: another name, another account name. Dmitri moves to another unit.
		old := d.people["ann"]
		ann := old
		ann.CN, ann.Surname = "Ann Østergård, née Lee", "Østergård"
		admin.rename(old.dn(), ann.dn())
		admin.set(ann.dn(), "sn", ann.Surname)
		admin.set(ann.dn(), "displayName", ann.CN)
		d.people["ann"] = ann
		old = d.people["dmi"]
		dmi := old
		dmi.Unit = "Leavers"
		admin.rename(old.dn(), dmi.dn())
		d.people["dmi"] = dmi
		// A group gets another name; what contains it goes on containing it.
		admin.rename(groupDN("research"), groupDN("Forschung"))
		admin.set(groupDN("Forschung"), "description", "All of Forschung")
		d.groups["Forschung"] = d.groups["research"]
		delete(d.groups, "research")
		for name, g := range d.groups {
			for i, child := range g.Groups {
				if child == "research" {
					g.Groups[i] = "Forschung"
				}
			}
			d.groups[name] = g
		}
		ids["Group Forschung"] = ids["Group research"]
		delete(ids, "Group research")
		// Somebody is disabled, somebody enabled.
		for account, off := range map[string]bool{"eve": true, "gone": false} {
			someone := d.people[account]
			someone.Disabled = off
			admin.set(someone.dn(), "userAccountControl", someone.control())
			d.people[account] = someone
		}
		// Another primary group: the domain makes the former one an explicit membership.
		d.setPrimary(admin, "prim", "nobody")
		prim := d.people["prim"]
		prim.Primary = "nobody"
		d.people["prim"] = prim
		d.groups["staff"] = adGroup{People: []string{"prim"}}

		second := p.mustPull(t)
		same(t, "users of the second run", map[string]int{"modified": 2, "deactivated": 1, "unchanged": 5}, second.tally("users"))
		same(t, "groups of the second run", map[string]int{"modified": 2, "unchanged": 5}, second.tally("groups"))
		sameState(t, "after the second run", d.pulled(admin), db.state())
		same(t, "ids", ids, recordIDs(t, p))
		kinds := eventsOf(t, p, ids["User "+upn("ann")])
		same(t, "what happened to Ann", []string{store.EventUserCreated, store.EventUserUpdated}, kinds)

		// One is deleted, and so is a group that others contain.
		admin.remove(d.people["loose"].dn())
		delete(d.people, "loose")
		admin.remove(groupDN("Vertrieb ß+=;"))
		delete(d.groups, "Vertrieb ß+=;")
		d.groups["all, of us"] = adGroup{People: []string{"boss"}, Groups: []string{"Forschung"}}
		third := p.mustPull(t)
		same(t, "users of the third run", map[string]int{"deleted": 1, "unchanged": 7}, third.tally("users"))
		same(t, "groups of the third run", map[string]int{"deleted": 1, "modified": 1, "unchanged": 5}, third.tally("groups"))
		sameState(t, "after the third run", d.pulled(admin), db.state())
	})
}

// recordIDs are the public ids of all users and groups, by kind and name.
func recordIDs(t *testing.T, p *provostServer) map[string]string {
	t.Helper()
	ids := map[string]string{}
	for _, u := range decode[[]openapi.User](t, p.must(t, "user", "list", "--json")) {
		ids["User "+u.UserName] = fmt.Sprint(u.ID)
	}
	for _, g := range decode[[]openapi.Group](t, p.must(t, "group", "list", "--json")) {
		ids["Group "+g.DisplayName] = fmt.Sprint(g.ID)
	}
	return ids
}

// eventsOf are the types of the events of one user, in order.
func eventsOf(t *testing.T, p *provostServer, id string) (kinds []string) {
	t.Helper()
	for _, e := range decode[[]openapi.Event](t, p.must(t, "event", "list", "--resource-type", "User", "--resource-id", id, "--json")) {
		kinds = append(kinds, e.Type)
	}
	return kinds
}
