package main

import (
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/provost-scim/provost/openapi"
)

// roleCommand is `provost role`, licenceCommand `provost licence`, and productCommand
// `provost product`: the same commands for three kinds of entitlement. Which kind it is
// about, a command knows by its parent's name.
type (
	roleCommand struct {
		Create roleCreate `cmd:"" help:"Create a role." example:"create Editor --description 'edits pages'"`
		entitlementCommands
	}
	licenceCommand struct {
		Create licenceCreate `cmd:"" help:"Create a licence with a pool of seats."`
		Seats  licenceSeats  `cmd:"" help:"Change the size of a licence's pool." example:"seats Basic 200"`
		entitlementCommands
	}
	productCommand struct {
		Create roleCreate `cmd:"" help:"Create a product, to which groups can be given access." example:"create Wiki"`
		entitlementCommands
	}
)

// entitlementCommands are what all three have.
type entitlementCommands struct {
	List    entitlementList    `cmd:"" help:"List them." example:"list"`
	Show    entitlementShow    `cmd:"" help:"Show one." example:"show Basic"`
	Holders entitlementHolders `cmd:"" help:"List who holds it." example:"holders Basic --json"`
	Grant   entitlementGrant   `cmd:"" help:"Grant it to users or groups."`
	Revoke  entitlementRevoke  `cmd:"" help:"Take it from users or groups."`
	Delete  entitlementDelete  `cmd:"" help:"Delete it, and take it from everyone." example:"delete Basic"`
}

// kindOf is the kind that a command is about: role, licence or product.
func kindOf(k *kong.Context) openapi.EntitlementKind {
	kind, _, _ := strings.Cut(k.Command(), " ")
	return openapi.EntitlementKind(kind)
}

// roleCreate creates what has no seats.
type roleCreate struct {
	remote
	Name        string `arg:"" help:"Its name. It cannot be changed later."`
	Description string `placeholder:"TEXT" help:"What it is, for people."`
}

// Run creates it.
func (c *roleCreate) Run(s *session, k *kong.Context) error {
	return createEntitlement(s, &c.remote, openapi.EntitlementInput{Kind: kindOf(k), Name: c.Name, Description: none(c.Description)})
}

type licenceCreate struct {
	roleCreate
	Seats int `placeholder:"N" help:"How many users can hold it; without limit, if not given."`
}

// Help shows how it is used.
func (*licenceCreate) Help() string {
	return "Example:\n\n    provost licence create Pro --seats 100\n    provost licence grant Pro --user ann@example.com"
}

// Run creates it.
func (c *licenceCreate) Run(s *session, k *kong.Context) error {
	in := openapi.EntitlementInput{Kind: kindOf(k), Name: c.Name, Description: none(c.Description)}
	if c.Seats != 0 {
		in.Seats = &c.Seats
	}
	return createEntitlement(s, &c.remote, in)
}

func createEntitlement(s *session, r *remote, in openapi.EntitlementInput) error {
	api, err := r.api()
	if err != nil {
		return err
	}
	e, err := answer((*openapi.CreateEntitlementResponse).GetJSON201)(api.CreateEntitlementWithResponse(s.ctx, nil, in))
	if err != nil {
		return err
	}
	return showEntitlement(s, r, e)
}

type entitlementList struct {
	remote
	Limit int `placeholder:"N" help:"At most so many; all, if not given."`
}

// Run lists those of the command's kind.
func (c *entitlementList) Run(s *session, k *kong.Context) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	kind := kindOf(k)
	columns := []column[openapi.Entitlement]{
		{title: "NAME", value: func(e *openapi.Entitlement) string { return e.Name }, shrink: true},
		{title: "DESCRIPTION", value: func(e *openapi.Entitlement) string { return e.Description }, shrink: true},
	}
	if kind == openapi.EntitlementKindLicence {
		columns = append(columns, column[openapi.Entitlement]{title: "SEATS", value: seatsOf})
	}
	columns = append(columns, column[openapi.Entitlement]{title: "ID", value: func(e *openapi.Entitlement) string { return e.ID }})
	return list(s, &c.remote, columns, func(e *openapi.Entitlement) string { return e.ID }, func(each func(*openapi.Entitlement) error) error {
		return pages(c.Limit, func(cursor *string, size int) ([]openapi.Entitlement, string, error) {
			params := openapi.ListEntitlementsParams{Kind: &kind, Cursor: cursor, Limit: &size}
			page, err := answer((*openapi.ListEntitlementsResponse).GetJSON200)(api.ListEntitlementsWithResponse(s.ctx, &params))
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextCursor, nil
		}, each)
	})
}

// entitlementOne are the arguments of the commands about one entitlement.
type entitlementOne struct {
	remote
	Name string `arg:"" help:"Its name or id."`
}

// ref names it in a path of the interface.
func (c *entitlementOne) ref(k *kong.Context) string {
	if looksLikeID(c.Name) {
		return c.Name
	}
	return string(kindOf(k)) + ":" + c.Name
}

// looksLikeID tells a UUID from a name.
func looksLikeID(s string) bool { return len(s) == 36 && strings.Count(s, "-") == 4 }

type entitlementShow struct{ entitlementOne }

// Run shows it.
func (c *entitlementShow) Run(s *session, k *kong.Context) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	e, err := answer((*openapi.GetEntitlementResponse).GetJSON200)(api.GetEntitlementWithResponse(s.ctx, c.ref(k), nil))
	if err != nil {
		return err
	}
	return showEntitlement(s, &c.remote, e)
}

type licenceSeats struct {
	entitlementOne
	Seats int `arg:"" help:"How many users can hold it; 0 is without limit."`
}

// Run changes the pool.
func (c *licenceSeats) Run(s *session, k *kong.Context) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	e, err := answer((*openapi.UpdateEntitlementResponse).GetJSON200)(api.UpdateEntitlementWithResponse(s.ctx, c.ref(k), nil, openapi.EntitlementPatch{Seats: &c.Seats}))
	if err != nil {
		return err
	}
	return showEntitlement(s, &c.remote, e)
}

type entitlementDelete struct {
	entitlementOne
	confirmFlag
}

// Run deletes it.
func (c *entitlementDelete) Run(s *session, k *kong.Context) error {
	if sure, err := c.sure(s, "delete the %s %s, and take it from everyone", kindOf(k), c.Name); err != nil || !sure {
		return err
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	if err := done(api.DeleteEntitlementWithResponse(s.ctx, c.ref(k), nil)); err != nil {
		return err
	}
	said(s, &c.remote, "%s %s is deleted", kindOf(k), c.Name)
	return nil
}

type entitlementHolders struct {
	entitlementOne
	Limit int `placeholder:"N" help:"At most so many; all, if not given."`
}

// Run lists who holds it.
func (c *entitlementHolders) Run(s *session, k *kong.Context) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	return list(s, &c.remote, []column[openapi.Holder]{
		{title: "TYPE", value: func(h *openapi.Holder) string { return h.Type }},
		{title: "USER NAME", value: func(h *openapi.Holder) string { return h.UserName }, shrink: true},
		{title: "NAME", value: func(h *openapi.Holder) string { return h.DisplayName }, shrink: true},
		{title: "SINCE", value: func(h *openapi.Holder) string { return at(h.GrantedAt) }},
		{title: "SUSPENDED", value: func(h *openapi.Holder) string { return when(h.SuspendedAt) }},
		{title: "ID", value: func(h *openapi.Holder) string { return h.ID }},
	}, func(h *openapi.Holder) string { return h.ID }, func(each func(*openapi.Holder) error) error {
		return pages(c.Limit, func(cursor *string, size int) ([]openapi.Holder, string, error) {
			params := openapi.ListHoldersParams{Cursor: cursor, Limit: &size}
			page, err := answer((*openapi.ListHoldersResponse).GetJSON200)(api.ListHoldersWithResponse(s.ctx, c.ref(k), &params))
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextCursor, nil
		}, each)
	})
}

// holderFlags name who is granted something.
type holderFlags struct {
	entitlementOne
	User  []string `sep:"none" placeholder:"USER" help:"A user, by id or user name; may be given several times."`
	Group []string `sep:"none" placeholder:"GROUP" help:"A group, by id or name; may be given several times."`
}

// each calls a function for every holder that is named. It stops at the first that is
// refused; those before it stand.
func (c *holderFlags) each(user, group func(string) error) error {
	if len(c.User)+len(c.Group) == 0 {
		return misused("name them with --user or --group", "nobody is named")
	}
	for _, ref := range c.User {
		if err := user(ref); err != nil {
			return err
		}
	}
	for _, ref := range c.Group {
		if err := group(ref); err != nil {
			return err
		}
	}
	return nil
}

type entitlementGrant struct{ holderFlags }

// Help shows how it is used.
func (*entitlementGrant) Help() string {
	return "A role can be granted to users and groups, a licence to users, access to a product to groups.\nGranting what is held changes nothing.\n\nExamples:\n\n" +
		"    provost role grant Editor --user ann@example.com --group Writers\n    provost licence grant Pro --user ann@example.com\n    provost product grant Mail --group Staff"
}

// Run grants it.
func (c *entitlementGrant) Run(s *session, k *kong.Context) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	err = c.each(func(ref string) error {
		return done(api.GrantToUserWithResponse(s.ctx, ref, c.ref(k), nil))
	}, func(ref string) error {
		return done(api.GrantToGroupWithResponse(s.ctx, ref, c.ref(k), nil))
	})
	if err == nil {
		said(s, &c.remote, "%s %s is granted", kindOf(k), c.Name)
	}
	return err
}

type entitlementRevoke struct{ holderFlags }

// Help shows how it is used.
func (*entitlementRevoke) Help() string {
	return "Examples:\n\n    provost role revoke Editor --user ann@example.com --group Writers\n    provost licence revoke Pro --user ann@example.com\n    provost product revoke Mail --group Staff"
}

// Run takes it.
func (c *entitlementRevoke) Run(s *session, k *kong.Context) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	err = c.each(func(ref string) error {
		return done(api.RevokeFromUserWithResponse(s.ctx, ref, c.ref(k), nil))
	}, func(ref string) error {
		return done(api.RevokeFromGroupWithResponse(s.ctx, ref, c.ref(k), nil))
	})
	if err == nil {
		said(s, &c.remote, "%s %s is revoked", kindOf(k), c.Name)
	}
	return err
}

func showEntitlement(s *session, r *remote, e *openapi.Entitlement) error {
	return record(s, r, e, e.ID, func() [][2]string {
		pairs := [][2]string{{string(e.Kind), e.Name}, {"id", e.ID}, {"description", e.Description}}
		if e.Kind == openapi.EntitlementKindLicence {
			pairs = append(pairs, [2]string{"seats", seatsOf(e)})
		}
		return append(pairs, [2]string{"created", at(e.CreatedAt)})
	})
}

// seatsOf says how many seats of a licence are taken, and of how many.
func seatsOf(e *openapi.Entitlement) string {
	taken := "0"
	if e.Taken != nil {
		taken = strconv.Itoa(*e.Taken)
	}
	if e.Seats == nil {
		return taken + " of any number"
	}
	return taken + " of " + strconv.Itoa(*e.Seats)
}
