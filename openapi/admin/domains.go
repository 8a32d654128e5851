package admin

import (
	"context"
	"crypto/rand"
	"encoding/base64"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// The TXT record by which a domain is proven (product page, "Domains").
const (
	challengeLabel  = "_provost-challenge."
	challengePrefix = "provost-verification="
)

// ListDomains lists a page of the claimed domains by name.
func (s *Server) ListDomains(ctx context.Context, req openapi.ListDomainsRequestObject) (openapi.ListDomainsResponseObject, error) {
	after, err := placeName(cursorDomains, req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	q := store.DomainQuery{Org: orgOf(ctx), State: store.DomainState(deref(req.Params.State)), After: after, Limit: limitOf(req.Params.Limit)}
	var out openapi.ListDomains200JSONResponse
	err = s.Store.View(ctx, func(r store.Reader) error {
		page, err := r.DomainPage(ctx, q)
		out.Items = make([]openapi.Domain, len(page.Items))
		for i := range page.Items {
			out.Items[i] = renderDomain(&page.Items[i])
		}
		out.NextCursor = nextByName(cursorDomains, &page, func(d *store.Domain) string { return d.Name })
		return err
	})
	return out, err
}

// AddDomain claims a domain and makes the challenge that proves it.
func (s *Server) AddDomain(ctx context.Context, req openapi.AddDomainRequestObject) (openapi.AddDomainResponseObject, error) {
	name, err := s.NormalizeDomain(req.Body.Name)
	if err != nil {
		return nil, err
	}
	var d *store.Domain
	err = s.Store.Update(ctx, func(tx store.Tx) error {
		d, err = s.claimDomain(ctx, tx, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return openapi.AddDomain201JSONResponse(renderDomain(d)), nil
}

// GetDomain returns a domain.
func (s *Server) GetDomain(ctx context.Context, req openapi.GetDomainRequestObject) (openapi.GetDomainResponseObject, error) {
	var out openapi.Domain
	err := s.Store.View(ctx, func(r store.Reader) error {
		d, err := r.Domain(ctx, orgOf(ctx), s.domainRef(req.Domain))
		if err == nil {
			out = renderDomain(d)
		}
		return err
	})
	return openapi.GetDomain200JSONResponse(out), err
}

// DeleteDomain gives a domain up.
func (s *Server) DeleteDomain(ctx context.Context, req openapi.DeleteDomainRequestObject) (openapi.DeleteDomainResponseObject, error) {
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		d, err := tx.Domain(ctx, orgOf(ctx), s.domainRef(req.Domain))
		if err != nil {
			return err
		}
		if err := tx.DeleteDomain(ctx, d.Org, d.Key); err != nil {
			return err
		}
		return s.logDomain(ctx, tx, store.EventDomainDeleted, d, nil)
	})
	return openapi.DeleteDomain204Response{}, err
}

// VerifyDomain looks the challenge up now.
func (s *Server) VerifyDomain(ctx context.Context, req openapi.VerifyDomainRequestObject) (openapi.VerifyDomainResponseObject, error) {
	d, err := s.Verify(ctx, orgOf(ctx), s.domainRef(req.Domain), causeOf(ctx, "DNS check"))
	if err != nil {
		return nil, err
	}
	return openapi.VerifyDomain200JSONResponse(renderDomain(d)), nil
}

// VouchDomain takes an owner's word for a domain. Vouching again changes nothing.
func (s *Server) VouchDomain(ctx context.Context, req openapi.VouchDomainRequestObject) (openapi.VouchDomainResponseObject, error) {
	var out openapi.Domain
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		d, err := tx.Domain(ctx, orgOf(ctx), s.domainRef(req.Domain))
		if err != nil {
			return err
		}
		before := *d
		if d.State != store.DomainVerified || !d.Vouched {
			d.State, d.Vouched, d.VerifiedAt, d.Failures, d.LastError = store.DomainVerified, true, s.now(), 0, ""
			if err := tx.SaveDomain(ctx, d); err != nil {
				return err
			}
			if err := s.logDomain(ctx, tx, store.EventDomainVerified, &before, d); err != nil {
				return err
			}
		}
		out = renderDomain(d)
		return nil
	})
	return openapi.VouchDomain200JSONResponse(out), err
}

func (s *Server) logDomain(ctx context.Context, tx store.Tx, typ string, before, after *store.Domain) error {
	c := change{typ: typ, kind: "Domain"}
	if before != nil {
		c.org, c.id, c.before = before.Org, before.ID, describeDomain(before)
	}
	if after != nil {
		c.org, c.id, c.after = after.Org, after.ID, describeDomain(after)
	}
	return s.log(ctx, tx, c)
}

func describeDomain(d *store.Domain) any {
	return map[string]any{"name": d.Name, "state": d.State, "vouched": d.Vouched}
}

// domainRef lets a domain be named as people write it: Example.COM. or bücher.example.
func (s *Server) domainRef(ref string) string {
	if name, err := s.NormalizeDomain(ref); err == nil && !store.ValidID(ref) {
		return name
	}
	return ref
}

func newChallenge() string {
	var b [24]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never fails on a supported system
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func renderDomain(d *store.Domain) openapi.Domain {
	return openapi.Domain{
		ID: string(d.ID), Name: d.Name, State: openapi.DomainState(d.State), Vouched: d.Vouched,
		RecordName: challengeLabel + d.Name, RecordValue: challengePrefix + d.Challenge,
		Failures: d.Failures, LastError: d.LastError,
		CreatedAt: d.CreatedAt, VerifiedAt: optional(d.VerifiedAt), CheckedAt: optional(d.CheckedAt),
	}
}
