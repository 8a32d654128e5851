package ldap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

// Following is a directory of which it is known what has changed since an earlier
// read. It keeps one connection, to the server that told the changes: another might
// not have seen them yet. It is for one goroutine, which closes it.
type Following struct {
	*Asking
	changed map[string]struct{}
	deleted map[string]struct{}          // of changed: told to be deleted, or moved away
	present map[string]map[uuid]struct{} // by base DN; nil unless the server listed what is there
	cookie  []byte
}

// Follow asks what has changed since a cookie of [Source.Cookie] or
// [Following.Cookie] was made. If the server does not tell, or would tell more than
// limit entries, Following is nil and why says for what reason: then only a full
// read will do.
func (s *Source) Follow(ctx context.Context, since []byte, limit int) (f *Following, why string, err error) {
	var old cookie
	if err := json.Unmarshal(since, &old); err != nil {
		return nil, "the cookie of the last run cannot be read", nil
	}
	c, err := s.connect(ctx)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if f == nil {
			c.close()
		}
	}()
	f = &Following{Asking: &Asking{s, c}, changed: map[string]struct{}{}, deleted: map[string]struct{}{}}
	switch {
	case old.Server != c.server:
		why = fmt.Sprintf("the LDAP server is %s, and the last run read %s", c.server, old.Server)
	case old.Method == methodSyncrepl:
		why, err = f.syncrepl(ctx, &old, limit)
	case old.Method == methodDirSync:
		why, err = f.dirSyncSince(ctx, &old, limit)
	default:
		why = fmt.Sprintf("the cookie of the last run is of the unknown kind %q", clip(old.Method))
	}
	if err != nil || why != "" {
		return nil, why, err
	}
	return f, "", nil
}

func (f *Following) syncrepl(ctx context.Context, old *cookie, limit int) (why string, err error) {
	next := *old
	next.Bases = maps.Clone(old.Bases)
	for _, base := range f.s.bases {
		since, ok := old.Bases[base]
		if !ok {
			return "the last run did not read " + quoteDN(base), nil
		}
		a, why, err := f.s.refresh(ctx, f.c, base, since, limit)
		if err != nil || why != "" {
			return why, err
		}
		if a.cookie != "" {
			next.Bases[base] = a.cookie
		}
		for _, u := range slices.Concat(a.changed, a.deleted) {
			f.changed[u.String()] = struct{}{}
		}
		for _, u := range a.deleted {
			f.deleted[u.String()] = struct{}{}
		}
		if a.afterPresent {
			if f.present == nil {
				f.present = map[string]map[uuid]struct{}{}
			}
			f.present[base] = a.present
		}
		if why, err := f.below(ctx, a.parents, limit); err != nil || why != "" {
			return why, err
		}
		if why, err := f.movedAway(ctx, base, a.deleted); err != nil || why != "" {
			return why, err
		}
	}
	if f.present != nil && len(f.present) != len(f.s.bases) {
		// Below the others nothing was deleted but what was announced, so what is there
		// is not known. A full read is simpler than to tell apart where a record lay.
		return "the LDAP server listed what is there below some base DNs only", nil
	}
	f.cookie, err = next.encode()
	return "", err
}

// below adds what lies below changed entries: when an entry is renamed or moved,
// nothing is said of those whose DNs change with it.
func (f *Following) below(ctx context.Context, parents []string, limit int) (why string, err error) {
	for _, parent := range parents {
		q := query{base: parent, scope: ldap.ScopeWholeSubtree, filter: f.s.either(), attributes: []string{f.s.idAttribute}, size: f.s.pageSize}
		for {
			p, err := f.c.search(ctx, q)
			if goneNow(err) {
				break // since it was announced: it will be announced again
			}
			if err != nil {
				return "", err
			}
			if !p.paged {
				return "the LDAP server ignored the request for pages", nil
			}
			for _, e := range p.entries {
				if id := f.s.idOf(e); id != "" {
					f.changed[strings.Clone(id)] = struct{}{}
				}
			}
			if len(f.changed) > limit {
				return fmt.Sprintf("%s has changed, and perhaps its name: more than %d entries lie below it", quoteDN(parent), limit), nil
			}
			if p.cookie == "" {
				break
			}
			q.cookie = p.cookie
		}
	}
	return "", nil
}

func goneNow(err error) bool { return refusedFor(err, "base_dns") }

func forbidden(err error) bool { return refusedFor(err, "bind_dn") }

func refusedFor(err error, field string) bool {
	var e *store.Error
	return errors.As(err, &e) && e.Field == field && e.Code == store.CodeInvalid
}

// movedAway looks for entries that were not deleted but moved out of a base DN, with
// others below them of which nothing is said.
func (f *Following) movedAway(ctx context.Context, base string, ids []uuid) (why string, err error) {
	contexts, err := f.s.contextsOf(ctx, f.c)
	if err != nil {
		return "", err
	}
	if strings.EqualFold(contexts[base], base) {
		return "", nil // nowhere to move to
	}
	for batch := range slices.Chunk(ids, lookupBatch) {
		values := make([]string, len(batch))
		for i, u := range batch {
			values[i] = u.String()
		}
		filter, err := anyOf([]string{attrEntryUUID}, values)
		if err != nil {
			return "", err
		}
		p, err := f.c.search(ctx, query{base: contexts[base], scope: ldap.ScopeWholeSubtree, filter: filter, attributes: []string{attrHasSubordinates}})
		if err != nil {
			return "", err
		}
		for _, e := range p.entries {
			if mayHaveChildren(e) {
				return fmt.Sprintf("%s was moved, with what lies below it", quoteDN(e.dn)), nil
			}
		}
	}
	return "", nil
}

// Changed returns the stable ids of all entries that were added, changed, renamed,
// moved or deleted: of users and groups, and of others.
func (f *Following) Changed() []string { return slices.Sorted(maps.Keys(f.changed)) }

// Listed reports whether the server listed all entries that are there, instead of
// those that were deleted; then [Following.Missing] tells what was deleted.
func (f *Following) Listed() bool { return f.present != nil }

// Missing reports whether an entry is not among those that the server listed.
func (f *Following) Missing(id string) bool {
	u, ok := parseUUID(id)
	if !ok {
		return true
	}
	for _, present := range f.present {
		if _, ok := present[u]; ok {
			return false
		}
	}
	return true
}

// Deleted reports whether the server told that an entry was deleted, or moved out of a
// base DN.
func (f *Following) Deleted(id string) bool {
	_, ok := f.deleted[id]
	return ok
}

// Cookie stands for the directory as the changes left it.
func (f *Following) Cookie() []byte { return f.cookie }
