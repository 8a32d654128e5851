package ldap

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	asn1 "github.com/go-asn1-ber/asn1-ber"

	"github.com/provost-scim/provost/store"
)

// plan is how entries of one kind are searched and mapped.
type plan struct {
	kind    store.Kind
	filter  *asn1.Packet
	request []string       // the attributes to ask for
	slots   map[string]int // by lower-case attribute name
	names   []string       // by slot
	id      int            // slot of the stable id
	steps   []step
	active  []alternative
	members []int // slots
	uids    int   // slot of memberUid, or -1
	sid     int   // slot of objectSid, or -1
	primary int   // slot of primaryGroupID, or -1
}

// alternative is one attribute of a step.
type alternative struct {
	slot int
	not  bool
}

// step fills one field of an entry from the first alternative that has a value.
type step struct {
	scim string
	from []alternative
	set  func(*store.Entry, []string)
}

func newPlan(kind store.Kind, m mapping, fields map[string]func(*store.Entry, []string)) plan {
	p := plan{kind: kind, slots: map[string]int{}, uids: -1, sid: -1, primary: -1}
	p.id = p.slot(m["externalId"][0].name)
	for _, name := range slices.Sorted(maps.Keys(fields)) { // requests and lists of values come out alike each time
		if fields[name] == nil || len(m[name]) == 0 {
			continue
		}
		p.steps = append(p.steps, step{name, p.alternatives(m[name]), fields[name]})
	}
	return p
}

func userPlan(m mapping) plan {
	p := newPlan(store.KindUser, m, userFields)
	p.active = p.alternatives(m["active"])
	if len(m["primaryGroup"]) > 0 && len(m["sid"]) > 0 {
		p.primary, p.sid = p.slot(m["primaryGroup"][0].name), p.slot(m["sid"][0].name)
	}
	p.request = p.names
	return p
}

func groupPlan(m mapping) plan {
	p := newPlan(store.KindGroup, m, groupFields)
	for _, a := range m["group.members"] {
		p.members = append(p.members, p.slot(a.name))
	}
	if len(m["group.memberNames"]) > 0 {
		p.uids = p.slot(m["group.memberNames"][0].name)
	}
	if len(m["sid"]) > 0 {
		p.sid = p.slot(m["sid"][0].name)
	}
	p.request = slices.Clone(p.names)
	// Active Directory answers at most 1,500 values unless asked for a range.
	if len(m["sid"]) > 0 {
		for _, slot := range p.members {
			p.request[slot] += ";range=0-*"
		}
	}
	return p
}

func (p *plan) slot(name string) int {
	key := strings.ToLower(name)
	slot, ok := p.slots[key]
	if !ok {
		slot = len(p.names)
		p.slots[key] = slot
		p.names = append(p.names, name)
	}
	return slot
}

func (p *plan) alternatives(attributes []attribute) []alternative {
	list := make([]alternative, len(attributes))
	for i, a := range attributes {
		list[i] = alternative{p.slot(a.name), a.not}
	}
	return list
}

// mapper maps raw entries of one plan. It is for one goroutine.
type mapper struct {
	plan   *plan
	seen   map[string]int // slots by attribute name as the server writes it; -1: not asked for
	values [][]string     // by slot, of the entry under way
}

func newMapper(p *plan) *mapper {
	return &mapper{plan: p, seen: map[string]int{}, values: make([][]string, len(p.names))}
}

// entry maps one entry. What cannot become a record has Invalid set.
func (m *mapper) entry(raw rawEntry) store.Entry {
	clear(m.values)
	for _, a := range raw.attributes {
		slot, ok := m.seen[a.name]
		if !ok {
			slot = m.lookUp(a.name)
		}
		if slot >= 0 {
			if m.values[slot] == nil {
				m.values[slot] = a.values
			} else {
				m.values[slot] = append(m.values[slot], a.values...)
			}
		}
	}
	p := m.plan
	e := store.Entry{Kind: p.kind, DN: raw.dn}
	if !validText(e.DN) {
		e.DN = strings.ToValidUTF8(strings.ReplaceAll(e.DN, "\x00", "�"), "�")
		e.Invalid = "the DN is not valid UTF-8 text"
	}
	m.identify(&e)
	for _, step := range p.steps {
		for _, source := range step.from {
			if values := m.text(&e, source.slot); len(values) > 0 {
				step.set(&e, values)
				break
			}
		}
	}
	if p.kind == store.KindUser {
		m.finishUser(&e)
	} else {
		m.finishGroup(&e)
	}
	return e
}

func (m *mapper) lookUp(name string) int {
	slot, ok := m.plan.slots[strings.ToLower(name)]
	if !ok {
		slot = -1
	}
	if len(m.seen) < 1000 { // a server could make up names for ever
		m.seen[strings.Clone(name)] = slot
	}
	return slot
}

// identify sets the stable id. It is cloned: callers keep it longer than the
// message that it came in.
func (m *mapper) identify(e *store.Entry) {
	name := m.plan.names[m.plan.id]
	values := m.values[m.plan.id]
	if strings.EqualFold(name, attrObjectGUID) {
		if len(values) == 1 && len(values[0]) == 16 {
			e.ExternalID = guidText(values[0])
			return
		}
		values = nil
	} else {
		values = m.text(e, m.plan.id)
	}
	if len(values) != 1 {
		m.fail(e, "the entry has no %s, which must identify it for ever", name)
		return
	}
	e.ExternalID = strings.Clone(values[0])
	if strings.EqualFold(name, "entryUUID") {
		e.ExternalID = strings.ToLower(e.ExternalID)
	}
}

// text returns the values of a slot that are not blank, without the space around
// them.
func (m *mapper) text(e *store.Entry, slot int) []string {
	values := m.values[slot]
	blank := false
	for i, v := range values {
		if !validText(v) {
			m.fail(e, "a value of %s is not valid UTF-8 text", m.plan.names[slot])
			return nil
		}
		values[i] = strings.TrimSpace(v)
		blank = blank || values[i] == ""
	}
	if blank {
		values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
		m.values[slot] = values
	}
	return values
}

func validText(s string) bool {
	return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

func (m *mapper) fail(e *store.Entry, format string, args ...any) {
	if e.Invalid == "" {
		e.Invalid = fmt.Sprintf(format, args...)
	}
}

func (m *mapper) finishUser(e *store.Entry) {
	a := &e.Attributes
	if a.UserName == "" {
		m.fail(e, "the entry has no user name: %s is empty", m.sourceNames("userName"))
	}
	if len(a.Emails) > 0 {
		primary := max(0, slices.IndexFunc(a.Emails, func(v store.Value) bool { return v.Type == "work" }))
		a.Emails[primary].Primary = true
	}
	m.setActive(e)
	if m.plan.primary < 0 {
		return
	}
	sids, numbers := m.values[m.plan.sid], m.values[m.plan.primary]
	if len(sids) != 1 || len(numbers) != 1 {
		return
	}
	number, err := strconv.ParseUint(numbers[0], 10, 32)
	if err != nil {
		return
	}
	if own := sidText(sids[0]); own != "" {
		e.PrimaryGroup = own[:strings.LastIndexByte(own, '-')+1] + strconv.FormatUint(number, 10)
	}
}

// lockedForever is the pwdAccountLockedTime of an account that an administrator
// has locked. Other values are the time of a lock-out after wrong passwords, which
// ends by itself and must not cost anybody a licence.
const lockedForever = "000001010000Z"

// setActive sets Active: false if any source says so. Locks that are absent mean
// an active account; an absent userAccountControl means that we may not read it.
func (m *mapper) setActive(e *store.Entry) {
	if len(m.plan.active) == 0 {
		return
	}
	active, said := true, false
	for _, source := range m.plan.active {
		values, name := m.text(e, source.slot), m.plan.names[source.slot]
		isControl := strings.EqualFold(name, attrUserAccountControl)
		said = said || !isControl || len(values) > 0
		if len(values) == 0 {
			continue
		}
		switch {
		case isControl:
			flags, err := strconv.ParseInt(values[0], 10, 64)
			if err != nil {
				m.fail(e, "%s is not a number", name)
				return
			}
			active = active && flags&2 == 0 // ACCOUNTDISABLE
		case strings.EqualFold(name, attrAccountLockedTime):
			active = active && values[0] != lockedForever
		default:
			value, ok := truth(values[0])
			if !ok {
				m.fail(e, "%s is neither TRUE nor FALSE", name)
				return
			}
			active = active && value != source.not
		}
	}
	if said {
		e.Active = &active
	}
}

func truth(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true", "1", "yes", "on", "active", "enabled":
		return true, true
	case "false", "0", "no", "off", "inactive", "disabled":
		return false, true
	}
	return false, false
}

func (m *mapper) finishGroup(e *store.Entry) {
	if e.DisplayName == "" {
		m.fail(e, "the group has no name: %s is empty", m.sourceNames("group.displayName"))
	}
	for _, slot := range m.plan.members {
		members := m.text(e, slot)
		if strings.EqualFold(m.plan.names[slot], "uniqueMember") {
			for i, member := range members {
				members[i] = withoutUID(member)
			}
		}
		if e.MemberDNs == nil {
			e.MemberDNs = members
		} else {
			e.MemberDNs = append(e.MemberDNs, members...)
		}
	}
	if m.plan.uids >= 0 {
		e.MemberNames = m.text(e, m.plan.uids)
	}
	if m.plan.sid >= 0 && len(m.values[m.plan.sid]) == 1 {
		e.SID = sidText(m.values[m.plan.sid][0])
	}
}

// withoutUID takes the optional bit string from a Name And Optional UID (RFC 4517
// section 3.3.21): DN#'0101'B.
func withoutUID(s string) string {
	if !strings.HasSuffix(s, "'B") {
		return s
	}
	if i := strings.LastIndex(s, "#'"); i >= 0 && strings.Trim(s[i+2:len(s)-2], "01") == "" {
		return s[:i]
	}
	return s
}

// sourceNames names the LDAP attributes of a SCIM attribute, for people.
func (m *mapper) sourceNames(scim string) string {
	return strings.Join(m.plan.sources(scim), " and ")
}
