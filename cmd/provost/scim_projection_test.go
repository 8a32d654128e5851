package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// leaves are the paths of all that a resource holds: "emails.value", "urn:…:User:department".
func leaves(resource any) []string {
	found := map[string]bool{}
	var walk func(v any, path string)
	walk = func(v any, path string) {
		switch v := v.(type) {
		case map[string]any:
			for name, part := range v {
				switch {
				case path == "":
					walk(part, name)
				case strings.HasPrefix(path, "urn:") && strings.HasSuffix(path, ":User") || strings.HasSuffix(path, ":Group"):
					walk(part, path+":"+name)
				default:
					walk(part, path+"."+name)
				}
			}
		case []any:
			for _, part := range v {
				walk(part, path)
			}
		default:
			found[path] = true
		}
	}
	walk(resource, "")
	var list []string
	for path := range found {
		list = append(list, path)
	}
	slices.Sort(list)
	return list
}

func TestAttributesAreChosenByName(t *testing.T) {
	t.Parallel()
	const ent, core = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "urn:ietf:params:scim:schemas:core:2.0:User"
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		user := w.send(t, scimRequest{method: post, path: "/Users", body: `{"schemas":["` + core + `","` + ent + `"],"userName":"ann@example.com","externalId":"x1","active":false,` +
			`"name":{"givenName":"Ann","familyName":"Ås"},"title":"T","emails":[{"value":"ann@example.com","type":"work","primary":true},{"value":"ann@home.example"}],` +
			`"addresses":[{"country":"NO","type":"work"}],"` + ent + `":{"department":"R","manager":{"value":"m"}}}`})
		if user.status != 201 {
			t.Fatalf("%d %s", user.status, user.raw)
		}
		id := user.text("id")
		group := w.send(t, scimRequest{method: post, path: "/Groups", body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Crew","members":[{"value":"` + id + `"}]}`})
		whole := leaves(w.send(t, scimRequest{method: get, path: "/Users/" + id}).body)
		always := []string{"id", "schemas"}
		with := func(more ...string) []string {
			list := append(slices.Clone(always), more...)
			slices.Sort(list)
			return list
		}
		without := func(prefixes ...string) []string {
			var list []string
			for _, path := range whole {
				if slices.Contains(always, path) || !slices.ContainsFunc(prefixes, func(p string) bool {
					return path == p || strings.HasPrefix(path, p+".") || strings.HasPrefix(path, p+":")
				}) {
					list = append(list, path)
				}
			}
			return list
		}
		coreOnly := []string{"userName", "active", "name", "title", "emails", "addresses", "groups"}
		for query, want := range map[string][]string{
			"":                                                           whole,
			"attributes=":                                                whole,
			"attributes=userName":                                        with("userName"),
			"attributes=USERNAME, Title":                                 with("userName", "title"),
			"attributes=userName&attributes=title":                       with("userName", "title"),
			"attributes=id":                                              with(),
			"attributes=schemas":                                         with(),
			"attributes=shoeSize":                                        with(),
			"attributes=password":                                        with(),
			"attributes=userName.first":                                  with(),
			"attributes=,":                                               with(),
			"attributes=active":                                          with("active"), // false is a value
			"attributes=externalId,nickName":                             with("externalId"),
			"attributes=name":                                            with("name.familyName", "name.givenName"),
			"attributes=name.givenName":                                  with("name.givenName"),
			"attributes=NAME.GIVENNAME,name.formatted":                   with("name.givenName"),
			"attributes=emails.value":                                    with("emails.value"),
			"attributes=emails.value,emails.type":                        with("emails.type", "emails.value"),
			"attributes=emails.type,emails":                              with("emails.primary", "emails.type", "emails.value"),
			"attributes=emails,emails.type":                              with("emails.primary", "emails.type", "emails.value"),
			"attributes=emails.display":                                  with(),
			"attributes=groups.value":                                    with("groups.value"),
			"attributes=meta.resourceType":                               with("meta.resourceType"),
			"attributes=" + core + ":userName":                           with("userName"),
			"attributes=" + strings.ToUpper(core) + ":USERNAME":          with("userName"),
			"attributes=" + core + ":emails.value":                       with("emails.value"),
			"attributes=" + ent:                                          with(ent+":department", ent+":manager.value"),
			"attributes=" + strings.ToLower(ent) + ":DEPARTMENT":         with(ent + ":department"),
			"attributes=" + ent + ":manager.value":                       with(ent + ":manager.value"),
			"attributes=department":                                      with(ent + ":department"),
			"attributes=urn:example:Other:userName":                      with(),
			"attributes=" + core:                                         without("externalId", "meta", ent),
			"excludedAttributes=":                                        whole,
			"excludedAttributes=userName":                                without("userName"), // it can be left out: returned is default
			"excludedAttributes=id,schemas":                              whole,
			"excludedAttributes=shoeSize":                                whole,
			"excludedAttributes=EMAILS,groups":                           without("emails", "groups"),
			"excludedAttributes=emails.type":                             without("emails.type"),
			"excludedAttributes=emails.type,emails.value,emails.primary": without("emails"),
			"excludedAttributes=name.givenName,name.familyName":          without("name"),
			"excludedAttributes=meta.version":                            without("meta.version"),
			"excludedAttributes=" + ent:                                  without(ent),
			"excludedAttributes=" + ent + ":manager":                     without(ent + ":manager"),
			"excludedAttributes=" + ent + ":department," + ent + ":manager.value": without(ent),
			"excludedAttributes=" + core + ":title":                               without("title"),
			"excludedAttributes=" + core:                                          without(coreOnly...),
		} {
			one := w.send(t, scimRequest{method: get, path: "/Users/" + id + "?" + query})
			if diff := cmp.Diff(want, leaves(one.body)); diff != "" || one.status != 200 {
				t.Errorf("%s: %d (-want +got):\n%s", query, one.status, diff)
			}
			for _, path := range []string{"/Users", "/"} {
				list, _ := w.send(t, scimRequest{method: get, path: path + `?filter=userName eq "ann@example.com"&` + query}).get("Resources").([]any)
				if len(list) != 1 || !cmp.Equal(one.body, list[0]) {
					t.Errorf("%s of %s: %v", query, path, list)
				}
			}
		}
		for _, path := range []string{"/Users", "/Users/" + id, "/Groups", "/Groups/" + group.text("id"), "/"} {
			if a := w.send(t, scimRequest{method: get, path: path + "?attributes=id&excludedAttributes=meta"}); a.status != 400 || a.text("scimType") != "invalidValue" {
				t.Errorf("%s with both: %d %s", path, a.status, a.raw)
			}
		}
	})
}

// What a change answers with is chosen in the same way, and who asks for the members of
// a large group gets them.
func TestChangesAnswerWithTheAttributesThatWereAskedFor(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		ids := w.newUsers(t, "many", 1001)
		var s store.GroupStatement
		name := "Large"
		s.DisplayName, s.Members.Mode = &name, store.MembersReplace
		for _, id := range ids {
			s.Members.Add = append(s.Members.Add, store.MemberRef{ID: id})
		}
		large := "/Groups/" + string(w.state(t, store.Statement{Groups: []store.GroupStatement{s}}).Groups[0].ID)
		rename := `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"displayName","value":%q}]}`
		for i, x := range []struct {
			query   string
			status  int
			members int
		}{
			{"", 204, 0},
			{"?excludedAttributes=members", 200, 0},
			{"?attributes=displayName", 200, 0},
			{"?attributes=members", 200, 1001},
			{"?attributes=members.value", 200, 1001},
		} {
			a := w.send(t, scimRequest{method: patch, path: large + x.query, body: fmt.Sprintf(rename, fmt.Sprint("Large ", i))})
			members, _ := a.get("members").([]any)
			if a.status != x.status || len(members) != x.members {
				t.Errorf("PATCH%s: %d with %d members, want %d with %d", x.query, a.status, len(members), x.status, x.members)
			}
		}
		var below store.Statement
		for i := range 1001 {
			name := fmt.Sprint("Below ", i)
			below.Groups = append(below.Groups, store.GroupStatement{DisplayName: &name})
		}
		above := "Above"
		nested := store.GroupStatement{DisplayName: &above, Members: store.MemberStatement{Mode: store.MembersReplace}}
		for _, g := range w.state(t, below).Groups {
			nested.Members.Add = append(nested.Members.Add, store.MemberRef{ID: g.ID})
		}
		empty := "/Groups/" + string(w.state(t, store.Statement{Groups: []store.GroupStatement{nested}}).Groups[0].ID)
		if a := w.send(t, scimRequest{method: patch, path: empty, body: fmt.Sprintf(rename, "Nobody")}); a.status != 204 {
			t.Errorf("PATCH of a group with 1001 groups without users: %d, want 204", a.status)
		}
		one := "/Users/" + string(ids[0])
		for what, r := range map[string]scimRequest{
			"POST":  {method: post, path: "/Users?attributes=userName", body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"new@example.com","title":"T"}`},
			"PUT":   {method: put, path: one + "?attributes=userName", body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"many0@example.com","title":"T"}`},
			"PATCH": {method: patch, path: one + "?attributes=userName", body: `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"title","value":"U"}]}`},
		} {
			if got := leaves(w.send(t, r).body); !slices.Equal(got, []string{"id", "schemas", "userName"}) {
				t.Errorf("%s answers with %v", what, got)
			}
		}
	})
}
