package gormstore

import (
	"strings"

	"github.com/provost-scim/provost/store"
)

const (
	// URNs of the schemas that records have (RFC 7643 section 8.7).
	coreUser  = "urn:ietf:params:scim:schemas:core:2.0:User"
	coreGroup = "urn:ietf:params:scim:schemas:core:2.0:Group"
	// provostGroup begins the paths of Provost's extension of a Group.
	provostGroup = "urn:provost:params:scim:schemas:extension:1.0:Group:"
)

// recordFields is what a filter may look at in one kind of record: the allow-list.
type recordFields struct {
	kind         store.Kind
	table, alias string
	name         store.Field // by which a directory has one live record at most
	fields       map[store.Field]field
	elements     map[store.Field]bool    // attributes with elements in user_value
	links        map[store.Field][]*link // attributes whose elements are other records
}

// field is one attribute in SQL. What it says is never null. It is not asked for ne,
// which is always the opposite of eq.
type field interface {
	compare(*compiler, store.Compare) (string, error)
	has(*compiler) (string, error)
}

var (
	userRecords  = userFields()
	groupRecords = groupFields()
)

func userFields() *recordFields {
	r := &recordFields{
		kind: store.KindUser, table: "users", alias: "u", name: "userName",
		fields: map[store.Field]field{
			"id":                          identifier{"u.public_id"},
			"externalId":                  sparse{exact{"u.external_id"}},
			"userName":                    folded{"u.user_name_folded"},
			"displayName":                 folded{"u.display_name_folded"},
			"name.givenName":              folded{"u.given_name_folded"},
			"name.familyName":             folded{"u.family_name_folded"},
			"title":                       folded{"u.title_folded"},
			"userType":                    folded{"u.user_type_folded"},
			enterprise + "department":     folded{"u.department_folded"},
			enterprise + "employeeNumber": folded{"u.employee_number_folded"},
			enterprise + "manager.value":  exact{"u.manager"},
			enterprise + "manager.$ref":   location{kind: store.KindUser, column: "u.manager", stated: true},
			"active":                      flag{"u.stated"},
			"enabled":                     flag{"u.enabled"},
			"outOfScope":                  flag{"u.out_of_scope"},
			"domain":                      exact{"u.domain"}, // rule 3's
			"published":                   flag{"u.stated AND u.enabled AND NOT u.out_of_scope"},
			"groups":                      linked{"groups", ""},
		},
		elements: map[store.Field]bool{"addresses": true},
		links:    map[store.Field][]*link{"groups": {userGroup}},
	}
	for _, v := range valued {
		attr := store.Field(v.attr)
		r.elements[attr] = true
		isFolded := v.attr != "x509Certificates" && v.attr != "photos" // base64 and URIs have case
		r.fields[attr] = attribute{valueOf{v.attr, "value", isFolded}}
		r.fields[attr+".value"] = valueOf{v.attr, "value", isFolded}
		r.fields[attr+".display"] = valueOf{v.attr, "display", true}
		r.fields[attr+".type"] = typeOf{v.attr}
		r.fields[attr+".primary"] = primaryOf{v.attr}
	}
	for _, p := range addressParts {
		r.fields[store.Field("addresses."+p.sub)] = valueOf{"addresses", p.sub, true}
	}
	r.fields["addresses"] = attribute{valueOf{"addresses", "formatted", true}}
	r.fields["addresses.type"] = typeOf{"addresses"}
	r.fields["addresses.primary"] = primaryOf{"addresses"}
	for _, s := range single {
		r.fields[store.Field(s.path)] = valueOf{s.path, "value", s.path != "profileUrl"}
	}
	r.common(store.KindUser, choice{coreUser, always}, choice{strings.TrimSuffix(enterprise, ":"), anyOf(r.below(enterprise))})
	r.complex("name", enterprise+"manager")
	return r
}

func groupFields() *recordFields {
	r := &recordFields{
		kind: store.KindGroup, table: "groups", alias: "g", name: "displayName",
		fields: map[store.Field]field{
			"id":                            identifier{"g.public_id"},
			"externalId":                    sparse{exact{"g.external_id"}},
			"displayName":                   folded{"g.display_name_folded"},
			provostGroup + "description":    computed{"g.description"},
			provostGroup + "effectiveCount": number{"g.effective_count"},
			provostGroup + "overCap":        flag{"g.over_cap"},
			"outOfScope":                    flag{"g.out_of_scope"},
			"members":                       linked{"members", ""},
		},
		links: map[store.Field][]*link{"members": {memberUser, memberGroup}},
	}
	r.common(store.KindGroup, choice{coreGroup, always}, choice{strings.TrimSuffix(provostGroup, ":"), always})
	return r
}

// common adds the attributes that both kinds have (RFC 7643 section 3.1), and those of
// linked records.
func (r *recordFields) common(kind store.Kind, schemas ...choice) {
	a := r.alias + "."
	r.fields["schemas"] = oneOf{schemas, true}
	r.fields["meta.resourceType"] = oneOf{[]choice{{string(kind), always}}, false}
	r.fields["meta.created"] = moments{a + "created_at"}
	r.fields["meta.lastModified"] = moments{a + "modified_at"}
	r.fields["meta.location"] = location{kind: kind, column: a + "public_id"}
	r.fields["meta.version"] = computed{`('W/"' || CAST(` + a + `version AS text) || '"')`}
	r.complex("meta")
	for attr, links := range r.links {
		for sub := range links[0].fields {
			r.fields[attr+"."+store.Field(sub)] = linked{attr, sub}
		}
	}
}

// complex adds attributes with one value that have sub-attributes.
func (r *recordFields) complex(names ...store.Field) {
	for _, name := range names {
		r.fields[name] = complexOf{r.below(string(name) + ".")}
	}
}

// below are the fields whose paths begin with a prefix, in their order.
func (r *recordFields) below(prefix string) []field {
	var out []field
	for _, name := range sorted(r.fields) {
		if strings.HasPrefix(string(name), prefix) {
			out = append(out, r.fields[name])
		}
	}
	return out
}
