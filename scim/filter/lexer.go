package filter

import (
	"encoding/json"
	stderrors "errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/elimity-com/scim/errors"
)

// SyntaxError says where a filter or a path cannot be read, and what was expected there.
type SyntaxError struct {
	Offset   int    // in bytes from the start
	Expected string // completes "expected …"
	Type     errors.ScimType
}

func (e *SyntaxError) Error() string {
	what := "filter"
	if e.Type == errors.ScimTypeInvalidPath {
		what = "path"
	}
	return fmt.Sprintf("%s: at position %d: expected %s", what, e.Offset, e.Expected)
}

// Unwrap makes the error an errors.ScimError with status 400.
func (e *SyntaxError) Unwrap() error {
	return errors.ScimError{Status: 400, ScimType: e.Type, Detail: e.Error()}
}

type kind int

const (
	end kind = iota
	word
	quoted
	open   // ( [
	closed // ) ]
)

type token struct {
	kind   kind
	text   string // for a quoted string, its value
	offset int
}

type lexer struct {
	input    string
	pos      int
	token    token
	closedAt int // offset of the last closing bracket that was passed
	scimType errors.ScimType
}

// next reads one token. Each byte is read once, so reading a filter takes time linear in its length.
func (l *lexer) next() error {
	if l.token.kind == closed {
		l.closedAt = l.token.offset
	}
	for l.pos < len(l.input) && isSpace(l.input[l.pos]) {
		l.pos++
	}
	start := l.pos
	if start == len(l.input) {
		l.token = token{end, "", start}
		return nil
	}
	switch l.input[start] {
	case '(', '[':
		l.pos++
		l.token = token{open, l.input[start:l.pos], start}
		return nil
	case ')', ']':
		l.pos++
		l.token = token{closed, l.input[start:l.pos], start}
		return nil
	case '"':
		return l.quoted()
	}
	for l.pos < len(l.input) && !isDelimiter(l.input[l.pos]) {
		l.pos++
	}
	if l.pos == start || strings.IndexByte(l.input[start:l.pos], 0) >= 0 {
		return l.fail(start, "no control character")
	}
	l.token = token{word, l.input[start:l.pos], start}
	return nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func isDelimiter(c byte) bool {
	return isSpace(c) || c == '(' || c == ')' || c == '[' || c == ']' || c == '"'
}

// quoted reads a JSON string (RFC 8259 §7).
func (l *lexer) quoted() error {
	start, escaped := l.pos, false
	for i := start + 1; i < len(l.input); i++ {
		switch c := l.input[i]; {
		case c == '\\':
			escaped = true
			i++
		case c < 0x20:
			return l.fail(i, "no control character in a string")
		case c == '"':
			l.pos = i + 1
			value := l.input[start+1 : i]
			if escaped {
				if err := json.Unmarshal([]byte(l.input[start:l.pos]), &value); err != nil {
					return l.fail(start, "a string with the escapes of JSON")
				}
				if strings.IndexByte(value, 0) >= 0 {
					return l.fail(start, "a string without a NUL character")
				}
				if HalfPair(l.input[start+1 : i]) {
					return l.fail(start, "a string without half of a surrogate pair")
				}
			}
			l.token = token{quoted, value, start}
			return nil
		}
	}
	return l.fail(len(l.input), "a closing quotation mark")
}

// HalfPair reports whether a JSON string, which is well-formed and without its quotation marks, has the escape of a
// surrogate that is not one of a pair: no character, which encoding/json takes for U+FFFD.
func HalfPair(s string) bool {
	high := false // the last escape was the first half of a pair
	for len(s) > 0 {
		i := strings.IndexByte(s, '\\')
		if i != 0 && high {
			return true
		}
		if i < 0 {
			return false
		}
		unit := uint64(0)
		if s = s[i+1:]; s[0] == 'u' {
			unit, _ = strconv.ParseUint(s[1:5], 16, 16)
			s = s[4:]
		}
		s = s[1:]
		if low := 0xDC00 <= unit && unit <= 0xDFFF; low != high {
			return true
		}
		high = 0xD800 <= unit && unit <= 0xDBFF
	}
	return high
}

// value reads the right side of a comparison.
func (l *lexer) value() (any, error) {
	t := l.token
	if t.kind == quoted {
		return t.text, l.next()
	}
	if t.kind != word {
		return nil, l.expected("a value: a string in quotation marks, a number, true, false or null")
	}
	switch {
	case strings.EqualFold(t.text, "true"):
		return true, l.next()
	case strings.EqualFold(t.text, "false"):
		return false, l.next()
	case strings.EqualFold(t.text, "null"):
		return nil, l.next()
	case !json.Valid([]byte(t.text)):
		return t.text, l.next() // a bare word
	}
	if i, err := strconv.ParseInt(t.text, 10, 64); err == nil && t.text != "-0" {
		return i, l.next()
	}
	// A number that no float holds is compared as the nearest one, at last infinity. As a text
	// it is what was written (Compare.Word).
	f, err := strconv.ParseFloat(t.text, 64)
	if err != nil && !stderrors.Is(err, strconv.ErrRange) {
		return t.text, l.next()
	}
	return unround(f, t.text), l.next()
}

// exactBelow is the least number without a sign from which on all floats are whole.
const exactBelow = 1 << 52

// unround keeps a number with a fraction from having been rounded to a whole one, which it would then equal: it becomes the
// float beside that, so that it lies between the same whole numbers. From [exactBelow] on there are no such floats.
func unround(f float64, text string) float64 {
	if f != math.Trunc(f) || math.Abs(f) > exactBelow {
		return f
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(text, "-")), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	point := len(whole)
	if n, err := strconv.Atoi(exponent); err == nil {
		point += min(max(n, -point), len(digits)) // no further than before the first digit or behind the last
	} else if strings.HasPrefix(exponent, "-") {
		point = 0 // a number of such an exponent is next to zero
	}
	point = min(point, len(digits))
	if strings.Trim(digits[point:], "0") == "" {
		return f
	}
	toward := math.Copysign(math.Inf(1), f)
	if n, err := strconv.ParseUint("0"+digits[:point], 10, 64); err != nil || float64(n) < math.Abs(f) {
		toward = 0
	}
	return math.Nextafter(f, toward)
}

// word reports whether the current token is the keyword, in any case.
func (l *lexer) word(keyword string) bool {
	return l.token.kind == word && strings.EqualFold(l.token.text, keyword)
}

// followedBy reports whether the next token begins with c.
func (l *lexer) followedBy(c byte) bool {
	for i := l.pos; i < len(l.input); i++ {
		if !isSpace(l.input[i]) {
			return l.input[i] == c
		}
	}
	return false
}

func (l *lexer) expected(what string) error {
	found := "the end"
	if l.token.kind != end {
		found = strconv.Quote(l.token.text[:min(len(l.token.text), 40)])
	}
	return l.fail(l.token.offset, "%s, found %s", what, found)
}

func (l *lexer) fail(offset int, format string, args ...any) error {
	return &SyntaxError{Offset: offset, Expected: fmt.Sprintf(format, args...), Type: l.scimType}
}
