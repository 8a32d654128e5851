package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

func (e *env) domain(org store.Key, name string, change func(*store.Domain)) *store.Domain {
	e.Helper()
	d := &store.Domain{ID: store.NewID(e.now), Org: org, Name: name, State: store.DomainPending, Challenge: "t0ken", CreatedAt: e.now}
	if change != nil {
		change(d)
	}
	e.update(func(t store.Tx) error { return t.SaveDomain(e.Context(), d) })
	return d
}

func verified(at time.Time) func(*store.Domain) {
	return func(d *store.Domain) { d.State, d.VerifiedAt, d.CheckedAt = store.DomainVerified, at, at }
}

var domains = map[string]func(*env){
	"a domain is read back as it was saved, by name or ID": func(e *env) {
		d := e.domain(e.org, "corp.test", nil)
		d.State, d.Failures, d.LastError, d.VerifiedAt, d.CheckedAt = store.DomainFailed, 3, "no such record", e.now, e.now.Add(time.Hour)
		e.update(func(t store.Tx) error { return t.SaveDomain(e.Context(), d) })
		for _, ref := range []string{"corp.test", "CORP.test.", string(d.ID)} {
			have := got(e, func(r store.Reader) (*store.Domain, error) { return r.Domain(e.Context(), e.org, ref) })
			if diff := cmp.Diff(d, have); diff != "" {
				e.Errorf("by %q (-want +got):\n%s", ref, diff)
			}
		}
	},
	"domains are listed by name and belong to one organization": func(e *env) {
		other := e.organization("other")
		b, a := e.domain(e.org, "b.test", nil), e.domain(e.org, "a.test", nil)
		e.domain(other, "c.test", nil)
		list := got(e, func(r store.Reader) ([]store.Domain, error) { return r.Domains(e.Context(), e.org) })
		if diff := cmp.Diff([]store.Domain{*a, *b}, list); diff != "" {
			e.Errorf("domains (-want +got):\n%s", diff)
		}
		absent(e, func(r store.Reader) (*store.Domain, error) { return r.Domain(e.Context(), other, "a.test") })
		e.refused(store.CodeNotFound, func(t store.Tx) error { return t.DeleteDomain(e.Context(), other, a.Key) })
	},
	"two organizations may claim a domain but only one can verify it": func(e *env) {
		other := e.organization("other")
		mine := e.domain(e.org, "corp.test", verified(e.now))
		theirs := e.domain(other, "corp.test", nil)
		e.refused(store.CodeUniqueness, func(t store.Tx) error {
			d := *theirs
			verified(e.now)(&d)
			return t.SaveDomain(e.Context(), &d)
		})
		e.update(func(t store.Tx) error { return t.DeleteDomain(e.Context(), e.org, mine.Key) })
		verified(e.now)(theirs)
		e.update(func(t store.Tx) error { return t.SaveDomain(e.Context(), theirs) })
	},
	"an organization claims a domain once": func(e *env) {
		e.domain(e.org, "corp.test", nil)
		e.refused(store.CodeUniqueness, func(t store.Tx) error {
			return t.SaveDomain(e.Context(), &store.Domain{ID: store.NewID(e.now), Org: e.org, Name: "corp.test", State: store.DomainPending, CreatedAt: e.now})
		})
	},
	"the domains to check are those that DNS verified and were not checked since, the oldest first": func(e *env) {
		other := e.organization("other")
		due := e.now.Add(-24 * time.Hour)
		second := e.domain(e.org, "second.test", verified(due.Add(-time.Minute)))
		first := e.domain(other, "first.test", verified(due.Add(-time.Hour)))
		e.domain(e.org, "fresh.test", verified(due))
		e.domain(e.org, "pending.test", func(d *store.Domain) { d.CheckedAt = due.Add(-time.Hour) })
		e.domain(e.org, "failed.test", func(d *store.Domain) {
			verified(due.Add(-time.Hour))(d)
			d.State = store.DomainFailed
		})
		e.domain(e.org, "vouched.test", func(d *store.Domain) {
			verified(due.Add(-time.Hour))(d)
			d.Vouched = true
		})
		for limit, want := range map[int][]store.Domain{10: {*first, *second}, 1: {*first}} {
			have := got(e, func(r store.Reader) ([]store.Domain, error) { return r.DomainsToCheck(e.Context(), due, limit) })
			if diff := cmp.Diff(want, have); diff != "" {
				e.Errorf("at most %d (-want +got):\n%s", limit, diff)
			}
		}
	},
}
