package reconcile

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/provost-scim/provost/store"
)

// Bounds of what one record may hold. Names are bounded folded, because that is
// what is indexed.
const (
	maxName     = 1024      // bytes of a folded userName, displayName, externalId or email
	maxValue    = 64 << 10  // bytes of any other single value
	maxElements = 200       // elements of one multi-valued attribute
	maxRecord   = 256 << 10 // bytes of all values of one user together
)

// checkUser bounds a stated user. Types and forms have been checked by the way in;
// this is what every way in shares.
func checkUser(s *store.UserStatement) *store.Error {
	a := &s.Attributes
	if strings.TrimSpace(a.UserName) == "" {
		return invalid("userName", "userName is required and must not be blank")
	}
	if err := checkName("userName", a.UserName); err != nil {
		return err
	}
	if err := checkPrecis(a.UserName); err != nil {
		return err
	}
	if err := checkName("externalId", s.ExternalID); err != nil {
		return err
	}
	for _, e := range a.Emails {
		if err := checkName("emails.value", e.Value); err != nil {
			return err
		}
	}
	total := 0
	for _, f := range singleValues(a) {
		if err := checkValue(f.name, f.value, &total); err != nil {
			return err
		}
	}
	for _, l := range listValues(a) {
		if len(l.values) > maxElements {
			return invalid(l.name, "%s has %d elements; at most %d are kept", l.name, len(l.values), maxElements)
		}
		for _, v := range l.values {
			for _, part := range []string{v.Value, v.Display, v.Type} {
				if err := checkValue(l.name, part, &total); err != nil {
					return err
				}
			}
		}
	}
	if len(a.Addresses) > maxElements {
		return invalid("addresses", "addresses has %d elements; at most %d are kept", len(a.Addresses), maxElements)
	}
	for _, v := range a.Addresses {
		for _, part := range []string{v.Formatted, v.StreetAddress, v.Locality, v.Region, v.PostalCode, v.Country, v.Type} {
			if err := checkValue("addresses", part, &total); err != nil {
				return err
			}
		}
	}
	if total > maxRecord {
		return invalid("", "the user's attributes take %d bytes together; at most %d are kept", total, maxRecord)
	}
	return nil
}

func checkGroup(s *store.GroupStatement) *store.Error {
	if s.DisplayName != nil {
		if strings.TrimSpace(*s.DisplayName) == "" {
			return invalid("displayName", "displayName is required and must not be blank")
		}
		if err := checkName("displayName", *s.DisplayName); err != nil {
			return err
		}
		if strings.ContainsFunc(*s.DisplayName, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) }) {
			return invalid("displayName", "displayName contains a control character")
		}
	}
	total := 0
	if s.ExternalID != nil {
		if err := checkName("externalId", *s.ExternalID); err != nil {
			return err
		}
	}
	if s.Description != nil {
		return checkValue("description", *s.Description, &total)
	}
	return nil
}

// checkPrecis refuses of user names what RFC 8265 section 3 does, as RFC 7644 section 5
// asks, where it would make names that nobody can tell apart: white space at the ends,
// control characters, and characters that are not seen.
func checkPrecis(name string) *store.Error {
	if strings.TrimSpace(name) != name {
		return invalid("userName", "userName %q begins or ends with white space; send it without", name)
	}
	for _, r := range name {
		switch {
		case unicode.IsControl(r):
			return invalid("userName", "userName %q contains a control character", name)
		case invisible(r):
			return invalid("userName", "userName %q contains U+%04X, which is not seen; send it without", name, r)
		}
	}
	return nil
}

// invisible reports whether a character is not seen, such as a space of no width or the
// mark of a direction. The two joiners are part of words in some scripts.
func invisible(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return r != nonJoiner && r != joiner && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) &&
		unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point)
}

func checkName(field, v string) *store.Error {
	if len(v) > maxName || len(store.Fold(v)) > maxName {
		return invalid(field, "%s is longer than %d bytes", field, maxName)
	}
	return checkText(field, v)
}

func checkValue(field, v string, total *int) *store.Error {
	if len(v) > maxValue {
		return invalid(field, "%s is longer than %d bytes", field, maxValue)
	}
	*total += len(v)
	return checkText(field, v)
}

// checkText refuses what a database cannot hold.
func checkText(field, v string) *store.Error {
	if strings.IndexByte(v, 0) >= 0 {
		return invalid(field, "%s contains a NUL character", field)
	}
	if !utf8.ValidString(v) {
		return invalid(field, "%s is not valid UTF-8", field)
	}
	return nil
}

func invalid(field, format string, args ...any) *store.Error {
	e := store.Errorf(store.CodeInvalid, format, args...)
	e.Field = field
	return e
}

type single struct{ name, value string }

func singleValues(a *store.Attributes) []single {
	out := []single{
		{"displayName", a.DisplayName}, {"nickName", a.NickName}, {"profileUrl", a.ProfileURL},
		{"title", a.Title}, {"userType", a.UserType}, {"preferredLanguage", a.PreferredLanguage},
		{"locale", a.Locale}, {"timezone", a.Timezone},
	}
	if n := a.Name; n != nil {
		out = append(out, single{"name.formatted", n.Formatted}, single{"name.familyName", n.FamilyName},
			single{"name.givenName", n.GivenName}, single{"name.middleName", n.MiddleName},
			single{"name.honorificPrefix", n.HonorificPrefix}, single{"name.honorificSuffix", n.HonorificSuffix})
	}
	if e := a.Enterprise; e != nil {
		out = append(out, single{"employeeNumber", e.EmployeeNumber}, single{"costCenter", e.CostCenter},
			single{"organization", e.Organization}, single{"division", e.Division}, single{"department", e.Department})
		if e.Manager != nil {
			out = append(out, single{"manager.value", e.Manager.Value}, single{"manager.displayName", e.Manager.DisplayName})
		}
	}
	return out
}

type listed struct {
	name   string
	values []store.Value
}

func listValues(a *store.Attributes) []listed {
	return []listed{
		{"emails", a.Emails}, {"phoneNumbers", a.PhoneNumbers}, {"ims", a.IMs}, {"photos", a.Photos},
		{"entitlements", a.Entitlements}, {"roles", a.Roles}, {"x509Certificates", a.X509Certificates},
	}
}
