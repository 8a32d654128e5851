package patch_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/scim/patch"
	"github.com/provost-scim/provost/scim/schema"
)

const ent = schema.EnterpriseUserURN

const kim = `{"id":"1","userName":"kim","active":true,"title":"Dr.","name":{"givenName":"Kim","familyName":"Berg"},
	"emails":[{"type":"work","value":"kim@b","primary":true},{"type":"home","value":"kim@h"}],
	"` + ent + `":{"employeeNumber":"5","manager":{"value":"9"}}}`

func TestUserAppliesOperations(t *testing.T) {
	work := `{"type":"work","value":"kim@b","primary":true}`
	tests := []struct {
		name, ops string
		want      map[string]string // attribute → JSON, "" for absent; the others stay
	}{
		{"Entra disables", `[{"op":"replace","path":"active","value":"False"}]`, map[string]string{"active": `false`}},
		{"Okta deactivates", `[{"op":"replace","value":{"active":false}}]`, map[string]string{"active": `false`}},
		{"Entra changes the work email and an extension attribute",
			`[{"op":"replace","path":"emails[type eq \"work\"].value","value":"n@b"},{"op":"replace","path":"ENT:employeeNumber","value":"7"}]`,
			map[string]string{"emails": `[{"type":"work","value":"n@b","primary":true},{"type":"home","value":"kim@h"}]`, ent: `{"employeeNumber":"7","manager":{"value":"9"}}`}},
		{"Entra adds a manager as a list of one", `[{"op":"add","path":"manager","value":[{"$ref":"http://h/Users/2","value":"2"}]}]`, map[string]string{ent: `{"employeeNumber":"5","manager":{"value":"2"}}`}},
		{"a manager as a bare string", `[{"op":"replace","path":"ENT:manager","value":"2"}]`, map[string]string{ent: `{"employeeNumber":"5","manager":{"value":"2"}}`}},
		{"a manager as an object", `[{"op":"replace","path":"manager","value":{"value":"2","displayName":"B"}}]`, map[string]string{ent: `{"employeeNumber":"5","manager":{"value":"2"}}`}},
		{"a manager removed by an empty string", `[{"op":"replace","path":"manager","value":""}]`, map[string]string{ent: `{"employeeNumber":"5"}`}},
		{"a manager removed by an empty value", `[{"op":"replace","path":"manager.value","value":""}]`, map[string]string{ent: `{"employeeNumber":"5"}`}},
		{"a manager removed", `[{"op":"remove","path":"ENT:manager"}]`, map[string]string{ent: `{"employeeNumber":"5"}`}},
		{"Entra's dotted and prefixed keys", `[{"op":"replace","value":{"displayName":"B","name.givenName":"K","ENT:employeeNumber":"A"}}]`,
			map[string]string{"displayName": `"B"`, "name": `{"givenName":"K","familyName":"Berg"}`, ent: `{"employeeNumber":"A","manager":{"value":"9"}}`}},
		{"a value path as a key", `[{"op":"replace","value":{"emails[type eq \"home\"].value":"x@h"}}]`, map[string]string{"emails": `[` + work + `,{"type":"home","value":"x@h"}]`}},
		{"an extension as a key", `[{"op":"add","value":{"ENT":{"department":"D","unknown":1}}}]`, map[string]string{ent: `{"employeeNumber":"5","manager":{"value":"9"},"department":"D"}`}},
		{"an extension as a path", `[{"op":"add","path":"ENT","value":{"department":"D"}}]`, map[string]string{ent: `{"employeeNumber":"5","manager":{"value":"9"},"department":"D"}`}},
		{"an extension removed", `[{"op":"remove","path":"ENT"}]`, map[string]string{ent: ``}},
		{"wrong-case URN and names", `[{"op":"replace","path":"URN:ietf:params:scim:schemas:extension:ENTERPRISE:2.0:User:EmployeeNumber","value":"7"},{"op":"replace","path":"NAME.familyname","value":"B"}]`,
			map[string]string{ent: `{"employeeNumber":"7","manager":{"value":"9"}}`, "name": `{"givenName":"Kim","familyName":"B"}`}},
		{"a role that is not there is made, and later operations find it",
			`[{"op":"replace","path":"roles[primary eq \"True\"].display","value":"Admin"},{"op":"replace","path":"roles[primary eq \"True\"].value","value":"a"},{"op":"add","path":"roles[primary eq true].type","value":"t"}]`,
			map[string]string{"roles": `[{"primary":true,"display":"Admin","value":"a","type":"t"}]`}},
		{"a bare word that looks like a number", `[{"op":"replace","path":"roles[type eq 1.50].value","value":"a"},{"op":"add","path":"roles[type eq \"1.50\"].display","value":"b"}]`, map[string]string{"roles": `[{"type":"1.50","value":"a","display":"b"}]`}},
		{"an address that is not there is made", `[{"op":"replace","path":"addresses[type eq \"work\"].country","value":"NL"},{"op":"add","path":"addresses[type eq \"work\"].locality","value":"Delft"}]`,
			map[string]string{"addresses": `[{"type":"work","country":"NL","locality":"Delft"}]`}},
		{"an element may be made before it has content", `[{"op":"add","path":"phoneNumbers[type eq \"work\"].primary","value":"True"},{"op":"add","path":"phoneNumbers[type eq \"work\"].value","value":"1"}]`,
			map[string]string{"phoneNumbers": `[{"type":"work","primary":true,"value":"1"}]`}},
		{"an element that stays without content is not kept", `[{"op":"add","path":"phoneNumbers[type eq \"work\"].primary","value":true}]`, nil},
		{"a role with primary as a string", `[{"op":"add","path":"roles","value":[{"primary":"True","value":"a"}]}]`, map[string]string{"roles": `[{"primary":true,"value":"a"}]`}},
		{"OneLogin replaces emails by one object", `[{"op":"replace","path":"emails","value":{"value":"n@b","type":"work"}}]`, map[string]string{"emails": `[{"value":"n@b","type":"work"}]`}},
		{"JumpCloud replaces one attribute an operation", `[{"op":"replace","path":"title","value":"T"},{"op":"replace","path":"name","value":{"givenName":"K"}}]`,
			map[string]string{"title": `"T"`, "name": `{"givenName":"K","familyName":"Berg"}`}},
		{"add appends, and a new primary clears the old", `[{"op":"add","path":"emails","value":[{"value":"n@b","primary":true}]}]`,
			map[string]string{"emails": `[{"type":"work","value":"kim@b","primary":false},{"type":"home","value":"kim@h"},{"value":"n@b","primary":true}]`}},
		{"a value path may set the primary", `[{"op":"replace","path":"emails[type eq \"home\"].primary","value":true}]`,
			map[string]string{"emails": `[{"type":"work","value":"kim@b","primary":false},{"type":"home","value":"kim@h","primary":true}]`}},
		{"adding what is there changes nothing", `[{"op":"add","path":"emails","value":[{"value":"kim@h","type":"home"}]}]`, nil},
		{"replace of selected elements keeps what selected them", `[{"op":"replace","path":"emails[type eq \"home\"]","value":{"value":"x@h"}}]`, map[string]string{"emails": `[` + work + `,{"type":"home","value":"x@h"}]`}},
		{"add to selected elements merges", `[{"op":"add","path":"emails[value ew \"@H\"]","value":{"display":"H"}}]`, map[string]string{"emails": `[` + work + `,{"type":"home","value":"kim@h","display":"H"}]`}},
		{"remove of selected elements", `[{"op":"remove","path":"emails[type eq \"work\" or not (value pr)]"}]`, map[string]string{"emails": `[{"type":"home","value":"kim@h"}]`}},
		{"remove of the value of an element removes the element", `[{"op":"remove","path":"emails[type eq \"work\"].value"}]`, map[string]string{"emails": `[{"type":"home","value":"kim@h"}]`}},
		{"an empty value in an element removes the element", `[{"op":"replace","path":"emails[type eq \"work\"].value","value":""}]`, map[string]string{"emails": `[{"type":"home","value":"kim@h"}]`}},
		{"a filter folds case as a list's does", `[{"op":"add","path":"emails","value":{"type":"Straße","value":"maß@h"}},{"op":"add","path":"emails[type eq \"STRASSE\" and value sw \"MASS\"].display","value":"D"},{"op":"remove","path":"emails[type ne \"strasse\" and type ne \"WORK\"]"}]`,
			map[string]string{"emails": `[` + work + `,{"type":"Straße","value":"maß@h","display":"D"}]`}},
		{"of two spellings in a value the canonical wins", `[{"op":"replace","value":{"TITLE":"a","title":"b","tITLE":"c","zITLE":"d"}},{"op":"replace","value":{"ENT:department":"D","department":"E","Department":"F"}}]`,
			map[string]string{"title": `"b"`, ent: `{"employeeNumber":"5","manager":{"value":"9"},"department":"D"}`}},
		{"also below an extension and in an object", `[{"op":"add","path":"ENT","value":{"department":"D","dEPARTMENT":"E"}},{"op":"add","path":"name","value":{"givenName":"K","gIVENNAME":"L"}}]`,
			map[string]string{"name": `{"givenName":"K","familyName":"Berg"}`, ent: `{"employeeNumber":"5","manager":{"value":"9"},"department":"D"}`}},
		{"also if it is null", `[{"op":"replace","value":{"title":null,"tITLE":"c"}}]`, map[string]string{"title": ``}},
		{"remove of what is not there", `[{"op":"remove","path":"emails[type eq \"other\"]"},{"op":"remove","path":"nickName"}]`, nil},
		{"remove with a list of values removes only those", `[{"op":"remove","path":"emails","value":[{"value":"kim@h"}]}]`, map[string]string{"emails": `[` + work + `]`}},
		{"remove with an empty list removes nothing", `[{"op":"remove","path":"emails","value":[]}]`, nil},
		{"remove of a whole list", `[{"op":"remove","path":"emails"}]`, map[string]string{"emails": ``}},
		{"null unassigns", `[{"op":"replace","path":"title","value":null},{"op":"replace","value":{"emails":null}}]`, map[string]string{"title": ``, "emails": ``}},
		{"the parts that remain of an object", `[{"op":"remove","path":"name.givenName"}]`, map[string]string{"name": `{"familyName":"Berg"}`}},
		{"an object without parts goes", `[{"op":"remove","path":"name.givenName"},{"op":"remove","path":"name.familyName"}]`, map[string]string{"name": ``}},
		{"unknown attributes are ignored", `[{"op":"add","path":"shoeSize","value":4},{"op":"add","path":"name.shoe","value":4},{"op":"add","value":{"shoe size":4,"urn:x:y":1}}]`, nil},
		{"read-only attributes in a value are ignored", `[{"op":"replace","value":{"id":"1","meta":{"version":"x"},"groups":[{"value":"g"}],"schemas":["x"]}}]`, nil},
		{"a password is thrown away", `[{"op":"replace","path":"password","value":"p"},{"op":"replace","value":{"password":"p"}}]`, nil},
		{"what is set to what it was changes nothing", `[{"op":"replace","path":"active","value":"True"},{"op":"add","path":"manager","value":"9"},{"op":"replace","path":"emails[type eq \"work\"].value","value":"kim@b"}]`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before, want := object(t, kim), object(t, kim)
			for name, value := range tt.want {
				delete(want, name)
				if value != "" {
					want[name] = decode(t, value)
				}
			}
			got, changed, err := patch.User(before, operations(t, tt.ops))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if changed != (tt.want != nil) {
				t.Errorf("changed is %v", changed)
			}
			if diff := cmp.Diff(object(t, kim), before); diff != "" {
				t.Errorf("the input was modified: %s", diff)
			}
		})
	}
}

func TestUserRefusesAndChangesNothing(t *testing.T) {
	tests := []struct {
		name, ops string
		typ       scimerrors.ScimType
		says      string
	}{
		{"a read-only path", `[{"op":"replace","path":"groups","value":[]}]`, "mutability", "groups is read-only"},
		{"a read-only sub-attribute", `[{"op":"replace","path":"meta.version","value":"x"}]`, "mutability", "meta.version"},
		{"a manager's name", `[{"op":"replace","path":"manager.displayName","value":"x"}]`, "mutability", "manager.displayName is read-only"},
		{"another id", `[{"op":"replace","value":{"id":"2"}}]`, "mutability", "id"},
		{"removal of userName", `[{"op":"remove","path":"userName"}]`, "mutability", "userName is required"},
		{"a blank userName", `[{"op":"replace","path":"userName","value":" "}]`, "invalidValue", "userName is required"},
		{"a null userName", `[{"op":"replace","value":{"userName":null}}]`, "invalidValue", "userName is required"},
		{"a wrong type", `[{"op":"replace","path":"title","value":7}]`, "invalidValue", "title must be a string"},
		{"a wrong type of a part", `[{"op":"replace","path":"name.givenName","value":true}]`, "invalidValue", "name.givenName must be a string"},
		{"a wrong type of an element", `[{"op":"add","path":"emails[type eq \"work\"]","value":"x"}]`, "invalidValue", "emails"},
		{"active that is no boolean", `[{"op":"replace","path":"active","value":"maybe"}]`, "invalidValue", "active"},
		{"two primaries at once", `[{"op":"add","path":"emails","value":[{"value":"a","primary":true},{"value":"b","primary":true}]}]`, "invalidValue", "primary"},
		{"primary for all", `[{"op":"replace","path":"emails.primary","value":true}]`, "invalidValue", "primary"},
		{"no element that the filter could describe", `[{"op":"replace","path":"emails[type co \"x\"].value","value":"x"}]`, "noTarget", "emails"},
		{"no element with that value", `[{"op":"replace","path":"emails[value eq \"nobody\"].type","value":"x"}]`, "noTarget", "emails"},
		{"remove without a path", `[{"op":"remove"}]`, "noTarget", "path"},
		{"a value without a path that is no object", `[{"op":"add","value":"x"}]`, "invalidValue", "object"},
		{"a broken path", `[{"op":"add","path":"emails[","value":"x"}]`, "invalidFilter", "position 7"},
		{"a path of two words", `[{"op":"add","path":"a b","value":"x"}]`, "invalidPath", "position 2"},
		{"a filter on a single value", `[{"op":"add","path":"name[givenName eq \"x\"]","value":{}}]`, "invalidPath", "name"},
		{"a filter on an unknown part", `[{"op":"remove","path":"emails[shoe eq 4]"}]`, "invalidFilter", "shoe"},
		{"an unknown op", `[{"op":"move","path":"title","value":"x"}]`, "invalidSyntax", "move"},
		{"a good operation before a bad one", `[{"op":"replace","path":"title","value":"x"},{"op":"remove","path":"userName"}]`, "mutability", "userName"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := object(t, kim)
			got, changed, err := patch.User(before, operations(t, tt.ops))
			wantError(t, err, tt.typ, tt.says)
			if got != nil || changed {
				t.Errorf("got %v, %v beside the error", got, changed)
			}
			if diff := cmp.Diff(object(t, kim), before); diff != "" {
				t.Errorf("the input was modified: %s", diff)
			}
		})
	}
}

func TestUserIsBounded(t *testing.T) {
	op := patch.Operation{Op: patch.Add, Path: "title", Value: "x"}
	ops := make([]patch.Operation, patch.MaxUserOperations+1)
	for i := range ops {
		ops[i] = op
	}
	_, _, err := patch.User(nil, ops)
	wantError(t, err, "invalidValue", "1001 operations")
	var list []any
	for i := range schema.MaxValues {
		list = append(list, map[string]any{"value": fmt.Sprint(i)})
	}
	more := []patch.Operation{{Op: patch.Add, Path: "roles", Value: list}, {Op: patch.Add, Path: "roles", Value: []any{map[string]any{"value": "x"}}}}
	_, _, err = patch.User(nil, more)
	wantError(t, err, "invalidValue", "roles would have 1001 values")
}

func TestUserBoundsTheWorkOfFilters(t *testing.T) {
	var list []any
	for i := range schema.MaxValues {
		list = append(list, map[string]any{"value": fmt.Sprint(i)})
	}
	filter := `roles[value eq "x"` + strings.Repeat(` or value eq "x"`, 199) + `]`
	var ops []patch.Operation
	for range 10 {
		ops = append(ops, patch.Operation{Op: patch.Remove, Path: filter})
	}
	if _, changed, err := patch.User(map[string]any{"roles": list}, ops[:4]); changed || err != nil {
		t.Errorf("what is within the bound: %v, %v", changed, err)
	}
	_, _, err := patch.User(map[string]any{"roles": list}, ops)
	wantError(t, err, "tooMany", "too many for its 1000 values")
}

func TestAnEmptyUserCanBePatched(t *testing.T) {
	got, changed, err := patch.User(nil, operations(t, `[{"op":"add","value":{"userName":"x"}}]`))
	if diff := cmp.Diff(map[string]any{"userName": "x"}, got); diff != "" || !changed || err != nil {
		t.Error(diff, changed, err)
	}
}

func operations(t testing.TB, s string) []patch.Operation {
	t.Helper()
	s = replaceENT(s)
	var ops []patch.Operation
	if err := json.Unmarshal([]byte(s), &ops); err != nil {
		t.Fatal(err)
	}
	return ops
}

// replaceENT writes out what tests abbreviate.
func replaceENT(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, `"ENT:`, `"`+ent+`:`), `"ENT"`, `"`+ent+`"`)
}

func object(t testing.TB, s string) map[string]any {
	t.Helper()
	return decode(t, s).(map[string]any)
}

func decode(t testing.TB, s string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func wantError(t *testing.T, err error, typ scimerrors.ScimType, says string) {
	t.Helper()
	var scim scimerrors.ScimError
	if !errors.As(err, &scim) {
		t.Fatalf("got %v, want a ScimError", err)
	}
	if scim.Status != 400 || scim.ScimType != typ || !strings.Contains(scim.Detail, says) {
		t.Errorf("got %v, want 400 %s with %q", scim, typ, says)
	}
}
