package ldap

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// LDAP attributes whose values are not what they map to.
const (
	attrObjectGUID         = "objectGUID"
	attrObjectSid          = "objectSid"
	attrPrimaryGroupID     = "primaryGroupID"
	attrUserAccountControl = "userAccountControl"
	attrAccountLockedTime  = "pwdAccountLockedTime"
)

const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:"

// mapping says from which LDAP attributes each SCIM attribute comes. Of
// alternatives the first that has a value is taken; of "active" and
// "group.members" all count.
type mapping map[string][]attribute

// attribute is one LDAP attribute of a mapping; not turns the meaning of a
// boolean around.
type attribute struct {
	name string
	not  bool
}

// preset is how a kind of server is read when nothing else is said.
type preset struct {
	userFilter  string
	groupFilter string
	attributes  map[string]string
	aliases     map[string]string // see [secondNames]; Active Directory has none
}

var presets = map[string]preset{
	"openldap": {
		userFilter:  "(objectClass=inetOrgPerson)",
		groupFilter: "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))",
		attributes: map[string]string{
			"externalId":                  "entryUUID",
			"userName":                    "uid",
			"active":                      attrAccountLockedTime + "|!nsAccountLock",
			"name.givenName":              "givenName",
			"name.familyName":             "sn",
			"displayName":                 "displayName|cn",
			"emails.work":                 "mail",
			"phoneNumbers.work":           "telephoneNumber",
			"phoneNumbers.mobile":         "mobile",
			"title":                       "title",
			enterprise + "department":     "departmentNumber|department",
			enterprise + "employeeNumber": "employeeNumber",
			enterprise + "manager":        "manager",
			"group.displayName":           "cn",
			"group.description":           "description",
			"group.members":               "member|uniqueMember",
			"group.memberNames":           "memberUid",
		},
		aliases: secondNames,
	},
	// Computers and managed service accounts are of class user but not of category
	// person. What is isCriticalSystemObject belongs to the system itself.
	"active_directory": {
		userFilter:  "(&(objectCategory=person)(objectClass=user)(!(isCriticalSystemObject=TRUE)))",
		groupFilter: "(&(objectCategory=group)(!(isCriticalSystemObject=TRUE)))",
		attributes: map[string]string{
			"externalId":                  attrObjectGUID,
			"userName":                    "userPrincipalName|sAMAccountName",
			"active":                      attrUserAccountControl,
			"name.givenName":              "givenName",
			"name.familyName":             "sn",
			"displayName":                 "displayName|cn",
			"emails.work":                 "mail",
			"phoneNumbers.work":           "telephoneNumber",
			"phoneNumbers.mobile":         "mobile",
			"title":                       "title",
			enterprise + "department":     "department",
			enterprise + "employeeNumber": "employeeID|employeeNumber",
			enterprise + "manager":        "manager",
			"group.displayName":           "cn",
			"group.description":           "description",
			"group.members":               "member",
			"primaryGroup":                attrPrimaryGroupID,
			"sid":                         attrObjectSid,
		},
	},
}

// attributeName is RFC 4512 section 2.5 without options; underscores occur.
var attributeName = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9_-]{0,127}|[0-9]+(?:\.[0-9]+)+)$`)

// secondNames are second names of attributes (RFC 4519, RFC 4524): servers answer
// with the first name, whichever was asked for.
var secondNames = map[string]string{
	"surname": "sn", "commonname": "cn", "userid": "uid", "rfc822mailbox": "mail",
	"mobiletelephonenumber": "mobile", "organizationname": "o", "organizationalunitname": "ou",
	"localityname": "l", "stateorprovincename": "st", "streetaddress": "street", "gn": "givenName",
	"homephone": "homePhone", "hometelephonenumber": "homePhone", "pagertelephonenumber": "pager",
	"fax": "facsimileTelephoneNumber", "countryname": "c",
}

// with returns the preset's mapping with an administrator's overrides. A value
// names an LDAP attribute, or alternatives separated by "|"; an empty value
// leaves the SCIM attribute out.
func (p preset) with(overrides map[string]string) (mapping, error) {
	texts := maps.Clone(p.attributes)
	for name, text := range overrides {
		key, ok := mappable[strings.ToLower(name)]
		if !ok {
			return nil, invalid("attributes", "attributes that can be mapped: "+strings.Join(mappableNames(), ", "),
				"attributes: %q is not an attribute that can be mapped", name)
		}
		if text == "" && required[key] {
			return nil, invalid("attributes", "", "attributes: %s cannot be left out", key)
		}
		texts[key] = text
	}
	m := mapping{}
	for key, text := range texts {
		if text == "" {
			continue
		}
		for alternative := range strings.SplitSeq(text, "|") {
			name, not := strings.TrimSpace(alternative), false
			if key == "active" {
				name, not = strings.CutPrefix(name, "!")
			}
			if !attributeName.MatchString(name) {
				return nil, invalid("attributes", "name an LDAP attribute, or several with | in between, the first that has a value is taken",
					"attributes: %q of %s is not the name of an LDAP attribute", alternative, key)
			}
			if first, ok := p.aliases[strings.ToLower(name)]; ok {
				name = first
			}
			m[key] = append(m[key], attribute{name, not})
		}
		if key == "externalId" && len(m[key]) != 1 {
			return nil, invalid("attributes", "one attribute must identify every user and group, for ever", "attributes: externalId must be one LDAP attribute")
		}
	}
	return m, nil
}

// required are the SCIM attributes without which there is no record.
var required = map[string]bool{"externalId": true, "userName": true, "group.displayName": true}

// mappable holds the names of SCIM attributes as overrides write them, by their
// lower-case form.
var mappable = func() map[string]string {
	names := map[string]string{}
	for name := range userFields {
		names[strings.ToLower(name)] = name
	}
	for name := range groupFields {
		names[strings.ToLower(name)] = name
	}
	// The enterprise attributes may be written without their schema.
	for name := range userFields {
		if short, ok := strings.CutPrefix(name, enterprise); ok {
			names[strings.ToLower(short)] = name
		}
	}
	return names
}()

func mappableNames() []string {
	all := slices.Collect(maps.Values(mappable))
	slices.Sort(all)
	return slices.Compact(all)
}
