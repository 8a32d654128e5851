package run

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// unseen keeps stored members of the groups, by the names that they had when they were
// applied, whom nobody can find any more: an account that has lost the right to see people
// must not empty groups. Whether they are gone, a run of everything tells. Whoever is
// found, and bears another name now, is no member by the old one.
func (t *target) unseen(ctx context.Context) (why string, err error) {
	dns, names := t.unborne()
	if len(dns)+len(names) == 0 {
		return "", nil
	}
	var groups []string
	for i := range t.groups {
		groups = append(groups, t.groups[i].ExternalID)
	}
	byID := map[string]store.Known{}
	err = t.r.w.e.store.View(ctx, func(v store.Reader) error {
		clear(byID)
		return v.KnownIn(ctx, t.r.directory.Key, groups, func(k store.Known) error {
			if len(k.Hash) < contentSize || k.OutOfScope || k.ExternalID == "" || t.r.only.nodes[t.r.index.find(k.Kind, k.ExternalID)] {
				return nil
			}
			if _, ok := dns[[dnSize]byte(k.Hash[sumSize:])]; ok {
				byID[k.ExternalID] = k
			} else if _, ok := names[[namesSize]byte(k.Hash[sumSize+dnSize:])]; ok && k.Kind == store.KindUser {
				byID[k.ExternalID] = k
			}
			return nil
		})
	})
	if err != nil || len(byID) == 0 {
		return "", err
	}
	ids := make([]string, 0, len(byID))
	for id := range byID {
		ids = append(ids, id)
	}
	found, err := asked(t.a.Lookup(ctx, ids))
	if err != nil {
		return "", fmt.Errorf("look for members that do not bear their names any more: %w", err)
	}
	for id, k := range byID {
		if _, isThere := found[id]; isThere {
			continue
		}
		if dn, ok := dns[[dnSize]byte(k.Hash[sumSize:])]; ok {
			t.bearers[t.r.graph.key(dn)] = bearer{dn: dn, id: id}
		}
		if name, ok := names[[namesSize]byte(k.Hash[sumSize+dnSize:])]; ok && k.Kind == store.KindUser {
			t.names[name] = id
		}
	}
	return "", t.know(ctx, ids)
}

// unborne are the names of members that nobody bears, by their hashes in what is stored:
// DNs, and folded user names.
func (t *target) unborne() (dns map[[dnSize]byte]string, names map[[namesSize]byte]string) {
	dns, names = map[[dnSize]byte]string{}, map[[namesSize]byte]string{}
	for _, b := range t.bearers {
		if b.id == "" {
			dns[[dnSize]byte(t.r.hash.place(b.dn))] = b.dn
		}
	}
	for i := range t.groups {
		for _, name := range t.groups[i].MemberNames {
			if folded := store.Fold(name); t.names[folded] == "" {
				names[[namesSize]byte(t.r.hash.place("", folded, "")[dnSize:])] = folded
			}
		}
	}
	return dns, names
}
