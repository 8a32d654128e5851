package filter

import (
	"strings"
	"unicode/utf8"

	"github.com/elimity-com/scim/errors"
)

// Bounds of a filter and of a PATCH path. A path has wider ones, since one operation may name every member of a large
// group: members[value eq "…" or value eq "…"].
const (
	MaxLength     = 16 << 10 // bytes of a filter
	MaxTerms      = 200      // comparisons of a filter
	MaxDepth      = 32       // brackets of any kind within one another
	MaxPathLength = 1 << 20  // bytes of a path
	MaxPathTerms  = 10_000   // comparisons of a path
)

// Parse reads a filter. An error is a *SyntaxError and, by errors.As, an errors.ScimError 400 invalidFilter.
func Parse(s string) (Expr, error) {
	p := parser{lexer: lexer{input: s, scimType: errors.ScimTypeInvalidFilter}, terms: MaxTerms}
	if err := p.begin(MaxLength); err != nil {
		return nil, err
	}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.token.kind != end {
		return nil, p.expected(`"and", "or" or the end of the filter`)
	}
	return e, nil
}

// ParsePath reads the path of a PATCH operation. An error is a *SyntaxError and, by errors.As, an errors.ScimError
// 400 invalidPath, or invalidFilter where the fault lies between brackets.
func ParsePath(s string) (Path, error) {
	p := parser{lexer: lexer{input: s, scimType: errors.ScimTypeInvalidPath}, terms: MaxPathTerms}
	if err := p.begin(MaxPathLength); err != nil {
		return Path{}, err
	}
	attr, err := p.attr()
	if err != nil {
		return Path{}, err
	}
	path := Path{Attr: attr}
	if p.token.kind == open && p.token.text == "[" {
		p.scimType = errors.ScimTypeInvalidFilter
		if path.Filter, err = p.brackets(attr); err != nil {
			return Path{}, err
		}
		p.scimType = errors.ScimTypeInvalidPath
		if path.Attr.Sub, err = p.subAfterBrackets(); err != nil {
			return Path{}, err
		}
	}
	if p.token.kind != end {
		return Path{}, p.expected("the end of the path")
	}
	return path, nil
}

const tooMany = "no more comparisons; there are too many"

// parser is a recursive descent over the grammar: or → and → term. Its recursion is bounded by MaxDepth.
type parser struct {
	lexer
	terms  int // how many more may come
	depth  int
	inside bool // inside [ ], where another [ is not allowed
}

func (p *parser) begin(limit int) error {
	if len(p.input) > limit {
		return p.fail(limit, "at most %d bytes, but it has %d", limit, len(p.input))
	}
	if !utf8.ValidString(p.input) {
		return p.fail(0, "valid UTF-8")
	}
	return p.next()
}

func (p *parser) or() (Expr, error) {
	first, err := p.and()
	if err != nil || !p.word("or") {
		return first, err
	}
	var terms []Expr
	terms = appendTerm(terms, first, isOr)
	for p.word("or") {
		if err := p.next(); err != nil {
			return nil, err
		}
		term, err := p.and()
		if err != nil {
			return nil, err
		}
		terms = appendTerm(terms, term, isOr)
	}
	return Or{terms}, nil
}

func (p *parser) and() (Expr, error) {
	first, err := p.term()
	if err != nil || !p.word("and") {
		return first, err
	}
	var terms []Expr
	terms = appendTerm(terms, first, isAnd)
	for p.word("and") {
		if err := p.next(); err != nil {
			return nil, err
		}
		term, err := p.term()
		if err != nil {
			return nil, err
		}
		terms = appendTerm(terms, term, isAnd)
	}
	return And{terms}, nil
}

// appendTerm keeps chains flat: (a or b) or c is one Or of three.
func appendTerm(terms []Expr, term Expr, same func(Expr) []Expr) []Expr {
	if inner := same(term); inner != nil {
		return append(terms, inner...)
	}
	return append(terms, term)
}

func isOr(e Expr) []Expr {
	if or, ok := e.(Or); ok {
		return or.Terms
	}
	return nil
}

func isAnd(e Expr) []Expr {
	if and, ok := e.(And); ok {
		return and.Terms
	}
	return nil
}

func (p *parser) term() (Expr, error) {
	if p.token.kind == open && p.token.text == "(" {
		return p.group()
	}
	if p.word("not") && p.followedBy('(') {
		if err := p.next(); err != nil {
			return nil, err
		}
		term, err := p.group()
		if err != nil {
			return nil, err
		}
		return Not{term}, nil
	}
	at := p.token.offset
	attr, err := p.attr()
	if err != nil {
		return nil, err
	}
	if p.terms--; p.terms < 0 {
		return nil, p.fail(at, tooMany)
	}
	if p.token.kind == open && p.token.text == "[" {
		return p.valuePath(attr)
	}
	return p.comparison(attr)
}

func (p *parser) group() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	return e, p.leave(")")
}

func (p *parser) enter() error {
	if p.depth++; p.depth > MaxDepth {
		return p.fail(p.token.offset, "at most %d brackets within one another", MaxDepth)
	}
	return p.next()
}

func (p *parser) leave(closing string) error {
	if p.token.kind != closed || p.token.text != closing {
		return p.expected(`"and", "or" or "` + closing + `"`)
	}
	p.depth--
	return p.next()
}

// comparison reads what follows the name of an attribute: "pr", or an operator and a value.
func (p *parser) comparison(attr AttrPath) (Expr, error) {
	if p.word("pr") {
		return Present{attr}, p.next()
	}
	op := Op(strings.ToLower(p.token.text))
	switch op {
	case Equal, NotEqual, Contains, StartsWith, EndsWith, GreaterThan, GreaterOrEqual, LessThan, LessOrEqual:
	default:
		op = ""
	}
	if p.token.kind != word || op == "" {
		return nil, p.expected("an operator: eq, ne, co, sw, ew, gt, ge, lt, le or pr")
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	written := p.token.text
	value, err := p.value()
	if err != nil {
		return nil, err
	}
	e := Compare{Attr: attr, Op: op, Value: value}
	if _, number := value.(float64); number && e.Text() != written {
		e.Word = written
	}
	return e, nil
}

func (p *parser) valuePath(attr AttrPath) (Expr, error) {
	inner, err := p.brackets(attr)
	if err != nil {
		return nil, err
	}
	sub, err := p.subAfterBrackets()
	if err != nil || sub == "" {
		return ValuePath{attr, inner}, err
	}
	if p.terms--; p.terms < 0 {
		return nil, p.fail(p.token.offset, tooMany)
	}
	outer, err := p.comparison(AttrPath{Name: sub})
	if err != nil {
		return nil, err
	}
	return ValuePath{attr, And{appendTerm(appendTerm(nil, inner, isAnd), outer, isAnd)}}, nil
}

func (p *parser) brackets(attr AttrPath) (Expr, error) {
	if attr.Sub != "" || p.inside {
		return nil, p.fail(p.token.offset, `no "[" after or inside a sub-attribute`)
	}
	p.inside = true
	if err := p.enter(); err != nil {
		return nil, err
	}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	p.inside = false
	return e, p.leave("]")
}

// subAfterBrackets reads ".value" if it stands right after a closing bracket.
func (p *parser) subAfterBrackets() (string, error) {
	if p.token.kind != word || p.token.text[0] != '.' || p.token.offset != p.closedAt+1 {
		return "", nil
	}
	sub := p.token.text[1:]
	if !isName(sub) {
		return "", p.expected("the name of a sub-attribute")
	}
	return sub, p.next()
}

// attr reads the name of an attribute with what surrounds it.
func (p *parser) attr() (AttrPath, error) {
	if p.token.kind != word {
		return AttrPath{}, p.expected("the name of an attribute")
	}
	attr, ok := attrPath(p.token.text)
	if !ok {
		return AttrPath{}, p.expected("the name of an attribute")
	}
	return attr, p.next()
}

func attrPath(s string) (AttrPath, bool) {
	var attr AttrPath
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		attr.URN, s = s[:i], s[i+1:]
		if attr.URN == "" {
			return attr, false
		}
	}
	name, sub, dotted := strings.Cut(s, ".")
	attr.Name, attr.Sub = name, sub
	return attr, isName(name) && (!dotted || isName(sub))
}

// isName is ATTRNAME of RFC 7643 §2.1, and "$ref".
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '$' && i == 0
		if !letter && (i == 0 || c != '-' && c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}
