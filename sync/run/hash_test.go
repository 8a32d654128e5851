package run

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/provost-scim/provost/store"
)

func fullEntry() *store.Entry {
	yes := true
	values := func(name string) []store.Value {
		return []store.Value{
			{Value: name + " 1", Display: "d1", Type: "work", Primary: true},
			{Value: name + " 2", Display: "d2", Type: "home"},
		}
	}
	return &store.Entry{
		DN: "uid=a,dc=example", PrimaryGroup: "S-1-5-21-1-2-3-513", Active: &yes, ManagerDN: "uid=boss,dc=example",
		Attributes: store.Attributes{
			UserName: "a", Name: &store.Name{GivenName: "b"}, DisplayName: "c",
			Emails: values("emails"), PhoneNumbers: values("phones"), IMs: values("ims"), Photos: values("photos"),
			Entitlements: values("entitlements"), Roles: values("roles"), X509Certificates: values("certificates"),
			Addresses:  []store.Address{{Formatted: "x", Locality: "y"}, {Formatted: "z", Primary: true}},
			Enterprise: &store.Enterprise{Department: "d", Manager: &store.Manager{Value: "m"}},
		},
	}
}

// leaves visits every string and bool below v.
func leaves(path string, v reflect.Value, visit func(path string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		leaves(path, v.Elem(), visit)
	case reflect.Struct:
		for i := range v.NumField() {
			leaves(path+"."+v.Type().Field(i).Name, v.Field(i), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			leaves(fmt.Sprintf("%s[%d]", path, i), v.Index(i), visit)
		}
	case reflect.String, reflect.Bool:
		visit(path, v)
	default:
		panic("no test for the kind of " + path)
	}
}

func TestEveryAttributeIsPartOfTheHash(t *testing.T) {
	h := newHasher(1, "policy", dnHash)
	entry := fullEntry()
	before := h.user(entry)
	seen := 0
	check := func(path string, v reflect.Value) {
		seen++
		if v.Kind() == reflect.Bool {
			v.SetBool(!v.Bool())
			defer func() { v.SetBool(!v.Bool()) }()
		} else {
			old := v.String()
			v.SetString(old + "!")
			defer v.SetString(old)
		}
		if h.user(entry) == before {
			t.Errorf("a change of %s does not change the hash", path)
		}
	}
	leaves("Attributes", reflect.ValueOf(&entry.Attributes), check)
	leaves("Active", reflect.ValueOf(&entry.Active), check)
	leaves("ManagerDN", reflect.ValueOf(&entry.ManagerDN), check)
	if seen < 90 {
		t.Errorf("only %d fields were looked at", seen)
	}
	for _, loss := range []struct {
		name   string
		change func()
	}{
		{"name", func() { entry.Attributes.Name = nil }},
		{"manager", func() { entry.Attributes.Enterprise.Manager = nil }},
		{"enterprise", func() { entry.Attributes.Enterprise = nil }},
		{"active", func() { entry.Active = nil }},
		{"an email", func() { entry.Attributes.Emails = entry.Attributes.Emails[:1] }},
		{"DN", func() { entry.DN = "" }},
		{"primary group", func() { entry.PrimaryGroup = "" }},
	} {
		last := h.user(entry)
		loss.change()
		if h.user(entry) == last {
			t.Errorf("losing the %s does not change the hash", loss.name)
		}
	}
}

func TestTheOrderOfValuesIsNoPartOfTheHash(t *testing.T) {
	h := newHasher(1, "policy", dnHash)
	a, b := fullEntry(), fullEntry()
	for _, list := range []reflect.Value{reflect.ValueOf(b.Attributes.Emails), reflect.ValueOf(b.Attributes.Roles), reflect.ValueOf(b.Attributes.Addresses)} {
		reflect.Swapper(list.Interface())(0, 1)
	}
	if h.user(a) != h.user(b) {
		t.Error("the same values in another order have another hash")
	}
}

func TestTheHashCoversWhatTheEntryIsJudgedBy(t *testing.T) {
	first := newHasher(1, "policy", dnHash).user(fullEntry())
	if newHasher(2, "policy", dnHash).user(fullEntry()) == first {
		t.Error("another revision of the settings gives the same hash")
	}
	if newHasher(1, "other", dnHash).user(fullEntry()) == first {
		t.Error("another policy gives the same hash")
	}
}

func TestTheManagerIsPartOfTheSourceHash(t *testing.T) {
	content := make([]byte, contentSize)
	seen := map[sourceHash]string{}
	for _, manager := range []string{"", "a", "b"} {
		h := withManager(content, manager)
		if other, ok := seen[h]; ok {
			t.Errorf("managers %q and %q give the same hash", manager, other)
		}
		seen[h] = manager
	}
}

func dnHash(name string) [dnSize]byte {
	sum := sha256.Sum256([]byte(strings.ToLower(name)))
	return [dnSize]byte(sum[:])
}
