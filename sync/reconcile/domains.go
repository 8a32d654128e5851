package reconcile

import (
	"strings"

	"github.com/provost-scim/provost/store"
)

// external reports whether a user is external and so always let in (rule 3).
func external(a *store.Attributes, by store.External) bool {
	for _, t := range by.UserTypes {
		if t != "" && store.Fold(t) == store.Fold(a.UserType) {
			return true
		}
	}
	return by.UserName != "" && strings.Contains(store.Fold(a.UserName), store.Fold(by.UserName))
}

// admits reports whether rule 3 lets a user in by its deciding address. When it
// does not, the second result says why and what to do.
func (p *planner) admits(a *store.Attributes) (bool, string) {
	s := p.settings()
	if s.DomainPolicy == store.DomainsOff || external(a, s.External) {
		return true, ""
	}
	address := a.DecidingAddress()
	domain := store.DomainOf(address)
	if domain == "" {
		return false, "the user has no address: neither userName nor the primary email is one, so no domain can be verified"
	}
	if p.have.Domains[domain] != store.DomainVerified {
		return false, "the domain " + domain + " of " + address + " is not a verified domain of the organization; add and verify it"
	}
	if s.DomainPolicy == store.DomainsSelected {
		for _, d := range s.Domains {
			if store.DomainOf("@"+d) == domain || store.Fold(d) == domain {
				return true, ""
			}
		}
		return false, "the domain " + domain + " of " + address + " is verified but not selected for this directory"
	}
	return true, ""
}
