package patch_test

import (
	"errors"
	"fmt"
	"testing"

	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/scim/patch"
	"github.com/provost-scim/provost/scim/schema"
)

// TestEveryOperationOnEveryPath is RFC 7644 §3.5.2: each operation on each form that a path can have, on a user that has
// something there and on one that has nothing. A result is the value at the attribute afterwards, "" for none, or the
// scimType of the refusal.
func TestEveryOperationOnEveryPath(t *testing.T) {
	const (
		core  = schema.UserURN + ":"
		full  = `{"userName":"kim","title":"Dr.","name":{"givenName":"Kim","familyName":"Berg"},"emails":[{"type":"work","value":"w","primary":true},{"type":"home","value":"h"}],"ENT":{"department":"D","costCenter":"C"}}`
		empty = `{"userName":"kim"}`
	)
	const work, home = `{"type":"work","value":"w","primary":true}`, `{"type":"home","value":"h"}`
	type results struct{ add, replace, remove string }
	tests := []struct {
		form, path, value string // no path: the value alone
		at                string // the attribute that is looked at
		full, empty       results
	}{
		{
			"no path", "", `{"title":"X","name":{"givenName":"N"}}`, "title",
			results{`"X"`, `"X"`, "noTarget"}, results{`"X"`, `"X"`, "noTarget"},
		},
		{
			"an attribute", "title", `"X"`, "title",
			results{`"X"`, `"X"`, ""}, results{`"X"`, `"X"`, ""},
		},
		{
			"a required attribute", "userName", `"X"`, "userName",
			results{`"X"`, `"X"`, "mutability"}, results{`"X"`, `"X"`, "mutability"},
		},
		{
			"a read-only attribute", "groups", `[{"value":"g"}]`, "groups",
			results{"mutability", "mutability", "mutability"}, results{"mutability", "mutability", "mutability"},
		},
		{
			"a complex attribute", "name", `{"givenName":"X"}`, "name",
			results{`{"givenName":"X","familyName":"Berg"}`, `{"givenName":"X","familyName":"Berg"}`, ""}, results{`{"givenName":"X"}`, `{"givenName":"X"}`, ""},
		},
		{
			"a sub-attribute", "name.givenName", `"X"`, "name",
			results{`{"givenName":"X","familyName":"Berg"}`, `{"givenName":"X","familyName":"Berg"}`, `{"familyName":"Berg"}`}, results{`{"givenName":"X"}`, `{"givenName":"X"}`, ""},
		},
		{
			"a sub-attribute of the wrong type", "name.givenName", `7`, "name",
			results{"invalidValue", "invalidValue", `{"familyName":"Berg"}`}, results{"invalidValue", "invalidValue", ""},
		},
		{
			"a multi-valued attribute", "emails", `[{"type":"other","value":"x"}]`, "emails",
			results{`[` + work + `,` + home + `,{"type":"other","value":"x"}]`, `[{"type":"other","value":"x"}]`, ""},
			results{`[{"type":"other","value":"x"}]`, `[{"type":"other","value":"x"}]`, ""},
		},
		{
			"a sub-attribute of all values", "emails.display", `"X"`, "emails",
			results{`[{"type":"work","value":"w","primary":true,"display":"X"},{"type":"home","value":"h","display":"X"}]`, `[{"type":"work","value":"w","primary":true,"display":"X"},{"type":"home","value":"h","display":"X"}]`, `[` + work + `,` + home + `]`},
			results{`[{"display":"X"}]`, `[{"display":"X"}]`, ""},
		},
		{
			"selected values", `emails[type eq "home"]`, `{"value":"x"}`, "emails",
			results{`[` + work + `,{"type":"home","value":"x"}]`, `[` + work + `,{"type":"home","value":"x"}]`, `[` + work + `]`},
			results{`[{"type":"home","value":"x"}]`, `[{"type":"home","value":"x"}]`, ""},
		},
		{
			"a sub-attribute of selected values", `emails[type eq "home" and value pr].value`, `"x"`, "emails",
			results{`[` + work + `,{"type":"home","value":"x"}]`, `[` + work + `,{"type":"home","value":"x"}]`, `[` + work + `]`},
			results{"noTarget", "noTarget", ""},
		},
		{
			"the primary of selected values", `emails[type eq "home"].primary`, `true`, "emails",
			results{`[{"type":"work","value":"w","primary":false},{"type":"home","value":"h","primary":true}]`, `[{"type":"work","value":"w","primary":false},{"type":"home","value":"h","primary":true}]`, `[` + work + `,` + home + `]`},
			results{"", "", ""},
		},
		{
			"a selection that describes no value", `emails[value sw "z"].type`, `"work"`, "emails",
			results{"noTarget", "noTarget", `[` + work + `,` + home + `]`}, results{"noTarget", "noTarget", ""},
		},
		{
			"an attribute with the URN of its schema", core + "title", `"X"`, "title",
			results{`"X"`, `"X"`, ""}, results{`"X"`, `"X"`, ""},
		},
		{
			"a sub-attribute with the URN of its schema", core + "name.givenName", `"X"`, "name",
			results{`{"givenName":"X","familyName":"Berg"}`, `{"givenName":"X","familyName":"Berg"}`, `{"familyName":"Berg"}`}, results{`{"givenName":"X"}`, `{"givenName":"X"}`, ""},
		},
		{
			"selected values with the URN of their schema", core + `emails[type eq "home"].value`, `"x"`, "emails",
			results{`[` + work + `,{"type":"home","value":"x"}]`, `[` + work + `,{"type":"home","value":"x"}]`, `[` + work + `]`}, results{`[{"type":"home","value":"x"}]`, `[{"type":"home","value":"x"}]`, ""},
		},
		{
			"an attribute of an extension", ent + ":department", `"X"`, ent,
			results{`{"department":"X","costCenter":"C"}`, `{"department":"X","costCenter":"C"}`, `{"costCenter":"C"}`}, results{`{"department":"X"}`, `{"department":"X"}`, ""},
		},
		{
			"a sub-attribute of an extension", ent + ":manager.value", `"7"`, ent,
			results{`{"department":"D","costCenter":"C","manager":{"value":"7"}}`, `{"department":"D","costCenter":"C","manager":{"value":"7"}}`, `{"department":"D","costCenter":"C"}`}, results{`{"manager":{"value":"7"}}`, `{"manager":{"value":"7"}}`, ""},
		},
		{
			"a read-only part of an extension", ent + ":manager.displayName", `"X"`, ent,
			results{"mutability", "mutability", "mutability"}, results{"mutability", "mutability", "mutability"},
		},
		{
			"an extension as a whole", ent, `{"department":"X"}`, ent,
			results{`{"department":"X","costCenter":"C"}`, `{"department":"X","costCenter":"C"}`, ""}, results{`{"department":"X"}`, `{"department":"X"}`, ""},
		},
		{
			"the core schema as a whole", schema.UserURN, `{"title":"X"}`, "title",
			results{`"X"`, `"X"`, "mutability"}, results{`"X"`, `"X"`, "mutability"},
		},
		{
			"a filter on one value", `title[value eq "x"]`, `"X"`, "title",
			results{"invalidPath", "invalidPath", "invalidPath"}, results{"invalidPath", "invalidPath", "invalidPath"},
		},
		{
			"a filter on a schema", ent + `[department eq "D"]`, `{}`, ent,
			results{"invalidPath", "invalidPath", "invalidPath"}, results{"invalidPath", "invalidPath", "invalidPath"},
		},
		{
			"a filter that is none", `emails[type is "work"]`, `{}`, "emails",
			results{"invalidFilter", "invalidFilter", "invalidFilter"}, results{"invalidFilter", "invalidFilter", "invalidFilter"},
		},
		{
			"a path that is none", `name..givenName`, `"X"`, "name",
			results{"invalidPath", "invalidPath", "invalidPath"}, results{"invalidPath", "invalidPath", "invalidPath"},
		},
		{
			"an unknown attribute", "shoeSize", `43`, "shoeSize",
			results{"", "", ""}, results{"", "", ""},
		},
	}
	for _, tt := range tests {
		for _, on := range []struct {
			name, user string
			results
		}{{"full", full, tt.full}, {"empty", empty, tt.empty}} {
			for op, want := range map[patch.Op]string{patch.Add: on.add, patch.Replace: on.replace, patch.Remove: on.remove} {
				t.Run(fmt.Sprintf("%s %s of a user that is %s", op, tt.form, on.name), func(t *testing.T) {
					o := patch.Operation{Op: op, Path: tt.path}
					if op != patch.Remove {
						o.Value = decode(t, tt.value)
					}
					before := object(t, replaceENT(on.user))
					after, changed, err := patch.User(before, []patch.Operation{o})
					if diff := cmp.Diff(object(t, replaceENT(on.user)), before); diff != "" {
						t.Errorf("the input was modified: %s", diff)
					}
					var refused scimerrors.ScimError
					if errors.As(err, &refused) {
						if string(refused.ScimType) != want {
							t.Errorf("refused: %v, want %s", refused, want)
						}
						return
					}
					var value any
					if want != "" {
						value = decode(t, want)
					}
					if diff := cmp.Diff(value, after[tt.at]); diff != "" {
						t.Error(diff)
					}
					if same := cmp.Equal(before, after); same == changed {
						t.Errorf("changed is %v, the user is the same: %v", changed, same)
					}
				})
			}
		}
	}
}
