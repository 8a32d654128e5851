package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testNamed    = regexp.MustCompile("(?:`([a-z/]+)`: )?((?:`(?:Test|Benchmark|Fuzz)\\w+`(?:, | and )?)+)")
	testName     = regexp.MustCompile("`((?:Test|Benchmark|Fuzz)\\w+)`")
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)
)

// TestTheTestsThatTheDocumentationNamesExist looks for every test that docs/ names, in
// the folder that it names, by default that of the program.
func TestTheTestsThatTheDocumentationNamesExist(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	there := map[string]bool{} // folder + name
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		for _, f := range testFunction.FindAllStringSubmatch(string(source), -1) {
			there[filepath.ToSlash(folder)+" "+f[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testNamed.FindAllStringSubmatch(string(text), -1) {
			folder := m[1]
			if folder == "" {
				folder = "cmd/provost"
			}
			for _, name := range testName.FindAllStringSubmatch(m[2], -1) {
				named++
				if !there[folder+" "+name[1]] {
					t.Errorf("%s names %s in %s, which is not there", filepath.Base(page), name[1], folder)
				}
			}
		}
	}
	if named < 50 {
		t.Errorf("only %d tests were found to be named", named)
	}
}
