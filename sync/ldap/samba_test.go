package ldap_test

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

// domainSettings reads a domain controller over LDAPS as an ordinary account.
func domainSettings(t testing.TB, dc *testenv.DomainController, change ...func(*store.LDAP)) store.LDAP {
	t.Helper()
	ca, err := os.ReadFile(dc.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	s := store.LDAP{
		URLs: []string{dc.TLSURL}, CA: string(ca), BindDN: dc.BindDN, BaseDNs: []string{dc.Suffix},
		Preset: "active_directory", PageSize: 1000, TimeoutSeconds: 20,
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

// twoThousand is LDIF of so many users in one group, and of a few to move about.
func twoThousand(w io.Writer) error {
	var group strings.Builder
	fmt.Fprintf(&group, "dn: CN=everyone,OU=Groups,%s\nobjectClass: group\nsAMAccountName: everyone\n", testenv.DomainSuffix)
	for i := range 2_000 {
		dn := fmt.Sprintf("CN=User %d,OU=People,%s", i, testenv.DomainSuffix)
		if _, err := fmt.Fprintf(w, "dn: %s\nobjectClass: user\nsAMAccountName: u%d\nuserAccountControl: 544\n\n", dn, i); err != nil {
			return err
		}
		fmt.Fprintf(&group, "member: %s\n", dn)
	}
	_, err := fmt.Fprintln(w, group.String())
	return err
}

func TestARealDomainIsReadWhole(t *testing.T) {
	dc := testenv.Samba(t, testenv.SambaOptions{Write: twoThousand})
	for name, change := range map[string]func(*store.LDAP){
		"in pages of the server's limit": func(*store.LDAP) {},
		"in pages larger than its limit": func(s *store.LDAP) { s.PageSize = 5_000 },
		"in small pages":                 func(s *store.LDAP) { s.PageSize = 77 },
	} {
		t.Run(name, func(t *testing.T) {
			users, groups := readAll(t, open(t, domainSettings(t, dc, change), dc.Password))
			if len(users) != 2_001 || len(groups) != 1 || len(groups[0].MemberDNs) != 2_000 {
				t.Fatalf("read %d users and %d groups, want 2,001 with the service account, and one", len(users), len(groups))
			}
			if len(slices.Compact(slices.Sorted(slices.Values(groups[0].MemberDNs)))) != 2_000 {
				t.Error("some members came twice")
			}
		})
	}
}

func TestLookupTellsWhatMovedFromWhatIsGone(t *testing.T) {
	write := func(w io.Writer) error {
		for _, name := range []string{"stays", "moves", "goes", "computer"} {
			class, account := "user", name
			if name == "computer" {
				class, account = "computer", "computer$"
			}
			if _, err := fmt.Fprintf(w, "dn: CN=%s,OU=People,%s\nobjectClass: %s\nsAMAccountName: %s\n\n", name, testenv.DomainSuffix, class, account); err != nil {
				return err
			}
		}
		return nil
	}
	dc := testenv.Samba(t, testenv.SambaOptions{Write: write})
	admin := dc.Admin(t)
	people := func(s *store.LDAP) { s.BaseDNs = []string{"OU=People," + dc.Suffix} }
	ids := map[string]string{}
	users, _ := readAll(t, open(t, domainSettings(t, dc, people), dc.Password))
	for _, u := range users {
		ids[u.Attributes.UserName] = u.ExternalID
	}
	if len(ids) != 4 { // with the service account, without the computer
		t.Fatalf("read %v", ids)
	}
	if err := admin.ModifyDN(ldap.NewModifyDNRequest("CN=moves,OU=People,"+dc.Suffix, "CN=moved\\, away", true, "OU=Leavers,"+dc.Suffix)); err != nil {
		t.Fatal(err)
	}
	if err := admin.Del(ldap.NewDelRequest("CN=goes,OU=People,"+dc.Suffix, nil)); err != nil {
		t.Fatal(err)
	}
	asked := []string{ids["stays"], ids["moves"], ids["goes"], "00000000-0000-0000-0000-000000000000"}
	want := map[string]string{ids["stays"]: "cn=stays,ou=people,dc=ad,dc=corp,dc=test", ids["moves"]: "cn=moved\\, away,ou=leavers,dc=ad,dc=corp,dc=test"}
	for name, bind := range map[string]struct{ dn, password string }{
		"as an ordinary account, which sees no tombstones":       {dc.BindDN, dc.Password},
		"as an administrator, who would see them if he asked to": {dc.AdminDN, dc.AdminPassword},
	} {
		t.Run(name, func(t *testing.T) {
			source := open(t, domainSettings(t, dc, people, func(s *store.LDAP) { s.BindDN = bind.dn }), bind.password)
			got, err := source.Lookup(t.Context(), asked)
			if err != nil {
				t.Fatal(err)
			}
			for id, dn := range got {
				got[id] = canonical(t, dn)
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("and refuses what is no objectGUID", func(t *testing.T) {
		_, err := open(t, domainSettings(t, dc), dc.Password).Lookup(t.Context(), []string{"*)(cn=*"})
		if store.CodeOf(err) != store.CodeInvalid {
			t.Errorf("got %v", err)
		}
	})
}
