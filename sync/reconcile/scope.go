package reconcile

import "github.com/provost-scim/provost/store"

// scopeOf says what has to be locked and loaded to plan a statement.
func scopeOf(want *store.Statement) store.Scope {
	s := store.Scope{Org: want.Org, Directory: want.Directory}
	names := newSet(len(want.Users))
	keys := newSet(len(want.Users))
	external := newSet(0)
	for i := range want.Users {
		u := &want.Users[i]
		if u.Record != (store.RecordKey{}) {
			s.Users = append(s.Users, u.Record)
		}
		if u.Presence != store.Present {
			continue
		}
		names.add(store.Fold(u.Attributes.UserName))
		for _, k := range u.Attributes.IdentityKeys() {
			keys.add(k)
		}
		if u.Record.ID == "" {
			s.Departed = true
			external.add(u.ExternalID)
		}
	}
	groupKeys := newSet(len(want.Groups))
	s.Nests = nestsNew(want)
	for i := range want.Groups {
		g := &want.Groups[i]
		if g.DisplayName != nil && g.Presence == store.Present {
			groupKeys.add(store.Fold(*g.DisplayName))
		}
		if g.Presence == store.Present && g.Record.ID == "" {
			s.Departed = true
			if g.ExternalID != nil {
				external.add(*g.ExternalID)
			}
		}
		scope := store.GroupScope{Record: g.Record, Deletes: g.Presence != store.Present}
		if g.Presence == store.Present {
			scope.AllEdges = g.Members.Mode == store.MembersReplace
			scope.Removes = want.Origin == store.OriginPush && len(g.Members.Remove) > 0 && len(g.Members.Add) == 0 && !scope.AllEdges
			scope.Refs = make([]store.MemberRef, 0, len(g.Members.Add)+len(g.Members.Remove))
			scope.Refs = append(append(scope.Refs, g.Members.Add...), g.Members.Remove...)
		}
		s.Groups = append(s.Groups, scope)
	}
	s.UserNames, s.UserKeys, s.GroupKeys, s.External = names.list, keys.list, groupKeys.list, external.list
	return s
}

// set keeps strings once, in the order of their first appearance.
type set struct {
	seen map[string]struct{}
	list []string
}

func newSet(size int) *set { return &set{seen: make(map[string]struct{}, size)} }

func (s *set) add(v string) {
	if v == "" {
		return
	}
	if _, ok := s.seen[v]; !ok {
		s.seen[v] = struct{}{}
		s.list = append(s.list, v)
	}
}

// missing returns the strings of a that are not in b. Both are short.
func missing(a, b []string) []string {
	var out []string
next:
	for _, x := range a {
		for _, y := range b {
			if x == y {
				continue next
			}
		}
		out = append(out, x)
	}
	return out
}
