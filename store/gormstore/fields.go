package gormstore

import (
	"fmt"
	"strings"

	"github.com/provost-scim/provost/store"
)

// provostGroup begins the paths of Provost's extension of a Group.
const provostGroup = "urn:provost:params:scim:schemas:extension:1.0:Group:"

// recordFields is what a filter may look at in one kind of record: the allow-list.
type recordFields struct {
	kind         store.Kind
	table, alias string
	fields       map[store.Field]field
	elements     map[store.Field]bool // attributes with elements in user_value
	linked       map[store.Field]bool // attributes whose elements are other records
}

// field is one attribute in SQL.
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
		kind: store.KindUser, table: "users", alias: "u",
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
			enterprise + "manager":        exact{"u.manager"},
			enterprise + "manager.value":  exact{"u.manager"},
			"active":                      flag{"u.stated"},
			"enabled":                     flag{"u.enabled"},
			"published":                   flag{"u.stated AND u.enabled AND NOT u.out_of_scope"},
			"meta.created":                moments{"u.created_at"},
			"meta.lastModified":           moments{"u.modified_at"},
			"meta.resourceType":           exact{"'User'"},
			"groups":                      memberOf{},
			"groups.value":                memberOf{},
		},
		elements: map[store.Field]bool{"addresses": true},
		linked:   map[store.Field]bool{"groups": true},
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
	r.fields["name"] = complexOf{r.below("name")}
	return r
}

func groupFields() *recordFields {
	return &recordFields{
		kind: store.KindGroup, table: "groups", alias: "g",
		fields: map[store.Field]field{
			"id":                            identifier{"g.public_id"},
			"externalId":                    sparse{exact{"g.external_id"}},
			"displayName":                   folded{"g.display_name_folded"},
			"meta.created":                  moments{"g.created_at"},
			"meta.lastModified":             moments{"g.modified_at"},
			"meta.resourceType":             exact{"'Group'"},
			provostGroup + "description":    description{},
			provostGroup + "effectiveCount": number{"g.effective_count"},
			provostGroup + "overCap":        flag{"g.over_cap"},
			"members":                       membersOf{},
			"members.value":                 membersOf{},
		},
		linked: map[store.Field]bool{"members": true},
	}
}

// below are the fields of a complex attribute's sub-attributes.
func (r *recordFields) below(attr store.Field) []field {
	var out []field
	for _, name := range sorted(r.fields) {
		if strings.HasPrefix(string(name), string(attr)+".") {
			out = append(out, r.fields[name])
		}
	}
	return out
}

func textValue(c store.Compare) (string, error) {
	if v, ok := c.Value.(string); ok {
		return v, nil
	}
	return "", &store.Error{Code: store.CodeFilter, Message: fmt.Sprintf("%s is compared with text, not with %v", c.Field, c.Value), Field: string(c.Field)}
}

// folded is a column that holds the fold of a text.
type folded struct{ column string }

func (f folded) compare(c *compiler, of store.Compare) (string, error) {
	v, err := textValue(of)
	if err != nil {
		return "", err
	}
	return c.text(f.column, of.Op, store.Fold(v))
}

func (f folded) has(*compiler) (string, error) { return f.column + " <> ''", nil }

// exact is a column whose text is compared as it is.
type exact struct{ column string }

func (f exact) compare(c *compiler, of store.Compare) (string, error) {
	v, err := textValue(of)
	if err != nil {
		return "", err
	}
	return c.text(f.column, of.Op, v)
}

func (f exact) has(*compiler) (string, error) { return f.column + " <> ''", nil }

// sparse is a column whose index leaves out the records that have no value.
type sparse struct{ exact }

func (f sparse) compare(c *compiler, of store.Compare) (string, error) {
	condition, err := f.exact.compare(c, of)
	if err == nil && of.Op == store.Eq {
		condition = "(" + condition + " AND " + f.column + " <> '')"
	}
	return condition, err
}

// identifier is a column with a public id.
type identifier struct{ column string }

func (f identifier) compare(c *compiler, of store.Compare) (string, error) {
	v, err := textValue(of)
	if err != nil {
		return "", err
	}
	if of.Op == store.Eq || of.Op == store.Ne {
		if !store.ValidID(v) {
			return map[store.CompareOp]string{store.Eq: "false", store.Ne: "true"}[of.Op], nil
		}
		c.arg(v)
		return f.column + order[of.Op] + "?", nil
	}
	text := f.column
	if c.s.e.postgres {
		text = "CAST(" + f.column + ` AS text) COLLATE "C"`
	}
	return c.text(text, of.Op, v)
}

func (f identifier) has(*compiler) (string, error) { return "true", nil }

// flag is a boolean expression.
type flag struct{ expr string }

func (f flag) compare(c *compiler, of store.Compare) (string, error) {
	return c.boolean(f.expr, of.Op, of.Value)
}

func (f flag) has(*compiler) (string, error) { return "true", nil }

// moments is a column with a time.
type moments struct{ column string }

func (f moments) compare(c *compiler, of store.Compare) (string, error) {
	return c.moment(f.column, of.Op, of.Value)
}

func (f moments) has(*compiler) (string, error) { return "true", nil }

// valueOf is a text in user_value. Outside of a valuePath it holds for any element;
// ne is the opposite of eq, and so holds where there is none.
type valueOf struct {
	attr, sub string
	fold      bool
}

func (f valueOf) compare(c *compiler, of store.Compare) (string, error) {
	v, err := textValue(of)
	if err != nil {
		return "", err
	}
	op, not := of.Op, ""
	if op == store.Ne {
		op, not = store.Eq, "NOT "
	}
	return f.match(c, not, func(alias string) (string, error) {
		column := alias + ".folded"
		if !f.fold {
			column = alias + ".text"
			if op != store.Eq {
				return c.text(column, op, v)
			}
			c.arg(foldKey(store.Fold(v)), v) // by the index
			return "(" + alias + ".fold_key = ? AND " + column + " = ?)", nil
		}
		v := store.Fold(v)
		if op != store.Eq {
			return c.text(column, op, v)
		}
		c.arg(foldKey(v), v)
		return "(" + alias + ".fold_key = ? AND " + column + " = ?)", nil
	})
}

func (f valueOf) has(c *compiler) (string, error) {
	return f.match(c, "", func(alias string) (string, error) { return alias + ".folded <> ''", nil })
}

// match is the SQL of a row that satisfies a condition: of the element at hand, or of
// the user.
func (f valueOf) match(c *compiler, not string, condition func(alias string) (string, error)) (string, error) {
	if c.element != "" && f.sub == "value" {
		inner, err := condition("e")
		return not + "(" + inner + ")", err
	}
	c.arg(f.attr, f.sub, c.org)
	inner, err := condition("v")
	if err != nil {
		return "", err
	}
	rows := "user_value v WHERE v.attr = ? AND v.sub = ? AND v.org_id = ? AND " + inner
	if c.element != "" {
		return not + "EXISTS (SELECT 1 FROM " + rows + " AND v.user_id = e.user_id AND v.ord = e.ord)", nil
	}
	return "u.id " + not + "IN (SELECT v.user_id FROM " + rows + ")", nil
}

// attribute is a multi-valued attribute as a whole: it is compared by its value and
// present if it has an element.
type attribute struct{ valueOf }

func (f attribute) has(c *compiler) (string, error) {
	return elementOf(c, f.attr, "", func(alias string) (string, error) { return "true", nil })
}

// complexOf is an attribute with sub-attributes and one value.
type complexOf struct{ parts []field }

func (f complexOf) compare(_ *compiler, of store.Compare) (string, error) {
	return "", &store.Error{Code: store.CodeFilter, Message: fmt.Sprintf("%s is compared by its sub-attributes", of.Field), Field: string(of.Field)}
}

func (f complexOf) has(c *compiler) (string, error) {
	parts := make([]string, len(f.parts))
	for i, p := range f.parts {
		var err error
		if parts[i], err = p.has(c); err != nil {
			return "", err
		}
	}
	return "(" + strings.Join(parts, " OR ") + ")", nil
}

// number is a column with an integer.
type number struct{ column string }

func (f number) compare(c *compiler, of store.Compare) (string, error) {
	word, known := order[of.Op]
	if !known {
		return "", unknownOp(of.Op)
	}
	switch v := of.Value.(type) {
	case int64, int:
		c.arg(v)
		return f.column + word + "CAST(? AS bigint)", nil
	case float64:
		c.arg(v)
		return f.column + word + "CAST(? AS double precision)", nil
	}
	return "", store.Errorf(store.CodeFilter, "%s is compared with a number, not with %v", of.Field, of.Value)
}

func (f number) has(*compiler) (string, error) { return "true", nil }

// description is a group's description, which is not folded.
type description struct{}

func (description) compare(c *compiler, of store.Compare) (string, error) {
	column := "g.description"
	if c.s.e.postgres {
		column = `g.description COLLATE "C"`
	}
	return exact{column}.compare(c, of)
}

func (description) has(*compiler) (string, error) { return "g.description <> ''", nil }

// typeOf is the type of an element.
type typeOf struct{ attr string }

func (f typeOf) compare(c *compiler, of store.Compare) (string, error) {
	v, err := textValue(of)
	if err != nil {
		return "", err
	}
	op, not := of.Op, ""
	if op == store.Ne {
		op, not = store.Eq, "NOT "
	}
	return elementOf(c, f.attr, not, func(alias string) (string, error) { return c.text(alias+".type_folded", op, store.Fold(v)) })
}

func (f typeOf) has(c *compiler) (string, error) {
	return elementOf(c, f.attr, "", func(alias string) (string, error) { return alias + ".type_folded <> ''", nil })
}

// primaryOf says whether an element is the primary one.
type primaryOf struct{ attr string }

func (f primaryOf) compare(c *compiler, of store.Compare) (string, error) {
	return elementOf(c, f.attr, "", func(alias string) (string, error) { return c.boolean(alias+".is_primary", of.Op, of.Value) })
}

func (f primaryOf) has(c *compiler) (string, error) {
	return elementOf(c, f.attr, "", func(alias string) (string, error) { return alias + ".is_primary", nil })
}

// elementOf is the SQL of what every row of an element repeats.
func elementOf(c *compiler, attr, not string, condition func(alias string) (string, error)) (string, error) {
	if c.element != "" {
		inner, err := condition("e")
		return not + "(" + inner + ")", err
	}
	c.arg(attr, c.org)
	inner, err := condition("v")
	return "u.id " + not + "IN (SELECT v.user_id FROM user_value v WHERE v.attr = ? AND v.org_id = ? AND " + inner + ")", err
}

// memberOf is the groups in which a user is a published member, by public id.
type memberOf struct{}

const publishedIn = `IN (SELECT ef.user_id FROM effective ef JOIN groups gr ON gr.org_id = ? AND gr.id = ef.group_id
	WHERE ef.published AND gr.deleted_at IS NULL`

func (memberOf) compare(c *compiler, of store.Compare) (string, error) {
	not, value, err := linkedValue(of)
	if err != nil {
		return "", err
	}
	if value == "" {
		return map[string]string{"": "false", "NOT ": "true"}[not], nil
	}
	c.arg(c.org, value)
	return "u.id " + not + publishedIn + " AND gr.public_id = ?)", nil
}

func (memberOf) has(c *compiler) (string, error) {
	c.arg(c.org)
	return "u.id " + publishedIn + ")", nil
}

// membersOf is the stated members of a group, by public id.
type membersOf struct{}

const (
	usersIn = `g.id IN (SELECT m.group_id FROM member m JOIN users mu ON mu.org_id = m.org_id AND mu.id = m.user_id
		WHERE m.org_id = ? AND mu.deleted_at IS NULL`
	groupsIn = `g.id IN (SELECT n.parent_id FROM nest n JOIN groups ng ON ng.org_id = n.org_id AND ng.id = n.child_id
		WHERE n.org_id = ? AND ng.deleted_at IS NULL`
)

func (membersOf) compare(c *compiler, of store.Compare) (string, error) {
	not, value, err := linkedValue(of)
	if err != nil {
		return "", err
	}
	if value == "" {
		return map[string]string{"": "false", "NOT ": "true"}[not], nil
	}
	c.arg(c.org, value, c.org, value)
	return not + "(" + usersIn + " AND mu.public_id = ?) OR " + groupsIn + " AND ng.public_id = ?))", nil
}

func (membersOf) has(c *compiler) (string, error) {
	c.arg(c.org, c.org)
	return "(" + usersIn + ") OR " + groupsIn + "))", nil
}

// linkedValue is the public id that a condition on other records compares with; empty
// if it is none, so that nothing can match.
func linkedValue(of store.Compare) (not, value string, err error) {
	value, err = textValue(of)
	if err != nil {
		return "", "", err
	}
	switch of.Op {
	case store.Eq:
	case store.Ne:
		not = "NOT "
	default:
		return "", "", unknownOp(of.Op)
	}
	if !store.ValidID(value) {
		value = ""
	}
	return not, value, nil
}
