package main

import (
	"fmt"

	"github.com/provost-scim/provost/openapi"
)

// doctorCommand is `provost doctor`.
type doctorCommand struct {
	Directory doctorDirectory `cmd:"" help:"Check the servers of a directory of kind ldap step by step, and say what to mend."`
}

type doctorDirectory struct{ directoryOne }

// Help shows how it is used.
func (*doctorDirectory) Help() string {
	return `The server of Provost tries each LDAP server (resolve, connect, TLS with its certificate, bind) and then what a run
reads: base DNs, pages, users and groups with their counts, mapped attributes, the look-up by stable id, and whether
only changes can be read. Nothing is changed. It takes up to 25 seconds.

The exit code is 0 if no step failed, and 1 if one did. With --quiet only what is not as it should be is printed.

Examples:

    provost doctor directory corp
    provost doctor directory corp --json | jq -r '.steps[] | select(.status == "failed").hint'`
}

// Run checks the directory.
func (c *doctorDirectory) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	check, err := answer((*openapi.CheckDirectoryResponse).GetJSON200)(api.CheckDirectoryWithResponse(s.ctx, c.Name, nil))
	if err != nil {
		return err
	}
	if err := c.show(s, check); err != nil {
		return err
	}
	if !check.Ok {
		return &failure{code: exitError} // the steps have said why
	}
	return nil
}

// show prints the steps as a table, and below it whole what a person should mend: a
// table is cut where the terminal ends.
func (c *doctorDirectory) show(s *session, check *openapi.DirectoryCheck) error {
	switch {
	case c.JSON:
		return writeJSON(s.stdout, check)
	case !c.Quiet:
		rows := make([][]string, len(check.Steps))
		for i := range check.Steps {
			step := &check.Steps[i]
			rows[i] = []string{string(step.Status), plain(step.Name), plain(step.Target), plain(step.Detail)}
		}
		if err := writeTable(s.stdout, []string{"STATUS", "STEP", "AT", "FOUND"}, []bool{false, false, true, true}, rows); err != nil {
			return err
		}
	}
	for i := range check.Steps {
		step := &check.Steps[i]
		if step.Status != openapi.CheckStatusFailed && step.Status != openapi.CheckStatusWarning {
			continue
		}
		at := step.Name
		if step.Target != "" {
			at += " " + step.Target
		}
		if _, err := fmt.Fprintf(s.stdout, "\n%s: %s: %s\n", step.Status, plain(at), plain(step.Detail)); err != nil {
			return err
		}
		if step.Hint == "" {
			continue
		}
		if _, err := fmt.Fprintf(s.stdout, "  hint: %s\n", plain(step.Hint)); err != nil {
			return err
		}
	}
	return nil
}
