package scim

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

func TestTheStoredTextOfAUserIsShownAsItsAttributesAre(t *testing.T) {
	c := &call{base: "https://provost.test/scim/v2"}
	groups := []store.Membership{
		{Group: "01900000-0000-7000-8000-000000000007", DisplayName: "Staff", Direct: true},
		{Group: "01900000-0000-7000-8000-000000000008", DisplayName: `"All" & more`},
	}
	for name, a := range map[string]store.Attributes{
		"a name alone":         {UserName: "ada"},
		"lists":                {UserName: "ada", Name: &store.Name{GivenName: "Ada"}, Emails: []store.Value{{Value: "ada@x.test", Primary: true}, {Value: "b@x.test"}}},
		"an extension":         {UserName: "ada", Enterprise: &store.Enterprise{Department: "R"}},
		"an empty extension":   {UserName: "ada", Enterprise: &store.Enterprise{}},
		"a manager by id":      {UserName: "ada", Enterprise: &store.Enterprise{Manager: &store.Manager{Value: "01900000-0000-7000-8000-000000000002", DisplayName: "Bo"}}},
		"a manager by a text":  {UserName: "ada", Enterprise: &store.Enterprise{CostCenter: "1", Manager: &store.Manager{Value: "bo"}}},
		"escapes":              {UserName: "a<d>a&", DisplayName: "quote \" back \\ line \u2028 \U0001F600", Title: "}{"},
		"names within a value": {UserName: `"manager":`, Title: `"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":`},
	} {
		t.Run(name, func(t *testing.T) {
			u := store.User{
				ID: "01900000-0000-7000-8000-000000000001", ExternalID: "<e>", Attributes: a, Stated: true, Version: 3,
				CreatedAt: time.Unix(1, 0), ModifiedAt: time.Unix(2, 0),
			}
			want, err := json.Marshal(c.renderUser(&u, groups))
			if err != nil {
				t.Fatal(err)
			}
			if u.Text, err = json.Marshal(a); err != nil {
				t.Fatal(err)
			}
			u.Attributes = store.Attributes{}
			got, err := c.userText(&u, groups)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("(-decoded +text)\n%s", diff)
			}
		})
	}
}
