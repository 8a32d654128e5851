package main

import (
	"strconv"

	"github.com/provost-scim/provost/openapi"
)

// domainCommand is `provost domain`.
type domainCommand struct {
	Add    domainAdd    `cmd:"" help:"Claim a domain and print the TXT record to publish."`
	Verify domainVerify `cmd:"" help:"Look the TXT record up now." example:"verify example.com"`
	Vouch  domainVouch  `cmd:"" help:"Vouch for a domain instead of proving it by DNS; needs an owner's token and is audited." example:"vouch example.com"`
	List   domainList   `cmd:"" help:"List the claimed domains." example:"list"`
	Delete domainDelete `cmd:"" help:"Give a domain up; its users stay." example:"delete example.com"`
}

// domainOne are the arguments of the commands about one domain.
type domainOne struct {
	remote
	Name string `arg:"" help:"The DNS name."`
}

type domainAdd struct {
	remote
	Name          string `arg:"" optional:"" help:"The DNS name."`
	FromDirectory string `name:"from-directory" placeholder:"NAME" help:"Claim every domain that the users of this directory use, instead."`
}

// Help shows how it is used.
func (*domainAdd) Help() string {
	return "Examples:\n\n    provost domain add example.com\n    # publish the TXT record, then:\n    provost domain verify example.com\n\n" +
		"    provost domain add --from-directory entra"
}

// Run claims the domain.
func (c *domainAdd) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	if (c.Name == "") == (c.FromDirectory == "") {
		return misused("give one of them", "give either the name of a domain or --from-directory")
	}
	if c.FromDirectory != "" {
		return c.fromDirectory(s, api)
	}
	d, err := answer((*openapi.AddDomainResponse).GetJSON201)(api.AddDomainWithResponse(s.ctx, nil, openapi.DomainInput{Name: c.Name}))
	if err != nil {
		return err
	}
	return showDomain(s, &c.remote, d)
}

// fromDirectory claims what the users of a directory use, and shows what to publish.
func (c *domainAdd) fromDirectory(s *session, api *openapi.ClientWithResponses) error {
	used, err := answer((*openapi.ClaimDirectoryDomainsResponse).GetJSON201)(api.ClaimDirectoryDomainsWithResponse(s.ctx, c.FromDirectory, nil))
	if err != nil {
		return err
	}
	state := func(u *openapi.DomainUse) string {
		if u.Domain == nil {
			return "refused"
		}
		return string(u.Domain.State)
	}
	publish := func(u *openapi.DomainUse) string {
		if u.Domain == nil {
			return u.Reason
		}
		if u.Domain.State == openapi.DomainStateVerified {
			return "nothing"
		}
		return u.Domain.RecordName + " TXT " + u.Domain.RecordValue
	}
	return list(s, &c.remote, []column[openapi.DomainUse]{
		{title: "NAME", value: func(u *openapi.DomainUse) string { return u.Name }, shrink: true},
		{title: "USERS", value: func(u *openapi.DomainUse) string { return strconv.Itoa(u.Users) }},
		{title: "NEW", value: func(u *openapi.DomainUse) string { return yesNo(u.Claimed) }},
		{title: "STATE", value: state},
		{title: "PUBLISH", value: publish, shrink: true},
	}, func(u *openapi.DomainUse) string { return u.Name }, func(each func(*openapi.DomainUse) error) error {
		for i := range used.Items {
			if err := each(&used.Items[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

type domainVerify struct{ domainOne }

// Run looks the record up. That it is not there is the server's error, which says
// what to publish.
func (c *domainVerify) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	d, err := answer((*openapi.VerifyDomainResponse).GetJSON200)(api.VerifyDomainWithResponse(s.ctx, c.Name, nil))
	if err != nil {
		return err
	}
	return showDomain(s, &c.remote, d)
}

type domainVouch struct{ domainOne }

// Run vouches for the domain.
func (c *domainVouch) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	d, err := answer((*openapi.VouchDomainResponse).GetJSON200)(api.VouchDomainWithResponse(s.ctx, c.Name, nil))
	if err != nil {
		return err
	}
	return showDomain(s, &c.remote, d)
}

type domainList struct{ remote }

// Run lists the domains.
func (c *domainList) Run(s *session) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	return list(s, &c.remote, []column[openapi.Domain]{
		{title: "NAME", value: func(d *openapi.Domain) string { return d.Name }, shrink: true},
		{title: "STATE", value: func(d *openapi.Domain) string { return string(d.State) }},
		{title: "VOUCHED", value: func(d *openapi.Domain) string { return yesNo(d.Vouched) }},
		{title: "CHECKED", value: func(d *openapi.Domain) string { return when(d.CheckedAt) }},
		{title: "LAST ERROR", value: func(d *openapi.Domain) string { return d.LastError }, shrink: true},
	}, func(d *openapi.Domain) string { return d.ID }, func(each func(*openapi.Domain) error) error {
		return pages(0, func(cursor *string, size int) ([]openapi.Domain, string, error) {
			page, err := answer((*openapi.ListDomainsResponse).GetJSON200)(api.ListDomainsWithResponse(s.ctx, &openapi.ListDomainsParams{Cursor: cursor, Limit: &size}))
			if err != nil {
				return nil, "", err
			}
			return page.Items, page.NextCursor, nil
		}, each)
	})
}

type domainDelete struct {
	domainOne
	confirmFlag
}

// Run gives the domain up.
func (c *domainDelete) Run(s *session) error {
	if sure, err := c.sure(s, "give up the domain %s, and let no new users of it in", c.Name); err != nil || !sure {
		return err
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	if err := done(api.DeleteDomainWithResponse(s.ctx, c.Name, nil)); err != nil {
		return err
	}
	said(s, &c.remote, "domain %s is given up", c.Name)
	return nil
}

func showDomain(s *session, r *remote, d *openapi.Domain) error {
	return record(s, r, d, d.ID, func() [][2]string {
		pairs := [][2]string{{"domain", d.Name}, {"state", string(d.State)}}
		if d.State != openapi.DomainStateVerified {
			pairs = append(pairs, [2]string{"publish", d.RecordName}, [2]string{"TXT", d.RecordValue})
		}
		if d.Vouched {
			pairs = append(pairs, [2]string{"vouched", "yes"})
		}
		return append(pairs, [2]string{"verified", when(d.VerifiedAt)})
	})
}
