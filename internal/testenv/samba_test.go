package testenv_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
)

func TestADomainControllerHoldsItsDataAndTakesPasswordsOverTLSOnly(t *testing.T) {
	write := func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "dn: CN=Ann Lee,OU=People,%s\nobjectClass: user\nsAMAccountName: ann\n\n", testenv.DomainSuffix)
		return err
	}
	dc, other := testenv.Samba(t, testenv.SambaOptions{Write: write}), testenv.Samba(t, testenv.SambaOptions{})
	find := func(conn *ldap.Conn) *ldap.SearchResult {
		t.Helper()
		found, err := conn.Search(ldap.NewSearchRequest(dc.Suffix, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
			"(sAMAccountName=ann)", []string{"objectGUID"}, nil))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	found := find(dc.Admin(t))
	if len(found.Entries) != 1 || !strings.EqualFold(found.Entries[0].DN, "CN=Ann Lee,OU=People,"+dc.Suffix) || len(found.Entries[0].GetRawAttributeValue("objectGUID")) != 16 {
		t.Errorf("found %v", found.Entries)
	}
	if found := find(other.Admin(t)); len(found.Entries) != 0 {
		t.Errorf("another domain controller has the data of the first: %v", found.Entries)
	}

	conn, err := ldap.DialURL(dc.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var refused *ldap.Error
	if err := conn.Bind(dc.BindDN, dc.Password); !errors.As(err, &refused) || refused.ResultCode != ldap.LDAPResultStrongAuthRequired {
		t.Errorf("a bind in plain text: %v, want result 8", err)
	}

	dc.Restart()
	if found := find(dc.Admin(t)); len(found.Entries) != 1 {
		t.Errorf("after a restart: %v", found.Entries)
	}
}
