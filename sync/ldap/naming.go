package ldap

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/provost-scim/provost/store"
)

// Naming returns the stable ids of the groups that name any of the DNs or user names
// as a member, or are the primary group that one of the SIDs means, and of the users
// that name any of the DNs as their manager.
func (a *Asking) Naming(ctx context.Context, names, userNames, sids []string) ([]string, error) {
	found := map[string]struct{}{}
	collect := func(_ *rawEntry, id string) { found[id] = struct{}{} }
	groups, users := &a.s.groups, &a.s.users
	var members []string
	for _, slot := range groups.members {
		members = append(members, groups.names[slot])
	}
	for batch := range slices.Chunk(names, lookupBatch) {
		in, err := anyOf(members, batch)
		if err != nil {
			return nil, err
		}
		filter := and(groups.filter, in)
		if managers := users.sources(enterprise + "manager"); len(managers) > 0 {
			under, err := anyOf(managers, batch)
			if err != nil {
				return nil, err
			}
			filter = or(filter, and(users.filter, under))
		}
		if err := a.identify(ctx, filter, collect); err != nil {
			return nil, fmt.Errorf("find who names entries that have changed: %w", err)
		}
	}
	if groups.uids < 0 {
		userNames = nil
	}
	for batch := range slices.Chunk(userNames, lookupBatch) {
		in, err := anyOf([]string{groups.names[groups.uids]}, batch)
		if err != nil {
			return nil, err
		}
		if err := a.identify(ctx, and(groups.filter, in), collect); err != nil {
			return nil, fmt.Errorf("find who names users that have changed: %w", err)
		}
	}
	for batch := range slices.Chunk(a.primaryGroups(sids), lookupBatch) {
		have, err := anyOf([]string{groups.names[groups.sid]}, batch)
		if err != nil {
			return nil, err
		}
		if err := a.identify(ctx, and(groups.filter, have), collect); err != nil {
			return nil, fmt.Errorf("find primary groups: %w", err)
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// Above returns the groups, without their members, that name any of the DNs or user
// names as a member, or are the primary group that one of the SIDs means.
func (a *Asking) Above(ctx context.Context, names, userNames, sids []string) (all []store.Entry, err error) {
	groups := &a.s.groups
	m := newMapper(groups)
	var members []string
	for _, slot := range groups.members {
		members = append(members, groups.names[slot])
	}
	type question struct{ attributes, values []string }
	var questions []question
	if len(members) > 0 {
		questions = append(questions, question{members, names})
	}
	if groups.uids >= 0 {
		questions = append(questions, question{[]string{groups.names[groups.uids]}, userNames})
	}
	if values := a.primaryGroups(sids); len(values) > 0 {
		questions = append(questions, question{[]string{groups.names[groups.sid]}, values})
	}
	for _, q := range questions {
		for batch := range slices.Chunk(q.values, lookupBatch) {
			err := a.each(ctx, groups, q.attributes, batch, groups.withoutMembers(), func(e *rawEntry) error {
				all = append(all, m.entry(*e))
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("find the groups above: %w", err)
			}
		}
	}
	return all, nil
}

// primaryGroups are SIDs as the server writes them, if primary groups are read.
func (a *Asking) primaryGroups(sids []string) (values []string) {
	if a.s.groups.sid < 0 || a.s.users.primary < 0 {
		return nil
	}
	for _, sid := range sids {
		if value, ok := sidBytes(sid); ok {
			values = append(values, value)
		}
	}
	return values
}

// Primary returns, by SID, the stable ids of the users whose primary group is one of
// those: no group lists them.
func (a *Asking) Primary(ctx context.Context, sids []string) (map[string][]string, error) {
	users := &a.s.users
	if users.primary < 0 {
		return nil, nil
	}
	var numbers []string
	asked := map[string]bool{}
	for _, sid := range sids {
		asked[sid] = true
		numbers = append(numbers, sid[strings.LastIndexByte(sid, '-')+1:])
	}
	found := map[string][]string{}
	m := newMapper(users)
	request := []string{a.s.idAttribute, users.names[users.primary], users.names[users.sid]}
	for batch := range slices.Chunk(numbers, lookupBatch) {
		err := a.each(ctx, users, []string{users.names[users.primary]}, batch, request, func(raw *rawEntry) error {
			if e := m.entry(*raw); e.ExternalID != "" && asked[e.PrimaryGroup] {
				found[e.PrimaryGroup] = append(found[e.PrimaryGroup], e.ExternalID)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("find the members of primary groups: %w", err)
		}
	}
	return found, nil
}
