package scim

import (
	"net/http"
	"slices"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// stateOne makes of an operation what it states of its record, as it is under the
// transaction's lock.
func (a *attempt) stateOne(s *stated) error {
	target, err := a.b.resolve(s.o.target, a.refused)
	if err != nil {
		return err
	}
	key := store.RecordKey{ID: store.ID(target)}
	if s.o.kind == store.KindUser {
		return a.stateUser(s, key)
	}
	return a.stateGroup(s, key)
}

func (a *attempt) stateUser(s *stated, key store.RecordKey) (err error) {
	o := s.o
	next := o.user
	var now *store.User
	if o.method != http.MethodPost {
		if now = a.have.Users[key]; now == nil {
			return notFound(store.KindUser, string(key.ID))
		}
		if err := precondition(o.ifMatch, now.Version); err != nil {
			return err
		}
	}
	switch o.method {
	case http.MethodDelete:
		s.user = &store.UserStatement{Record: key, Presence: store.Gone}
		s.givesBack = a.userNames(&now.Attributes, now.ExternalID)
		return nil
	case http.MethodPatch:
		if next, err = patchedUser(now, o.changes); err != nil {
			return err
		}
	}
	if manager := managerOf(&next); manager != "" {
		id, err := a.b.resolve(manager, a.refused)
		if err != nil {
			return err
		}
		if id != manager {
			enterprise := *next.Attributes.Enterprise // the transaction may be run again
			enterprise.Manager = &store.Manager{Value: id, DisplayName: enterprise.Manager.DisplayName}
			next.Attributes.Enterprise = &enterprise
		}
	}
	next.Record, next.NewID = key, o.newID
	s.user = &next
	s.takes = a.userNames(&next.Attributes, next.ExternalID)
	if now != nil {
		had := a.userNames(&now.Attributes, now.ExternalID)
		s.takes, s.givesBack = missing(s.takes, had), missing(had, s.takes)
	}
	return nil
}

// userNames are the names by which a user may be found to be another one: userName,
// stable id, and, where internal users are claimed by them (rule 2), its addresses.
func (a *attempt) userNames(attributes *store.Attributes, externalID string) []string {
	names := []string{"name " + store.Fold(attributes.UserName)}
	if externalID != "" {
		names = append(names, "id "+externalID)
	}
	if d := a.have.Directory; d != nil && d.Settings.OnMatch == store.MatchClaim {
		for _, k := range attributes.IdentityKeys() {
			names = append(names, "key "+k)
		}
	}
	return names
}

func (a *attempt) stateGroup(s *stated, key store.RecordKey) error {
	o := s.o
	next := o.group
	var now *store.Group
	if o.method != http.MethodPost {
		if now = a.have.Groups[key]; now == nil {
			return notFound(store.KindGroup, string(key.ID))
		}
		if err := precondition(o.ifMatch, now.Version); err != nil {
			return err
		}
	}
	if o.method == http.MethodDelete {
		s.group = &store.GroupStatement{Record: key, Presence: store.Gone}
		s.givesBack = groupNames(now.DisplayName, now.ExternalID)
		return nil
	}
	var err error
	if next.Members.Add, err = a.members(next.Members.Add); err != nil {
		return err
	}
	if next.Members.Remove, err = a.members(next.Members.Remove); err != nil {
		return err
	}
	if o.onlyMembers() { // it is put together with others, so that it is judged here
		for _, ref := range next.Members.Add {
			if a.b.created[ref.ID] != nil && a.have.Members[ref] == (store.Edge{}) {
				continue // the same statement creates it
			}
			if err := reconcile.CheckMember(a.have, now.Key, ref); err != nil {
				return err
			}
		}
	}
	next.Record, next.NewID = key, o.newID
	s.group = &next
	name, externalID := "", ""
	var had []string
	if now != nil {
		name, externalID = now.DisplayName, now.ExternalID
		had = groupNames(name, externalID)
	}
	if next.DisplayName != nil {
		name = *next.DisplayName
	}
	if next.ExternalID != nil {
		externalID = *next.ExternalID
	}
	has := groupNames(name, externalID)
	s.takes, s.givesBack = missing(has, had), missing(had, has)
	return nil
}

func groupNames(displayName, externalID string) []string {
	names := []string{"group " + store.Fold(displayName)}
	if externalID != "" {
		names = append(names, "group id "+externalID)
	}
	return names
}

// members resolves references. The list of the operation is left as it is.
func (a *attempt) members(list []store.MemberRef) ([]store.MemberRef, error) {
	var out []store.MemberRef
	for i, ref := range list {
		id, err := a.b.resolve(string(ref.ID), a.refused)
		if err != nil {
			return nil, err
		}
		if out == nil && id == string(ref.ID) {
			continue
		}
		if out == nil {
			out = append(make([]store.MemberRef, 0, len(list)), list[:i]...)
		}
		out = append(out, store.MemberRef{ID: store.ID(id)})
	}
	if out == nil {
		return list, nil
	}
	return out, nil
}

// missing returns the names of a that are not in b. Both are short.
func missing(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(name string) bool { return slices.Contains(b, name) })
}
