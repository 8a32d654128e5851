package admin

import (
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// amend puts the attributes that are given over those that are. An object or a
// list that is given replaces the old one.
func amend(a *store.Attributes, in *openapi.UserInput) error {
	for _, f := range []struct {
		to   *string
		from *string
	}{
		{&a.UserName, in.UserName}, {&a.DisplayName, in.DisplayName}, {&a.NickName, in.NickName},
		{&a.ProfileURL, in.ProfileURL}, {&a.Title, in.Title}, {&a.UserType, in.UserType},
		{&a.PreferredLanguage, in.PreferredLanguage}, {&a.Locale, in.Locale}, {&a.Timezone, in.Timezone},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	for _, f := range []struct {
		name string
		to   *[]store.Value
		from *openapi.Values
	}{
		{"emails", &a.Emails, in.Emails}, {"phone_numbers", &a.PhoneNumbers, in.PhoneNumbers}, {"ims", &a.IMs, in.Ims},
		{"photos", &a.Photos, in.Photos}, {"entitlements", &a.Entitlements, in.Entitlements}, {"roles", &a.Roles, in.Roles},
		{"x509_certificates", &a.X509Certificates, in.X509Certificates},
	} {
		if f.from == nil {
			continue
		}
		values, err := readValues(f.name, *f.from)
		if err != nil {
			return err
		}
		*f.to = values
	}
	if in.Name != nil {
		a.Name = nil
		if *in.Name != (openapi.Name{}) {
			n := store.Name(*in.Name)
			a.Name = &n
		}
	}
	if in.Enterprise != nil {
		a.Enterprise = readEnterprise(in.Enterprise)
	}
	if in.Addresses != nil {
		return readAddresses(a, *in.Addresses)
	}
	return nil
}

// readValues refuses what RFC 7643 section 2.4 does: a value that is empty, and two
// primary ones.
func readValues(field string, in openapi.Values) ([]store.Value, error) {
	var out []store.Value
	primary := false
	for _, v := range in {
		if v.Value == "" {
			return nil, invalid(field, "", "%s has an element without a value", field)
		}
		if v.Primary && primary {
			return nil, invalid(field, "mark one only", "%s has two primary elements", field)
		}
		primary = primary || v.Primary
		out = append(out, store.Value(v))
	}
	return out, nil
}

func readAddresses(a *store.Attributes, in openapi.Addresses) error {
	a.Addresses = nil
	primary := false
	for _, v := range in {
		if v.Primary && primary {
			return invalid("addresses", "mark one only", "addresses has two primary elements")
		}
		primary = primary || v.Primary
		a.Addresses = append(a.Addresses, store.Address(v))
	}
	return nil
}

func readEnterprise(in *openapi.Enterprise) *store.Enterprise {
	if *in == (openapi.Enterprise{}) {
		return nil
	}
	e := &store.Enterprise{
		EmployeeNumber: in.EmployeeNumber, CostCenter: in.CostCenter, Organization: in.Organization,
		Division: in.Division, Department: in.Department,
	}
	if in.Manager != nil && *in.Manager != (openapi.Manager{}) {
		m := store.Manager(*in.Manager)
		e.Manager = &m
	}
	return e
}

// renderAttributes writes a user's attributes into an answer.
func renderAttributes(out *openapi.User, a *store.Attributes) {
	out.UserName, out.DisplayName, out.NickName, out.ProfileURL = a.UserName, a.DisplayName, a.NickName, a.ProfileURL
	out.Title, out.UserType, out.PreferredLanguage = a.Title, a.UserType, a.PreferredLanguage
	out.Locale, out.Timezone, out.Email = a.Locale, a.Timezone, a.PrimaryEmail()
	if a.Name != nil {
		n := openapi.Name(*a.Name)
		out.Name = &n
	}
	out.Emails, out.PhoneNumbers, out.Ims = renderValues(a.Emails), renderValues(a.PhoneNumbers), renderValues(a.IMs)
	out.Photos, out.Entitlements, out.Roles = renderValues(a.Photos), renderValues(a.Entitlements), renderValues(a.Roles)
	out.X509Certificates = renderValues(a.X509Certificates)
	if len(a.Addresses) > 0 {
		list := make(openapi.Addresses, len(a.Addresses))
		for i := range a.Addresses {
			list[i] = openapi.Address(a.Addresses[i])
		}
		out.Addresses = &list
	}
	if e := a.Enterprise; e != nil {
		out.Enterprise = &openapi.Enterprise{
			EmployeeNumber: e.EmployeeNumber, CostCenter: e.CostCenter, Organization: e.Organization,
			Division: e.Division, Department: e.Department,
		}
		if e.Manager != nil {
			m := openapi.Manager(*e.Manager)
			out.Enterprise.Manager = &m
		}
	}
}

func renderValues(values []store.Value) *openapi.Values {
	if len(values) == 0 {
		return nil
	}
	list := make(openapi.Values, len(values))
	for i := range values {
		list[i] = openapi.Value(values[i])
	}
	return &list
}
