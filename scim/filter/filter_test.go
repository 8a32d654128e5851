package filter_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/provost-scim/provost/scim/filter"
)

const ent = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

func attr(name string) filter.AttrPath { return filter.AttrPath{Name: name} }

func eq(name string, value any) filter.Expr {
	return filter.Compare{Attr: attr(name), Op: filter.Equal, Value: value}
}

func TestParseReadsWhatClientsSend(t *testing.T) {
	and := func(terms ...filter.Expr) filter.Expr { return filter.And{Terms: terms} }
	or := func(terms ...filter.Expr) filter.Expr { return filter.Or{Terms: terms} }
	tests := []struct {
		name, in string
		want     filter.Expr
	}{
		{"Entra matches a user", `userName eq "x"`, eq("userName", "x")},
		{"Entra's unquoted example", `externalId eq jyoung`, eq("externalId", "jyoung")},
		{"Entra matches by work email", `emails[type eq "work"].value eq "x"`, filter.ValuePath{Attr: attr("emails"), Filter: and(eq("type", "work"), eq("value", "x"))}},
		{"Entra checks a manager", `id eq "1" and manager eq "2"`, and(eq("id", "1"), eq("manager", "2"))},
		{"PingOne capitalises operators", `userName Eq "x"`, eq("userName", "x")},
		{"AWS asks for a member", `members.value eq "U"`, filter.Compare{Attr: filter.AttrPath{Name: "members", Sub: "value"}, Op: "eq", Value: "U"}},
		{"a URN", ent + `:manager.value eq "7"`, filter.Compare{Attr: filter.AttrPath{URN: ent, Name: "manager", Sub: "value"}, Op: "eq", Value: "7"}},
		{"present", `title PR`, filter.Present{Attr: attr("title")}},
		{"and binds closer than or", `a pr or b pr and c pr`, or(filter.Present{Attr: attr("a")}, and(filter.Present{Attr: attr("b")}, filter.Present{Attr: attr("c")}))},
		{"parentheses bind closer than and", `(a eq 1 or b eq 2) And c eq 3`, and(or(eq("a", int64(1)), eq("b", int64(2))), eq("c", int64(3)))},
		{"chains are flat", `(a eq 1 or b eq 2) or (c eq 3 or d eq 4)`, or(eq("a", int64(1)), eq("b", int64(2)), eq("c", int64(3)), eq("d", int64(4)))},
		{"not", `NOT (a eq 1)and not(b pr)`, and(filter.Not{Term: eq("a", int64(1))}, filter.Not{Term: filter.Present{Attr: attr("b")}})},
		{"a value path of the RFC", `userType eq "Employee" and emails[type eq "work" and value co "@example.com"]`,
			and(eq("userType", "Employee"), filter.ValuePath{Attr: attr("emails"), Filter: and(eq("type", "work"), filter.Compare{Attr: attr("value"), Op: "co", Value: "@example.com"})})},
		{"an or in brackets before a sub-attribute", `emails[type eq a or type eq b].value pr`,
			filter.ValuePath{Attr: attr("emails"), Filter: and(or(eq("type", "a"), eq("type", "b")), filter.Present{Attr: attr("value")})}},
		{"a sub-attribute $ref", `$ref eq "x"`, eq("$ref", "x")},
		{"literals in any case", `a eq True or a eq FALSE or a eq null`, or(eq("a", true), eq("a", false), eq("a", nil))},
		{"numbers", `a eq 1 or a eq -2.5 or a eq 1e3 or a eq 007`, or(eq("a", int64(1)), eq("a", -2.5), filter.Compare{Attr: attr("a"), Op: filter.Equal, Value: 1000.0, Word: "1e3"}, eq("a", "007"))},
		{"a number as it was written", `a eq 1.50`, filter.Compare{Attr: attr("a"), Op: filter.Equal, Value: 1.5, Word: "1.50"}},
		{"more digits than a number holds", `a eq 12345678901234567890`, filter.Compare{Attr: attr("a"), Op: filter.Equal, Value: 12345678901234567890.0, Word: "12345678901234567890"}},
		{"a number out of range", `a eq -1e999`, filter.Compare{Attr: attr("a"), Op: filter.Equal, Value: math.Inf(-1), Word: "-1e999"}},
		{"a number next to zero", `a eq 1e-999`, filter.Compare{Attr: attr("a"), Op: filter.Equal, Value: math.SmallestNonzeroFloat64, Word: "1e-999"}},
		{"a number next to a whole one, above", `a eq 2.00000000000000000001`, filter.Compare{Attr: attr("a"), Op: filter.Equal, Value: math.Nextafter(2, 3), Word: "2.00000000000000000001"}},
		{"a number next to a whole one, below", `a eq -1.99999999999999999999`, filter.Compare{Attr: attr("a"), Op: filter.Equal, Value: math.Nextafter(-2, 0), Word: "-1.99999999999999999999"}},
		{"a number next to a whole one, by its exponent", `a eq 200000000000000000001e-20`, filter.Compare{Attr: attr("a"), Op: filter.Equal, Value: math.Nextafter(2, 3), Word: "200000000000000000001e-20"}},
		{"a whole number with a fraction of nothing", `a eq 20.00E-1`, filter.Compare{Attr: attr("a"), Op: filter.Equal, Value: 2.0, Word: "20.00E-1"}},
		{"the last number of which a float tells its neighbour", `a eq 4503599627370495.9999`, filter.Compare{Attr: attr("a"), Op: filter.Equal, Value: 4503599627370495.5, Word: "4503599627370495.9999"}},
		{"zero", `a eq 0e9`, filter.Compare{Attr: attr("a"), Op: filter.Equal, Value: 0.0, Word: "0e9"}},
		{"a bare time", `meta.lastModified gt 2011-05-13T04:42:34Z`, filter.Compare{Attr: filter.AttrPath{Name: "meta", Sub: "lastModified"}, Op: "gt", Value: "2011-05-13T04:42:34Z"}},
		{"JSON escapes", `a eq "\"\\\/\u00e9\ud83d\ude00\n"`, eq("a", "\"\\/é😀\n")},
		{"loose spaces", "  a\teq\"x\"  ", eq("a", "x")},
		{"no spaces around brackets", `(a pr)or(b pr)`, or(filter.Present{Attr: attr("a")}, filter.Present{Attr: attr("b")})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := filter.Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatal(diff)
			}
			again, err := filter.Parse(got.String())
			if err != nil {
				t.Fatalf("%s: %v", got, err)
			}
			if diff := cmp.Diff(got, again); diff != "" {
				t.Errorf("%s parses differently: %s", got, diff)
			}
		})
	}
}

func TestParsePathReadsWhatClientsSend(t *testing.T) {
	tests := []struct {
		in   string
		want filter.Path
	}{
		{`active`, filter.Path{Attr: attr("active")}},
		{`name.givenName`, filter.Path{Attr: filter.AttrPath{Name: "name", Sub: "givenName"}}},
		{ent + `:employeeNumber`, filter.Path{Attr: filter.AttrPath{URN: ent, Name: "employeeNumber"}}},
		{ent, filter.Path{Attr: filter.AttrPath{URN: strings.TrimSuffix(ent, ":User"), Name: "User"}}},
		{`emails[type eq "work"].value`, filter.Path{Attr: filter.AttrPath{Name: "emails", Sub: "value"}, Filter: eq("type", "work")}},
		{`roles[primary eq "True"].display`, filter.Path{Attr: filter.AttrPath{Name: "roles", Sub: "display"}, Filter: eq("primary", "True")}},
		{`members[value eq "ID"]`, filter.Path{Attr: attr("members"), Filter: eq("value", "ID")}},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := filter.ParsePath(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if got.String() != tt.in {
				t.Errorf("printed as %s", got)
			}
		})
	}
}

func TestErrorsSayWhereAndWhat(t *testing.T) {
	parse := func(s string) error { _, err := filter.Parse(s); return err }
	path := func(s string) error { _, err := filter.ParsePath(s); return err }
	tests := []struct {
		name   string
		parse  func(string) error
		in     string
		typ    scimerrors.ScimType
		offset int
		says   string
	}{
		{"nothing", parse, ``, "invalidFilter", 0, "the name of an attribute"},
		{"no operator", parse, `userName`, "invalidFilter", 8, "an operator"},
		{"an unknown operator", parse, `userName is "x"`, "invalidFilter", 9, "an operator"},
		{"no value", parse, `userName eq`, "invalidFilter", 11, "a value"},
		{"an open string", parse, `userName eq "x`, "invalidFilter", 14, "a closing quotation mark"},
		{"an open parenthesis", parse, `(a pr`, "invalidFilter", 5, `")"`},
		{"a wrong bracket", parse, `(a pr]`, "invalidFilter", 5, `")"`},
		{"two expressions", parse, `a pr b pr`, "invalidFilter", 5, `"and", "or"`},
		{"a name that is a number", parse, `7 eq 7`, "invalidFilter", 0, "the name of an attribute"},
		{"nested value paths", parse, `a[b[c pr]]`, "invalidFilter", 3, `no "["`},
		{"a broken escape", parse, `a eq "\x"`, "invalidFilter", 5, "escapes"},
		{"an escaped NUL", parse, `a eq "\u0000"`, "invalidFilter", 5, "NUL"},
		{"half of a pair", parse, `a eq "\ud83d"`, "invalidFilter", 5, "surrogate"},
		{"invalid UTF-8", parse, "a eq \"\xff\"", "invalidFilter", 0, "UTF-8"},
		{"not without parentheses", parse, `not a pr`, "invalidFilter", 4, "an operator"},
		{"too long", parse, strings.Repeat(" ", filter.MaxLength+1), "invalidFilter", filter.MaxLength, "at most 16384 bytes"},
		{"too many terms", parse, strings.Repeat("a pr or ", filter.MaxTerms) + "a pr", "invalidFilter", 8 * filter.MaxTerms, "too many"},
		{"an empty path", path, ``, "invalidPath", 0, "the name of an attribute"},
		{"a path of two words", path, `a b`, "invalidPath", 2, "the end of the path"},
		{"a path with a stray dot", path, `a.`, "invalidPath", 0, "the name of an attribute"},
		{"a fault between brackets", path, `emails[type work]`, "invalidFilter", 12, "an operator"},
		{"a sub-attribute apart from its brackets", path, `emails[type pr] .value`, "invalidPath", 16, "the end of the path"},
		{"brackets after a sub-attribute", path, `name.x[y pr]`, "invalidFilter", 6, `no "["`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.parse(tt.in)
			var syntax *filter.SyntaxError
			var scim scimerrors.ScimError
			if !errors.As(err, &syntax) || !errors.As(err, &scim) {
				t.Fatalf("got %v", err)
			}
			if scim.Status != 400 || scim.ScimType != tt.typ {
				t.Errorf("got %d %s, want 400 %s", scim.Status, scim.ScimType, tt.typ)
			}
			if syntax.Offset != tt.offset || !strings.Contains(scim.Detail, tt.says) {
				t.Errorf("got %q, want position %d and %q", scim.Detail, tt.offset, tt.says)
			}
		})
	}
}

func TestHostileNestingIsCheap(t *testing.T) {
	for _, s := range []string{"(", "not (", "a[", "(a pr or "} {
		for name, parse := range map[string]func(string) error{
			"filter": func(s string) error { _, err := filter.Parse(s); return err },
			"path":   func(s string) error { _, err := filter.ParsePath("members[" + s); return err },
		} {
			in := strings.Repeat(s, 120_000/len(s))
			allocations := testing.AllocsPerRun(5, func() {
				if parse(in) == nil {
					t.Fatalf("%s of %s: accepted", name, s)
				}
			})
			if allocations > 1000 { // BenchmarkHostile shows the time
				t.Errorf("%s of %s: %v allocations", name, s, allocations)
			}
		}
	}
	if _, err := filter.Parse(strings.Repeat("(", filter.MaxDepth) + "a pr" + strings.Repeat(")", filter.MaxDepth)); err != nil {
		t.Errorf("the deepest allowed: %v", err)
	}
	if _, err := filter.Parse(strings.Repeat("(", filter.MaxDepth+1) + "a pr" + strings.Repeat(")", filter.MaxDepth+1)); err == nil {
		t.Error("one deeper was accepted")
	}
}

func TestAPathMayNameEveryMemberOfALargeGroup(t *testing.T) {
	const term = `value eq "0190b3a2-7c4e-7d11-8f00-000000000000"`
	in := "members[" + strings.Repeat(term+" or ", filter.MaxPathTerms-1) + term + "]"
	p, err := filter.ParsePath(in)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Filter.(filter.Or).Terms); n != filter.MaxPathTerms {
		t.Errorf("got %d terms", n)
	}
}

// expr draws trees as Parse makes them: chains flat, two terms or more.
func expr(depth int, nested bool) *rapid.Generator[filter.Expr] {
	name := rapid.StringMatching(`[A-Za-z][A-Za-z0-9_-]{0,5}`)
	return rapid.Custom(func(t *rapid.T) filter.Expr {
		path := filter.AttrPath{Name: name.Draw(t, "name")}
		if rapid.Bool().Draw(t, "with sub") {
			path.Sub = name.Draw(t, "sub")
		}
		if rapid.Bool().Draw(t, "with URN") {
			path.URN = rapid.SampledFrom([]string{ent, "urn:x:1.0"}).Draw(t, "urn")
		}
		kinds := 6
		if depth == 0 {
			kinds = 2
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return filter.Present{Attr: path}
		case 1:
			value := rapid.OneOf(
				rapid.Map(rapid.String().Filter(func(s string) bool { return !strings.Contains(s, "\x00") }), func(s string) any { return s }),
				rapid.Map(rapid.Bool(), func(b bool) any { return b }),
				rapid.Map(rapid.Int64(), func(i int64) any { return i }),
				rapid.Map(rapid.Float64(), func(f float64) any { return f }),
				rapid.Just[any](nil)).Draw(t, "value")
			op := rapid.SampledFrom([]filter.Op{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"}).Draw(t, "op")
			return filter.Compare{Attr: path, Op: op, Value: value}
		case 2:
			return filter.Not{Term: expr(depth-1, nested).Draw(t, "not")}
		case 3:
			terms := rapid.SliceOfN(expr(depth-1, nested).Filter(func(e filter.Expr) bool { _, and := e.(filter.And); return !and }), 2, 3)
			return filter.And{Terms: terms.Draw(t, "and")}
		case 4:
			terms := rapid.SliceOfN(expr(depth-1, nested).Filter(func(e filter.Expr) bool { _, or := e.(filter.Or); return !or }), 2, 3)
			return filter.Or{Terms: terms.Draw(t, "or")}
		default:
			if nested {
				return filter.Present{Attr: path}
			}
			path.Sub = ""
			return filter.ValuePath{Attr: path, Filter: expr(depth-1, true).Draw(t, "inner")}
		}
	})
}

func TestWhatIsPrintedParsesToTheSameTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		short := expr(3, false).Filter(func(e filter.Expr) bool { return len(e.String()) <= filter.MaxLength })
		want := short.Draw(t, "tree")
		s := want.String()
		got, err := filter.Parse(s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s: %s", s, diff)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`userName eq "x"`, `emails[type eq "work"].value eq x`, `not (a pr) and (b ne 1.5 or c lt null)`, `a eq "\ud83d\ude00"`, ent + `:manager.value Eq "7"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := filter.Parse(s)
		if err != nil {
			wantScimError(t, err)
			return
		}
		printed := e.String()
		again, err := filter.Parse(printed)
		if err != nil {
			if len(printed) > filter.MaxLength || strings.Contains(err.Error(), "brackets within") {
				return
			}
			t.Fatalf("%q prints as %q: %v", s, printed, err)
		}
		if again.String() != printed {
			t.Fatalf("%q prints as %q, then %q", s, printed, again)
		}
	})
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{`emails[type eq "work"].value`, ent + `:manager`, `members[value eq "a" or value eq "b"]`, `name.givenName`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := filter.ParsePath(s)
		if err != nil {
			wantScimError(t, err)
			return
		}
		again, err := filter.ParsePath(p.String())
		if err != nil {
			t.Fatalf("%q prints as %q: %v", s, p, err)
		}
		if diff := cmp.Diff(p, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

func wantScimError(t *testing.T, err error) {
	t.Helper()
	var scim scimerrors.ScimError
	if !errors.As(err, &scim) || scim.Status != 400 {
		t.Fatalf("got %v, want a ScimError 400", err)
	}
}

func BenchmarkParse(b *testing.B) {
	for name, s := range map[string]string{"simple": `userName eq "kim@example.com"`, "value path": `emails[type eq "work"].value eq "kim@example.com"`} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := filter.Parse(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHostile shows what it costs to refuse: well under 1 ms each, whatever comes.
func BenchmarkHostile(b *testing.B) {
	for name, in := range map[string]string{
		"120000 brackets":  strings.Repeat("(", 120_000),
		"16 KiB brackets":  strings.Repeat("(", filter.MaxLength),
		"16 KiB of not(":   strings.Repeat("not(", filter.MaxLength/4),
		"a huge string":    `a eq "` + strings.Repeat(`\u00e9`, filter.MaxLength/6-2),
		"many terms":       strings.Repeat("a pr or ", filter.MaxLength/8),
		"many value paths": strings.Repeat("a[b pr] or ", filter.MaxLength/11),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := filter.Parse(in); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

func BenchmarkParsePathOfAMember(b *testing.B) {
	for b.Loop() {
		if _, err := filter.ParsePath(`members[value eq "0190b3a2-7c4e-7d11-8f00-000000000000"]`); err != nil {
			b.Fatal(err)
		}
	}
}

func TestHalfPair(t *testing.T) {
	for text, want := range map[string]bool{
		``: false, `plain`: false, `\n\u00e9`: false, `\ud83d\ude00`: false, `a\uD83D\uDE00b\ud83d\ude00`: false,
		`\\ud83d`: false, `\\\ud83d`: true, `\ud83d`: true, `\ude00`: true, `\ud83d\ud83d\ude00`: true, `\ud83dx\ude00`: true,
		`\ud83d\n\ude00`: true, `\ud83d\ude00\ude00`: true, `\ude00\ud83d`: true, "\U0001F600\\ud83d": true,
	} {
		if got := filter.HalfPair(text); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
