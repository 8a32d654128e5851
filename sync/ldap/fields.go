package ldap

import "github.com/provost-scim/provost/store"

// userFields are the SCIM attributes of users that can be mapped, and how a value
// gets in. Those without a function are handled by the plan.
var userFields = map[string]func(*store.Entry, []string){
	"externalId": nil,
	"active":     nil,

	"userName":          text(func(a *store.Attributes) *string { return &a.UserName }),
	"displayName":       text(func(a *store.Attributes) *string { return &a.DisplayName }),
	"nickName":          text(func(a *store.Attributes) *string { return &a.NickName }),
	"profileUrl":        text(func(a *store.Attributes) *string { return &a.ProfileURL }),
	"title":             text(func(a *store.Attributes) *string { return &a.Title }),
	"userType":          text(func(a *store.Attributes) *string { return &a.UserType }),
	"preferredLanguage": text(func(a *store.Attributes) *string { return &a.PreferredLanguage }),
	"locale":            text(func(a *store.Attributes) *string { return &a.Locale }),
	"timezone":          text(func(a *store.Attributes) *string { return &a.Timezone }),

	"name.formatted":       text(func(a *store.Attributes) *string { return &name(a).Formatted }),
	"name.familyName":      text(func(a *store.Attributes) *string { return &name(a).FamilyName }),
	"name.givenName":       text(func(a *store.Attributes) *string { return &name(a).GivenName }),
	"name.middleName":      text(func(a *store.Attributes) *string { return &name(a).MiddleName }),
	"name.honorificPrefix": text(func(a *store.Attributes) *string { return &name(a).HonorificPrefix }),
	"name.honorificSuffix": text(func(a *store.Attributes) *string { return &name(a).HonorificSuffix }),

	"emails.work":  values("work", func(a *store.Attributes) *[]store.Value { return &a.Emails }),
	"emails.home":  values("home", func(a *store.Attributes) *[]store.Value { return &a.Emails }),
	"emails.other": values("other", func(a *store.Attributes) *[]store.Value { return &a.Emails }),

	"phoneNumbers.work":   values("work", func(a *store.Attributes) *[]store.Value { return &a.PhoneNumbers }),
	"phoneNumbers.mobile": values("mobile", func(a *store.Attributes) *[]store.Value { return &a.PhoneNumbers }),
	"phoneNumbers.home":   values("home", func(a *store.Attributes) *[]store.Value { return &a.PhoneNumbers }),
	"phoneNumbers.fax":    values("fax", func(a *store.Attributes) *[]store.Value { return &a.PhoneNumbers }),
	"phoneNumbers.pager":  values("pager", func(a *store.Attributes) *[]store.Value { return &a.PhoneNumbers }),
	"phoneNumbers.other":  values("other", func(a *store.Attributes) *[]store.Value { return &a.PhoneNumbers }),

	"addresses.work.formatted":     text(func(a *store.Attributes) *string { return &address(a).Formatted }),
	"addresses.work.streetAddress": text(func(a *store.Attributes) *string { return &address(a).StreetAddress }),
	"addresses.work.locality":      text(func(a *store.Attributes) *string { return &address(a).Locality }),
	"addresses.work.region":        text(func(a *store.Attributes) *string { return &address(a).Region }),
	"addresses.work.postalCode":    text(func(a *store.Attributes) *string { return &address(a).PostalCode }),
	"addresses.work.country":       text(func(a *store.Attributes) *string { return &address(a).Country }),

	enterprise + "employeeNumber": text(func(a *store.Attributes) *string { return &extension(a).EmployeeNumber }),
	enterprise + "costCenter":     text(func(a *store.Attributes) *string { return &extension(a).CostCenter }),
	enterprise + "organization":   text(func(a *store.Attributes) *string { return &extension(a).Organization }),
	enterprise + "division":       text(func(a *store.Attributes) *string { return &extension(a).Division }),
	enterprise + "department":     text(func(a *store.Attributes) *string { return &extension(a).Department }),
	enterprise + "manager":        func(e *store.Entry, values []string) { e.ManagerDN = values[0] },
}

// groupFields are those of groups.
var groupFields = map[string]func(*store.Entry, []string){
	"group.members":     nil,
	"group.memberNames": nil,
	"group.displayName": func(e *store.Entry, values []string) { e.DisplayName = values[0] },
	"group.description": func(e *store.Entry, values []string) { e.Description = values[0] },
}

// text takes the first value. LDAP does not order values, but servers keep the
// order in which they were written.
func text(field func(*store.Attributes) *string) func(*store.Entry, []string) {
	return func(e *store.Entry, values []string) { *field(&e.Attributes) = values[0] }
}

func values(kind string, field func(*store.Attributes) *[]store.Value) func(*store.Entry, []string) {
	return func(e *store.Entry, values []string) {
		list := field(&e.Attributes)
		for _, v := range values {
			*list = append(*list, store.Value{Value: v, Type: kind})
		}
	}
}

func name(a *store.Attributes) *store.Name {
	if a.Name == nil {
		a.Name = &store.Name{}
	}
	return a.Name
}

func address(a *store.Attributes) *store.Address {
	if len(a.Addresses) == 0 {
		a.Addresses = []store.Address{{Type: "work"}}
	}
	return &a.Addresses[0]
}

func extension(a *store.Attributes) *store.Enterprise {
	if a.Enterprise == nil {
		a.Enterprise = &store.Enterprise{}
	}
	return a.Enterprise
}
