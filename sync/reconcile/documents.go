package reconcile

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/provost-scim/provost/store"
)

// userState is a user in an event's data (rule 11). Fields are only ever added.
type userState struct {
	ID         store.ID         `json:"id"`
	ExternalID string           `json:"external_id,omitempty"`
	Active     bool             `json:"active"` // as published
	Stated     bool             `json:"stated"` // as the directory says
	Enabled    bool             `json:"enabled"`
	OutOfScope bool             `json:"out_of_scope"`
	Attributes store.Attributes `json:"attributes"`
	Roles      []string         `json:"roles,omitempty"` // granted with the creation
	Licences   []string         `json:"licences,omitempty"`
}

func userDocument(u *store.User) any { return stateOf(u) }

// newUserDocument tells also of what a new user begins with (rule 10).
func newUserDocument(u *store.User, cs *store.ChangeSet) any {
	s := stateOf(u)
	for i := range cs.DefaultRoles {
		s.Roles = append(s.Roles, cs.DefaultRoles[i].Name)
	}
	if cs.Licensed(u) {
		for i := range cs.NewLicences {
			s.Licences = append(s.Licences, cs.NewLicences[i].Name)
		}
	}
	return s
}

func stateOf(u *store.User) userState {
	return userState{
		ID: u.ID, ExternalID: u.ExternalID, Active: u.Active(), Stated: u.Stated, Enabled: u.Enabled,
		OutOfScope: u.OutOfScope, Attributes: u.Attributes,
	}
}

// groupState is a group in an event's data.
type groupState struct {
	ID          store.ID `json:"id"`
	ExternalID  string   `json:"external_id,omitempty"`
	DisplayName string   `json:"display_name"`
	Description string   `json:"description,omitempty"`
	OutOfScope  bool     `json:"out_of_scope"`
}

func groupDocument(g *store.Group) any {
	return groupState{
		ID: g.ID, ExternalID: g.ExternalID, DisplayName: g.DisplayName, Description: g.Description, OutOfScope: g.OutOfScope,
	}
}

// handed is the data of an event by which a record comes from another directory.
type handed struct {
	From   string          `json:"from"` // the names of the directories
	To     string          `json:"to"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// event logs a change of a record. A created or deleted record is written whole;
// of a changed one only what differs, before and after.
func (p *planner) event(typ string, kind store.Kind, id store.ID, before, after any) {
	type change struct {
		Before any `json:"before,omitempty"`
		After  any `json:"after,omitempty"`
	}
	data := change{before, after}
	if before != nil && after != nil {
		b, a := differences(encode(before), encode(after))
		data = change{b, a}
	}
	p.log(typ, kind, id, data)
}

func (p *planner) log(typ string, kind store.Kind, id store.ID, data any) {
	cause := &p.want.Cause
	if p.cause != nil {
		cause = p.cause
	}
	p.cs.Events = append(p.cs.Events, store.Event{
		Org: p.want.Org, Directory: p.want.Directory, Type: typ, Version: store.EventVersion,
		Kind: string(kind), Resource: id,
		Cause: *cause, Data: encode(data), Time: p.cs.Now,
	})
}

func encode(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // every document is made of plain structs
	}
	return b
}

// firstDifference names the first field of two objects, by name, that is not the same in both; of an extension the field
// within. It is empty if there is none.
func firstDifference(before, after json.RawMessage) string {
	b, a := differences(before, after)
	var was, is map[string]json.RawMessage
	if json.Unmarshal(b, &was) != nil || json.Unmarshal(a, &is) != nil {
		return ""
	}
	names := slices.Sorted(maps.Keys(was))
	if more := slices.Sorted(maps.Keys(is)); len(names) == 0 || len(more) > 0 && more[0] < names[0] {
		names = more
	}
	if len(names) == 0 {
		return ""
	}
	name := names[0]
	if !strings.HasPrefix(name, "urn:") {
		return name
	}
	object := func(part json.RawMessage) json.RawMessage {
		if part == nil {
			return json.RawMessage("{}")
		}
		return part
	}
	return firstDifference(object(was[name]), object(is[name]))
}

// differences keeps the fields of two objects that are not the same in both; of
// the nested object "attributes" likewise.
func differences(before, after json.RawMessage) (json.RawMessage, json.RawMessage) {
	var b, a map[string]json.RawMessage
	if json.Unmarshal(before, &b) != nil || json.Unmarshal(after, &a) != nil {
		return before, after
	}
	for k, v := range b {
		w, ok := a[k]
		switch {
		case ok && bytes.Equal(v, w):
			delete(b, k)
			delete(a, k)
		case ok && k == "attributes":
			b[k], a[k] = differences(v, w)
		}
	}
	return encode(b), encode(a)
}
