package schema

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/elimity-com/scim/errors"
)

// Bounds of a value.
const (
	MaxString     = 64 << 10 // bytes of a string
	MaxIdentifier = 1024     // bytes of a string that is looked up or must be unique: userName, externalId, a group's displayName, an email
	MaxValues     = 1000     // elements of a multi-valued attribute of a user
)

// Normalize turns a value as a client sent it, decoded from JSON (map[string]any, []any, string, bool, nil, json.Number or
// float64), into the canonical one: names in canonical case; unknown, read-only and computed ($ref) parts dropped; no nulls, no
// empty strings, objects or lists. Nil without an error means that nothing is left: the attribute is unassigned (RFC 7643 §2.5).
//
// It forgives what clients really send: booleans as strings, one object where a list belongs, a list of one where an
// object belongs, a bare string for an object that is known by its "value" (manager).
// Anything else of a wrong type, an oversize value, invalid UTF-8, a NUL character, or a second primary
// is an errors.ScimError 400 invalidValue that names the attribute. The value passed in is not modified.
func (a *Attribute) Normalize(value any) (any, error) {
	if value == nil {
		return nil, nil
	}
	if !a.MultiValued {
		return a.one(value)
	}
	elements, err := a.Elements(value)
	if err != nil || len(elements) == 0 {
		return nil, err
	}
	if primaries := countPrimaries(elements); primaries > 1 {
		return nil, a.invalid("has %d values marked primary; mark at most one", primaries)
	}
	return elements, nil
}

// Elements normalizes the elements of a multi-valued attribute, given as a list or as a single object.
// Elements that come out empty are left out. It does not count primaries.
func (a *Attribute) Elements(value any) ([]any, error) {
	list, ok := value.([]any)
	if object, single := value.(map[string]any); single {
		list, ok = []any{object}, true
	}
	if !ok {
		return nil, a.wrongType(value, "a list")
	}
	if len(list) > MaxValues {
		return nil, a.invalid("has %d values; at most %d are allowed", len(list), MaxValues)
	}
	elements := make([]any, 0, len(list))
	for _, item := range list {
		if item == nil {
			continue
		}
		element, err := a.one(item)
		if err != nil {
			return nil, err
		}
		if element != nil {
			elements = append(elements, element)
		}
	}
	return elements, nil
}

func countPrimaries(elements []any) int {
	n := 0
	for _, e := range elements {
		if object, ok := e.(map[string]any); ok && object["primary"] == true {
			n++
		}
	}
	return n
}

func (a *Attribute) one(value any) (any, error) {
	switch a.Type {
	case Complex:
		return a.complex(value)
	case Boolean:
		return a.boolean(value)
	case Integer, Decimal:
		return a.number(value)
	default:
		return a.text(value)
	}
}

func (a *Attribute) text(value any) (any, error) {
	s, ok := value.(string)
	if !ok {
		return nil, a.wrongType(value, "a string")
	}
	if s == "" {
		return nil, nil
	}
	limit := MaxString
	if a.identifier() {
		limit = MaxIdentifier
	}
	switch {
	case len(s) > limit:
		return nil, a.invalid("is %d bytes long; at most %d are allowed", len(s), limit)
	case !utf8.ValidString(s):
		return nil, a.invalid("is not valid UTF-8")
	case strings.IndexByte(s, 0) >= 0:
		return nil, a.invalid("contains a NUL character")
	case a.Type == Binary && !isBase64(s):
		return nil, a.invalid("must be base64")
	}
	return s, nil
}

// identifier reports whether the store keeps an index on the value, which bounds its length.
func (a *Attribute) identifier() bool {
	return a.Unique || a.Name == "externalId" || a.Name == "value" && a.Parent != nil && a.Parent.Name == "emails"
}

func isBase64(s string) bool {
	if strings.ContainsAny(s, "-_") {
		s = strings.NewReplacer("-", "+", "_", "/").Replace(s)
	}
	_, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "=\r\n"))
	return err == nil
}

func (a *Attribute) boolean(value any) (any, error) {
	switch v := value.(type) {
	case bool:
		return v, nil
	case string:
		switch {
		case v == "":
			return nil, nil
		case strings.EqualFold(v, "true"):
			return true, nil
		case strings.EqualFold(v, "false"):
			return false, nil
		}
	}
	return nil, a.wrongType(value, "true or false")
}

func (a *Attribute) number(value any) (any, error) {
	var f float64
	switch v := value.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil && a.Type == Integer {
			return i, nil
		}
		parsed, err := v.Float64()
		if err != nil {
			return nil, a.wrongType(value, "a number")
		}
		f = parsed
	case float64:
		f = v
	case int64:
		f = float64(v)
	default:
		return nil, a.wrongType(value, "a number")
	}
	if a.Type == Decimal {
		return f, nil
	}
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return nil, a.wrongType(value, "a whole number")
	}
	return int64(f), nil
}

func (a *Attribute) complex(value any) (any, error) {
	switch v := value.(type) {
	case map[string]any:
		return a.object(v)
	case []any:
		// Entra writes manager as a list of one.
		if a.MultiValued || len(v) > 1 {
			return nil, a.wrongType(value, "an object")
		}
		if len(v) == 0 || v[0] == nil {
			return nil, nil
		}
		if object, ok := v[0].(map[string]any); ok {
			return a.object(object)
		}
	case string:
		// Entra writes manager as a bare string, and as an empty one to remove it.
		if sub, ok := a.sub["value"]; ok && !a.MultiValued {
			id, err := sub.text(v)
			if err != nil || id == nil {
				return nil, err
			}
			return map[string]any{sub.Name: id}, nil
		}
	}
	return nil, a.wrongType(value, "an object")
}

func (a *Attribute) object(from map[string]any) (any, error) {
	to := make(map[string]any, len(from))
	keys, sorted := make([]string, 0, 8), true
	for key := range from {
		keys = append(keys, key)
		if sub, ok := a.SubAttribute(key); ok && sub.Name != key {
			sorted = false
		}
	}
	if !sorted {
		// Of two spellings of one name the canonical wins, else the last in byte order.
		slices.Sort(keys)
	}
	for _, key := range keys {
		sub, ok := a.SubAttribute(key)
		if !ok || sub.Mutability == ReadOnly || sub.Name == "$ref" || from[key] == nil {
			continue
		}
		if _, canonical := from[sub.Name]; canonical && key != sub.Name {
			continue
		}
		value, err := sub.one(from[key])
		if err != nil {
			return nil, err
		}
		if value != nil {
			to[sub.Name] = value
		}
	}
	if _, ok := to["value"]; !ok {
		if id := idOf(from["$ref"]); id != "" && a.sub["$ref"] != nil {
			to["value"] = id
		}
	}
	if len(to) == 0 {
		return nil, nil
	}
	return to, nil
}

// idOf is the last segment of a reference such as ".../Users/26118915", which some clients send without a value.
func idOf(ref any) string {
	s, ok := ref.(string)
	if !ok || len(s) > MaxIdentifier || !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return ""
	}
	return s[strings.LastIndexByte(s, '/')+1:]
}

func (a *Attribute) wrongType(value any, want string) error {
	return a.invalid("must be %s, not %s", want, describe(value))
}

func (a *Attribute) invalid(format string, args ...any) error {
	scimError := errors.ScimErrorInvalidValue
	scimError.Detail = a.Path() + " " + fmt.Sprintf(format, args...)
	return scimError
}

// describe names a JSON value in an error, without repeating what may be long or private.
func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list of " + strconv.Itoa(len(v))
	case string:
		return "a string"
	case bool:
		return strconv.FormatBool(v)
	default:
		return "a number"
	}
}
