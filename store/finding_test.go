package store_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEachRuleThatAFindingNamesIsExplainedInTheDocsAndNoOther(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "finding.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Rule") {
			rule, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			rules = append(rules, rule)
		}
		return true
	})
	page, err := os.ReadFile("../docs/findings.md")
	if err != nil {
		t.Fatal(err)
	}
	var explained []string
	for _, m := range regexp.MustCompile("(?m)^## `([a-z_]+)`$").FindAllSubmatch(page, -1) {
		explained = append(explained, string(m[1]))
	}
	slices.Sort(rules)
	slices.Sort(explained)
	if len(rules) == 0 {
		t.Fatal("finding.go has no rules")
	}
	if diff := cmp.Diff(rules, explained); diff != "" {
		t.Errorf("rules that docs/findings.md explains (-code +page):\n%s", diff)
	}
}
