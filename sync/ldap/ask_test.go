package ldap_test

import (
	"strings"
	"testing"

	"github.com/provost-scim/provost/store"
)

// Whoever is asked for and not found may be taken for deleted, so an answer that may not
// be whole is none, as in a read of everything.
func TestAnswersToQuestionsThatAreNotWhole(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer answer
		code   store.Code
		field  string
		text   string
	}{
		{"an answer without the paging control", answer{unpaged: true}, store.CodeInvalid, "", "ignored the request for pages"},
		{"pages without an entry that never end", answer{cookie: "more"}, store.CodeBusy, "", "10000 pages without an entry"},
		{"a reference to another server", answer{reference: "ldap://other.corp.test/dc=corp,dc=test"}, store.CodeInvalid, "base_dns", "refers to another one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := fake(t, func(r request) []answer {
				if strings.Contains(r.filter, "entryDN=") {
					return []answer{entry(r.base)}
				}
				return []answer{c.answer}
			})
			asking, why, err := open(t, server.settings("openldap"), "secret").Ask(t.Context())
			if err != nil || asking == nil {
				t.Fatalf("it cannot be asked, because %s: %v", why, err)
			}
			defer asking.Close()
			_, err = asking.Users(t.Context(), []string{"ann"})
			wantError(t, err, c.code, c.field, c.text)
			_, err = asking.Identify(t.Context(), []string{entryUUID})
			wantError(t, err, c.code, c.field, c.text)
		})
	}
}
