package ldap

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

// noAttributes asks for entries without attributes (RFC 4511 section 4.5.1.8).
const noAttributes = "1.1"

// How many entries are mapped to see what they have. A group can have very many
// members, which come with it.
const (
	sampleUsers  = 200
	sampleGroups = 20
)

// read tries what a run reads, on a bound connection.
func (k *checkup) read(ctx context.Context, c *conn) {
	readable := true
	for _, base := range k.s.bases {
		ok := k.try(ctx, "base_dn", base, func(ctx context.Context) (string, error) { return "it is there", k.s.lookAt(ctx, c, base) })
		readable = readable && ok
	}
	if !readable {
		for _, name := range []string{"paging", "users", "groups", "attributes", "lookup"} {
			k.skip(name, "", "not every base DN can be read")
		}
	} else if k.try(ctx, "paging", "", func(ctx context.Context) (string, error) {
		return "answers in pages (RFC 2696)", k.s.askForPage(ctx, c)
	}) {
		k.entries(ctx, c)
	} else {
		for _, name := range []string{"users", "groups", "attributes", "lookup"} {
			k.skip(name, "", "the server does not answer in pages")
		}
	}
	k.incremental(ctx, c)
}

// lookAt fails unless the entry of a base DN can be seen.
func (s *Source) lookAt(ctx context.Context, c *conn, base string) error {
	p, err := c.search(ctx, query{base: base, scope: ldap.ScopeBaseObject, filter: presence, attributes: []string{noAttributes}})
	if err != nil {
		return err
	}
	if len(p.entries) != 1 {
		return invalid("base_dns", "check the base DN, and that the bind DN may read it", "the base DN %s cannot be read", quoteDN(base))
	}
	return nil
}

// askForPage fails unless the server answers in pages.
func (s *Source) askForPage(ctx context.Context, c *conn) error {
	p, err := c.search(ctx, query{base: s.bases[0], scope: ldap.ScopeWholeSubtree, filter: s.users.filter, attributes: []string{noAttributes}, size: 1})
	if err != nil {
		return err
	}
	if !p.paged {
		return &store.Error{Code: store.CodeInvalid, Message: "the LDAP server does not answer in pages, so nobody could tell whether an answer was complete",
			Hint: "let the server support paged results (RFC 2696)"}
	}
	return nil
}

// entries counts users and groups and looks at a sample of each.
func (k *checkup) entries(ctx context.Context, c *conn) {
	var samples []sample
	for _, p := range []*plan{&k.s.users, &k.s.groups} {
		counted := sample{plan: p, seen: map[string]int{}}
		k.try(ctx, kindWord(p.kind)+"s", "", func(ctx context.Context) (string, error) { return k.s.count(ctx, c, &counted) })
		samples = append(samples, counted)
		if step := &k.steps[len(k.steps)-1]; step.Status == store.CheckOK && counted.total == 0 {
			step.Status, step.Field = store.CheckWarning, kindWord(p.kind)+"_filter"
			step.Hint = "check the filter, the base DNs, and that the bind DN may read the entries and the attributes that the filter names"
		}
	}
	for _, sample := range samples {
		if len(sample.ids)+sample.invalid > 0 {
			k.add(sample.judge())
		} else {
			k.skip("attributes", kindWord(sample.plan.kind)+"s", "no entry was read")
		}
	}
	for _, sample := range samples {
		if len(sample.ids) == 0 {
			continue
		}
		k.try(ctx, "lookup", "", func(ctx context.Context) (string, error) {
			found, err := k.s.lookup(ctx, c, sample.ids[:1])
			if err == nil && len(found) != 1 {
				err = &store.Error{Code: store.CodeInvalid, Field: "bind_dn",
					Message: fmt.Sprintf("an entry that was read is not found again by its %s, so every entry would be taken for gone", k.s.idAttribute),
					Hint:    "give the bind DN the right to search for it in the whole naming context"}
			}
			return "an entry is found again by its " + k.s.idAttribute, err
		})
		return
	}
	k.skip("lookup", "", "no entry was read")
}

// sample is what was seen of the entries of one kind.
type sample struct {
	plan    *plan
	total   int
	mapped  int            // entries looked at
	seen    map[string]int // of those, how many have what maps to each SCIM attribute
	ids     []string       // of some that can become records
	invalid int            // entries that cannot
	reason  string         // why the first of them cannot
}

// count looks at a page of entries and counts all below every base DN, within
// limits of time.
func (s *Source) count(ctx context.Context, c *conn, into *sample) (string, error) {
	end := time.Now().Add(countTime)
	for _, base := range s.bases {
		q := query{base: base, scope: ldap.ScopeWholeSubtree, filter: into.plan.filter}
		if left := into.plan.sampleSize() - into.mapped; left > 0 {
			q.attributes, q.size = into.plan.sampleRequest(), min(s.pageSize, left)
			p, err := c.search(ctx, q)
			if err != nil {
				return "", err
			}
			if err := s.checkReferences(p); err != nil {
				return "", err
			}
			into.look(p)
		}
		q.attributes, q.size = []string{noAttributes}, s.pageSize
		for empty := 0; empty < maxEmptyPages; empty++ {
			p, err := c.search(ctx, q)
			if err != nil {
				return "", err
			}
			into.total += len(p.entries)
			if p.cookie == "" {
				break
			}
			if time.Now().After(end) {
				return fmt.Sprintf("more than %d; counting them all would take too long", into.total), nil
			}
			if len(p.entries) > 0 {
				empty = 0
			}
			q.cookie = p.cookie
		}
	}
	return fmt.Sprintf("%d found", into.total), nil
}

func (p *plan) sampleSize() int {
	if p.kind == store.KindGroup {
		return sampleGroups
	}
	return sampleUsers
}

// sampleRequest asks Active Directory for one member of each group.
func (p *plan) sampleRequest() []string {
	list := slices.Clone(p.request)
	for i := range list {
		if name, _, ok := parseRange(list[i]); ok {
			list[i] = name + ";range=0-0"
		}
	}
	return list
}

// look maps the entries of a page.
func (into *sample) look(p *page) {
	m := newMapper(into.plan)
	for _, raw := range p.entries {
		into.mapped++
		for i := range raw.attributes {
			if name, _, ok := parseRange(raw.attributes[i].name); ok {
				raw.attributes[i].name = name
			}
		}
		entry := m.entry(raw)
		if entry.Invalid != "" {
			if into.invalid++; into.reason == "" {
				into.reason = fmt.Sprintf("%s: %s", quoteDN(entry.DN), entry.Invalid)
			}
		} else if len(into.ids) < lookupBatch {
			into.ids = append(into.ids, entry.ExternalID)
		}
		for scim, slots := range into.plan.sourceSlots() {
			if slices.ContainsFunc(slots, func(slot int) bool { return len(m.values[slot]) > 0 }) {
				into.seen[scim]++
			}
		}
	}
}

// sourceSlots are, by what people know as the mapped attribute, the slots that it
// may come from.
func (p *plan) sourceSlots() map[string][]int {
	all := map[string][]int{}
	for _, step := range p.steps {
		for _, source := range step.from {
			all[step.scim] = append(all[step.scim], source.slot)
		}
	}
	if len(p.members) > 0 {
		all["group.members"] = p.members
	}
	if p.uids >= 0 {
		all["group.members"] = append(slices.Clone(p.members), p.uids)
	}
	for _, source := range p.active {
		if strings.EqualFold(p.names[source.slot], attrUserAccountControl) {
			all["active"] = append(all["active"], source.slot) // the others are absent of an account that is not locked
		}
	}
	return all
}

// judge says which mapped attributes the sample has.
func (into *sample) judge() store.CheckStep {
	step := store.CheckStep{Name: "attributes", Target: kindWord(into.plan.kind) + "s", Status: store.CheckOK}
	var there, never []string
	for _, scim := range slices.Sorted(maps.Keys(into.plan.sourceSlots())) {
		name := strings.TrimPrefix(strings.TrimPrefix(scim, enterprise), "group.")
		if n := into.seen[scim]; n == 0 {
			never = append(never, name)
		} else {
			there = append(there, fmt.Sprintf("%s %d", name, n))
		}
	}
	step.Detail = fmt.Sprintf("of %d entries have %s", into.mapped, strings.Join(there, ", "))
	if len(never) > 0 {
		step.Detail += "; none has " + strings.Join(never, ", ")
	}
	switch {
	case into.invalid == into.mapped:
		step.Status, step.Field = store.CheckFailed, "attributes"
		step.Detail = fmt.Sprintf("none of %d entries can become a record; the first is %s", into.mapped, into.reason)
		step.Hint = "map the attribute that is missing (attributes), or give the bind DN the right to read it"
	case into.invalid > 0:
		step.Status = store.CheckWarning
		step.Detail = fmt.Sprintf("%d of %d entries cannot become records; the first is %s", into.invalid, into.mapped, into.reason)
		step.Hint = "mend these entries; a run leaves them out with a finding"
	case slices.Contains(never, "emails.work"), slices.Contains(never, "members"), slices.Contains(never, "active"):
		step.Status, step.Field = store.CheckWarning, "attributes"
		step.Hint = "if the entries do have it, map the attribute that it is in (attributes), or give the bind DN the right to read it"
	}
	return step
}

// incremental says whether the server can tell what has changed.
func (k *checkup) incremental(ctx context.Context, c *conn) {
	if ctx.Err() != nil {
		k.skip("incremental", "", "the check has taken too long")
		return
	}
	step := store.CheckStep{Name: "incremental", Status: store.CheckOK}
	started := time.Now()
	way, why, err := k.s.standing(ctx, c)
	step.Seconds = time.Since(started).Seconds()
	switch {
	case err == nil && why == "":
		step.Detail = "the server can tell what has changed, by " + way.Method
		if !k.s.marks {
			step.Detail += "; incremental runs are off"
		}
	case !k.s.marks:
		step.Status, step.Detail = store.CheckSkipped, "incremental runs are off"
	case err != nil:
		explain(&step, err)
		step.Status, step.Field = store.CheckWarning, "incremental"
	default:
		step.Status, step.Detail, step.Field = store.CheckWarning, why, "incremental"
		step.Hint = "every run reads everything, which is right and costs more; let the server offer it, or turn incremental off"
	}
	k.steps = append(k.steps, step)
}
