// Package dialect turns what SCIM clients really send into canonical SCIM.
//
// The usual path: hand the body of a POST or PUT to [User] or [Group], that of a PATCH to [Patch], that of a Bulk to
// [Bulk], and the data of its operations to [UserData], [GroupData] and [PatchData]. What comes out
// has canonical names, typed values, no nulls and nothing empty, only attributes that a client may write. What the clients do
// differently from the RFCs is written down here and in schema.Attribute.Normalize, and nowhere else:
//
//   - names, URNs, "Operations" and op in any case (Entra, PingOne), booleans as strings (Entra)
//   - read-only attributes sent back (Okta: id, meta, groups), nulls and empty lists (Entra), unknown attributes and schemas: all dropped
//   - a password placeholder (Okta): dropped
//   - emails as one object (OneLogin); manager as a list, a bare string, or "" (Entra)
//   - extension attributes without their URN, or dotted and URN-prefixed keys (Entra): put where they belong
//
// It never does I/O and never looks at what is stored. Every error is an errors.ScimError with status 400:
// invalidSyntax if the body is no JSON object or no request of its kind, else invalidValue with the name of the attribute.
package dialect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/elimity-com/scim/errors"

	"github.com/provost-scim/provost/scim/patch"
	"github.com/provost-scim/provost/scim/schema"
)

// PatchOpURN is the schema of a PATCH request (RFC 7644 §3.5.2).
const PatchOpURN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

// User reads the body of POST /Users or PUT /Users/{id}. The result has no "schemas", "id" or "meta";
// the attributes of the enterprise extension stand under its URN. "userName" is there and is not blank.
func User(body []byte) (map[string]any, error) {
	value, err := decode(body)
	if err != nil {
		return nil, err
	}
	return UserData(value)
}

// UserData is [User] for a body that is decoded already, as Bulk has it. The body is taken apart.
func UserData(body any) (map[string]any, error) {
	object, err := asObject(body)
	if err != nil {
		return nil, err
	}
	user, err := canonical(schema.Users, object)
	if err != nil {
		return nil, err
	}
	if name, _ := user["userName"].(string); strings.TrimSpace(name) == "" {
		return nil, fail(errors.ScimTypeInvalidValue, "userName is required and must not be blank")
	}
	return user, nil
}

// GroupBody is the body of POST /Groups or PUT /Groups/{id}.
type GroupBody struct {
	DisplayName string // never blank
	ExternalID  string // empty if absent
	Description string // empty if absent
	// Members are the direct members, each id once. Nil means that the body said nothing about members (absent or
	// null); an empty list is not nil.
	Members []patch.Member
}

// Group reads the body of POST /Groups or PUT /Groups/{id}.
func Group(body []byte) (GroupBody, error) {
	value, err := decode(body)
	if err != nil {
		return GroupBody{}, err
	}
	return GroupData(value)
}

// GroupData is [Group] for a body that is decoded already, as Bulk has it. The body is taken apart.
func GroupData(body any) (GroupBody, error) {
	object, err := asObject(body)
	if err != nil {
		return GroupBody{}, err
	}
	given, err := statements(schema.Groups, object)
	if err != nil {
		return GroupBody{}, err
	}
	var members []patch.Member
	given = slices.DeleteFunc(given, func(g schema.Given) bool {
		if a := g.Path.Attribute; a == nil || a.Name != "members" || g.Path.Sub != nil {
			return false
		}
		if g.Value != nil && err == nil {
			members, err = patch.Members(g.Value)
		}
		return true
	})
	if err != nil {
		return GroupBody{}, err
	}
	group, err := assemble(schema.Groups, given)
	if err != nil {
		return GroupBody{}, err
	}
	b := GroupBody{Members: distinct(members)}
	b.DisplayName, _ = group["displayName"].(string)
	b.ExternalID, _ = group["externalId"].(string)
	extension, _ := group[schema.ProvostGroupURN].(map[string]any)
	b.Description, _ = extension["description"].(string)
	if strings.TrimSpace(b.DisplayName) == "" {
		return GroupBody{}, fail(errors.ScimTypeInvalidValue, "displayName is required and must not be blank")
	}
	return b, nil
}

func distinct(members []patch.Member) []patch.Member {
	seen := make(map[string]bool, len(members))
	return slices.DeleteFunc(members, func(m patch.Member) bool {
		again := seen[m.Value]
		seen[m.Value] = true
		return again
	})
}

// Patch reads the body of a PATCH request. Paths and values stay as they are: patch.User and patch.Group judge them by
// the schema.
func Patch(body []byte) ([]patch.Operation, error) {
	object, err := message(body, PatchOpURN)
	if err != nil {
		return nil, err
	}
	return operations(lookup(object, "Operations"))
}

// message reads the body of a message whose schema is urn.
func message(body []byte, urn string) (map[string]any, error) {
	value, err := decode(body)
	if err != nil {
		return nil, err
	}
	object, err := asObject(value)
	if err != nil {
		return nil, err
	}
	if !hasSchema(lookup(object, "schemas"), urn) {
		return nil, fail(errors.ScimTypeInvalidSyntax, "schemas must be a list with %s", urn)
	}
	return object, nil
}

// PatchData reads the data of a PATCH within a Bulk: a PATCH request, whose schemas may be left out, or the bare list of
// its operations, as the example of RFC 7644 §3.7 has it.
func PatchData(data any) ([]patch.Operation, error) {
	if list, ok := data.([]any); ok {
		return operations(list)
	}
	object, err := asObject(data)
	if err != nil {
		return nil, err
	}
	if schemas := lookup(object, "schemas"); schemas != nil && !hasSchema(schemas, PatchOpURN) {
		return nil, fail(errors.ScimTypeInvalidSyntax, "schemas must be a list with %s", PatchOpURN)
	}
	return operations(lookup(object, "Operations"))
}

func operations(value any) (ops []patch.Operation, err error) {
	list, ok := value.([]any)
	if !ok || len(list) == 0 {
		return nil, fail(errors.ScimTypeInvalidSyntax, "Operations must be a list of one operation or more")
	}
	if len(list) > patch.MaxOperations {
		return nil, fail(errors.ScimTypeInvalidSyntax, "%d operations; at most %d are allowed in one request", len(list), patch.MaxOperations)
	}
	ops = make([]patch.Operation, len(list))
	for i, item := range list {
		if ops[i], err = operation(item); err != nil {
			return nil, err
		}
	}
	return ops, nil
}

func operation(item any) (patch.Operation, error) {
	object, ok := item.(map[string]any)
	if !ok {
		return patch.Operation{}, fail(errors.ScimTypeInvalidSyntax, "each of Operations must be an object")
	}
	op, ok := object["op"].(string)
	if path, is := object["path"].(string); ok && is && op == string(patch.Remove) && len(object) == 2 {
		return patch.Operation{Op: patch.Remove, Path: path}, nil // as most are where there are thousands
	}
	op, ok = lookup(object, "op").(string)
	o := patch.Operation{Op: patch.Op(strings.ToLower(op)), Value: lookup(object, "value")}
	if !ok || o.Op != patch.Add && o.Op != patch.Replace && o.Op != patch.Remove {
		return patch.Operation{}, fail(errors.ScimTypeInvalidSyntax, "op must be add, replace or remove")
	}
	path := lookup(object, "path")
	if o.Path, ok = path.(string); !ok && path != nil {
		return patch.Operation{}, fail(errors.ScimTypeInvalidPath, "path must be a string")
	}
	if o.Op != patch.Remove && !has(object, "value") {
		return patch.Operation{}, fail(errors.ScimTypeInvalidValue, "%s needs a value", o.Op)
	}
	return o, nil
}

// lookup finds a member of a message by its name in any case; the exact spelling wins, then the first in byte order.
func lookup(object map[string]any, name string) any {
	if value, ok := object[name]; ok {
		return value
	}
	found := ""
	for n := range object {
		if strings.EqualFold(n, name) && (found == "" || n < found) {
			found = n
		}
	}
	if found == "" {
		return nil
	}
	return object[found]
}

func has(object map[string]any, name string) bool {
	for n := range object {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func hasSchema(value any, urn string) bool {
	list, _ := value.([]any)
	return slices.ContainsFunc(list, func(s any) bool {
		text, _ := s.(string)
		return strings.EqualFold(text, urn)
	})
}

func fail(t errors.ScimType, format string, args ...any) error {
	return errors.ScimError{Status: 400, ScimType: t, Detail: fmt.Sprintf(format, args...)}
}
