package schema_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/scim/schema"
)

func TestNormalizeMakesValuesCanonical(t *testing.T) {
	tests := []struct{ name, path, in, want string }{
		{"a string stays", "title", `"Dr."`, `"Dr."`},
		{"an empty string is no value", "title", `""`, `null`},
		{"null is no value", "emails", `null`, `null`},
		{"a boolean stays", "active", `false`, `false`},
		{"a boolean as a string", "active", `"False"`, `false`},
		{"a profileUrl that is no URL", "profileUrl", `"not a url"`, `"not a url"`},
		{"names in any case, unknown parts dropped", "name", `{"GIVENNAME":"K","familyname":"B","shoe":4,"formatted":null}`, `{"givenName":"K","familyName":"B"}`},
		{"an object without content", "name", `{"givenName":""}`, `null`},
		{"the last spelling in byte order wins", "name", `{"givenName":"b","GivenName":"a"}`, `{"givenName":"b"}`},
		{"an object for a list", "emails", `{"value":"a@b","type":"work"}`, `[{"value":"a@b","type":"work"}]`},
		{"nulls in a list", "emails", `[null,{"value":null},{"value":"a@b"}]`, `[{"value":"a@b"}]`},
		{"an empty list", "roles", `[]`, `null`},
		{"primary as a string", "roles", `[{"primary":"True","value":"x"}]`, `[{"primary":true,"value":"x"}]`},
		{"manager as a list", "manager", `[{"$ref":"http://h/Users/7","value":"7"}]`, `{"value":"7"}`},
		{"manager as a string", "manager", `"7"`, `{"value":"7"}`},
		{"manager as an empty string", "manager", `""`, `null`},
		{"manager as an empty list", "manager", `[]`, `null`},
		{"manager by reference only", "manager", `{"$ref":"../Users/7"}`, `{"value":"7"}`},
		{"a manager's name is read-only", "manager", `{"value":"7","displayName":"Boss"}`, `{"value":"7"}`},
		{"a certificate", "x509Certificates", `[{"value":"AQID"}]`, `[{"value":"AQID"}]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, ok := schema.Users.Resolve(tt.path)
			if !ok {
				t.Fatal("no such attribute")
			}
			got, err := p.Leaf().Normalize(decode(t, tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decode(t, tt.want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNormalizeRefusesWrongTypesByName(t *testing.T) {
	long := strings.Repeat("x", schema.MaxIdentifier+1)
	tests := []struct{ name, path, in, want string }{
		{"a number for a string", "title", `7`, "title must be a string, not a number"},
		{"a list for a string", "title", `["x"]`, "title must be a string, not a list of 1"},
		{"a word for a boolean", "active", `"yes"`, "active must be true or false, not a string"},
		{"a number for a boolean", "active", `1`, "active must be true or false, not a number"},
		{"a string for a list", "emails", `"a@b"`, "emails must be a list, not a string"},
		{"a string for an element", "emails", `["a@b"]`, "emails must be an object, not a string"},
		{"a number in an element", "emails", `[{"value":7}]`, "emails.value must be a string, not a number"},
		{"a string for an object", "name", `"Kim"`, "name must be an object, not a string"},
		{"two managers", "manager", `[{"value":"1"},{"value":"2"}]`, schema.EnterpriseUserURN + ":manager must be an object, not a list of 2"},
		{"two primaries", "emails", `[{"value":"a","primary":true},{"value":"b","primary":"true"}]`, "emails has 2 values marked primary; mark at most one"},
		{"NUL", "title", `"a\u0000b"`, "title contains a NUL character"},
		{"no base64", "x509Certificates", `[{"value":"*"}]`, "x509Certificates.value must be base64"},
		{"a userName too long for an index", "userName", `"` + long + `"`, "userName is 1025 bytes long; at most 1024 are allowed"},
		{"an email too long for an index", "emails", `[{"value":"` + long + `"}]`, "emails.value is 1025 bytes long; at most 1024 are allowed"},
		{"too many values", "roles", `[` + strings.Repeat(`null,`, schema.MaxValues) + `null]`, "roles has 1001 values; at most 1000 are allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, ok := schema.Users.Resolve(tt.path)
			if !ok {
				t.Fatal("no such attribute")
			}
			_, err := p.Leaf().Normalize(decode(t, tt.in))
			var got scimerrors.ScimError
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want a ScimError", err)
			}
			want := scimerrors.ScimError{Status: 400, ScimType: scimerrors.ScimTypeInvalidValue, Detail: tt.want}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNumbersFollowTheirType(t *testing.T) {
	p, _ := schema.Groups.Resolve("effectiveCount")
	for in, want := range map[any]any{json.Number("7"): int64(7), float64(7): int64(7), json.Number("1e2"): int64(100)} {
		if got, err := p.Leaf().Normalize(in); err != nil || got != want {
			t.Errorf("%v: got %v, %v", in, got, err)
		}
	}
	for _, in := range []any{7.5, json.Number("7.5"), "7", true} {
		if got, err := p.Leaf().Normalize(in); err == nil {
			t.Errorf("%v: got %v, want an error", in, got)
		}
	}
}

func decode(t *testing.T, s string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
