package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

// TestFiltersMeanWhatAPlainEvaluatorSays fills a directory with random resources and
// asks random filters over all attributes that /Schemas describes: what is found must
// be what an evaluator finds that reads the resources one by one.
func TestFiltersMeanWhatAPlainEvaluatorSays(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		for seed := range uint64(2) {
			dsn := "sqlite:" + filepath.Join(t.TempDir(), fmt.Sprintf("%d.db", seed))
			if err := migrateForSCIM(dsn); err != nil {
				t.Fatal(err)
			}
			meansTheSame(t, seed, newSCIMWorld(t, dsn, "--cap", "4"))
		}
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		meansTheSame(t, 3, newSCIMWorld(t, testenv.Postgres(t).Database(t, migrateForSCIM), "--cap", "4"))
	})
}

func meansTheSame(t *testing.T, seed uint64, w *scimWorld) {
	t.Helper()
	_, w.token = w.newDirectory(t, "anywhere", func(s *store.Settings) { s.DomainPolicy = store.DomainsOff })
	p := populate(t, w, rand.New(rand.NewPCG(seed, 5)))
	for endpoint, attributes := range filterable(t, w) {
		resources := w.send(t, scimRequest{method: get, path: endpoint + "?count=1000"}).get("Resources").([]any)
		g := filterMaker{attributes: attributes, values: p.seen(resources, attributes)}
		some, none := 0, 0
		rapid.Check(t, func(rt *rapid.T) {
			for range 4 {
				o := g.filter(rt, 3, "")
				want := []string{}
				for _, r := range resources {
					if o.holds(r) {
						want = append(want, member(r, "id").(string))
					}
				}
				if some++; len(want) == 0 || len(want) == len(resources) {
					none++
				}
				text := written(o)
				request := scimRequest{method: post, path: endpoint + "/.search", body: searchBody(t, map[string]any{"filter": text, "count": 1000, "attributes": []string{"id"}})}
				if len(text) < 1000 && utf8.RuneCountInString(text)%2 == 0 {
					request = scimRequest{method: get, path: endpoint + "?count=1000&attributes=id&filter=" + strings.ReplaceAll(text, "&", `\u0026`)}
				}
				answer := w.send(t, request)
				if answer.status != 200 {
					rt.Fatalf("seed %d: %s\nanswered %d %s", seed, text, answer.status, answer.raw)
				}
				got := []string{}
				for _, id := range idsOf(answer) {
					got = append(got, string(id))
				}
				if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
					rt.Fatalf("seed %d: %s\n(-evaluator +server)\n%s%s", seed, text, diff, culprits(resources, want, got))
				}
			}
		})
		if none*10 > some*9 {
			t.Errorf("%s: %d of %d filters told no resource from another", endpoint, none, some)
		}
	}
}

// culprits shows the resources about which the two disagree.
func culprits(resources []any, want, got []string) (out string) {
	for _, r := range resources {
		id := member(r, "id").(string)
		if slices.Contains(want, id) != slices.Contains(got, id) {
			text, _ := json.Marshal(r)
			out += "\n" + string(text[:min(len(text), 3000)])
		}
	}
	return out
}

// filterable are the attributes on which there are filters, by endpoint.
func filterable(t *testing.T, w *scimWorld) map[string][]characteristics {
	t.Helper()
	out := map[string][]characteristics{}
	for _, endpoint := range []string{"/Users", "/Groups"} {
		meta := characteristics{Name: "meta", Type: "complex", path: "meta"}
		for _, sub := range []characteristics{
			{Name: "resourceType", Type: "string", CaseExact: true}, {Name: "created", Type: "dateTime"}, {Name: "lastModified", Type: "dateTime"},
			{Name: "location", Type: "reference", CaseExact: true}, {Name: "version", Type: "string", CaseExact: true},
		} {
			sub.path, sub.parent = "meta."+sub.Name, "meta"
			meta.SubAttributes = append(meta.SubAttributes, sub)
		}
		out[endpoint] = append(meta.SubAttributes, meta,
			characteristics{Name: "schemas", Type: "string", MultiValued: true, path: "schemas"},
			characteristics{Name: "id", Type: "string", CaseExact: true, path: "id"},
			characteristics{Name: "externalId", Type: "string", CaseExact: true, path: "externalId"})
	}
	for _, a := range describedAttributes(t, w) {
		endpoint := "/Users"
		if a.schema == coreGroup || a.schema == provostGroup {
			endpoint = "/Groups"
		}
		if a.Returned != "never" {
			out[endpoint] = append(out[endpoint], a)
		}
	}
	return out
}

// trickyTexts are texts that trip over case, normal forms, wildcards, quotes and length.
var trickyTexts = []string{
	"ann", "Ann", "ANN", "Åsa", "A\u030asa", "åSA", "İstanbul", "istanbul", "Straße", "STRASSE", "ﬁne", "FINE", "ß", "ss", "Ω", "ω", "ΑΣ", "ας",
	"50%_", `a\b`, `say "x"`, "it's", "a b", " a", "a;b&c=d?e#f", "(a)", "[a]", "\u00e9", "e\u0301", "日本", "\U0001F600", "\ud7ff", "\ue000", "\U0010FFFF", "\t", "0", "701984",
	"true", "null",
}

// longTexts differ after what an index holds of them.
var longTexts = []string{
	strings.Repeat("x", 300), strings.Repeat("X", 300) + "y", strings.Repeat("é", 128) + "1", strings.Repeat("É", 128) + "2",
}

type population struct {
	w *scimWorld
	r *rand.Rand
}

func (p population) word() string {
	if p.chance(5) {
		return longTexts[p.r.IntN(len(longTexts))]
	}
	return trickyTexts[p.r.IntN(len(trickyTexts))]
}

// name is a word as a name may be: without white space at its ends and control characters.
func (p population) name() string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, p.word()))
}

func (p population) chance(n int) bool { return p.r.IntN(n) == 0 }

// populate makes users and groups, of which some are changed and some deleted again.
func populate(t *testing.T, w *scimWorld, r *rand.Rand) population {
	t.Helper()
	p := population{w, r}
	create := func(endpoint string, body map[string]any) string {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		a := w.send(t, scimRequest{method: post, path: endpoint, body: string(text)})
		if a.status != 201 && a.text("scimType") != "uniqueness" && !strings.Contains(string(a.raw), "cap") && !strings.Contains(string(a.raw), "members") {
			t.Fatalf("%d %s for %s", a.status, a.raw, text)
		}
		return a.text("id")
	}
	var users, groups []string
	for i := range 40 {
		if id := create("/Users", p.user(i, users)); id != "" {
			users = append(users, id)
		}
	}
	for i := range 16 {
		body := map[string]any{"displayName": p.word() + string(rune('a'+i))}
		if p.chance(3) {
			body["externalId"] = p.word()
		}
		if p.chance(2) {
			body[provostGroup] = map[string]any{"description": p.word()}
		}
		var members []any
		for range p.r.IntN(5) {
			members = append(members, map[string]any{"value": users[p.r.IntN(len(users))]})
		}
		for range p.r.IntN(3) {
			if len(groups) > 0 {
				members = append(members, map[string]any{"value": groups[p.r.IntN(len(groups))]})
			}
		}
		if members != nil {
			body["members"] = members
		}
		if id := create("/Groups", body); id != "" {
			groups = append(groups, id)
		}
	}
	for range 20 { // versions, circles
		w.patchOne(t, "/Users/"+users[p.r.IntN(len(users))], "replace", "nickName", p.word())
		w.patchOne(t, "/Groups/"+groups[p.r.IntN(len(groups))], "add", "members", []any{map[string]any{"value": groups[p.r.IntN(len(groups))]}})
	}
	for range 4 {
		w.send(t, scimRequest{method: http.MethodDelete, path: "/Users/" + users[p.r.IntN(len(users))]})
		w.send(t, scimRequest{method: http.MethodDelete, path: "/Groups/" + groups[p.r.IntN(len(groups))]})
	}
	return p
}

func (p population) user(i int, others []string) map[string]any {
	u := map[string]any{"userName": p.name() + fmt.Sprint(i%12)}
	for _, name := range []string{"externalId", "displayName", "nickName", "profileUrl", "title", "userType", "preferredLanguage", "locale", "timezone"} {
		if p.chance(3) {
			u[name] = p.word()
		}
	}
	if p.chance(2) {
		u["active"] = p.chance(2)
	}
	object := func(odds int, names ...string) map[string]any {
		o := map[string]any{}
		for _, name := range names {
			if p.chance(odds) {
				o[name] = p.word()
			}
		}
		return o
	}
	if p.chance(2) {
		u["name"] = object(2, "formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix")
	}
	if p.chance(2) {
		e := object(3, "employeeNumber", "costCenter", "organization", "division", "department")
		if p.chance(2) {
			e["manager"] = map[string]any{"value": p.word()}
			if len(others) > 0 && p.chance(2) {
				e["manager"] = map[string]any{"value": others[p.r.IntN(len(others))]}
			}
		}
		u[enterprise] = e
	}
	for name, types := range map[string][]string{
		"emails": {"work", "home", "Work"}, "phoneNumbers": {"work", "mobile"}, "ims": {"xmpp"}, "photos": {"photo", "thumbnail"},
		"entitlements": {"kind"}, "roles": {"kind", "other"}, "addresses": {"work", "home"}, "x509Certificates": {"kind"},
	} {
		if !p.chance(2) {
			continue
		}
		elements, primary := []any{}, p.r.IntN(6)
		for i := range 1 + p.r.IntN(3) {
			e := object(2, "display")
			switch {
			case name == "addresses":
				e = object(3, "formatted", "streetAddress", "locality", "region", "postalCode", "country")
			case name == "x509Certificates":
				e["value"] = []string{"QUJD", "qujd", "AQID"}[p.r.IntN(3)]
			case !p.chance(5):
				e["value"] = p.word()
			}
			if p.chance(2) {
				e["type"] = types[p.r.IntN(len(types))]
			}
			if i == primary || p.chance(3) {
				e["primary"] = i == primary
			}
			elements = append(elements, e)
		}
		u[name] = elements
	}
	return u
}

// seen collects the values that resources have for each attribute.
func (p population) seen(resources []any, attributes []characteristics) map[string][]string {
	out := map[string][]string{}
	for _, a := range attributes {
		for _, r := range resources {
			for _, v := range (asked{is: a}).values(r, a) {
				switch v := v.(type) {
				case string:
					out[a.path] = append(out[a.path], v)
				case json.Number:
					out[a.path] = append(out[a.path], v.String())
				}
			}
		}
	}
	return out
}

// filterMaker draws filters.
type filterMaker struct {
	attributes []characteristics
	values     map[string][]string
}

// filter draws a filter of at most some depth. Between brackets it is about the
// sub-attributes of one attribute.
func (g filterMaker) filter(t *rapid.T, depth int, within string) oracle {
	kind := 0
	if depth > 0 {
		kind = rapid.IntRange(0, 9).Draw(t, "kind")
	}
	switch {
	case kind == 5:
		return notOf{g.filter(t, depth-1, within)}
	case kind == 6 || kind == 7:
		terms := make([]oracle, rapid.IntRange(2, 3).Draw(t, "terms"))
		for i := range terms {
			terms[i] = g.filter(t, depth-1, within)
		}
		if kind == 6 {
			return allOf(terms)
		}
		return anyOf(terms)
	case kind >= 8 && within == "":
		a := g.attribute(t, func(a characteristics) bool { return a.Type == "complex" })
		return matched{a, g.filter(t, depth-1, a.is.path)}
	}
	a := g.attribute(t, func(a characteristics) bool { return within == "" || a.parent == within })
	if a.within = within != ""; a.within {
		a.written = a.is.Name
	}
	return g.comparison(t, a)
}

func (g filterMaker) attribute(t *rapid.T, which func(characteristics) bool) asked {
	var a asked
	some := map[string]characteristics{}
	for _, a := range g.attributes {
		if which(a) {
			some[a.path] = a
		}
	}
	a.is = some[rapid.SampledFrom(slices.Sorted(maps.Keys(some))).Draw(t, "attribute")]
	a.written = a.is.path
	switch rapid.IntRange(0, 5).Draw(t, "spelling") {
	case 4:
		a.written = strings.ToUpper(a.written)
	case 5:
		if a.is.schema == coreUser || a.is.schema == coreGroup {
			a.written = a.is.schema + ":" + a.written
		} else if name, ok := strings.CutPrefix(a.is.path, enterprise+":"); ok {
			a.written = name
		}
	}
	return a
}

func (g filterMaker) comparison(t *rapid.T, a asked) oracle {
	leaf := a.is
	for _, sub := range a.is.SubAttributes {
		if sub.Name == "value" {
			leaf, leaf.path = sub, a.is.path+".value"
		}
	}
	equality := []string{"eq", "ne"}
	ordered := append([]string{"gt", "ge", "lt", "le"}, equality...)
	textual := append([]string{"co", "sw", "ew"}, equality...)
	how := rapid.IntRange(0, 11).Draw(t, "how")
	switch {
	case how == 0 || leaf.Type == "complex":
		return isThere{a}
	case how == 1:
		return g.compared(t, a, equality, nil, "null")
	}
	switch leaf.Type {
	case "boolean":
		v := rapid.Bool().Draw(t, "value")
		return g.compared(t, a, equality, v, fmt.Sprint(v))
	case "integer":
		v := fmt.Sprint(rapid.IntRange(-1, 12).Draw(t, "value"))
		if rapid.IntRange(0, 3).Draw(t, "fraction") == 0 {
			v += ".5"
		}
		if rapid.IntRange(0, 5).Draw(t, "huge") == 0 { // beyond 64 bits, and beyond all floats
			v = rapid.SampledFrom([]string{"9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e30", "-1e999", "1e999", "1e-999", strings.Repeat("9", 400)}).Draw(t, "value")
		}
		return g.compared(t, a, ordered, json.Number(v), v)
	case "dateTime":
		at, err := time.Parse(time.RFC3339Nano, rapid.SampledFrom(g.values[leaf.path]).Draw(t, "value"))
		if err != nil {
			panic(err)
		}
		at = at.Add(time.Duration(rapid.SampledFrom([]int64{0, 0, 0, 1, -1, 1000, 1e9}).Draw(t, "shift")))
		at = at.In(time.FixedZone("", rapid.SampledFrom([]int{0, 3600, -5400}).Draw(t, "zone")))
		return g.compared(t, a, ordered, at, `"`+at.Format(time.RFC3339Nano)+`"`)
	}
	ops := append(textual, "gt", "ge", "lt", "le")
	if leaf.Type == "binary" {
		ops = textual
	}
	v := g.text(t, leaf.path)
	return g.compared(t, a, ops, v, quote(t, v))
}

func (g filterMaker) compared(t *rapid.T, a asked, ops []string, value any, written string) oracle {
	op := rapid.SampledFrom(ops).Draw(t, "op")
	spelled := op
	if rapid.IntRange(0, 4).Draw(t, "capital") == 4 {
		spelled = strings.ToUpper(op[:1]) + op[1:]
	}
	return compared{a, op, value, spelled + " " + written}
}

// text draws what an attribute is compared with: mostly a value that some resource
// has, a part of it, or it in another case.
func (g filterMaker) text(t *rapid.T, path string) string {
	from := trickyTexts
	if seen := g.values[path]; len(seen) > 0 && rapid.IntRange(0, 4).Draw(t, "from") > 0 {
		from = seen
	}
	s := []rune(rapid.SampledFrom(from).Draw(t, "value"))
	i, j := 0, len(s)
	switch rapid.IntRange(0, 7).Draw(t, "part") {
	case 3:
		return strings.ToUpper(string(s))
	case 4:
		return swapCase(string(s))
	case 5:
		j = rapid.IntRange(0, len(s)).Draw(t, "end")
	case 6:
		i = rapid.IntRange(0, len(s)).Draw(t, "begin")
	case 7:
		i = rapid.IntRange(0, len(s)).Draw(t, "begin")
		j = rapid.IntRange(i, len(s)).Draw(t, "end")
	}
	return string(s[i:j])
}

// quote writes a text as a string of JSON in one of its forms, or as a bare word.
func quote(t *rapid.T, s string) string {
	plain := strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_@.0123456789") == "" && s != ""
	switch how := rapid.IntRange(0, 3).Draw(t, "quotes"); {
	case how == 3 && plain && strings.Trim(s, "0123456789-.eE") != "" && !slices.Contains([]string{"true", "false", "null"}, strings.ToLower(s)) && s[0] != '.':
		return s
	case how == 2:
		var b strings.Builder
		b.WriteByte('"')
		for _, r := range s {
			if r > 0xffff {
				r -= 0x10000
				fmt.Fprintf(&b, `\u%04x\u%04X`, 0xd800+r>>10, 0xdc00+r&0x3ff)
			} else {
				fmt.Fprintf(&b, `\u%04x`, r)
			}
		}
		return b.String() + `"`
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}
