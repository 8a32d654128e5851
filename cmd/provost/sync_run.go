package main

import (
	"fmt"

	"github.com/provost-scim/provost/openapi"
)

type syncRun struct {
	syncOne
	PlanID string   `name:"plan" placeholder:"ID" xor:"how" help:"Apply this plan, which was reviewed; one that has gone stale is refused."`
	Yes    bool     `short:"y" xor:"how" help:"Run without showing a plan and asking."`
	User   []string `sep:"none" placeholder:"NAME" help:"Synchronize only this user, named by user name, DN, stable id or id; may be repeated."`
	Group  []string `sep:"none" placeholder:"NAME" help:"Synchronize only this group, with its members that are missing; may be repeated."`
	Full   bool     `help:"Read everything, even if the server can tell what has changed since the last run."`
	Wait   bool     `help:"Wait until the run has ended."`
}

// Help shows how it is used.
func (*syncRun) Help() string {
	return `On a terminal and without --plan or --yes it shows the plan and asks.

With --wait the exit code is 0 if the run succeeded, 2 if it is held because it would take too much away, 3 if it failed.

Examples:

    provost sync run corp
    provost sync run corp --yes --wait --json
    provost sync run corp --full --yes
    provost sync run corp --user ann --user bob --group staff --yes --wait
    provost sync run corp --plan "$(provost sync plan corp --json | jq -r .id)" --wait`
}

// Run starts the run.
func (c *syncRun) Run(s *session) error {
	if len(c.User)+len(c.Group) > 0 && !c.Yes {
		return misused("give --yes with them", "--user and --group run without a plan")
	}
	ask := c.PlanID == "" && !c.Yes
	if ask && (!isTerminal(s.stdin) || !isTerminal(s.stderr)) {
		return misused("give --plan ID to apply a reviewed plan, or --yes to run without one",
			"sync run shows a plan and asks, which needs a terminal")
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	if ask {
		if c.PlanID, err = c.review(s, api); err != nil || c.PlanID == "" {
			return err
		}
		c.Wait = true
	}
	run, err := answer((*openapi.StartRunResponse).GetJSON202)(
		api.StartRunWithResponse(s.ctx, c.Name, nil, openapi.RunInput{Plan: c.PlanID, Users: c.User, Groups: c.Group, Full: c.Full && c.PlanID == ""}))
	if err != nil {
		return err
	}
	return started(s, &c.remote, api, run, c.Wait)
}

// review shows a person a plan and asks; "" means no.
func (c *syncRun) review(s *session, api *openapi.ClientWithResponses) (string, error) {
	run, err := plan(s, &c.remote, api, c.Name)
	if err != nil {
		return "", err
	}
	human := *s
	human.stdout = s.stderr // the answer may be JSON, which the plan must not be mixed with
	if run.State == openapi.RunStateFailed {
		return "", finish(s, &c.remote, api, run)
	}
	if err := showPlan(&human, api, run); err != nil {
		return "", err
	}
	sure, err := ask(s, "Apply this plan?")
	if err != nil {
		return "", err
	}
	if sure {
		return run.ID, nil
	}
	if err := done(api.DiscardRunWithResponse(s.ctx, run.ID, nil)); err != nil {
		return "", err
	}
	fmt.Fprintln(s.stderr, "nothing was changed")
	return "", nil
}

// started prints a run that has begun, or waits for it and prints what came of it.
func started(s *session, r *remote, api *openapi.ClientWithResponses, run *openapi.Run, wait bool) error {
	if wait {
		run, err := watch(s, r, run.ID)
		if err != nil {
			return err
		}
		return finish(s, r, api, run)
	}
	switch {
	case r.JSON:
		return writeJSON(s.stdout, run)
	case r.Quiet:
		_, err := fmt.Fprintln(s.stdout, run.ID)
		return err
	}
	fmt.Fprintf(s.stdout, "run %s has begun; see `provost sync status %s`\n", run.ID, run.Directory)
	return nil
}
