package dialect_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/scim/dialect"
	"github.com/provost-scim/provost/scim/patch"
	"github.com/provost-scim/provost/scim/schema"
)

const (
	ent      = schema.EnterpriseUserURN
	patchURN = `"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]`
)

// oktaUser is a whole user as Okta creates it.
const oktaUser = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"kim@example.com","name":{"givenName":"Kim","familyName":"Berg"},
	"emails":[{"primary":true,"value":"kim@example.com","type":"work"}],"displayName":"Kim Berg","locale":"en-US","externalId":"00ujl29u0le5T6Aj10h7",
	"groups":[],"password":"1mz050nq","active":true}`

// entraUser is a whole user as Entra creates it.
const entraUser = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","` + ent + `"],"externalId":"0a21f0f2","userName":"kim@example.com","active":"True",
	"meta":{"resourceType":"User"},"name":{"formatted":"Kim Berg","familyName":"Berg","givenName":"Kim"},"roles":[],"title":null,
	"emails":[{"primary":true,"type":"work","value":"kim@example.com"}],"` + ent + `":{"employeeNumber":"7","manager":{"value":"9","displayName":null}}}`

func TestUserMakesBodiesCanonical(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"Okta creates a user", oktaUser, `{"userName":"kim@example.com","name":{"givenName":"Kim","familyName":"Berg"},
			"emails":[{"primary":true,"value":"kim@example.com","type":"work"}],"displayName":"Kim Berg","locale":"en-US","externalId":"00ujl29u0le5T6Aj10h7","active":true}`},
		{"Entra creates a user", entraUser, `{"externalId":"0a21f0f2","userName":"kim@example.com","active":true,"name":{"formatted":"Kim Berg","familyName":"Berg","givenName":"Kim"},
			"emails":[{"primary":true,"type":"work","value":"kim@example.com"}],"` + ent + `":{"employeeNumber":"7","manager":{"value":"9"}}}`},
		{"Okta puts everything back", `{"id":"1","meta":{"version":"W/1"},"groups":[{"value":"g"}],"userName":"u","active":false}`, `{"userName":"u","active":false}`},
		{"names and URNs in any case", `{"USERNAME":"u","Name":{"GivenName":"K"},"` + strings.ToUpper(ent) + `":{"EMPLOYEENUMBER":"7"}}`, `{"userName":"u","name":{"givenName":"K"},"` + ent + `":{"employeeNumber":"7"}}`},
		{"the canonical spelling wins", `{"USERNAME":"v","userName":"u","username":"w"}`, `{"userName":"u"}`},
		{"of others the last in byte order wins", `{"username":"w","USERNAME":"v","UserName":"u"}`, `{"userName":"w"}`},
		{"the canonical spelling wins within objects and lists", `{"userName":"u","name":{"givenName":"K","givenname":"L"},"emails":[{"value":"a@b","value ":"x","vALUE":"c@d"}]}`,
			`{"userName":"u","name":{"givenName":"K"},"emails":[{"value":"a@b"}]}`},
		{"the canonical spelling wins whichever is longer", `{"userName":"u","NAME.GIVENNAME":"L","name":{"familyName":"B"},"name.givenName":"K","urn:x":1}`, `{"userName":"u","name":{"givenName":"K","familyName":"B"}}`},
		{"the canonical place wins", `{"userName":"u","department":"A","` + ent + `":{"department":"D","Department":"E"},"` + strings.ToLower(ent) + `":{"department":"F","costCenter":"C"},"` + schema.UserURN + `":{"userName":"v","title":"T"}}`,
			`{"userName":"u","title":"T","` + ent + `":{"department":"D","costCenter":"C"}}`},
		{"the last of equal names wins", `{"userName":"u","userName":"v"}`, `{"userName":"v"}`},
		{"OneLogin's emails as one object", `{"userName":"u","emails":{"value":"a@b"}}`, `{"userName":"u","emails":[{"value":"a@b"}]}`},
		{"roles with primary as a string", `{"userName":"u","roles":[{"primary":"True","value":"r"}]}`, `{"userName":"u","roles":[{"primary":true,"value":"r"}]}`},
		{"manager as a list", `{"userName":"u","` + ent + `":{"manager":[{"$ref":"http://h/Users/9","value":"9"}]}}`, `{"userName":"u","` + ent + `":{"manager":{"value":"9"}}}`},
		{"manager as a bare string", `{"userName":"u","` + ent + `":{"manager":"9"}}`, `{"userName":"u","` + ent + `":{"manager":{"value":"9"}}}`},
		{"manager as an empty string", `{"userName":"u","` + ent + `":{"manager":""}}`, `{"userName":"u"}`},
		{"extension attributes at the top and with prefixes", `{"userName":"u","manager":"9","` + ent + `:department":"D","name":{"givenName":"K"},"name.familyName":"B"}`,
			`{"userName":"u","name":{"givenName":"K","familyName":"B"},"` + ent + `":{"manager":{"value":"9"},"department":"D"}}`},
		{"core attributes under their URN", `{"` + schema.UserURN + `":{"userName":"u"}}`, `{"userName":"u"}`},
		{"what is empty", `{"userName":"u","title":"","emails":[{"type":"work","value":""},null,{"type":"home","primary":true}],"name":{},"` + ent + `":{}}`, `{"userName":"u"}`},
		{"unknown attributes", `{"userName":"u","shoe":4,"name":{"shoe":4},"urn:x:2.0:User":{"a":1},"schemas":["urn:x:2.0:User","` + schema.UserURN + `"]}`, `{"userName":"u"}`},
		{"a byte order mark", "\ufeff" + `{"userName":"u"}`, `{"userName":"u"}`},
		{"a profileUrl that is no URL", `{"userName":"u","profileUrl":"no url"}`, `{"userName":"u","profileUrl":"no url"}`},
		{"foreign letters and escapes", `{"userName":"\u00e9\ud83d\ude00\\u0000"}`, `{"userName":"é😀\\u0000"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := dialect.User([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decode(t, tt.want), any(got)); diff != "" {
				t.Error(diff)
			}
			if _, err := schema.User().ValidateExtension(any(got)); err != nil {
				t.Errorf("against the schema: %v", err)
			}
		})
	}
}

func TestUserRefuses(t *testing.T) {
	tests := []struct {
		name, body string
		typ        scimerrors.ScimType
		says       string
	}{
		{"nothing", ``, "invalidSyntax", "position 0: expected a value"},
		{"a list", `[]`, "invalidSyntax", "must be a JSON object"},
		{"broken JSON", `{"userName":"u",}`, "invalidSyntax", "position 16: expected a name"},
		{"two bodies", `{"userName":"u"}{}`, "invalidSyntax", "the end of the body"},
		{"no userName", `{"displayName":"u"}`, "invalidValue", "userName is required"},
		{"a blank userName", `{"userName":" "}`, "invalidValue", "userName is required"},
		{"a userName that is a number", `{"userName":7}`, "invalidValue", "userName must be a string"},
		{"a wrong type", `{"userName":"u","name":"x"}`, "invalidValue", "name must be an object"},
		{"a wrong type in an extension", `{"userName":"u","` + ent + `":{"department":[]}}`, "invalidValue", "department must be a string"},
		{"an extension that is no object", `{"userName":"u","` + ent + `":"x"}`, "invalidValue", ent + " must be an object"},
		{"two primaries", `{"userName":"u","emails":[{"value":"a","primary":true},{"value":"b","primary":true}]}`, "invalidValue", "emails has 2 values marked primary"},
		{"invalid UTF-8", "{\"userName\":\"\xff\"}", "invalidValue", "UTF-8"},
		{"NUL", `{"userName":"\u0000"}`, "invalidValue", "NUL"},
		{"NUL in what is ignored", `{"userName":"u","shoe":"\u0000"}`, "invalidValue", "NUL"},
		{"half of a surrogate pair", `{"userName":"a\ud800"}`, "invalidValue", "surrogate pair in a string at position 12"},
		{"half of a pair in a name", `{"userName":"u","\udc00":1}`, "invalidValue", "surrogate pair"},
		{"schemas of something else", `{"userName":"u","schemas":["` + schema.GroupURN + `"]}`, "invalidSyntax", "schemas"},
		{"schemas that are no list", `{"userName":"u","schemas":"x"}`, "invalidValue", "schemas must be a list"},
		{"too deep", `{"x":` + strings.Repeat(`[`, dialect.MaxDepth) + strings.Repeat(`]`, dialect.MaxDepth) + `}`, "invalidSyntax", "more than 16 deep"},
		{"hostile depth", strings.Repeat(`[`, 120_000), "invalidSyntax", "more than 16 deep"},
		{"too many values", `{"x":[` + strings.Repeat(`1,`, dialect.MaxValues) + `1]}`, "invalidSyntax", "more than 500000 values"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := dialect.User([]byte(tt.body))
			wantError(t, err, tt.typ, tt.says)
		})
	}
}

func TestGroupReadsBodies(t *testing.T) {
	none := []patch.Member{}
	tests := []struct {
		name, body string
		want       dialect.GroupBody
	}{
		{"Entra creates a group", `{"schemas":["` + schema.GroupURN + `","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],"externalId":"8aa","displayName":"N","meta":{"resourceType":"Group"}}`,
			dialect.GroupBody{DisplayName: "N", ExternalID: "8aa"}},
		{"Okta pushes a group", `{"schemas":["` + schema.GroupURN + `"],"displayName":"N","members":[]}`, dialect.GroupBody{DisplayName: "N", Members: none}},
		{"null says nothing about members", `{"displayName":"N","members":null}`, dialect.GroupBody{DisplayName: "N"}},
		{"members, each once", `{"displayName":"N","Members":[{"value":"A","display":"a","$ref":"x/Users/A"},{"value":"B","type":"group"},{"value":"A"}]}`,
			dialect.GroupBody{DisplayName: "N", Members: []patch.Member{{Value: "A", Type: "User"}, {Value: "B", Type: "Group"}}}},
		{"the canonical spelling wins", `{"displayname":"M","displayName":"N","MEMBERS":[{"value":"X"}],"members":[{"value":"A","vALUE":"B"}],"mEMBERS":[{"value":"Y"}]}`,
			dialect.GroupBody{DisplayName: "N", Members: []patch.Member{{Value: "A"}}}},
		{"members under the URN of the schema", `{"` + schema.GroupURN + `":{"displayName":"N","members":[{"value":"A"}]}}`, dialect.GroupBody{DisplayName: "N", Members: []patch.Member{{Value: "A"}}}},
		{"a description", `{"displayName":"N","` + schema.ProvostGroupURN + `":{"description":"d","effectiveCount":9,"overCap":true}}`, dialect.GroupBody{DisplayName: "N", Description: "d"}},
		{"a description at the top", `{"displayName":"N","description":"d"}`, dialect.GroupBody{DisplayName: "N", Description: "d"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := dialect.Group([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	_, err := dialect.Group([]byte(`{"displayName":""}`))
	wantError(t, err, "invalidValue", "displayName is required")
	_, err = dialect.Group([]byte(`{"displayName":"N","members":"A"}`))
	wantError(t, err, "invalidValue", "members must be a list")
}

func TestPatchReadsOperations(t *testing.T) {
	s := func(ops string) string {
		return `{` + patchURN + `,"Operations":` + strings.ReplaceAll(ops, "ENT", ent) + `}`
	}
	op := func(op patch.Op, path string, value any) []patch.Operation {
		return []patch.Operation{{Op: op, Path: path, Value: value}}
	}
	tests := []struct {
		name, body string
		want       []patch.Operation
	}{
		{"Entra's capitals", s(`[{"op":"Replace","path":"active","value":"False"}]`), op(patch.Replace, "active", "False")},
		{"Entra's paths", s(`[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"n@b"},{"op":"Replace","path":"ENT:employeeNumber","value":"7"}]`),
			append(op(patch.Replace, `emails[type eq "work"].value`, "n@b"), op(patch.Replace, ent+":employeeNumber", "7")...)},
		{"Entra's members", s(`[{"op":"Add","path":"members","value":[{"$ref":null,"value":"ID"}]}]`), op(patch.Add, "members", []any{map[string]any{"$ref": nil, "value": "ID"}})},
		{"Entra by the RFC", s(`[{"op":"remove","path":"members[value eq \"ID\"]"}]`), op(patch.Remove, `members[value eq "ID"]`, nil)},
		{"Okta deactivates", s(`[{"op":"replace","value":{"active":false}}]`), op(patch.Replace, "", map[string]any{"active": false})},
		{"names in any case", `{"SCHEMAS":["URN:ietf:params:scim:api:messages:2.0:patchop"],"operations":[{"OP":"ADD","Path":"title","Value":"x"}]}`, op(patch.Add, "title", "x")},
		{"a null value", s(`[{"op":"replace","path":"title","value":null}]`), op(patch.Replace, "title", nil)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := dialect.Patch([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPatchRefuses(t *testing.T) {
	many := strings.Repeat(`{"op":"remove","path":"x"},`, patch.MaxOperations) + `{"op":"remove","path":"x"}`
	tests := []struct {
		name, body string
		typ        scimerrors.ScimType
		says       string
	}{
		{"no schemas", `{"Operations":[{"op":"remove","path":"x"}]}`, "invalidSyntax", "schemas"},
		{"another schema", `{"schemas":["x"],"Operations":[{"op":"remove","path":"x"}]}`, "invalidSyntax", "schemas"},
		{"no operations", `{` + patchURN + `}`, "invalidSyntax", "Operations"},
		{"an empty list of operations", `{` + patchURN + `,"Operations":[]}`, "invalidSyntax", "Operations"},
		{"an operation that is no object", `{` + patchURN + `,"Operations":["x"]}`, "invalidSyntax", "object"},
		{"an unknown op", `{` + patchURN + `,"Operations":[{"op":"move","path":"x"}]}`, "invalidSyntax", "op must be"},
		{"no op", `{` + patchURN + `,"Operations":[{"path":"x"}]}`, "invalidSyntax", "op must be"},
		{"a path that is no string", `{` + patchURN + `,"Operations":[{"op":"remove","path":7}]}`, "invalidPath", "path must be"},
		{"no value", `{` + patchURN + `,"Operations":[{"op":"add","path":"x"}]}`, "invalidValue", "add needs a value"},
		{"too many operations", `{` + patchURN + `,"Operations":[` + many + `]}`, "invalidSyntax", "20001 operations"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := dialect.Patch([]byte(tt.body))
			wantError(t, err, tt.typ, tt.says)
		})
	}
}

// TestCorpusFromBodyToResult sends what clients really send the whole way.
func TestCorpusFromBodyToResult(t *testing.T) {
	before, err := dialect.User([]byte(entraUser))
	if err != nil {
		t.Fatal(err)
	}
	ops, err := dialect.Patch([]byte(`{` + patchURN + `,"Operations":[{"op":"Replace","path":"active","value":"False"},{"op":"Add","path":"manager","value":[{"$ref":"http://h/Users/3","value":"3"}]},
		{"op":"replace","value":{"displayName":"B","name.givenName":"K","` + ent + `:employeeNumber":"A"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	got, changed, err := patch.User(before, ops)
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	want := `{"externalId":"0a21f0f2","userName":"kim@example.com","active":false,"displayName":"B","name":{"formatted":"Kim Berg","familyName":"Berg","givenName":"K"},
		"emails":[{"primary":true,"type":"work","value":"kim@example.com"}],"` + ent + `":{"employeeNumber":"A","manager":{"value":"3"}}}`
	if diff := cmp.Diff(decode(t, want), any(got)); diff != "" {
		t.Error(diff)
	}
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

func BenchmarkUser(b *testing.B) {
	for name, body := range map[string]string{"Okta": oktaUser, "Entra": entraUser} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := dialect.User([]byte(body)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPatchOfOneMember(b *testing.B) {
	body := []byte(`{` + patchURN + `,"Operations":[{"op":"Add","path":"members","value":[{"$ref":null,"value":"0190b3a2-7c4e-7d11-8f00-000000000000"}]}]}`)
	for b.Loop() {
		ops, err := dialect.Patch(body)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := patch.Group("G", ops, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGroupOf10000Members(b *testing.B) {
	var s strings.Builder
	s.WriteString(`{"displayName":"N","members":[`)
	for i := range 10_000 {
		if i > 0 {
			s.WriteByte(',')
		}
		fmt.Fprintf(&s, `{"value":"0190b3a2-7c4e-7d11-8f00-%012d"}`, i)
	}
	body := []byte(s.String() + `]}`)
	for b.Loop() {
		if _, err := dialect.Group(body); err != nil {
			b.Fatal(err)
		}
	}
}
