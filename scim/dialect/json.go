package dialect

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/elimity-com/scim/errors"

	"github.com/provost-scim/provost/scim/filter"
)

// Bounds of a body. Its length in bytes is bounded by whoever reads it from the network.
const (
	MaxDepth  = 16      // objects and lists within one another
	MaxValues = 500_000 // values of any kind, and names
)

// byteOrderMark begins the bodies of some .NET clients, and may be ignored (RFC 8259 §8.1).
var byteOrderMark = []byte("\ufeff")

// decode reads one JSON value into map[string]any, []any, string, bool, nil and json.Number. Of two equal names in an
// object the last wins. It accepts exactly what RFC 8259 allows, within the bounds, except for the NUL character, which no
// database column holds, and half of a surrogate pair, which is no character. encoding/json has no such bounds, and
// replaces invalid UTF-8 and half pairs silently, so that two names could become one.
func decode(body []byte) (any, error) {
	body = bytes.TrimPrefix(body, byteOrderMark)
	if !utf8.Valid(body) {
		return nil, fail(errors.ScimTypeInvalidValue, "the body is not valid UTF-8")
	}
	d := decoder{in: string(body)}
	value, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if d.space(); d.pos < len(d.in) {
		return nil, d.syntax("the end of the body")
	}
	return value, nil
}

func asObject(value any) (map[string]any, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fail(errors.ScimTypeInvalidSyntax, "the body must be a JSON object")
	}
	return object, nil
}

type decoder struct {
	in     string
	pos    int
	values int
}

func (d *decoder) value(depth int) (any, error) {
	if d.values++; d.values > MaxValues {
		return nil, fail(errors.ScimTypeInvalidSyntax, "the body has more than %d values", MaxValues)
	}
	d.space()
	if d.pos == len(d.in) {
		return nil, d.syntax("a value")
	}
	switch c := d.in[d.pos]; {
	case c == '{' || c == '[':
		if depth == MaxDepth {
			return nil, fail(errors.ScimTypeInvalidSyntax, "the body is nested more than %d deep", MaxDepth)
		}
		d.pos++
		if c == '{' {
			return d.object(depth + 1)
		}
		return d.list(depth + 1)
	case c == '"':
		return d.text()
	case c == '-' || '0' <= c && c <= '9':
		return d.number()
	}
	switch rest := d.in[d.pos:]; {
	case strings.HasPrefix(rest, "true"):
		d.pos += len("true")
		return true, nil
	case strings.HasPrefix(rest, "false"):
		d.pos += len("false")
		return false, nil
	case strings.HasPrefix(rest, "null"):
		d.pos += len("null")
		return nil, nil
	}
	return nil, d.syntax("a value")
}

func (d *decoder) object(depth int) (any, error) {
	object := map[string]any{}
	if d.next('}') {
		return object, nil
	}
	for {
		if d.space(); d.pos == len(d.in) || d.in[d.pos] != '"' {
			return nil, d.syntax("a name in quotation marks")
		}
		name, err := d.text()
		if err != nil {
			return nil, err
		}
		if !d.next(':') {
			return nil, d.syntax(`":"`)
		}
		d.values++
		if object[name], err = d.value(depth); err != nil {
			return nil, err
		}
		if d.next('}') {
			return object, nil
		}
		if !d.next(',') {
			return nil, d.syntax(`"," or "}"`)
		}
	}
}

func (d *decoder) list(depth int) (any, error) {
	list := []any{}
	if d.next(']') {
		return list, nil
	}
	for {
		element, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, element)
		if d.next(']') {
			return list, nil
		}
		if !d.next(',') {
			return nil, d.syntax(`"," or "]"`)
		}
	}
}

// text reads a string. It points at its opening quotation mark.
func (d *decoder) text() (string, error) {
	start, escaped := d.pos, false
	for i := start + 1; i < len(d.in); i++ {
		switch c := d.in[i]; {
		case c < 0x20:
			d.pos = i
			return "", d.syntax("no control character in a string")
		case c == '\\':
			escaped = true
			i++
		case c == '"':
			d.pos = i + 1
			if !escaped {
				return d.in[start+1 : i], nil
			}
			if s, ok := unescape(d.in[start+1 : i]); ok {
				return s, nil
			}
			var s string
			if json.Unmarshal([]byte(d.in[start:d.pos]), &s) != nil {
				d.pos = start
				return "", d.syntax("a string with the escapes of JSON")
			}
			if strings.IndexByte(s, 0) >= 0 {
				return "", fail(errors.ScimTypeInvalidValue, "the body has a NUL character in a string at position %d", start)
			}
			if filter.HalfPair(d.in[start+1 : i]) {
				return "", fail(errors.ScimTypeInvalidValue, "the body has half of a surrogate pair in a string at position %d; write the character itself or both halves", start)
			}
			return s, nil
		}
	}
	d.pos = len(d.in)
	return "", d.syntax("a closing quotation mark")
}

// unescape reads a string whose only escapes are those of a character itself, which is
// what paths with a filter have: 10,000 of them in one request take their time.
func unescape(s string) (string, bool) {
	var b strings.Builder
	b.Grow(len(s))
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			b.WriteString(s)
			return b.String(), true
		}
		c := s[i+1] // the string ends in no backslash
		if c != '"' && c != '\\' && c != '/' {
			return "", false
		}
		b.WriteString(s[:i])
		b.WriteByte(c)
		s = s[i+2:]
	}
}

func (d *decoder) number() (any, error) {
	start := d.pos
	for d.pos < len(d.in) && strings.IndexByte("+-.0123456789eE", d.in[d.pos]) >= 0 {
		d.pos++
	}
	s := d.in[start:d.pos]
	if !json.Valid([]byte(s)) {
		d.pos = start
		return nil, d.syntax("a number")
	}
	return json.Number(s), nil
}

func (d *decoder) space() {
	for d.pos < len(d.in) {
		switch d.in[d.pos] {
		case ' ', '\t', '\r', '\n':
			d.pos++
		default:
			return
		}
	}
}

// next passes over c if it comes next.
func (d *decoder) next(c byte) bool {
	if d.space(); d.pos < len(d.in) && d.in[d.pos] == c {
		d.pos++
		return true
	}
	return false
}

func (d *decoder) syntax(expected string) error {
	found := "the end"
	if d.pos < len(d.in) {
		r, _ := utf8.DecodeRuneInString(d.in[d.pos:])
		found = strconv.QuoteRune(r)
	}
	return fail(errors.ScimTypeInvalidSyntax, "the body is not JSON: at position %d: expected %s, found %s", d.pos, expected, found)
}
