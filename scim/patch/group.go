package patch

import (
	stderrors "errors"
	"strings"
	"unicode/utf8"

	"github.com/elimity-com/scim/errors"

	"github.com/provost-scim/provost/scim/filter"
	"github.com/provost-scim/provost/scim/schema"
)

// GroupChange is what a PATCH of a group asks for. A nil field is unchanged.
type GroupChange struct {
	DisplayName *string // never blank
	ExternalID  *string // empty: removed
	Description *string // empty: removed
	Members     MemberChange
}

// MemberChange is the sum of all operations on members, in their order: with Replace the members become exactly Add;
// without, Add and Remove are what changes, and no id is in both. Ids are unique, in the order in which they were first named.
type MemberChange struct {
	Replace bool
	Add     []Member
	Remove  []string // ids; empty with Replace
}

// Member is a direct member of a group.
type Member struct {
	Value string // the id, never empty
	Type  string // "User", "Group", or empty if the client did not say
}

// Empty reports whether members stay as they are.
func (c MemberChange) Empty() bool { return !c.Replace && len(c.Add) == 0 && len(c.Remove) == 0 }

// Selector finds the ids of the members that satisfy the filter of a path members[…]: among those that the group has,
// unless apart is set, and among the ids given, which the request added before. It may answer [ErrUndecided].
type Selector func(f filter.Expr, apart bool, among []string) ([]string, error)

// ErrUndecided is the answer of a [Selector] that cannot know yet whom a filter finds. [Group] then takes it to find
// nobody, and does not refuse what finds nobody.
var ErrUndecided = stderrors.New("whom the filter finds is not known yet")

// maxSelections bounds the paths of one request that need a Selector, each of which asks the store.
const maxSelections = 50

// Group interprets operations on the group with the given id; "id" in a value must equal it.
// Its time is linear in the number of operations and of members they name.
//
// Members are removed by members[…]. With `value eq "…"`, alone or joined by or, the filter names them itself; what
// another one finds, find says. A replace of members[…] puts others in the place of those that find says (§3.5.2.3), or is
// refused with noTarget if there are none. Where find is nil, what needs it is refused with invalidFilter.
func Group(id string, ops []Operation, find Selector) (GroupChange, error) {
	if err := tooMany(ops, MaxOperations); err != nil {
		return GroupChange{}, err
	}
	g := groupPatch{id: id, find: find, members: ledger{said: make(map[string]int, len(ops))}}
	for _, o := range ops {
		if id := namedMember(o); id != "" {
			g.members.remove(id)
			continue
		}
		if err := steps(schema.Groups, o, g.apply); err != nil {
			return GroupChange{}, err
		}
	}
	g.change.Members = g.members.sum()
	return g.change, nil
}

type groupPatch struct {
	id      string
	change  GroupChange
	members ledger
	find    Selector
	found   int // how often it was asked
}

func (g *groupPatch) apply(s step) error {
	if s.to.Attribute.Name == "members" {
		return g.applyMembers(s)
	}
	if done, err := s.skip(g.id); done || err != nil {
		return err
	}
	if s.path.Filter != nil {
		return fail(errors.ScimTypeInvalidPath, "%s has one value and takes no filter", s.to)
	}
	value := ""
	if s.op != Remove {
		normal, err := s.to.Attribute.Normalize(s.value)
		if err != nil {
			return err
		}
		value, _ = normal.(string)
	}
	switch s.to.Attribute.Name {
	case "displayName":
		if s.op == Remove {
			return fail(errors.ScimTypeMutability, "displayName is required and cannot be removed")
		}
		if strings.TrimSpace(value) == "" {
			return fail(errors.ScimTypeInvalidValue, "displayName is required and must not be blank")
		}
		g.change.DisplayName = &value
	case "externalId":
		g.change.ExternalID = &value
	case "description":
		g.change.Description = &value
	}
	return nil
}

func (g *groupPatch) applyMembers(s step) error {
	switch {
	case s.to.Sub != nil:
		return fail(errors.ScimTypeMutability, "%s cannot be changed; add or remove the member", s.to)
	case s.path.Filter != nil && s.op == Remove:
		return g.removeWhere(s.path.Filter)
	case s.path.Filter != nil:
		return g.writeWhere(s)
	case s.op == Remove && s.value == nil:
		g.members.replace()
		return nil
	case s.keyed && s.value == nil:
		return nil // a null among other attributes says nothing; only a path of "members" empties the group
	}
	members, err := Members(s.value)
	if err != nil {
		return err
	}
	if s.op == Replace {
		g.members.replace()
	}
	for _, m := range members {
		if s.op == Remove {
			g.members.remove(m.Value)
		} else {
			g.members.add(m)
		}
	}
	return nil
}

// Members reads members as clients write them: a list of objects, or one object; null and an empty list are no members.
// Of each, value and type count; without a value, the last segment of $ref is the id, and without a type, $ref may tell it.
func Members(value any) ([]Member, error) {
	list, ok := value.([]any)
	if object, single := value.(map[string]any); single {
		list, ok = []any{object}, true
	}
	if !ok && value != nil {
		return nil, fail(errors.ScimTypeInvalidValue, "members must be a list of objects with a value")
	}
	members := make([]Member, 0, len(list))
	for i, item := range list {
		if item == nil {
			continue
		}
		object, ok := item.(map[string]any)
		if !ok {
			return nil, fail(errors.ScimTypeInvalidValue, "members must be a list of objects with a value; element %d is none", i)
		}
		m, err := member(object)
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

func member(object map[string]any) (Member, error) {
	var m Member
	var ref string
	for key, value := range object { // of two spellings of a name the canonical wins, else the lesser value
		var to *string
		var name string
		switch {
		case strings.EqualFold(key, "value"):
			to, name = &m.Value, "value"
		case strings.EqualFold(key, "type"):
			to, name = &m.Type, "type"
		case strings.EqualFold(key, "$ref"):
			to, name = &ref, "$ref"
		default:
			continue
		}
		if _, canonical := object[name]; canonical && key != name {
			continue
		}
		s, ok := value.(string)
		switch {
		case !ok && value != nil:
			return Member{}, fail(errors.ScimTypeInvalidValue, "members.%s must be a string", name)
		case len(s) > schema.MaxIdentifier || !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
			return Member{}, fail(errors.ScimTypeInvalidValue, "members.%s must be at most %d bytes of UTF-8 without NUL", name, schema.MaxIdentifier)
		case s != "" && (*to == "" || s < *to):
			*to = s
		}
	}
	if m.Value == "" {
		m.Value = ref[strings.LastIndexByte(ref, '/')+1:]
	}
	if m.Value == "" {
		return Member{}, fail(errors.ScimTypeInvalidValue, "members need a value, the id of a user or group")
	}
	switch {
	case strings.EqualFold(m.Type, "User"):
		m.Type = "User"
	case strings.EqualFold(m.Type, "Group"):
		m.Type = "Group"
	case strings.Contains(ref, "/Groups/"):
		m.Type = "Group"
	case strings.Contains(ref, "/Users/"):
		m.Type = "User"
	default:
		m.Type = ""
	}
	return m, nil
}

// ledger composes additions and removals: what was said last about an id holds.
type ledger struct {
	replaced bool
	said     map[string]int // id → its entry
	entries  []entry
}

type entry struct {
	Member
	added bool
	void  bool // a removal after a replacement, which leaves nothing to say
}

func (l *ledger) replace() { *l = ledger{replaced: true} }

func (l *ledger) add(m Member) { l.say(entry{Member: m, added: true}) }

func (l *ledger) remove(id string) { l.say(entry{Member: Member{Value: id}, void: l.replaced}) }

// lacks reports whether what was said last about an id is that it is no member.
func (l *ledger) lacks(id string) bool {
	i, ok := l.said[id]
	return ok && !l.entries[i].added
}

func (l *ledger) say(e entry) {
	if i, ok := l.said[e.Value]; ok {
		l.entries[i] = e
		return
	}
	if e.void {
		return
	}
	if l.said == nil {
		l.said = map[string]int{}
	}
	l.said[e.Value] = len(l.entries)
	l.entries = append(l.entries, e)
}

func (l *ledger) sum() MemberChange {
	c := MemberChange{Replace: l.replaced}
	for _, e := range l.entries {
		switch {
		case e.void:
		case e.added:
			c.Add = append(c.Add, e.Member)
		default:
			c.Remove = append(c.Remove, e.Value)
		}
	}
	return c
}
