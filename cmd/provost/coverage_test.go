package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// commandsOf lists the commands that do something, by how they are called.
func commandsOf(t *testing.T) map[string]*kong.Node {
	t.Helper()
	parser, err := kong.New(&commands{}, kong.Name("provost"), kong.PostBuild(showExamples))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*kong.Node{}
	for _, leaf := range parser.Model.Leaves(true) {
		name, _, _ := strings.Cut(leaf.FullPath(), " <")
		all[name] = leaf
	}
	return all
}

func TestEveryCommandShowsAnExampleThatParses(t *testing.T) {
	t.Parallel()
	var lines int
	for path, command := range commandsOf(t) {
		_, examples, found := strings.Cut(command.Detail, "Example")
		if !found || !strings.Contains(examples, path) {
			t.Errorf("the help of %q has no example of it: a tag example, or a method Help", path)
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(examples, "\\\n", " ")) {
			args, ok := shellWords(line)
			if !ok {
				continue
			}
			lines++
			parser, err := kong.New(&commands{}, kong.Name("provost"), kong.Exit(func(int) {}))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse(args); err != nil {
				t.Errorf("an example of %q is wrong: %v\n%s", path, err, line)
			}
		}
	}
	if lines < 60 {
		t.Errorf("only %d examples were tried", lines)
	}
}

// local are the commands that talk to no server.
var local = map[string]bool{
	"provost serve": true, "provost migrate": true, "provost version": true, "provost admin token create": true, "provost completion": true,
}

func TestEveryCommandThatSpeaksToAServerPrintsJSONOrLittle(t *testing.T) {
	t.Parallel()
	for path, command := range commandsOf(t) {
		have := map[string]bool{}
		for _, group := range command.AllFlags(true) {
			for _, flag := range group {
				have[flag.Name] = true
			}
		}
		if want := !local[path]; have["json"] != want || have["quiet"] != want || have["server"] != want {
			t.Errorf("%q has --json: %t, --quiet: %t, --server: %t, want %t", path, have["json"], have["quiet"], have["server"], want)
		}
		destroys := strings.HasSuffix(path, " delete") || path == "provost token revoke" || path == "provost directory oidc remove"
		if destroys != have["yes"] && path != "provost sync run" {
			t.Errorf("%q destroys: %t, asks: %t", path, destroys, have["yes"])
		}
	}
}

var (
	exampleLine = regexp.MustCompile(`^ {4}(?:\$ )?provost (.*)$`)
	exampleWord = regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s'"]+`)
)

// shellWords are the arguments of an example that is one plain command: without what
// only a shell can tell.
func shellWords(line string) (words []string, ok bool) {
	match := exampleLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
	if match == nil {
		return nil, false
	}
	command, _, _ := strings.Cut(match[1], " | ")
	command, _, _ = strings.Cut(command, " > ")
	command, _, _ = strings.Cut(command, "  #")
	if strings.Contains(command, "$(") {
		return nil, false
	}
	for _, word := range exampleWord.FindAllString(command, -1) {
		words = append(words, strings.Trim(word, `'"`))
	}
	return words, true
}

func TestEveryCommandIsInAScript(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	var scripts strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		scripts.Write(text)
	}
	for path := range commandsOf(t) {
		// A script that only shows its help, or that it refuses, is none.
		run := regexp.MustCompile(`(?m)^exec (?:sh -c '.*)?` + regexp.QuoteMeta(path) + `(?: .*)?$`)
		covered := false
		for _, line := range run.FindAllString(scripts.String(), -1) {
			covered = covered || !strings.Contains(line, "--help")
		}
		if !covered {
			t.Errorf("no script in testdata/script runs %q and lets it succeed", path)
		}
	}
}
