package gormstore

import (
	"reflect"
	"unicode/utf8"

	"github.com/provost-scim/provost/store"
)

const (
	// enterprise begins the paths of the enterprise extension (RFC 7643 section 4.3).
	enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:"
	// foldKeyBytes bounds what an index holds of a value.
	foldKeyBytes = 256
)

var valueColumns = []string{"org_id", "user_id", "attr", "sub", "ord", "text", "folded", "fold_key", "type_folded", "is_primary"}

// valued are the attributes of RFC 7643 section 4.1.2 whose elements have a value,
// a display, a type and a primary.
var valued = []struct {
	attr string
	of   func(*store.Attributes) []store.Value
}{
	{"emails", func(a *store.Attributes) []store.Value { return a.Emails }},
	{"phoneNumbers", func(a *store.Attributes) []store.Value { return a.PhoneNumbers }},
	{"ims", func(a *store.Attributes) []store.Value { return a.IMs }},
	{"photos", func(a *store.Attributes) []store.Value { return a.Photos }},
	{"entitlements", func(a *store.Attributes) []store.Value { return a.Entitlements }},
	{"roles", func(a *store.Attributes) []store.Value { return a.Roles }},
	{"x509Certificates", func(a *store.Attributes) []store.Value { return a.X509Certificates }},
}

// single are the attributes with one value that have no column of their own.
var single = []struct {
	path string
	of   func(*store.Attributes) string
}{
	{"nickName", func(a *store.Attributes) string { return a.NickName }},
	{"profileUrl", func(a *store.Attributes) string { return a.ProfileURL }},
	{"preferredLanguage", func(a *store.Attributes) string { return a.PreferredLanguage }},
	{"locale", func(a *store.Attributes) string { return a.Locale }},
	{"timezone", func(a *store.Attributes) string { return a.Timezone }},
	{"name.formatted", func(a *store.Attributes) string { return name(a).Formatted }},
	{"name.middleName", func(a *store.Attributes) string { return name(a).MiddleName }},
	{"name.honorificPrefix", func(a *store.Attributes) string { return name(a).HonorificPrefix }},
	{"name.honorificSuffix", func(a *store.Attributes) string { return name(a).HonorificSuffix }},
	{enterprise + "costCenter", func(a *store.Attributes) string { return extension(a).CostCenter }},
	{enterprise + "organization", func(a *store.Attributes) string { return extension(a).Organization }},
	{enterprise + "division", func(a *store.Attributes) string { return extension(a).Division }},
	{enterprise + "manager.displayName", func(a *store.Attributes) string {
		if m := extension(a).Manager; m != nil {
			return m.DisplayName
		}
		return ""
	}},
}

func name(a *store.Attributes) store.Name {
	if a.Name == nil {
		return store.Name{}
	}
	return *a.Name
}

func extension(a *store.Attributes) store.Enterprise {
	if a.Enterprise == nil {
		return store.Enterprise{}
	}
	return *a.Enterprise
}

// addressParts are the sub-attributes of addresses that are texts, but for type.
var addressParts = []struct {
	sub string
	of  func(*store.Address) string
}{
	{"formatted", func(a *store.Address) string { return a.Formatted }},
	{"streetAddress", func(a *store.Address) string { return a.StreetAddress }},
	{"locality", func(a *store.Address) string { return a.Locality }},
	{"region", func(a *store.Address) string { return a.Region }},
	{"postalCode", func(a *store.Address) string { return a.PostalCode }},
	{"country", func(a *store.Address) string { return a.Country }},
}

// valueRows are the rows of user_value that filters look at for one user. Each
// element has at least one row, so that its type and primary can be found.
func valueRows(u *store.User) [][]any {
	var rows [][]any
	add := func(attr, sub string, ord int, text, kind string, primary bool) {
		folded := store.Fold(text)
		rows = append(rows, []any{u.Org, u.Key, attr, sub, ord, text, folded, foldKey(folded), kind, primary})
	}
	a := &u.Attributes
	for _, v := range valued {
		for i, e := range v.of(a) {
			kind := store.Fold(e.Type)
			add(v.attr, "value", i, e.Value, kind, e.Primary)
			if e.Display != "" {
				add(v.attr, "display", i, e.Display, kind, e.Primary)
			}
		}
	}
	for i := range a.Addresses {
		e := &a.Addresses[i]
		kind, before := store.Fold(e.Type), len(rows)
		for _, p := range addressParts {
			if text := p.of(e); text != "" {
				add("addresses", p.sub, i, text, kind, e.Primary)
			}
		}
		if len(rows) == before {
			add("addresses", "formatted", i, "", kind, e.Primary)
		}
	}
	for _, s := range single {
		if text := s.of(a); text != "" {
			add(s.path, "value", 0, text, "", false)
		}
	}
	return rows
}

// foldKey is the beginning of a fold that is indexed, cut between two characters.
func foldKey(folded string) string {
	if len(folded) <= foldKeyBytes {
		return folded
	}
	n := foldKeyBytes
	for n > 0 && !utf8.RuneStart(folded[n]) {
		n--
	}
	return folded[:n]
}

// sameValues reports whether two states of a user have the same rows in user_value.
func sameValues(a, b *store.Attributes) bool {
	for _, v := range valued {
		if !reflect.DeepEqual(v.of(a), v.of(b)) {
			return false
		}
	}
	for _, s := range single {
		if s.of(a) != s.of(b) {
			return false
		}
	}
	return reflect.DeepEqual(a.Addresses, b.Addresses)
}
