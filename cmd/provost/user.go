package main

import (
	"strings"

	"github.com/provost-scim/provost/openapi"
)

// userCommand is `provost user`.
type userCommand struct {
	List    userList    `cmd:"" help:"List users."`
	Show    userShow    `cmd:"" help:"Show a user with its groups." example:"show ann@example.com"`
	Create  userCreate  `cmd:"" help:"Create an internal user." example:"create ada@example.com --given-name Ada --family-name Lovelace --email ada@example.com"`
	Enable  userEnable  `cmd:"" help:"Turn the administrator's own switch of a user on." example:"enable ann@example.com"`
	Disable userDisable `cmd:"" help:"Turn the administrator's own switch of a user off; its directory cannot undo that." example:"disable ann@example.com"`
	Set     userSet     `cmd:"" help:"Change an internal user; what is not given stays." example:"set ada@example.com --title Countess"`
	Delete  userDelete  `cmd:"" help:"Delete an internal user." example:"delete ada@example.com"`
	Restore userRestore `cmd:"" help:"Restore a deleted user."`
	Grants  userGrants  `cmd:"" help:"List what a user holds: roles, licences, access to products."`
}

type userList struct {
	remote
	Directory  string `placeholder:"NAME" help:"Only users that this directory owns; internal for those that none owns."`
	UserName   string `placeholder:"TEXT" help:"Only the user of this user name."`
	Email      string `placeholder:"ADDRESS" help:"Only users with this address."`
	Active     string `enum:"yes,no,any" default:"any" help:"Only users that are active, or that are not: yes, no or any."`
	OutOfScope bool   `help:"Only users that left the scope of their directory, and are inactive for it."`
	Deleted    bool   `help:"The deleted users that can be restored, instead of the present ones."`
	Limit      int    `placeholder:"N" help:"At most so many; all, if not given."`
}

// Help shows how it is used.
func (*userList) Help() string {
	return "Examples:\n\n    provost user list --directory corp --active no\n    provost user list --deleted\n    provost user list --json | jq -r '.[].user_name'"
}

// Run lists the users.
func (c *userList) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	params := openapi.ListUsersParams{Directory: none(c.Directory), UserName: none(c.UserName), Email: none(c.Email), Deleted: &c.Deleted}
	if c.OutOfScope {
		params.OutOfScope = &c.OutOfScope
	}
	if c.Active != "any" {
		active := c.Active == "yes"
		params.Active = &active
	}
	return list(s, &c.remote, []column[openapi.User]{
		{title: "USER NAME", value: func(u *openapi.User) string { return u.UserName }, shrink: true},
		{title: "NAME", value: fullName, shrink: true},
		{title: "ACTIVE", value: activeOf},
		{title: "DIRECTORY", value: func(u *openapi.User) string { return owner(u.Directory) }, shrink: true},
		{title: "ID", value: func(u *openapi.User) string { return u.ID }},
	}, func(u *openapi.User) string { return u.ID }, func(each func(*openapi.User) error) error {
		return pages(c.Limit, func(cursor *string, size int) ([]openapi.User, string, error) {
			params.Cursor, params.Limit = cursor, &size
			page, err := answer((*openapi.ListUsersResponse).GetJSON200)(api.ListUsersWithResponse(s.ctx, &params))
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextCursor, nil
		}, each)
	})
}

// activeOf says whether a user is active, and why not (rule 7).
func activeOf(u *openapi.User) string {
	switch {
	case u.Active:
		return "yes"
	case u.OutOfScope:
		return "no: out of scope"
	case !u.Enabled:
		return "no: not enabled"
	case u.Directory != "":
		return "no: disabled in " + u.Directory
	}
	return "no"
}

func owner(directory string) string {
	if directory == "" {
		return "(internal)"
	}
	return directory
}

func fullName(u *openapi.User) string {
	switch {
	case u.DisplayName != "":
		return u.DisplayName
	case u.Name == nil:
		return ""
	case u.Name.Formatted != "":
		return u.Name.Formatted
	default:
		return strings.TrimSpace(u.Name.GivenName + " " + u.Name.FamilyName)
	}
}

// userOne are the arguments of the commands about one user.
type userOne struct {
	remote
	User string `arg:"" help:"The user's id or user name."`
}

type userShow struct{ userOne }

// Run shows the user.
func (c *userShow) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	u, err := answer((*openapi.GetUserResponse).GetJSON200)(api.GetUserWithResponse(s.ctx, c.User, nil))
	if err != nil {
		return err
	}
	return showUser(s, &c.remote, u)
}

type userEnable struct{ userOne }

// Run turns the switch on.
func (c *userEnable) Run(s *session) error { return c.setEnabled(s, true) }

type userDisable struct{ userOne }

// Run turns the switch off.
func (c *userDisable) Run(s *session) error { return c.setEnabled(s, false) }

type userRestore struct {
	remote
	ID string `arg:"" name:"id" help:"The deleted user's id, as user list --deleted shows it."`
}

// Help shows how it is used.
func (*userRestore) Help() string {
	return "The user is again what it was, in the groups that it was in.\n\nExample:\n\n    provost user restore $(provost user list --deleted --user-name ada@example.com --quiet)"
}

// Run restores the user.
func (c *userRestore) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	u, err := answer((*openapi.RestoreUserResponse).GetJSON200)(api.RestoreUserWithResponse(s.ctx, c.ID, nil))
	if err != nil {
		return err
	}
	return showUser(s, &c.remote, u)
}

func (c *userOne) setEnabled(s *session, enabled bool) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	u, err := answer((*openapi.UpdateUserResponse).GetJSON200)(api.UpdateUserWithResponse(s.ctx, c.User, nil, openapi.UserInput{Enabled: &enabled}))
	if err != nil {
		return err
	}
	return showUser(s, &c.remote, u)
}

func showUser(s *session, r *remote, u *openapi.User) error {
	return record(s, r, u, u.ID, func() [][2]string {
		pairs := [][2]string{
			{"user name", u.UserName},
			{"id", u.ID},
			{"name", fullName(u)},
			{"email", u.Email},
			{"title", u.Title},
			{"directory", owner(u.Directory)},
			{"external id", u.ExternalID},
			{"active", activeOf(u)},
			{"enabled", yesNo(u.Enabled)},
		}
		pairs = append(pairs, [2]string{"created", at(u.CreatedAt)}, [2]string{"modified", at(u.ModifiedAt)})
		if u.Groups != nil {
			for _, g := range *u.Groups {
				how := "indirect"
				if g.Direct {
					how = "direct"
				}
				pairs = append(pairs, [2]string{"group", g.DisplayName + " (" + how + ")"})
			}
		}
		return pairs
	})
}
