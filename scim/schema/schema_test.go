package schema_test

import (
	"encoding/json"
	"testing"

	elimity "github.com/elimity-com/scim/schema"
	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/scim/schema"
)

// TestCharacteristicsAreThoseOfTheRFC holds the model to RFC 7643 §8.7.1, where clients rely on it.
func TestCharacteristicsAreThoseOfTheRFC(t *testing.T) {
	type want struct {
		Type              schema.Type
		Multi, Req, Exact bool
		Mutability        schema.Mutability
		Returned          schema.Returned
		Unique            bool
	}
	const rw, ro, def = schema.ReadWrite, schema.ReadOnly, schema.Default
	tests := []struct {
		of   *schema.ResourceType
		path string
		want want
	}{
		{schema.Users, "id", want{schema.String, false, true, true, ro, schema.Always, true}},
		{schema.Users, "schemas", want{schema.String, true, true, false, ro, schema.Always, false}},
		{schema.Users, "externalId", want{schema.String, false, false, true, rw, def, false}},
		{schema.Users, "meta.lastModified", want{schema.DateTime, false, false, false, ro, def, false}},
		{schema.Users, "userName", want{schema.String, false, true, false, rw, def, true}},
		{schema.Users, "name", want{schema.Complex, false, false, false, rw, def, false}},
		{schema.Users, "active", want{schema.Boolean, false, false, false, rw, def, false}},
		{schema.Users, "password", want{schema.String, false, false, false, schema.WriteOnly, schema.Never, false}},
		{schema.Users, "profileUrl", want{schema.Reference, false, false, true, rw, def, false}},
		{schema.Users, "emails", want{schema.Complex, true, false, false, rw, def, false}},
		{schema.Users, "emails.primary", want{schema.Boolean, false, false, false, rw, def, false}},
		{schema.Users, "groups", want{schema.Complex, true, false, false, ro, def, false}},
		{schema.Users, "x509Certificates.value", want{schema.Binary, false, false, true, rw, def, false}},
		{schema.Users, schema.EnterpriseUserURN + ":employeeNumber", want{schema.String, false, false, false, rw, def, false}},
		{schema.Users, schema.EnterpriseUserURN + ":manager.displayName", want{schema.String, false, false, false, ro, def, false}},
		{schema.Groups, "displayName", want{schema.String, false, true, false, rw, def, true}},
		{schema.Groups, "members", want{schema.Complex, true, false, false, rw, def, false}},
		{schema.Groups, "members.value", want{schema.String, false, false, true, schema.Immutable, def, false}},
		{schema.Groups, "members.$ref", want{schema.Reference, false, false, true, schema.Immutable, def, false}},
		{schema.Groups, schema.ProvostGroupURN + ":description", want{schema.String, false, false, true, rw, def, false}},
		{schema.Groups, schema.ProvostGroupURN + ":effectiveCount", want{schema.Integer, false, false, false, ro, def, false}},
		{schema.Groups, schema.ProvostGroupURN + ":overCap", want{schema.Boolean, false, false, false, ro, def, false}},
	}
	for _, tt := range tests {
		t.Run(tt.of.Name+" "+tt.path, func(t *testing.T) {
			p, ok := tt.of.Resolve(tt.path)
			if !ok {
				t.Fatal("not found")
			}
			a := p.Leaf()
			got := want{a.Type, a.MultiValued, a.Required, a.CaseExact, a.Mutability, a.Returned, a.Unique}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSchemasAreServedAsDocuments(t *testing.T) {
	for urn, s := range map[string]elimity.Schema{
		schema.UserURN: schema.User(), schema.GroupURN: schema.Group(),
		schema.EnterpriseUserURN: schema.EnterpriseUser(), schema.ProvostGroupURN: schema.ProvostGroup(),
	} {
		document, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back elimity.Schema
		if err := json.Unmarshal(document, &back); err != nil {
			t.Fatal(err)
		}
		if s.ID != urn || back.ID != urn || len(back.Attributes) != len(s.Attributes) {
			t.Errorf("%s: read back as %s with %d attributes of %d", urn, back.ID, len(back.Attributes), len(s.Attributes))
		}
	}
}

func TestResolveFindsWhatClientsWrite(t *testing.T) {
	const ent = schema.EnterpriseUserURN
	tests := []struct {
		name, path, want string // want is empty if the path is unknown
	}{
		{"a core attribute", "userName", "userName"},
		{"in any case", "USERNAME", "userName"},
		{"a sub-attribute in any case", "Name.GIVENname", "name.givenName"},
		{"with the core URN", schema.UserURN + ":userName", "userName"},
		{"with the core URN and a sub-attribute", schema.UserURN + ":name.familyName", "name.familyName"},
		{"a common attribute with the core URN", schema.UserURN + ":externalid", "externalId"},
		{"an extension attribute", ent + ":employeeNumber", ent + ":employeeNumber"},
		{"a wrong-case URN", "URN:IETF:params:scim:schemas:Extension:Enterprise:2.0:user:MANAGER.Value", ent + ":manager.value"},
		{"an extension attribute without its URN", "manager", ent + ":manager"},
		{"a URN joined by a dot", ent + ".department", ent + ":department"},
		{"a whole extension", ent, ent},
		{"the whole core schema", schema.UserURN, schema.UserURN},
		{"$ref", "manager.$ref", ent + ":manager.$ref"},
		{"an unknown attribute", "shoeSize", ""},
		{"an unknown sub-attribute", "name.shoeSize", ""},
		{"a sub-attribute of a simple attribute", "userName.value", ""},
		{"an unknown URN", "urn:example:2.0:User:userName", ""},
		{"an attribute of another schema", ent + ":userName", ""},
		{"a core attribute under the URN of another type", schema.GroupURN + ":displayName", ""},
		{"letters that only Unicode folds", "nic\u212aName", ""},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, ok := schema.Users.Resolve(tt.path)
			if ok != (tt.want != "") {
				t.Fatalf("found %v", ok)
			}
			if ok && p.String() != tt.want {
				t.Errorf("got %s, want %s", p, tt.want)
			}
		})
	}
}

func TestValueIsTheDefaultSubAttribute(t *testing.T) {
	for path, want := range map[string]string{"emails": "emails.value", "userName": "userName", "name": "name", "emails.type": "emails.type"} {
		p, _ := schema.Users.Resolve(path)
		if got := p.Value().String(); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	for b.Loop() {
		if _, ok := schema.Users.Resolve(schema.EnterpriseUserURN + ":manager.value"); !ok {
			b.Fatal("not found")
		}
	}
}
