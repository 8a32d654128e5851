package main

import "github.com/provost-scim/provost/openapi"

type directoryHandover struct {
	remote
	From string `arg:"" help:"The name of the directory that owns the users and groups now."`
	To   string `arg:"" help:"The name of the directory that takes them over."`
	End  bool   `help:"End the handover; what has moved stays where it is."`
}

// Help shows how it is used.
func (*directoryHandover) Help() string {
	return `For moving from one directory to another, as from Active Directory to Entra ID: at TO's next statement the users and groups
that match those of FROM move, and keep id, memberships, roles and grants. Users match by user name and emails, groups by name.
FROM may go on being synchronized meanwhile: what has moved it no longer changes. ` + "`provost directory show`" + ` says how far it is.

Examples:

    provost directory handover ad entra
    provost directory handover ad entra --end
    provost directory delete ad --users keep`
}

// Run starts or ends the handover.
func (c *directoryHandover) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	if c.End {
		if err := done(api.EndHandoverWithResponse(s.ctx, c.To, c.From, nil)); err != nil {
			return err
		}
		said(s, &c.remote, "the handover from %s to %s has ended; what has moved stays with %s", c.From, c.To, c.To)
		return nil
	}
	h, err := answer((*openapi.StartHandoverResponse).GetJSON201)(
		api.StartHandoverWithResponse(s.ctx, c.To, nil, openapi.HandoverInput{From: c.From}))
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.stdout, h)
	}
	said(s, &c.remote, "users and groups of %s move when %s next states them", h.From, h.To)
	return nil
}
