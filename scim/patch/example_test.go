package patch_test

import (
	"fmt"

	"github.com/provost-scim/provost/scim/patch"
)

func ExampleUser() {
	kim := map[string]any{"userName": "kim", "active": true}
	after, changed, err := patch.User(kim, []patch.Operation{
		{Op: patch.Replace, Path: "active", Value: "False"},
		{Op: patch.Add, Path: `emails[type eq "work"].value`, Value: "kim@example.com"},
	})
	fmt.Println(after, changed, err)
	// Output: map[active:false emails:[map[type:work value:kim@example.com]] userName:kim] true <nil>
}

func ExampleGroup() {
	change, err := patch.Group("G", []patch.Operation{
		{Op: patch.Add, Path: "members", Value: []any{map[string]any{"value": "A"}, map[string]any{"value": "B"}}},
		{Op: patch.Remove, Path: `members[value eq "A"]`},
	}, nil)
	fmt.Println(change.Members.Add, change.Members.Remove, err)
	// Output: [{B }] [A] <nil>
}
