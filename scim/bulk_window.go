package scim

import (
	"net/http"
	"slices"
	"strings"

	"github.com/provost-scim/provost/scim/filter"

	"github.com/provost-scim/provost/store"
)

// Bounds of what one transaction of a Bulk holds, so that others need not wait long
// for it.
const (
	maxUnits      = MaxOperations
	windowRecords = 500    // users and groups
	windowMembers = 10_000 // references to members
)

// window takes from the front of a queue, at most most and at least one, the units
// that are independent of one another: whatever their order, each ends the same. What
// depends on names shows only when the records are read (attempt).
func (b *bulk) window(queue []unit, most int) []unit {
	w := &window{b: b, touched: map[string]bool{}, deleted: map[string]bool{}, said: map[saying]bool{}}
	for i, u := range queue {
		if i > 0 && (i == most || !w.admits(u)) {
			return queue[:i]
		}
		w.add(u)
	}
	return queue
}

// window is what the units admitted so far are about.
type window struct {
	b       *bulk
	touched map[string]bool // ids of resources, and whether more than members are changed
	deleted map[string]bool
	said    map[saying]bool // whether the member is added
	records int
	members int
	selects bool // its unit is alone, as it asks what those before it have left
}

// saying is a group and a member that was added to or removed from it.
type saying struct{ group, member string }

func (w *window) admits(u unit) bool {
	if w.selects || u.selects() || w.records+len(u) > windowRecords {
		return false
	}
	members := w.members
	for _, o := range u {
		if o.err != nil {
			continue
		}
		members += len(o.group.Members.Add) + len(o.group.Members.Remove)
		target := w.b.named(o.target)
		if strings.HasPrefix(target, bulkIDPrefix) { // its id is not known yet
			return false
		}
		if whole, ok := w.touched[target]; ok && (whole || !o.onlyMembers() || o.ifMatch != "") {
			return false
		}
		for _, ref := range o.group.Members.Add {
			member := w.b.named(string(ref.ID))
			if added, ok := w.said[saying{target, member}]; w.deleted[member] || ok && !added {
				return false
			}
		}
		for _, ref := range o.group.Members.Remove {
			member := w.b.named(string(ref.ID))
			if w.said[saying{target, member}] || strings.HasPrefix(member, bulkIDPrefix) {
				return false
			}
		}
	}
	return members <= windowMembers
}

func (w *window) add(u unit) {
	w.selects = w.selects || u.selects()
	for _, o := range u {
		if o.err != nil {
			continue
		}
		if o.target != "" {
			target := w.b.named(o.target)
			if _, ok := w.touched[target]; !ok {
				w.records++
			}
			w.touched[target] = !o.onlyMembers()
			w.deleted[target] = o.method == http.MethodDelete
			for _, ref := range o.group.Members.Add {
				w.said[saying{target, w.b.named(string(ref.ID))}] = true
			}
			for _, ref := range o.group.Members.Remove {
				w.said[saying{target, w.b.named(string(ref.ID))}] = false
			}
		} else {
			w.records++
		}
		w.members += len(o.group.Members.Add) + len(o.group.Members.Remove)
	}
}

// named is the id that a reference stands for, or the reference itself while nothing
// was created for it.
func (b *bulk) named(s string) string {
	if name, ok := strings.CutPrefix(s, bulkIDPrefix); ok {
		if post := b.posts[name]; post != nil && post.id != "" {
			return string(post.id)
		}
	}
	return s
}

// resolve finds the id that a reference stands for. Of what is created in the same
// statement it is the id that the statement gives it.
func (b *bulk) resolve(s string, failed map[*operation]error) (string, error) {
	name, ok := strings.CutPrefix(s, bulkIDPrefix)
	if !ok {
		return s, nil
	}
	post := b.posts[name]
	switch {
	case post == nil:
		return "", store.Errorf(store.CodeInvalid, "no operation of the Bulk creates bulkId:%s", shortened(name))
	case post.err != nil || failed[post] != nil:
		return "", store.Errorf(store.CodeConflict, "the operation that should create bulkId:%s was refused", shortened(name))
	case post.id != "":
		return string(post.id), nil
	}
	return string(post.newID), nil
}

// selects reports whether an operation removes members by a filter.
func (u unit) selects() bool {
	return slices.ContainsFunc(u, func(o *operation) bool { return o.selects })
}

// selectMembers finds whom the filters of a unit remove, now that what goes before it
// is done. A group that is created beside it has no members yet.
func (b *bulk) selectMembers(u unit) {
	for _, o := range u {
		if !o.selects || o.err != nil {
			continue
		}
		find := func(filter.Expr, bool, []string) ([]string, error) { return nil, nil }
		if group := b.named(o.target); store.ValidID(group) {
			find = b.s.memberSelector(b.c, store.ID(group))
		}
		statement, err := patchedGroup(o.target, o.changes, func(f filter.Expr, apart bool, among []string) ([]string, error) {
			ids := make(map[string]string, len(among)) // of what the client calls by a bulkId
			known := make([]string, len(among))
			for i, name := range among {
				known[i] = b.named(name)
				ids[known[i]] = name
			}
			found, err := find(f, apart, known)
			for i, id := range found {
				if name, ok := ids[id]; ok {
					found[i] = name
				}
			}
			return found, err
		})
		if err != nil {
			o.fail(err)
			continue
		}
		o.group = statement
	}
}
