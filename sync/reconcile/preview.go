package reconcile

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/provost-scim/provost/store"
)

// Planned is what would become of a statement, for the page that shows a plan.
type Planned struct {
	Outcome
	Changes [][]store.FieldChange // of each record that exists and would change, by the place of its result
	Arrives []bool                // the record would be one of the directory and is not yet, by the place of its result
	Taken   []store.Key           // the record, if it is that of another directory, or of none, by the place of its result
	Back    []store.Edge          // deleted records that would return, with their memberships
	Members []MemberChange        // of each stated group
}

// MemberChange is how the members of a group would change.
type MemberChange struct {
	Add, Remove []store.Edge
	Has         map[store.Edge]bool // the members that are stored
	Awaited     []string            // stable ids of stated members that are no records yet, whether that is new or not
}

// Preview plans a statement without locking or writing anything. Effects are empty.
func (r *Reconciler) Preview(ctx context.Context, tx store.Tx, want store.Statement) (*Planned, error) {
	for i := range want.Users {
		want.Users[i].NewKey = store.Key(-1 - i) // never stored
	}
	for i := range want.Groups {
		want.Groups[i].NewKey = store.Key(-1 - i)
	}
	have, err := load(ctx, tx, &want, true)
	if err != nil {
		return nil, err
	}
	if err := loadClaimable(ctx, tx, &want, have); err != nil {
		return nil, err
	}
	p := newPlanner(have, &want, r.policy())
	p.users()
	p.groups()
	out := &Planned{
		Outcome: *outcomeOf(have, &want, &p.cs),
		Changes: make([][]store.FieldChange, len(p.cs.Results)),
		Arrives: make([]bool, len(p.cs.Results)),
		Taken:   make([]store.Key, len(p.cs.Results)),
		Members: make([]MemberChange, len(want.Groups)),
	}
	out.Effects = &store.Effects{}
	p.describe(out)
	return out, nil
}

// describe tells what the change set would do to each stated record.
func (p *planner) describe(out *Planned) {
	at := make(map[store.Edge]int, len(out.Results))
	for i := range out.Results {
		if r := &out.Results[i]; r.Key != 0 && r.Outcome != store.Refused && r.Outcome != store.Duplicated {
			at[store.Edge{Kind: r.Kind, Key: r.Key}] = i
		}
	}
	for i := range p.cs.Users {
		c := &p.cs.Users[i]
		record := store.Edge{Kind: store.KindUser, Key: c.After.Key}
		n, stated := at[record]
		if !stated {
			continue
		}
		switch c.Op {
		case store.OpUpdate:
			out.Changes[n] = fieldChanges(userDocument(c.Before), userDocument(&c.After))
			if c.Before.Directory != c.After.Directory {
				out.Arrives[n], out.Taken[n] = true, c.After.Key
			}
		case store.OpRestore:
			out.Changes[n] = fieldChanges(userDocument(c.Before), userDocument(&c.After))
			out.Arrives[n] = true
			if !c.Revived {
				out.Back = append(out.Back, record)
			}
		default:
			out.Arrives[n] = c.Op == store.OpCreate
		}
	}
	for i := range p.cs.Groups {
		c := &p.cs.Groups[i]
		record := store.Edge{Kind: store.KindGroup, Key: c.After.Key}
		n, stated := at[record]
		if !stated {
			continue
		}
		switch c.Op {
		case store.OpUpdate:
			out.Changes[n] = fieldChanges(groupDocument(c.Before), groupDocument(&c.After))
			if c.Before.Directory != c.After.Directory {
				out.Arrives[n], out.Taken[n] = true, c.After.Key
			}
		case store.OpRestore:
			out.Changes[n] = fieldChanges(groupDocument(c.Before), groupDocument(&c.After))
			out.Arrives[n] = true
			out.Back = append(out.Back, record)
		default:
			out.Arrives[n] = c.Op == store.OpCreate
		}
		m := &out.Members[n-len(p.want.Users)]
		m.Add, m.Remove = c.Add, c.Remove
		m.Has = p.have.Edges[c.After.Key]
	}
	for i := range p.want.Groups {
		s := &p.want.Groups[i]
		if _, ok := at[store.Edge{Kind: store.KindGroup, Key: out.Results[len(p.want.Users)+i].Key}]; !ok || s.Presence != store.Present {
			continue
		}
		for _, ref := range s.Members.Add {
			if _, known := p.member(ref); known || ref.ExternalID == "" || ref.ExternalID == deref(s.ExternalID) {
				continue
			}
			if _, known := p.arrived[ref.ExternalID]; !known {
				out.Members[i].Awaited = append(out.Members[i].Awaited, ref.ExternalID)
			}
		}
	}
}

// fieldChanges lists the fields in which two documents differ, by name.
func fieldChanges(before, after any) []store.FieldChange {
	was, is := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	fields("", encode(before), was)
	fields("", encode(after), is)
	var list []store.FieldChange
	for name, value := range was {
		if !bytes.Equal(value, is[name]) {
			list = append(list, store.FieldChange{Field: name, Before: value, After: is[name]})
		}
	}
	for name, value := range is {
		if _, known := was[name]; !known {
			list = append(list, store.FieldChange{Field: name, After: value})
		}
	}
	slices.SortFunc(list, func(a, b store.FieldChange) int { return strings.Compare(a.Field, b.Field) })
	return list
}

// wrappers are objects whose fields are named without them.
var wrappers = map[string]bool{
	"attributes": true,
	"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": true,
}

// fields takes the values out of nested objects.
func fields(prefix string, document json.RawMessage, into map[string]json.RawMessage) {
	var object map[string]json.RawMessage
	if len(document) == 0 || document[0] != '{' || json.Unmarshal(document, &object) != nil {
		into[prefix] = document
		return
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		switch {
		case wrappers[name]:
			fields(prefix, object[name], into)
		case prefix == "":
			fields(name, object[name], into)
		default:
			fields(prefix+"."+name, object[name], into)
		}
	}
}
