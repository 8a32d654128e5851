package admin

import (
	"context"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// maxDomainsInUse is how many domains of one directory are claimed at once.
const maxDomainsInUse = 1000

// ClaimDirectoryDomains claims every domain that a directory's users use and that is
// not claimed yet.
func (s *Server) ClaimDirectoryDomains(ctx context.Context, req openapi.ClaimDirectoryDomainsRequestObject) (openapi.ClaimDirectoryDomainsResponseObject, error) {
	var out openapi.DomainUseList
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		d, err := tx.Directory(ctx, orgOf(ctx), req.Directory)
		if err != nil {
			return err
		}
		used, err := tx.DomainsInUse(ctx, d.Org, d.Key, maxDomainsInUse)
		if err != nil {
			return err
		}
		all, err := tx.Domains(ctx, d.Org)
		if err != nil {
			return err
		}
		claimed := make(map[string]*store.Domain, len(all))
		for i := range all {
			claimed[all[i].Name] = &all[i]
		}
		out.Items = make([]openapi.DomainUse, len(used))
		for i, use := range used {
			item := &out.Items[i]
			item.Name, item.Users = use.Name, use.Users
			name, err := s.NormalizeDomain(use.Name)
			if err != nil {
				item.Reason = err.Error()
				continue
			}
			have := claimed[name]
			if have == nil {
				if have, err = s.claimDomain(ctx, tx, name); err != nil {
					return err
				}
				item.Claimed = true
			}
			shown := renderDomain(have)
			item.Domain = &shown
		}
		return nil
	})
	return openapi.ClaimDirectoryDomains201JSONResponse(out), err
}

// claimDomain writes a pending domain with a challenge, in the caller's transaction.
func (s *Server) claimDomain(ctx context.Context, tx store.Tx, name string) (*store.Domain, error) {
	now := s.now()
	d := &store.Domain{
		ID: store.NewID(now), Org: orgOf(ctx), Name: name, State: store.DomainPending,
		Challenge: newChallenge(), CreatedAt: now,
	}
	if err := tx.SaveDomain(ctx, d); err != nil {
		return nil, err
	}
	return d, s.logDomain(ctx, tx, store.EventDomainAdded, nil, d)
}
