package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/provost-scim/provost/openapi"
)

type syncPlan struct {
	syncOne
	Members bool `help:"Also list every member that a group would gain or lose."`
}

// Help shows how it is used.
func (*syncPlan) Help() string {
	return `It prints the summary and then, like a difference, the first records: + is created, ~ modified, restored or claimed,
- deleted, deactivated or out of scope, ! refused or a duplicate, with the reason. Below a record is what would change of it.

With --json the plan is one document: the run with its summary, what would become of each record as "items", and, with --members,
who would join and leave which group as "members".

Example:

    provost sync plan corp
    provost sync plan corp --members
    provost sync plan corp --json | jq '.items[] | select(.outcome == "refused")'
    provost sync run corp --plan ID`
}

// plannedRun is what --json prints: the run, with the counts of what it would do, and
// what would become of each record.
type plannedRun struct {
	*openapi.Run
	Items   []openapi.RunItem   `json:"items"`
	Members []openapi.RunMember `json:"members,omitempty"`
}

// Run makes a plan and shows it. One that could not be made is a failed run.
func (c *syncPlan) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	run, err := plan(s, &c.remote, api, c.Name)
	if err != nil {
		return err
	}
	switch {
	case run.State == openapi.RunStateFailed:
		return finish(s, &c.remote, api, run)
	case c.JSON:
		if run.Counts, err = countsOf(run); err != nil {
			return err
		}
		doc := plannedRun{Run: run, Items: []openapi.RunItem{}}
		err := runItems(s, api, run.ID, 0, func(item *openapi.RunItem) error {
			doc.Items = append(doc.Items, *item)
			return nil
		})
		if err == nil && c.Members {
			err = runMembers(s, api, run.ID, func(m *openapi.RunMember) error {
				doc.Members = append(doc.Members, *m)
				return nil
			})
		}
		if err != nil {
			return err
		}
		return writeJSON(s.stdout, doc)
	case c.Quiet:
		_, err := fmt.Fprintln(s.stdout, run.ID)
		return err
	}
	if err := showPlan(s, api, run); err != nil {
		return err
	}
	if c.Members {
		if err := showMembers(s, api, run.ID); err != nil {
			return err
		}
	}
	said(s, &c.remote, "next: provost sync run %s --plan %s", c.Name, run.ID)
	return nil
}

// plan starts a plan and waits until it can be looked at or has failed.
func plan(s *session, r *remote, api *openapi.ClientWithResponses, directory string) (*openapi.Run, error) {
	run, err := answer((*openapi.CreatePlanResponse).GetJSON202)(api.CreatePlanWithResponse(s.ctx, directory, nil))
	if err != nil {
		return nil, err
	}
	return watch(s, r, run.ID)
}

// runItems reads what a plan or a held run would make of each record.
func runItems(s *session, api *openapi.ClientWithResponses, run string, limit int, each func(*openapi.RunItem) error) error {
	return pages(limit, func(cursor *string, size int) ([]openapi.RunItem, string, error) {
		page, err := answer((*openapi.ListRunItemsResponse).GetJSON200)(
			api.ListRunItemsWithResponse(s.ctx, run, &openapi.ListRunItemsParams{Cursor: cursor, Limit: &size}))
		if err != nil {
			return nil, "", err
		}
		return page.Items, page.NextCursor, nil
	}, each)
}

// planSummary is what this command reads of [openapi.Run.Plan].
type planSummary struct {
	Users  int                `json:"users"`
	Groups int                `json:"groups"`
	Counts *openapi.RunCounts `json:"counts"`
	Guard  []struct {
		Class   string `json:"class"`
		Taken   int    `json:"taken"`
		Of      int    `json:"of"`
		Earlier int    `json:"earlier"`
		Left    int    `json:"out_of_scope"`
		Over    bool   `json:"over"`
		Limit   struct {
			Count   int     `json:"count"`
			Percent float64 `json:"percent"`
		} `json:"limit"`
		Groups []struct {
			Name string `json:"name"`
		} `json:"groups"`
	} `json:"guard"`
	Vanished []struct {
		Attribute string `json:"attribute"`
		Had       int    `json:"had"`
		Of        int    `json:"of"`
	} `json:"vanished"`
	Hidden []struct {
		DN   string `json:"dn"`
		Gone int    `json:"gone"`
		Why  string `json:"why"`
	} `json:"hidden"`
	ScopeChange *struct {
		Was     string      `json:"was"`
		Is      string      `json:"is"`
		Added   []planGroup `json:"added"`
		Dropped []planGroup `json:"dropped"`
	} `json:"scope_change"`
	Domains []struct {
		Name  string `json:"name"`
		Users int    `json:"users"`
		State string `json:"state"`
	} `json:"domains"`
	UsersWithoutAddress int `json:"users_without_address"`
	OverCap             []struct {
		Name           string `json:"name"`
		EffectiveUsers int    `json:"effective_users"`
	} `json:"over_cap"`
}

type planGroup struct {
	Name string `json:"name"`
}

// How many records, domains and groups over the cap a person is shown, and how wide
// a name may be.
const (
	showItems = 50
	showNames = 10
	showWidth = 40
)

// errEnough ends a list before its end.
var errEnough = errors.New("enough is shown")

// showPlan prints the summary, and below it the first records as a difference. What
// would stay as it is, is left out.
func showPlan(s *session, api *openapi.ClientWithResponses, run *openapi.Run) error {
	var summary planSummary
	if len(run.Plan) > 0 {
		if err := json.Unmarshal(run.Plan, &summary); err != nil {
			return fmt.Errorf("read the plan's summary: %w", err)
		}
	}
	if err := details(s.stdout, summary.pairs(run)); err != nil {
		return err
	}
	return showDifference(s, api, run, summary.changes())
}

// showDifference prints the first records that a plan or a held run would change, a line
// each; changes is how many there are.
func showDifference(s *session, api *openapi.ClientWithResponses, run *openapi.Run, changes int) error {
	var items []openapi.RunItem
	err := runItems(s, api, run.ID, 0, func(item *openapi.RunItem) error {
		if item.Outcome == openapi.OutcomeUnchanged {
			return nil
		}
		items = append(items, *item)
		if len(items) > showItems {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if len(items) == 0 {
		_, err := fmt.Fprintln(s.stdout, "nothing would change")
		return err
	}
	if err := writeDifference(s.stdout, items[:min(len(items), showItems)]); err != nil {
		return err
	}
	if len(items) > showItems {
		_, err = fmt.Fprintf(s.stdout, "… and %d more; with --json all are listed\n", max(changes-showItems, 1))
	}
	return err
}

// changes is how many records would not stay as they are.
func (p *planSummary) changes() int {
	if p.Counts == nil {
		return 0
	}
	return changesOf(*p.Counts)
}

func changesOf(c openapi.RunCounts) int {
	n := -c.Users.Unchanged - c.Groups.Unchanged
	for _, kind := range []openapi.Counts{c.Users, c.Groups} {
		for _, w := range words(kind) {
			n += w.n
		}
	}
	return n
}

// pairs are the summary in words.
func (p *planSummary) pairs(run *openapi.Run) [][2]string {
	pairs := [][2]string{
		{"plan", run.ID},
		{"directory", run.Directory},
		{"read", many(p.Users, "user") + " and " + many(p.Groups, "group") + " in scope"},
	}
	if p.Counts != nil {
		pairs = append(pairs, [2]string{"users", tally(p.Counts.Users)}, [2]string{"groups", tally(p.Counts.Groups)})
	}
	pairs = append(pairs, p.scopePairs()...)
	for i, d := range p.Domains {
		if i == showNames {
			pairs = append(pairs, [2]string{"domains", fmt.Sprintf("%d more", len(p.Domains)-i)})
			break
		}
		pairs = append(pairs, [2]string{"domain", fmt.Sprintf("%s: %s, %s", d.Name, many(d.Users, "user"), cmp.Or(d.State, "not claimed"))})
	}
	if p.UsersWithoutAddress > 0 {
		pairs = append(pairs, [2]string{"without address", many(p.UsersWithoutAddress, "user")})
	}
	for i, g := range p.OverCap {
		if i == showNames {
			pairs = append(pairs, [2]string{"over the cap", many(len(p.OverCap)-i, "more group")})
			break
		}
		pairs = append(pairs, [2]string{"over the cap", g.Name + ": " + many(g.EffectiveUsers, "effective user")})
	}
	return append(pairs, p.guardPairs()...)
}

// scopePairs say which groups were chosen, or are no more, since the last run.
func (p *planSummary) scopePairs() [][2]string {
	if p.ScopeChange == nil {
		return nil
	}
	var pairs [][2]string
	if c := p.ScopeChange; c.Was != c.Is {
		words := map[string]string{"all": "everything", "groups": "selected groups"}
		pairs = append(pairs, [2]string{"scope", fmt.Sprintf("%s, and was %s at the last run", words[c.Is], words[c.Was])})
	}
	for _, list := range []struct {
		groups []planGroup
		what   string
	}{{p.ScopeChange.Added, "added to the scope"}, {p.ScopeChange.Dropped, "dropped from the scope"}} {
		for i, g := range list.groups {
			if i == showNames {
				pairs = append(pairs, [2]string{list.what, many(len(list.groups)-i, "more group")})
				break
			}
			pairs = append(pairs, [2]string{list.what, g.Name})
		}
	}
	return pairs
}

// guardPairs say what would be taken away, and what makes a run wait for a person.
func (p *planSummary) guardPairs() [][2]string {
	var pairs [][2]string
	for _, g := range p.Guard {
		if g.Taken == 0 {
			continue
		}
		what, all := strings.ReplaceAll(g.Class, "_", " "), g.Left == g.Taken
		if g.Class == "groups_deleted" {
			switch {
			case all:
				what = "groups out of scope"
			case g.Left+g.Earlier > 0:
				what = "groups deleted or out of scope"
			}
		}
		text := fmt.Sprintf("%s: %d of %d", what, g.Taken, g.Of)
		if g.Left > 0 && (!all || g.Class != "groups_deleted") {
			text += fmt.Sprintf(", %d of them out of scope", g.Left)
		}
		if len(g.Groups) > 0 {
			text += " of the group " + g.Groups[0].Name
		}
		if len(g.Groups) > 1 {
			text += fmt.Sprintf(", and of %s", many(len(g.Groups)-1, "more group"))
		}
		if g.Earlier > 0 {
			text += fmt.Sprintf(", %d of them by runs of the last 24 hours", g.Earlier)
		}
		if g.Over {
			text += fmt.Sprintf(", more than %d and %g %%: a run without review would be held", g.Limit.Count, g.Limit.Percent)
		}
		pairs = append(pairs, [2]string{"takes away", text})
	}
	for _, v := range p.Vanished {
		pairs = append(pairs, [2]string{"vanished", fmt.Sprintf(
			"%s, which %d of %d had: a run without review would be held; may the bind DN still read it?", v.Attribute, v.Had, v.Of)})
	}
	for _, h := range p.Hidden {
		pairs = append(pairs, [2]string{"vanished", fmt.Sprintf(
			"%s that used to be in %s, and %s: a run without review would be held; may the bind DN still read there?", many(h.Gone, "record"), h.DN, h.Why)})
	}
	return pairs
}

// many is a count with its noun, as in "1 group" and "2 groups".
func many(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
