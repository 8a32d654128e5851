package storetest

import (
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

const enterpriseUser = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:"

const base = "https://scim.test/scim/v2"

func op(field store.Field, o store.CompareOp, value any) store.Condition {
	return store.Compare{Field: field, Op: o, Value: value}
}

func not(c store.Condition) store.Condition { return store.Not{Of: c} }

// people are four users that conditions tell apart: ann has everything, bob has two
// emails, carl has nothing, and dora is elsewhere.
func people(e *env) (p *place, ann *store.User, staff *store.Group) {
	p = e.at("alpha")
	ann = p.user("Ann@Corp.test", func(u *store.User) {
		name := u.Attributes.UserName
		fullUser(u)
		u.Attributes.UserName, u.ExternalID = name, "E-100%_x"
		u.Attributes.Emails = []store.Value{{Value: "ann@corp.test", Type: "work", Primary: true}, {Value: "ann@home.test", Type: "home", Display: "at home"}}
		u.Attributes.Title = `50%_\ "x"`
	})
	p.user("bob", func(u *store.User) {
		u.Stated = false
		u.Attributes.DisplayName = "Bob ANNson"
		u.Attributes.Emails = []store.Value{{Value: "bob@corp.test", Type: "home"}, {Value: "ann@corp.test", Type: "other"}}
		u.CreatedAt, u.ModifiedAt = e.now.Add(time.Hour), e.now.Add(2*time.Hour)
	})
	carl := p.user("carl", func(u *store.User) { u.Enabled = false })
	staff = p.group("Staff", ann, carl)
	e.at("beta").user("dora")
	return p, ann, staff
}

var query = map[string]func(*env){
	"users are found by conditions": func(e *env) {
		_, ann, staff := people(e)
		const a, b, c, d = "ann", "bob", "carl", "dora"
		for _, tt := range []struct {
			name string
			of   store.Condition
			want []string
		}{
			{"userName eq in any case", is("userName", "ANN@corp.TEST"), []string{a}},
			{"userName ne", op("userName", store.Ne, "bob"), []string{a, c, d}},
			{"userName sw", op("userName", store.StartsWith, "A"), []string{a}},
			{"userName ew", op("userName", store.EndsWith, "RL"), []string{c}},
			{"ew of a text longer than the value", op("userName", store.EndsWith, strings.Repeat("x", 20)+"bob"), nil},
			{"userName co", op("userName", store.Contains, "O"), []string{a, b, d}},
			{"userName gt", op("userName", store.Greater, "bob"), []string{c, d}},
			{"userName ge", op("userName", store.AtLeast, "bob"), []string{b, c, d}},
			{"userName le", op("userName", store.AtMost, "bob"), []string{a, b}},
			{"wildcards are letters: per cent", op("title", store.Contains, "0%_"), []string{a}},
			{"wildcards are letters: none", op("title", store.Contains, "5%x"), nil},
			{"backslash and quotes", op("title", store.EndsWith, `\ "X"`), []string{a}},
			{"externalId is exact", is("externalId", "E-100%_x"), []string{a}},
			{"externalId in another case", is("externalId", "e-100%_x"), nil},
			{"externalId sw in another case", op("externalId", store.StartsWith, "e-"), nil},
			{"externalId co in another case", op("externalId", store.Contains, "e-1"), nil},
			{"externalId ew", op("externalId", store.EndsWith, "_x"), []string{a}},
			{"id eq", is("id", string(ann.ID)), []string{a}},
			{"id ne", op("id", store.Ne, string(ann.ID)), []string{b, c, d}},
			{"id of no form", is("id", "'; DROP TABLE users; --"), nil},
			{"ne of an absent attribute", op("displayName", store.Ne, "x"), []string{a, b, c, d}},
			{"not eq of an absent attribute", not(is("title", "x")), []string{a, b, c, d}},
			{"lt of an absent attribute", op("displayName", store.Less, "zz"), []string{a, b}},
			{"pr", store.Has{Field: "displayName"}, []string{a, b}},
			{"not pr", not(store.Has{Field: "displayName"}), []string{c, d}},
			{"pr of a complex attribute", store.Has{Field: "name"}, []string{a}},
			{"pr of a multi-valued attribute", store.Has{Field: "addresses"}, []string{a}},
			{"name.givenName", is("name.givenName", "BJØRN"), []string{a}},
			{"name.middleName, which has no column", is("name.middleName", "m"), []string{a}},
			{"nickName ne", op("nickName", store.Ne, "b"), []string{b, c, d}},
			{"department", is(enterpriseUser+"department", "r&d <É>"), []string{a}},
			{"manager", is(enterpriseUser+"manager.value", "m"), []string{a}},
			{"costCenter pr", store.Has{Field: enterpriseUser + "costCenter"}, []string{a}},
			{"active is what the directory says", is("active", true), []string{a, c, d}},
			{"active ne true", op("active", store.Ne, true), []string{b}},
			{"published is what applications see", is("published", true), []string{a, d}},
			{"emails", is("emails", "ANN@corp.test"), []string{a, b}},
			{"emails.value", is("emails.value", "ann@CORP.test"), []string{a, b}},
			{"emails.value ne holds where no email equals", op("emails.value", store.Ne, "ann@corp.test"), []string{c, d}},
			{"emails.value co", op("emails.value", store.Contains, "@home"), []string{a}},
			{"emails.type", is("emails.type", "HOME"), []string{a, b}},
			{"emails.primary", is("emails.primary", true), []string{a}},
			{"emails.display", is("emails.display", "At Home"), []string{a}},
			{"any element, not the same one", store.And{is("emails.type", "home"), is("emails.value", "ann@corp.test")}, []string{a, b}},
			{"one element", store.Element{Attr: "emails", Of: store.And{is("emails.type", "work"), is("emails.value", "ann@corp.test")}}, []string{a}},
			{"one element with its display", store.Element{Attr: "emails", Of: store.And{is("emails.display", "at home"), op("emails.value", store.EndsWith, "HOME.test")}}, []string{a}},
			{"one element, not", store.Element{Attr: "emails", Of: not(is("emails.type", "home"))}, []string{a, b}},
			{"no element", not(store.Element{Attr: "emails", Of: is("emails.type", "home")}), []string{c, d}},
			{"addresses", store.Element{Attr: "addresses", Of: store.And{is("addresses.type", "work"), is("addresses.country", "no")}}, []string{a}},
			{"addresses of another type", store.Element{Attr: "addresses", Of: store.And{is("addresses.type", "home"), is("addresses.country", "no")}}, nil},
			{"brackets of one value", store.Element{Attr: "name", Of: is("name.familyName", "ås")}, []string{a}},
			{"brackets of a value that is not there", store.Element{Attr: "name", Of: not(is("name.familyName", "x"))}, []string{a}},
			{"schemas", is("schemas", strings.ToUpper(strings.TrimSuffix(enterpriseUser, ":"))), []string{a}},
			{"schemas of all", op("schemas", store.EndsWith, ":core:2.0:user"), []string{a, b, c, d}},
			{"location", is("meta.location", base+"/Users/"+string(ann.ID)), []string{a}},
			{"location sw", op("meta.location", store.StartsWith, base+"/Users/"), []string{a, b, c, d}},
			{"location elsewhere", is("meta.location", "/Users/"+string(ann.ID)), nil},
			{"version", is("meta.version", `W/"1"`), []string{a, b, c, d}},
			{"resourceType in another case", is("meta.resourceType", "user"), nil},
			{"created between what is stored", op("meta.created", store.Less, e.now.Add(time.Nanosecond)), []string{a, c, d}},
			{"created", op("meta.created", store.Greater, e.now), []string{b}},
			{"lastModified ge", op("meta.lastModified", store.AtLeast, e.now.Add(2*time.Hour)), []string{b}},
			{"lastModified lt", op("meta.lastModified", store.Less, e.now.Add(time.Second)), []string{a, c, d}},
			{"groups", is("groups.value", string(staff.ID)), []string{a, c}},
			{"groups ne", op("groups.value", store.Ne, string(staff.ID)), []string{b, d}},
			{"groups co", op("groups.value", store.Contains, string(staff.ID)[9:]), []string{a, c}},
			{"groups.display", is("groups.display", "STAFF"), []string{a, c}},
			{"groups.type", is("groups.type", "Direct"), []string{a, c}},
			{"groups.type of none", is("groups.type", "indirect"), nil},
			{"groups.$ref", is("groups.$ref", base+"/Groups/"+string(staff.ID)), []string{a, c}},
			{"groups.$ref elsewhere", is("groups.$ref", "https://elsewhere.test/Groups/"+string(staff.ID)), nil},
			{"one group with all of it", store.Element{Attr: "groups", Of: store.And{is("groups.type", "direct"), not(is("groups.display", "top"))}}, []string{a, c}},
			{"groups in brackets", store.Element{Attr: "groups", Of: is("groups.value", string(staff.ID))}, []string{a, c}},
			{"groups pr", store.Has{Field: "groups"}, []string{a, c}},
			{"and", store.And{is("active", true), store.Has{Field: "title"}}, []string{a}},
			{"or", store.Or{is("userName", "bob"), is("userName", "dora")}, []string{b, d}},
			{"nothing of nothing", store.Or{}, nil},
			{"all of nothing", store.And{}, []string{a, b, c, d}},
			{"de Morgan", not(store.Or{is("userName", "bob"), not(is("active", true))}), []string{a, c, d}},
			{"sw of the last character", op("userName", store.StartsWith, "\U0010FFFF"), nil},
			{"co of nothing", op("title", store.Contains, ""), []string{a}},
		} {
			page := got(e, func(r store.Reader) (store.Page[store.User], error) {
				return r.Users(e.Context(), store.Query{Org: e.org, Filter: tt.of, Base: base, Limit: 10, Count: true})
			})
			var have []string
			for _, u := range page.Items {
				name, _, _ := strings.Cut(strings.ToLower(u.Attributes.UserName), "@")
				have = append(have, name)
			}
			if diff := cmp.Diff(tt.want, have); diff != "" || page.Total != len(tt.want) {
				e.Errorf("%s: total %d (-want +got):\n%s", tt.name, page.Total, diff)
			}
		}
	},
	"groups are found by conditions": func(e *env) {
		p, ann, staff := people(e)
		top := p.group("Top", staff)
		for _, tt := range []struct {
			name string
			of   store.Condition
			want []string
		}{
			{"displayName", is("displayName", "STAFF"), []string{"Staff"}},
			{"a user", is("members.value", string(ann.ID)), []string{"Staff"}},
			{"a group", is("members.value", string(staff.ID)), []string{"Top"}},
			{"not a member", op("members.value", store.Ne, string(ann.ID)), []string{"Top"}},
			{"members.type", is("members.type", "group"), []string{"Top"}},
			{"members.display is the userName without a displayName", is("members.display", "CARL"), []string{"Staff"}},
			{"members.$ref", is("members.$ref", base+"/Users/"+string(ann.ID)), []string{"Staff"}},
			{"members.$ref of the other kind", is("members.$ref", base+"/Groups/"+string(ann.ID)), nil},
			{"one member", store.Element{Attr: "members", Of: store.And{is("members.type", "User"), op("members.display", store.Contains, "a")}}, []string{"Staff"}},
			{"no one member", store.Element{Attr: "members", Of: store.And{is("members.type", "User"), is("members.value", string(staff.ID))}}, nil},
			{"schemas", is("schemas", "urn:provost:params:scim:schemas:extension:1.0:Group"), []string{"Staff", "Top"}},
			{"members pr", store.Has{Field: "members"}, []string{"Staff", "Top"}},
			{"effectiveCount", op("urn:provost:params:scim:schemas:extension:1.0:Group:effectiveCount", store.AtLeast, int64(2)), []string{"Staff", "Top"}},
			{"overCap", is("urn:provost:params:scim:schemas:extension:1.0:Group:overCap", true), nil},
			{"description", store.Has{Field: "urn:provost:params:scim:schemas:extension:1.0:Group:description"}, nil},
			{"id", is("id", string(top.ID)), []string{"Top"}},
		} {
			page := got(e, func(r store.Reader) (store.Page[store.Group], error) {
				return r.Groups(e.Context(), store.Query{Org: e.org, Directory: &p.dir, Filter: tt.of, Base: base, Limit: 10})
			})
			var have []string
			for _, g := range page.Items {
				have = append(have, g.DisplayName)
			}
			if diff := cmp.Diff(tt.want, have); diff != "" {
				e.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
		}
	},
	"the one user of a name is a page like any other": func(e *env) {
		p, ann, _ := people(e)
		p.deleteUser(p.user("gone"))
		beside := e.at("gamma")
		name, id := is("userName", "ann@corp.test"), is("id", string(ann.ID))
		for _, tt := range []struct {
			name string
			q    store.Query
			want []string
			all  int
		}{
			{"by name", store.Query{Filter: name}, []string{"ann"}, 1},
			{"by id", store.Query{Filter: id}, []string{"ann"}, 1},
			{"by name and more", store.Query{Filter: store.And{is("active", true), name}}, []string{"ann"}, 1},
			{"by name and what it is not", store.Query{Filter: store.And{name, is("active", false)}}, nil, 0},
			{"one of two names", store.Query{Filter: store.Or{name, is("userName", "bob")}}, []string{"ann", "bob"}, 2},
			{"not the name", store.Query{Filter: not(name)}, []string{"bob", "carl"}, 2},
			{"sorted", store.Query{Filter: name, Sort: &store.Sort{Field: "title"}}, []string{"ann"}, 1},
			{"the second page", store.Query{Filter: name, Offset: 1}, nil, 1},
			{"after it", store.Query{Filter: name, After: store.Position{Key: ann.Key}}, nil, 1},
			{"before it", store.Query{Filter: name, Before: store.Position{Key: ann.Key}}, nil, 1},
			{"of another directory", store.Query{Filter: name, Directory: &beside.dir}, nil, 0},
			{"of all directories", store.Query{Filter: name}, []string{"ann"}, 1},
			{"deleted", store.Query{Filter: is("userName", "gone"), Deleted: true}, []string{"gone"}, 1},
			{"no longer deleted", store.Query{Filter: name, Deleted: true}, nil, 0},
		} {
			tt.q.Org, tt.q.Count, tt.q.Limit = p.org, true, 10
			if tt.q.Directory == nil && tt.name != "of all directories" {
				tt.q.Directory = &p.dir
			}
			page := got(e, func(r store.Reader) (store.Page[store.User], error) { return r.Users(e.Context(), tt.q) })
			var have []string
			for _, u := range page.Items {
				first, _, _ := strings.Cut(store.Fold(u.Attributes.UserName), "@")
				have = append(have, first)
			}
			if diff := cmp.Diff(tt.want, have); diff != "" || page.Total != tt.all || page.More || len(page.Positions) != len(have) {
				e.Errorf("%s: total %d, more %t (-want +got):\n%s", tt.name, page.Total, page.More, diff)
			}
		}
	},
	"what is not on the list cannot be asked": func(e *env) {
		for _, of := range []store.Condition{
			is("password", "x"), store.Has{Field: "hash"}, is("user_name", "x"), is("userName", true), is("active", "x"), is("meta.created", "yesterday"),
			op("active", store.Contains, true), op("groups.primary", store.Eq, true), is("members.value", "x"), op("userName", "like", "x"),
			store.Element{Attr: "userName", Of: is("userName", "x")}, store.Element{Attr: "emails", Of: is("userName", "x")},
			store.Element{Attr: "emails", Of: store.Element{Attr: "emails", Of: is("emails.type", "x")}}, is("name", "x"), not(is("nothing", "x")),
		} {
			e.refused(store.CodeFilter, func(t store.Tx) error {
				_, err := t.Users(e.Context(), store.Query{Org: e.org, Filter: of, Limit: 10})
				return err
			})
		}
	},
	"texts sort by their bytes": func(e *env) {
		p := e.at("alpha")
		names := []string{"z", "a-b", "ab", "a_b", "é", "€", "\U0001F600", "a b", "10", "9"}
		p.users(names...)
		slices.Sort(names)
		for i, from := range names {
			page := got(e, func(r store.Reader) (store.Page[store.User], error) {
				return r.Users(e.Context(), store.Query{Org: e.org, Filter: op("userName", store.AtLeast, from), Limit: 20})
			})
			var have []string
			for _, u := range page.Items {
				have = append(have, u.Attributes.UserName)
			}
			slices.Sort(have)
			if diff := cmp.Diff(names[i:], have); diff != "" {
				e.Errorf("from %q (-want +got):\n%s", from, diff)
			}
		}
	},
	"users are listed by directory, internal ones by none": func(e *env) {
		p, _, _ := people(e)
		(&place{e, e.org, 0}).user("inner")
		none := store.Key(0)
		for dir, want := range map[*store.Key]int{&p.dir: 3, &none: 1, nil: 5} {
			page := got(e, func(r store.Reader) (store.Page[store.User], error) {
				return r.Users(e.Context(), store.Query{Org: e.org, Directory: dir, Count: true})
			})
			if page.Total != want {
				e.Errorf("%d users, want %d", page.Total, want)
			}
		}
	},
}
