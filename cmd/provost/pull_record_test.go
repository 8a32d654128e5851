package main

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/openapi"
)

// badRecords are oddNames and entries that cannot become records, each for a reason of
// its own, in a group with one that can.
func badRecords(w io.Writer) error {
	if err := oddNames(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, `dn: cn=nameless,ou=people,%[1]s
objectClass: inetOrgPerson
cn: nameless
sn: nameless

dn: uid=broken,ou=people,%[1]s
objectClass: inetOrgPerson
uid: broken
cn: broken
sn: broken
mail: broken@example.com
audio:: //8=

dn: uid=stranger,ou=people,%[1]s
objectClass: inetOrgPerson
uid: stranger
cn: stranger
sn: stranger
mail: stranger@elsewhere.test

dn: cn=mixed,ou=groups,%[1]s
objectClass: groupOfNames
cn: mixed
member: uid=ann,ou=people,%[1]s
member: uid=broken,ou=people,%[1]s
member: uid=stranger,ou=people,%[1]s
member: cn=nameless,ou=people,%[1]s

`, testenv.Suffix)
	return err
}

func TestOneBadRecordStopsNothingAndIsAFindingWithItsDN(t *testing.T) {
	t.Parallel()
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: badRecords})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		p, db := startProvost(t, "--database", dsn), openPeer(t, dsn, "")
		p.must(t, "domain", "add", "example.com")
		p.must(t, "domain", "vouch", "example.com")
		p.must(t, append([]string{"directory", "create", "corp", "--attribute", "title=audio"}, pullFrom(t, server, server.TLSURL)...)...)
		for _, when := range []string{"first", "second"} {
			run := p.mustPull(t)
			same(t, "refused by the "+when+" run", 4, run.tally("users")["refused"])
			found := map[string]openapi.Finding{}
			for _, f := range decode[[]openapi.Finding](t, p.must(t, "finding", "list", "--json")) {
				found[f.DN] = f
			}
			for dn, want := range map[string][2]string{
				"cn=nameless,ou=people," + server.Suffix:  {"invalid_entry", "user name"},
				"uid=broken,ou=people," + server.Suffix:   {"invalid_entry", "audio"},
				"uid=stranger,ou=people," + server.Suffix: {"unverified_domain", "elsewhere.test"},
				"uid=spy,ou=secret," + server.Suffix:      {"unverified_domain", "no address"},
			} {
				if f := found[dn]; f.Rule != want[0] || !strings.Contains(f.Sentence, want[1]) || f.Sentence == "" {
					t.Errorf("of %s the %s run says %+v", dn, when, f)
				}
			}
			if len(found) != 4 {
				t.Errorf("the findings are %+v", found)
			}
		}
		state := db.state()
		same(t, "members of the group with them", []string{"ann"}, state.Groups["mixed"].Members)
		for _, name := range []string{"ann", "bob", "zoë"} {
			if !state.Users[name].Active {
				t.Errorf("%s is not pulled", name)
			}
		}
	})
}
