package patch_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/provost-scim/provost/scim/dialect"
	"github.com/provost-scim/provost/scim/filter"
	"github.com/provost-scim/provost/scim/patch"
)

func ids(values ...string) []patch.Member {
	members := make([]patch.Member, len(values))
	for i, v := range values {
		members[i].Value = v
	}
	return members
}

func TestGroupInterpretsOperations(t *testing.T) {
	text := func(s string) *string { return &s }
	tests := []struct {
		name, ops string
		want      patch.GroupChange
	}{
		{"Entra adds a member", `[{"op":"add","path":"members","value":[{"$ref":null,"value":"A"}]}]`, patch.GroupChange{Members: patch.MemberChange{Add: ids("A")}}},
		{"Entra removes a listed member", `[{"op":"remove","path":"members","value":[{"$ref":null,"value":"A"}]}]`, patch.GroupChange{Members: patch.MemberChange{Remove: []string{"A"}}}},
		{"Entra removes a filtered member", `[{"op":"remove","path":"members[value eq \"A\"]"}]`, patch.GroupChange{Members: patch.MemberChange{Remove: []string{"A"}}}},
		{"several members by or", `[{"op":"remove","path":"members[value eq \"A\" or (VALUE Eq \"B\" or value eq \"A\")]"}]`, patch.GroupChange{Members: patch.MemberChange{Remove: []string{"A", "B"}}}},
		{"Okta renames", `[{"op":"replace","value":{"id":"G","displayName":"N"}}]`, patch.GroupChange{DisplayName: text("N")}},
		{"Okta replaces members", `[{"op":"replace","path":"members","value":[{"value":"A","display":"a"},{"value":"B"}]}]`, patch.GroupChange{Members: patch.MemberChange{Replace: true, Add: ids("A", "B")}}},
		{"members inside a value", `[{"op":"add","value":{"members":[{"value":"A"}]}}]`, patch.GroupChange{Members: patch.MemberChange{Add: ids("A")}}},
		{"members as one object", `[{"op":"add","path":"Members","value":{"value":"A","type":"group"}}]`, patch.GroupChange{Members: patch.MemberChange{Add: []patch.Member{{Value: "A", Type: "Group"}}}}},
		{"members by reference", `[{"op":"add","path":"members","value":[{"$ref":"https://h/scim/v2/Groups/A"}]}]`, patch.GroupChange{Members: patch.MemberChange{Add: []patch.Member{{Value: "A", Type: "Group"}}}}},
		{"of two spellings the canonical wins", `[{"op":"add","value":{"MEMBERS":[{"value":"X"}],"members":[{"VALUE":"A","value":"B","vALUE":"C","Type":"Group","type":"User"}],"mEMBERS":[{"value":"Y"}],"displayName":"N","displayname":"M"}}]`,
			patch.GroupChange{DisplayName: text("N"), Members: patch.MemberChange{Add: []patch.Member{{Value: "B", Type: "User"}}}}},
		{"all members removed", `[{"op":"remove","path":"members"}]`, patch.GroupChange{Members: patch.MemberChange{Replace: true}}},
		{"an empty list removes nobody", `[{"op":"remove","path":"members","value":[]}]`, patch.GroupChange{}},
		{"a null among other attributes removes nobody", `[{"op":"replace","value":{"displayName":"N","members":null}}]`, patch.GroupChange{DisplayName: text("N")}},
		{"replaced by nobody", `[{"op":"replace","path":"members","value":[]}]`, patch.GroupChange{Members: patch.MemberChange{Replace: true}}},
		{"added, then removed", `[{"op":"add","path":"members","value":[{"value":"A"}]},{"op":"remove","path":"members[value eq \"A\"]"}]`, patch.GroupChange{Members: patch.MemberChange{Remove: []string{"A"}}}},
		{"removed, then added", `[{"op":"remove","path":"members[value eq \"A\"]"},{"op":"add","path":"members","value":[{"value":"A"}]}]`, patch.GroupChange{Members: patch.MemberChange{Add: ids("A")}}},
		{"replaced, then removed and added", `[{"op":"add","path":"members","value":[{"value":"X"}]},{"op":"replace","path":"members","value":[{"value":"A"},{"value":"B"}]},{"op":"remove","path":"members[value eq \"A\"]"},{"op":"add","path":"members","value":[{"value":"C"}]}]`,
			patch.GroupChange{Members: patch.MemberChange{Replace: true, Add: ids("B", "C")}}},
		{"other attributes", `[{"op":"add","path":"externalId","value":"x"},{"op":"replace","path":"urn:provost:params:scim:schemas:extension:1.0:Group:description","value":"d"}]`, patch.GroupChange{ExternalID: text("x"), Description: text("d")}},
		{"other attributes removed", `[{"op":"remove","path":"externalId"},{"op":"replace","value":{"description":null}}]`, patch.GroupChange{ExternalID: text(""), Description: text("")}},
		{"what only the server writes is ignored in a value", `[{"op":"replace","value":{"effectiveCount":7,"meta":{},"shoe":1}}]`, patch.GroupChange{}},
		{"an equal id in a path", `[{"op":"replace","path":"id","value":"G"}]`, patch.GroupChange{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := patch.Group("G", operations(t, tt.ops), nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGroupRefuses(t *testing.T) {
	tests := []struct {
		name, ops string
		typ       scimerrors.ScimType
		says      string
	}{
		{"another id", `[{"op":"replace","value":{"id":"H"}}]`, "mutability", "id"},
		{"a read-only path", `[{"op":"replace","path":"effectiveCount","value":1}]`, "mutability", "effectiveCount is read-only"},
		{"removal of the name", `[{"op":"remove","path":"displayName"}]`, "mutability", "displayName is required"},
		{"a blank name", `[{"op":"replace","value":{"displayName":" "}}]`, "invalidValue", "displayName is required"},
		{"a name that is a number", `[{"op":"replace","path":"displayName","value":4}]`, "invalidValue", "displayName must be a string"},
		{"another operator on members", `[{"op":"remove","path":"members[value co \"A\"]"}]`, "invalidFilter", "value eq"},
		{"another attribute of members", `[{"op":"remove","path":"members[type eq \"User\"]"}]`, "invalidFilter", "value eq"},
		{"and on members", `[{"op":"remove","path":"members[value eq \"A\" and type eq \"User\"]"}]`, "invalidFilter", "value eq"},
		{"a replacement, by who does not know the members", `[{"op":"replace","path":"members[value eq \"A\"]","value":{"value":"B"}}]`, "invalidFilter", "value eq"},
		{"a filter for adding what is none", `[{"op":"add","path":"members[value eq \"A\"]","value":{"display":"x"}}]`, "invalidValue", "value"},
		{"a part of a member", `[{"op":"replace","path":"members[value eq \"A\"].display","value":"x"}]`, "mutability", "members.display"},
		{"members that are strings", `[{"op":"add","path":"members","value":["A"]}]`, "invalidValue", "element 0"},
		{"members that are a string", `[{"op":"add","path":"members","value":"A"}]`, "invalidValue", "members must be a list"},
		{"a member without a value", `[{"op":"add","path":"members","value":[{"display":"A"}]}]`, "invalidValue", "need a value"},
		{"a member with a number", `[{"op":"add","path":"members","value":[{"value":7}]}]`, "invalidValue", "members.value must be a string"},
		{"a member with NUL", `[{"op":"add","path":"members","value":[{"value":"a\u0000"}]}]`, "invalidValue", "NUL"},
		{"remove without a path", `[{"op":"remove","value":{"members":[{"value":"A"}]}}]`, "noTarget", "path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := patch.Group("G", operations(t, tt.ops), nil)
			wantError(t, err, tt.typ, tt.says)
			if diff := cmp.Diff(patch.GroupChange{}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestMemberChangeEqualsItsOperationsOneByOne holds the composition to the plain meaning: sets, one operation after the other.
func TestMemberChangeEqualsItsOperationsOneByOne(t *testing.T) {
	id := rapid.StringMatching(`[A-F]`)
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]bool{}
		for _, v := range rapid.SliceOfDistinct(id, rapid.ID[string]).Draw(t, "members before") {
			want[v] = true
		}
		got := map[string]bool{}
		for v := range want {
			got[v] = true
		}
		before := maps.Clone(want)
		find := func(f filter.Expr, apart bool, among []string) (found []string, err error) { // of [value eq "…" or …]
			for v := range before {
				if !apart && strings.Contains(f.String(), `"`+v+`"`) {
					found = append(found, v)
				}
			}
			for _, v := range among {
				if strings.Contains(f.String(), `"`+v+`"`) && !slices.Contains(found, v) {
					found = append(found, v)
				}
			}
			return found, nil
		}
		var ops []patch.Operation
		for range rapid.IntRange(0, 8).Draw(t, "operations") {
			values := rapid.SliceOfN(id, 1, 3).Draw(t, "values")
			list := make([]any, len(values))
			for i, v := range values {
				list[i] = map[string]any{"value": v}
			}
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				ops = append(ops, patch.Operation{Op: patch.Add, Path: "members", Value: list})
				for _, v := range values {
					want[v] = true
				}
			case 1:
				ops = append(ops, patch.Operation{Op: patch.Remove, Path: "members", Value: list})
				for _, v := range values {
					delete(want, v)
				}
			case 2:
				ops = append(ops, patch.Operation{Op: patch.Remove, Path: `members[value eq "` + strings.Join(values, `" or value eq "`) + `"]`})
				for _, v := range values {
					delete(want, v)
				}
			case 3:
				ops = append(ops, patch.Operation{Op: patch.Replace, Path: "members", Value: list})
				clear(want)
				for _, v := range values {
					want[v] = true
				}
			case 4:
				ops = append(ops, patch.Operation{Op: patch.Remove, Path: "members"})
				clear(want)
			case 5:
				by := id.Draw(t, "by")
				op := patch.Operation{Op: patch.Replace, Path: `members[value eq "` + strings.Join(values, `" or value eq "`) + `"]`, Value: map[string]any{"value": by}}
				if !slices.ContainsFunc(values, func(v string) bool { return want[v] }) {
					_, err := patch.Group("G", append(slices.Clone(ops), op), find)
					if refused := (scimerrors.ScimError{}); !errors.As(err, &refused) || refused.ScimType != scimerrors.ScimTypeNoTarget {
						t.Fatalf("%s, which finds nobody, gave %v", op.Path, err)
					}
					continue
				}
				ops = append(ops, op)
				for _, v := range values {
					delete(want, v)
				}
				want[by] = true
			}
		}
		change, err := patch.Group("G", ops, find)
		if err != nil {
			t.Fatal(err)
		}
		if change.Members.Replace {
			clear(got)
		}
		for _, v := range change.Members.Remove {
			delete(got, v)
		}
		for _, m := range change.Members.Add {
			got[m.Value] = true
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%v: %s", change.Members, diff)
		}
	})
}

func removals(n int) []patch.Operation {
	ops := make([]patch.Operation, n)
	for i := range ops {
		ops[i] = patch.Operation{Op: patch.Remove, Path: fmt.Sprintf(`members[value eq "0190b3a2-7c4e-7d11-8f00-%012d"]`, i)}
	}
	return ops
}

func TestGroupIsBounded(t *testing.T) {
	change, err := patch.Group("G", removals(patch.MaxOperations), nil)
	if err != nil || len(change.Members.Remove) != patch.MaxOperations {
		t.Errorf("the most that is allowed: %d, %v", len(change.Members.Remove), err)
	}
	_, err = patch.Group("G", removals(patch.MaxOperations+1), nil)
	wantError(t, err, "invalidValue", "20001 operations")
}

func BenchmarkGroupAddsOneMember(b *testing.B) {
	ops := operations(b, `[{"op":"add","path":"members","value":[{"value":"0190b3a2-7c4e-7d11-8f00-000000000000"}]}]`)
	for b.Loop() {
		if _, err := patch.Group("G", ops, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGroupRemoves10000(b *testing.B) {
	ops := removals(10_000)
	for b.Loop() {
		if _, err := patch.Group("G", ops, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUserWorkEmail(b *testing.B) {
	before := object(b, kim)
	ops := operations(b, `[{"op":"replace","path":"emails[type eq \"work\"].value","value":"n@b"},{"op":"replace","path":"active","value":"False"}]`)
	for b.Loop() {
		if _, _, err := patch.User(before, ops); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzPatch(f *testing.F) {
	f.Add("replace", `emails[type eq "work"].value`, `"x"`)
	f.Add("remove", `emails[type eq "work" or primary eq true]`, `null`)
	f.Add("add", ``, `{"name.givenName":"K","manager":"7","`+ent+`":{"department":"D"}}`)
	f.Add("add", `members`, `[{"value":"A"}]`)
	f.Add("replace", `roles[primary eq "True"].display`, `"x"`)
	for _, o := range clientOperations(f) {
		value, err := json.Marshal(o.Value)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(o.Op), o.Path, string(value))
	}
	f.Fuzz(func(t *testing.T, op, path, value string) {
		var v any
		if json.Unmarshal([]byte(value), &v) != nil {
			return
		}
		ops := []patch.Operation{{Op: patch.Op(op), Path: path, Value: v}}
		before := object(t, kim)
		after, changed, err := patch.User(before, ops)
		var scim scimerrors.ScimError
		if err != nil && !errors.As(err, &scim) {
			t.Fatal(err)
		}
		if diff := cmp.Diff(object(t, kim), before); diff != "" {
			t.Fatalf("the input was modified: %s", diff)
		}
		if err == nil {
			if changed == cmp.Equal(before, after) {
				t.Fatalf("changed is %v: %s", changed, cmp.Diff(before, after))
			}
			if name, _ := after["userName"].(string); strings.TrimSpace(name) == "" {
				t.Fatal("the userName is gone")
			}
			wantCanonical(t, after)
		}
		if _, err = patch.Group("G", ops, nil); err != nil && !errors.As(err, &scim) {
			t.Fatal(err)
		}
	})
}

// clientOperations are those of the PATCH requests that clients send.
func clientOperations(t testing.TB) (ops []patch.Operation) {
	t.Helper()
	bodies, err := os.ReadFile("../dialect/testdata/clients.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(bodies)) {
		if more, err := dialect.Patch([]byte(strings.TrimSpace(line))); err == nil {
			ops = append(ops, more...)
		}
	}
	if len(ops) == 0 {
		t.Fatal("no operations")
	}
	return ops
}

// wantCanonical checks that nothing in a resource is null or empty, and that no list has two primaries.
func wantCanonical(t *testing.T, value any) {
	t.Helper()
	switch v := value.(type) {
	case nil:
		t.Fatal("a null")
	case string:
		if v == "" {
			t.Fatal("an empty string")
		}
	case map[string]any:
		if len(v) == 0 {
			t.Fatal("an empty object")
		}
		for _, part := range v {
			wantCanonical(t, part)
		}
	case []any:
		primaries := 0
		for _, e := range v {
			wantCanonical(t, e)
			if e.(map[string]any)["primary"] == true {
				primaries++
			}
		}
		if len(v) == 0 || primaries > 1 {
			t.Fatalf("a list of %d with %d primaries", len(v), primaries)
		}
	}
}

// TestANamedMemberIsReadAsTheParserOfPathsReadsIt compares removals by members[value eq "…"], which have a short way,
// with the same written so that they take the long one.
func TestANamedMemberIsReadAsTheParserOfPathsReadsIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(
			rapid.SampledFrom([]string{"a", "b", "019a0000-0000-7000-8000-00000000000A", strings.Repeat("x", 64), strings.Repeat("x", 65)}),
			rapid.StringMatching(`[a-zA-Z0-9\-]{0,5}`),
			rapid.StringMatching(`[a"\\é \]\x{0}]{0,4}`),
		)
		var short, long []patch.Operation
		for range rapid.IntRange(1, 12).Draw(t, "operations") {
			o := patch.Operation{
				Op:    rapid.SampledFrom([]patch.Op{patch.Remove, patch.Remove, patch.Remove, patch.Add, patch.Replace}).Draw(t, "op"),
				Value: rapid.SampledFrom([]any{nil, []any{map[string]any{"value": "a"}, map[string]any{"value": "b"}}, "x"}).Draw(t, "value"),
			}
			o.Path = "members"
			long = append(long, o)
			if o.Op == patch.Remove {
				named := id.Draw(t, "id")
				o.Path = `members[value eq "` + named + `"]`
				long[len(long)-1].Path = `Members[value eq  "` + named + `"]`
			}
			short = append(short, o)
		}
		got, err := patch.Group("g", short, nil)
		want, wantErr := patch.Group("g", long, nil)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%v (-long +short):\n%s", short, diff)
		}
		var refusal, wantRefusal scimerrors.ScimError
		if errors.As(err, &refusal) != errors.As(wantErr, &wantRefusal) || refusal.ScimType != wantRefusal.ScimType {
			t.Fatalf("%v: got %v, want %v", short, err, wantErr)
		}
	})
}
