package testenv_test

import (
	"bytes"
	"io"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
)

func TestTheSameOptionsMakeTheSameCompanyAndAnotherSeedAnother(t *testing.T) {
	write := func(options testenv.CompanyOptions) string {
		var ldif bytes.Buffer
		if _, err := testenv.Company(&ldif, options); err != nil {
			t.Fatal(err)
		}
		return ldif.String()
	}
	options := testenv.CompanyOptions{Users: 200, Groups: 30, Cap: 50}
	if diff := cmp.Diff(write(options), write(options)); diff != "" {
		t.Errorf("two companies of the same options differ:\n%s", diff)
	}
	reseeded := options
	reseeded.Seed = 1
	if write(options) == write(reseeded) {
		t.Error("the seed changes nothing")
	}
}

func TestACompanyOfAHundredThousandHasTheMembershipsItPromises(t *testing.T) {
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 100_000, Groups: 10_000})
	const want = 437_000
	if got := company.Memberships(); math.Abs(float64(got-want)) > want*0.02 {
		t.Errorf("%d memberships, want about %d", got, want)
	}
}

func TestTheGroupsAroundTheCapHaveTheSizesTheirNamesSay(t *testing.T) {
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 13_000, Groups: 40})
	for _, tt := range []struct {
		group     string
		direct    int
		effective int
	}{
		{testenv.GroupAtCap, 10_000, 10_000},
		{testenv.GroupOverCap, 10_001, 10_001},
		{testenv.GroupOverByNesting, 0, 12_000},
		{testenv.GroupOverByNestingA, 6_000, 6_000},
		{testenv.GroupOverByNestingB, 6_000, 6_000},
	} {
		t.Run(tt.group, func(t *testing.T) {
			index := company.Group(tt.group)
			if index < 0 {
				t.Fatal("the company has no such group")
			}
			if got := len(company.Groups[index].Users); got != tt.direct {
				t.Errorf("%d direct users, want %d", got, tt.direct)
			}
			if got := len(company.Effective(index)); got != tt.effective {
				t.Errorf("%d effective users, want %d", got, tt.effective)
			}
		})
	}
}

func TestEffectiveMembersComeThroughChainsAndCycles(t *testing.T) {
	company := testenv.NewCompany(testenv.CompanyOptions{Users: 300, Groups: 20, Cap: 100})

	below := company.Effective(company.Group(testenv.GroupChain))
	for _, user := range company.Groups[company.Group(testenv.GroupChainEnd)].Users {
		if _, found := slices.BinarySearch(below, user); !found {
			t.Errorf("user %d at the end of the chain is not in its head", user)
		}
	}
	a := company.Effective(company.Group(testenv.GroupCycleA))
	b := company.Effective(company.Group(testenv.GroupCycleB))
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("groups that contain each other have different members:\n%s", diff)
	}
}

func TestNoGroupHoldsAUserTwiceAndEveryGroupHoldsSomebody(t *testing.T) {
	for _, options := range []testenv.CompanyOptions{
		{Users: 1, Groups: 1}, {Users: 2, Groups: 20}, {Users: 60, Groups: 13}, {Users: 3_000, Groups: 300, Cap: 1_000},
	} {
		company := testenv.NewCompany(options)
		if len(company.Groups) != options.Groups {
			t.Errorf("%+v: %d groups, want %d", options, len(company.Groups), options.Groups)
		}
		for _, group := range company.Groups {
			users := slices.Sorted(slices.Values(group.Users))
			if len(slices.Compact(users)) != len(group.Users) {
				t.Errorf("%+v: %s holds a user twice", options, group.CN)
			}
			if len(group.Users)+len(group.Children) == 0 {
				t.Errorf("%+v: %s is empty, which LDAP does not allow", options, group.CN)
			}
		}
	}
}

func BenchmarkCompany(b *testing.B) {
	for b.Loop() {
		if _, err := testenv.Company(io.Discard, testenv.CompanyOptions{Users: 100_000, Groups: 10_000}); err != nil {
			b.Fatal(err)
		}
	}
}
