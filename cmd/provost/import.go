package main

import "github.com/provost-scim/provost/openapi"

// importCommand is `provost import`.
type importCommand struct {
	remote
	Name     string   `arg:"" help:"The name of the directory."`
	User     []string `sep:"none" placeholder:"NAME" help:"A user, by stable id, user name or DN; may be repeated."`
	Group    []string `sep:"none" placeholder:"NAME" help:"A group, with its members that are missing; may be repeated."`
	Role     []string `sep:"none" placeholder:"NAME" xor:"roles" help:"A role of users that are created, instead of the directory's default roles; may be repeated."`
	NoRoles  bool     `xor:"roles" help:"Give users that are created no roles."`
	Like     string   `placeholder:"USER" xor:"roles" help:"Give users that are created the roles and licences that this user holds."`
	Enabled  bool     `xor:"switch" help:"Enable users that are created, whatever the directory's settings say."`
	Disabled bool     `xor:"switch" help:"Do not enable users that are created."`
	Wait     bool     `help:"Wait until the run has ended."`
}

// Help shows how it is used.
func (*importCommand) Help() string {
	return `Roles and the switch are for users that are created; one that was imported before is updated and
keeps its own. What can be imported is found by ` + "`provost search`" + `. What lies outside the scope of the directory joins
it: see ` + "`provost directory scope`" + `.

Examples:

    provost import corp --user ann --role Editor --wait
    provost import corp --user ann --user bob --like eve --wait
    provost import corp --group staff --disabled --wait --json`
}

// Run starts the import.
func (c *importCommand) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	input := openapi.ImportInput{Users: c.User, Groups: c.Group, Like: c.Like}
	if len(c.Role) > 0 || c.NoRoles {
		input.Roles = &c.Role
		if c.NoRoles {
			input.Roles = &[]string{}
		}
	}
	if c.Enabled || c.Disabled {
		input.Enabled = &c.Enabled
	}
	run, err := answer((*openapi.ImportEntriesResponse).GetJSON202)(api.ImportEntriesWithResponse(s.ctx, c.Name, nil, input))
	if err != nil {
		return err
	}
	return started(s, &c.remote, api, run, c.Wait)
}
