package admin

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/openapi"
)

func TestEveryProblemIsDocumented(t *testing.T) {
	var want []string
	for code, kind := range kinds {
		want = append(want, string(code)+" "+strconv.Itoa(kind.status))
	}
	slices.Sort(want)
	page, err := os.ReadFile("../../docs/problems.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile(`(?m)^## (\S+)\n\n(\d{3})\. `).FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, m[1]+" "+m[2])
	}
	slices.Sort(documented)
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("docs/problems.md (-want +got):\n%s", diff)
	}
	doc, err := openapi.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	list := doc.Components.Schemas["Problem"].Value.Properties["type"].Value.Description
	_, list, _ = strings.Cut(list, "one of ")
	list, _, _ = strings.Cut(list, ".")
	var named []string
	for name := range strings.SplitSeq(list, ", ") {
		for code, kind := range kinds {
			if string(code) == name {
				named = append(named, name+" "+strconv.Itoa(kind.status))
			}
		}
	}
	slices.Sort(named)
	if diff := cmp.Diff(want, named); diff != "" {
		t.Errorf("the specification (-want +got):\n%s", diff)
	}
}
