package ldap_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
	reader "github.com/provost-scim/provost/sync/ldap"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// settings reads a server of testenv over LDAPS.
func settings(t testing.TB, server *testenv.LDAPServer, change ...func(*store.LDAP)) store.LDAP {
	t.Helper()
	ca, err := os.ReadFile(server.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	s := store.LDAP{
		URLs: []string{server.TLSURL}, CA: string(ca), BindDN: server.BindDN, BaseDNs: []string{server.Suffix},
		Preset: "openldap", PageSize: 100, TimeoutSeconds: 20,
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

func open(t testing.TB, settings store.LDAP, secret string) *reader.Source {
	t.Helper()
	source, err := reader.New(settings, secret, reader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// read reads everything, and returns what came and how the read ended.
func read(ctx context.Context, source *reader.Source) (users, groups []store.Entry, end error) {
	for e, err := range source.Entries(ctx) {
		switch {
		case end != nil:
			return nil, nil, errors.New("the sequence went on after its end")
		case err != nil:
			end = err
		case e.Kind == store.KindUser:
			users = append(users, e)
		default:
			groups = append(groups, e)
		}
	}
	return users, groups, end
}

func readAll(t testing.TB, source *reader.Source) (users, groups []store.Entry) {
	t.Helper()
	users, groups, end := read(t.Context(), source)
	if !errors.Is(end, reader.Complete) {
		t.Fatalf("the read ended with %v", end)
	}
	return users, groups
}
