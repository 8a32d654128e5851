package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// characteristics are an attribute as /Schemas describes it (RFC 7643 section 7).
type characteristics struct {
	Name, Type, Mutability, Returned, Uniqueness, Description string
	MultiValued, Required, CaseExact                          bool
	CanonicalValues, ReferenceTypes                           []string
	SubAttributes                                             []characteristics

	path, parent string // path is written as a client would: emails.value, urn:…:manager.value
	schema       string
	parentMulti  bool
	parentReads  bool // the parent is readOnly
}

// schemaDocument is one element of /Schemas.
type schemaDocument struct {
	ID, Name, Description string
	Schemas               []string
	Attributes            []characteristics
	Meta                  struct{ ResourceType, Location string }
}

const (
	coreUser     = "urn:ietf:params:scim:schemas:core:2.0:User"
	coreGroup    = "urn:ietf:params:scim:schemas:core:2.0:Group"
	enterprise   = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	provostGroup = "urn:provost:params:scim:schemas:extension:1.0:Group"
)

// describedAttributes reads /Schemas and lists every attribute and sub-attribute.
func describedAttributes(t *testing.T, w *scimWorld) (all []characteristics) {
	t.Helper()
	var list struct{ Resources []schemaDocument }
	if err := json.Unmarshal(w.send(t, scimRequest{method: get, path: "/Schemas"}).raw, &list); err != nil {
		t.Fatal(err)
	}
	for _, document := range list.Resources {
		if document.ID != coreUser && document.ID != coreGroup && document.ID != enterprise && document.ID != provostGroup {
			continue // of discovery
		}
		prefix := ""
		if document.ID == enterprise || document.ID == provostGroup {
			prefix = document.ID + ":"
		}
		for _, a := range document.Attributes {
			a.path, a.schema = prefix+a.Name, document.ID
			all = append(all, a)
			for _, sub := range a.SubAttributes {
				sub.path, sub.parent, sub.schema = a.path+"."+sub.Name, a.path, document.ID
				sub.parentMulti, sub.parentReads = a.MultiValued, a.Mutability == "readOnly"
				all = append(all, sub)
			}
		}
	}
	return all
}

// TestSchemasListEveryAttributeOfTheRFC holds /Schemas to RFC 7643 sections 4.1 to 4.3.
func TestSchemasListEveryAttributeOfTheRFC(t *testing.T) {
	t.Parallel()
	plural := func(name string) []string {
		return []string{name, name + ".value", name + ".display", name + ".type", name + ".primary"}
	}
	want := slices.Concat([]string{
		"userName", "name", "name.formatted", "name.familyName", "name.givenName", "name.middleName", "name.honorificPrefix", "name.honorificSuffix",
		"displayName", "nickName", "profileUrl", "title", "userType", "preferredLanguage", "locale", "timezone", "active", "password",
	}, plural("emails"), plural("phoneNumbers"), plural("ims"), plural("photos"), []string{
		"addresses", "addresses.formatted", "addresses.streetAddress", "addresses.locality", "addresses.region", "addresses.postalCode", "addresses.country",
		"addresses.type", "addresses.primary", "groups", "groups.value", "groups.$ref", "groups.display", "groups.type",
	}, plural("entitlements"), plural("roles"), plural("x509Certificates"), []string{
		enterprise + ":employeeNumber", enterprise + ":costCenter", enterprise + ":organization", enterprise + ":division", enterprise + ":department",
		enterprise + ":manager", enterprise + ":manager.value", enterprise + ":manager.$ref", enterprise + ":manager.displayName",
		"displayName", "members", "members.value", "members.$ref", "members.type", "members.display",
		provostGroup + ":description", provostGroup + ":effectiveCount", provostGroup + ":overCap",
	})
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		var got []string
		for _, a := range describedAttributes(t, w) {
			got = append(got, a.path)
			if a.Description == "" || a.Type == "" || a.Mutability == "" || a.Returned == "" {
				t.Errorf("%s is not described: %+v", a.path, a)
			}
			if (a.Type == "reference") != (len(a.ReferenceTypes) > 0) {
				t.Errorf("%s is a %s with the reference types %v", a.path, a.Type, a.ReferenceTypes)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// fullUser has a value for every attribute that a client may write; %s is the manager.
const fullUser = `{"userName":"Full.User@example.com","externalId":"Ext-Full","active":true,"password":"S3cret!Pa55word",
	"name":{"formatted":"Ms Full","familyName":"User","givenName":"Full","middleName":"Mid","honorificPrefix":"Ms","honorificSuffix":"III"},
	"displayName":"Full User","nickName":"Fully","profileUrl":"https://example.com/Full","title":"Tester","userType":"Employee",
	"preferredLanguage":"en-GB","locale":"en-GB","timezone":"Europe/Zurich",
	"emails":[{"value":"Full@example.com","display":"Mail","type":"work","primary":true}],
	"phoneNumbers":[{"value":"+41 1","display":"Phone","type":"mobile","primary":true}],
	"ims":[{"value":"fully","display":"Chat","type":"xmpp","primary":true}],
	"photos":[{"value":"https://example.com/Full.jpg","display":"Portrait","type":"photo","primary":true}],
	"addresses":[{"formatted":"1 Way","streetAddress":"1 Way","locality":"Town","region":"Region","postalCode":"8000","country":"CH","type":"work","primary":true}],
	"entitlements":[{"value":"Ent","display":"Entitled","type":"kind","primary":true}],
	"roles":[{"value":"Role","display":"A role","type":"kind","primary":true}],
	"x509Certificates":[{"value":"Q2VydGlmaWNhdGU=","display":"Cert","type":"kind","primary":true}],
	"` + enterprise + `":{"employeeNumber":"E1","costCenter":"C1","organization":"O1","division":"D1","department":"Dep1","manager":{"value":"%s"}}}`

// TestSchemasTellTheTruth holds the server to every claim of its own /Schemas.
func TestSchemasTellTheTruth(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		w.replay(t, []exchange{
			{name: "a manager", method: post, path: "/Users", body: `{"userName":"boss@example.com"}`, status: 201, save: "boss"},
			{name: "a full user", method: post, path: "/Users", body: strings.Replace(fullUser, "%s", "<boss>", 1), status: 201, save: "user"},
			{name: "a full group", method: post, path: "/Groups", status: 201, save: "group",
				body: `{"displayName":"Full Group","externalId":"Ext-Group","members":[{"value":"<user>"}],"` + provostGroup + `":{"description":"Everything"}}`},
		})
		for _, a := range describedAttributes(t, w) {
			id, endpoint := w.saved["user"], "/Users"
			if a.schema == coreGroup || a.schema == provostGroup {
				id, endpoint = w.saved["group"], "/Groups"
			}
			resource := endpoint + "/" + id
			t.Run(endpoint+" "+a.path, func(t *testing.T) {
				shown := valueAt(w.send(t, scimRequest{method: get, path: resource}).body, a)
				w.returnedTruly(t, resource, a, shown)
				w.mutableTruly(t, resource, a, shown)
				w.caseExactTruly(t, endpoint, a, shown)
				w.requiredTruly(t, endpoint, resource, a)
				if a.Uniqueness == "server" {
					w.uniqueTruly(t, endpoint, a, shown)
				}
			})
		}
	})
}

// valueAt is what a resource has for an attribute: of a multi-valued one, its first
// element.
func valueAt(resource any, a characteristics) any {
	object, _ := resource.(map[string]any)
	path := a.path
	if urn, rest, ok := strings.Cut(path, a.schema+":"); ok && urn == "" {
		object, _ = object[a.schema].(map[string]any)
		path = rest
	}
	name, sub, nested := strings.Cut(path, ".")
	v := object[name]
	if !nested {
		return v
	}
	if list, ok := v.([]any); ok && len(list) > 0 {
		v = list[0]
	}
	object, _ = v.(map[string]any)
	return object[sub]
}

// unassigned says why an attribute has no value in a resource that has all it may.
var unassigned = map[string]bool{"password": true, enterprise + ":manager.displayName": true}

func (w *scimWorld) returnedTruly(t *testing.T, resource string, a characteristics, shown any) {
	t.Helper()
	if (shown == nil) != unassigned[a.path] {
		t.Errorf("it is %v", shown)
	}
	asked := valueAt(w.send(t, scimRequest{method: get, path: resource + "?attributes=" + a.path}).body, a)
	without := valueAt(w.send(t, scimRequest{method: get, path: resource + "?excludedAttributes=" + a.path}).body, a)
	switch a.Returned {
	case "default":
		if !unassigned[a.path] && asked == nil || without != nil {
			t.Errorf("returned default, but asked for it is %v and left out it is %v", asked, without)
		}
	case "never":
		if asked != nil {
			t.Errorf("returned never, but asked for it is %v", asked)
		}
	case "always":
		if without == nil {
			t.Error("returned always, but it can be left out")
		}
	default:
		t.Errorf("returned %s", a.Returned)
	}
	if got := typeOfJSON(a, shown); shown != nil && got != a.Type {
		t.Errorf("it is a %s, and described as %s", got, a.Type)
	}
}

func typeOfJSON(a characteristics, v any) string {
	if list, ok := v.([]any); ok && a.MultiValued && len(list) > 0 {
		v = list[0]
	}
	switch v := v.(type) {
	case bool:
		return "boolean"
	case json.Number:
		return "integer"
	case map[string]any:
		return "complex"
	case string:
		if a.Type == "reference" && strings.HasPrefix(v, "http") || a.Type == "binary" || a.Type == "string" {
			return a.Type
		}
	}
	return fmt.Sprintf("%T", v)
}

// another is a different value of the same type.
func another(a characteristics) any {
	switch {
	case a.Type == "boolean":
		return false
	case a.Type == "integer":
		return 7
	case a.Type == "reference":
		return "https://example.com/other"
	case a.Type == "binary":
		return "T3RoZXI="
	case a.Type == "complex" && a.MultiValued:
		return []any{map[string]any{"value": "01900000-0000-7000-8000-000000000000", "formatted": "other"}}
	case a.Type == "complex":
		return map[string]any{"formatted": "other", "value": "01900000-0000-7000-8000-000000000000"}
	case a.Name == "userName" || strings.HasPrefix(a.path, "emails"):
		return "other@example.com"
	}
	return "other"
}

func (w *scimWorld) patchOne(t *testing.T, resource, op, path string, value any) *scimAnswer {
	t.Helper()
	operation := map[string]any{"op": op, "path": path}
	if op != "remove" {
		operation["value"] = value
	}
	body, err := json.Marshal(map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"}, "Operations": []any{operation}})
	if err != nil {
		t.Fatal(err)
	}
	return w.send(t, scimRequest{method: patch, path: resource, body: string(body)})
}

// mutableTruly changes an attribute by PATCH, and puts it back.
func (w *scimWorld) mutableTruly(t *testing.T, resource string, a characteristics, shown any) {
	t.Helper()
	if a.path == "members" || strings.HasSuffix(a.path, "manager.$ref") || a.path == enterprise+":manager" {
		return // replaced by ids that exist, which other tests do
	}
	before := w.send(t, scimRequest{method: get, path: resource})
	changed := w.patchOne(t, resource, "replace", a.path, another(a))
	after := w.send(t, scimRequest{method: get, path: resource})
	switch a.Mutability {
	case "readOnly", "immutable":
		if changed.status != http.StatusBadRequest || changed.text("scimType") != "mutability" {
			t.Errorf("%s, but PATCH answered %d %s", a.Mutability, changed.status, changed.raw)
		}
		if diff := cmp.Diff(before.body, after.body); diff != "" {
			t.Errorf("%s, but it changed: %s", a.Mutability, diff)
		}
		if a.Mutability == "readOnly" && a.parent == "" {
			w.ignoredInBody(t, resource, a, before)
		}
	case "writeOnly":
		if changed.status != http.StatusOK || valueAt(after.body, a) != nil {
			t.Errorf("writeOnly, but PATCH answered %d %s", changed.status, changed.raw)
		}
	case "readWrite":
		if changed.status != http.StatusOK || cmp.Equal(shown, valueAt(after.body, a)) && !removedByFalse(a, after) {
			t.Errorf("readWrite, but PATCH answered %d %s", changed.status, changed.raw)
		}
		back := w.patchOne(t, resource, "replace", top(a), valueAt(before.body, characteristics{path: top(a), schema: a.schema}))
		if diff := cmp.Diff(withoutMeta(before.body), withoutMeta(back.body)); back.status != http.StatusOK || diff != "" {
			t.Errorf("it cannot be put back: %d %s", back.status, diff)
		}
	default:
		t.Errorf("mutability %s", a.Mutability)
	}
}

// removedByFalse is for a primary that is no longer one: it is left out.
func removedByFalse(a characteristics, after *scimAnswer) bool {
	return a.Name == "primary" && valueAt(after.body, a) == nil
}

func top(a characteristics) string {
	if a.parent != "" {
		return a.parent
	}
	return a.path
}

func withoutMeta(body any) any {
	object, _ := body.(map[string]any)
	out := map[string]any{}
	for k, v := range object {
		if k != "meta" {
			out[k] = v
		}
	}
	return out
}

// ignoredInBody sends a resource back with another value for a readOnly attribute.
func (w *scimWorld) ignoredInBody(t *testing.T, resource string, a characteristics, before *scimAnswer) {
	t.Helper()
	sent := withoutMeta(before.body).(map[string]any)
	if a.schema == provostGroup {
		extension := maps.Clone(sent[a.schema].(map[string]any))
		extension[a.Name] = another(a)
		sent[a.schema] = extension
	} else {
		sent[a.Name] = another(a)
	}
	body, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	answer := w.send(t, scimRequest{method: put, path: resource, body: string(body)})
	if diff := cmp.Diff(before.body, answer.body); answer.status != http.StatusOK || diff != "" {
		t.Errorf("readOnly, but in a body it is not ignored: %d %s", answer.status, diff)
	}
}

// caseExactTruly looks the resource up by the value in another case.
func (w *scimWorld) caseExactTruly(t *testing.T, endpoint string, a characteristics, shown any) {
	t.Helper()
	text, ok := shown.(string)
	if !ok {
		return
	}
	swapped := swapCase(text)
	if swapped == text {
		return
	}
	for value, want := range map[string]bool{text: true, swapped: !a.CaseExact} {
		quoted, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		answer := w.send(t, scimRequest{method: get, path: endpoint + "?attributes=id&filter=" + a.path + " eq " + string(quoted)})
		if found := fmt.Sprint(answer.get("totalResults")) == "1"; answer.status != http.StatusOK || found != want {
			t.Errorf("caseExact %v, but a filter for %q answered %d %s", a.CaseExact, value, answer.status, answer.raw)
		}
	}
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, s)
}

// requiredTruly takes an attribute away.
func (w *scimWorld) requiredTruly(t *testing.T, endpoint, resource string, a characteristics) {
	t.Helper()
	if a.Mutability != "readWrite" || a.parent != "" || !a.Required {
		return
	}
	if answer := w.patchOne(t, resource, "remove", a.path, nil); answer.status != http.StatusBadRequest {
		t.Errorf("required, but it can be removed: %d %s", answer.status, answer.raw)
	}
	if answer := w.send(t, scimRequest{method: post, path: endpoint, body: `{"externalId":"x"}`}); answer.status != http.StatusBadRequest || answer.text("scimType") != "invalidValue" {
		t.Errorf("required, but without it: %d %s", answer.status, answer.raw)
	}
}

// uniqueTruly creates a second resource with the value.
func (w *scimWorld) uniqueTruly(t *testing.T, endpoint string, a characteristics, shown any) {
	t.Helper()
	body, err := json.Marshal(map[string]any{a.Name: swapCase(shown.(string))})
	if err != nil {
		t.Fatal(err)
	}
	if answer := w.send(t, scimRequest{method: post, path: endpoint, body: string(body)}); answer.status != http.StatusConflict || answer.text("scimType") != "uniqueness" {
		t.Errorf("unique, but a second one: %d %s", answer.status, answer.raw)
	}
}

// TestDiscoveryIsComplete holds the discovery documents to RFC 7643 sections 5 to 7.
func TestDiscoveryIsComplete(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		config := w.send(t, scimRequest{method: get, path: "/ServiceProviderConfig"})
		if diff := lacks(map[string]any{
			"schemas": []any{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
			"patch":   map[string]any{"supported": true}, "etag": map[string]any{"supported": true}, "changePassword": map[string]any{"supported": false},
			"bulk":   map[string]any{"supported": true, "maxOperations": json.Number("10000"), "maxPayloadSize": json.Number("8388608")},
			"filter": map[string]any{"supported": true, "maxResults": json.Number("1000")},
			"meta":   map[string]any{"resourceType": "ServiceProviderConfig", "location": w.url + "/scim/v2/ServiceProviderConfig"},
		}, config.body, "$"); diff != "" {
			t.Error(diff)
		}
		if !strings.HasPrefix(config.text("documentationUri"), "https://") || config.get("id") != nil {
			t.Errorf("%s", config.raw)
		}
		schemes, _ := config.get("authenticationSchemes").([]any)
		for _, scheme := range schemes {
			for _, name := range []string{"type", "name", "description", "specUri", "documentationUri"} {
				if v, _ := scheme.(map[string]any)[name].(string); v == "" {
					t.Errorf("an authentication scheme without %s: %v", name, scheme)
				}
			}
		}
		if len(schemes) == 0 {
			t.Error("no authentication scheme")
		}
		for list, kind := range map[string]string{"/ResourceTypes": "ResourceType", "/Schemas": "Schema"} {
			all := w.send(t, scimRequest{method: get, path: list})
			resources, _ := all.get("Resources").([]any)
			if len(resources) == 0 {
				t.Errorf("%s is empty: %s", list, all.raw)
			}
			for _, r := range resources {
				resource := r.(map[string]any)
				id, _ := resource["id"].(string)
				one := w.send(t, scimRequest{method: get, path: list + "/" + id})
				if diff := cmp.Diff(r, one.body); diff != "" {
					t.Errorf("%s by its id differs: %s", id, diff)
				}
				if diff := lacks(map[string]any{"resourceType": kind, "location": w.url + "/scim/v2" + list + "/" + id}, resource["meta"], id); diff != "" {
					t.Error(diff)
				}
				if resource["description"] == "" || resource["name"] == "" {
					t.Errorf("%s is not described: %v", id, r)
				}
			}
		}
		for _, path := range []string{"/ServiceProviderConfig", "/ResourceTypes", "/Schemas", "/ResourceTypes/User", "/Schemas/" + coreUser} {
			if a := w.send(t, scimRequest{method: get, path: path + "?filter=id pr"}); a.status != http.StatusForbidden {
				t.Errorf("%s with a filter answered %d", path, a.status)
			}
		}
	})
}

// TestDiscoveryDocumentsAreAsTheirSchemasSay holds every discovery document to the schema
// that it names, which /Schemas has too (RFC 7643 section 8.7.2).
func TestDiscoveryDocumentsAreAsTheirSchemasSay(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		documents := []any{w.send(t, scimRequest{method: get, path: "/ServiceProviderConfig"}).body}
		for _, list := range []string{"/ResourceTypes", "/Schemas"} {
			all, _ := w.send(t, scimRequest{method: get, path: list}).get("Resources").([]any)
			documents = append(documents, all...)
		}
		if len(documents) != 1+2+7 {
			t.Errorf("%d documents", len(documents))
		}
		for _, d := range documents {
			document := d.(map[string]any)
			urns, _ := document["schemas"].([]any)
			var of schemaDocument
			a := w.send(t, scimRequest{method: get, path: fmt.Sprint("/Schemas/", urns[0])})
			if err := json.Unmarshal(a.raw, &of); a.status != http.StatusOK || err != nil || of.Description == "" {
				t.Fatalf("%v: %d %s", urns, a.status, a.raw)
			}
			bare := maps.Clone(document)
			delete(bare, "schemas")
			delete(bare, "meta")
			for _, fault := range unlike(bare, of.Attributes, "$") {
				t.Errorf("%v: %s", document["id"], fault)
			}
		}
	})
}

// unlike says where an object is not as its attributes are described.
func unlike(object map[string]any, attributes []characteristics, at string) (faults []string) {
	known := map[string]bool{}
	for _, a := range attributes {
		known[a.Name] = true
		v, ok := object[a.Name]
		if !ok {
			if a.Required {
				faults = append(faults, at+"."+a.Name+" is required and missing")
			}
			continue
		}
		values := []any{v}
		if list, isList := v.([]any); isList != a.MultiValued {
			faults = append(faults, at+"."+a.Name+" is a list, or is none, other than described")
		} else if isList {
			values = list
		}
		for _, v := range values {
			faults = append(faults, unlikeOne(v, a, at+"."+a.Name)...)
		}
	}
	for name, v := range object {
		if list, nests := v.([]any); nests && name == "subAttributes" && strings.HasSuffix(at, "."+name) { // they are described like themselves
			for _, v := range list {
				faults = append(faults, unlike(v.(map[string]any), attributes, at)...)
			}
			continue
		}
		if !known[name] {
			faults = append(faults, at+"."+name+" is not described")
		}
	}
	return faults
}

func unlikeOne(v any, a characteristics, at string) []string {
	is := ""
	switch v := v.(type) {
	case map[string]any:
		if a.Type == "complex" {
			return unlike(v, a.SubAttributes, at)
		}
		is = "complex"
	case bool:
		is = "boolean"
	case json.Number:
		is = "integer"
	case string:
		if is = "string"; a.Type == "reference" {
			is = a.Type
		}
		if len(a.CanonicalValues) > 0 && !slices.Contains(a.CanonicalValues, v) {
			return []string{at + " is " + v + ", which is no canonical value"}
		}
	}
	if is != a.Type {
		return []string{fmt.Sprintf("%s is a %s, described as %s", at, is, a.Type)}
	}
	return nil
}
